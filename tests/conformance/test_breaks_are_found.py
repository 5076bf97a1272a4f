"""Every test of a clause fails when the line that keeps the clause is broken: see breaks.py."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.outcomes import Failed

from pyarvo.errors import MemoryFault

from .breaks import BREAKS, Break
from .document import contract_page
from .place import Place

MODULES = ("test_verbs", "test_leases", "test_instances", "test_steps", "test_records", "test_queries")
RED = (AssertionError, MemoryFault, Failed, TimeoutError)

Clause = Callable[..., Coroutine[Any, Any, None]]


def clauses() -> dict[str, Clause]:
    """Every test of a clause, by name."""
    found: dict[str, Clause] = {}
    for name in MODULES:
        module = importlib.import_module(f".{name}", __package__)
        for key, value in vars(module).items():
            if key.startswith("test_"):
                assert key not in found
                found[key] = value
    return found


def cases(clause: Clause) -> Iterator[dict[str, Any]]:
    """The parameters of *clause*, one set after the other."""
    marks = [mark for mark in getattr(clause, "pytestmark", ()) if mark.name == "parametrize"]
    if not marks:
        yield {}
    for mark in marks:
        for value in mark.args[1]:
            yield {mark.args[0]: value}


async def is_red(clause: Clause, place: Place, case: dict[str, Any]) -> bool:
    """Whether *clause* fails at *place*, for a reason that counts."""
    wanted = inspect.signature(clause).parameters
    try:
        with pytest.MonkeyPatch.context() as patch:
            given: dict[str, Any] = {"place": place, "monkeypatch": patch, "caplog": _Log()}
            async with asyncio.timeout(10):
                await clause(**{name: value for name, value in given.items() if name in wanted}, **case)
    except RED:
        return True
    finally:
        await place.close()
    return False


class _Log:
    """Stands in for pytest's log of warnings, where a test is run by hand."""

    text = "ends by its TTL"

    def at_level(self, *_: Any) -> _Log:
        return self

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


@pytest.mark.parametrize(
    ("broken", "name", "kind"),
    [
        pytest.param(broken, name, kind, id=f"{name.removeprefix('test_')}-{kind}-{n}")
        for n, broken in enumerate(BREAKS)
        for name in broken.red
        for kind in broken.kinds
    ],
)
def test_a_break_turns_the_clause_red(broken: Break, name: str, kind: str, tmp_path: Path) -> None:
    clause = clauses()[name]
    with pytest.MonkeyPatch.context() as patch:
        broken.apply(patch)
        red = False
        for n, case in enumerate(cases(clause)):
            directory = tmp_path / str(n)
            directory.mkdir()
            red = red or asyncio.run(is_red(clause, Place(kind, directory), case))
        assert red


def test_every_clause_has_a_break() -> None:
    assert {name for broken in BREAKS for name in broken.red} == set(clauses())
    numbers = {name.split("_")[1] for name in clauses()}
    assert {f"c{n}" for n in range(1, 13)} <= numbers


def test_the_page_about_the_contract_says_what_the_breaks_say() -> None:
    page = Path(__file__).parents[2] / "docs" / "contract.md"
    assert page.read_text(encoding="utf-8") == contract_page(), (
        "docs/contract.md is behind; in tests/: python -m conformance.document > ../docs/contract.md"
    )
