"""Memories of four verbs, over a dictionary that their objects share: one that is right, and wrong ones."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from math import inf
from os import getpid, urandom
from time import monotonic
from types import MappingProxyType
from typing import Any, Final

import orjson

from pyarvo.errors import LeaseLost, MemoryClosed
from pyarvo.memory.codec import check_id, decode_record, encode_record
from pyarvo.memory.contract import Record
from pyarvo.memory.options import DEFAULT_RECORD_LIMIT, check_ttl
from pyarvo.testing.mutants.mutant import verbs

__all__ = ["FourVerbs", "Room"]

_WAITS_S: Final = (0.1, 0.15)


@dataclass(slots=True)
class Room:
    """
    What the memory objects of one store share.

    Attributes:
        records: The bytes of each instance.

        locks: Token and end of each lock, by the monotonic clock.

        objects: How many there are.
    """

    records: dict[str, bytes] = field(default_factory=dict[str, bytes])
    locks: dict[str, tuple[str, float]] = field(default_factory=dict[str, tuple[str, float]])
    objects: int = 0


_Cells = Mapping[tuple[int, str], tuple[list[str], ...]]
_cells: ContextVar[_Cells] = ContextVar("cells", default=MappingProxyType({}))


class FourVerbs:
    """
    The four verbs as they should be.

    Args:
        room: Shared with other objects over the same store.

        lease_ttl_s: Length of a lock, 1.0 to 3,600.0 seconds.
    """

    def __init__(self, room: Room, *, lease_ttl_s: float = 30.0) -> None:
        self.room = room
        self.ttl_s = check_ttl(lease_ttl_s, "lease_ttl_s")
        self._pid = getpid()
        self.number = room.objects = room.objects + 1
        self._granted: dict[str, list[list[str]]] = {}

    @staticmethod
    def place() -> Any:
        """What objects over one store share."""
        return Room()

    async def read(self, id: str) -> Record | None:
        """See `MachineMemory.read`."""
        self._check(id)
        raw = self.room.records.get(id)
        return None if raw is None else decode_record(raw)

    async def write(self, id: str, data: Record) -> None:
        """See `MachineMemory.write`."""
        self._check(id)
        raw = encode_record(data, limit=DEFAULT_RECORD_LIMIT)
        cell = self.cell(id)
        if not cell or self.room.locks.get(id, ("", 0.0))[0] != cell[0]:
            raise LeaseLost("this caller holds no lock; `lock` it first", id=id, operation="write")
        self.room.records[id] = raw

    def lock(self, id: str) -> Coroutine[Any, Any, bool]:
        """See `MachineMemory.lock`."""
        self._check(id)
        cell: list[str] = []
        mine = _cells.get()
        key = (hash(self), id)
        _cells.set({**mine, key: (*[old for old in mine.get(key, ()) if old], cell)})
        return self.locking(id, cell)

    async def locking(self, id: str, cell: list[str]) -> bool:
        """Ask three times."""
        for wait_s in (*_WAITS_S, None):
            if self.free(id):
                token = urandom(16).hex()
                self.room.locks[id] = (token, monotonic() + self.ttl_s)
                cell.append(token)
                self._granted.setdefault(id, []).append(cell)
                return True
            if wait_s is not None:
                await asyncio.sleep(wait_s)
        return False

    async def unlock(self, id: str) -> bool:
        """See `MachineMemory.unlock`."""
        self._check(id)
        cell = self.cell(id)
        if not cell:
            return False
        token = cell.pop()
        self._granted[id].remove(cell)
        if self.room.locks.get(id, ("", 0.0))[0] != token:
            return False
        del self.room.locks[id]
        return True

    def _check(self, id: str) -> None:
        check_id(id)
        if getpid() != self._pid:
            raise MemoryClosed("this memory was opened before a fork; open another in the child")

    def free(self, id: str) -> bool:
        """Whether nobody holds the lock of *id* now."""
        return self.room.locks.get(id, ("", 0.0))[1] <= monotonic()

    def cell(self, id: str) -> list[str] | None:
        """Where the caller's token is; a caller that never locked acts for the only lock there is."""
        mine = _cells.get().get((hash(self), id))
        if mine is not None:
            return next((cell for cell in reversed(mine) if cell), None)
        granted = self._granted.get(id, [])
        return granted[0] if len(granted) == 1 else None


@verbs
class SomeHardlyGetATurn(FourVerbs):
    """Says no to every eighth memory object, 29 times of 30: the others take the lock past it."""

    _asked = 0

    async def locking(self, id: str, cell: list[str]) -> bool:
        self._asked += 1
        if self.number % 8 == 0 and self._asked % 30:
            return False
        return await super().locking(id, cell)


@verbs
class LockWaitsForLong(FourVerbs):
    """Waits for seconds while somebody else holds the lock, instead of saying no."""

    async def locking(self, id: str, cell: list[str]) -> bool:
        for _ in range(10):
            if await super().locking(id, cell):
                return True
        return False


@verbs
class LockDoesNotAskTwice(FourVerbs):
    """Looks whether the lock is free, then takes it: between the two somebody else does the same."""

    async def locking(self, id: str, cell: list[str]) -> bool:
        if not self.free(id):
            return False
        await asyncio.sleep(0)
        self.room.locks.pop(id, None)
        return await super().locking(id, cell)


@verbs
class OneLockForAll(FourVerbs):
    """Has one lock for all instances."""

    async def locking(self, id: str, cell: list[str]) -> bool:
        for wait_s in (*_WAITS_S, None):
            if all(self.free(each) for each in list(self.room.locks)):
                return await super().locking(id, cell)
            if wait_s is not None:
                await asyncio.sleep(wait_s)
        return False


@verbs
class FieldsOneByOne(FourVerbs):
    """Writes a record field by field; a reader sees some of the new ones beside some of the old."""

    async def write(self, id: str, data: Record) -> None:
        await super().write(id, data)
        for count in range(len(data)):
            part = dict(list(data.items())[: count + 1])
            self.room.records[id] = orjson.dumps(part)
            await asyncio.sleep(0)


@verbs
class EmptyBeforeWrite(FourVerbs):
    """Removes the old record, then writes the new one: a reader in between finds none."""

    async def write(self, id: str, data: Record) -> None:
        before = self.room.records.get(id)
        await super().write(id, data)
        after = self.room.records[id]
        if before is not None:
            del self.room.records[id]
            await asyncio.sleep(0)
        self.room.records[id] = after


@verbs
class WritesNeedNoLock(FourVerbs):
    """Writes for whoever asks, while another holds the lock."""

    async def write(self, id: str, data: Record) -> None:
        check_id(id)
        self.room.records[id] = encode_record(data, limit=DEFAULT_RECORD_LIMIT)


@verbs
class AbsentIsEmpty(FourVerbs):
    """Reads an instance that was never written as an empty record."""

    async def read(self, id: str) -> Record | None:
        return await super().read(id) or {}


@verbs
class LockMakesARecord(FourVerbs):
    """Puts an empty record where there is none when it takes the lock, to have a row to lock."""

    async def locking(self, id: str, cell: list[str]) -> bool:
        self.room.records.setdefault(id, b"{}")
        return await super().locking(id, cell)


@verbs
class LocksOfTheObject(FourVerbs):
    """Keeps locks in the memory object: another process does not see them."""

    def __init__(self, room: Room, **options: Any) -> None:
        super().__init__(Room(room.records), **options)


@verbs
class RecordsOfTheObject(FourVerbs):
    """Keeps records in the memory object: another process does not see them."""

    def __init__(self, room: Room, **options: Any) -> None:
        super().__init__(Room(locks=room.locks), **options)


@verbs
class LockGetsItsEndLater(FourVerbs):
    """Takes the lock first and gives it its end after a pause, as SETNX and EXPIRE: who dies in between holds it for ever."""

    async def locking(self, id: str, cell: list[str]) -> bool:
        if not await super().locking(id, cell):
            return False
        token, until = self.room.locks[id]
        self.room.locks[id] = (token, inf)
        await asyncio.sleep(0)
        self.room.locks[id] = (token, until)
        return True


@verbs
class CancelledWriteIsHalf(FourVerbs):
    """Writes the half of a record before a pause, and the other half after it."""

    async def write(self, id: str, data: Record) -> None:
        await super().write(id, data)
        whole = self.room.records[id]
        self.room.records[id] = orjson.dumps(dict(list(data.items())[: len(data) // 2]))
        await asyncio.sleep(0)
        self.room.records[id] = whole


@verbs
class PickledRecords(FourVerbs):
    """Stores whatever Python holds, tuples and numbers as keys included, and gives it back as something else."""

    async def write(self, id: str, data: Record) -> None:
        raw = orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS, default=str)
        await super().write(id, orjson.loads(raw))


@verbs
class ReadsProlong(FourVerbs):
    """Counts a lock anew when somebody reads, as stores with sliding expiry: who looks keeps a dead holder's alive."""

    async def read(self, id: str) -> Record | None:
        found = await super().read(id)
        token, until = self.room.locks.get(id, ("", 0.0))
        if monotonic() < until:
            self.room.locks[id] = token, monotonic() + self.ttl_s
        return found
