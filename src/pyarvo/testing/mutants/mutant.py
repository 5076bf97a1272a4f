"""What a mutant is: a memory with one lie in it, and the clauses that must find it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pyarvo.memory.backend import Backend
from pyarvo.memory.contract import MachineMemory
from pyarvo.memory.leased import LeasedMemory
from pyarvo.memory.options import MemoryOptions
from pyarvo.testing.mutants.killed_by import KILLED_BY
from pyarvo.testing.mutants.stores import Change, MutantStore, Rule, Swap

__all__ = ["Factory", "Mutant", "changed", "honest", "known", "memory", "rule", "verbs", "wrapper"]

Factory = Callable[..., MachineMemory]
"""`factory(**options) -> memory`: another memory object over one and the same store; see the kit's."""

T = TypeVar("T", bound=type)
R = TypeVar("R", bound=Rule)

_EVERY: Final = ("memory", "sqlite", "redis")
_UNCHANGED: Final = Change()


@dataclass(frozen=True, slots=True)
class Mutant:
    """
    One wrong memory.

    Attributes:
        name: Of the class or function that lies.

        lie: In one sentence.

        killed_by: Ids of the clauses that must find it, on every store and with every seed; those of the level
            network on every server.

        stores: Kinds of stores over which it exists; "none" for one that brings its own.

        open: From a store to a factory of memories.
    """

    name: str
    lie: str
    killed_by: tuple[str, ...]
    stores: tuple[str, ...]
    open: Callable[[MutantStore], Factory]

    @property
    def level(self) -> str:
        """The lowest level whose clauses find it."""
        levels = ("base", "leased", "query", "backend", "network")
        return min((each.split(".")[0] for each in self.killed_by), key=levels.index)


_KNOWN: dict[str, Mutant] = {}


def known() -> tuple[Mutant, ...]:
    """All mutants whose modules are imported, in the order of their definition."""
    return tuple(_KNOWN.values())


def honest(store: MutantStore) -> Factory:
    """Memories over *store* that do not lie."""
    return _memories(store, _UNCHANGED)


def _memories(
    store: MutantStore,
    change: Change,
    around: Callable[[Backend], Any] | None = None,
    kind: type[LeasedMemory] = LeasedMemory,
) -> Factory:
    def factory(*, server: str | None = None, **options: Any) -> MachineMemory:
        parsed = MemoryOptions.of(options)
        backend = store.backend(parsed, change, server)
        return kind(backend if around is None else around(backend), parsed)

    return factory


def _keep(
    name: str, lie: str | None, stores: tuple[str, ...], open: Callable[[MutantStore], Factory]
) -> None:
    if name in _KNOWN:
        raise ValueError(f"two mutants are called {name}")
    _KNOWN[name] = Mutant(name, " ".join((lie or "").split()), KILLED_BY.get(name, ()), stores, open)


def wrapper(cls: T) -> T:
    """Register a class of backends around right ones; `stores` where it does not lie over all of them."""
    stores = getattr(cls, "stores", _EVERY)
    _keep(cls.__name__, cls.__doc__, stores, lambda store: _memories(store, _UNCHANGED, around=cls))
    return cls


def memory(cls: T) -> T:
    """Register a class of memories over right backends; `stores` where it does not lie over all of them."""
    stores = getattr(cls, "stores", _EVERY)
    _keep(cls.__name__, cls.__doc__, stores, lambda store: _memories(store, _UNCHANGED, kind=cls))
    return cls


def rule(*lua: Swap, sql: Swap | None = None) -> Callable[[R], R]:
    """Register a function in place of `decide`, with its retelling for Redis, and for SQLite where that needs one."""

    def register(wrong: R) -> R:
        change = Change(rule=wrong, sql=() if sql is None else (sql,), lua=lua)
        stores = _EVERY if lua else ("memory", "sqlite")
        name: str = getattr(wrong, "__name__", "")
        _keep(name, wrong.__doc__, stores, lambda store: _memories(store, change))
        return wrong

    return register


def changed(name: str, lie: str, *, sql: Swap | None = None, lua: Swap | None = None) -> None:
    """Register one changed statement or script."""
    change = Change(sql=() if sql is None else (sql,), lua=() if lua is None else (lua,))
    stores = (*(("sqlite",) if sql else ()), *(("redis",) if lua else ()))
    _keep(name, lie, stores, lambda store: _memories(store, change))


def verbs(cls: T) -> T:
    """Register a class of memories with four verbs; they are made with the place that all of them share."""
    made: Any = cls

    def opened(store: MutantStore) -> Factory:
        del store
        place = made.place()

        def factory(**options: Any) -> MachineMemory:
            return made(place, **options)

        return factory

    _keep(cls.__name__, cls.__doc__, ("none",), opened)
    return cls
