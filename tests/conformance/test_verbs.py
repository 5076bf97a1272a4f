"""Section 2, the four verbs: V1 read, V2 write, V3 lock, V4 unlock, V5 whose lock it is, V6 refusals."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from tests.loop_time import standing, waited

from pyarvo.errors import (
    InvalidOption,
    InvalidRecord,
    LeaseLost,
    MemoryUnavailable,
    RecordCorrupt,
    RecordTooLarge,
    WriteOutcomeUnknown,
)

from .place import Place, after, asked, before, elsewhere, fine, hangs, until, waits_for

GONE = MemoryUnavailable("connection reset")
FORBIDDEN = MemoryUnavailable("permission denied", transient=False)
UNKNOWN = WriteOutcomeUnknown("connection reset")


# --- V1 read ----------------------------------------------------------------------------------------------------


async def test_v1_read_is_none_only_where_no_record_is(place: Place) -> None:
    memory = place.open()
    assert await memory.read("a") is None
    assert await memory.lock("a")
    assert await memory.read("a") is None
    await memory.write("a", {})
    assert await memory.read("a") == {}
    assert await place.open().read("a") == {}


async def test_v1_read_needs_no_lease_and_takes_none(place: Place) -> None:
    memory, other = place.open(), place.open()
    assert await memory.lock("a")
    await memory.write("a", {"n": 1})
    assert await other.read("a") == {"n": 1}
    await memory.write("a", {"n": 2})
    assert await other.read("a") == {"n": 2}


async def test_v1_transient_faults_are_read_again_up_to_three_times(place: Place) -> None:
    memory = place.open(faults=[before(GONE), before(UNKNOWN), fine])
    assert await memory.read("a") is None
    assert asked(memory) == ["Read"] * 3


async def test_v1_a_store_that_stays_away_is_unavailable(place: Place) -> None:
    memory = place.open(faults=[before(GONE)] * 3)
    with waited() as pauses, pytest.raises(MemoryUnavailable) as caught:
        await memory.read("a")
    assert (caught.value.id, caught.value.operation) == ("a", "read")
    assert asked(memory) == ["Read"] * 3
    assert pauses.seconds < 1.0


async def test_v1_a_store_that_does_not_answer_is_unavailable_within_a_second(place: Place) -> None:
    memory = place.open(faults=[hangs] * 3, suspends=True, deadline_s=0.2)
    with waited() as total, pytest.raises(MemoryUnavailable):
        await memory.read("a")
    assert 0.8 < total.seconds < 1.0


async def test_v1_permanent_faults_are_raised_at_once(place: Place) -> None:
    memory = place.open(faults=[before(FORBIDDEN)])
    with pytest.raises(MemoryUnavailable, match="permission denied"):
        await memory.read("a")
    assert asked(memory) == ["Read"]


@pytest.mark.parametrize("raw", [b"", b'{"n": ', b"\x01zstd", b"null", b"{\xff}"])
async def test_v1_bytes_that_do_not_decode_are_corrupt_and_never_absent(place: Place, raw: bytes) -> None:
    memory = place.open()
    assert await memory.lock("a")
    await memory.write("a", {"n": 1})
    assert await memory.unlock("a")
    place.damage("a", raw)
    for ask in (memory.read, memory.acquire, memory.get):
        with pytest.raises(RecordCorrupt) as caught:
            await ask("a")
        assert caught.value.id == "a"
    # The acquire gave back what it was granted: the next one fails for the bytes, not for the lease.
    with pytest.raises(RecordCorrupt):
        await place.open(lock_attempts=3).acquire("a")


# --- V2 write ---------------------------------------------------------------------------------------------------


async def test_v2_a_write_stands_on_a_lease(place: Place) -> None:
    memory = place.open()
    with pytest.raises(LeaseLost) as caught:
        await memory.write("a", {"n": 1})
    assert (caught.value.id, caught.value.operation) == ("a", "write")
    assert await memory.read("a") is None


async def test_v2_a_write_is_refused_while_somebody_else_holds_the_lease(place: Place) -> None:
    memory, other = place.open(), place.open()
    assert await memory.lock("a")
    assert not await other.lock("a")
    with pytest.raises(LeaseLost):
        await other.write("a", {"n": 2})
    assert await memory.read("a") is None


async def test_v2_a_write_is_refused_once_another_has_held_the_lease(place: Place) -> None:
    memory, other = place.open(), place.open()
    assert await memory.lock("a")
    place.clock.advance(31)
    assert await other.lock("a")
    assert await other.unlock("a")
    with pytest.raises(LeaseLost):
        await memory.write("a", {"n": 1})
    assert await memory.read("a") is None
    assert not await memory.unlock("a")


async def test_v2_the_same_lease_writes_many_times(place: Place) -> None:
    memory = place.open()
    assert await memory.lock("a")
    for n in range(3):
        await memory.write("a", {"n": n})
    found = await memory.get("a")
    assert found is not None
    assert (found.version, found.data) == (3, {"n": 2})


@pytest.mark.parametrize("fault", [GONE, UNKNOWN])
async def test_v2_a_write_is_one_attempt_and_says_not_applied_or_unknown(
    place: Place, fault: MemoryUnavailable | WriteOutcomeUnknown
) -> None:
    memory = place.open(faults=[fine, before(fault)])
    assert await memory.lock("a")
    with pytest.raises(type(fault)) as caught:
        await memory.write("a", {"n": 1})
    assert (caught.value.id, caught.value.operation) == ("a", "write")
    assert asked(memory) == ["Acquire", "Commit"]


async def test_v2_a_write_without_an_answer_is_unknown_at_the_deadline(place: Place) -> None:
    gate = asyncio.Event()
    memory = place.open(faults=[fine, waits_for(gate)], suspends=True, deadline_s=3.0)
    assert await memory.lock("a")
    with standing() as advance:
        writing = asyncio.create_task(memory.write("a", {"n": 1}))
        await until(lambda: asked(memory) == ["Acquire", "Commit"])
        advance(2.9)
        for _ in range(10):
            await asyncio.sleep(0)
        assert not writing.done()
        advance(0.2)
        with pytest.raises(WriteOutcomeUnknown):
            await writing
    gate.set()


# --- V3 lock ----------------------------------------------------------------------------------------------------


async def test_v3_lock_is_true_for_one_and_false_for_the_others(place: Place) -> None:
    memory, other = place.open(), place.open()
    assert await memory.lock("a") is True
    assert await other.lock("a") is False
    assert await other.lock("b") is True


async def test_v3_lock_asks_three_times_within_half_a_second(place: Place) -> None:
    memory, other = place.open(), place.open(faults=[fine], lock_attempts=3)
    assert await memory.lock("a")
    with waited() as pauses:
        assert not await other.lock("a")
    assert asked(other) == ["Acquire"] * 3
    assert pauses.seconds < 0.5


async def test_v3_lock_is_not_reentrant(place: Place) -> None:
    memory = place.open()
    assert await memory.lock("a")
    assert not await memory.lock("a")
    await memory.write("a", {"still": "mine"})
    assert await memory.unlock("a")


async def test_v3_a_store_fault_is_raised_and_is_not_a_denial(place: Place) -> None:
    memory = place.open(faults=[before(GONE)] * 3, lock_attempts=3)
    with pytest.raises(MemoryUnavailable) as caught:
        await memory.lock("a")
    assert (caught.value.id, caught.value.operation) == ("a", "lock")
    memory = place.open(faults=[before(FORBIDDEN)], lock_attempts=3)
    with pytest.raises(MemoryUnavailable, match="permission"):
        await memory.lock("a")
    assert asked(memory) == ["Acquire"]


async def test_v3_an_acquire_takes_no_longer_than_the_deadline(place: Place) -> None:
    memory = place.open(faults=[hangs] * 3, suspends=True, lock_attempts=3, deadline_s=0.3)
    with waited() as total, pytest.raises(MemoryUnavailable):
        await memory.lock("a")
    assert 0.25 < total.seconds < 0.6


async def test_v3_every_lease_ends_by_itself_after_thirty_seconds(place: Place) -> None:
    memory, other = place.open(), place.open()
    assert await memory.lock("a")
    place.clock.advance(29.9)
    assert not await other.lock("a")
    place.clock.advance(0.1)
    assert await other.lock("a")


@pytest.mark.parametrize("ttl", [0, -1, 0.5, 3_601, float("inf"), float("nan"), "long", True])
async def test_v3_a_ttl_out_of_bounds_is_refused(place: Place, ttl: Any) -> None:
    memory = place.open(faults=[fine])
    with pytest.raises(InvalidOption, match=r"1\.0 to 3,600\.0 seconds"):
        await memory.acquire("a", ttl_s=ttl)
    with pytest.raises(InvalidOption):
        place.open(lease_ttl_s=ttl)
    assert asked(memory) == []


async def test_v3_the_ttl_may_be_one_second_to_one_hour(place: Place) -> None:
    short, other = place.open(lease_ttl_s=1), place.open()
    assert await short.lock("a")
    place.clock.advance(1.0)
    long = await other.acquire("a", ttl_s=3_600)
    assert long is not None
    place.clock.advance(3_599.0)
    assert not await short.lock("a")


# --- V4 unlock --------------------------------------------------------------------------------------------------


async def test_v4_unlock_ends_the_lease(place: Place) -> None:
    memory, other = place.open(), place.open()
    assert await memory.lock("a")
    assert await memory.unlock("a") is True
    assert await other.lock("a") is True
    assert await memory.unlock("a") is False


async def test_v4_unlock_by_a_former_owner_is_false_and_harmless(place: Place) -> None:
    memory, other, third = place.open(), place.open(), place.open()
    assert await memory.lock("a")
    place.clock.advance(31)
    assert await other.lock("a")
    assert await memory.unlock("a") is False
    assert not await third.lock("a")
    await other.write("a", {"n": 2})


async def test_v4_unlock_without_a_lock_is_false(place: Place) -> None:
    memory, other = place.open(), place.open()
    assert await memory.unlock("a") is False
    assert await other.lock("a")
    assert await memory.unlock("a") is False
    await other.write("a", {"n": 1})


async def test_v4_unlock_never_raises_for_a_store_fault(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    memory = place.open(faults=[fine, *[before(GONE)] * 3])
    assert await memory.lock("a")
    with caplog.at_level(logging.WARNING, "pyarvo.memory"):
        assert await memory.unlock("a") is False
    assert "ends by its TTL" in caplog.text
    assert asked(memory) == ["Acquire"] + ["Release"] * 3


async def test_v4_unlock_whose_answer_was_lost_asks_again(place: Place) -> None:
    memory, other = place.open(faults=[fine, after(UNKNOWN)]), place.open()
    assert await memory.lock("a")
    assert await memory.unlock("a") is True
    assert await other.lock("a")


async def test_v4_a_cancelled_unlock_still_unlocks(place: Place) -> None:
    memory, other = place.open(), place.open(lock_attempts=3)
    for turns in range(4):
        assert await memory.lock("a")
        unlocking = asyncio.create_task(memory.unlock("a"))
        for _ in range(turns):
            await asyncio.sleep(0)
        unlocking.cancel()
        await asyncio.gather(unlocking, return_exceptions=True)
        if turns == 0:  # never started: nobody asked for anything yet
            assert await memory.unlock("a")
        lease = await other.acquire("a")  # in a moment, where the unlock is still under way
        assert lease is not None
        assert await other.release(lease)


# --- V5 whose lock ----------------------------------------------------------------------------------------------


async def _two_grants(place: Place, memory: Any) -> None:
    """Two other callers' leases of "a", over but never given up: only a cell tells whose is whose."""
    for _ in range(2):
        assert await elsewhere(lambda: memory.lock("a"))
        place.clock.advance(31)


async def _writes_as_owner(place: Place, memory: Any) -> None:
    await memory.write("a", {"n": 1})
    assert not await place.open().lock("a")
    assert await memory.unlock("a")
    assert await place.open().lock("a")


async def test_v5_a_lock_is_found_again_under_wait_for(place: Place) -> None:
    memory = place.open()
    await _two_grants(place, memory)
    # A task of its own: from Python 3.12 on, wait_for runs a bare coroutine in the caller's, which hides nothing.
    assert await asyncio.wait_for(asyncio.ensure_future(memory.lock("a")), 5)
    assert await memory.unlock("a")
    assert await asyncio.wait_for(memory.lock("a"), 5)
    await _writes_as_owner(place, memory)


async def test_v5_a_lock_is_found_again_under_gather(place: Place) -> None:
    memory = place.open()
    await _two_grants(place, memory)
    assert await asyncio.gather(memory.lock("a"), memory.lock("b")) == [True, True]
    await asyncio.gather(memory.write("b", {"n": 2}), memory.unlock("b"))
    await _writes_as_owner(place, memory)


async def test_v5_a_lock_is_found_again_under_create_task(place: Place) -> None:
    memory = place.open()
    await _two_grants(place, memory)
    assert await asyncio.create_task(memory.lock("a"))
    await asyncio.create_task(memory.write("a", {"n": 0}))
    await asyncio.create_task(_writes_as_owner(place, memory))


async def test_v5_a_lock_taken_from_another_thread_is_found_there(place: Place) -> None:
    memory = place.open()
    await _two_grants(place, memory)
    loop = asyncio.get_running_loop()

    def worker() -> bool:
        held = asyncio.run_coroutine_threadsafe(memory.lock("a"), loop).result(5)
        asyncio.run_coroutine_threadsafe(memory.write("a", {"thread": True}), loop).result(5)
        return held and asyncio.run_coroutine_threadsafe(memory.unlock("a"), loop).result(5)

    assert await asyncio.to_thread(worker)
    assert await memory.read("a") == {"thread": True}


async def test_v5_a_caller_without_a_cell_acts_for_the_only_grant(place: Place) -> None:
    memory = place.open()
    assert await elsewhere(lambda: memory.lock("a"))
    await memory.write("a", {"n": 1})
    assert await memory.unlock("a")
    assert await place.open().lock("a")


async def test_v5_a_caller_without_a_cell_is_refused_where_two_grants_are_open(place: Place) -> None:
    memory = place.open()
    for _ in range(2):
        place.clock.advance(31)
        assert await elsewhere(lambda: memory.lock("a"))
    with pytest.raises(LeaseLost):
        await memory.write("a", {"n": 1})
    assert await memory.unlock("a") is False
    assert await memory.read("a") is None
    assert not await place.open().lock("a")


async def test_v5_a_denied_caller_does_not_act_for_the_holder(place: Place) -> None:
    memory = place.open()
    assert await elsewhere(lambda: memory.lock("a"))
    assert not await memory.lock("a")
    with pytest.raises(LeaseLost):
        await memory.write("a", {"n": 1})
    assert await memory.unlock("a") is False
    assert not await place.open().lock("a")


async def test_v5_a_caller_that_unlocked_does_not_act_for_the_next_holder(place: Place) -> None:
    memory = place.open()
    assert await memory.lock("a")
    assert await memory.unlock("a")
    assert await elsewhere(lambda: memory.lock("a"))
    with pytest.raises(LeaseLost):
        await memory.write("a", {"n": 1})
    assert await memory.unlock("a") is False


async def test_v5_another_memory_object_has_no_part_in_the_lock(place: Place) -> None:
    memory, other = place.open(), place.open()
    assert await memory.lock("a")
    with pytest.raises(LeaseLost):
        await other.write("a", {"n": 1})
    assert await other.unlock("a") is False


# --- V6 refusals ------------------------------------------------------------------------------------------------

BAD_IDS: list[Any] = ["", "x" * 5_000, "é" * 2_049, "\ud800", None, 7, b"a"]


@pytest.mark.parametrize("id", BAD_IDS, ids=lambda id: f"{type(id).__name__}-{len(str(id))}")
async def test_v6_a_bad_id_is_refused_by_every_verb_before_any_io(place: Place, id: Any) -> None:
    memory = place.open(faults=[fine])
    for verb in (memory.read, memory.lock, memory.unlock, memory.acquire, memory.get, memory.delete):
        with pytest.raises(InvalidRecord, match="id") as caught:
            await verb(id)
        named = id if isinstance(id, str) else None
        assert (caught.value.id, caught.value.operation) == (named, verb.__name__)
    with pytest.raises(InvalidRecord, match="id"):
        await memory.write(id, {})
    assert asked(memory) == []


async def test_v6_a_bad_record_is_refused_before_any_io_and_changes_nothing(place: Place) -> None:
    memory = place.open(faults=[fine], record_limit=1_024)
    assert await memory.lock("a")
    await memory.write("a", {"n": 1})
    sent = asked(memory)
    not_an_object: Any = ["a list"]
    with pytest.raises(InvalidRecord):
        await memory.write("a", not_an_object)
    with pytest.raises(InvalidRecord, match=r"\$\.items\[1\]\.price"):
        await memory.write("a", {"items": [{}, {"price": float("nan")}]})
    with pytest.raises(RecordTooLarge) as caught:
        await memory.write("a", {"text": "x" * 1_024})
    assert (caught.value.id, caught.value.operation) == ("a", "write")
    assert (caught.value.size, caught.value.limit) == (1_024 + len('{"text":""}'), 1_024)
    assert asked(memory) == sent
    assert await memory.read("a") == {"n": 1}


async def test_v6_the_record_is_refused_also_where_no_lease_is(place: Place) -> None:
    with pytest.raises(InvalidRecord):
        await place.open().write("a", {"n": float("inf")})
