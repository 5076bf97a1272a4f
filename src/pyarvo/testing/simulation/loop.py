"""
An event loop on virtual time, with processes that can be killed and frozen.

Time passes only when nothing is left to do, and then jumps to the next timer. Everything that a process started (its
tasks, timers, callbacks) knows it by its context; so a process can be stopped between any two of its steps from
outside, as a kernel would do it: no exception, no cleanup.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, TypeVar, cast

__all__ = ["Process", "VirtualLoop", "outside"]

T = TypeVar("T")

_process: ContextVar[Process | None] = ContextVar("pyarvo_simulated_process", default=None)


class Process:
    """
    What dies and freezes together.

    Attributes:
        name: For traces.

        steps: How many callbacks it has run.

        stops: What happens to it when it has run so many: a function by number of steps.

        dead: It runs nothing any more, for ever.

        frozen: It runs nothing until `VirtualLoop.thaw`.
    """

    __slots__ = ("dead", "frozen", "kept", "name", "steps", "stops")

    def __init__(self, name: str) -> None:
        self.name = name
        self.steps = 0
        self.stops: dict[int, Callable[[], None]] = {}
        self.dead = False
        self.frozen = False
        self.kept: list[_Callback] = []

    def context(self) -> Context:
        """A context in which everything belongs to this process."""
        made = outside()
        made.run(_process.set, self)
        return made


def outside() -> Context:
    """A context that belongs to no process: that of the store and of the network."""
    made = copy_context()
    made.run(_process.set, None)
    return made


def _is_unseen(task: asyncio.Future[Any]) -> bool:
    """Whether it failed and nobody has asked how; asyncio has no public way to know."""
    return getattr(task, "_log_traceback")  # noqa: B009


class _Callback:
    """What stands in for `asyncio.Handle` and `asyncio.TimerHandle`."""

    __slots__ = ("_args", "_callback", "_context", "_is_cancelled", "_when", "process")

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None, when: float
    ) -> None:
        self._callback = callback
        self._args = args
        self._context = copy_context() if context is None else context
        self._when = when
        self._is_cancelled = False
        self.process = self._context.get(_process)

    def when(self) -> float:
        return self._when

    def cancel(self) -> None:
        self._is_cancelled = True

    def cancelled(self) -> bool:
        return self._is_cancelled

    def run(self) -> None:
        if not self._is_cancelled:
            self._context.run(self._callback, *self._args)


class _Future(asyncio.Future[Any]):
    """One whose loop knows that it failed."""

    def set_exception(self, exception: type[BaseException] | BaseException, /) -> None:
        super().set_exception(exception)
        cast("VirtualLoop", self.get_loop()).failed.append(self)


class VirtualLoop(asyncio.AbstractEventLoop):
    """
    The loop. It offers what tasks, futures, timeouts and timers need, and no I/O.

    Attributes:
        failed: Tasks and futures that ended with an error which nobody had looked at by then.
    """

    def __init__(self) -> None:
        self.failed: list[asyncio.Future[Any]] = []
        self._complaints: list[str] = []
        self._now = 0.0
        self._ready: deque[_Callback] = deque()
        self._timers: list[tuple[float, int, _Callback]] = []
        self._numbers = count()
        self._tasks: dict[asyncio.Task[Any], None] = {}  # in order, which a set has not

    # --- what asyncio asks of a loop --------------------------------------------------------------------------

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        made = _Callback(callback, args, context, self._now)
        self._ready.append(made)
        return cast("asyncio.Handle", made)

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        made = _Callback(callback, args, context, when)
        heappush(self._timers, (when, next(self._numbers), made))
        return cast("asyncio.TimerHandle", made)

    def create_future(self) -> asyncio.Future[Any]:
        return _Future(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks[task] = None
        task.add_done_callback(self._ended, context=outside())
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        del self._tasks[task]
        if _is_unseen(task):
            self.failed.append(task)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self._complaints.append(f"{context.get('message')}: {context.get('exception')!r}")

    @property
    def complaints(self) -> list[str]:
        """
        What would have gone to the exception handler of another loop by the end of all; none is to be expected.

        An error that nobody looked at is told by asyncio when its task is freed. That may be late or never, as
        a task that failed is part of a cycle; so it is looked up here.
        """
        unseen = [task for task in self.failed if _is_unseen(task)]
        kinds = ("Task" if isinstance(task, asyncio.Task) else "Future" for task in unseen)
        self.failed.clear()
        self._complaints += [
            f"{kind} exception was never retrieved: {task.exception()!r}"
            for kind, task in zip(kinds, unseen, strict=True)
        ]
        return self._complaints

    # --- how it runs ------------------------------------------------------------------------------------------

    @contextmanager
    def running(self) -> Generator[None]:
        """Be the running loop for as long as the block runs."""
        asyncio._set_running_loop(self)  # noqa: SLF001 - the way the documentation gives to those who write loops
        try:
            yield
        finally:
            asyncio._set_running_loop(None)  # noqa: SLF001

    def run(self, done: Callable[[], bool], until: float) -> None:
        """Run until *done* when time would pass, or until nothing is left to do, or time is past *until*."""
        ready, timers = self._ready, self._timers
        while True:
            while ready:
                self._step(ready.popleft())
            if done() or not timers or timers[0][0] > until:
                return
            when, _, callback = heappop(timers)
            if not callback.cancelled():
                self._now = max(self._now, when)
                ready.append(callback)

    def _step(self, callback: _Callback) -> None:
        process = callback.process
        if process is None:
            callback.run()
        elif process.frozen or process.dead:
            process.kept.append(callback)
        else:
            process.steps += 1
            stop = process.stops.pop(process.steps, None)
            if stop is None:
                callback.run()
            else:
                stop()
                self._step(callback)

    def thaw(self, process: Process) -> None:
        """Let a frozen process go on where it stood."""
        process.frozen = False
        self._ready.extend(process.kept)
        process.kept = []

    def bury(self, processes: list[Process]) -> None:
        """
        End the tasks of dead processes in good order, when all is over and nothing they do counts any more.

        Else Python would end them at some later moment, with a complaint for each.
        """
        self._timers = [timer for timer in self._timers if timer[2].process is not None]
        heapify(self._timers)
        for process in processes:
            process.stops.clear()
            process.dead = False
            self.thaw(process)
        for task in list(self._tasks):
            task.cancel()
        self.run(lambda: not self._tasks, self._now + 1_000.0)
