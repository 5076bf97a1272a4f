"""Virtual time: a clock for stores, and an event loop whose timers are due at once when nothing else is to be done."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from pyarvo.errors import InvalidOption

__all__ = ["VirtualClock"]

P = ParamSpec("P")
R = TypeVar("R")

_START: Final = 1_700_000_000.0
_POLL_S: Final = 0.001


class VirtualClock:
    """
    Time that passes only when somebody waits for it, or moves it.

    Called, it is the clock of a store: seconds since the epoch. Where it is installed in a running event loop,
    `asyncio.sleep`, time-outs and timers follow it: when no task can go on, it jumps to the next timer. So thirty days
    of waiting take no time, in the same order as real ones. What waits for another process or a server is better
    tested in real time: a time-out here is due before the other side can answer. Work in the threads of an executor is
    waited for.

    Args:
        start: The time of day at the beginning, seconds since the epoch.
    """

    def __init__(self, start: float = _START) -> None:
        self._start = start
        self._elapsed_s = 0.0

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self._start + self._elapsed_s

    @property
    def elapsed_s(self) -> float:
        """Seconds since the clock was made; for histories, a monotonic clock."""
        return self._elapsed_s

    def advance(self, seconds: float) -> None:
        """
        Move on at once; timers that are due run when their event loop has its turn.

        Raises:
            InvalidOption: Not a number of 0.0 or more.
        """
        if not (seconds >= 0.0 and math.isfinite(seconds)):
            raise InvalidOption("seconds", f"must be 0.0 or more, is {seconds!r}")
        self._elapsed_s += seconds

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Run *work* to its end in an event loop of its own, in virtual time."""

        async def timed() -> R:
            with self.installed():
                return await work

        return asyncio.run(timed())

    def wrapped(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        """An async function that runs *function* in virtual time."""

        @wraps(function)
        async def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            with self.installed():
                return await function(*args, **kwargs)

        return timed

    @contextmanager
    def installed(self) -> Generator[None]:
        """
        Put virtual time into the running event loop, as long as the block lasts.

        Raises:
            InvalidOption: The loop is not one of asyncio's own with a selector.
            RuntimeError: No event loop runs.
        """
        loop: Any = asyncio.get_running_loop()
        selector = getattr(loop, "_selector", None)
        if selector is None or not hasattr(selector, "select"):
            raise InvalidOption(
                "event loop", f"must be asyncio's own, with a selector; is {type(loop).__name__}"
            )
        patch = _Patch(self, loop, selector)
        patched: tuple[tuple[Any, str], ...] = (
            (loop, "time"),
            (selector, "select"),
            (loop, "run_in_executor"),
        )
        # Of virtual time around this one, if there is any.
        before: list[Any] = [owner.__dict__.get(name) for owner, name in patched]
        for owner, name in patched:
            setattr(owner, name, getattr(patch, name))
        try:
            yield
        finally:
            for (owner, name), outer in zip(patched, before, strict=True):
                if outer is None:
                    delattr(owner, name)
                else:
                    setattr(owner, name, outer)


class _Patch:
    """What a loop does differently while time is virtual."""

    def __init__(self, clock: VirtualClock, loop: Any, selector: Any) -> None:
        self._clock = clock
        self._base = loop.time() - clock.elapsed_s
        self._select = selector.select
        self._run_in_executor = loop.run_in_executor
        self._threads = 0

    def time(self) -> float:
        return self._base + self._clock.elapsed_s

    def select(self, timeout: float | None = None) -> Any:
        """Wait for nothing but threads; with nothing to do, it is later."""
        if timeout is None or timeout <= 0:
            return self._select(timeout)
        ready = self._select(0)
        while not ready and self._threads:
            ready = self._select(_POLL_S)
        if not ready:
            before = self.time()
            self._clock.advance(timeout)
            while self.time() <= before:  # less than the clock can tell apart
                timeout *= 2
                self._clock.advance(timeout)
        return ready

    def run_in_executor(self, *args: Any) -> Any:
        future = self._run_in_executor(*args)
        self._threads += 1
        future.add_done_callback(self._over)
        return future

    def _over(self, _: object) -> None:
        self._threads -= 1
