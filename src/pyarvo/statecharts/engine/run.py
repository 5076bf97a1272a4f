"""The state of one step while it runs; thrown away when the step fails."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyarvo.statecharts.compile import Machine

__all__ = ["Run"]


class Run:
    """
    What a step works on. Rules read it, actions change it; the snapshot that the step began with is never touched.

    Attributes:
        configuration: The active states (mask).

        history: Recorded states (mask) by number of the history state.

        context: The machine's context, this step's own copy.

        event: What guards and actions see.

        internal: Events that the machine raised for itself.

        emitted: Events handed out by `emit`, in order of execution.

        queued: Events handed out by `enqueue_arvo_event`, in order of execution.

        changes: Counts assignments and records of history.

        trail: The configuration after each microstep.
    """

    __slots__ = (
        "changes",
        "configuration",
        "context",
        "done",
        "emitted",
        "event",
        "history",
        "internal",
        "leaves",
        "machine",
        "output",
        "queued",
        "states",
        "trail",
    )

    def __init__(
        self,
        machine: Machine,
        *,
        configuration: int,
        history: dict[int, int],
        context: dict[str, Any],
        event: Any,
    ) -> None:
        self.machine = machine
        self.states = machine.states
        self.leaves = machine.leaves
        self.configuration = configuration
        self.history = history
        self.context = context
        self.event = event
        self.internal: deque[Any] = deque()
        self.emitted: list[dict[str, Any]] = []
        self.queued: list[dict[str, Any]] = []
        self.changes = 0
        self.trail: list[int] = []
        self.done = False
        self.output: Any = None
