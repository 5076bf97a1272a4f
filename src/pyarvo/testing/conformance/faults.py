"""Faults between a memory of this package and its store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

from msgspec.structs import replace

from pyarvo.errors import MemoryFault, MemoryUnavailable, WriteOutcomeUnknown
from pyarvo.memory.backend import Backend
from pyarvo.memory.decide import Acquired, Consumed, Found, Op, Outcome

__all__ = [
    "Fault",
    "FaultyBackend",
    "away",
    "forbidden",
    "hangs",
    "late",
    "lost",
    "passes",
    "swaps",
    "vanished",
    "waits",
]

Execute = Callable[[Sequence[Op]], Awaitable[Sequence[Outcome | MemoryFault]]]
Fault = Callable[[Execute, Sequence[Op]], Awaitable[Sequence[Outcome | MemoryFault]]]


async def passes(execute: Execute, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
    """The call goes through."""
    return await execute(ops)


async def hangs(execute: Execute, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
    """The call never arrives, and is never answered."""
    del execute, ops
    return await asyncio.get_running_loop().create_future()


async def late(execute: Execute, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
    """The call is applied; its answer never comes."""
    await execute(ops)
    return await asyncio.get_running_loop().create_future()


async def away(execute: Execute, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
    """The store cannot be reached."""
    del execute, ops
    raise MemoryUnavailable("the kit cut the connection before the call")


async def forbidden(execute: Execute, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
    """The store refuses for good."""
    del execute, ops
    raise MemoryUnavailable("the kit took the permission away", transient=False)


async def lost(execute: Execute, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
    """The call is applied, its answer is lost."""
    await execute(ops)
    raise WriteOutcomeUnknown("the kit lost the answer")


async def vanished(execute: Execute, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
    """The call is not applied, and nobody can say so."""
    del execute, ops
    raise WriteOutcomeUnknown("the kit lost the call")


def waits(gate: asyncio.Event) -> Fault:
    """The call reaches the store only when *gate* is set."""

    async def fault(execute: Execute, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        await gate.wait()
        return await execute(ops)

    return fault


def swaps(change: Callable[[bytes], bytes]) -> Fault:
    """The call goes through; record bytes that come back are changed."""

    async def fault(execute: Execute, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        answers: list[Outcome | MemoryFault] = []
        for answer in await execute(ops):
            if isinstance(answer, Found | Acquired | Consumed) and answer.data is not None:
                answers.append(replace(answer, data=change(answer.data)))
            else:
                answers.append(answer)
        return answers

    return fault


class FaultyBackend:
    """
    A backend whose calls go as *faults* say, one after the other; then all go through.

    Args:
        backend: The store.

        faults: What happens to the calls.

    Attributes:
        sent: Every operation that came.
    """

    name: ClassVar[str] = "faulty"
    immediate: ClassVar[bool] = False

    def __init__(self, backend: Backend, faults: Sequence[Fault]) -> None:
        self.sent: list[Op] = []
        self._backend: Any = backend
        self._faults = list(faults)

    async def execute(self, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        self.sent.extend(ops)
        fault = self._faults.pop(0) if self._faults else passes
        return await fault(self._backend.execute, ops)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)
