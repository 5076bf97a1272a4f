"""Section 3: the life of an instance (C7), racers to create it (C8), unknown outcomes (C9)."""

from __future__ import annotations

import asyncio

import pytest

from pyarvo.errors import LeaseLost, MemoryUnavailable, WriteConflict, WriteOutcomeUnknown
from pyarvo.memory import Find, LeasedMemory, Step

from .place import Place, after, asked, fine, held, same_again

UNKNOWN = WriteOutcomeUnknown("connection reset")


# --- C7 delete ----------------------------------------------------------------------------------------------------


async def test_c7_delete_removes_record_and_journal(place: Place) -> None:
    memory = place.open(history=2)
    for n in range(2):
        await memory.commit(await held(memory), {"n": n}, step=Step(f"k{n}"))
    assert await memory.delete("a") is True
    assert await memory.read("a") is None
    assert await memory.journal("a") == ()
    assert await memory.history("a") == ()
    assert await memory.count() == 0
    assert await memory.delete("a") is False
    assert await memory.delete("never seen") is False


async def test_c7_delete_raises_the_fence_and_leaves_a_tombstone(place: Place) -> None:
    memory = place.open()
    lease = await held(memory)
    await memory.commit(lease, {"n": 1})
    place.clock.advance(5)
    deleted_at = place.clock.now
    assert await memory.delete("a")
    tombstone = await memory.get("a")
    assert tombstone is not None
    assert (tombstone.deleted_at, tombstone.version, tombstone.data) == (deleted_at, 0, None)
    assert tombstone.fence > lease.fence
    assert [found.id for found in (await memory.instances(Find(deleted=True))).items] == ["a"]
    place.clock.advance(5)
    next_lease = await held(memory)
    assert next_lease.deleted_at == deleted_at
    assert (next_lease.version, next_lease.data) == (0, None)
    assert next_lease.fence > tombstone.fence


async def test_c7_a_late_commit_does_not_bring_a_deleted_instance_back(place: Place) -> None:
    memory = place.open()
    await memory.commit(await held(memory), {"n": 1})
    late = await held(memory)
    place.clock.advance(30)
    assert await memory.delete("a")
    for version in (0, 1):
        late.version = version
        with pytest.raises(LeaseLost):
            await memory.commit(late, {"n": 2})
    assert await memory.read("a") is None


async def test_c7_a_repeat_of_a_commit_does_not_bring_a_deleted_instance_back(place: Place) -> None:
    memory = place.open()
    lease = await held(memory)
    repeat = same_again(lease)
    await memory.commit(lease, {"n": 1}, step=Step("k"))
    assert await memory.delete("a")
    with pytest.raises(LeaseLost):
        await memory.commit(repeat, {"n": 1}, step=Step("k"))
    assert await memory.read("a") is None


async def test_c7_delete_ends_the_rights_over_an_instance_that_was_never_written(place: Place) -> None:
    memory = place.open()
    late = await held(memory)
    place.clock.advance(30)
    assert await memory.delete("a") is False
    with pytest.raises(LeaseLost):
        await memory.commit(late, {"n": 1})
    assert await memory.read("a") is None


async def test_c7_delete_is_refused_while_leased(place: Place) -> None:
    memory, other = place.open(), place.open()
    await memory.commit(await held(memory), {"n": 1})
    lease = await held(memory)
    with pytest.raises(LeaseLost) as caught:
        await other.delete("a")
    assert (caught.value.id, caught.value.operation) == ("a", "delete")
    assert await memory.commit(lease, {"n": 2}) == 2
    assert await other.delete("a")


async def test_c7_a_forced_delete_ends_the_holders_rights(place: Place) -> None:
    memory, other = place.open(), place.open()
    await memory.commit(await held(memory), {"n": 1})
    lease = await held(memory)
    assert await other.delete("a", force=True)
    with pytest.raises(LeaseLost):
        await memory.commit(lease, {"n": 2})
    with pytest.raises(LeaseLost):
        await memory.renew(lease)
    assert await memory.release(lease) is False
    assert await memory.read("a") is None
    assert (await held(other)).fence > lease.fence + 1


async def test_c7_a_fresh_lease_may_create_the_instance_again(place: Place) -> None:
    memory = place.open()
    await memory.commit(await held(memory), {"life": 1}, step=Step("k"))
    assert await memory.delete("a")
    lease = await held(memory, event_key="k")
    assert lease.deleted_at is not None
    assert await memory.commit(lease, {"life": 2}, step=Step("k")) == 1
    again = await held(memory)
    assert (again.version, again.data, again.deleted_at) == (1, {"life": 2}, None)
    assert [step.event_key for step in await memory.journal("a")] == ["k"]
    assert await memory.count() == 1


async def test_c7_tombstones_and_never_written_rows_are_swept_when_old(place: Place) -> None:
    memory = place.open(tombstone_s=1_000.0)
    for id in ("deleted", "kept"):
        await memory.commit(await held(memory, id), {"n": 1})
    assert await memory.delete("deleted")
    await held(memory, "unwritten")
    place.clock.advance(999)
    await held(memory, "busy", ttl_s=3_600)
    assert await _known(memory) == ["busy", "deleted", "kept", "unwritten"]
    place.clock.advance(2_602)  # the memory sweeps once an hour
    await held(memory, "new")
    assert await _known(memory) == ["busy", "kept", "new"]


async def _known(memory: LeasedMemory) -> list[str]:
    ids = ("busy", "deleted", "kept", "new", "unwritten")
    return [id for id in ids if await memory.get(id) is not None]


# --- C8 racers to create ------------------------------------------------------------------------------------------


async def test_c8_of_many_racers_to_create_exactly_one_wins(place: Place) -> None:
    memories = [place.open() for _ in range(8)]

    async def create(n: int, memory: LeasedMemory) -> bool:
        lease = await memory.acquire("a")
        if lease is None:
            return False
        assert (lease.version, lease.data) == (0, None)
        await memory.commit(lease, {"by": n}, release=False)
        return True

    won = await asyncio.gather(*(create(n, memory) for n, memory in enumerate(memories)))
    assert won.count(True) == 1
    assert await memories[0].read("a") == {"by": won.index(True)}


async def test_c8_absent_is_version_zero(place: Place) -> None:
    memory = place.open()
    lease = await held(memory)
    assert (lease.version, lease.data) == (0, None)
    lease.version = 1
    with pytest.raises(WriteConflict) as caught:
        await memory.commit(lease, {})
    assert (caught.value.expected, caught.value.actual) == (1, 0)
    lease.version = 0
    assert await memory.commit(lease, {}) == 1
    second = await held(memory)
    assert second.data == {}
    second.version = 0
    with pytest.raises(WriteConflict) as caught:
        await memory.commit(second, {"n": 1})
    assert (caught.value.expected, caught.value.actual) == (0, 1)


# --- C9 unknown outcomes --------------------------------------------------------------------------------------------


async def test_c9_a_commit_whose_answer_was_lost_recognises_itself(place: Place) -> None:
    memory = place.open(faults=[fine, after(UNKNOWN)])
    lease = await held(memory)
    step = Step("k", ({"id": "1"},))
    with pytest.raises(WriteOutcomeUnknown):
        await memory.commit(lease, {"n": 1}, step=step)
    assert lease.version == 0
    assert await memory.commit(lease, {"n": 1}, step=step) == 1
    assert (lease.version, lease.held) == (1, False)
    found = await memory.get("a")
    assert found is not None
    assert (found.version, found.held) == (1, False)
    assert len(await memory.journal("a")) == 1


async def test_c9_a_repeat_recognises_itself_after_a_successor_has_come(place: Place) -> None:
    memory, other = place.open(), place.open()
    lease = await held(memory)
    repeat = same_again(lease)
    assert await memory.commit(lease, {"n": 1}, step=Step("k1")) == 1
    successor = await held(other)
    assert await memory.commit(same_again(repeat), {"n": 1}, step=Step("k1")) == 1
    assert await other.commit(successor, {"n": 2}, step=Step("k2")) == 2
    assert await memory.commit(same_again(repeat), {"n": 1}, step=Step("k1")) == 1
    assert await memory.read("a") == {"n": 2}
    assert [step.version for step in await memory.journal("a")] == [1, 2]


async def test_c9_a_repeat_is_known_by_data_and_step_and_token(place: Place) -> None:
    memory, other = place.open(), place.open()
    lease = await held(memory)
    repeat = same_again(lease)
    step = Step("k", ({"id": "1"},))
    await memory.commit(lease, {"n": 1}, step=step)
    for data, changed in (
        ({"n": 2}, step),
        ({"n": 1}, Step("k2", step.produced)),
        ({"n": 1}, Step("k", ({"id": "2"},))),
        ({"n": 1}, None),
    ):
        with pytest.raises(LeaseLost):
            await memory.commit(same_again(repeat), data, step=changed)
    other_lease = await held(other)
    other_lease.version = 0
    with pytest.raises(WriteConflict):
        await other.commit(other_lease, {"n": 1})


async def test_c9_the_same_token_with_other_data_is_a_new_write(place: Place) -> None:
    memory = place.open()
    lease = await held(memory)
    repeat = same_again(lease)
    assert await memory.commit(lease, {"n": 1}, release=False) == 1
    with pytest.raises(WriteConflict):
        await memory.commit(same_again(repeat), {"n": 2})
    assert await memory.commit(same_again(repeat), {"n": 1}, release=False) == 1
    assert await memory.commit(lease, {"n": 1}, release=False) == 2


async def test_c9_a_repeat_is_recognised_however_old_its_step_is(place: Place) -> None:
    memory = place.open(journal=2)
    lease = await held(memory)
    repeat = same_again(lease)
    await memory.commit(lease, {"n": 0}, step=Step("k0"))
    for n in range(1, 5):
        await memory.commit(await held(memory), {"n": n}, step=Step(f"k{n}"))
    assert await memory.commit(repeat, {"n": 0}, step=Step("k0")) == 1
    assert await memory.read("a") == {"n": 4}


async def test_c9_an_acquire_whose_answer_was_lost_is_granted_once(place: Place) -> None:
    memory, other = place.open(faults=[after(UNKNOWN)], lock_attempts=3), place.open()
    lease = await held(memory)
    assert asked(memory) == ["Acquire", "Acquire"]
    assert lease.fence == 1
    assert await other.acquire("a") is None
    assert await memory.commit(lease, {"n": 1}) == 1


async def test_c9_renew_and_release_may_be_repeated(place: Place) -> None:
    memory, other = place.open(faults=[fine, after(UNKNOWN), after(UNKNOWN)]), place.open()
    lease = await held(memory, ttl_s=30)
    await memory.renew(lease, ttl_s=60)
    place.clock.advance(59.9)
    assert await other.acquire("a") is None
    assert await memory.release(lease) is True
    assert await memory.release(lease) is True
    taken = await held(other)
    assert await memory.release(lease) is False
    assert await other.commit(taken, {}) == 1


async def test_c9_an_acquire_that_stays_unknown_leaves_no_lease(place: Place) -> None:
    memory, other = place.open(faults=[after(UNKNOWN)] * 3, lock_attempts=3), place.open(lock_attempts=3)
    with pytest.raises(MemoryUnavailable):
        await memory.acquire("a")
    assert (await held(other)).fence == 2
