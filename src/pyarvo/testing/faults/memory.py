"""Faults in front of a memory, and one level deeper: in front of the store that a memory stands on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

from pyarvo.errors import MemoryFault, MemoryUnavailable, WriteOutcomeUnknown
from pyarvo.memory.backend import Backend, Find, Stored
from pyarvo.memory.contract import Lease, MachineMemory
from pyarvo.memory.decide import JournalEntry, Op, Outcome, Read
from pyarvo.testing.faults.plan import Fault, FaultKind, Injected, Plan, suffer
from pyarvo.testing.wrapping import MemoryCall, WrappedMemory

__all__ = ["FaultyBackend", "FaultyMemory"]


class FaultyMemory(WrappedMemory):
    """
    A memory whose calls fail as *plan* says. It has leases when *memory* has them.

    What comes out is what the contract of Machine Memory allows, so whoever keeps to the contract must cope with it:
    `MemoryUnavailable` where nothing was applied, `WriteOutcomeUnknown` where nobody can know, False from a release.

    Args:
        memory: Any object with the four verbs.

        plan: A `Script`, a `RandomPlan`, or your own.

    Attributes:
        injected: The faults that happened so far, in order.
    """

    def __init__(self, memory: MachineMemory, plan: Plan) -> None:
        super().__init__(memory)
        self._plan = plan
        self.injected: list[Injected] = []

    async def around(self, call: MemoryCall) -> Any:
        """Ask the plan, then call or fail."""
        fault = self._plan.next(call.verb, call.id)
        if fault is None:
            return await call.proceed()
        self.injected.append(Injected(call.verb, call.id, fault))
        lease: Lease | None = call.arguments.get("lease")
        before = None if lease is None or fault.kind is FaultKind.SLOW else _handle(lease)
        try:
            return await suffer(fault, call.verb, call.id, call.proceed)
        finally:
            if before is not None and call.verb != "release":
                # Whoever does not hear the answer does not learn from it either.
                for name, value in before.items():
                    setattr(lease, name, value)


class FaultyBackend:
    """
    A backend whose round trips fail as *plan* says; put a `LeasedMemory` above it.

    The memory above retries, settles and gives back as it does with a real store. A batch of operations is one round
    trip: the first of them that the plan spoils spoils them all. The verbs are those of the operations: read, acquire,
    commit, renew, release, delete, force_release.

    Args:
        backend: The store.

        plan: See `FaultyMemory`.

    Attributes:
        injected: The faults that happened so far, in order.

        asked: Every operation that was to be executed, in order.
    """

    name: ClassVar[str]
    immediate: ClassVar[bool] = False  # a fault may take time: deadlines must be kept

    def __init__(self, backend: Backend, plan: Plan) -> None:
        self.name = backend.name  # pyright: ignore[reportAttributeAccessIssue] - each wrapper bears its store's name
        self.injected: list[Injected] = []
        self.asked: list[Op] = []
        self._backend = backend
        self._plan = plan

    async def execute(self, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        """One round trip, or its fault."""
        self.asked.extend(ops)
        spoiled = self._spoiled(ops)
        if spoiled is None:
            return await self._backend.execute(ops)
        self.injected.append(spoiled)
        try:
            return await suffer(spoiled.fault, "", spoiled.id, lambda: self._backend.execute(ops))
        except MemoryUnavailable as fault:
            if fault is spoiled.fault.error:
                raise
            kind = MemoryUnavailable if _is_certain(spoiled.fault, ops) else WriteOutcomeUnknown
            raise kind(fault.args[0]) from None  # without an id: it is the fault of all of them

    def _spoiled(self, ops: Sequence[Op]) -> Injected | None:
        for op in ops:
            verb = _verb_of(op)
            fault = self._plan.next(verb, op.id)
            if fault is not None:
                return Injected(verb, op.id, fault)
        return None

    async def get(self, id: str) -> Stored | None:
        """The store's own; queries are not spoiled."""
        return await self._backend.get(id)

    async def find(self, what: Find, *, before: int | None, limit: int) -> Sequence[Stored]:
        """The store's own."""
        return await self._backend.find(what, before=before, limit=limit)

    async def count(self, what: Find) -> int:
        """The store's own."""
        return await self._backend.count(what)

    async def journal(self, id: str, *, after: int, limit: int) -> Sequence[JournalEntry]:
        """The store's own."""
        return await self._backend.journal(id, after=after, limit=limit)

    async def history(self, id: str) -> Sequence[tuple[int, bytes]]:
        """The store's own."""
        return await self._backend.history(id)

    async def ping(self) -> None:
        """The store's own."""
        await self._backend.ping()

    async def close(self) -> None:
        """The store's own."""
        await self._backend.close()

    def __getattr__(self, name: str) -> Any:
        """What only some stores have (`batches`, `page`, whole instances)."""
        if name == "_backend":
            raise AttributeError(name)
        return getattr(self._backend, name)


def _handle(lease: Lease) -> dict[str, Any]:
    """What a lease's handle knows now."""
    slots = [name for kind in type(lease).__mro__ for name in getattr(kind, "__slots__", ())]
    return {name: getattr(lease, name) for name in slots}


def _is_certain(fault: Fault, ops: Sequence[Op]) -> bool:
    """Whether it is known that nothing was applied."""
    return fault.kind is FaultKind.ERROR_BEFORE or all(type(op) is Read for op in ops)


def _verb_of(op: Op) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(op).__name__).lower()
