"""A cache for functions of one text which no sender can fill with large texts."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Final, TypeVar

__all__ = ["CACHED_LENGTH", "cached_if_short"]

T = TypeVar("T")

CACHED_LENGTH: Final = 1024
"""Most characters of a text that is kept; the result of a longer one is computed each time."""


def cached_if_short(maxsize: int) -> Callable[[Callable[[str], T]], Callable[[str], T]]:
    """
    Cache a function of one text; texts over `CACHED_LENGTH` pass by the cache.

    Args:
        maxsize: Most texts that are kept; the least recently used one goes first.
    """

    def decorate(function: Callable[[str], T]) -> Callable[[str], T]:
        cached = lru_cache(maxsize)(function)

        @wraps(function)
        def call(text: str) -> T:
            return cached(text) if len(text) <= CACHED_LENGTH else function(text)

        return call

    return decorate
