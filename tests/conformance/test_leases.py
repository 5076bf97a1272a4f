"""Section 3, leases: the handle (L), and the clauses C1 to C6."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import pytest

from pyarvo.errors import (
    InvalidRecord,
    LeaseLost,
    MemoryClosed,
    MemoryUnavailable,
    RecordTooLarge,
    WriteConflict,
)
from pyarvo.memory import LeasedMachineMemory, LeasedMemory, Step

from .place import Place, asked, before, elsewhere, fine, held, same_again

# --- the handle -------------------------------------------------------------------------------------------------


async def test_l1_acquire_locks_and_reads_and_commit_writes_and_unlocks(place: Place) -> None:
    memory = place.open(faults=[fine])
    assert isinstance(memory, LeasedMachineMemory)
    lease = await held(memory)
    assert (lease.id, lease.version, lease.data, lease.replay, lease.deleted_at) == ("a", 0, None, None, None)
    assert await memory.commit(lease, {"n": 1}) == 1
    assert (lease.version, lease.held) == (1, False)
    again = await held(memory)
    assert (again.version, again.data) == (1, {"n": 1})
    assert asked(memory) == ["Acquire", "Commit", "Acquire"]


async def test_l2_a_token_is_128_random_bits_and_names_nobody(place: Place) -> None:
    memory = place.open()
    tokens = [(await held(memory, f"a{n}")).token for n in range(50)]
    assert len(set(tokens)) == 50
    assert all(len(bytes.fromhex(token)) == 16 for token in tokens)
    for name in (str(os.getpid()).encode().hex(), socket.gethostname()):
        assert not all(name in token for token in tokens)  # a short one is in some by chance
    assert tokens[0] not in repr(await held(memory, "b"))


async def test_l3_every_grant_raises_the_fence(place: Place) -> None:
    memory, other = place.open(), place.open()
    fences: list[int] = []
    for turn in range(6):
        lease = await held(memory if turn % 2 else other)
        fences.append(lease.fence)
        if turn % 3 == 0:
            await memory.commit(lease, {"n": turn})
        elif turn % 3 == 1:
            assert await memory.release(lease)
        else:
            place.clock.advance(31)
    assert fences == [1, 2, 3, 4, 5, 6]


async def test_l4_a_denied_acquire_takes_nothing_and_raises_no_fence(place: Place) -> None:
    memory, other = place.open(), place.open()
    lease = await held(memory)
    assert await other.acquire("a") is None
    assert await memory.release(lease)
    assert (await held(other)).fence == 2


async def test_l5_data_is_a_copy_that_nobody_shares(place: Place) -> None:
    memory = place.open()
    data = {"items": [1]}
    await memory.commit(await held(memory), data)
    data["items"].append(2)
    lease = await held(memory)
    assert lease.data is not None
    assert lease.data == {"items": [1]}
    lease.data["items"].append(3)
    first, second = await memory.read("a"), await memory.read("a")
    assert first == second == {"items": [1]}
    assert first is not second


async def test_l6_expires_in_s_counts_down_from_the_moment_of_sending(place: Place) -> None:
    memory = place.open()
    started = monotonic()
    lease = await held(memory, ttl_s=10)
    assert lease.ttl_s == 10.0
    left = lease.expires_in_s
    assert 10.0 - (monotonic() - started) - 0.001 <= left <= 10.0
    await memory.renew(lease, ttl_s=100)
    assert 99.0 < lease.expires_in_s <= 100.0
    await memory.renew(lease, ttl_s=1)
    assert lease.expires_in_s > 99.0
    assert await memory.release(lease)
    assert lease.expires_in_s == 0.0


async def test_l7_commit_advances_the_version_by_exactly_one(place: Place) -> None:
    memory = place.open()
    lease = await held(memory)
    for version in range(1, 4):
        assert await memory.commit(lease, {"n": version}, release=False) == version
        assert lease.version == version
        assert lease.held
    assert await memory.commit(lease, {"n": 4}) == 4
    assert (await held(memory)).version == 4


async def test_l8_a_refused_record_or_step_leaves_the_lease_and_the_store_alone(place: Place) -> None:
    memory = place.open(faults=[fine], record_limit=1_024)
    lease = await held(memory)
    sent = asked(memory)
    not_an_object: Any = [1]
    for data, step in (
        (not_an_object, None),
        ({"a": {1, 2}}, None),
        ({}, Step("")),
        ({}, Step("k" * 9_000)),
        ({}, Step("k", ({"a": float("nan")},))),
    ):
        with pytest.raises(InvalidRecord) as caught:
            await memory.commit(lease, data, step=step)
        assert (caught.value.id, caught.value.operation) == ("a", "commit")
    for data, step in (({"text": "x" * 1_024}, None), ({}, Step("k", ({"text": "x" * 1_024},)))):
        with pytest.raises(RecordTooLarge):
            await memory.commit(lease, data, step=step)
    assert asked(memory) == sent
    assert lease.held
    assert await memory.commit(lease, {"n": 1}) == 1


async def test_l9_release_never_raises_for_a_store_fault(place: Place) -> None:
    gone = MemoryUnavailable("connection reset")
    memory = place.open(faults=[fine, *[before(gone)] * 3])
    assert await memory.release(await held(memory)) is False
    assert asked(memory) == ["Acquire"] + ["Release"] * 3


async def test_l10_a_closed_memory_refuses_every_call(place: Place) -> None:
    memory = place.open()
    lease = await held(memory)
    await memory.close()
    await memory.close()
    calls: tuple[tuple[str, str | None, Callable[[], Awaitable[object]]], ...] = (
        ("read", "a", lambda: memory.read("a")),
        ("lock", "a", lambda: memory.lock("a")),
        ("acquire", "a", lambda: memory.acquire("a")),
        ("commit", "a", lambda: memory.commit(lease, {})),
        ("renew", "a", lambda: memory.renew(lease)),
        ("get", "a", lambda: memory.get("a")),
        ("instances", None, lambda: memory.instances()),
        ("count", None, lambda: memory.count()),
        ("journal", "a", lambda: memory.journal("a")),
        ("history", "a", lambda: memory.history("a")),
        ("delete", "a", lambda: memory.delete("a")),
        ("force_release", "a", lambda: memory.force_release("a", reason="test")),
        ("ping", None, lambda: memory.ping()),
    )
    for operation, id, call in calls:
        with pytest.raises(MemoryClosed) as refused:
            await call()
        assert (refused.value.operation, refused.value.id) == (operation, id)


# --- C1 token, fence and version ----------------------------------------------------------------------------------


async def test_c1_a_stale_holder_with_the_right_version_is_refused(place: Place) -> None:
    memory, other = place.open(), place.open()
    stale = await held(memory)
    place.clock.advance(31)
    fresh = await held(other)
    assert stale.version == fresh.version == 0
    with pytest.raises(LeaseLost) as caught:
        await memory.commit(stale, {"by": "stale"})
    assert (caught.value.id, caught.value.operation) == ("a", "commit")
    assert not stale.held
    assert await memory.read("a") is None
    assert await other.commit(fresh, {"by": "fresh"}) == 1


async def test_c1_a_stale_holder_is_refused_after_its_successor_has_gone(place: Place) -> None:
    memory, other = place.open(), place.open()
    stale = await held(memory)
    place.clock.advance(31)
    assert await other.release(await held(other))
    with pytest.raises(LeaseLost):
        await memory.commit(stale, {"by": "stale"})
    assert await memory.read("a") is None


async def test_c1_another_version_than_the_one_read_is_a_conflict(place: Place) -> None:
    memory = place.open()
    await memory.commit(await held(memory), {"n": 1})
    lease = await held(memory)
    for wrong in (0, 2, 99):
        lease.version = wrong
        with pytest.raises(WriteConflict) as caught:
            await memory.commit(lease, {"n": 2})
        assert (caught.value.expected, caught.value.actual) == (wrong, 1)
    assert await memory.read("a") == {"n": 1}
    lease.version = 1
    assert await memory.commit(lease, {"n": 2}) == 2


async def test_c1_of_many_commits_of_one_lease_at_once_exactly_one_succeeds(place: Place) -> None:
    memory, other = place.open(), place.open()
    lease = await held(memory)
    handles = [same_again(lease) for _ in range(16)]
    results = await asyncio.gather(
        *(
            (memory if n % 2 else other).commit(handle, {"n": n}, release=False)
            for n, handle in enumerate(handles)
        ),
        return_exceptions=True,
    )
    assert sorted(str(type(result).__name__) for result in results) == ["WriteConflict"] * 15 + ["int"]
    winner = next(n for n, result in enumerate(results) if result == 1)
    assert await memory.read("a") == {"n": winner}


async def test_c1_many_holders_in_a_row_lose_no_update(place: Place) -> None:
    memories = [place.open(lock_attempts=3) for _ in range(4)]

    async def adds(memory: LeasedMemory) -> None:
        for _ in range(5):
            lease = None
            while lease is None:
                lease = await memory.acquire("a")
            n = 0 if lease.data is None else lease.data["n"]
            await memory.commit(lease, {"n": n + 1})

    await asyncio.gather(*(adds(memory) for memory in memories))
    assert await memories[0].read("a") == {"n": 20}


# --- C2, C3 the end of a lease ------------------------------------------------------------------------------------


async def test_c2_a_frozen_holder_loses_and_its_successor_sees_no_error(place: Place) -> None:
    memory, other = place.open(), place.open()
    frozen = await held(memory)
    place.clock.advance(30)
    successor = await held(other)
    for _ in range(2):
        with pytest.raises(LeaseLost):
            await memory.commit(frozen, {"by": "frozen"}, step=Step("k"))
        with pytest.raises(LeaseLost):
            await memory.renew(frozen)
        assert await memory.release(frozen) is False
    await other.renew(successor)
    assert await other.commit(successor, {"by": "successor"}, step=Step("k"), release=False) == 1
    with pytest.raises(LeaseLost):
        await memory.commit(frozen, {"by": "frozen"})
    assert await other.commit(successor, {"by": "successor", "n": 2}) == 2
    assert await other.read("a") == {"by": "successor", "n": 2}


async def test_c2_the_frozen_writer_of_the_four_verbs_loses_too(place: Place) -> None:
    memory = place.open()
    assert await memory.lock("a")
    place.clock.advance(30)
    assert await elsewhere(lambda: memory.lock("a"))
    with pytest.raises(LeaseLost):
        await memory.write("a", {"by": "frozen"})
    assert await memory.unlock("a") is False
    assert await place.open().acquire("a") is None
    assert await memory.read("a") is None


async def test_c3_a_late_holder_whose_lease_nobody_took_may_commit(place: Place) -> None:
    memory = place.open()
    lease = await held(memory)
    place.clock.advance(86_400)
    assert await memory.commit(lease, {"n": 1}) == 1


async def test_c3_a_late_holder_whose_lease_nobody_took_may_renew_under_the_same_fence(place: Place) -> None:
    memory, other = place.open(), place.open()
    lease = await held(memory)
    place.clock.advance(86_400)
    await memory.renew(lease)
    found = await memory.get("a")
    assert found is not None
    assert (found.held, found.fence) == (True, lease.fence)
    assert await other.acquire("a") is None
    assert await memory.commit(lease, {"n": 1}) == 1


# --- C4 whose clock ---------------------------------------------------------------------------------------------


async def test_c4_a_lease_is_over_at_its_end_and_not_before(place: Place) -> None:
    memory, other = place.open(), place.open()
    await held(memory, ttl_s=30)
    place.clock.advance(29.999)
    assert await other.acquire("a") is None
    place.clock.now = 1_700_000_030.0
    assert (await held(other)).fence == 2


async def test_c4_a_clock_set_back_cannot_hold_a_lease_for_ever(place: Place) -> None:
    memory, other = place.open(), place.open()
    lease = await held(memory, ttl_s=3_600)
    place.clock.advance(-0.001)
    found = await memory.get("a")
    assert found is not None
    assert not found.held
    assert (await held(other)).fence == lease.fence + 1
    with pytest.raises(LeaseLost):
        await memory.commit(lease, {})


async def test_c4_a_renewal_after_the_clock_was_set_back_counts_from_now(place: Place) -> None:
    memory, other = place.open(), place.open()
    lease = await held(memory, ttl_s=3_600)
    place.clock.advance(-86_400)
    await memory.renew(lease, ttl_s=10)
    assert await other.acquire("a") is None
    place.clock.advance(10)
    assert (await held(other)).fence == lease.fence + 1


async def test_c4_a_clock_set_back_below_a_renewal_cannot_hold_the_lease(place: Place) -> None:
    memory, other = place.open(), place.open()
    lease = await held(memory, ttl_s=30)
    place.clock.advance(3_600)
    await memory.renew(lease)
    place.clock.advance(-3_600)
    found = await memory.get("a")
    assert found is not None
    assert not found.held
    assert (await held(other)).fence == lease.fence + 1


async def test_c4_the_clients_clock_never_matters(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, other = place.open(), place.open()
    lease = await held(memory)
    ahead = monotonic() + 7_200
    with monkeypatch.context() as wrong:
        wrong.setattr("pyarvo.memory.contract.monotonic", lambda: ahead)
        wrong.setattr("pyarvo.memory.leased.monotonic", lambda: ahead)
        assert lease.expires_in_s == 0.0
        assert await other.acquire("a") is None
        assert await memory.commit(lease, {"n": 1}, release=False) == 1
        await memory.renew(lease)
        assert await other.acquire("a") is None
    place.clock.advance(30)
    assert lease.expires_in_s > 0.0
    assert (await held(other)).data == {"n": 1}


# --- C5 renewal -------------------------------------------------------------------------------------------------


async def test_c5_renewal_extends_from_now(place: Place) -> None:
    memory, other = place.open(), place.open()
    lease = await held(memory, ttl_s=30)
    place.clock.advance(20)
    await memory.renew(lease)
    place.clock.advance(29.9)
    assert await other.acquire("a") is None
    place.clock.advance(0.2)
    assert (await held(other)).fence == 2


async def test_c5_renewal_never_shortens(place: Place) -> None:
    memory, other = place.open(), place.open()
    lease = await held(memory, ttl_s=30)
    await memory.renew(lease, ttl_s=1)
    place.clock.advance(29.9)
    assert await other.acquire("a") is None


async def test_c5_renewing_a_lost_lease_raises(place: Place) -> None:
    memory, other = place.open(), place.open()
    lost = await held(memory)
    place.clock.advance(30)
    taken = await held(other)
    with pytest.raises(LeaseLost) as caught:
        await memory.renew(lost)
    assert (caught.value.id, caught.value.operation) == ("a", "renew")
    assert not lost.held
    assert await other.release(taken)
    with pytest.raises(LeaseLost):
        await memory.renew(lost)


# --- C6 release -------------------------------------------------------------------------------------------------


async def test_c6_release_by_a_former_owner_leaves_the_successor_whole(place: Place) -> None:
    memory, other, third = place.open(), place.open(), place.open()
    former = await held(memory)
    place.clock.advance(30)
    successor = await held(other)
    assert await memory.release(former) is False
    assert await third.acquire("a") is None
    assert await other.commit(successor, {"n": 1}) == 1


async def test_c6_release_ends_every_right_of_the_token(place: Place) -> None:
    memory = place.open()
    lease = await held(memory)
    assert await memory.release(lease) is True
    with pytest.raises(LeaseLost):
        await memory.renew(lease)
    with pytest.raises(LeaseLost):
        await memory.commit(lease, {"n": 1})
    found = await memory.get("a")
    assert found is not None
    assert (found.held, found.version) == (False, 0)
    assert (await held(memory)).fence == 2


async def test_c6_a_commit_that_releases_ends_every_right_of_the_token(place: Place) -> None:
    memory = place.open()
    lease = await held(memory)
    assert await memory.commit(lease, {"n": 1}) == 1
    with pytest.raises(LeaseLost):
        await memory.renew(lease)
    with pytest.raises(LeaseLost):
        await memory.commit(lease, {"n": 2})
    assert await memory.read("a") == {"n": 1}
    assert (await held(memory)).fence == 2


async def test_c6_a_commit_that_keeps_the_lease_keeps_it(place: Place) -> None:
    memory, other = place.open(), place.open()
    lease = await held(memory)
    assert await memory.commit(lease, {"n": 1}, release=False) == 1
    assert await other.acquire("a") is None
    assert await memory.commit(lease, {"n": 2}) == 2
    assert (await held(other)).data == {"n": 2}
