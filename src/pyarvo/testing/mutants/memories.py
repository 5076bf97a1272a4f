"""Memories that lie above their backend: faults, callers, cancelled calls, copies."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Any

from msgspec.structs import replace

from pyarvo.errors import (
    LeaseLost,
    MemoryUnavailable,
    RecordCorrupt,
    WriteConflict,
    WriteOutcomeUnknown,
)
from pyarvo.memory import Find, Lease, LeasedMemory, Record, Step
from pyarvo.memory.codec import check_id
from pyarvo.memory.decide import Acquire, Commit, Found, Op, Outcome, Read, Release, Released, Renew
from pyarvo.memory.retry import ATTEMPT_S, retried
from pyarvo.testing.mutants.mutant import memory

__all__: list[str] = []


@memory
class CorruptIsAbsent(LeasedMemory):
    """Reads bytes that do not decode as no record."""

    async def read(self, id: str) -> Record | None:
        try:
            return await super().read(id)
        except RecordCorrupt:
            return None


@memory
class UnavailableIsAbsent(LeasedMemory):
    """Reads no record when the store cannot be asked: the workflow starts anew."""

    async def read(self, id: str) -> Record | None:
        try:
            return await super().read(id)
        except MemoryUnavailable:
            return None


@memory
class LockFaultIsDenied(LeasedMemory):
    """Says that somebody else holds the lease when the store cannot be asked."""

    async def _lock(self, id: str, cell: Any) -> bool:
        try:
            return await super()._lock(id, cell)
        except MemoryUnavailable:
            return False


@memory
class LockFaultIsGranted(LeasedMemory):
    """Says that the lease is held when the store cannot be asked."""

    async def _lock(self, id: str, cell: Any) -> bool:
        try:
            return await super()._lock(id, cell)
        except MemoryUnavailable:
            return True


@memory
class UnlockRaises(LeasedMemory):
    """Raises a fault of the store out of unlock and release."""

    async def _release(self, lease: Lease, operation: str) -> bool:
        if not lease.token:
            return False
        lease.held = False
        outcome = await self._ask(Release(lease.id, lease.token), ATTEMPT_S, operation)
        return isinstance(outcome, Released) and outcome.ours


@memory
class WriteIsRetried(LeasedMemory):
    """Sends a write again when its outcome is unknown, as a driver does that retries by default."""

    async def _commit(
        self, lease: Lease, data: Mapping[str, Any], step: Step | None, *, release: bool, operation: str
    ) -> int:
        return await retried(
            lambda: super(WriteIsRetried, self)._commit(
                lease, data, step, release=release, operation=operation
            )
        )


@memory
class ReadIsNotRetried(LeasedMemory):
    """Gives a read up at the first fault that would have passed."""

    async def read(self, id: str) -> Record | None:
        check_id(id)
        found = await self._ask(Read(id), ATTEMPT_S, "read")
        data = found.data if isinstance(found, Found) else None
        return None if data is None else self._decoded(data, id, 0, "read")


@memory
class UnknownIsNotApplied(LeasedMemory):
    """Says that a write was not applied when the store did not say so."""

    async def _commit(
        self, lease: Lease, data: Mapping[str, Any], step: Step | None, *, release: bool, operation: str
    ) -> int:
        try:
            return await super()._commit(lease, data, step, release=release, operation=operation)
        except WriteOutcomeUnknown as fault:
            raise MemoryUnavailable(str(fault.args[0]), id=lease.id, operation=operation) from fault


@memory
class ConflictIsSwallowed(LeasedMemory):
    """Logs a version conflict and goes on as if the write had been applied."""

    async def _commit(
        self, lease: Lease, data: Mapping[str, Any], step: Step | None, *, release: bool, operation: str
    ) -> int:
        try:
            return await super()._commit(lease, data, step, release=release, operation=operation)
        except WriteConflict as fault:
            return fault.actual


@memory
class LostLeaseIsSwallowed(LeasedMemory):
    """Says nothing when a write is refused because its lease was lost: the caller thinks that it is stored."""

    async def _commit(
        self, lease: Lease, data: Mapping[str, Any], step: Step | None, *, release: bool, operation: str
    ) -> int:
        try:
            return await super()._commit(lease, data, step, release=release, operation=operation)
        except LeaseLost:
            return lease.version


@memory
class WritesWithoutALock(LeasedMemory):
    """Locks by itself for a caller that holds no lease, and writes."""

    async def write(self, id: str, data: Record) -> None:
        try:
            await super().write(id, data)
        except LeaseLost:
            lease = await self.acquire(id)
            if lease is None:
                raise
            await self.commit(lease, data)


@memory
class UnlockOfAStrangerIsTrue(LeasedMemory):
    """Answers unlock with True, whoever asks."""

    async def unlock(self, id: str) -> bool:
        await super().unlock(id)
        return True


@memory
class UnlockOfAnybody(LeasedMemory):
    """Ends the lease of an instance by force when a caller without a lock unlocks it."""

    async def unlock(self, id: str) -> bool:
        return await super().unlock(id) or await self.force_release(id, reason="unlock")


@memory
class LockOfTheObject(LeasedMemory):
    """Remembers locks by memory object, not by caller: another task writes and unlocks under them."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._mine: dict[str, Lease] = {}

    async def _lock(self, id: str, cell: Any) -> bool:
        del cell
        lease = await self.acquire(id)
        if lease is not None:
            self._mine[id] = lease
        return lease is not None

    async def write(self, id: str, data: Record) -> None:
        lease = self._mine.get(id)
        if lease is None:
            await super().write(id, data)
        else:
            await self.commit(lease, data, release=False)

    async def unlock(self, id: str) -> bool:
        lease = self._mine.pop(id, None)
        return await super().unlock(id) if lease is None else await self.release(lease)


@memory
class LockLostUnderWaitFor(LeasedMemory):
    """Marks the caller inside the coroutine: a lock taken in a task of its own is not found again."""

    async def _lock(self, id: str, cell: Any) -> bool:
        del cell
        lease = await self.acquire(id)
        if lease is None:
            return False
        self._callers.fill(self._callers.open(id), lease)
        return True


@memory
class CancelledLockStays(LeasedMemory):
    """Leaves the lease of a caller that went away while it was being granted."""

    def _give_back(self, op: Acquire) -> None:
        del op

    async def _ask(self, op: Op, within_s: float, operation: str) -> Outcome:
        outcome = await super()._ask(op, within_s, operation)
        if isinstance(op, Acquire):
            await asyncio.sleep(0)
        return outcome


@memory
class CancelledUnlockIsDropped(LeasedMemory):
    """Does not unlock for a caller that is being cancelled."""

    async def _release(self, lease: Lease, operation: str) -> bool:
        if not lease.token:
            return False
        lease.held = False
        await asyncio.sleep(0)
        return await self._release_quietly(Release(lease.id, lease.token), operation)


@memory
class RecordIsShared(LeasedMemory):
    """Hands out the same object to everybody who reads: who changes it changes everybody's."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._objects: dict[bytes, Record] = {}

    def _decoded(self, raw: bytes, id: str, version: int, operation: str) -> Record:
        if raw not in self._objects:
            self._objects[raw] = super()._decoded(raw, id, version, operation)
        return self._objects[raw]

    def _record(self, id: str, raw: bytes, version: int, operation: str) -> Record:
        return self._decoded(raw, id, version, operation)


@memory
class WriterKeepsTheRecord(LeasedMemory):
    """Reads back the very object that was written: what the writer changes later is stored too."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._written: dict[str, Any] = {}

    async def write(self, id: str, data: Record) -> None:
        await super().write(id, data)
        self._written[id] = data

    async def read(self, id: str) -> Record | None:
        found = await super().read(id)
        return found if found is None else self._written.get(id, found)


@memory
class ExpiryIsHopeful(LeasedMemory):
    """Counts a lease from an answer that is not there yet: the holder works on when it is over."""

    async def acquire(self, id: str, *, event_key: Any = None, ttl_s: float | None = None) -> Lease | None:
        lease = await super().acquire(id, event_key=event_key, ttl_s=ttl_s)
        if lease is not None:
            lease.extend(monotonic() + 5.0, lease.ttl_s)
        return lease


@memory
class TokensAreCounted(LeasedMemory):
    """Names its leases one, two, three: whoever can count has the right of the next."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._tokens: dict[str, str] = {}

    async def acquire(self, id: str, *, event_key: Any = None, ttl_s: float | None = None) -> Lease | None:
        lease = await super().acquire(id, event_key=event_key, ttl_s=ttl_s)
        if lease is not None and lease.token:
            name = f"worker-{len(self._tokens)}"
            self._tokens[name], lease.token = lease.token, name
        return lease

    async def _ask(self, op: Op, within_s: float, operation: str) -> Outcome:
        if isinstance(op, Commit | Renew | Release):
            op = replace(op, token=self._tokens.get(op.token, op.token))
        return await super()._ask(op, within_s, operation)


@memory
class NothingIsForGood(LeasedMemory):
    """Asks again for a lease that the store refuses for good."""

    async def _ask(self, op: Op, within_s: float, operation: str) -> Outcome:
        try:
            return await super()._ask(op, within_s, operation)
        except MemoryUnavailable as fault:
            if isinstance(op, Acquire):
                raise MemoryUnavailable(str(fault.args[0]), id=op.id, operation=operation) from fault
            raise


@memory
class DeadlineIsIgnored(LeasedMemory):
    """Waits for a store that does not answer six times as long as it may."""

    async def _ask(self, op: Op, within_s: float, operation: str) -> Outcome:
        return await super()._ask(op, 6 * within_s, operation)


@memory
class PurgeTakesTheLiving(LeasedMemory):
    """Purges what is old, whether it is finished or not."""

    async def purge(self, *, older_than_s: float, dry_run: bool = False) -> tuple[str, ...]:
        found = [each.id for each in (await self.instances(Find(), limit=1000)).items]
        if not dry_run:
            for id in found:
                await self.delete(id, force=True)
        del older_than_s
        return tuple(found)


@memory
class DryRunIsWet(LeasedMemory):
    """Purges also where it was only asked what it would purge."""

    async def purge(self, *, older_than_s: float, dry_run: bool = False) -> tuple[str, ...]:
        del dry_run
        return await super().purge(older_than_s=older_than_s)
