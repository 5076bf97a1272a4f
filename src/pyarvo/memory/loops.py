"""Event loops that one memory object serves, each in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import wait
from typing import Any

__all__ = ["forget_ended", "run_there"]


def forget_ended(by_loop: dict[asyncio.AbstractEventLoop, Any]) -> None:
    """Drop what was kept for loops that have been closed."""
    for ended in [loop for loop in by_loop if loop.is_closed()]:
        del by_loop[ended]


async def run_there(
    work: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop, within_s: float
) -> None:
    """
    Run *work* on another loop, and wait for it.

    Args:
        work: What only that loop may do.

        loop: Runs in another thread. It may stand still, since its thread waits for this one, or end just now.

        within_s: How long to wait, in seconds; *work* is done later then, if that loop goes on.
    """
    try:
        there = asyncio.run_coroutine_threadsafe(work, loop)
    except RuntimeError:  # it was closed a moment ago
        work.close()
        return
    # In a thread: a future of this loop that is waited for no longer would take the work back.
    await asyncio.to_thread(wait, (there,), within_s)
