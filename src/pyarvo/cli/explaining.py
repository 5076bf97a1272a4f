"""Why an instance is where it is: pure, from facts to an explanation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

from pyarvo.cli.advice import Advisor
from pyarvo.cli.diff import changes
from pyarvo.cli.explanation import (
    Children,
    Diff,
    Explanation,
    Facts,
    Failure,
    LastStep,
    Relative,
    Situation,
)
from pyarvo.cli.text import utc
from pyarvo.cli.views import event_identity, kind_of, lease_view
from pyarvo.cli.waiting import Awaited, as_object, as_text, awaited
from pyarvo.errors import RecordCorrupt
from pyarvo.memory import Instance, Record, Step
from pyarvo.memory.instances import FINISHED

__all__ = ["explain"]

_MOST_CHANGES: Final = 200
_DAMAGED: Final = "not known: the record is damaged"


def explain(facts: Facts) -> Explanation:
    """Make the explanation of an instance; no I/O, no clock."""
    it = facts.instance
    record = it.data
    orchestrator, orchestrator_version = kind_of(it)
    waits_for = None if facts.damage else awaited(it.id, record, facts.steps, facts.kept)
    children = Children(
        len(facts.children),
        tuple(_relative(child) for child in facts.children if child.status not in FINISHED),
    )
    situation = Situation.DAMAGED if facts.damage else _situation(it, waits_for, children)
    last = _last_step(record, facts.steps)
    return Explanation(
        id=it.id,
        situation=situation,
        orchestrator=orchestrator,
        orchestrator_version=orchestrator_version,
        status=it.status,
        damage=facts.damage,
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
        diff=Diff(kept=False, reason=_DAMAGED) if facts.damage else _diff(it, facts.kept),
        next=tuple(Advisor(facts, last, waits_for).advice(situation)),
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
    return Relative(instance.id, *kind_of(instance), instance.status)


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


def _diff(it: Instance, kept: Sequence[tuple[int, Record | RecordCorrupt]]) -> Diff:
    if it.data is None:
        return Diff(kept=False, reason="there is no record")
    if it.version <= 1:
        return Diff(kept=False, reason="there is no version before")
    if not kept:
        return Diff(kept=False, reason="not kept: set history=N in the memory's options")
    version, before = kept[0]
    if isinstance(before, RecordCorrupt):
        return Diff(kept=False, reason=f"not known: version {version} is damaged: {before.args[0]}")
    found = (one for one in changes(before, it.data) if not one.path.startswith("$.events"))
    return Diff(kept=True, before=version, after=it.version, changes=tuple(islice(found, _MOST_CHANGES)))
