"""
A user's memory of four verbs, seen as leases: so that every handler needs one protocol only.

Version and the last 128 steps ride inside the stored record, under a key that handlers do not see. What four
verbs cannot give stays missing: there is no fence (a holder frozen past its TTL is refused only if the memory
itself does so), no renewal (the lease says `ttl_s = inf`: nobody can know), and steps older than 128 are forgotten.
Where the steps make a record too large, the older ones lose their events; they still count as consumed.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from os import urandom
from time import monotonic
from typing import Any, Final, TypeGuard, cast

from pyarvo.errors import (
    EventConsumed,
    InvalidRecord,
    LeaseLost,
    MemoryFault,
    MemoryUnavailable,
    RecordCorrupt,
    RecordTooLarge,
    UnsupportedByBackend,
    WriteOutcomeUnknown,
)
from pyarvo.memory.arguments import check_lease, check_step
from pyarvo.memory.codec import check_event_key, check_id, decode_record, encode_produced, encode_record
from pyarvo.memory.contract import Lease, LeasedMachineMemory, MachineMemory, Record, Step
from pyarvo.memory.options import DEFAULT_RECORD_LIMIT

__all__ = ["KEPT_STEPS", "RESERVED", "FourVerbLeases", "has_leases", "has_verbs", "leased"]

RESERVED: Final = "arvo$$memory"
"""Key inside a stored record that holds version and steps."""

KEPT_STEPS: Final = 128

_UNLOCK_S: Final = 5.0
"""Most seconds for an unlock: who gives a lock up waits for it even when cancelled, and would wait for ever."""

_log = logging.getLogger("pyarvo.memory")


_VERBS: Final = ("read", "write", "lock", "unlock")
_LEASES: Final = ("acquire", "commit", "renew", "release")


def has_verbs(memory: object) -> TypeGuard[MachineMemory]:
    """
    Whether *memory* has the four verbs.

    Attributes are asked for one by one: `isinstance` does not see what an object hands on by `__getattr__`.
    """
    return _has(memory, _VERBS)


def has_leases(memory: object) -> TypeGuard[LeasedMachineMemory]:
    """Whether *memory* offers leases beside the four verbs; see `has_verbs`."""
    return _has(memory, (*_VERBS, *_LEASES))


def _has(memory: object, names: tuple[str, ...]) -> bool:
    return all(callable(getattr(memory, name, None)) for name in names)


def leased(memory: MachineMemory) -> LeasedMachineMemory:
    """*memory* itself when it offers leases, else its four verbs seen as leases."""
    return memory if has_leases(memory) else FourVerbLeases(memory)


class _VerbLease(Lease, eq=False):
    """A lease that remembers the steps it was read with, so that a commit need not read again."""

    steps: Sequence[Step] = ()


class FourVerbLeases:
    """
    The leased protocol over four verbs.

    Args:
        memory: Any object with read, write, lock and unlock. What it raises comes out as a `MemoryFault` whose
            `__cause__` it is and whose `operation` is the verb.
    """

    def __init__(self, memory: MachineMemory) -> None:
        self._memory = memory

    async def read(self, id: str) -> Record | None:
        """The record, without what rides in it."""
        check_id(id, "read")
        record, _, _ = await self._load(id)
        return record

    async def write(self, id: str, data: Record) -> None:
        """The memory's own `write`; version and steps of the stored record are kept."""
        check_id(id, "write")
        with _about(id, "write"):
            encode_record(data, limit=DEFAULT_RECORD_LIMIT)
        _, version, steps = await self._load(id)
        await self._store(id, data, version + 1, steps)

    async def lock(self, id: str) -> bool:
        """The memory's own `lock`."""
        check_id(id, "lock")
        try:
            return await self._memory.lock(id)
        except MemoryFault:
            raise
        except Exception as exc:
            raise MemoryUnavailable(f"lock raised {exc!r}", id=id, operation="lock") from exc

    async def unlock(self, id: str) -> bool:
        """
        The memory's own `unlock`; what it raises is logged, the memory's TTL does the rest. So it is after 5 s.

        Shielded: a caller that is being cancelled still gives its lock up.
        """
        return await asyncio.shield(asyncio.ensure_future(self._unlock(id)))

    async def _unlock(self, id: str) -> bool:
        check_id(id, "unlock")
        try:
            async with asyncio.timeout(_UNLOCK_S):
                return await self._memory.unlock(id)
        except Exception as exc:  # noqa: BLE001 - releases are tolerant, whatever a user's store raises
            _log.warning("unlock of %r raised %r; the lease ends by the memory's TTL", id[:48], exc)
            return False

    async def acquire(
        self, id: str, *, event_key: Sequence[str] | str | None = None, ttl_s: float | None = None
    ) -> Lease | None:
        """See `LeasedMachineMemory.acquire`; *ttl_s* is the memory's own business and must be None."""
        check_id(id, "acquire")
        if ttl_s is not None:
            raise UnsupportedByBackend("a memory of four verbs has its own TTL", id=id, operation="acquire")
        with _about(id, "acquire"):
            key = None if event_key is None else check_event_key(event_key)
        locked = await self.lock(id)
        if not locked and key is None:
            return None
        try:
            data, version, steps = await self._load(id)
            replay = next((step for step in steps if step.event_key == key), None)
        except BaseException:
            if locked:
                await self.unlock(id)
            raise
        if replay is not None and locked:
            await self.unlock(id)
        if replay is None and not locked:
            return None
        token = "" if replay is not None else urandom(16).hex()
        return _VerbLease(
            id,
            token=token,
            fence=0,
            version=version,
            data=data,
            ttl_s=math.inf,
            sent_at=monotonic(),
            replay=replay,
            steps=steps,
        )

    async def commit(
        self, lease: Lease, data: Mapping[str, Any], *, step: Step | None = None, release: bool = True
    ) -> int:
        """See `LeasedMachineMemory.commit`; the write and the unlock are two calls."""
        check_lease(lease, "commit")
        if not lease.held or not isinstance(lease, _VerbLease):
            raise LeaseLost("released before, or none of this memory's", id=lease.id, operation="commit")
        version, steps = lease.version + 1, lease.steps
        with _about(lease.id, "commit"):
            if step is not None:
                steps = [*steps, self._checked(lease, step, version)][-KEPT_STEPS:]
            lease.steps = await self._store(lease.id, data, version, steps)
        lease.version = version
        if release:
            await self.release(lease)
        return version

    async def renew(self, lease: Lease, *, ttl_s: float | None = None) -> None:  # noqa: ARG002 - the protocol's
        """
        Not offered.

        Raises:
            UnsupportedByBackend: Always.
        """
        check_lease(lease, "renew")
        raise UnsupportedByBackend("four verbs cannot renew a lease", id=lease.id, operation="renew")

    async def release(self, lease: Lease) -> bool:
        """See `LeasedMachineMemory.release`."""
        check_lease(lease, "release")
        if not lease.held:
            return False
        lease.held = False
        return await self.unlock(lease.id)

    def _checked(self, lease: _VerbLease, step: Step, version: int) -> Step:
        check_step(step)
        key = check_event_key(step.event_key)
        encode_produced(step, limit=DEFAULT_RECORD_LIMIT)
        for known in lease.steps:
            if known.event_key == key:
                raise EventConsumed(known, id=lease.id, operation="commit")
        return Step(key, step.produced, version, time.time())

    async def _load(self, id: str) -> tuple[Record | None, int, list[Step]]:
        """Record, version and steps; a record that the user wrote by hand has version 1 and no steps."""
        try:
            stored = await self._memory.read(id)
        except MemoryFault:
            raise
        except Exception as exc:
            raise MemoryUnavailable(f"read raised {exc!r}", id=id, operation="read") from exc
        if stored is None:
            return None, 0, []
        record = _copy(stored, id)
        rider = record.pop(RESERVED, None)
        if rider is None:
            return record, 1, []
        try:
            steps = [
                Step(each["event_key"], tuple(each["produced"]), each["version"], each["at"])
                for each in cast("list[dict[str, Any]]", rider["steps"])
            ]
            return record, int(rider["version"]), steps
        except (KeyError, TypeError, ValueError) as exc:
            raise RecordCorrupt(f"{RESERVED!r} in the record is damaged", id=id, operation="read") from exc

    async def _store(
        self, id: str, data: Mapping[str, Any], version: int, steps: Sequence[Step]
    ) -> Sequence[Step]:
        """Write the record with what rides in it; the steps as they were kept."""
        while True:
            try:
                raw = encode_record({**data, RESERVED: _rider(version, steps)}, limit=DEFAULT_RECORD_LIMIT)
                break
            except RecordTooLarge:
                lighter = _lighter(steps)
                if lighter is None:
                    raise
                steps = lighter
        try:
            await self._memory.write(id, decode_record(raw))
        except MemoryFault:
            raise
        except Exception as exc:
            raise WriteOutcomeUnknown(f"write raised {exc!r}", id=id, operation="write") from exc
        return steps


@contextmanager
def _about(id: str, operation: str) -> Generator[None]:
    """Names what a fault is about, where it does not say so itself."""
    try:
        yield
    except MemoryFault as fault:
        raise fault.about(id, operation) from fault.__cause__


def _rider(version: int, steps: Sequence[Step]) -> Record:
    return {
        "version": version,
        "steps": [
            {
                "event_key": step.event_key,
                "produced": list(step.produced),
                "version": step.version,
                "at": step.at,
            }
            for step in steps
        ],
    }


def _lighter(steps: Sequence[Step]) -> Sequence[Step] | None:
    """*steps* without the events of the older half of those that have some; the last one keeps its own."""
    heavy = [n for n, step in enumerate(steps[:-1]) if step.produced]
    if not heavy:
        return None
    last = heavy[len(heavy) // 2]
    return [
        Step(step.event_key, (), step.version, step.at) if n <= last else step for n, step in enumerate(steps)
    ]


def _copy(stored: Record, id: str) -> Record:
    """What a user's store returned may be what it holds: a copy is handed out, so that nobody changes it."""
    try:
        return decode_record(encode_record(stored, limit=2 * DEFAULT_RECORD_LIMIT))
    except (InvalidRecord, RecordTooLarge) as exc:
        raise RecordCorrupt(
            "the memory returned something that is not a JSON object", id=id, operation="read"
        ) from exc
