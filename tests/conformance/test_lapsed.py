"""A lease that ran out and was never given back is told apart from one that was (section 4)."""

from __future__ import annotations

from pyarvo.memory import Find, LeasedMemory

from .place import Place, held


async def lapsed(memory: LeasedMemory) -> tuple[bool, bool]:
    """Whether the instance is held and lapsed; alone and in the list alike."""
    alone = await memory.get("a")
    (listed,) = [it async for it in memory.each(Find())]
    assert alone is not None
    assert (alone.held, alone.lapsed) == (listed.held, listed.lapsed)
    return alone.held, alone.lapsed


async def test_a_lease_lapses_when_its_time_is_over_and_not_when_it_is_given_back(place: Place) -> None:
    memory = place.open()
    lease = await held(memory, ttl_s=10)
    assert await lapsed(memory) == (True, False)
    place.clock.advance(10)
    assert await lapsed(memory) == (False, True)
    await memory.renew(lease)
    assert await lapsed(memory) == (True, False)
    await memory.commit(lease, {"n": 1})
    assert await lapsed(memory) == (False, False)
    place.clock.advance(3_600)
    assert await lapsed(memory) == (False, False)


async def test_a_successor_a_release_and_force_end_it(place: Place) -> None:
    memory = place.open()
    await memory.commit(await held(memory), {"n": 1})
    for end in ("take over", "force", "delete"):
        await held(memory, ttl_s=10)
        place.clock.advance(10)
        assert await lapsed(memory) == (False, True), end
        if end == "take over":
            assert await memory.release(await held(memory))
        elif end == "force":
            await memory.force_release("a", reason="test")
        else:
            assert await memory.delete("a")
            buried = await memory.get("a")
            assert buried is not None
            assert (buried.held, buried.lapsed) == (False, False)
            return
        assert await lapsed(memory) == (False, False), end
