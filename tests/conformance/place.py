"""A place where memories meet: several memory objects over one store, under one clock that tests turn."""

# It damages stores from inside.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import closing
from contextvars import Context
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar, cast

from msgspec.structs import replace

from pyarvo.errors import MemoryFault
from pyarvo.memory import Lease, LeasedMemory, MemoryOptions
from pyarvo.memory.backend import Backend
from pyarvo.memory.decide import Op, Outcome
from pyarvo.memory.simple import SimpleBackend
from pyarvo.memory.sqlite.backend import SqliteBackend

__all__ = [
    "KINDS",
    "Clock",
    "Place",
    "after",
    "asked",
    "before",
    "elsewhere",
    "fine",
    "hangs",
    "held",
    "same_again",
    "until",
    "waits_for",
]

KINDS = ("memory", "sqlite")

T = TypeVar("T")


class Clock:
    """The store's clock, in seconds since the epoch; it stands until a test moves it."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Place:
    """
    One store.

    Args:
        kind: "memory" or "sqlite".

        directory: For the file.
    """

    def __init__(self, kind: str, directory: Path) -> None:
        self.kind = kind
        self.clock = Clock()
        self.path = directory / "place.db"
        self._opened: list[LeasedMemory] = []
        self._shared: SimpleBackend | None = None

    def open(
        self, *, faults: Sequence[Fault] | None = None, suspends: bool = False, **options: Any
    ) -> LeasedMemory:
        """
        Another memory object over the store; by default it asks once for a lease that somebody holds.

        Args:
            faults: What happens to its calls, one after the other.

            suspends: Whether a fault takes time, so that the store cannot count as one that answers at once.

            options: Of the memory.
        """
        parsed = MemoryOptions.of({"lock_attempts": 1, **options})
        backend = self._backend(parsed)
        if faults is not None:
            backend = cast("Backend", Faulty(backend, faults, suspends=suspends))
        memory = LeasedMemory(backend, parsed)
        self._opened.append(memory)
        return memory

    def _backend(self, options: MemoryOptions) -> Backend:
        if self.kind == "sqlite":
            return SqliteBackend(str(self.path), options, "normal", self.clock)
        if self._shared is None:
            self._shared = SimpleBackend(options, self.clock)
        return self._shared

    async def close(self) -> None:
        for memory in self._opened:
            await memory.close()

    def damage(self, id: str, raw: bytes) -> None:
        """Put *raw* where the bytes of the record are."""
        if self.kind == "sqlite":
            with closing(sqlite3.connect(self.path)) as connection, connection:
                key = blake2b(id.encode(), digest_size=16).digest()
                changed = connection.execute(
                    "UPDATE record SET data = ? WHERE serial = (SELECT serial FROM instance WHERE key = ?)",
                    (raw, key),
                )
                assert changed.rowcount == 1
        else:
            assert self._shared is not None
            entry = self._shared._entries[id]
            entry.row = replace(entry.row, data=raw)


# --- faults on the way to the store ---------------------------------------------------------------------------

Execute = Callable[[Sequence[Op]], Awaitable[Sequence[Outcome | MemoryFault]]]
Fault = Callable[[Execute, Sequence[Op]], Awaitable[Sequence[Outcome | MemoryFault]]]


async def fine(execute: Execute, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
    """The call goes through."""
    return await execute(ops)


async def hangs(execute: Execute, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
    """The call is never answered."""
    del execute, ops
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


def before(fault: MemoryFault) -> Fault:
    """*fault* instead of the call."""

    async def answer(execute: Execute, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        del execute, ops
        raise fault

    return answer


def after(fault: MemoryFault) -> Fault:
    """The call is applied, its answer is lost."""

    async def answer(execute: Execute, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        await execute(ops)
        raise fault

    return answer


def waits_for(gate: asyncio.Event) -> Fault:
    """The call reaches the store only when *gate* is set."""

    async def answer(execute: Execute, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        await gate.wait()
        return await execute(ops)

    return answer


class Faulty:
    """A backend whose calls go as *faults* say, one by one; then all go through. `asked` holds every call."""

    def __init__(self, backend: Backend, faults: Sequence[Fault], *, suspends: bool) -> None:
        self.name = backend.name
        self.immediate = backend.immediate and not suspends
        self.asked: list[Op] = []
        self._backend = backend
        self._faults = list(faults)

    async def execute(self, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        self.asked.extend(ops)
        fault = self._faults.pop(0) if self._faults else fine
        return await fault(self._backend.execute, ops)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


def asked(memory: LeasedMemory) -> list[str]:
    """The kinds of operations that a memory with `faults` has sent."""
    return [type(op).__name__ for op in cast("Faulty", memory._backend).asked]


# --- callers ----------------------------------------------------------------------------------------------------


async def elsewhere(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Do *work* as another caller: in a task that inherits nothing from this one."""

    async def called() -> T:
        return await work()

    return await asyncio.get_running_loop().create_task(called(), context=Context())


async def until(condition: Callable[[], bool]) -> None:
    """Let the others go on until *condition* holds, for at most 5 seconds."""
    async with asyncio.timeout(5):
        while True:
            if condition():
                return
            await asyncio.sleep(0)


async def held(memory: LeasedMemory, id: str = "a", **options: Any) -> Lease:
    """A lease that must be granted."""
    lease = await memory.acquire(id, **options)
    assert lease is not None
    assert lease.held
    return lease


def same_again(lease: Lease) -> Lease:
    """The handle as it is now, for sending the same thing once more."""
    return Lease(
        lease.id,
        token=lease.token,
        fence=lease.fence,
        version=lease.version,
        data=lease.data,
        ttl_s=lease.ttl_s,
        sent_at=0.0,
    )
