"""Whose cancellation it is, and waiting that no cancellation cuts short."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["caller_cancelled", "until_over"]


def caller_cancelled() -> bool:
    """
    Whether a `CancelledError` that came out of user code is for the caller: somebody cancelled the running task.

    If not, user code awaited something that it had cancelled itself: an error like any other, which must not end
    the caller's task.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def until_over(task: asyncio.Future[Any]) -> None:
    """Wait for the end of *task*, however it ends; a cancellation that comes meanwhile is raised after that."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
