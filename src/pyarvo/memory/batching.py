"""
Calls that wait at the same moment go out together: one transaction, one round trip, one fsync for all.

No timer: a call made while nothing is under way goes out at the end of the current turn of the loop, with
whatever else was made in that turn. Calls made while a batch is under way form the next one. Where several may be
under way at once, many calls that wait are shared between them, so that the store works on one batch while this
process works on another; a call waits for those of its instance that are under way, so that their order holds. Batches
belong to the memory: a caller that goes away takes its call along only while that has not been sent. Deadlines are
kept here too, with one timer for all calls of a loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from threading import Lock
from typing import Any, Final

from pyarvo.errors import MemoryFault, MemoryUnavailable, WriteOutcomeUnknown
from pyarvo.memory.decide import Op, Outcome
from pyarvo.memory.loops import forget_ended

__all__ = ["Batcher", "Call"]

Execute = Callable[[Sequence[Op]], Coroutine[Any, Any, Sequence[Outcome | MemoryFault]]]
Orphaned = Callable[[Op, Outcome | WriteOutcomeUnknown], None]

# A loop that was held up finds an answer and the end of its time in the same turn. What has come by then counts: so many
# turns, at most, it takes from the connection through the backend to its call.
_LAST_TURNS: Final = 10

# Fewer are not shared: a second round trip costs more than it gains.
_WORTH_SHARING: Final = 32


class Call:
    """
    One operation on its way.

    Attributes:
        op: The operation.

        future: Its outcome; `TimeoutError` when the deadline passed.

        deadline: By the loop's clock.

        sent: Whether the store may have seen it.
    """

    __slots__ = ("deadline", "future", "op", "sent")

    def __init__(self, op: Op, loop: asyncio.AbstractEventLoop, within_s: float) -> None:
        self.op = op
        self.future: asyncio.Future[Outcome] = loop.create_future()
        self.deadline = loop.time() + within_s
        self.sent = False


class Batcher:
    """
    Collects calls, per event loop, and sends them on.

    Args:
        execute: The backend's.

        orphaned: Called with an outcome whose caller has gone, also where the store did not say what it is.

        max_ops: Most calls of one batch; 1 = no batching.

        max_in_flight: Most batches under way at once on one loop. No two have an operation of one instance, unless
            *max_ops* is 1.
    """

    def __init__(self, execute: Execute, orphaned: Orphaned, *, max_ops: int, max_in_flight: int) -> None:
        self._execute = execute
        self._orphaned = orphaned
        self._max_ops = max_ops
        self._max_in_flight = max_in_flight
        self._lanes: dict[asyncio.AbstractEventLoop, _Lane] = {}
        self._mutex = Lock()

    def submit(self, op: Op, within_s: float) -> Call:
        """Queue *op* on the running loop, to be answered within *within_s* seconds."""
        loop = asyncio.get_running_loop()
        lane = self._lanes.get(loop) or self._lane(loop)
        call = Call(op, loop, within_s)
        lane.add(call, loop)
        return call

    def _lane(self, loop: asyncio.AbstractEventLoop) -> _Lane:
        """A new lane for *loop*; those of loops that have ended go, each of which its timer would keep for ever."""
        lane = _Lane(self._execute, self._orphaned, self._max_ops, self._max_in_flight)
        with self._mutex:
            forget_ended(self._lanes)
            self._lanes[loop] = lane
        return lane

    async def drain(self, within_s: float) -> None:
        """Wait until nothing of the running loop waits or is under way; what takes over *within_s* is given up."""
        loop = asyncio.get_running_loop()
        lane = self._lanes.get(loop)
        until = loop.time() + within_s
        while lane is not None and lane.busy:
            if loop.time() >= until:
                for task in lane.tasks:
                    task.cancel()
            if lane.tasks:
                await asyncio.wait(lane.tasks, timeout=max(0.0, until - loop.time()))
            else:
                await asyncio.sleep(0)


class _Lane:
    """The calls of one event loop."""

    def __init__(self, execute: Execute, orphaned: Orphaned, max_ops: int, max_in_flight: int) -> None:
        self._execute = execute
        self._orphaned = orphaned
        self._max_ops = max_ops
        self._max_in_flight = max_in_flight
        self._waiting: list[Call] = []
        self._open: dict[Call, None] = {}  # in the order in which they were made, which a set does not keep
        self._under_way: set[str] = set()
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Whether a call waits for the end of this turn, or a batch is under way."""
        return self._scheduled or bool(self.tasks)

    def add(self, call: Call, loop: asyncio.AbstractEventLoop) -> None:
        self._waiting.append(call)
        self._open[call] = None
        if self._timer is None or call.deadline < self._timer.when():
            self._set_timer(call.deadline, loop)
        if not self._scheduled and len(self.tasks) < self._max_in_flight:
            self._scheduled = True
            loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        live = [call for call in self._waiting if not call.future.done()]
        if len(live) < len(self._waiting):
            for call in self._waiting:
                if call.future.done():
                    self._open.pop(call, None)
        while live and (free := self._max_in_flight - len(self.tasks)) > 0:
            size = min(self._max_ops, max(_WORTH_SHARING, -(-len(live) // free)))
            batch, live = self._taken(live, size)
            if not batch:
                break
            for call in batch:
                call.sent = True
            self._under_way.update(call.op.id for call in batch)
            task = asyncio.get_running_loop().create_task(self._run(batch))
            self.tasks.add(task)
            task.add_done_callback(partial(self._ended, batch))
        self._waiting = live

    def _taken(self, live: list[Call], size: int) -> tuple[list[Call], list[Call]]:
        """The next batch, and what is left: calls of an instance that has some under way stay, in their order."""
        if not self._under_way or self._max_ops == 1:  # without batching a call waits for no other
            return live[:size], live[size:]
        batch: list[Call] = []
        left: list[Call] = []
        for call in live:
            fits = len(batch) < size and call.op.id not in self._under_way
            (batch if fits else left).append(call)
        return batch, left

    def _ended(self, batch: list[Call], task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        self._under_way.difference_update([call.op.id for call in batch])
        if task.cancelled():
            for call in batch:  # it may have ended before it began: then it told nobody
                self._settle(call, MemoryUnavailable("given up before it was sent; nothing was applied"))
        if self._waiting:
            self._flush()

    async def _run(self, batch: list[Call]) -> None:
        try:
            outcomes = await self._execute([call.op for call in batch])
        except asyncio.CancelledError:
            for call in batch:  # nobody cancelled the callers: they hear what became of their calls
                if call.future.done():
                    self._open.pop(call, None)
                else:
                    self._settle(call, WriteOutcomeUnknown("given up before the store answered"))
            raise
        except GeneratorExit:  # its loop was closed: nobody waits there any more
            raise
        except BaseException as exc:
            for call in batch:
                self._settle(call, exc.about(None, "") if isinstance(exc, MemoryFault) else exc)
            if not isinstance(exc, Exception):
                raise
            return
        for call, outcome in zip(batch, outcomes, strict=True):
            self._settle(call, outcome)

    def _settle(self, call: Call, outcome: Outcome | BaseException) -> None:
        self._open.pop(call, None)
        if not call.future.done():
            if isinstance(outcome, BaseException):
                call.future.set_exception(outcome)
            else:
                call.future.set_result(outcome)
        elif not isinstance(outcome, BaseException) or isinstance(outcome, WriteOutcomeUnknown):
            self._orphaned(call.op, outcome)

    def _set_timer(self, when: float, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(when, self._expire, loop)

    def _expire(self, loop: asyncio.AbstractEventLoop, turns: int = _LAST_TURNS) -> None:
        """End the calls whose time is over, the oldest first; the store's late answers are then nobody's."""
        if turns:
            loop.call_soon(self._expire, loop, turns - 1)
            return
        self._timer = None
        now = loop.time()
        for call in self._open:
            if call.deadline <= now and not call.future.done():
                call.future.set_exception(TimeoutError())
        left = [call.deadline for call in self._open if not call.future.done()]
        if left:
            self._set_timer(min(left), loop)
