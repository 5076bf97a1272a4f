"""A memory whose calls are written down, so that a broken promise can be told with what led to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from reprlib import Repr
from time import monotonic
from typing import Any, Final, TypeVar, cast

from pyarvo.memory import Instance, Lease, MachineMemory, Page, Record, Step
from pyarvo.memory.leased import LeasedMemory
from pyarvo.testing.conformance.levels import Level

__all__ = ["History", "Watched", "offered_by"]

R = TypeVar("R")

_KEPT: Final = 60
_LONGEST: Final = 100

_BRIEF: Final = Repr()
_BRIEF.maxstring = _BRIEF.maxother = _LONGEST
_BRIEF.maxdict, _BRIEF.maxlist, _BRIEF.maxtuple, _BRIEF.maxlevel = 6, 16, 16, 5

_VERBS: Final = ("read", "write", "lock", "unlock")
_LEASED: Final = ("acquire", "commit", "renew", "release")
_QUERIES: Final = (
    "get",
    "instances",
    "count",
    "children",
    "ancestors",
    "journal",
    "history",
    "delete",
    "force_release",
    "purge",
)


def offered_by(memory: object) -> frozenset[Level]:
    """The levels that *memory* offers, by the methods it has."""

    def has(names: tuple[str, ...]) -> bool:
        return all(callable(getattr(memory, name, None)) for name in names)

    found: set[Level] = set()
    if has(_VERBS):
        found.add(Level.BASE)
    if has(_VERBS + _LEASED):
        found.add(Level.LEASED)
    if has(_VERBS + _LEASED + _QUERIES):
        found.add(Level.QUERY)
    if isinstance(memory, LeasedMemory):
        found.add(Level.BACKEND)
    return frozenset(found)


class _Call:
    """One call: when it began and ended, and how."""

    __slots__ = ("began", "ended", "how", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.began = monotonic()
        self.ended: float | None = None
        self.how = "has not ended"


class History:
    """
    The calls of one clause, in the order in which they began.

    Attributes:
        names: Short names of the ids that occur.
    """

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self._calls: list[_Call] = []
        self._began = monotonic()

    def begin(self, text: str) -> _Call:
        call = _Call(text)
        self._calls.append(call)
        return call

    def lines(self) -> tuple[str, ...]:
        """One line a call; of a long history the latest."""
        told = tuple(self._line(call) for call in self._calls[-_KEPT:])
        left_out = len(self._calls) - len(told)
        return (f"... {left_out} calls before", *told) if left_out else told

    def _line(self, call: _Call) -> str:
        began = (call.began - self._began) * 1_000
        ended = "" if call.ended is None else f"{(call.ended - self._began) * 1_000:.1f}"
        return f"{began:9.1f} - {ended:>7} ms  {call.text} {call.how}"

    def shown(self, value: object) -> str:
        """*value* in few words."""
        if isinstance(value, str) and value in self.names:
            return repr(self.names[value])
        if isinstance(value, Lease):
            return f"<lease: fence {value.fence}, version {value.version}, token {value.token[:6]}>"
        return _BRIEF.repr(value)


class Watched:
    """
    A memory, with every call of it in a history.

    Attributes:
        inner: The memory itself.
    """

    def __init__(self, inner: MachineMemory, name: str, history: History) -> None:
        self.inner: Any = inner
        self._name = name
        self._history = history

    # --- the four verbs ---------------------------------------------------------------------------------------

    async def read(self, id: str) -> Record | None:
        return await self._told("read", lambda: self.inner.read(id), id)

    async def write(self, id: str, data: Any) -> None:
        await self._told("write", lambda: self.inner.write(id, data), id, data)

    def lock(self, id: str) -> Coroutine[Any, Any, bool]:
        """A plain function, as that of a memory which marks the caller's context when it is called."""
        call = self._begin("lock", (id,), {})
        try:
            locking = self.inner.lock(id)
        except BaseException as error:
            self._raised(call, error)
            raise
        return self._awaited(call, locking)

    async def unlock(self, id: str) -> bool:
        return await self._told("unlock", lambda: self.inner.unlock(id), id)

    # --- leases -----------------------------------------------------------------------------------------------

    async def acquire(self, id: str, **options: Any) -> Lease | None:
        return await self._told("acquire", lambda: self.inner.acquire(id, **options), id, **options)

    async def commit(self, lease: Lease, data: Any, *, step: Step | None = None, release: bool = True) -> int:
        return await self._told(
            "commit",
            lambda: self.inner.commit(lease, data, step=step, release=release),
            self._named(lease),
            data,
            step=step,
            release=release,
        )

    async def renew(self, lease: Lease, *, ttl_s: float | None = None) -> None:
        await self._told(
            "renew", lambda: self.inner.renew(lease, ttl_s=ttl_s), self._named(lease), ttl_s=ttl_s
        )

    async def release(self, lease: Lease) -> bool:
        return await self._told("release", lambda: self.inner.release(lease), self._named(lease))

    # --- queries ----------------------------------------------------------------------------------------------

    async def get(self, id: str) -> Instance | None:
        return await self._told("get", lambda: self.inner.get(id), id)

    async def instances(self, what: object = None, **options: Any) -> Page:
        return await self._told("instances", lambda: self.inner.instances(what, **options), what, **options)

    async def count(self, what: object = None) -> int:
        return await self._told("count", lambda: self.inner.count(what), what)

    async def children(self, id: str) -> tuple[Instance, ...]:
        return await self._told("children", lambda: self.inner.children(id), id)

    async def ancestors(self, id: str) -> tuple[Instance, ...]:
        return await self._told("ancestors", lambda: self.inner.ancestors(id), id)

    async def journal(self, id: str, **options: Any) -> tuple[Step, ...]:
        return await self._told("journal", lambda: self.inner.journal(id, **options), id, **options)

    async def history(self, id: str) -> tuple[tuple[int, Record], ...]:
        return await self._told("history", lambda: self.inner.history(id), id)

    async def delete(self, id: str, *, force: bool = False) -> bool:
        return await self._told("delete", lambda: self.inner.delete(id, force=force), id, force=force)

    async def force_release(self, id: str, *, reason: str) -> bool:
        return await self._told(
            "force_release", lambda: self.inner.force_release(id, reason=reason), id, reason=reason
        )

    async def purge(self, *, older_than_s: float, dry_run: bool = False) -> tuple[str, ...]:
        return await self._told(
            "purge",
            lambda: self.inner.purge(older_than_s=older_than_s, dry_run=dry_run),
            older_than_s=older_than_s,
            dry_run=dry_run,
        )

    async def close(self) -> None:
        """Close the memory, where it can be."""
        close = getattr(self.inner, "close", None)
        if close is not None:
            closing = close()
            if closing is not None:
                await closing

    # --- writing down -----------------------------------------------------------------------------------------

    def _named(self, lease: Lease) -> str:
        return f"{self._history.names.get(lease.id, lease.id)}, {self._history.shown(lease)}"

    async def _told(
        self, verb: str, work: Callable[[], Coroutine[Any, Any, Any]], *arguments: object, **options: object
    ) -> Any:
        call = self._begin(verb, arguments, options)
        try:
            working = work()
        except BaseException as error:
            self._raised(call, error)
            raise
        return await self._awaited(call, working)

    def _begin(self, verb: str, arguments: tuple[object, ...], options: dict[str, object]) -> _Call:
        shown = [self._history.shown(each) for each in arguments]
        shown += [f"{name}={self._history.shown(each)}" for name, each in options.items() if each is not None]
        return self._history.begin(f"{self._name}.{verb}({', '.join(shown)})")

    async def _awaited(self, call: _Call, working: Coroutine[Any, Any, R]) -> R:
        try:
            answer = await working
        except BaseException as error:
            self._raised(call, error)
            raise
        call.ended = monotonic()
        call.how = f"-> {self._history.shown(cast('object', answer))}"
        return answer

    def _raised(self, call: _Call, error: BaseException) -> None:
        call.ended = monotonic()
        cancelled = isinstance(error, asyncio.CancelledError)
        call.how = "was cancelled" if cancelled else f"raised {type(error).__name__}: {str(error)[:_LONGEST]}"
