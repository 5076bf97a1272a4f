"""Work that is done on another event loop than the one that waits for it."""

from __future__ import annotations

import asyncio
from threading import Event, Thread
from time import monotonic

from pyarvo.memory.loops import run_there


def test_a_loop_that_stands_still_is_not_waited_for_and_does_the_work_when_it_goes_on() -> None:
    done = Event()

    async def work() -> None:
        done.set()

    async def stand_still() -> None:
        there = asyncio.get_running_loop()
        began = monotonic()
        waiting = Thread(target=asyncio.run, args=(run_there(work(), there, 0.05),))
        waiting.start()
        waiting.join(10)
        assert not done.is_set()
        assert monotonic() - began < 5
        await asyncio.to_thread(done.wait, 5)

    asyncio.run(stand_still())
    assert done.is_set()


async def test_a_loop_that_has_ended_does_nothing() -> None:
    async def work() -> None:
        raise AssertionError

    ended = asyncio.new_event_loop()
    ended.close()
    await run_there(work(), ended, 5.0)
