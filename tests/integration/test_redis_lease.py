"""Leases, steps and lists as callers see them, on a real server."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
from tests.servers.redis import ask, backend_of, keys_in, prefix_of, redis_url

from pyarvo.errors import (
    EventConsumed,
    LeaseLost,
    WriteConflict,
)
from pyarvo.events.labels import Labels
from pyarvo.memory import Find, Step
from pyarvo.memory.decide import (
    Acquire,
    Commit,
    Renew,
)
from pyarvo.memory.redis import RedisMachineMemory


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


async def test_a_step_is_two_calls_and_a_repeat_of_the_event_replays_it(memory: RedisMachineMemory) -> None:
    key = '["shop","1"]'
    lease = await memory.acquire("order/1", event_key=key)
    assert lease is not None
    assert lease.data is None
    assert lease.fence == 1
    assert await memory.commit(lease, {"total": 2**53 + 1}, step=Step(key, ({"type": "paid"},))) == 1

    again = await memory.acquire("order/1", event_key=key)
    assert again is not None
    assert again.replay is not None
    assert not again.held
    assert again.replay.produced == ({"type": "paid"},)
    assert again.data == {"total": 2**53 + 1}

    other = await memory.acquire("order/1")
    assert other is not None
    with pytest.raises(EventConsumed):
        await memory.commit(other, {"total": 3}, step=Step(key))


@pytest.mark.parametrize("size", [10, 16_300, 16_500, 700_000])
async def test_a_record_of_any_size_is_stored_whole_and_does_not_expire(
    memory: RedisMachineMemory, url: str, size: int
) -> None:
    for round in range(2):
        lease = await memory.acquire("big")
        assert lease is not None
        await memory.commit(lease, {"round": round, "text": "x" * size})
        assert await memory.read("big") == {"round": round, "text": "x" * size}
    # The instance, its record, its journal, and the schema mark: nothing is left staged.
    keys = ask(url, "KEYS", f"{prefix_of(memory)}:*")
    assert len(keys) == 4
    assert [ask(url, "PTTL", key) for key in keys] == [-1] * 4


async def test_ids_of_any_characters_and_4_kib(memory: RedisMachineMemory) -> None:
    ids = ["}", "{}", "a{b}c", "*?[x]\\", "\x00\r\n", "é" * 2_048, " ", "$3\r\nfoo\r\n"]
    for number, id in enumerate(ids):
        lease = await memory.acquire(id)
        assert lease is not None
        await memory.commit(lease, {"number": number})
    for number, id in enumerate(ids):
        assert await memory.read(id) == {"number": number}
    assert {item.id for item in (await memory.instances()).items} == set(ids)


async def test_an_expired_lease_that_was_taken_over_is_lost(memory: RedisMachineMemory) -> None:
    backend = backend_of(memory)
    frozen, next_one = "a" * 32, "b" * 32
    await backend.execute([Acquire("x", frozen, 1e-6), Acquire("x", next_one, 1_800.0)])
    stored = await backend.get("x")
    assert stored is not None
    assert stored.row.token == next_one
    assert stored.row.fence == 2
    commit = Commit("x", frozen, 0, b"{}", b"d", Labels())
    assert [type(one).__name__ for one in await backend.execute([commit, Renew("x", frozen, 1_800.0)])] == [
        "Lost",
        "Lost",
    ]


async def test_a_lease_that_expired_and_nobody_took_may_still_commit(memory: RedisMachineMemory) -> None:
    backend = backend_of(memory)
    await backend.execute([Acquire("x", "a" * 32, 1e-6)])
    (outcome,) = await backend.execute([Commit("x", "a" * 32, 0, b"{}", b"d", Labels())])
    assert type(outcome).__name__ == "Committed"


async def test_one_of_many_racers_creates(memory: RedisMachineMemory, url: str) -> None:
    async with RedisMachineMemory(url, prefix=prefix_of(memory), lock_attempts=1) as other:
        leases = await asyncio.gather(*[m.acquire("new") for m in (memory, other) for _ in range(20)])
    assert len([lease for lease in leases if lease is not None]) == 1


async def test_times_are_the_servers_in_seconds(memory: RedisMachineMemory, url: str) -> None:
    seconds, micros = ask(url, "TIME")
    lease = await memory.acquire("x", ttl_s=30.0)
    assert lease is not None
    instance = await memory.get("x")
    assert instance is not None
    assert instance.held_since is not None
    assert instance.expires_in_s is not None
    assert 0.0 <= instance.held_since - (seconds + micros / 1e6) < 5.0
    assert 25.0 < instance.expires_in_s <= 30.0
    await memory.renew(lease, ttl_s=100.0)
    await memory.renew(lease, ttl_s=1.0)
    instance = await memory.get("x")
    assert instance is not None
    assert instance.expires_in_s is not None
    assert instance.expires_in_s > 95.0


async def test_only_what_was_never_written_or_deleted_expires(url: str) -> None:
    name = f"test-{uuid4().hex}"
    async with RedisMachineMemory(url, prefix=name, tombstone_s=60.0) as memory:
        row = keys_in(memory, "x").row
        lease = await memory.acquire("x", ttl_s=3_600.0)
        assert lease is not None
        # Kept for as long as it is leased, and then as long as a tombstone.
        assert 3_650_000 < ask(url, "PTTL", row) <= 3_660_000
        await memory.commit(lease, {})
        assert ask(url, "PTTL", row) == -1
        assert await memory.delete("x")
        assert 50_000 < ask(url, "PTTL", row) <= 60_000
        again = await memory.acquire("x", ttl_s=1.0)
        assert again is not None
        assert again.deleted_at is not None
        assert again.fence == 3
        await memory.commit(again, {})
        assert ask(url, "PTTL", row) == -1
        reborn = await memory.get("x")
        assert reborn is not None
        assert reborn.deleted_at is None


async def test_the_journal_keeps_the_last_bodies_and_every_key(url: str) -> None:
    name = f"test-{uuid4().hex}"
    async with RedisMachineMemory(url, prefix=name, journal=3, history=2) as memory:
        for number in range(6):
            lease = await memory.acquire("x")
            assert lease is not None
            step = Step(f'["s","{number}"]', ({"n": number},)) if number != 1 else None
            await memory.commit(lease, {"n": number}, step=step)
        steps = await memory.journal("x")
        assert [(step.version, step.produced) for step in steps] == [
            (1, ()),
            (3, ()),
            (4, ({"n": 3},)),
            (5, ({"n": 4},)),
            (6, ({"n": 5},)),
        ]
        assert [step.version for step in await memory.journal("x", after=3, limit=2)] == [4, 5]
        assert await memory.history("x") == ((5, {"n": 4}), (4, {"n": 3}))
        old = await memory.acquire("x", event_key='["s","0"]')
        assert old is not None
        assert old.replay is not None
        assert old.replay.produced == ()


async def test_lists_filter_page_and_count(memory: RedisMachineMemory) -> None:
    for number in range(7):
        lease = await memory.acquire(f"child/{number}")
        assert lease is not None
        status = "done" if number % 2 else "active"
        await memory.commit(lease, {"status": status, "parentSubject$$": "x", "parentSubject": "parent"})
    assert await memory.count() == 7
    assert await memory.count(Find(status="done")) == 3
    assert await memory.count(Find(held=True)) == 0
    first = await memory.instances(limit=4)
    assert [item.id for item in first.items] == [f"child/{number}" for number in (6, 5, 4, 3)]
    second = await memory.instances(limit=4, cursor=first.cursor)
    assert [item.id for item in second.items] == [f"child/{number}" for number in (2, 1, 0)]
    assert second.cursor is None
    assert len(await memory.children("parent")) == 7
    await memory.delete("child/0")
    assert await memory.count() == 6
    assert [item.id for item in (await memory.instances(Find(deleted=True))).items] == ["child/0"]


async def test_a_prefix_of_glob_signs_finds_only_its_own(url: str) -> None:
    for name in ("test*[a]", "testXa"):
        async with RedisMachineMemory(url, prefix=name) as memory:
            lease = await memory.acquire(f"of {name}")
            assert lease is not None
            await memory.commit(lease, {})
            assert [item.id for item in (await memory.instances()).items] == [f"of {name}"]


async def test_force_release_and_conflicts(memory: RedisMachineMemory) -> None:
    lease = await memory.acquire("x")
    assert lease is not None
    assert await memory.force_release("x", reason="stuck in a debugger")
    with pytest.raises(LeaseLost):
        await memory.commit(lease, {})
    instance = await memory.get("x")
    assert instance is not None
    assert instance.note == "stuck in a debugger"
    assert instance.fence == 2
    other = await memory.acquire("x")
    assert other is not None
    other.version = 5
    with pytest.raises(WriteConflict) as caught:
        await memory.commit(other, {})
    assert (caught.value.expected, caught.value.actual) == (5, 0)
