"""What a clause is: one promise of the contract, and the async function that tries to break it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final

from pyarvo.errors import InvalidOption
from pyarvo.testing.conformance.bench import Bench
from pyarvo.testing.conformance.levels import Level

__all__ = ["Clause", "Kind", "chosen", "clause", "clauses"]

Work = Callable[[Bench], Coroutine[Any, Any, None]]


class Kind(StrEnum):
    """What a clause is about, beside its family."""

    CONCURRENT = "concurrent"
    FAULT = "fault"
    OWNERSHIP = "ownership"


@dataclass(frozen=True, slots=True)
class Clause:
    """
    One promise.

    Attributes:
        id: `level.family.number`; it never changes its meaning.

        title: The promise, in words.

        work: Tries to break it.

        kinds: What else it is about.

        alone: Whether it runs after the others, by itself: it measures time, or touches the store as a whole.
    """

    id: str
    title: str
    work: Work
    kinds: frozenset[Kind]
    alone: bool = False

    @property
    def level(self) -> Level:
        return Level(self.id.split(".")[0])

    @property
    def family(self) -> str:
        return self.id.split(".")[1]


_KNOWN: Final[dict[str, Clause]] = {}
_ORDER: Final = {level: n for n, level in enumerate(Level)}


def clause(id: str, title: str, *kinds: Kind, alone: bool = False) -> Callable[[Work], Work]:
    """Register a function as the clause *id*; the family `ownership` is of that kind by itself."""

    def register(work: Work) -> Work:
        if id in _KNOWN:
            raise ValueError(f"two clauses are called {id}")
        found = {*kinds, Kind.OWNERSHIP} if id.split(".")[1] == Kind.OWNERSHIP else set(kinds)
        _KNOWN[id] = Clause(id, title, work, frozenset(found), alone)
        return work

    return register


def clauses() -> tuple[Clause, ...]:
    """All clauses, level by level, in the order of their ids."""
    package = import_module("pyarvo.testing.conformance.clauses")
    for module in iter_modules(package.__path__, f"{package.__name__}."):
        import_module(module.name)
    return tuple(sorted(_KNOWN.values(), key=lambda each: (_ORDER[each.level], each.id)))


def chosen(only: str | Iterable[str] | None) -> tuple[Clause, ...]:
    """
    The clauses whose id is in *only*, or fits a pattern in it (`base.*`).

    Raises:
        InvalidOption: One of them names no clause.
    """
    if only is None:
        return clauses()
    patterns = [only] if isinstance(only, str) else list(only)
    for pattern in patterns:
        if not any(fnmatchcase(each.id, pattern) for each in clauses()):
            raise InvalidOption("only", f"names no clause: {pattern!r}")
    return tuple(each for each in clauses() if any(fnmatchcase(each.id, pattern) for pattern in patterns))
