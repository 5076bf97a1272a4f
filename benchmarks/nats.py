"""
A step on NATS JetStream against what people write (a lock key: create, get, put, delete), and against the plain way of
two calls with the same driver (get, update by revision), which locks nothing. One server, file storage, its own sync
interval of 2 minutes; with `--quick` shorter windows.
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from uuid import uuid4

from nats.aio.client import Client
from nats.js.errors import KeyNotFoundError
from nats.js.kv import KeyValue
from tests.servers.nats import running

from benchmarks.crowd import One, Record, at_step, crowd, record_of
from benchmarks.turns import Row, compare
from pyarvo.memory import Step
from pyarvo.memory.nats import NatsMachineMemory

_crowds = itertools.count()


def ours(memory: NatsMachineMemory, record: Record) -> One:
    """Lease, replay check, fence, version, record and journal: two calls."""
    crowds = next(_crowds)

    async def one(task: int, step: int) -> None:
        # A new instance now and then, so that its event keys stay as few as a workflow has.
        key = ["bench", f"{task}-{step}"]
        lease = await memory.acquire(f"instance-{crowds}-{task}-{step // 50}", event_key=key)
        assert lease is not None
        await memory.commit(lease, at_step(record, step), step=Step(json.dumps(key), ({"type": "done"},)))

    return one


def handed_over(memories: list[NatsMachineMemory], record: Record) -> One:
    """The same, each step by another process than the one before: nothing of the instance is remembered."""
    crowds = next(_crowds)

    async def one(task: int, step: int) -> None:
        memory = memories[step % len(memories)]
        key = ["bench", f"{task}-{step}"]
        lease = await memory.acquire(f"instance-{crowds}-{task}-{step // 50}", event_key=key)
        assert lease is not None
        await memory.commit(lease, at_step(record, step), step=Step(json.dumps(key), ({"type": "done"},)))

    return one


def lock_key(locks: KeyValue, data: KeyValue, record: Record) -> One:
    """Four calls a step (create asks again after a delete), and no fence, version or journal."""

    async def one(task: int, step: int) -> None:
        await locks.create(f"lock-{task}", b"%d" % step)
        with suppress(KeyNotFoundError):
            json.loads((await data.get(f"data-{task}")).value or b"{}")
        await data.put(f"data-{task}", json.dumps(at_step(record, step)).encode())
        await locks.delete(f"lock-{task}")

    return one


def two_calls(data: KeyValue, record: Record) -> One:
    """Read and write by revision: no lock, no fence, no journal."""

    async def one(task: int, step: int) -> None:
        key = f"plain-{task}"
        try:
            entry = await data.get(key)
        except KeyNotFoundError:
            await data.put(key, json.dumps(at_step(record, step)).encode())
            return
        json.loads(entry.value or b"{}")
        await data.update(key, json.dumps(at_step(record, step)).encode(), last=entry.revision)

    return one


async def run(*, quick: bool) -> list[Row]:
    """All comparisons."""
    rows: list[Row] = []
    rounds = 2 if quick else 5
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pyarvo-bench-")))
        url = os.environ.get("NATS_URL") or stack.enter_context(running(directory)).url
        mark = uuid4().hex[:8]
        memory = await stack.enter_async_context(NatsMachineMemory(url, bucket=f"ours-{mark}"))
        others = [
            await stack.enter_async_context(NatsMachineMemory(url, bucket=f"ours-{mark}")) for _ in range(2)
        ]
        client = Client()
        await client.connect(url)
        stack.push_async_callback(client.close)
        stores = client.jetstream()
        data = await stores.create_key_value(bucket=f"data-{mark}")
        locks = await stores.create_key_value(bucket=f"locks-{mark}", ttl=30)
        for size, tasks in itertools.product((2_000, 200, 50_000), (64, 1)):
            record = record_of(size)
            steps = (20 if quick else 60) if tasks > 1 else (200 if quick else 600)
            steps = steps if size < 10_000 else steps // 3
            few = max(5, steps // 3)
            what = f"NATS step, R1, file, {len(json.dumps(record)):,} B, {tasks} tasks"
            mine = crowd(ours(memory, record), tasks, steps)
            passed_on = crowd(handed_over(others, record), tasks, steps)
            for name, work, against, other, target in (
                ("", mine, "nats-py create + get + put + delete", lock_key(locks, data, record), 2.0),
                ("", mine, "nats-py get + update", two_calls(data, record), 0.9 if tasks == 1 else None),
                (
                    ", by another process each time",
                    passed_on,
                    "nats-py create + get + put + delete",
                    lock_key(locks, data, record),
                    None,
                ),
            ):
                peer = crowd(other, tasks, few)
                wanted = target if size == 2_000 else None
                rows.append(await compare(what + name, work, against, peer, target=wanted, rounds=rounds))
    return rows
