"""A workflow on a file: the process ends between two events, or between the commit and the publishing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyarvo.events import ArvoEvent, ArvoOrchestrationSubject, create_arvo_event
from pyarvo.handlers import Outcome
from pyarvo.memory import open_memory


def start() -> ArvoEvent:
    return create_arvo_event(
        id="in-1",
        source="com.test.client",
        type="arvo.orc.calc",
        subject=ArvoOrchestrationSubject.new(
            orchestrator="arvo.orc.calc", version="1.0.0", initiator="com.test.client"
        ),
        data={"parentSubject$$": None, "a": 1},
        dataschema="#/orc/calc/1.0.0",
    )


async def test_every_event_in_a_process_of_its_own_and_each_delivered_twice(
    tmp_path: Path, handler_of: Any
) -> None:
    url = f"sqlite:///{tmp_path / 'workflows.db'}"
    service = handler_of("handler", "com.calc.add", None)
    event, seen = start(), list[str]()
    while event.to != "com.test.client":
        if event.to == "com.calc.add":
            (event,) = (await service.execute(event)).events
            continue
        async with open_memory(url) as memory:  # it runs and commits; what it returns is lost on the way
            lost = await handler_of("calc", "arvo.orc.calc", memory).execute(event)
        async with open_memory(url) as memory:
            found = await handler_of("calc", "arvo.orc.calc", memory).execute(event)
        assert (lost.outcome, found.outcome) == (Outcome.RAN, Outcome.REPLAYED)
        assert [one.to_json() for one in found.events] == [one.to_json() for one in lost.events]
        (event,) = found.events
        seen.append(event.type)
    assert seen == ["com.calc.add", "com.calc.add", "com.calc.add", "arvo.orc.calc.done"]
    assert event.data == {"final": 7, "note": "n/a"}
