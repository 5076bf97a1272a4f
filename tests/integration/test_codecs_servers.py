"""Sealed and compressed records on real servers: what goes in comes out, and a repeat recognises itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from tests.servers.nats import nats_url
from tests.servers.postgres import new_schema, postgres_url
from tests.servers.redis import redis_url

from pyarvo.errors import RecordCorrupt
from pyarvo.memory import Find, LeasedMemory, Step, open_memory
from pyarvo.memory.codecs import KeyRing, Sealed, Zstd

OLD = KeyRing(current="2025", keys={"2025": bytes(32)})
NEW = KeyRing(current="2026", keys={"2025": bytes(32), "2026": bytes(range(32))})
RECORD = {
    "executionStatus": "normal",
    "status": "active",
    "card": "4111-1111-1111-1111",
    "note": "n" * 30_000,
}
EVENT = {"type": "com.shop.pay", "data": {"card": "4111-1111-1111-1111"}}


class Server:
    """A place of its own on a server."""

    def __init__(self, url: str, **options: Any) -> None:
        self._url = url
        self._options = options

    def open(self, codec: Any) -> LeasedMemory:
        return open_memory(self._url, codec=codec, **self._options)


@pytest.fixture(scope="module", params=["redis", "postgresql", "nats"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    name = f"codecs-{uuid4().hex}"
    match request.param:
        case "redis":
            with redis_url(tmp_path_factory.mktemp("redis")) as url:
                yield Server(url, prefix=name)
        case "postgresql":
            yield Server(postgres_url(), schema=new_schema())
        case _:
            with nats_url(tmp_path_factory.mktemp("nats")) as url:
                yield Server(url, bucket=name)


async def step(memory: LeasedMemory, id: str, key: str) -> int:
    lease = await memory.acquire(id, event_key=["shop", key])
    assert lease is not None
    return await memory.commit(lease, RECORD, step=Step(f'["shop","{key}"]', (EVENT,)))


@pytest.mark.parametrize("codec", ["zstd", Sealed(OLD), Sealed(OLD, compress=Zstd())], ids=str)
async def test_records_steps_and_labels_come_back(server: Server, codec: Any) -> None:
    id = f"order-{uuid4().hex}"
    async with server.open(codec) as memory:
        for key in ("a", "b"):
            await step(memory, id, key)
        assert await memory.read(id) == RECORD
        lease = await memory.acquire(id, event_key=["shop", "a"])
        assert lease is not None
        assert lease.replay is not None
        assert (lease.data, lease.replay.produced) == (RECORD, (EVENT,))
        assert [entry.produced for entry in await memory.journal(id)] == [(EVENT,), (EVENT,)]
        assert id in [found.id async for found in memory.each(Find(status="active"))]
    async with server.open("json") as plain:
        with pytest.raises(RecordCorrupt, match="another codec"):
            await plain.read(id)


async def test_a_repeat_recognises_itself(server: Server) -> None:
    id = f"order-{uuid4().hex}"
    async with server.open(Sealed(OLD)) as memory:
        lease = await memory.acquire(id)
        assert lease is not None
        event = Step('["shop","a"]', (EVENT,))
        assert await memory.commit(lease, RECORD, step=event) == 1
        lease.version = 0  # as after a commit whose answer was lost
        assert await memory.commit(lease, RECORD, step=event) == 1
        assert [entry.version for entry in await memory.journal(id)] == [1]


async def test_keys_rotate(server: Server) -> None:
    id = f"order-{uuid4().hex}"
    async with server.open(Sealed(OLD)) as before, server.open(Sealed(NEW)) as after:
        await step(before, id, "a")
        assert await after.read(id) == RECORD
        await step(after, id, "b")
        assert len(await after.journal(id)) == 2
        with pytest.raises(RecordCorrupt, match="which the key ring lacks"):
            await before.read(id)
