"""A durable step on SQLite against what people write (aiosqlite) and what they pick (a checkpointer)."""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import aiosqlite
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from benchmarks.crowd import One, Record, at_step, crowd, record_of
from benchmarks.turns import Row, compare
from pyarvo.memory import SqliteMachineMemory, Step

_crowds = itertools.count()


def ours(memory: SqliteMachineMemory, record: Record) -> One:
    """Lease, replay check, fence, version, record and journal: two calls."""
    crowds = next(_crowds)

    async def one(task: int, step: int) -> None:
        key = ["bench", f"{task}-{step}"]
        lease = await memory.acquire(f"instance-{crowds}-{task}", event_key=key)
        assert lease is not None
        await memory.commit(lease, at_step(record, step), step=Step(key, ({"type": "bench.step.done"},)))  # type: ignore[arg-type]

    return one


def plain(connection: aiosqlite.Connection, record: Record) -> One:
    """Two statements of the same durability: take the lock and read; write and unlock."""
    mutex = asyncio.Lock()

    async def one(task: int, step: int) -> None:
        now = time.time()
        async with mutex:
            cursor = await connection.execute(
                "INSERT INTO state (id, until, data) VALUES (?, ?, NULL) ON CONFLICT (id) DO UPDATE "
                "SET until = excluded.until WHERE until < ? RETURNING data",
                (f"instance-{task}", now + 30, now),
            )
            (data,) = await cursor.fetchone()  # type: ignore[misc]
            await connection.commit()
        if data:
            json.loads(data)
        raw = json.dumps(at_step(record, step))
        async with mutex:
            await connection.execute(
                "UPDATE state SET data = ?, until = 0 WHERE id = ?", (raw, f"instance-{task}")
            )
            await connection.commit()

    return one


def checkpointer(saver: AsyncSqliteSaver, record: Record) -> One:
    async def one(task: int, step: int) -> None:
        config = {"configurable": {"thread_id": f"instance-{task}", "checkpoint_ns": ""}}
        await saver.aget_tuple(config)  # type: ignore[arg-type]
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"] = {"record": at_step(record, step)}
        await saver.aput(config, checkpoint, {"source": "loop", "step": 1}, {"record": 1})  # type: ignore[arg-type]

    return one


async def run(*, quick: bool) -> list[Row]:
    rows: list[Row] = []
    rounds = 2 if quick else 5
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pyarvo-bench-")))
        memory = await stack.enter_async_context(SqliteMachineMemory(directory / "ours.db"))
        connection = await stack.enter_async_context(aiosqlite.connect(directory / "plain.db"))
        for pragma in ("journal_mode = WAL", "synchronous = FULL"):
            await connection.execute(f"PRAGMA {pragma}")
        await connection.execute("CREATE TABLE state (id TEXT PRIMARY KEY, until REAL, data TEXT)")
        saver = await stack.enter_async_context(
            AsyncSqliteSaver.from_conn_string(str(directory / "saver.db"))
        )
        await saver.setup()
        await saver.conn.execute("PRAGMA synchronous = FULL")
        for size, tasks, target, far in (
            (2_000, 64, 8.0, 12.0),
            (2_000, 1, 0.9, None),
            (50_000, 64, 5.0, None),
        ):
            record = record_of(size)
            steps = (10 if quick else 30) if tasks > 1 else (100 if quick else 300)
            mine = crowd(ours(memory, record), tasks, steps if size < 10_000 else steps // 3)
            what = f"SQLite step, synchronous=FULL, {size:,} B, {tasks} tasks"
            peer = crowd(plain(connection, record), tasks, max(3, steps // 6) if tasks > 1 else steps)
            rows.append(
                await compare(what, mine, "aiosqlite, 2 statements", peer, target=target, rounds=rounds)
            )
            other = crowd(checkpointer(saver, record), tasks, max(2, steps // 8) if tasks > 1 else steps // 2)
            name = "langgraph-checkpoint-sqlite, get + put"
            rows.append(await compare(what, mine, name, other, target=far, rounds=rounds))
    return rows
