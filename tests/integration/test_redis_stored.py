"""Stored things that are not what they should be; URLs, clients and loops."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, cast
from uuid import uuid4
from weakref import ref

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis
from tests.integration.standing_still import assert_closes_beside_a_loop_that_stands_still
from tests.servers.redis import ask, keys_in, redis_url, stored

from pyarvo.errors import (
    ForeignStore,
    InvalidOption,
    RecordCorrupt,
    SchemaTooNew,
)
from pyarvo.memory import Find, SimpleMachineMemory, Step, open_memory
from pyarvo.memory.redis import RedisMachineMemory
from pyarvo.memory.redis.queries import Queries
from pyarvo.memory.redis.routes import Server
from pyarvo.memory.redis.wire import Reply


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_url(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
async def memory(url: str) -> AsyncIterator[RedisMachineMemory]:
    """A memory over keys of its own; afterwards no task and no connection is left."""
    name = f"test-{uuid4().hex}"
    async with RedisMachineMemory(url, prefix=name, lock_attempts=1) as memory:
        yield memory
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


@pytest.mark.parametrize(
    "damage",
    [
        ("SET", "row", "garbage"),
        ("DEL", "record"),
        ("DEL", "row"),
        ("HDEL", "row", "fence"),
        ("HSET", "row", "version", "many"),
        ("HSET", "row", "id", "another"),
        ("HDEL", "row", "id"),
        ("SET", "record", "no json"),
        ("SET", "record", "{"),
    ],
    ids=" ".join,
)
async def test_damage_is_reported_and_left_as_it_is(
    memory: RedisMachineMemory, url: str, damage: tuple[str, ...]
) -> None:
    await stored(memory)
    keys = keys_in(memory, "x")
    name, key, *rest = damage
    ask(url, name, getattr(keys, key), *rest)
    before = [ask(url, "DUMP", one) for one in (keys.row, keys.record, keys.journal)]
    with pytest.raises(RecordCorrupt) as caught:
        await memory.read("x")
    assert caught.value.id == "x"
    with pytest.raises(RecordCorrupt):
        await memory.get("x")
    if key == "row" or name == "DEL":
        with pytest.raises(RecordCorrupt):
            await memory.acquire("x")
        assert [ask(url, "DUMP", one) for one in (keys.row, keys.record, keys.journal)] == before


@pytest.mark.parametrize("entry", ["garbage", "1:x", "x:t:d:1", "1:t:d:x"])
async def test_a_damaged_journal_is_reported(memory: RedisMachineMemory, url: str, entry: str) -> None:
    await stored(memory)
    keys = keys_in(memory, "x")
    ask(url, "HSET", keys.journal, 'e["s","1"]', entry)
    with pytest.raises(RecordCorrupt):
        await memory.acquire("x", event_key='["s","1"]')
    with pytest.raises(RecordCorrupt):
        await memory.journal("x")
    # Another event of the instance is no worse for it.
    lease = await memory.acquire("x", event_key='["s","2"]')
    assert lease is not None


async def test_one_bad_instance_does_not_fail_the_others_of_a_batch(
    memory: RedisMachineMemory, url: str
) -> None:
    await stored(memory)
    ask(url, "DEL", keys_in(memory, "x").record)
    bad, good = await asyncio.gather(memory.acquire("x"), memory.acquire("y"), return_exceptions=True)
    assert isinstance(bad, RecordCorrupt)
    assert good is not None
    assert not isinstance(good, BaseException)


@pytest.mark.parametrize(("mark", "error"), [("2", SchemaTooNew), ("mine", ForeignStore)])
async def test_a_store_of_another_version_or_owner_is_left_alone(
    url: str, mark: str, error: type[Exception]
) -> None:
    name = f"test-{uuid4().hex}"
    ask(url, "SET", f"{name}:schema", mark)
    async with RedisMachineMemory(url, prefix=name) as memory:
        with pytest.raises(error):
            await memory.acquire("x")
    assert ask(url, "KEYS", f"{name}:*") == [f"{name}:schema".encode()]


# --- copies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deleted", [False, True])
async def test_an_instance_of_another_store_is_kept_whole(memory: RedisMachineMemory, deleted: bool) -> None:
    source = SimpleMachineMemory(history=3)
    for number in range(4):
        lease = await source.acquire("x")
        assert lease is not None
        step = Step(f'["s","{number}"]', ({"n": number},)) if number != 2 else None
        await source.commit(lease, {"status": "active", "n": number}, step=step)
    if deleted:
        await source.delete("x")
    image = await source.image("x")
    assert image is not None
    assert await memory.put(image)
    assert not await memory.put(image)
    there = await memory.image("x")
    assert there is not None
    assert there.journal == tuple(
        replace(entry, at=there.journal[n].at) for n, entry in enumerate(image.journal)
    )
    assert there.history == image.history
    assert there.stored.labels == image.stored.labels
    for name in ("version", "fence", "token", "holder", "note", "data", "until"):
        assert getattr(there.stored.row, name) == getattr(image.stored.row, name)
    times = ("created_at", "updated_at")
    assert [getattr(there.stored, time) for time in times] == pytest.approx(
        [getattr(image.stored, time) for time in times], abs=1e-6
    )
    lease = await memory.acquire("x", event_key='["s","1"]')
    assert lease is not None
    assert (lease.replay is None) == deleted
    assert lease.fence == (6 if deleted else 4)


async def test_a_lease_renewed_while_a_list_is_made_is_held(
    memory: RedisMachineMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await memory.acquire("x")
    assert lease is not None
    asked = Queries._on

    async def on(queries: Queries, server: Server, commands: Sequence[bytes]) -> Sequence[Reply]:
        await memory.renew(lease)
        return await asked(queries, server, commands)

    monkeypatch.setattr(Queries, "_on", on)
    assert await memory.count(Find(held=True)) == 1
    assert [(each.held, each.lapsed) async for each in memory.each()] == [(True, False)]


# --- the driver -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 3])
async def test_a_client_passed_in_is_used_and_not_closed(url: str, protocol: int) -> None:
    async with cast("Any", Redis).from_url(url, protocol=protocol, decode_responses=True) as client:
        async with RedisMachineMemory(client=client, prefix=f"test-{uuid4().hex}") as memory:
            await stored(memory)
            assert await memory.read("x") == {"a": 1}
            assert await memory.read("y") is None
        assert await client.ping()


@pytest.mark.parametrize("protocol", [2, 3])
async def test_a_client_passed_in_asks_for_hashes_in_its_protocol(url: str, protocol: int) -> None:
    async with (
        cast("Any", Redis).from_url(url, protocol=protocol) as client,
        RedisMachineMemory(client=client, prefix=f"test-{uuid4().hex}", history=2) as memory,
    ):
        lease = await memory.acquire("x")
        assert lease is not None
        await memory.commit(lease, {"a": 1}, release=False)
        await memory.commit(lease, {"a": 2})
        assert await memory.history("x") == ((1, {"a": 1}),)
        assert await memory.count() == 1
        assert [instance.id async for instance in memory.each()] == ["x"]


async def test_closing_does_not_wait_for_a_loop_that_stands_still(url: str) -> None:
    await assert_closes_beside_a_loop_that_stands_still(RedisMachineMemory(url, deadline_s=0.2))


def test_one_memory_serves_several_loops_and_closes_with_them(url: str) -> None:
    name = f"test-{uuid4().hex}"
    memory = open_memory(f"{url}?prefix={name}")

    async def step(number: int) -> None:
        lease = await memory.acquire(f"x/{number}")
        assert lease is not None
        await memory.commit(lease, {"n": number})

    threads = [threading.Thread(target=asyncio.run, args=(step(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    async def counted() -> int:
        async with memory:
            return await memory.count()

    assert asyncio.run(counted()) == 4
    assert len(ask(url, "CLIENT", "LIST", "TYPE", "normal").splitlines()) == 1  # the one that asks


def test_a_loop_that_has_ended_is_not_kept(url: str) -> None:
    memory = RedisMachineMemory(url)
    ended: list[ref[asyncio.AbstractEventLoop]] = []

    async def read() -> None:
        ended.append(ref(asyncio.get_running_loop()))
        await memory.read("x")

    for _ in range(5):
        asyncio.run(read())
    asyncio.run(memory.close())
    gc.collect()
    assert [loop() for loop in ended[:-1]] == [None] * 4


async def test_earlier_records_go_when_fewer_are_to_be_kept(url: str) -> None:
    name = f"test-{uuid4().hex}"
    for kept, until in ((6, 9), (2, 10)):
        async with RedisMachineMemory(url, prefix=name, history=kept) as memory:
            version = 0
            while version < until:
                lease = await memory.acquire("x")
                assert lease is not None
                version = await memory.commit(lease, {"n": 0})
            assert [version for version, _ in await memory.history("x")] == [
                *range(until - 1, until - 1 - kept, -1)
            ]


async def test_an_unloaded_script_is_loaded_on_the_way(memory: RedisMachineMemory, url: str) -> None:
    await stored(memory)
    ask(url, "SCRIPT", "FLUSH")
    leases = await asyncio.gather(*[memory.acquire(f"y/{number}") for number in range(5)])
    assert [lease.fence for lease in leases if lease is not None] == [1] * 5
    ask(url, "SCRIPT", "FLUSH")
    big = leases[0]
    assert big is not None
    assert await memory.commit(big, {"text": "x" * 50_000}) == 1


@pytest.mark.parametrize(
    ("url", "option"),
    [
        ("redis://", "url"),
        ("redis://host:99999", "url"),
        ("redis://host:port", "url"),
        ("redis://host/name", "url"),
        ("redis://a,b", "url"),
        ("redis+sentinel://a:1,b:2", "url"),
        ("redis+cluster://a:1/3", "url"),
        ("redis://host?prefix=a{b", "prefix"),
        ("redis://host?prefix=", "prefix"),
        ("redis://host?wait_replicas=-1", "wait_replicas"),
        ("redis://host?wait_replicas=two", "wait_replicas"),
        ("redis://host?wait_s=0", "wait_s"),
        ("redis://host?tls=perhaps", "tls"),
        ("redis://host?nonsense=1", "nonsense"),
        ("redis://:secret@host:port", "url"),
    ],
)
def test_urls_and_options_out_of_bounds_are_refused(url: str, option: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        open_memory(url)
    assert caught.value.option == option
    assert "secret" not in str(caught.value)


def test_a_missing_driver_is_named_with_the_way_to_get_it() -> None:
    code = (
        "import sys; sys.modules['redis'] = None\nfrom pyarvo import open_memory\nopen_memory('redis://host')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "pip install 'pyarvo[redis]'" in run.stderr.splitlines()[-1]


def test_either_a_url_or_a_client() -> None:
    with pytest.raises(InvalidOption):
        RedisMachineMemory()  # pyright: ignore[reportCallIssue] - refused by the types too
