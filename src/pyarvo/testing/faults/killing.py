"""Named points at which the process kills itself, as a power failure would: nothing is closed, nothing is flushed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from pyarvo.brokers.delivery import EventHandler
from pyarvo.errors import InvalidOption
from pyarvo.events import ArvoEvent
from pyarvo.memory.contract import MachineMemory
from pyarvo.testing.wrapping import MemoryCall, WrappedMemory

__all__ = ["KillPoint", "Killer", "kill_at"]


class KillPoint(StrEnum):
    """Where a step is cut off."""

    AFTER_ACQUIRE = "after_acquire"
    """The lease is taken (`acquire` or `lock` granted it), nothing has run."""

    BEFORE_COMMIT = "before_commit"
    """User code ran, nothing is written (before `commit` or `write`)."""

    AFTER_COMMIT_BEFORE_PUBLISH = "after_commit_before_publish"
    """The step is committed, its events are not published (after `commit` or `write`; or a handler returned)."""


def kill_at(
    point: str,
    *,
    nth: int = 1,
    matching: Callable[[str], bool] | None = None,
    kill: Callable[[], Any] | None = None,
) -> Killer:
    """
    Plan the end of this process.

    Args:
        point: A `KillPoint` or its name.

        nth: At which of the times that the point is reached, from 1.

        matching: Only instances (of a handler: subjects) for which this is true are counted.

        kill: What happens there instead of SIGKILL to this process; for tests of tests.

    Returns:
        What makes wrappers: `.memory(memory)` and `.handler(handler)`.

    Raises:
        InvalidOption: There is no such point, or *nth* is under 1.
    """
    if point not in tuple(KillPoint):
        raise InvalidOption("point", f"must be one of {', '.join(KillPoint)}, is {point!r}")
    if nth < 1:
        raise InvalidOption("nth", f"must be 1 or more, is {nth!r}")
    return Killer(KillPoint(point), nth, matching, kill or _kill_this_process)


class Killer:
    """
    Counts how often its point is reached, and kills the process then; make it with `kill_at`.

    Attributes:
        point: Where.

        left: How many more times the point is to be reached; 0 once it has killed.
    """

    def __init__(
        self, point: KillPoint, nth: int, matching: Callable[[str], bool] | None, kill: Callable[[], Any]
    ) -> None:
        self.point = point
        self.left = nth
        self._matching = matching
        self._kill = kill

    def memory(self, memory: MachineMemory) -> WrappedMemory:
        """*memory*, with the point in it. It has leases when *memory* has them."""
        return _KillingMemory(memory, self)

    def handler(self, handler: EventHandler) -> EventHandler:
        """
        *handler*, with the point after it: it has returned, and nothing it returned is published.

        Raises:
            InvalidOption: The point lies inside a step, where only a memory is.
        """
        if self.point is not KillPoint.AFTER_COMMIT_BEFORE_PUBLISH:
            raise InvalidOption("point", f"{self.point} lies inside a step: wrap the memory instead")
        return _KillingHandler(handler, self)

    def reached(self, point: KillPoint, id: str) -> None:
        """Say that *point* is reached for the instance *id*."""
        if (
            point is not self.point
            or not self.left
            or (self._matching is not None and not self._matching(id))
        ):
            return
        self.left -= 1
        if not self.left:
            self._kill()


class _KillingMemory(WrappedMemory):
    def __init__(self, memory: MachineMemory, killer: Killer) -> None:
        super().__init__(memory)
        self._killer = killer

    async def around(self, call: MemoryCall) -> Any:
        writes = call.verb in ("commit", "write")
        if writes:
            self._killer.reached(KillPoint.BEFORE_COMMIT, call.id)
        answer = await call.proceed()
        if writes:
            self._killer.reached(KillPoint.AFTER_COMMIT_BEFORE_PUBLISH, call.id)
        elif (call.verb == "acquire" and answer is not None and answer.held) or (
            call.verb == "lock" and answer
        ):
            self._killer.reached(KillPoint.AFTER_ACQUIRE, call.id)
        return answer


class _KillingHandler:
    def __init__(self, handler: EventHandler, killer: Killer) -> None:
        self.source = handler.source
        self._handler = handler
        self._killer = killer

    async def execute(self, event: ArvoEvent) -> Any:
        result = await self._handler.execute(event)
        self._killer.reached(KillPoint.AFTER_COMMIT_BEFORE_PUBLISH, event.subject)
        return result


def _kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
