"""Connections: few, of each loop its own, none left behind; a pool that was given; behind a pooler."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from threading import Thread
from time import monotonic
from typing import Any, cast

import asyncpg
import pytest
from tests.servers.postgres import new_schema, postgres_url

from pyarvo.errors import MemoryClosed, MemoryUnavailable
from pyarvo.memory import Step, open_memory
from pyarvo.memory.decide import Acquire, Acquired, Commit, Read, Release
from pyarvo.memory.leased import LeasedMemory
from pyarvo.memory.options import MemoryOptions
from pyarvo.memory.postgres import PostgresMachineMemory
from pyarvo.memory.postgres.backend import PostgresBackend
from pyarvo.memory.postgres.connections import Connection, connect

WITHIN_S = 10.0
make_pool = cast("Callable[..., Any]", asyncpg.create_pool)
OURS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pyarvo' AND query LIKE $1"


@pytest.fixture
async def watch() -> AsyncIterator[Connection]:
    connection = await connect(postgres_url())
    yield connection
    await connection.close(timeout=2.0)


async def connections(watch: Connection, schema: str) -> int:
    return int(await watch.fetchval(OURS, f'%"{schema}"%'))


async def until_none(watch: Connection, schema: str) -> None:
    deadline = monotonic() + WITHIN_S
    while await connections(watch, schema):
        assert monotonic() < deadline, "connections are left"


async def step(memory: LeasedMemory, id: str, n: int) -> None:
    lease = await memory.acquire(id, event_key=f"k{n}")
    assert lease is not None
    await memory.commit(lease, {"n": n}, step=Step(f"k{n}"))


async def test_no_more_connections_than_the_pool_has_and_none_after_close(watch: Connection) -> None:
    schema = new_schema()
    async with PostgresMachineMemory(postgres_url(), schema=schema, pool_size=3, batching=False) as memory:
        await asyncio.gather(*(step(memory, f"i{n}", 0) for n in range(60)))
        assert 0 < await connections(watch, schema) <= 3
        assert await memory.count() == 60
    await until_none(watch, schema)
    with pytest.raises(MemoryClosed):
        await memory.read("i1")


async def test_a_batch_of_all_kinds_needs_one_connection() -> None:
    """With a pool of one nothing waits for itself."""
    schema = new_schema()
    async with PostgresMachineMemory(postgres_url(), schema=schema, pool_size=1) as memory:
        leases = [await memory.acquire(f"i{n}") for n in range(4)]
        first, second, third, fourth = (lease for lease in leases if lease is not None)
        answers = await asyncio.gather(
            memory.commit(first, {"n": 1}),
            memory.renew(second, ttl_s=60.0),
            memory.release(third),
            memory.force_release(fourth.id, reason="why"),
            memory.acquire("new"),
            memory.read("i0"),
            memory.delete("absent"),
        )
        assert answers[0] == 1
        assert answers[2:4] == [True, True]
        assert answers[4] is not None
        assert answers[6] is False


async def test_a_memory_serves_several_loops_and_leaves_nothing_in_any(watch: Connection) -> None:
    """A loop that ends takes its connections along, also when the memory lives on."""
    schema = new_schema()
    memory = PostgresMachineMemory(postgres_url(), schema=schema)
    await step(memory, "a", 0)
    mine = await connections(watch, schema)
    failed: list[BaseException] = []

    async def work(n: int) -> None:
        for k in range(5):
            await step(memory, f"t{n}", k)

    def run(n: int) -> None:
        try:
            asyncio.run(work(n))
        except BaseException as error:  # noqa: BLE001 - handed to the test
            failed.append(error)

    threads = [Thread(target=run, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert failed == []
    deadline = monotonic() + WITHIN_S
    while await connections(watch, schema) > mine:
        assert monotonic() < deadline, "a loop that ended left its connections"
    assert await memory.count() == 4
    await memory.close()
    await until_none(watch, schema)
    gc.collect()


async def test_closing_from_one_loop_closes_the_connections_of_another(watch: Connection) -> None:
    schema = new_schema()
    memory = PostgresMachineMemory(postgres_url(), schema=schema)
    used, closed = asyncio.Event(), asyncio.Event()
    here = asyncio.get_running_loop()

    async def elsewhere() -> None:
        await step(memory, "there", 0)
        here.call_soon_threadsafe(used.set)
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(closed.wait(), here))

    other = asyncio.create_task(asyncio.to_thread(asyncio.run, elsewhere()))
    await used.wait()
    await step(memory, "here", 0)
    await memory.close()
    await until_none(watch, schema)
    closed.set()
    await other


async def test_an_abandoned_batch_leaves_no_connection_in_use() -> None:
    """A memory that is closed while the store hangs gives its calls up, and its connections."""
    schema = new_schema()
    holder = await connect(postgres_url())
    memory = PostgresMachineMemory(postgres_url(), schema=schema, deadline_s=0.2)
    await step(memory, "a", 0)
    await holder.execute(f"BEGIN; LOCK {schema}.instance IN ACCESS EXCLUSIVE MODE")
    with pytest.raises(MemoryUnavailable):
        await memory.read("a")
    await memory.close()
    await holder.execute("ROLLBACK")
    await holder.close(timeout=2.0)


# --- a pool that was given --------------------------------------------------------------------------------------


async def test_a_pool_that_was_given_is_used_and_not_closed() -> None:
    schema = new_schema()
    async with make_pool(postgres_url(), min_size=0, max_size=2) as pool:
        async with PostgresMachineMemory(client=pool, schema=schema) as memory:
            await asyncio.gather(*(step(memory, f"i{n}", 0) for n in range(10)))
            assert await memory.count() == 10

            async def elsewhere() -> None:
                await memory.read("i1")

            with pytest.raises(MemoryUnavailable) as caught:
                await asyncio.to_thread(asyncio.run, elsewhere())
            assert "another event loop" in str(caught.value)
        assert await pool.fetchval("SELECT 1") == 1


# --- behind a pooler --------------------------------------------------------------------------------------------


async def test_behind_a_pooler_every_call_is_one_transaction_without_named_statements(
    watch: Connection,
) -> None:
    schema = new_schema()
    url = postgres_url()
    async with open_memory(f"{url}?pooler=transaction&schema={schema}&pool_size=1") as memory:
        await asyncio.gather(*(step(memory, f"i{n}", 0) for n in range(10)))
        await asyncio.gather(*(step(memory, f"i{n}", 1) for n in range(10)))
        assert await memory.count() == 10
        lease = await memory.acquire("i0", event_key="k1")
        assert lease is not None
        assert lease.replay is not None
        query = "SELECT query, state FROM pg_stat_activity WHERE application_name = 'pyarvo' AND query LIKE 'COMMIT%'"
        assert [row["state"] for row in await watch.fetch(query)] == ["idle"]


async def test_no_session_state_is_left() -> None:
    """What a statement sets ends with it: the next client of a pooled connection does not see it."""
    schema = new_schema()
    pool = make_pool(postgres_url(), min_size=1, max_size=1, reset=_nothing)
    async with pool, PostgresMachineMemory(client=pool, schema=schema) as memory:
        before = await pool.fetch("SELECT name, setting FROM pg_settings ORDER BY name")
        await asyncio.gather(*(step(memory, f"i{n}", 0) for n in range(3)))
        await step(memory, "i0", 1)
        assert await pool.fetch("SELECT name, setting FROM pg_settings ORDER BY name") == before
        assert (
            await pool.fetchval(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
            )
            == 0
        )


async def _nothing(connection: object) -> None:
    del connection


async def test_a_commit_is_synchronous_also_where_the_role_says_otherwise(watch: Connection) -> None:
    """When a commit was answered, what it wrote is flushed; the server's own writing seldom comes in between."""
    url = f"{postgres_url()}?synchronous_commit=off"
    behind = "SELECT (pg_current_wal_insert_lsn() - pg_current_wal_flush_lsn())::bigint"
    async with PostgresMachineMemory(url, schema=new_schema()) as memory:
        left: list[int] = []
        for n in range(20):
            await step(memory, "a", n)
            left.append(int(await watch.fetchval(behind)))
    assert left.count(0) >= 15, left


# --- batches ----------------------------------------------------------------------------------------------------


async def test_operations_of_one_instance_in_a_batch_keep_their_order() -> None:
    schema = new_schema()
    memory = PostgresMachineMemory(postgres_url(), schema=schema)
    backend = memory._backend  # pyright: ignore[reportPrivateUsage] - below the public level
    assert isinstance(backend, PostgresBackend)
    labels = MemoryOptions().labels_of("a", {})
    ops = [
        Acquire("a", "t1", 30.0),
        Commit("a", "t1", 0, b'{"n":1}', b"1", labels, release=False),
        Read("a"),
        Acquire("b", "t1", 30.0),
        Commit("a", "t1", 1, b'{"n":2}', b"2", labels),
        Release("a", "t1"),
        Acquire("a", "t2", 30.0),
    ]
    answers = await backend.execute(ops)
    assert answers[0] == Acquired(1, 0, None, None)
    assert [type(answer).__name__ for answer in answers] == [
        *("Acquired", "Committed", "Found", "Acquired", "Committed", "Released", "Acquired"),
    ]
    assert answers[6] == Acquired(2, 2, b'{"n":2}', None)
    await memory.close()


async def test_a_batch_of_large_records_goes_in_several_statements() -> None:
    schema = new_schema()
    async with PostgresMachineMemory(postgres_url(), schema=schema) as memory:
        leases = await asyncio.gather(*(memory.acquire(f"i{n}") for n in range(12)))
        text = "x" * 700_000
        written = await asyncio.gather(*(memory.commit(lease, {"text": text}) for lease in leases if lease))
        assert written == [1] * 12
        read = await asyncio.gather(*(memory.read(f"i{n}") for n in range(12)))
        assert all(data == {"text": text} for data in read)


# --- imports ----------------------------------------------------------------------------------------------------


def test_importing_pyarvo_loads_no_driver() -> None:
    program = "import sys, pyarvo, pyarvo.memory; assert 'asyncpg' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_missing_driver_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['asyncpg'] = None\n"
        "from pyarvo.memory import open_memory\n"
        "try: open_memory('postgresql://h/d')\n"
        "except ImportError as error: assert 'pyarvo[postgres]' in str(error), error\n"
        "else: raise AssertionError\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# --- other settings of the role -----------------------------------------------------------------------------------


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_a_stricter_isolation_of_the_role_loses_no_update(isolation: str) -> None:
    """What was changed by another is then an error of the server; the statement is sent again."""
    url = f"{postgres_url()}?default_transaction_isolation={isolation.replace(' ', '%20')}"
    schema = new_schema()
    memories = [PostgresMachineMemory(url, schema=schema) for _ in range(4)]

    async def add(memory: LeasedMemory) -> None:
        added = 0
        while added < 3:
            lease = await memory.acquire("a")
            if lease is not None:
                await memory.commit(lease, {"n": (lease.data or {"n": 0})["n"] + 1})
                added += 1

    await asyncio.gather(*(add(memory) for memory in memories))
    assert await memories[0].read("a") == {"n": 12}
    for memory in memories:
        await memory.close()
