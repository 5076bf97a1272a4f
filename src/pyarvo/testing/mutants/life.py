"""Memories that lie about their life: used after they were closed, or in another process."""

from __future__ import annotations

from typing import ClassVar

from pyarvo.memory import LeasedMemory
from pyarvo.testing.mutants.mutant import memory

__all__: list[str] = []


@memory
class ClosedStillWorks(LeasedMemory):
    """Answers calls after it was closed from what it remembers."""

    stores: ClassVar = ("memory",)

    def _check_usable(self, id: str | None, operation: str) -> None:
        """Whatever it is."""


@memory
class UsedAfterAFork(LeasedMemory):
    """Works on in a forked child, with the leases of the parent."""

    stores: ClassVar = ("memory", "redis")

    def _check_process(self, id: str | None, operation: str) -> None:
        """Whichever it is."""
