"""How often something dear may happen: the bound of what telemetry costs under load."""

from __future__ import annotations

from time import monotonic
from typing import Final

__all__ = ["A_SECOND", "Allowance"]

A_SECOND: Final = 100.0
"""Most measurements of a bounded histogram, and most traces that memories begin by themselves, a second."""


class Allowance:
    """So many a second; what was not used in one second may be used in the next."""

    __slots__ = ("_at", "_left")

    def __init__(self) -> None:
        self._left = A_SECOND
        self._at = monotonic()

    def take(self) -> bool:
        """Use one; False when none is left."""
        now = monotonic()
        left = min(A_SECOND, self._left + (now - self._at) * A_SECOND)
        self._at = now
        if left < 1.0:
            self._left = left
            return False
        self._left = left - 1.0
        return True
