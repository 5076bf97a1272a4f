"""What a statement does that had to wait for another's: it judges the newest row, and never by an old journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from time import monotonic
from typing import Any, TypeVar

import pytest
from tests.servers.postgres import new_schema, postgres_url

from pyarvo.errors import MemoryUnavailable, RecordCorrupt
from pyarvo.events.labels import Labels
from pyarvo.memory import Step
from pyarvo.memory.decide import (
    Acquire,
    Acquired,
    Commit,
    Committed,
    Consumed,
    Delete,
    Deleted,
    Denied,
    Lost,
    Op,
    Outcome,
    Release,
    Released,
)
from pyarvo.memory.options import MemoryOptions
from pyarvo.memory.postgres import PostgresMachineMemory
from pyarvo.memory.postgres.backend import PostgresBackend
from pyarvo.memory.postgres.connections import Connection, OwnConnections, connect
from pyarvo.memory.postgres.migrations import migrate
from pyarvo.memory.postgres.rows import key_of
from pyarvo.memory.postgres.telling import Texts

T = TypeVar("T")
WITHIN_S = 10.0


class Race:
    """A backend, and a transaction beside it that ends when the test says so."""

    def __init__(self, schema: str, backend: PostgresBackend, other: Connection, watch: Connection) -> None:
        self.schema = schema
        self.backend = backend
        self.other = other
        self.watch = watch
        self._texts = Texts(schema, MemoryOptions())

    async def one(self, op: Op) -> Outcome:
        (outcome,) = await self.backend.execute([op])
        assert not isinstance(outcome, Exception)
        return outcome

    async def against(self, held: Op, racing: Callable[[], Awaitable[T]]) -> T:
        """*racing* begins while *held* is applied and not yet committed; *held* commits once *racing* waits."""
        await self.other.execute("BEGIN")
        text, arguments = self._texts.statement([held], 1_000)
        (row,) = await self.other.fetch(text, *arguments)
        assert row["won"]
        task = asyncio.ensure_future(racing())
        await self.until_waiting()
        assert not task.done()
        await self.other.execute("COMMIT")
        return await task

    async def until_waiting(self) -> None:
        deadline = monotonic() + WITHIN_S
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1"
        while not await self.watch.fetchval(query, f'%"{self.schema}"%'):
            assert monotonic() < deadline, "nobody waits for the other transaction"

    async def steps(self) -> int:
        return int(await self.watch.fetchval(f'SELECT count(*) FROM "{self.schema}".step'))


@pytest.fixture
async def race() -> AsyncIterator[Race]:
    schema = new_schema()

    async def prepare(connection: Connection) -> None:
        await migrate(connection, schema)

    lender = OwnConnections(postgres_url(), size=4, named=True, within_s=5.0, prepare=prepare)
    backend = PostgresBackend(MemoryOptions(), schema, lender)
    other, watch = await connect(postgres_url()), await connect(postgres_url())
    yield Race(schema, backend, other, watch)
    await backend.close()
    await other.close(timeout=2.0)
    await watch.close(timeout=2.0)


def commit(token: str, expected: int, event: str | None = None, id: str = "a", **more: Any) -> Commit:
    data = b'{"n":%d}' % expected
    return Commit(id, token, expected, data, data, Labels(), event, None if event is None else b"[]", **more)


async def test_an_expired_holders_late_commit_beats_the_taker_and_its_event_is_not_run_again(
    race: Race,
) -> None:
    await race.one(Acquire("a", "t1", 0.0))
    waited = await race.against(commit("t1", 0, "k"), lambda: race.one(Acquire("a", "t2", 30.0, "k")))
    assert isinstance(waited, Consumed)
    assert (waited.version, waited.data, waited.entry.event_key) == (1, b'{"n":0}', "k")


async def test_a_taker_that_waited_for_a_late_commit_gets_its_record(race: Race) -> None:
    await race.one(Acquire("a", "t1", 0.0))
    waited = await race.against(commit("t1", 0, "k"), lambda: race.one(Acquire("a", "t2", 30.0, "other")))
    assert waited == Acquired(2, 1, b'{"n":0}', None)


async def test_a_lease_granted_while_waiting_is_no_clock_set_back(race: Race) -> None:
    await race.one(Acquire("a", "t1", 0.0))
    waited = await race.against(Acquire("a", "t2", 30.0), lambda: race.one(Acquire("a", "t3", 30.0)))
    assert waited == Denied()


async def test_of_two_that_create_the_second_is_denied(race: Race) -> None:
    await race.one(Acquire("elsewhere", "t0", 30.0))  # makes the tables
    waited = await race.against(Acquire("a", "t1", 30.0), lambda: race.one(Acquire("a", "t2", 30.0)))
    assert waited == Denied()


async def test_a_batch_that_waited_answers_each_by_its_own(race: Race) -> None:
    await race.one(Acquire("a", "t1", 0.0))

    async def batch() -> Sequence[object]:
        ops = [Acquire("a", "t2", 30.0, "k"), Acquire("b", "t2", 30.0), Acquire("a", "t3", 30.0)]
        return await race.backend.execute(ops)

    first, second, third = await race.against(commit("t1", 0, "k"), batch)
    assert isinstance(first, Consumed)
    assert second == Acquired(1, 0, None, None)
    assert third == Acquired(2, 1, b'{"n":0}', None)


async def test_a_commit_that_waited_for_its_successor_is_lost(race: Race) -> None:
    await race.one(Acquire("a", "t1", 0.0))
    waited = await race.against(Acquire("a", "t2", 30.0), lambda: race.one(commit("t1", 0, "k")))
    assert waited == Lost()
    assert await race.steps() == 0


async def test_a_repeat_that_waited_for_its_first_sending_recognises_itself(race: Race) -> None:
    await race.one(Acquire("a", "t1", 30.0))
    waited = await race.against(commit("t1", 0, "k"), lambda: race.one(commit("t1", 0, "k")))
    assert waited == Committed(1)
    assert await race.steps() == 1


async def test_the_unique_key_of_the_journal_decides(race: Race) -> None:
    """A step that the row does not tell of, committed while the commit waits for it."""
    await race.one(Acquire("a", "t1", 30.0))
    op = commit("t1", 0, "k")
    event = Texts(race.schema, MemoryOptions()).statement([op], 1)[1][6]
    await race.other.execute("BEGIN")
    await race.other.fetch(
        f'INSERT INTO "{race.schema}".step SELECT serial, 7, $1, $2, $3, $4, clock_timestamp() '
        f'FROM "{race.schema}".instance',
        event,
        b"k",
        "t0",
        b"",
    )
    task = asyncio.ensure_future(race.one(op))
    await race.until_waiting()
    await race.other.execute("COMMIT")
    waited = await task
    assert isinstance(waited, Consumed)
    assert (waited.entry.token, waited.entry.version, waited.version) == ("t0", 7, 0)
    assert await race.steps() == 1


async def test_a_journal_ahead_of_its_row_is_corrupt(race: Race) -> None:
    await race.one(Acquire("a", "t1", 30.0))
    insert = f'INSERT INTO "{race.schema}".step SELECT serial, 1, NULL, NULL, $1, $2, clock_timestamp() '
    await race.other.fetch(f'{insert} FROM "{race.schema}".instance', "t0", b"")
    (fault,) = await race.backend.execute([commit("t1", 0, "k")])
    assert isinstance(fault, RecordCorrupt)
    assert await race.steps() == 1


async def test_a_delete_that_waited_for_a_commit_leaves_no_step(race: Race) -> None:
    await race.one(Acquire("a", "t1", 30.0))
    waited = await race.against(commit("t1", 0, "k"), lambda: race.one(Delete("a", force=True)))
    assert waited == Deleted(existed=True)
    assert await race.steps() == 0
    await race.one(Acquire("a", "t2", 30.0, "k"))
    assert await race.one(commit("t2", 0, "k")) == Committed(1)


async def test_a_release_that_waited_for_a_taker_leaves_it_whole(race: Race) -> None:
    await race.one(Acquire("a", "t1", 0.0))
    waited = await race.against(Acquire("a", "t2", 30.0), lambda: race.one(Release("a", "t1")))
    assert waited == Released(ours=False)
    assert await race.one(commit("t2", 0)) == Committed(1)


# --- C12 --------------------------------------------------------------------------------------------------------


async def test_a_locked_row_holds_nobody_else_up(race: Race) -> None:
    async with PostgresMachineMemory(postgres_url(), schema=race.schema, pool_size=2) as memory:
        leases = [await memory.acquire(f"i{n}") for n in range(30)]
        await race.other.execute("BEGIN")
        lock = f'SELECT FROM "{race.schema}".instance WHERE key = $1 FOR UPDATE'
        await race.other.fetch(lock, key_of("i7")[0])
        started = monotonic()
        done = await asyncio.gather(
            *(memory.commit(lease, {"n": 1}, step=Step("k")) for lease in leases if lease),
            return_exceptions=True,
        )
        assert monotonic() - started < 4.0  # one wait of 0.25 s for the row, not one for each of the 30
        refused = [n for n, outcome in enumerate(done) if outcome != 1]
        assert refused == [7]
        fault = done[7]
        assert isinstance(fault, MemoryUnavailable)
        assert fault.transient
        assert "locked" in str(fault)
        await race.other.execute("ROLLBACK")
        assert leases[7] is not None
        assert await memory.commit(leases[7], {"n": 1}, step=Step("k")) == 1


async def test_one_that_others_work_on_is_read_and_denied_at_once(race: Race) -> None:
    """Neither a read nor a refusal waits for a row's lock."""
    await race.one(Acquire("a", "t1", 30.0))
    await race.other.execute("BEGIN")
    await race.other.fetch(f'SELECT FROM "{race.schema}".instance FOR UPDATE')
    assert await race.one(Acquire("a", "t2", 30.0)) == Denied()
    assert await race.one(commit("t2", 0)) == Lost()
    await race.other.execute("ROLLBACK")


async def test_a_hundred_contenders_leave_a_pool_of_two_to_others() -> None:
    schema = new_schema()
    url = postgres_url()
    async with (
        PostgresMachineMemory(url, schema=schema) as holder,
        PostgresMachineMemory(url, schema=schema, pool_size=2) as memory,
    ):
        assert await holder.acquire("a") is not None
        contending = [asyncio.create_task(memory.acquire("a")) for _ in range(100)]
        for n in range(10):
            lease = await memory.acquire(f"free{n}")
            assert lease is not None
            assert await memory.commit(lease, {"n": n}) == 1
        assert await asyncio.gather(*contending) == [None] * 100
        watch = await connect(url)
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
        assert await watch.fetchval(waiting) == 0
        await watch.close(timeout=2.0)
