"""Why an instance is where it is, and what to do next: pure, from facts to an explanation."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any, Final

from msgspec import Struct

from pyarvo.cli.diff import Change, changes
from pyarvo.cli.text import utc
from pyarvo.cli.views import EventIdentity, LeaseView, event_identity, lease_view
from pyarvo.cli.waiting import Awaited, as_object, as_text, awaited
from pyarvo.memory import Instance, Record, Step
from pyarvo.memory.queries import FINISHED

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
    "explain",
]

_MOST_CHANGES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """
    What the store says about an instance.

    Attributes:
        instance: With its record.

        ancestors: Parent first, root last.

        children: Newest first.

        steps: The end of its journal, oldest first.

        kept: Earlier records, newest first; empty where the memory keeps none.

        now: Seconds since the epoch.

        holder_alive: Whether the holder's process runs; None when it is on another machine, or unknown.

        memory: URL that the next commands have to be given; None when the environment has it.
    """

    instance: Instance
    ancestors: Sequence[Instance]
    children: Sequence[Instance]
    steps: Sequence[Step]
    kept: Sequence[tuple[int, Record]]
    now: float
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


def explain(facts: Facts) -> Explanation:
    """Make the explanation of an instance; no I/O, no clock."""
    it = facts.instance
    record = it.data
    waits_for = awaited(it.id, record, facts.steps, facts.kept)
    children = Children(
        len(facts.children),
        tuple(_relative(child) for child in facts.children if child.status not in FINISHED),
    )
    situation = _situation(it, waits_for, children)
    last = _last_step(record, facts.steps)
    return Explanation(
        id=it.id,
        situation=situation,
        orchestrator=it.orchestrator,
        orchestrator_version=it.orchestrator_version,
        status=it.status,
        state=_state(record),
        version=it.version,
        created_at=utc(it.created_at),
        updated_at=utc(it.updated_at),
        deleted_at=utc(it.deleted_at),
        lease=lease_view(it),
        last_step=last,
        waits_for=waits_for,
        parents=tuple(_relative(parent) for parent in facts.ancestors),
        missing_parent=_missing_parent(it, facts.ancestors),
        children=children,
        error=_failure(record),
        diff=_diff(it, facts.kept),
        next=tuple(_Advisor(facts, last, waits_for, children).advice(situation)),
    )


def _situation(it: Instance, waits_for: tuple[Awaited, ...] | None, children: Children) -> Situation:
    if it.held:
        return Situation.HELD
    if it.deleted_at is not None:
        return Situation.DELETED
    if it.version == 0:
        return Situation.EMPTY
    if it.status in ("failure", "error"):
        return Situation.FAILED
    if it.status in FINISHED:
        return Situation.DONE
    return Situation.WAITING if waits_for or children.unfinished else Situation.IDLE


def _state(record: Record | None) -> Any:
    if record is None:
        return None
    return record.get("value", (as_object(record.get("state")) or {}).get("value"))


def _last_step(record: Record | None, steps: Sequence[Step]) -> LastStep | None:
    if not steps:
        return None
    step = steps[-1]
    event = event_identity(step.event_key)
    consumed = as_object((as_object((record or {}).get("events")) or {}).get("consumed")) or {}
    same = event is not None and (event.source, event.id) == (consumed.get("source"), consumed.get("id"))
    return LastStep(
        event=event,
        type=as_text(consumed.get("type")) if same else None,
        at=utc(step.at),
        version=step.version,
        produced=tuple(str(produced.get("type")) for produced in step.produced),
    )


def _relative(instance: Instance) -> Relative:
    return Relative(instance.id, instance.orchestrator, instance.orchestrator_version, instance.status)


def _missing_parent(it: Instance, ancestors: Sequence[Instance]) -> str | None:
    oldest = ancestors[-1] if ancestors else it
    known = {it.id, *(ancestor.id for ancestor in ancestors)}
    return oldest.parent if oldest.parent not in known else None


def _failure(record: Record | None) -> Failure | None:
    """The `error` of a failure record, or of a machine's own snapshot; whatever else stands there is shown as it is."""
    if record is None:
        return None
    error = record.get("error")
    if error is None:
        error = (as_object(record.get("state")) or {}).get("error")
    if error is None:
        return None
    parts = as_object(error)
    if parts is None:
        return Failure(None, str(error), None)
    message = parts.get("errorMessage", parts.get("message"))
    name = as_text(parts.get("errorName")) or as_text(parts.get("name"))
    stack = as_text(parts.get("errorStack")) or as_text(parts.get("stack"))
    return Failure(name, "the record keeps no message" if message is None else str(message), stack)


def _diff(it: Instance, kept: Sequence[tuple[int, Record]]) -> Diff:
    if it.data is None:
        return Diff(kept=False, reason="there is no record")
    if it.version <= 1:
        return Diff(kept=False, reason="there is no version before")
    if not kept:
        return Diff(kept=False, reason="not kept: set history=N in the memory's options")
    version, before = kept[0]
    found = (one for one in changes(before, it.data) if not one.path.startswith("$.events"))
    return Diff(kept=True, before=version, after=it.version, changes=tuple(islice(found, _MOST_CHANGES)))


class _Advisor:
    """Finds the next commands for one instance."""

    def __init__(
        self, facts: Facts, last: LastStep | None, waits_for: tuple[Awaited, ...] | None, children: Children
    ) -> None:
        self._id = facts.instance.id
        self._facts = facts
        self._last = last
        self._waits_for = waits_for or ()
        self._children = children

    def advice(self, situation: Situation) -> list[Advice]:
        match situation:
            case Situation.HELD:
                return self._held()
            case Situation.WAITING:
                return self._waiting()
            case Situation.FAILED:
                why = (
                    "the error with its stack; a failed instance takes no more events: "
                    "mend the cause, then start the work again under a new subject"
                )
                return [self._type(why, "instances", "show", "-o", "json", id=self._id)]
            case Situation.EMPTY:
                why = "it was leased and never written: redeliver the event that starts it, then look again"
                return [self._type(why, "instances", "explain", id=self._id)]
            case Situation.DELETED:
                why = "nothing to do: late events are refused until the tombstone is swept"
                return [self._type(why, "instances", "list", "--deleted")]
            case Situation.DONE:
                return [self._type("nothing to do: it is finished", "instances", "show", id=self._id)]
            case Situation.IDLE:
                why = "it asked for nothing that is still open, so it goes on with whatever event comes"
                return [self._type(why, "instances", "show", id=self._id)]

    def _held(self) -> list[Advice]:
        it = self._facts.instance
        left = f"{max(0.0, it.expires_in_s or 0.0):.0f} s"
        if self._facts.holder_alive is False:
            gone = f"the holder {it.holder} no longer runs; or wait, the lease ends by itself in {left}"
            return [
                self._type(gone, "locks", "release", "--reason", f"{it.holder} is dead", id=self._id),
                self._type("look again", "instances", "explain", id=self._id),
            ]
        wait = f"wait: a step is running; its lease ends in {left} unless the holder renews it"
        force = "only if the holder is dead or stuck: its write will be refused"
        return [
            self._type(wait, "instances", "explain", id=self._id),
            self._type(force, "locks", "release", "--reason", "...", id=self._id),
        ]

    def _waiting(self) -> list[Advice]:
        unfinished = {child.id for child in self._children.unfinished}
        awaited_children = [one.child for one in self._waits_for if one.child in unfinished]
        advice: list[Advice] = []
        for child in (awaited_children or [child.id for child in self._children.unfinished])[:1]:
            advice.append(self._type("it waits for this execution", "instances", "explain", id=child))
        if self._waits_for:
            why = "what it asked for; is a service down, or an approval open?"
            if self._last is not None and self._last.event is not None:
                event = self._last.event
                source = "" if event.source is None else f" of {event.source}"
                why += f" If a request was lost, redeliver event {event.id}{source}: it hands out the same events"
            advice.append(self._type(why, "instances", "history", id=self._id))
        return advice

    def _type(self, why: str, *words: str, id: str | None = None) -> Advice:
        memory = () if self._facts.memory is None else ("--memory", self._facts.memory)
        ids = () if id is None else ("--", id) if id.startswith("-") else (id,)
        argv = ("pyarvo", *memory, *words, *ids)
        return Advice(shlex.join(argv), argv, why)
