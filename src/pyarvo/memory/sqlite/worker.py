"""A thread that owns a connection: jobs go in from any loop, results come back to the loop they came from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from time import monotonic
from typing import Any, Generic, TypeVar

from pyarvo.errors import MemoryClosed

__all__ = ["Job", "Worker"]

W = TypeVar("W")


class Job(Generic[W]):
    """Some work, and where its result goes. The handler sets `result` or `fault`."""

    __slots__ = ("at", "fault", "future", "loop", "result", "work")

    def __init__(self, work: W, loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.at = monotonic()
        self.result: Any = None
        self.fault: BaseException | None = None


class Worker(Generic[W]):
    """
    One thread, started by the first job.

    Args:
        name: Of the thread.

        handle: Called in the thread with all jobs that wait, in order; sets the result or fault of each.

        stop: Called in the thread when it ends.
    """

    def __init__(self, name: str, handle: Callable[[list[Job[W]]], None], stop: Callable[[], None]) -> None:
        self._name = name
        self._handle = handle
        self._stop = stop
        self._queue: SimpleQueue[Job[W] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._closed = False
        self._mutex = Lock()

    async def run(self, work: W) -> Any:
        """
        Hand *work* over and wait for its result.

        Work that was handed over runs, also when the caller is cancelled.

        Raises:
            MemoryClosed: After `close`.
        """
        job = Job(work, asyncio.get_running_loop())
        with self._mutex:
            if self._closed:
                raise MemoryClosed("this memory was closed; open another")
            if self._thread is None:
                thread = Thread(target=self._live, name=self._name, daemon=True)
                thread.start()
                self._thread = thread
            self._queue.put(job)
        return await job.future

    async def close(self) -> None:
        """Finish what was handed over, then end the thread."""
        with self._mutex:
            self._closed = True
            thread, self._thread = self._thread, None
            if thread is not None:
                self._queue.put(None)
        if thread is not None:
            await asyncio.to_thread(thread.join)

    def _live(self) -> None:
        try:
            while jobs := self._next():
                try:
                    self._handle(jobs)
                except BaseException as error:  # noqa: BLE001 - the callers get it; the thread lives on
                    for job in jobs:
                        job.fault = error
                _deliver(jobs)
        finally:
            self._stop()

    def _next(self) -> list[Job[W]]:
        """All jobs that wait; empty when the thread is to end."""
        first = self._queue.get()
        if first is None:
            return []
        jobs = [first]
        while True:
            try:
                job = self._queue.get_nowait()
            except Empty:
                return jobs
            if job is None:
                self._queue.put(None)
                return jobs
            jobs.append(job)


def _deliver(jobs: Iterable[Job[Any]]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[Job[Any]]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, mine in by_loop.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits there any more
            loop.call_soon_threadsafe(_settle, mine)


def _settle(jobs: list[Job[Any]]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.fault is not None:
            job.future.set_exception(job.fault)
        else:
            job.future.set_result(job.result)
