"""What one execution of a handler returns."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from pyarvo.events import ArvoEvent

__all__ = ["ExecutionResult", "Outcome"]


class Outcome(StrEnum):
    """How an execution ended, so that nobody has to guess from an empty list of events."""

    RAN = "ran"
    """User code ran, and the step is committed (a stateless handler: user code ran)."""

    REPLAYED = "replayed"
    """The event took effect before: its events are handed on again, nothing ran."""

    FAILED = "failed"
    """User code raised: the failure is recorded, the events tell the initiator."""

    FOREIGN = "foreign"
    """The subject belongs to another orchestrator; nothing was read."""

    UNKNOWN_INSTANCE = "unknown_instance"
    """No record, and not the init event: an answer may have overtaken its init, deliver it again later."""

    INSTANCE_FAILED = "instance_failed"
    """The workflow failed earlier and takes no more events."""

    INSTANCE_DONE = "instance_done"
    """The workflow is complete and takes no more events."""

    DELETED = "deleted"
    """The workflow was deleted and is not started again."""


class ExecutionResult(msgspec.Struct, frozen=True):
    """
    The answer of a handler to one event.

    Attributes:
        events: What to publish, in order. They are committed: publishing them twice is harmless, because their
            ids are the same each time.

        outcome: How the execution ended.
    """

    events: tuple[ArvoEvent, ...]
    outcome: Outcome
