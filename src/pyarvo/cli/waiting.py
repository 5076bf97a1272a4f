"""
What an instance waits for, read from its record and its journal.

A resumable says it itself: `events.expected` names every request without an answer. A machine does not: its open
requests are the events it produced less those that were answered. Which request an event answered is known by its
`parentid` where the record that consumed it is still kept, and is a good guess for older ones: journals keep source
and id of a consumed event, and the source of an answer is the `to` of its request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from msgspec import Struct

from pyarvo.cli.text import utc
from pyarvo.cli.views import event_identity
from pyarvo.memory import Record, Step
from pyarvo.memory.instances import FINISHED

__all__ = ["Awaited", "as_object", "as_text", "awaited"]


class Awaited(Struct, frozen=True, kw_only=True):
    """
    A request without an answer.

    Attributes:
        id: Of the event that asked.

        type, to, domain: Of that event; None when it is no longer kept.

        child: Subject of the child execution that it started; None for a service.

        asked_at: When it was produced, by the store's clock.
    """

    id: str
    type: str | None = None
    to: str | None = None
    domain: str | None = None
    child: str | None = None
    asked_at: datetime | None = None


class _Asked(Struct, frozen=True):
    event: Record
    at: float | None


def awaited(
    id: str, record: Record | None, steps: Sequence[Step], kept: Iterable[tuple[int, object]] = ()
) -> tuple[Awaited, ...] | None:
    """
    The requests of an instance that have no answer yet, oldest first.

    Args:
        id: The instance.

        record: Its record; None when there is none.

        steps: Its journal, oldest first, or the end of it.

        kept: Earlier records, by version; one that is damaged says nothing.

    Returns:
        None when the record is not one of pyarvo's handlers, so that nobody can tell.
    """
    if record is None or _is_over(record):
        return ()
    events = as_object(record.get("events"))
    if events is None:
        return None
    asked = _asked(steps, events)
    if "expected" in events:
        answers = as_object(events["expected"]) or {}
        return tuple(_awaited(id, request, asked.get(request)) for request in answers if not answers[request])
    consumed = {version: _consumed(as_object(earlier) or {}) for version, earlier in kept}
    if steps:
        consumed[steps[-1].version] = as_object(events.get("consumed"))
    return tuple(_awaited(id, request, asked[request]) for request in _open(asked, steps, consumed))


def _is_over(record: Record) -> bool:
    return record.get("executionStatus") == "failure" or as_text(record.get("status")) in FINISHED


def _consumed(record: Record) -> Record | None:
    return as_object((as_object(record.get("events")) or {}).get("consumed"))


def _asked(steps: Sequence[Step], events: Record) -> dict[str, _Asked]:
    """Every event that was produced and is still kept, by id; the record's own where the journal has none."""
    asked = {
        str(event["id"]): _Asked(event, step.at) for step in steps for event in step.produced if "id" in event
    }
    produced = events.get("produced")
    for item in cast("list[object]", produced) if isinstance(produced, list) else ():
        event = as_object(item)
        if event is not None and "id" in event:
            asked.setdefault(str(event["id"]), _Asked(event, steps[-1].at if steps else None))
    return asked


def _open(
    asked: Mapping[str, _Asked], steps: Sequence[Step], consumed: Mapping[int, Record | None]
) -> list[str]:
    """The requests of a machine that no step has answered."""
    if not any(step.produced for step in steps):
        return [id for id, one in asked.items() if _wants_answer(one.event)]
    waiting: dict[str, Record] = {}
    for step in steps:
        known = consumed.get(step.version)
        answered = _guess(waiting, step) if known is None else str(known.get("parentid"))
        waiting.pop(answered or "", None)
        waiting |= {str(event["id"]): event for event in step.produced if _wants_answer(event)}
    return list(waiting)


def _guess(waiting: Mapping[str, Record], step: Step) -> str | None:
    """Which request the event of *step* answered: one to its source, else one that left for a domain, else any."""
    answer = event_identity(step.event_key)
    if answer is None:
        return None
    to_source = (id for id, event in waiting.items() if event.get("to") == answer.source)
    domained = (id for id, event in waiting.items() if event.get("domain") is not None)
    return next((id for ids in (to_source, domained, iter(waiting)) for id in ids), None)


def _wants_answer(event: Record) -> bool:
    """A completion goes to whoever started the instance, and so does a system error: they end the matter."""
    kind = as_text(event.get("type")) or ""
    return "id" in event and not kind.startswith("sys.") and kind != f"{event.get('source')}.done"


def _awaited(id: str, request: str, asked: _Asked | None) -> Awaited:
    if asked is None:
        return Awaited(id=request)
    event = asked.event
    subject = as_text(event.get("subject"))
    return Awaited(
        id=request,
        type=as_text(event.get("type")),
        to=as_text(event.get("to")),
        domain=as_text(event.get("domain")),
        child=subject if subject != id else None,
        asked_at=utc(asked.at),
    )


def as_object(value: object) -> Record | None:
    """*value* where it is a JSON object; records may hold anything."""
    return cast("Record", value) if isinstance(value, dict) else None


def as_text(value: Any) -> str | None:
    """*value* where it is text."""
    return value if isinstance(value, str) else None
