"""The compare-and-swap loop against `decide` on random sequences of operations, from two processes' point of view."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.servers.nats import nats_url

from pyarvo.errors import MemoryFault
from pyarvo.events.labels import Labels
from pyarvo.memory import MemoryOptions
from pyarvo.memory.codec import digest_of
from pyarvo.memory.decide import (
    Acquire,
    Commit,
    Consumed,
    Delete,
    ForceRelease,
    Op,
    Outcome,
    Read,
    Release,
    Renew,
)
from pyarvo.memory.nats import backend, entry
from pyarvo.memory.nats import steps as steps_at_rest
from pyarvo.memory.nats.address import Address
from pyarvo.memory.nats.backend import NatsBackend
from pyarvo.memory.nats.bucket import BucketOptions
from pyarvo.memory.simple import SimpleBackend

IDS = ("order/1", "order/ä" * 200)
CURRENT = "of whoever holds it"
TOKENS = ("a" * 32, "b" * 32, CURRENT, CURRENT)
KEYS = tuple(f'["src","{n}"]' for n in range(12))
BUCKET = BucketOptions(bucket="decide", storage="memory")
OPTIONS = MemoryOptions(journal=2, history=2)

_examples = count()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with nats_url(tmp_path_factory.mktemp("nats")) as url:
        yield url


class Clock:
    """A clock that both look at."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def commits() -> st.SearchStrategy[Op]:
    def commit(data: bytes, key: str | None, events: bytes, **others: Any) -> Op:
        produced = None if key is None else events
        digest = digest_of(data, key, produced)
        return Commit(
            data=data,
            digest=digest,
            event_key=key,
            produced=produced,
            labels=Labels(status="active"),
            **others,
        )

    return st.builds(
        commit,
        id=st.sampled_from(IDS),
        token=st.sampled_from(TOKENS),
        expected=st.sampled_from((-1, -1, -1, 0, 1, 2)),
        data=st.sampled_from([b'{"n":1}', b'{"n":2}']),
        key=st.sampled_from((None, *KEYS)),
        events=st.sampled_from([b"[]", b'[{"n":1}]']),
        release=st.booleans(),
    )


def operations() -> st.SearchStrategy[Op]:
    ids, tokens, lengths = st.sampled_from(IDS), st.sampled_from(TOKENS), st.sampled_from((5.0, 50.0))
    return st.one_of(
        st.builds(Acquire, ids, tokens, lengths, st.sampled_from((None, *KEYS)), st.just("host:1")),
        commits(),
        commits(),
        commits(),
        st.builds(Renew, ids, tokens, lengths),
        st.builds(Release, ids, tokens),
        st.builds(Read, ids),
        st.builds(Delete, ids, st.booleans()),
        st.builds(ForceRelease, ids, st.just("stuck")),
    )


Move = tuple[float, int, Op]
"""Seconds that pass before, the process that asks, and what it asks."""


def moves() -> st.SearchStrategy[list[Move]]:
    passing = st.sampled_from((0.0, 0.0, 1.0, 10.0, -20.0))
    blind = st.tuples(passing, st.integers(0, 1), operations()).map(lambda move: [move])
    return st.one_of(blind, blind, steps(), steps())


@st.composite
def steps(draw: st.DrawFn) -> list[Move]:
    """An instance takes a whole step: blind operations seldom get far."""
    process, id, key = draw(st.integers(0, 1)), draw(st.sampled_from(IDS)), draw(st.sampled_from(KEYS))
    data, events = b'{"n":9}', b'[{"n":9}]'
    commit = Commit(id, CURRENT, -1, data, digest_of(data, key, events), Labels(), key, events)
    token = draw(st.uuids()).hex
    return [(60.0, process, Acquire(id, token, 5.0, key)), (0.0, process, commit)]


def comparable(answer: Outcome | MemoryFault) -> Any:
    """Without what NATS keeps as a hash: token and digest of a consumed step, and its time beyond the second."""
    if isinstance(answer, Consumed):
        return replace(answer, entry=replace(answer.entry, token="", digest=b"", at=int(answer.entry.at)))
    return answer


async def now_asked(op: Op, id: str, reference: SimpleBackend) -> Op:
    """*op* on *id*, with the token and version of now where it says so: blind ones would rarely fit."""
    known = await reference.get(id)
    values: dict[str, Any] = {"id": id}
    if getattr(op, "token", "") == CURRENT:
        values["token"] = known.row.token if known is not None else "c" * 32
    if isinstance(op, Commit) and op.expected < 0:
        values["expected"] = known.row.version if known is not None else 0
    return replace(op, **values)


@st.composite
def sequences(draw: st.DrawFn) -> list[list[Move]]:
    """Some steps to have a past, then anything."""
    return draw(st.lists(steps(), max_size=10)) + draw(st.lists(moves(), max_size=25))


@pytest.mark.parametrize("pages", [256, 2])
@given(sequence=sequences())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_loop_answers_as_decide_does(
    url: str, pages: int, monkeypatch: pytest.MonkeyPatch, sequence: list[list[Move]]
) -> None:
    for module in (entry, steps_at_rest, backend):
        monkeypatch.setattr(module, "PAGE", pages)
    for module in (entry, steps_at_rest):
        monkeypatch.setattr(module, "JOURNAL", 2 if pages == 2 else 128)
    asyncio.run(_both(url, [move for some in sequence for move in some]))


async def _both(url: str, sequence: list[Move]) -> None:
    example, clock = f"{next(_examples)} ", Clock()
    reference = SimpleBackend(OPTIONS, clock)
    address = Address(servers=(url.partition("://")[2],))
    first = NatsBackend(address, None, BUCKET, OPTIONS, clock=clock)
    second = NatsBackend(address, None, BUCKET, OPTIONS, clock=clock)
    try:
        for passed, process, op in sequence:
            clock.now += passed
            asked = await now_asked(op, example + op.id, reference)
            (expected,) = await reference.execute([asked])
            (actual,) = await (first, second)[process].execute([asked])
            assert comparable(actual) == comparable(expected), asked
        for id in IDS:
            await _agree(first, reference, example + id)
    finally:
        await first.close()
        await second.close()


async def _agree(mine: NatsBackend, reference: SimpleBackend, id: str) -> None:
    found, wanted = await mine.get(id), await reference.get(id)
    assert (found is None) == (wanted is None)
    if found is not None and wanted is not None:
        assert found.row == wanted.row
        assert found.labels == wanted.labels
        assert (found.created_at, found.updated_at) == (wanted.created_at, wanted.updated_at)
    steps = [
        (each.version, each.event_key, each.produced) for each in await mine.journal(id, after=0, limit=99)
    ]
    assert steps == [
        (each.version, each.event_key, each.produced)
        for each in await reference.journal(id, after=0, limit=99)
    ]
    assert await mine.history(id) == await reference.history(id)
