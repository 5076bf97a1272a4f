"""
A step on PostgreSQL, synchronous_commit=on, against what people write (asyncpg.Pool, four statements), the plain way
(two statements on a connection of one's own) and what they pick: a checkpointer, a workflow engine.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from typing import Any, cast

import asyncpg
from tests.servers.postgres import PostgresServer

from benchmarks.crowd import One, Record, at_step, crowd, record_of
from benchmarks.turns import Row, compare
from pyarvo.memory import Step
from pyarvo.memory.postgres import PostgresMachineMemory

POOL = 4
_crowds = itertools.count()

TABLES = """
CREATE TABLE lease (id TEXT PRIMARY KEY, until TIMESTAMPTZ NOT NULL);
CREATE TABLE state (id TEXT PRIMARY KEY, data TEXT NOT NULL);
CREATE TABLE plain (id TEXT PRIMARY KEY, until TIMESTAMPTZ NOT NULL, data TEXT)
"""


def ours(memory: PostgresMachineMemory, record: Record) -> One:
    """Lease, replay check, fence, version, record and journal: two calls."""
    crowds = next(_crowds)

    async def one(task: int, step: int) -> None:
        key = json.dumps(["bench", f"{task}-{step}"])
        lease = await memory.acquire(f"instance-{crowds}-{task}", event_key=key)
        assert lease is not None
        await memory.commit(lease, at_step(record, step), step=Step(key, ({"type": "done"},)))

    return one


def four_statements(pool: Any, record: Record) -> One:
    """Lock, read, write, unlock through the driver's pool as it comes; no fence, version or journal."""

    async def one(task: int, step: int) -> None:
        id = f"instance-{task}"
        taken = await pool.fetchval(
            "INSERT INTO lease (id, until) VALUES ($1, now() + interval '30 s') ON CONFLICT (id) DO UPDATE "
            "SET until = excluded.until WHERE lease.until < now() RETURNING id",
            id,
        )
        assert taken == id
        data = await pool.fetchval("SELECT data FROM state WHERE id = $1", id)
        if data is not None:
            json.loads(data)
        await pool.execute(
            "INSERT INTO state (id, data) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET data = excluded.data",
            id,
            json.dumps(at_step(record, step)),
        )
        await pool.execute("DELETE FROM lease WHERE id = $1", id)

    return one


def two_statements(connection: Any, record: Record) -> One:
    """Two statements on one connection: take the lock and read; write and unlock."""

    async def one(task: int, step: int) -> None:
        row = await connection.fetchrow(
            "INSERT INTO plain (id, until) VALUES ($1, now() + interval '30 s') ON CONFLICT (id) DO UPDATE "
            "SET until = excluded.until WHERE plain.until < now() RETURNING data",
            f"instance-{task}",
        )
        if row["data"] is not None:
            json.loads(row["data"])
        await connection.execute(
            "UPDATE plain SET data = $2, until = '-infinity' WHERE id = $1",
            f"instance-{task}",
            json.dumps(at_step(record, step)),
        )

    return one


@asynccontextmanager
async def checkpointer(url: str, record: Record) -> AsyncIterator[One]:
    """langgraph-checkpoint-postgres on a pool of the same size: get and put."""
    from langgraph.checkpoint.base import empty_checkpoint
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
    from psycopg.rows import dict_row
    from psycopg_pool import AsyncConnectionPool

    settings = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    async with AsyncConnectionPool(url, min_size=POOL, max_size=POOL, kwargs=settings, open=False) as pool:
        saver: Any = AsyncPostgresSaver(cast("Any", pool))
        await saver.setup()

        async def one(task: int, step: int) -> None:
            config = {"configurable": {"thread_id": f"instance-{task}", "checkpoint_ns": ""}}
            await saver.aget_tuple(config)
            checkpoint: Any = empty_checkpoint()
            checkpoint["channel_values"] = {"record": at_step(record, step)}
            checkpoint["channel_versions"] = {"record": str(step)}
            await saver.aput(config, checkpoint, {"source": "loop", "step": step}, {"record": str(step)})

        yield one


@asynccontextmanager
async def workflows(url: str, record: Record) -> AsyncIterator[One]:
    """DBOS: a workflow of one step."""
    from dbos import DBOS

    DBOS(config={"name": "bench", "system_database_url": url, "sys_db_pool_size": POOL, "log_level": "ERROR"})

    @DBOS.step()
    async def work(data: Record) -> Record:
        return data

    @DBOS.workflow()
    async def flow(data: Record) -> Record:
        return await work(data)

    DBOS.launch()
    try:

        async def one(task: int, step: int) -> None:
            del task
            await flow(at_step(record, step))

        yield one
    finally:
        DBOS.destroy()


async def run(*, quick: bool) -> list[Row]:
    given = os.environ.get("POSTGRES_URL")
    async with AsyncExitStack() as stack:
        if given is None:
            server = PostgresServer()
            stack.callback(server.stop)
            server.create()
            server.start()
            given = server.url
        rows: list[Row] = []
        sizes = (2_000,) if quick else (2_000, 200, 50_000)
        for size in sizes:
            for tasks in (64, 1):
                rows += await _measure(given, size, tasks, quick=quick)
        return rows


async def _measure(url: str, size: int, tasks: int, *, quick: bool) -> list[Row]:
    """One size of record and number of tasks against every way; the targets are those of 2 KB."""
    rounds = 3 if quick else 7
    record = record_of(size)
    steps = (20 if tasks > 1 else 150) if size < 10_000 else (6 if tasks > 1 else 60)
    what = f"PostgreSQL step, sync on, {size:,} B, {tasks} tasks, pool of {POOL}"
    meant = size == 2_000
    async with AsyncExitStack() as stack:
        schema = f"bench_{next(_crowds)}"
        memory = await stack.enter_async_context(PostgresMachineMemory(url, schema=schema, pool_size=POOL))
        pool: Any = await stack.enter_async_context(
            cast("Any", asyncpg).create_pool(
                url, min_size=POOL, max_size=POOL, server_settings={"search_path": schema}
            )
        )
        await memory.ping()
        await pool.execute(TABLES)
        mine = crowd(ours(memory, record), tasks, steps)
        few = max(3, steps // 5) if tasks > 1 else steps
        four = crowd(four_statements(pool, record), tasks, few)
        way = "asyncpg.Pool, 4 statements"
        target = 12.0 if meant and tasks > 1 else None
        rows = [await compare(what, mine, way, four, target=target, rounds=rounds)]
        if tasks == 1:
            connection = await pool.acquire()
            stack.push_async_callback(pool.release, connection)
            two = crowd(two_statements(connection, record), tasks, steps)
            target = 0.9 if meant else None
            rows.append(await compare(what, mine, "asyncpg, 2 statements", two, target=target, rounds=rounds))
        if not meant or tasks == 1:
            return rows
        for name, peer, target in (
            ("langgraph-checkpoint-postgres, get + put", checkpointer, 20.0),
            ("DBOS, one-step workflow", workflows, 50.0),
        ):
            if find_spec("dbos" if peer is workflows else "langgraph") is None:
                print(f"  {name}: not installed, not measured")
                continue
            async with peer(url, record) as one:
                rows.append(
                    await compare(what, mine, name, crowd(one, tasks, 2), target=target, rounds=rounds)
                )
        return rows
