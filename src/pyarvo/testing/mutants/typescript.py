"""
The memories of the TypeScript system, re-created from their description as classes of four verbs.

What they do is kept, faults included; what only their surroundings can show (time zones, pools of connections
that end with an error, migrations) is not. `FAULTS` says of each fault that is known of them which clause finds it,
or why the kit cannot express it.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import Semaphore
from copy import copy, deepcopy
from dataclasses import dataclass, field
from typing import Any, Final, cast

import orjson

from pyarvo.memory.contract import Record
from pyarvo.testing.mutants.mutant import verbs

__all__ = ["VERSION_KEY", "TypeScriptConcurrent", "TypeScriptPostgres", "TypeScriptSimple"]

VERSION_KEY: Final = "__postgres_version_counter_data_$$__"
_WAITS_S: Final = (0.1, 0.15, 0.225)
_TTL_S: Final = 120.0


class MemoryFailed(Exception):
    """As `new Error(...)`: the TypeScript memories have no errors of their own."""


# --- SimpleMachineMemory ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Objects:
    records: dict[str, Any] = field(default_factory=dict[str, Any])
    locks: dict[str, bool] = field(default_factory=dict[str, bool])


@verbs
class TypeScriptSimple:
    """SimpleMachineMemory: locks without an end and without an owner; a shallow copy in, the live object out."""

    def __init__(self, place: _Objects, **options: Any) -> None:
        del options  # it has no TTL
        self._place = place

    @staticmethod
    def place() -> Any:
        """What objects over one store share."""
        return _Objects()

    async def read(self, id: str) -> Record | None:
        """The live object."""
        _check(id)
        return self._place.records.get(id)

    async def write(self, id: str, data: Record) -> None:
        """A shallow copy of it."""
        _check(id)
        if data is None:  # pyright: ignore[reportUnnecessaryComparison] - its callers are untyped
            raise MemoryFailed("Data is required for write operation")
        self._place.records[id] = copy(data)

    async def lock(self, id: str) -> bool:
        """One attempt."""
        _check(id)
        if self._place.locks.get(id):
            return False
        self._place.locks[id] = True
        return True

    async def unlock(self, id: str) -> bool:
        """Whoever asks."""
        _check(id)
        self._place.locks.pop(id, None)
        return True


def _check(id: str) -> None:
    if not id:
        raise MemoryFailed("Machine ID is required")


# --- ConcurrentMachineMemory --------------------------------------------------------------------------------------


class _TtlMutex:
    """TTLMutex: ends lazily by the wall clock, and is released by anybody (M1, M4)."""

    def __init__(self) -> None:
        self._until = 0.0

    def try_lock(self, ttl_s: float) -> bool:
        if time.time() < self._until:
            return False
        self._until = time.time() + ttl_s
        return True

    def unlock(self) -> None:
        self._until = 0.0


@dataclass(slots=True)
class _Mutexes:
    records: dict[str, Any] = field(default_factory=dict[str, Any])
    locks: dict[str, _TtlMutex] = field(default_factory=dict[str, _TtlMutex])


@verbs
class TypeScriptConcurrent:
    """ConcurrentMachineMemory: a mutex with a TTL and no owner; writes are tied to no lock and no version."""

    def __init__(self, place: _Mutexes, *, lease_ttl_s: float = _TTL_S) -> None:
        self._place = place
        self._ttl_s = lease_ttl_s

    @staticmethod
    def place() -> Any:
        """What objects over one store share."""
        return _Mutexes()

    async def read(self, id: str) -> Record | None:
        """A structured clone."""
        _check(id)
        return deepcopy(self._place.records.get(id))

    async def write(self, id: str, data: Record) -> None:
        """Whoever asks; the record before is not compared."""
        _check(id)
        if data is None:  # pyright: ignore[reportUnnecessaryComparison] - its callers are untyped
            raise MemoryFailed("Data is required for write operation")
        self._place.records[id] = deepcopy(data)

    async def lock(self, id: str) -> bool:
        """Three attempts; after the last one it waits for nothing (M8)."""
        _check(id)
        mutex = self._place.locks.setdefault(id, _TtlMutex())
        for wait_s in _WAITS_S:
            if mutex.try_lock(self._ttl_s):
                return True
            await asyncio.sleep(wait_s)
        return False

    async def unlock(self, id: str) -> bool:
        """Whoever asks."""
        _check(id)
        mutex = self._place.locks.get(id)
        if mutex is not None:
            mutex.unlock()
        return True

    async def cleanup(self, id: str) -> None:
        """Forgets record and mutex, also while somebody holds it (M3)."""
        self._place.records.pop(id, None)
        self._place.locks.pop(id, None)


# --- PostgresMachineMemory V1 -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Tables:
    state: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    lock: dict[str, float] = field(default_factory=dict[str, float])


@verbs
class TypeScriptPostgres:
    """PostgresMachineMemory V1: locks without an owner; the version rides in the record; VARCHAR(255) ids; JSONB."""

    def __init__(self, place: _Tables, *, lease_ttl_s: float = _TTL_S) -> None:
        self._place = place
        self._ttl_s = lease_ttl_s
        self._pool = Semaphore(10)
        self._read: dict[str, Record | None] = {}

    @staticmethod
    def place() -> Any:
        """What objects over one store share."""
        return _Tables()

    async def read(self, id: str) -> Record | None:
        """One attempt; the version is put into the record (W10)."""
        async with self._pool:
            await asyncio.sleep(0)
            found = self._place.state.get(id)
        record = None if found is None else {**orjson.loads(found[0]), VERSION_KEY: found[1]}
        self._read[id] = record
        return deepcopy(record)

    async def write(self, id: str, data: Record) -> None:
        """
        An INSERT where the caller read nothing, else an UPDATE of the version that was read.

        The TypeScript interface hands the record before to `write`; the four verbs do not, so it is what this
        object read last.
        """
        before = self._read.get(id)
        _varchar(id)
        text = _jsonb({key: value for key, value in data.items() if key != VERSION_KEY})
        async with self._pool:
            await asyncio.sleep(0)
            stored = self._place.state.get(id)
            if before is None:
                if stored is not None:
                    raise MemoryFailed("duplicate key value violates unique constraint")
                self._place.state[id] = (text, 1)
                return
            version = cast("int", before[VERSION_KEY])
            if stored is None or stored[1] != version:
                raise MemoryFailed("Data is corrupted due to version mismatch")
            self._place.state[id] = (text, version + 1)

    async def lock(self, id: str) -> bool:
        """Four attempts, on one connection of the pool that it keeps while it waits (W7)."""
        _varchar(id)
        async with self._pool:
            for wait_s in (*_WAITS_S, None):
                await asyncio.sleep(0)
                if self._place.lock.get(id, 0.0) < time.time():
                    self._place.lock[id] = time.time() + self._ttl_s
                    return True
                if wait_s is not None:
                    await asyncio.sleep(wait_s)
        return False

    async def unlock(self, id: str) -> bool:
        """DELETE, whoever asks (W1)."""
        async with self._pool:
            await asyncio.sleep(0)
            self._place.lock.pop(id, None)
        return True


def _varchar(id: str) -> None:
    if len(id) > 255:
        raise MemoryFailed("value too long for type character varying(255)")


def _jsonb(record: Record) -> str:
    """As JSONB keeps it: keys by length, no NUL."""
    text = orjson.dumps(_by_length(record)).decode()
    if "\\u0000" in text:
        raise MemoryFailed("unsupported Unicode escape sequence")
    return text


def _by_length(value: Any) -> Any:
    if isinstance(value, dict):
        pairs = sorted(
            cast("dict[str, Any]", value).items(), key=lambda pair: (len(pair[0].encode()), pair[0])
        )
        return {key: _by_length(item) for key, item in pairs}
    if isinstance(value, list):
        return [_by_length(item) for item in cast("list[Any]", value)]
    return value
