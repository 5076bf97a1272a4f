"""Section 3: cancellation (C10), steps and replays (C11), waiting (C12)."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from tests.loop_time import standing, waited

from pyarvo.errors import EventConsumed, InvalidRecord, LeaseLost, MemoryFault
from pyarvo.memory import Lease, LeasedMemory, Step

from .place import Place, after, asked, fine, held, same_again, until, waits_for
from .test_instances import UNKNOWN

KEY = '["com.shop","evt-1"]'
PRODUCED = ({"id": "p1", "type": "com.pay"}, {"id": "p2", "data": {"é": [1.5, None]}})


# --- C10 cancellation (every suspension of every verb: tests/integration/test_cancellation.py) ------------------


async def test_c10_an_acquire_whose_caller_went_away_is_released(place: Place) -> None:
    memory, other = place.open(), place.open(lock_attempts=3)
    for turns in range(12):
        acquiring = asyncio.create_task(memory.acquire("a"))
        for _ in range(turns):
            await asyncio.sleep(0)
        acquiring.cancel()
        (result,) = await asyncio.gather(acquiring, return_exceptions=True)
        if isinstance(result, Lease):  # it was faster
            assert await memory.release(result)
        else:
            assert isinstance(result, asyncio.CancelledError)
        assert await other.release(await held(other))
    # And once with the store in the middle of it for certain.
    gate = asyncio.Event()
    slow = place.open(faults=[waits_for(gate)], suspends=True)
    acquiring = asyncio.create_task(slow.acquire("b"))
    await until(lambda: asked(slow) == ["Acquire"])
    acquiring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await acquiring
    gate.set()
    await slow.close()
    assert (await held(other, "b")).fence == 2


async def test_c10_an_answer_after_the_deadline_is_given_back(place: Place) -> None:
    gate = asyncio.Event()
    memory = place.open(faults=[waits_for(gate)], suspends=True, deadline_s=1.0, batching=False)
    other = place.open()
    with standing() as advance:
        acquiring = asyncio.create_task(memory.acquire("a"))
        await until(lambda: asked(memory) == ["Acquire"])
        advance(1.1)
        with pytest.raises(MemoryFault, match="no answer within"):
            await acquiring
    await until(
        lambda: asked(memory)[:2] == ["Acquire", "Release"]
    )  # the release went ahead, and found nothing
    gate.set()
    await memory.close()  # it waits for the answer, and gives the lease back
    assert (await held(other)).fence == 2


async def test_c10_a_commit_whose_caller_went_away_is_whole_or_not_at_all(place: Place) -> None:
    other = place.open()
    for turns in range(12):
        id = f"a{turns}"
        memory = place.open()
        lease = await held(memory, id)
        repeat = same_again(lease)
        committing = asyncio.create_task(memory.commit(lease, {"n": turns}, step=Step(KEY, PRODUCED)))
        for _ in range(turns):
            await asyncio.sleep(0)
        committing.cancel()
        await asyncio.gather(committing, return_exceptions=True)
        await memory.close()  # it waits for what was sent
        found = await other.get(id)
        assert found is not None
        whole = (found.version, found.data, found.held, len(await other.journal(id)))
        assert whole in ((0, None, True, 0), (1, {"n": turns}, False, 1))
        assert await other.commit(repeat, {"n": turns}, step=Step(KEY, PRODUCED)) == 1


# --- C11 steps ----------------------------------------------------------------------------------------------------


async def test_c11_a_consumed_event_is_answered_with_its_step_and_no_lease(place: Place) -> None:
    memory, other = place.open(), place.open()
    at = place.clock.now
    assert await memory.commit(await held(memory), {"n": 1}, step=Step(KEY, PRODUCED)) == 1
    place.clock.advance(5)
    replay = await other.acquire("a", event_key=KEY)
    assert replay is not None
    assert replay.replay == Step(KEY, PRODUCED, 1, at)
    assert (replay.held, replay.token, replay.version, replay.data) == (False, "", 1, {"n": 1})
    found = await memory.get("a")
    assert found is not None
    assert (found.held, found.fence) == (False, 1)


async def test_c11_a_replay_is_given_also_while_another_holds_the_lease(place: Place) -> None:
    memory, other = place.open(), place.open()
    await memory.commit(await held(memory), {"n": 1}, step=Step(KEY, PRODUCED))
    holder = await held(memory)
    replay = await other.acquire("a", event_key=KEY)
    assert replay is not None
    assert replay.replay is not None
    assert not replay.held
    assert await memory.commit(holder, {"n": 2}) == 2


async def test_c11_a_replay_is_no_lease(place: Place) -> None:
    memory = place.open()
    await memory.commit(await held(memory), {"n": 1}, step=Step(KEY))
    replay = await memory.acquire("a", event_key=KEY)
    assert replay is not None
    assert (replay.held, replay.expires_in_s) == (False, 0.0)
    for call in (memory.commit(replay, {"n": 2}), memory.renew(replay)):
        with pytest.raises(LeaseLost):
            await call
    assert await memory.release(replay) is False
    assert await memory.read("a") == {"n": 1}


async def test_c11_what_is_no_event_key_is_refused_by_name(place: Place) -> None:
    memory = place.open()
    wrong_ones: list[Any] = [[], "", ["com.a", None], 5, {}]
    for wrong in wrong_ones:
        with pytest.raises(InvalidRecord, match="event_key") as caught:
            await memory.acquire("a", event_key=wrong)
        assert (caught.value.id, caught.value.operation) == ("a", "acquire")
    assert await memory.acquire("a")


async def test_c11_an_event_is_consumed_once(place: Place) -> None:
    memory = place.open()
    await memory.commit(await held(memory), {"n": 1}, step=Step(KEY, PRODUCED))
    lease = await held(memory)
    with pytest.raises(EventConsumed) as caught:
        await memory.commit(lease, {"n": 2}, step=Step(KEY, ({"id": "other"},)))
    assert caught.value.step == Step(KEY, PRODUCED, 1, place.clock.now)
    assert (caught.value.id, caught.value.operation) == ("a", "commit")
    assert await memory.read("a") == {"n": 1}
    assert await memory.commit(lease, {"n": 2}, step=Step("another")) == 2


async def test_c11_an_event_is_consumed_once_for_the_instances_life(place: Place) -> None:
    memory = place.open(journal=2)
    for n in range(5):
        await memory.commit(await held(memory), {"n": n}, step=Step(f"k{n}", ({"n": n},)))
    for n in range(5):
        replay = await memory.acquire("a", event_key=f"k{n}")
        assert replay is not None
        assert replay.replay is not None
        assert (replay.replay.version, replay.held) == (n + 1, False)
        # The bodies of the last two are kept; an older key still answers "consumed".
        assert replay.replay.produced == (({"n": n},) if n >= 3 else ())
    lease = await held(memory)
    with pytest.raises(EventConsumed):
        await memory.commit(lease, {}, step=Step("k0"))
    assert [step.event_key for step in await memory.journal("a")] == ["k0", "k1", "k2", "k3", "k4"]


async def test_c11_the_event_key_is_source_and_id_in_any_spelling(place: Place) -> None:
    memory = place.open()
    await memory.commit(await held(memory), {}, step=Step('[ "com.shop" , "evt-1" ]'))
    for same in (KEY, ["com.shop", "evt-1"], ("com.shop", "evt-1"), '["com.sh\\u006fp","evt-1"]'):
        replay = await memory.acquire("a", event_key=same)
        assert replay is not None
        assert replay.replay is not None
        assert replay.replay.event_key == KEY
    for other in (["com.store", "evt-1"], ["com.shop", "evt-2"], "evt-1", ["com.shop,evt-1"]):
        lease = await held(memory, event_key=other)
        assert await memory.release(lease)


async def test_c11_the_same_event_may_be_consumed_by_two_instances(place: Place) -> None:
    memory = place.open()
    for id in ("a", "b"):
        assert await memory.commit(await held(memory, id, event_key=KEY), {}, step=Step(KEY)) == 1


async def test_c11_record_and_step_are_written_together_or_not_at_all(place: Place) -> None:
    memory, other = place.open(faults=[fine, after(UNKNOWN)]), place.open()
    lease = await held(memory)
    with pytest.raises(type(UNKNOWN)):
        await memory.commit(lease, {"n": 1}, step=Step(KEY, PRODUCED))
    assert await other.read("a") == {"n": 1}
    (step,) = await other.journal("a")
    assert (step.event_key, step.produced, step.version) == (KEY, PRODUCED, 1)
    if place.kind == "sqlite":  # a store that takes the record and then refuses the step
        with closing(sqlite3.connect(place.path)) as connection, connection:
            connection.execute(
                "CREATE TRIGGER refuse BEFORE INSERT ON step BEGIN SELECT RAISE(ABORT, 'no steps today'); END"
            )
        lease = await held(memory)
        with pytest.raises(MemoryFault, match="no steps today"):
            await memory.commit(lease, {"n": 2}, step=Step("another"))
        found = await other.get("a")
        assert found is not None
        assert (found.version, found.data, found.held) == (1, {"n": 1}, True)


async def test_c11_of_two_deliveries_at_once_one_runs(place: Place) -> None:
    memory, other = place.open(lock_attempts=3), place.open(lock_attempts=3)
    ran: list[str] = []

    async def deliver(name: str, memory: LeasedMemory) -> Step | None:
        lease = await memory.acquire("a", event_key=KEY)
        if lease is None:
            return None
        if lease.replay is not None:
            return lease.replay
        ran.append(name)
        await asyncio.sleep(0)
        try:
            await memory.commit(lease, {"by": name}, step=Step(KEY, ({"by": name},)))
        except EventConsumed as fault:
            return fault.step
        return None

    results = await asyncio.gather(deliver("one", memory), deliver("two", other))
    assert len(ran) == 1
    replayed = [result for result in results if result is not None]
    assert [step.produced for step in replayed] == [({"by": ran[0]},)]


async def test_c11_a_late_delivery_after_a_takeover_is_answered_with_the_step(place: Place) -> None:
    memory, other = place.open(), place.open()
    slow = await held(memory, event_key=KEY)
    place.clock.advance(30)
    quick = await held(other, event_key=KEY)
    await other.commit(quick, {"by": "quick"}, step=Step(KEY, PRODUCED))
    with pytest.raises(Exception, match="released, or held by another since"):
        await memory.commit(slow, {"by": "slow"}, step=Step(KEY))
    replay = await memory.acquire("a", event_key=KEY)
    assert replay is not None
    assert replay.replay is not None
    assert replay.replay.produced == PRODUCED


async def test_c11_writes_without_a_step_are_in_the_journal_while_they_are_young(place: Place) -> None:
    memory = place.open(journal=2)
    lease = await held(memory)
    for n in range(4):
        await memory.commit(lease, {"n": n}, release=False)
    journal = await memory.journal("a")
    assert [(step.event_key, step.version) for step in journal] == [("", 3), ("", 4)]


# --- C12 waiting --------------------------------------------------------------------------------------------------


async def test_c12_an_instance_never_waits_for_anothers_lease(place: Place) -> None:
    memory, other = place.open(), place.open()
    for n in range(20):
        await held(memory, f"held{n}")
    with waited() as pauses:
        for n in range(40):
            await other.commit(await held(other, f"free{n}"), {"n": n})
    assert pauses.seconds < 0.5


async def test_c12_nothing_is_held_between_calls(place: Place) -> None:
    memory, other = place.open(), place.open()
    lease = await held(memory)
    await memory.commit(lease, {"n": 1}, release=False)
    await memory.renew(lease)
    if place.kind == "sqlite":  # nobody is in the way of a writer that does not wait
        with closing(sqlite3.connect(place.path, timeout=0, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    assert await other.commit(await held(other, "b"), {"n": 2}) == 1


async def test_c12_a_denied_caller_does_not_hold_up_the_others(place: Place) -> None:
    memory, other = place.open(), place.open(lock_attempts=3)
    await held(memory)
    with standing() as advance:  # so their pauses are not over, however long the others take
        waiting = [asyncio.create_task(other.acquire("a")) for _ in range(6)]
        await asyncio.sleep(0)
        for n in range(3):
            await other.commit(await held(other, f"b{n}"), {"n": n})
        assert not any(task.done() for task in waiting)
        advance(0.1)
    assert await asyncio.gather(*waiting) == [None] * 6
