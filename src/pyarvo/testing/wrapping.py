"""A memory around another one: every call of a verb goes through one function, and can be watched, spoiled or stopped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Any, Self, cast

from pyarvo.memory.adapted import has_leases
from pyarvo.memory.contract import Lease, LeasedMachineMemory, MachineMemory, Record, Step

__all__ = ["MemoryCall", "WrappedMemory"]


@dataclass(frozen=True, slots=True)
class MemoryCall:
    """
    One call of a verb, on its way to the memory.

    Attributes:
        verb: "read", "write", "lock", "unlock", "acquire", "commit", "renew" or "release".

        id: The instance.

        arguments: What else the verb was called with, by name.

        proceed: Hands the call on to the memory; at most once.
    """

    verb: str
    id: str
    arguments: Mapping[str, Any]
    proceed: Callable[[], Awaitable[Any]]


class WrappedMemory:
    """
    Hands every call on to *memory*; subclasses override `around`.

    It offers leases exactly when *memory* does, so a handler treats it as it would treat the memory itself. Queries
    and everything else that *memory* has go straight through.

    Args:
        memory: Any object with the four verbs.
    """

    def __new__(cls, memory: MachineMemory, *_: Any, **__: Any) -> Self:
        """Make one with leases when *memory* has them."""
        kind = _with_leases(cls) if has_leases(memory) else cls
        return cast("Self", object.__new__(kind))

    def __init__(self, memory: MachineMemory) -> None:
        self._memory = memory

    async def around(self, call: MemoryCall) -> Any:
        """What happens instead of *call*; `await call.proceed()` is the call itself."""
        return await call.proceed()

    async def read(self, id: str) -> Record | None:
        """See `MachineMemory.read`."""
        return await self.around(MemoryCall("read", id, {}, lambda: self._memory.read(id)))

    async def write(self, id: str, data: Record) -> None:
        """See `MachineMemory.write`."""
        await self.around(MemoryCall("write", id, {"data": data}, lambda: self._memory.write(id, data)))

    def lock(self, id: str) -> Coroutine[Any, Any, bool]:
        """See `MachineMemory.lock`. A plain function, as the memory's: it may mark the caller's context when called."""
        return self._locked(id, self._memory.lock(id))

    async def _locked(self, id: str, locking: Coroutine[Any, Any, bool]) -> bool:
        try:
            return await self.around(MemoryCall("lock", id, {}, lambda: locking))
        finally:
            locking.close()  # where it never went through, nobody awaited it

    async def unlock(self, id: str) -> bool:
        """See `MachineMemory.unlock`."""
        return await self.around(MemoryCall("unlock", id, {}, lambda: self._memory.unlock(id)))

    def __getattr__(self, name: str) -> Any:
        if name == "_memory":  # not yet made: a copy or a subclass that forgot `super().__init__`
            raise AttributeError(name)
        return getattr(self._memory, name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the memory, where it can be closed."""
        close = getattr(self._memory, "close", None)
        if close is not None:
            await close()


class _Leases:
    """The leases of a memory that has them, each call through `around`."""

    _memory: LeasedMachineMemory
    around: Callable[[MemoryCall], Awaitable[Any]]

    async def acquire(
        self, id: str, *, event_key: Sequence[str] | str | None = None, ttl_s: float | None = None
    ) -> Lease | None:
        """See `LeasedMachineMemory.acquire`."""
        given = {"event_key": event_key, "ttl_s": ttl_s}
        return await self.around(
            MemoryCall(
                "acquire", id, given, lambda: self._memory.acquire(id, event_key=event_key, ttl_s=ttl_s)
            )
        )

    async def commit(
        self, lease: Lease, data: Mapping[str, Any], *, step: Step | None = None, release: bool = True
    ) -> int:
        """See `LeasedMachineMemory.commit`."""
        given = {"lease": lease, "data": data, "step": step, "release": release}
        return await self.around(
            MemoryCall(
                "commit",
                lease.id,
                given,
                lambda: self._memory.commit(lease, data, step=step, release=release),
            )
        )

    async def renew(self, lease: Lease, *, ttl_s: float | None = None) -> None:
        """See `LeasedMachineMemory.renew`."""
        given = {"lease": lease, "ttl_s": ttl_s}
        await self.around(
            MemoryCall("renew", lease.id, given, lambda: self._memory.renew(lease, ttl_s=ttl_s))
        )

    async def release(self, lease: Lease) -> bool:
        """See `LeasedMachineMemory.release`."""
        return await self.around(
            MemoryCall("release", lease.id, {"lease": lease}, lambda: self._memory.release(lease))
        )


@cache
def _with_leases(cls: type[WrappedMemory]) -> type[WrappedMemory]:
    return cls if issubclass(cls, _Leases) else type(cls.__name__, (cls, _Leases), {})
