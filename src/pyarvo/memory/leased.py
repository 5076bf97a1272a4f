"""
The public memory above a backend: the four verbs and the leases, the same for every store.

A backend only executes operations (`backend.py`); the way to it is `access.py`. What holds for all memories,
validation, callers, retries, refusals, stands here once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Mapping, Sequence
from time import monotonic
from typing import Any, Final

from pyarvo.errors import (
    EventConsumed,
    InvalidRecord,
    LeaseLost,
    MemoryFault,
    MemoryUnavailable,
    NotApplied,
    WriteConflict,
    WriteOutcomeUnknown,
)
from pyarvo.events.labels import labels
from pyarvo.memory.access import misanswer
from pyarvo.memory.arguments import check_labels, check_lease, check_step
from pyarvo.memory.backend import Backend
from pyarvo.memory.callers import Callers, Cell
from pyarvo.memory.codec import check_event_key, check_id, digest_of, encode_and_copy, encode_produced
from pyarvo.memory.codecs.codec import Where
from pyarvo.memory.contract import Lease, Record, Step
from pyarvo.memory.decide import (
    Acquire,
    Acquired,
    Commit,
    Committed,
    Conflict,
    Consumed,
    Denied,
    Found,
    Lost,
    Outcome,
    Read,
    Release,
    Renew,
    Renewed,
)
from pyarvo.memory.decoded import DecodedRecords
from pyarvo.memory.options import MemoryOptions, check_ttl
from pyarvo.memory.queries import QueryLevel
from pyarvo.memory.retry import ATTEMPT_S, ATTEMPTS, backoff_s, retried
from pyarvo.memory.signals import tell_retry
from pyarvo.telemetry import active

__all__ = ["LeasedMemory"]

_LOCK_WAIT_S: Final = 0.1
_TOKENS_AT_ONCE: Final = 64


class LeasedMemory(QueryLevel):
    """
    A memory of all three levels (verbs, leases, queries) over a backend.

    It connects at first use, and is its own async context manager. One object serves several event loops and
    threads of one process. After a fork the child must open its own.

    Args:
        backend: The store.

        options: See `MemoryOptions`.
    """

    def __init__(self, backend: Backend, options: MemoryOptions) -> None:
        super().__init__(backend, options)
        self._callers = Callers()
        self._written = DecodedRecords()
        self._fresh_tokens: list[str] = []

    # --- the four verbs ---------------------------------------------------------------------------------------

    async def read(self, id: str) -> Record | None:
        """See `MachineMemory.read`."""
        check_id(id, "read")
        op = Read(id)
        found = await retried(lambda: self._ask(op, ATTEMPT_S, "read"))
        if not isinstance(found, Found):
            raise misanswer(op, found)
        return None if found.data is None else self._decoded(found.data, id, found.version, "read")

    async def write(self, id: str, data: Record) -> None:
        """See `MachineMemory.write`. Call `lock` first: a write stands on a lease."""
        check_id(id, "write")
        cell = self._callers.find(id)
        if cell is None or cell.lease is None:
            self._encoded(id, data, None, "write")
            self._check_usable(id, "write")
            raise LeaseLost("this caller holds no lease; `lock` it first", id=id, operation="write")
        try:
            await self._commit(cell.lease, data, None, release=False, operation="write")
        except LeaseLost:
            self._callers.close(cell)
            raise

    def lock(self, id: str) -> Coroutine[Any, Any, bool]:
        """See `MachineMemory.lock`. A plain function: the caller's context is marked when it is called."""
        check_id(id, "lock")
        return self._lock(id, self._callers.open(id))

    async def _lock(self, id: str, cell: Cell) -> bool:
        lease = await self._counted(self._take(id, None, self._options.lease_ttl_s, "lock"))
        if lease is None:
            return False
        # The verbs read for themselves: a record of megabytes is not kept for as long as the lease.
        lease.data = None
        self._callers.fill(cell, lease)
        return True

    async def unlock(self, id: str) -> bool:
        """See `MachineMemory.unlock`."""
        check_id(id, "unlock")
        cell = self._callers.find(id)
        if cell is None or cell.lease is None:
            return False
        lease = cell.lease
        self._callers.close(cell)
        return await self._release(lease, "unlock")

    # --- leases -----------------------------------------------------------------------------------------------

    async def acquire(
        self, id: str, *, event_key: Sequence[str] | str | None = None, ttl_s: float | None = None
    ) -> Lease | None:
        """See `LeasedMachineMemory.acquire`."""
        check_id(id, "acquire")
        try:
            key = None if event_key is None else check_event_key(event_key)
        except InvalidRecord as fault:
            raise fault.about(id, "acquire") from fault.__cause__
        ttl = self._options.lease_ttl_s if ttl_s is None else check_ttl(ttl_s)
        return await self._counted(self._take(id, key, ttl, "acquire"))

    async def commit(
        self, lease: Lease, data: Mapping[str, Any], *, step: Step | None = None, release: bool = True
    ) -> int:
        """See `LeasedMachineMemory.commit`."""
        check_lease(lease, "commit")
        return await self._commit(lease, data, step, release=bool(release), operation="commit")

    async def renew(self, lease: Lease, *, ttl_s: float | None = None) -> None:
        """See `LeasedMachineMemory.renew`."""
        check_lease(lease, "renew")
        ttl = lease.ttl_s if ttl_s is None else check_ttl(ttl_s)
        op = Renew(lease.id, lease.token, ttl)
        sent_at = monotonic()
        outcome = await retried(lambda: self._ask(op, self._options.deadline_s / ATTEMPTS, "renew"))
        if isinstance(outcome, Lost):
            self._signals.refused(outcome)
            self._ended(lease)
            raise LeaseLost("released, or held by another since", id=lease.id, operation="renew")
        if not isinstance(outcome, Renewed):
            raise misanswer(op, outcome)
        lease.extend(sent_at, ttl)

    async def release(self, lease: Lease) -> bool:
        """See `LeasedMachineMemory.release`."""
        check_lease(lease, "release")
        return await self._release(lease, "release")

    def _counted(self, asking: Coroutine[Any, Any, Lease | None]) -> Coroutine[Any, Any, Lease | None]:
        on = active()
        if on is None or on.meters is None:
            return asking
        return self._signals.acquisition(on.meters, asking)

    async def _take(self, id: str, event_key: str | None, ttl_s: float, operation: str) -> Lease | None:
        op = Acquire(id, self._new_token(), ttl_s, event_key, self._options.holder)
        faults: list[MemoryFault] = []
        try:
            return await self._acquire(op, faults, operation)
        except BaseException:
            if faults:  # the store may have granted an attempt that it did not answer
                self._give_back(op)
            raise

    async def _acquire(self, op: Acquire, faults: list[MemoryFault], operation: str) -> Lease | None:
        """The lease; into *faults* go those of the attempts since the last answer."""
        sent_at = monotonic()
        # One deadline for all attempts. So an attempt without an answer is the last one, and an answer that comes
        # after all finds nobody and is given back; it cannot end a lease that a later attempt was told of.
        until = sent_at + self._options.deadline_s
        for n in range(self._options.lock_attempts):
            if n:
                await asyncio.sleep(backoff_s(n - 1, _LOCK_WAIT_S))
            left_s = until - monotonic()
            if left_s <= 0:
                break
            if n:
                tell_retry(operation)
            try:
                outcome = await self._ask(op, left_s, operation)
            except (MemoryUnavailable, WriteOutcomeUnknown) as exc:
                if isinstance(exc, MemoryUnavailable) and not exc.transient:
                    raise
                faults.append(exc)
                continue
            if not isinstance(outcome, Denied):
                return self._leased(op, outcome, sent_at, operation)
            faults.clear()
            sent_at = monotonic()
        if not faults:
            return None
        fault = faults[-1]
        if isinstance(fault, MemoryUnavailable):
            raise fault
        raise MemoryUnavailable(fault.args[0], id=op.id, operation=operation) from fault

    def _new_token(self) -> str:
        """128 random bits. The system is asked for many at once; a forked child, which has the same, sends none."""
        try:
            return self._fresh_tokens.pop()
        except IndexError:
            digits = os.urandom(16 * _TOKENS_AT_ONCE).hex()
            token, *others = (digits[n : n + 32] for n in range(0, len(digits), 32))
            self._fresh_tokens.extend(others)
            return token

    def _leased(self, op: Acquire, outcome: Outcome, sent_at: float, operation: str) -> Lease:
        if not isinstance(outcome, (Acquired, Consumed)):
            raise misanswer(op, outcome)
        try:
            data = (
                None
                if outcome.data is None
                else self._record(op.id, outcome.data, outcome.version, operation)
            )
            replay = self._step(outcome.entry, op.id) if isinstance(outcome, Consumed) else None
        except Exception:  # corrupt, or whatever a codec of somebody else's raises
            self._give_back(op)
            raise
        return Lease(
            op.id,
            token="" if replay is not None else op.token,
            fence=outcome.fence,
            version=outcome.version,
            data=data,
            ttl_s=op.ttl_s,
            sent_at=sent_at,
            replay=replay,
            deleted_at=outcome.deleted_at if isinstance(outcome, Acquired) else None,
        )

    def _record(self, id: str, raw: bytes, version: int, operation: str) -> Record:
        copy = self._written.take(id, raw)
        return self._decoded(raw, id, version, operation) if copy is None else copy

    async def _commit(
        self, lease: Lease, data: Mapping[str, Any], step: Step | None, *, release: bool, operation: str
    ) -> int:
        raw, copy, key, produced = self._encoded(lease.id, data, step, operation)
        if not lease.token:
            raise LeaseLost("a replay holds no lease", id=lease.id, operation=operation)
        digest = digest_of(raw, key, produced)
        told = self._options.labels_of(lease.id, data)
        if self._options.labels_of is not labels:  # ours are right
            check_labels(told)
        if self._codec is not None:
            version = lease.version + 1
            raw = self._codec.encode(raw, Where(lease.id, version))
            if produced is not None:
                produced = self._codec.encode(produced, Where(lease.id, version, key))
            digest = self._codec.digest(digest)
        op = Commit(lease.id, lease.token, lease.version, raw, digest, told, key, produced, release)
        outcome = await self._ask(op, self._options.deadline_s, operation)
        if isinstance(outcome, Committed):
            lease.version = outcome.version
            if release:
                self._ended(lease)
            if self._codec is None:  # the cache does not know the place in which a codec's bytes are good
                self._written.keep(lease.id, raw, copy)
            if (on := active()) is not None:
                self._signals.committed(on, len(op.data))
            return outcome.version
        if isinstance(outcome, Conflict | Consumed | Lost):
            raise self._refusal(lease, outcome, operation)
        raise misanswer(op, outcome)

    def _encoded(
        self, id: str, data: Mapping[str, Any], step: Step | None, operation: str
    ) -> tuple[bytes, Record, str | None, bytes | None]:
        limit = self._options.record_limit
        try:
            raw, copy = encode_and_copy(data, limit=limit)
            if step is None:
                return raw, copy, None, None
            check_step(step)
            produced = encode_produced(step, limit=limit, record=copy)
            return raw, copy, check_event_key(step.event_key), produced
        except MemoryFault as fault:
            raise fault.about(id, operation) from fault.__cause__

    def _refusal(self, lease: Lease, outcome: Conflict | Consumed | Lost, operation: str) -> NotApplied:
        self._signals.refused(outcome)
        match outcome:
            case Conflict(expected, actual):
                return WriteConflict(expected, actual, id=lease.id, operation=operation)
            case Consumed(entry):
                return EventConsumed(self._step(entry, lease.id), id=lease.id, operation=operation)
            case Lost():
                self._ended(lease)
                return LeaseLost("released, or held by another since", id=lease.id, operation=operation)

    def _ended(self, lease: Lease) -> None:
        if lease.held and (on := active()) is not None:
            self._signals.given_up(on, lease)
        lease.held = False

    async def _release(self, lease: Lease, operation: str) -> bool:
        if not lease.token:
            return False
        self._ended(lease)
        releasing = self._release_quietly(Release(lease.id, lease.token), operation)
        if self._backend.immediate:
            return await releasing
        # Shielded: a caller that is being cancelled still gives its lease up.
        return await asyncio.shield(self._keep(releasing))
