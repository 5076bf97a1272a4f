"""The Lua scripts against `decide` on random sequences of operations."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.servers.redis import backend_of, redis_url

from pyarvo.events.labels import Labels
from pyarvo.memory import MemoryOptions
from pyarvo.memory.codec import digest_of
from pyarvo.memory.decide import (
    Acquire,
    Acquired,
    Commit,
    Consumed,
    Delete,
    ForceRelease,
    Op,
    Outcome,
    Read,
    Release,
    Renew,
    Renewed,
)
from pyarvo.memory.redis import RedisMachineMemory
from pyarvo.memory.simple import SimpleBackend


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_url(tmp_path_factory.mktemp("redis")) as url:
        yield url


IDS = ("order/{1}", "order/2")
TOKENS = ("a" * 32, "b" * 32, "c" * 32)
KEYS = (None, '["src","1"]', '["src","2"]')
LONG, SHORT = 1_800.0, 1e-6


def commits() -> st.SearchStrategy[Op]:
    """Commits whose digest says what they hold; above 16 KiB a record goes another way to the server."""

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
        expected=st.integers(0, 4),
        data=st.sampled_from([b'{"n":1}', b'{"n":2}', b'{"pad":"%b"}' % (b"x" * 20_000)]),
        key=st.sampled_from(KEYS),
        events=st.sampled_from([b"[]", b'[{"n":1}]']),
        release=st.booleans(),
    )


def operations() -> st.SearchStrategy[Op]:
    ids, tokens = st.sampled_from(IDS), st.sampled_from(TOKENS)
    # A lease so short is over at the next operation, a long one never: no comparison depends on the clock.
    lengths = st.sampled_from((LONG, SHORT))
    return st.one_of(
        st.builds(Acquire, ids, tokens, lengths, st.sampled_from(KEYS), st.just("host:1")),
        st.builds(Acquire, ids, tokens, lengths, st.none(), st.just("host:1")),
        commits(),
        commits(),
        st.builds(Renew, ids, tokens, st.just(LONG)),
        st.builds(Release, ids, tokens),
        st.builds(Read, ids),
        st.builds(Delete, ids, st.booleans()),
        st.builds(ForceRelease, ids, st.just("stuck")),
    )


def timeless(outcome: Outcome | Any) -> Any:
    """The outcome without what the clock says."""
    match outcome:
        case Renewed():
            return Renewed
        case Acquired(fence, version, data, deleted_at):
            return Acquired, fence, version, data, deleted_at is not None
        case Consumed(entry, fence, version, data):
            body = (entry.version, entry.event_key, entry.token, entry.digest, entry.produced)
            return Consumed, body, fence, version, data
        case _:
            return outcome


@given(batches=st.lists(st.lists(operations(), min_size=1, max_size=6), max_size=12))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_scripts_answer_as_decide_does(url: str, batches: list[list[Op]]) -> None:
    async def both() -> None:
        ticks = iter(range(10_000_000))
        reference = SimpleBackend(MemoryOptions(), lambda: 1e9 + next(ticks))
        async with RedisMachineMemory(url, prefix=f"test-{uuid4().hex}") as memory:
            for batch in batches:
                # One at a time, since the reference's clock stands still during a batch.
                expected = [(await reference.execute([op]))[0] for op in batch]
                actual = await backend_of(memory).execute(batch)
                assert [timeless(outcome) for outcome in actual] == [timeless(one) for one in expected]
            for id in IDS:
                mine, theirs = await backend_of(memory).get(id), await reference.get(id)
                assert (mine is None) == (theirs is None)
                if mine is None or theirs is None:
                    continue
                for name in ("version", "fence", "token", "holder", "note", "data"):
                    assert getattr(mine.row, name) == getattr(theirs.row, name), name
                assert (mine.row.until == 0.0) == (theirs.row.until == 0.0)
                assert (mine.row.deleted_at is None) == (theirs.row.deleted_at is None)
                assert mine.labels == theirs.labels
                steps = await backend_of(memory).journal(id, after=0, limit=100)
                assert [(one.version, one.event_key, one.digest, one.produced) for one in steps] == [
                    (one.version, one.event_key, one.digest, one.produced)
                    for one in await reference.journal(id, after=0, limit=100)
                ]

    asyncio.run(both())
