"""SQL tells the same story as `decide`: random operations on both, answer by answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import count
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.servers.postgres import FileClock, new_schema, shared_server

from pyarvo.errors import MemoryFault
from pyarvo.events.labels import Labels
from pyarvo.memory.decide import (
    Acquire,
    Commit,
    Delete,
    ForceRelease,
    Op,
    Outcome,
    Read,
    Release,
    Renew,
)
from pyarvo.memory.options import MemoryOptions
from pyarvo.memory.postgres.backend import PostgresBackend
from pyarvo.memory.postgres.connections import Connection, OwnConnections, connect
from pyarvo.memory.postgres.migrations import migrate
from pyarvo.memory.simple import SimpleBackend

JOURNAL, HISTORY = 3, 2
IDS = ("a", "b\0")
TOKENS = ("t1", "t2", "t3")
EVENTS = (None, '["s","1"]', '["s","2"]', "no json \0")
Time = float
"""An entry of a sequence: the clock goes on, or back, by so many seconds."""

_names = count(1)


class Both:
    """The store in SQL and the one in process, under one clock."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.clock = FileClock(shared_server())
        self.options = MemoryOptions(journal=JOURNAL, history=HISTORY)
        schema = new_schema()

        async def prepare(connection: Connection) -> None:
            await migrate(connection, schema)

        lender = OwnConnections(self.clock.url, size=2, named=True, within_s=5.0, prepare=prepare)
        self.sql = PostgresBackend(self.options, schema, lender)
        self.runner.run(self._make_clock())

    async def _make_clock(self) -> None:
        connection = await connect(shared_server().url)
        await connection.execute(self.clock.sql)
        await connection.close(timeout=2.0)

    def close(self) -> None:
        self.runner.run(self.sql.close())
        self.runner.close()

    def compare(self, batches: Sequence[Sequence[Op] | Time]) -> None:
        """Every batch on both; ids are made fresh, so that examples do not meet."""
        self.clock.now = 1_700_000_000.0
        self.runner.run(self._compare(batches, f"{next(_names)} "))

    async def _compare(self, batches: Sequence[Sequence[Op] | Time], prefix: str) -> None:
        simple = SimpleBackend(self.options, self.clock)
        for batch in batches:
            if isinstance(batch, float | int):
                self.clock.advance(batch)
                continue
            ops = [replace(op, id=prefix + op.id) for op in batch]
            told = list(await self.sql.execute(ops))
            assert told == list(await simple.execute(ops)), ops
        for id in (prefix + id for id in IDS):
            assert await _all_of(self.sql, id) == await _all_of(simple, id)


async def _all_of(backend: PostgresBackend | SimpleBackend, id: str) -> tuple[Any, ...]:
    """What the store keeps of an instance, but for the order of creation."""
    stored = await backend.get(id)
    entries = await backend.journal(id, after=0, limit=100)
    kept = await backend.history(id)
    if stored is None:
        return None, list(entries), list(kept)
    row = stored.row
    lease = (row.version, row.fence, row.token, row.holder, row.until, row.deleted_at, row.note, row.data)
    times = (row.granted_at, stored.created_at, stored.updated_at, stored.now)
    return stored.id, lease, times, stored.labels, list(entries), list(kept)


def _commit(id: str, token: str, expected: int, body: int, event: str | None, *, release: bool) -> Commit:
    data = b'{"n":%d}' % body
    digest = blake2b(data + (event or "").encode(), digest_size=16).digest()
    labels = Labels(orchestrator="o", version="1.0.0", status=f"s{body}", parent=None if body else "p")
    produced = None if event is None else b"[%d]" % body
    return Commit(id, token, expected, data, digest, labels, event, produced, release)


ids, tokens, events = st.sampled_from(IDS), st.sampled_from(TOKENS), st.sampled_from(EVENTS)
ttls = st.sampled_from((1.0, 4.0))
commits = st.builds(_commit, ids, tokens, st.integers(0, 6), st.integers(0, 2), events, release=st.booleans())
ops = st.one_of(
    st.builds(Acquire, ids, tokens, ttls, events, st.just("me")),
    commits,
    commits,
    st.builds(Renew, ids, tokens, ttls),
    st.builds(Release, ids, tokens),
    st.builds(Delete, ids, st.booleans()),
    st.builds(ForceRelease, ids, st.just("why")),
    st.builds(Read, ids),
)
times = st.sampled_from((0.25, 1.0, 4.0, -8.0))
sequences = st.lists(st.one_of(st.lists(ops, min_size=1, max_size=6), times), max_size=25)


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    stores = Both()
    yield stores
    stores.close()


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sequences)
def test_random_operations_are_answered_as_decide_answers_them(
    both: Both, batches: Sequence[Sequence[Op] | Time]
) -> None:
    both.compare(batches)


def _life(id: str) -> list[Sequence[Op] | Time]:
    """A long life: random sequences seldom get far."""
    batches: list[Sequence[Op] | Time] = []
    for n in range(8):
        event = f'["s","{n}"]'
        token = f"t{n}"
        mine = _commit(id, token, n, n % 3, event, release=False)
        again = _commit(id, token, n, n % 3, event, release=True)
        batches += [
            [Acquire(id, token, 4.0, event, "me"), Acquire(id, "other", 4.0, event, "you")],
            [mine],
            [mine, again, Renew(id, token, 4.0), Acquire(id, "later", 1.0, '["s","0"]')],
            [_commit(id, token, n + 1, 0, event, release=True)],
            0.25,
        ]
    return batches


def test_a_long_life_is_told_the_same(both: Both) -> None:
    first, second = _life(IDS[0]), _life(IDS[1])
    both.compare([*first, *second, [Delete(IDS[0])], *first[:8], [Delete(IDS[0], True), Delete(IDS[1])]])


class Reversed:
    """Answers that are not those of the operations."""

    def __init__(self, backend: PostgresBackend) -> None:
        self._backend = backend

    async def execute(self, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        return list(await self._backend.execute(ops))[::-1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


def test_the_comparison_sees_a_difference(both: Both) -> None:
    right, both.sql = both.sql, cast("PostgresBackend", Reversed(both.sql))
    try:
        with pytest.raises(AssertionError):
            both.compare([[Acquire("a", "t1", 1.0), Read("a")]])
    finally:
        both.sql = right
