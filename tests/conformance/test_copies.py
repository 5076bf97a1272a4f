"""Whole instances from one store into another: what was promised in the first holds in the second."""

from __future__ import annotations

import asyncio
from typing import Any

from pyarvo.memory import Find, LeasedMemory, SimpleMachineMemory, Step
from pyarvo.memory.copying import Copied, Fate, copy, fingerprint

from .place import Clock, Place, held, same_again

IDS = ("plain", "stepped", "child-of-stepped", "leased-only", "gone", "noted", "ü {b} \n \0 " + "x" * 600)


def step(n: int) -> Step:
    return Step(f'["src","{n}"]', ({"id": f"out-{n}", "type": "evt.out"},))


async def write(memory: LeasedMemory, id: str, record: dict[str, Any], by: Step | None = None) -> None:
    await memory.commit(await held(memory, id), record, step=by)


async def fill(memory: LeasedMemory, clock: Clock) -> None:
    """An instance of every kind, each a second after the one before; nobody holds one in the end."""
    await write(memory, "plain", {"status": "active", "text": "ü\u2028", "big": 2**63})
    clock.advance(1)
    for n in (1, 2, 3):
        await write(memory, "stepped", {"status": "active", "n": n}, step(n))
    await write(memory, "stepped", {"status": "active", "n": 4})
    clock.advance(1)
    await write(memory, "child-of-stepped", {"status": "done", "parentSubject": "stepped"}, step(1))
    clock.advance(1)
    assert await memory.release(await held(memory, "leased-only"))
    clock.advance(1)
    await write(memory, "gone", {"status": "done"}, step(1))
    await memory.delete("gone")
    clock.advance(1)
    await write(memory, "noted", {"status": "active"})
    await held(memory, "noted")
    await memory.force_release("noted", reason="a copy is made")
    clock.advance(1)
    await write(memory, IDS[-1], {"status": "active"}, step(1))


async def copied(source: LeasedMemory, target: LeasedMemory, **options: Any) -> dict[str, Copied]:
    return {one.id: one async for one in copy(source, target, **options)}


async def shown(memory: LeasedMemory) -> list[tuple[Any, ...]]:
    """What a person sees of every instance, newest first."""
    seen: list[tuple[Any, ...]] = []
    for deleted in (False, True):
        async for it in memory.each(Find(deleted=deleted)):
            whole = await memory.get(it.id)
            assert whole is not None
            times = (round(it.created_at, 3), round(it.updated_at, 3), it.deleted_at is None)
            labels = (it.orchestrator, it.orchestrator_version, it.status, it.parent)
            steps = await memory.journal(it.id)
            journal = [(one.version, one.event_key, one.produced) for one in steps]
            state = (it.version, it.fence, it.held, it.lapsed, it.note, whole.data)
            seen.append((it.id, *state, *labels, *times, journal))
    return seen


async def there_and_back(place: Place) -> tuple[LeasedMemory, LeasedMemory]:
    """A store filled elsewhere and copied into *place*, and the memory that it came from."""
    source = SimpleMachineMemory(clock=place.clock)
    await fill(source, place.clock)
    place.clock.advance(100)
    target = place.open()
    result = await copied(source, target)
    assert {one.fate for one in result.values()} == {Fate.COPIED}, result
    return source, target


async def test_all_is_there_and_a_second_copy_writes_nothing(place: Place) -> None:
    source, target = await there_and_back(place)
    assert sorted(it[0] for it in await shown(target)) == sorted(IDS)
    assert await shown(target) == await shown(source)
    again = await copied(source, target)
    assert {one.fate for one in again.values()} == {Fate.SAME}
    for id in IDS:
        image = await target.image(id)
        assert image is not None
        assert again[id].hash == fingerprint(image, target.most_bodies)


async def test_from_here_into_another_store(place: Place) -> None:
    source = place.open(history=2)
    await fill(source, place.clock)
    target = SimpleMachineMemory(clock=place.clock, history=2)
    result = await copied(source, target)
    assert {one.fate for one in result.values()} == {Fate.COPIED}, result
    assert await shown(target) == await shown(source)
    assert await target.history("stepped") == await source.history("stepped")
    assert [version for version, _ in await target.history("stepped")] == [3, 2]


async def test_the_contract_goes_on_in_the_copy(place: Place) -> None:
    _, target = await there_and_back(place)
    # Consumed events replay (C11), fences and versions go on (C1), a tombstone is one (C7).
    for n in (1, 3):
        replayed = await target.acquire("stepped", event_key=step(n).event_key)
        assert replayed is not None
        assert replayed.replay is not None
        assert (replayed.replay.produced, replayed.replay.version) == (step(n).produced, n)
    lease = await held(target, "stepped", event_key='["src","new"]')
    assert (lease.version, lease.fence, lease.data) == (4, 5, {"status": "active", "n": 4})
    assert await target.commit(lease, {"status": "done", "n": 5}, step=Step('["src","new"]')) == 5
    buried = await held(target, "gone")
    assert buried.deleted_at is not None
    assert buried.fence == 3
    noted = await target.get("noted")
    assert noted is not None
    assert (noted.note, noted.held, noted.fence) == ("a copy is made", False, 3)
    assert [it.id for it in await target.children("stepped")] == ["child-of-stepped"]
    assert await target.delete("stepped") is True


async def test_a_write_whose_answer_was_lost_is_recognised_in_the_copy(place: Place) -> None:
    source = SimpleMachineMemory(clock=place.clock)
    lease = await held(source)
    unanswered = same_again(lease)
    await source.commit(lease, {"n": 1}, step=step(1))
    target = place.open()
    await copied(source, target)
    assert await target.commit(unanswered, {"n": 1}, step=step(1)) == 1
    assert (await target.journal("a"))[0].version == 1


async def test_a_long_journal_and_many_bodies(place: Place) -> None:
    source = SimpleMachineMemory(clock=place.clock)
    for n in range(1, 401):
        await write(source, "long", {"n": n}, step(n) if n % 3 else None)
    target = place.open()
    result = await copied(source, target)
    assert result["long"].fate is Fate.COPIED
    for n in (1, 200, 398, 400):
        replayed = await target.acquire("long", event_key=step(n).event_key)
        assert replayed is not None
        assert replayed.replay is not None
        assert replayed.replay.version == n
    lease = await held(target, "long", event_key=step(3).event_key)  # no step of the source consumed it
    assert await target.commit(lease, {"n": 401}, step=step(3)) == 401
    assert (await copied(source, target))["long"].fate is Fate.DIFFERS  # it went on in the copy


async def test_a_store_that_kept_only_hashes_of_old_events_is_no_source_for_one_that_needs_them(
    place: Place,
) -> None:
    source = place.open()
    for n in range(1, 131):
        await write(source, "long", {"n": n}, step(n))
    target = SimpleMachineMemory(clock=place.clock)
    (result,) = (await copied(source, target)).values()
    if place.kind == "nats":
        assert result.fate is Fate.REFUSED
        assert "hashes" in result.reason
        assert await target.get("long") is None
    else:
        assert result.fate is Fate.COPIED


async def test_what_differs_is_left_alone(place: Place) -> None:
    source = SimpleMachineMemory(clock=place.clock)
    await write(source, "a", {"n": 1})
    target = place.open()
    await write(target, "a", {"n": 2})
    assert (await copied(source, target))["a"].fate is Fate.DIFFERS
    assert await target.read("a") == {"n": 2}


async def test_racing_copies_write_each_instance_once(place: Place) -> None:
    source = SimpleMachineMemory(clock=place.clock)
    await fill(source, place.clock)
    results = await asyncio.gather(*(copied(source, place.open()) for _ in range(3)))
    fates = [result[id].fate for id in IDS for result in results]
    assert set(fates) <= {Fate.COPIED, Fate.SAME}
    assert fates.count(Fate.COPIED) == len(IDS)
    assert await shown(place.open()) == await shown(source)


async def test_what_somebody_holds_is_passed_over_or_taken_away(place: Place) -> None:
    source = place.open()
    lease = await held(source)
    await source.commit(lease, {"n": 1}, release=False)
    target = SimpleMachineMemory(clock=place.clock)
    assert (await copied(source, target))["a"].fate is Fate.HELD
    assert await target.get("a") is None
    assert (await copied(source, target, force=True))["a"].fate is Fate.COPIED
    there = await target.get("a")
    assert there is not None
    assert (there.fence, there.held, there.lapsed, there.data) == (lease.fence + 1, False, False, {"n": 1})
