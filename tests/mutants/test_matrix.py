"""
Every mutant is found by the clauses named for it; right memories pass these clauses.

All of them with one seed, one of them with every seed: all with every seed takes some minutes, see `make mutants`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.servers.redis import redis_url

from pyarvo.testing.conformance import Factory, validate
from pyarvo.testing.conformance.clause import clauses
from pyarvo.testing.mutants import FAULTS, MUTANTS, InFile, InMemory, OnServer, honest
from pyarvo.testing.mutants.verbs import FourVerbs

from .document import mutants_page
from .trying import SEEDS, Stores, missed, trials

_NAMED = sorted({id for mutant in MUTANTS for id in mutant.killed_by})


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    directory = tmp_path_factory.mktemp("mutants")
    with redis_url(directory) as url:
        yield Stores(directory, url)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Mutants leave leases behind, and memories say so."""
    caplog.set_level(logging.CRITICAL, "pyarvo")


_AT_ONCE = 12


@pytest.mark.parametrize("begin", range(0, len(MUTANTS), _AT_ONCE))
async def test_each_is_found_by_its_clauses_and_by_one_of_them_with_every_seed(
    begin: int, stores: Stores
) -> None:
    first, *others = SEEDS
    runs: list[Awaitable[set[str]]] = []
    for trial in trials(MUTANTS[begin : begin + _AT_ONCE]):
        runs.append(missed(trial, stores, trial.named, [first]))
        runs.append(missed(trial, stores, trial.named[:1], others))
    wrong = await asyncio.gather(*runs)
    assert set[str]().union(*wrong) == set()


@pytest.mark.parametrize("kind", ["memory", "sqlite", "redis", "verbs"])
async def test_right_memories_pass_what_finds_the_mutants(kind: str, stores: Stores, tmp_path: Path) -> None:
    factory, server = _right(kind, stores, tmp_path)
    report = await validate(factory, only=_NAMED, server=server)
    assert [f"{each.id}: {each.reason}" for each in report.clauses if each.outcome != "passed"] == []


def _right(kind: str, stores: Stores, directory: Path) -> tuple[Factory, str | None]:
    if kind == "verbs":
        return partial(FourVerbs, FourVerbs.place()), None
    store = {"memory": InMemory(), "sqlite": InFile(directory / "right.db"), "redis": OnServer(stores.redis)}[
        kind
    ]
    return honest(store), store.server


async def test_what_is_known_of_the_typescript_memories_is_found() -> None:
    by_name = {mutant.name: mutant for mutant in MUTANTS}
    for name in {fault.memory for fault in FAULTS}:
        wanted = [fault for fault in FAULTS if fault.memory == name and fault.clause]
        report = await validate(by_name[name].open(InMemory()), only={fault.clause for fault in wanted})
        said = {each.id: each.reason for each in report.clauses if each.outcome == "failed"}
        assert [fault for fault in wanted if fault.says not in said.get(fault.clause, "")] == []


def test_there_are_enough_of_them_and_each_says_what_it_does() -> None:
    assert len(MUTANTS) >= 40
    assert {store for mutant in MUTANTS for store in mutant.stores} == {"memory", "sqlite", "redis", "none"}
    known = {clause.id for clause in clauses()}
    for mutant in MUTANTS:
        assert mutant.killed_by, mutant.name
        assert set(mutant.killed_by) <= known, mutant.name
        assert mutant.lie.endswith("."), mutant.name
    assert {mutant.level for mutant in MUTANTS} == {"base", "leased", "query", "backend", "network"}
    assert len({mutant.lie for mutant in MUTANTS}) == len(MUTANTS)


def test_every_reason_why_the_kit_cannot_say_something_is_given() -> None:
    assert [fault for fault in FAULTS if not fault.says] == []


def test_the_page_says_what_the_mutants_say() -> None:
    page = Path(__file__).parents[2] / "docs" / "mutants.md"
    assert page.read_text(encoding="utf-8") == mutants_page(), (
        "docs/mutants.md is behind: python -m tests.mutants.document > docs/mutants.md"
    )
