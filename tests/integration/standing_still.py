"""Closing a memory while the loop that used it cannot run."""

from __future__ import annotations

import asyncio
import threading

from pyarvo.memory import LeasedMemory

__all__ = ["assert_closes_beside_a_loop_that_stands_still"]


async def assert_closes_beside_a_loop_that_stands_still(memory: LeasedMemory) -> None:
    """*memory* closes on another loop while this one waits for that thread; once this one runs, no task is left."""
    await memory.ping()
    closing = threading.Thread(target=asyncio.run, args=(memory.close(),), daemon=True)
    closing.start()
    closing.join(10)  # blocks this loop, as a caller does that waits for a thread that closes
    assert not closing.is_alive()
    await asyncio.sleep(0)  # now this loop does its part
    async with asyncio.timeout(5):
        while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)
