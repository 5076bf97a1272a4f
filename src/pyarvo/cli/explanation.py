"""An explanation as data: the facts it is made from, and what it says. `explaining` makes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct

from pyarvo.cli.diff import Change
from pyarvo.cli.views import EventIdentity, LeaseView
from pyarvo.cli.waiting import Awaited
from pyarvo.errors import RecordCorrupt
from pyarvo.memory import Instance, Record, Step

__all__ = [
    "Advice",
    "Children",
    "Diff",
    "Explanation",
    "Facts",
    "Failure",
    "LastStep",
    "Relative",
    "Situation",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """
    What the store says about an instance.

    Attributes:
        instance: With its record, unless that is damaged.

        ancestors: Parent first, root last.

        children: Newest first.

        steps: The end of its journal, oldest first.

        kept: Earlier records, or why one does not decode, newest first; empty where the memory keeps none.

        now: Seconds since the epoch.

        damage: Why the record does not decode; None when it does.

        holder_alive: Whether the holder's process runs; None when it is on another machine, or unknown.

        memory: URL that the next commands have to be given; None when the environment has it.
    """

    instance: Instance
    ancestors: Sequence[Instance]
    children: Sequence[Instance]
    steps: Sequence[Step]
    kept: Sequence[tuple[int, Record | RecordCorrupt]]
    now: float
    damage: str | None = None
    holder_alive: bool | None = None
    memory: str | None = None


class Situation(StrEnum):
    """Where an instance stands, in one word."""

    HELD = "held"
    WAITING = "waiting"
    IDLE = "idle"
    FAILED = "failed"
    DONE = "done"
    EMPTY = "empty"
    DAMAGED = "damaged"
    DELETED = "deleted"


class LastStep(Struct, frozen=True, kw_only=True):
    """
    The last event that took effect.

    Attributes:
        event: Its source and id; None for a write without an event.

        type: Its type; None where the record does not hold it.

        at: When, by the store's clock.

        version: The version that it made.

        produced: Types of the events that it produced.
    """

    event: EventIdentity | None
    type: str | None
    at: datetime | None
    version: int
    produced: tuple[str, ...]


class Relative(Struct, frozen=True):
    """A parent or child execution."""

    id: str
    orchestrator: str | None
    orchestrator_version: str | None
    status: str | None


class Children(Struct, frozen=True):
    """How many executions it started that are in the store, and those that are not finished."""

    total: int
    unfinished: tuple[Relative, ...]


class Failure(Struct, frozen=True):
    """The error that ended it, as the record keeps it."""

    name: str | None
    message: str
    stack: str | None


class Diff(Struct, frozen=True, kw_only=True):
    """
    What the last step changed in the record, apart from `events`.

    Attributes:
        kept: Whether the version before is still there to compare with.

        reason: Why not; None when it is.

        before, after: The two versions.

        changes: At most 200.
    """

    kept: bool
    reason: str | None = None
    before: int | None = None
    after: int | None = None
    changes: tuple[Change, ...] = ()


class Advice(Struct, frozen=True):
    """
    What to type next.

    Attributes:
        command: For a shell, quoted.

        argv: The same, word by word.

        why: What for.
    """

    command: str
    argv: tuple[str, ...]
    why: str


class Explanation(Struct, frozen=True, kw_only=True):
    """
    The answer of `pyarvo instances explain`.

    Attributes:
        situation: In one word.

        damage: Why the record does not decode; None when it does. What only a record says is then None.

        state: The state value of a machine; None for anything else.

        waits_for: Requests without an answer; None when the record does not say.

        parents: Parent first, root last, as far as the store knows them.

        missing_parent: The first ancestor that the store does not know.

        error: None when the instance did not fail.

        next: The best advice first.
    """

    id: str
    situation: Situation
    orchestrator: str | None
    orchestrator_version: str | None
    status: str | None
    damage: str | None
    state: Any
    version: int
    created_at: datetime | None
    updated_at: datetime | None
    deleted_at: datetime | None
    lease: LeaseView
    last_step: LastStep | None
    waits_for: tuple[Awaited, ...] | None
    parents: tuple[Relative, ...]
    missing_parent: str | None
    children: Children
    error: Failure | None
    diff: Diff
    next: tuple[Advice, ...]
