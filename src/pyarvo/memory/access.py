"""
On the way to a backend: batching, deadlines, named faults, life cycle. What both levels above it stand on.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from pyarvo.errors import (
    MemoryClosed,
    MemoryFault,
    MemoryUnavailable,
    RecordCorrupt,
    WriteOutcomeUnknown,
)
from pyarvo.memory.backend import Backend, Batches
from pyarvo.memory.batching import Batcher
from pyarvo.memory.codec import decode_produced, decode_record
from pyarvo.memory.codecs.codec import Where
from pyarvo.memory.codecs.named import codec_of
from pyarvo.memory.contract import Record, Step
from pyarvo.memory.decide import Acquire, Acquired, JournalEntry, Op, Outcome, Read, Release, Released
from pyarvo.memory.options import MemoryOptions
from pyarvo.memory.retry import ATTEMPT_S, retried
from pyarvo.memory.signals import Signals
from pyarvo.telemetry import active

__all__ = ["StoreAccess", "misanswer"]

_log = logging.getLogger("pyarvo.memory")

_ONE_BATCH: Final = Batches(max_ops=256, max_in_flight=1)
_NO_BATCHES: Final = Batches(max_ops=1, max_in_flight=64)

R = TypeVar("R")


class StoreAccess:
    """
    A backend, its options, and the way to it.

    Args:
        backend: The store.

        options: See `MemoryOptions`.
    """

    def __init__(self, backend: Backend, options: MemoryOptions) -> None:
        self._backend = backend
        self._options = options
        self._codec = codec_of(options.codec)
        self._signals = Signals(backend.name)
        self._pid = os.getpid()
        self._closed = False
        self._ending: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[Any]] = set()
        batches: Batches = getattr(backend, "batches", _ONE_BATCH) if options.batching else _NO_BATCHES
        max_ops, max_in_flight = batches
        self._writes = Batcher(self._execute, self._orphaned, max_ops=max_ops, max_in_flight=max_in_flight)
        self._reads = Batcher(self._execute, self._orphaned, max_ops=max_ops, max_in_flight=max_in_flight)

    async def _ask(self, op: Op, within_s: float, operation: str) -> Outcome:
        """Send *op* and wait at most *within_s* seconds; every fault names instance and operation."""
        self._check_usable(op.id, operation)
        try:
            if self._backend.immediate:
                (outcome,) = await self._backend.execute((op,))
                if isinstance(outcome, MemoryFault):
                    raise outcome
            elif (on := active()) is None:
                outcome = await self._call(op, within_s)
            else:
                outcome = await self._signals.call(on, self._call(op, within_s), operation, op.id)
        except MemoryFault as fault:
            raise fault.about(op.id, operation) from fault.__cause__
        return outcome

    async def _execute(self, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        """One round trip."""
        on = active()
        if on is None:
            return await self._backend.execute(ops)
        return await self._signals.round_trip(on, self._backend.execute, ops)

    async def _call(self, op: Op, within_s: float) -> Outcome:
        call = (self._reads if type(op) is Read else self._writes).submit(op, within_s)
        try:
            return await call.future
        except TimeoutError as exc:
            if call.sent:
                raise WriteOutcomeUnknown(f"no answer within {within_s:.3g} s") from exc
            raise MemoryUnavailable(f"the store was busy for {within_s:.3g} s; not sent") from exc
        except asyncio.CancelledError:
            if call.future.done() and not call.future.cancelled() and call.future.exception() is None:
                self._orphaned(op, call.future.result())
            raise

    def _orphaned(self, op: Op, outcome: Outcome | WriteOutcomeUnknown) -> None:
        """The caller went away while its call was under way: a lease it was granted, or may have been, is given back (C10)."""
        if isinstance(op, Acquire) and isinstance(outcome, Acquired | WriteOutcomeUnknown):
            self._give_back(op)

    def _give_back(self, op: Acquire) -> None:
        self._keep(self._given_back(Release(op.id, op.token)))

    async def _given_back(self, op: Release) -> None:
        try:
            await self._release_quietly(op, "release")
        except MemoryClosed as fault:  # nobody waits for this, and the store was silent until the end
            _log.warning("%s; the lease ends by its TTL", fault)

    async def _release_quietly(self, op: Release, operation: str) -> bool:
        try:
            outcome = await retried(lambda: self._ask(op, ATTEMPT_S, operation))
        except MemoryClosed:
            raise
        except MemoryFault as fault:
            _log.warning("%s; the lease ends by its TTL", fault)
            return False
        if not isinstance(outcome, Released):
            raise misanswer(op, outcome)
        return outcome.ours

    def _keep(self, work: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def _decoded(self, raw: bytes, id: str, version: int, operation: str) -> Record:
        try:
            if self._codec is not None:
                raw = self._codec.decode(raw, Where(id, version), limit=self._options.record_limit)
            return decode_record(raw)
        except RecordCorrupt as fault:
            raise fault.about(id, operation) from fault.__cause__

    def _step(self, entry: JournalEntry, id: str) -> Step:
        raw = entry.produced
        try:
            if self._codec is not None and raw is not None:
                where = Where(id, entry.version, entry.event_key or "")
                raw = self._codec.decode(raw, where, limit=self._options.record_limit)
            produced = decode_produced(raw)
        except RecordCorrupt as fault:
            raise fault.about(id, "journal") from fault.__cause__
        return Step(entry.event_key or "", produced, entry.version, entry.at)

    # --- life cycle -------------------------------------------------------------------------------------------

    async def ping(self) -> None:
        """
        Ask the store whether it is there.

        Raises:
            MemoryUnavailable: It is not.
        """
        self._check_usable(None, "ping")
        try:
            await self._backend.ping()
        except MemoryFault as fault:
            raise fault.about(None, "ping") from fault.__cause__

    async def close(self) -> None:
        """
        Wait for the calls under way on this loop, then close what this memory opened. Closing twice is fine.

        A store that does not answer holds it up for `deadline_s` at most. A caller that is cancelled leaves nothing
        open: closing goes on, and closing again waits for it. In a forked child nothing is closed: what is open is
        the parent's.
        """
        if os.getpid() != self._pid:
            return
        loop = asyncio.get_running_loop()
        if self._ending is None:
            self._ending = loop.create_task(self._end())
        if not self._ending.done() and self._ending.get_loop() is loop:
            await asyncio.shield(self._ending)

    async def _end(self) -> None:
        # Before it counts as closed: an answer may bring a lease that nobody waits for, to be given back (C10).
        await self._drain()
        loop = asyncio.get_running_loop()
        while mine := [task for task in self._background.copy() if task.get_loop() is loop]:
            await asyncio.wait(mine)
        self._closed = True
        await self._drain()
        await self._backend.close()

    async def _drain(self) -> None:
        await self._writes.drain(self._options.deadline_s)
        await self._reads.drain(self._options.deadline_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _check_usable(self, id: str | None, operation: str) -> None:
        if self._closed:
            raise MemoryClosed("this memory was closed; open another", id=id, operation=operation)
        self._check_process(id, operation)

    def _check_process(self, id: str | None, operation: str) -> None:
        # Asked each time, not noted in a hook: a fork in C, as embedders of Python do it, runs none.
        if os.getpid() != self._pid:
            raise MemoryClosed(
                "this memory was opened before a fork; open another in the child", id=id, operation=operation
            )


def misanswer(op: Op, outcome: Outcome) -> TypeError:
    """The error for a backend that answers an operation with another's outcome."""
    return TypeError(f"{type(op).__name__} was answered with {type(outcome).__name__}")
