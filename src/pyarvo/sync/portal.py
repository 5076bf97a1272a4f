"""One event loop in a background thread for the whole process, and the way onto it from other threads."""

from __future__ import annotations

import asyncio
import atexit
import os
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from threading import Lock, Thread
from typing import Any, Final, Generic, ParamSpec, Protocol, TypeVar

from pyarvo.errors import CalledInLoop
from pyarvo.events import ArvoEvent
from pyarvo.handlers import ExecutionResult

__all__ = ["Handler", "execute", "run"]

# What is still under way when the process ends is cancelled and given so long to give its leases back.
_END_WITHIN_S: Final = 5.0

P = ParamSpec("P")
T = TypeVar("T")


class Handler(Protocol):
    """Any of pyarvo's handlers."""

    async def execute(self, event: ArvoEvent, /) -> ExecutionResult: ...


def run(function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """
    Call an asynchronous function and wait for its result.

    The function itself is called here, in the caller's context; what it returns runs in the background loop, in a
    copy of that context. When the wait is interrupted (Ctrl-C, an exception from a signal handler), the coroutine is
    cancelled.

    Args:
        function: An `async def`, or anything else that returns a coroutine.

        *args: Its arguments.

        **kwargs: Its arguments by name.

    Raises:
        CalledInLoop: An event loop runs in this thread; it would wait for itself, or stand still. Nothing was done.
        TypeError: *function* returned something else than a coroutine, which no loop runs.
    """
    if _runs_here():
        raise CalledInLoop(
            f"{getattr(function, '__qualname__', function)} was called by the synchronous face inside a running event "
            "loop; await the asynchronous one (pyarvo.open_memory, handler.execute), or call this from a thread"
        )
    coroutine = function(*args, **kwargs)
    if not asyncio.iscoroutine(coroutine):
        name, kind = getattr(function, "__qualname__", function), type(coroutine).__name__
        raise TypeError(f"{name} returned {kind}, not a coroutine; call what is not asynchronous by itself")
    return _portal.run(coroutine)


def execute(handler: Handler, event: ArvoEvent) -> ExecutionResult:
    """
    Hand *event* to *handler* and wait for what it answers.

    The handler's functions share the background loop: one that blocks holds up every other call of the process.

    Args:
        handler: Made with the asynchronous memory: `create_arvo_orchestrator(memory=memory.asynchronous, ...)`.

        event: As for the handler's own `execute`.

    Raises:
        CalledInLoop: An event loop runs in this thread.
        ViolationError: As the handler's own `execute` does.
    """
    return run(handler.execute, event)


def _runs_here() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Call(Generic[T]):
    """One coroutine on its way through the loop, where both methods are called."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self.answer: Future[T] = Future()
        self._coroutine = coroutine
        self._task: asyncio.Task[T] | None = None

    def begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._coroutine)
        self._task.add_done_callback(self._settle)

    def cancel(self) -> None:
        if self._task is None:  # interrupted before it was handed over
            self._coroutine.close()
        else:
            self._task.cancel()

    def _settle(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.answer.cancel()
            return
        error = task.exception()
        if error is None:
            self.answer.set_result(task.result())
        else:
            self.answer.set_exception(error)


class _LoopThread:
    """A loop and the thread that it runs in; the process does not wait for it to end."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._ending = False
        self._thread = Thread(target=self._live, name="pyarvo-sync", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        call = _Call(coroutine)
        try:
            # The context that the loop runs it in is a copy of the one here.
            self._loop.call_soon_threadsafe(call.begin)
            return call.answer.result()
        except BaseException:
            if not call.answer.done():  # an interruption, which may come anywhere in between
                self._loop.call_soon_threadsafe(call.cancel)
            raise

    def end(self, within_s: float) -> None:
        """Cancel what is under way, and wait at most *within_s* seconds until it has ended."""
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join(within_s)

    def _stop(self) -> None:
        self._ending = True
        self._loop.stop()

    def _live(self) -> None:
        loop = self._loop
        try:
            self._serve()
            loop.run_until_complete(_cancelled(asyncio.all_tasks(loop)))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    def _serve(self) -> None:
        """Run the loop until `end`: `sys.exit` in a function leaves it early, but is for whoever called the function."""
        while not self._ending:
            try:
                self._loop.run_forever()
            except (KeyboardInterrupt, SystemExit):
                continue  # its task holds it; once the loop goes on, who waits for that is told


async def _cancelled(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class _Portal:
    """The process's background loop: started by the first call, and anew by the first call after a fork."""

    def __init__(self) -> None:
        self._mutex = Lock()
        self._current: _LoopThread | None = None
        self._of_parents: list[_LoopThread | None] = []

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        with self._mutex:
            if self._current is None:
                self._current = _LoopThread()
            current = self._current
        return current.run(coroutine)

    def end(self) -> None:
        current, self._current = self._current, None
        if current is not None:
            current.end(_END_WITHIN_S)

    def forget(self) -> None:
        """
        In a forked child: the thread is not here, and another one may have held the lock.

        The loop is kept, since closing it would take it out of the selector that it shares with the parent's.
        """
        self._of_parents.append(self._current)
        self._mutex, self._current = Lock(), None


_portal: Final = _Portal()
atexit.register(_portal.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_portal.forget)
