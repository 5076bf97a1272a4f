"""What a memory may offer."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from pyarvo.errors import InvalidOption

__all__ = ["Level", "levels_of"]


class Level(StrEnum):
    """What a memory may offer; within a level nothing is optional."""

    BASE = "base"
    LEASED = "leased"
    QUERY = "query"
    BACKEND = "backend"
    """Built on pyarvo's own `Backend`: then the kit breaks the calls between memory and store."""

    NETWORK = "network"
    """Its store is a server whose address is given: then the kit breaks the connections to it."""


def levels_of(names: Iterable[str]) -> frozenset[Level]:
    """
    The levels of these names.

    Raises:
        InvalidOption: One is none.
    """
    try:
        return frozenset(Level(name) for name in names)
    except ValueError as exc:
        raise InvalidOption("levels", f"must be of {', '.join(Level)}: {exc}") from exc
