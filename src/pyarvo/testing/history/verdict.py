"""What the check of a history found."""

from __future__ import annotations

from dataclasses import dataclass

from pyarvo.testing.history.calls import Call

__all__ = ["Verdict", "Violation"]


@dataclass(frozen=True, slots=True)
class Violation:
    """
    Calls of one instance that no order explains.

    Attributes:
        id: The instance.

        calls: The calls that contradict each other, whatever the answers to all others were; the last one to be
            answered is the one at which it shows.

        history: All calls of the instance that had begun when it showed, in the order in which they began.
    """

    id: str
    calls: tuple[Call, ...]
    history: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What the check found.

    Attributes:
        calls, instances: How many were looked at.

        violations: One for each instance that went wrong.

        undecided: Instances whose calls have too many orders to be searched.
    """

    calls: int
    instances: int
    violations: tuple[Violation, ...]
    undecided: tuple[str, ...]

    @property
    def is_legal(self) -> bool:
        """Whether every instance was searched, and an order found for each."""
        return not self.violations and not self.undecided
