"""A workflow driven by plain threads, as a web application without an event loop does it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import BaseModel

import pyarvo as arvo
from pyarvo import sync
from pyarvo.sync import portal


class Name(BaseModel):
    name: str


class Text(BaseModel):
    text: str


GREET = arvo.create_simple_arvo_contract(
    uri="#/greet", type="text.greet", versions={"1.0.0": {"accepts": Name, "emits": Text}}
)
WELCOME = arvo.create_arvo_orchestrator_contract(
    uri="#/welcome", name="welcome", versions={"1.0.0": {"init": Name, "complete": Text}}
)
MACHINE = arvo.setup_arvo_machine(
    contracts={"self": WELCOME.version("1.0.0"), "services": {"greet": GREET.version("1.0.0")}}
).create_machine(
    {
        "id": "welcome",
        "context": lambda init: {"name": init.data["name"], "text": ""},
        "output": lambda context: {"text": context["text"]},
        "initial": "greeting",
        "states": {
            "greeting": {
                "entry": arvo.emit(
                    lambda context: {"type": "com.text.greet", "data": {"name": context["name"]}}
                ),
                "on": {
                    "evt.text.greet.success": {
                        "target": "greeted",
                        "actions": arvo.assign({"text": lambda _, event: event.data["text"]}),
                    }
                },
            },
            "greeted": {"type": "final"},
        },
    }
)


async def greet(call: arvo.HandlerCall) -> arvo.Emission:
    return {"type": "evt.text.greet.success", "data": {"text": f"Hello, {call.event.data['name']}!"}}


def init(n: int) -> arvo.ArvoEvent:
    return arvo.create_arvo_orchestrator_event_factory(WELCOME.version("1.0.0")).init(
        id=f"welcome-{n}",
        source="com.example.web",
        subject=arvo.ArvoOrchestrationSubject.new(
            orchestrator=WELCOME.type, version="1.0.0", initiator="com.example.web", execution_id=f"ada-{n}"
        ),
        data={"parentSubject$$": None, "name": f"Ada {n}"},
    )


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[sync.SyncMemory]:
    with sync.open_memory(f"sqlite:///{tmp_path}/web.db") as opened:
        yield opened
    portal._portal.end()  # pyright: ignore[reportPrivateUsage] - or other tests find its thread


def test_threads_drive_workflows_to_their_end_and_replay_them(memory: sync.SyncMemory) -> None:
    handlers = {
        WELCOME.type: arvo.create_arvo_orchestrator(
            memory=memory.asynchronous, executionunits=1, machines=[MACHINE]
        ),
        GREET.type: arvo.create_arvo_event_handler(
            contract=GREET, executionunits=1, handler={"1.0.0": greet}
        ),
    }

    def drive(n: int) -> tuple[str, set[arvo.Outcome]]:
        """Events from handler to handler, until one leaves."""
        waiting, outcomes = deque([init(n)]), set[arvo.Outcome]()
        while waiting:
            event = waiting.popleft()
            handler = handlers.get(event.to or "")
            if handler is None:
                return str(event.data["text"]), outcomes
            result = sync.execute(handler, event)
            if handler is handlers[WELCOME.type]:
                outcomes.add(result.outcome)
            waiting.extend(result.events)
        raise AssertionError("the workflow said nothing")

    with ThreadPoolExecutor(4) as pool:
        first = list(pool.map(drive, range(12)))
        again = list(pool.map(drive, range(12)))
    assert [text for text, _ in first] == [f"Hello, Ada {n}!" for n in range(12)]
    assert [text for text, _ in again] == [text for text, _ in first]
    assert {outcome for _, outcomes in first for outcome in outcomes} == {arvo.Outcome.RAN}
    assert {outcome for _, outcomes in again for outcome in outcomes} == {arvo.Outcome.REPLAYED}
    assert memory.count(arvo.Find(status="done")) == 12
