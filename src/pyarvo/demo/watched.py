"""A worker's memory: writes down what happened to leases, dies on request, and can be made to forget."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Coroutine, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from pyarvo.brokers import EventHandler
from pyarvo.demo.effects import Effects
from pyarvo.events import ArvoEvent
from pyarvo.events.ids import new_id
from pyarvo.handlers import ExecutionResult
from pyarvo.memory import Lease, LeasedMachineMemory, Record, Step

__all__ = ["Kill", "KillPoint", "RandomIds", "WatchedMemory"]


class KillPoint(StrEnum):
    """Where a worker kills itself."""

    AFTER_ACQUIRE = "after_acquire"
    """The lease is taken and the record read; nothing is committed."""

    AFTER_COMMIT = "after_commit"
    """The step is committed; its events are not published."""


class Kill(msgspec.Struct, frozen=True):
    """
    When a worker kills itself.

    Attributes:
        point: Where.

        count: At which step that gets there, from 1. Counted are steps of workflows that are under way.
    """

    point: KillPoint
    count: int


class WatchedMemory:
    """
    The memory of one worker process, watched.

    Args:
        memory: Any with leases; whoever opened it closes it.

        effects: Where it writes down replays, leases given up, and its own death.

        kill: When to die; None means never.

        forgetful: Recognise no event that was consumed before, and keep no journal: what `--no-replay` shows. The
            event that started a workflow starts it again from the beginning.
    """

    def __init__(
        self, memory: LeasedMachineMemory, *, effects: Effects, kill: Kill | None, forgetful: bool
    ) -> None:
        self._memory = memory
        self._effects = effects
        self._kill = kill
        self._forgetful = forgetful
        self._reached = 0
        self._keys: dict[tuple[str, int], str] = {}

    async def read(self, id: str) -> Record | None:
        """The memory's."""
        return await self._memory.read(id)

    async def write(self, id: str, data: Record) -> None:
        """The memory's."""
        await self._memory.write(id, data)

    def lock(self, id: str) -> Coroutine[Any, Any, bool]:
        """The memory's."""
        return self._memory.lock(id)

    async def unlock(self, id: str) -> bool:
        """The memory's."""
        return await self._memory.unlock(id)

    async def renew(self, lease: Lease, *, ttl_s: float | None = None) -> None:
        """The memory's."""
        await self._memory.renew(lease, ttl_s=ttl_s)

    async def acquire(
        self, id: str, *, event_key: Sequence[str] | str | None = None, ttl_s: float | None = None
    ) -> Lease | None:
        """Take the lease; write down a replay, or die with the lease in hand."""
        lease = await self._memory.acquire(id, event_key=None if self._forgetful else event_key, ttl_s=ttl_s)
        if lease is None:
            return None
        key = event_key if isinstance(event_key, str) else json.dumps(event_key)
        if lease.replay is not None:
            await self._effects.note_replay(id, key)
            return lease
        if self._forgetful and lease.data is not None and lease.data["initEventId"] == json.loads(key)[1]:
            lease.data = None
        if _is_under_way(lease):
            self._keys[id, lease.fence] = key
            await self._die_at(KillPoint.AFTER_ACQUIRE, lease)
        return lease

    async def commit(
        self, lease: Lease, data: Mapping[str, Any], *, step: Step | None = None, release: bool = True
    ) -> int:
        """Commit; die before anybody hears of it."""
        version = await self._memory.commit(
            lease, data, step=None if self._forgetful else step, release=release
        )
        if (lease.id, lease.fence) in self._keys:
            await self._die_at(KillPoint.AFTER_COMMIT, lease)
            del self._keys[lease.id, lease.fence]
        return version

    async def release(self, lease: Lease) -> bool:
        """Write down that the lease ends without a commit, and end it."""
        if lease.held:
            await self._effects.note_release(lease.id, lease.fence)
            self._keys.pop((lease.id, lease.fence), None)
        return await self._memory.release(lease)

    async def _die_at(self, point: KillPoint, lease: Lease) -> None:
        if self._kill is None or self._kill.point is not point:
            return
        self._reached += 1
        if self._reached < self._kill.count:
            return
        self._kill = None  # other tasks must not write the same while this one waits for its last words
        key = self._keys[lease.id, lease.fence]
        await self._effects.note_kill(point, lease.id, key, lease.fence, lease.version)
        os.kill(os.getpid(), signal.SIGKILL)


class RandomIds:
    """A handler whose events get random ids, so that nobody can tell a re-run's from new ones: `--no-replay`."""

    def __init__(self, handler: EventHandler) -> None:
        self._handler = handler

    @property
    def source(self) -> str:
        """The handler's."""
        return self._handler.source

    async def execute(self, event: ArvoEvent) -> ExecutionResult:
        """Run the handler's step."""
        result: Any = await self._handler.execute(event)
        events = tuple(msgspec.structs.replace(each, id=new_id()) for each in result.events)
        return ExecutionResult(events, result.outcome)


def _is_under_way(lease: Lease) -> bool:
    return (
        lease.data is not None
        and lease.data["executionStatus"] == "normal"
        and lease.data["status"] == "active"
    )
