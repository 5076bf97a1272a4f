"""Playing a scenario with each handler in one of the two systems, and what was seen, so that plays can be compared."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

import pyarvo as arvo
from pyarvo.events import ArvoEvent, parse_arvo_event_id

from .node import Refused
from .world import Handler, World, make_handlers

__all__ = ["Ask", "Scenario", "play"]

Ask = Callable[..., list[str]]
"""The TypeScript system: `Node.ask`."""

Scenario = dict[str, Any]
"""`world`, `events`, and `answers`: what people outside say to a request with a domain, by its type."""

_MOST_EVENTS = 60
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def play(scenario: Scenario, there: Collection[str] = (), ask: Ask | None = None) -> list[Any]:
    """
    Deliver the events of *scenario*, and all that comes of them, first in first out.

    Args:
        scenario: What is played.

        there: Sources of the handlers that run in TypeScript.

        ask: That system; None when none runs there.

    Returns:
        Of every event that was handled its type, and the wire fields of those that came of it, or the name of the
        violation. Ids and the like are numbers, in the order of their appearance.
    """
    world: World = scenario["world"]
    if ask is not None:
        ask(world=world)
    here = make_handlers(world)
    names = _Names()
    queue = deque(ArvoEvent.from_dict(event) for event in scenario["events"])
    seen: list[Any] = []
    while queue and len(seen) < _MOST_EVENTS:
        event = queue.popleft()
        if event.to not in here:
            continue
        try:
            if ask is not None and event.to in there:
                texts = ask(execute=event.to_dict(), at=event.to)
            else:
                texts = _execute(here[event.to], event)
        except (Refused, arvo.ViolationError) as error:
            seen.append([event.type, error.name])
            continue
        came = [ArvoEvent.from_json(text) for text in texts]
        seen.append([event.type, [names.plain(each) for each in came]])
        if [each.to_json() for each in came] != texts:
            seen.append(["other bytes", texts])
        answers = scenario.get("answers", {})
        queue += [_answered(each, answers[each.type]) if each.type in answers else each for each in came]
    return seen


def _execute(handler: Handler, event: ArvoEvent) -> list[str]:
    return [each.to_json() for each in asyncio.run(handler.execute(event)).events]


def _answered(request: ArvoEvent, answer: dict[str, Any]) -> ArvoEvent:
    """What a person says to a request that left through a domain; one without is nobody's."""
    if request.domain is None:
        return request
    back = {"source": request.to, "to": request.source, "parentid": request.id, "domain": None}
    return ArvoEvent.from_dict({**request.to_dict(), "id": f"answer to {request.type}", **back, **answer})


class _Names:
    """Numbers for what differs at each run."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}

    def plain(self, event: ArvoEvent) -> dict[str, Any]:
        wire = event.to_dict()
        del wire["time"]
        wire |= {"id": self._id(event.id), "parentid": event.parentid and self._id(event.parentid)}
        wire |= {"subject": self._subject(event.subject), "data": dict(event.data)}
        wire["data"].pop("errorStack", None)
        if parent := wire["data"].get("parentSubject$$"):
            wire["data"]["parentSubject$$"] = self._subject(parent)
        return wire

    def _id(self, id: str, kind: str = "event") -> Any:
        if (managed := parse_arvo_event_id(id)) is not None:
            return {"value": managed.value, "uuid": self._id(managed.uuid)}
        if not _UUID.fullmatch(id):
            return id
        return f"{kind} {self._numbers.setdefault((kind, id), len(self._numbers))}"

    def _subject(self, subject: str) -> Any:
        with suppress(arvo.InvalidSubject):
            content = arvo.ArvoOrchestrationSubject.parse(subject)
            content["execution"]["id"] = self._id(content["execution"]["id"], "execution")
            return content
        return subject
