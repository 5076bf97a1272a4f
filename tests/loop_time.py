"""
The time of the running event loop, for tests of deadlines and pauses that a busy machine neither fails nor hides.

`waited` counts what was waited for as it was asked for; `standing` stops the loop's clock, and the test moves it.
Real stores answer meanwhile. (Where no store is asked, `pyarvo_clock` is simpler.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import Context
from typing import Any, Final

__all__ = ["Waited", "standing", "waited"]

# Looks now and then whether an answer came: that is the store's time, not a pause.
_LOOKS: Final = "pyarvo.memory.nats.link"


class Waited:
    """
    What was waited for.

    Attributes:
        seconds: The delays of timers that ran out, one after the other; those that ran side by side count once.
    """

    def __init__(self) -> None:
        self.seconds = 0.0


@contextmanager
def waited() -> Generator[Waited]:
    """Count the timers of the running loop that are set and run out inside."""
    loop: Any = asyncio.get_running_loop()
    call_at = loop.call_at
    so_far = Waited()

    def counted(
        when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        looks = getattr(callback, "__module__", "") == _LOOKS
        due = 0.0 if looks else so_far.seconds + max(0.0, when - loop.time())

        def over() -> None:
            so_far.seconds = max(so_far.seconds, due)
            callback(*args)

        return call_at(when, over, context=context)

    loop.call_at = counted
    try:
        yield so_far
    finally:
        del loop.call_at


@contextmanager
def standing() -> Generator[Callable[[float], None]]:
    """Stop the clock of the running loop; what this yields moves it on, by seconds."""
    loop: Any = asyncio.get_running_loop()
    real: Callable[[], float] = loop.time
    now = real()

    def advance(seconds: float) -> None:
        nonlocal now
        now += seconds

    loop.time = lambda: now
    try:
        yield advance
    finally:
        ahead = max(0.0, now - real())  # a clock never goes back
        loop.time = lambda: real() + ahead
