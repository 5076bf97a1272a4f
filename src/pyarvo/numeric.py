"""Which values are numbers. Callers are not all typed, and Python counts its truth values among the integers."""

from __future__ import annotations

from typing import TypeGuard

__all__ = ["is_integer", "is_number"]


def is_integer(value: object) -> TypeGuard[int]:
    """Whether *value* is an integer and no truth value."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Whether *value* is an integer or a float, also an infinite one or NaN, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)
