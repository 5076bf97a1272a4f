"""The scenarios that were run with the TypeScript system, run here: the same inputs, the same events out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pyarvo.errors import ContractViolation, ViolationError
from pyarvo.events import ArvoEvent, ArvoOrchestrationSubject, create_arvo_event
from pyarvo.handlers import (
    Outcome,
)
from pyarvo.memory import SimpleMachineMemory

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "arvo_scenarios.json").read_text())
SCENARIOS = {scenario["name"]: scenario["steps"] for scenario in VECTORS["scenarios"]}


# --- comparing ---------------------------------------------------------------------------------------------------


class Comparison:
    """Knows which of our ids stands for which of theirs, and takes away what differs at each run."""

    def __init__(self, given: set[str]) -> None:
        self._ours: dict[str, str] = {}
        self._given_subjects = given

    def input(self, theirs: dict[str, Any]) -> ArvoEvent:
        parentid = theirs["parentid"]
        return ArvoEvent.from_dict({**theirs, "parentid": self._ours.get(parentid, parentid)})

    def check(self, theirs: list[dict[str, Any]], ours: tuple[ArvoEvent, ...]) -> None:
        assert [self._plain(event.to_dict()) for event in ours] == [self._plain(event) for event in theirs]
        for expected, event in zip(theirs, ours, strict=True):
            self._ours[expected["id"]] = event.id

    def _plain(self, event: dict[str, Any]) -> dict[str, Any]:
        kept = {
            key: value
            for key, value in event.items()
            if key not in ("id", "time", "traceparent", "tracestate", "subject", "data")
        }
        kept["parentid"] = self._ours.get(event["parentid"], event["parentid"])
        kept["subject"] = self._subject(event["subject"])
        kept["data"] = {key: value for key, value in event["data"].items() if key != "errorStack"}
        return kept

    def _subject(self, subject: str) -> Any:
        if subject in self._given_subjects:
            return subject
        content = ArvoOrchestrationSubject.parse(subject)
        assert content["execution"].pop("id")
        return content


OUTCOMES = {
    "linear": ["ran"] * 4,
    "second version, parallel, approval in a domain": ["ran"] * 3,
    "machine throws": ["failed", "instance_failed"],
    "nested: parent": ["ran", "ran"],
    "wrong orchestrator in the subject": ["foreign"],
    "unknown version": [None],
    "handler: domains": ["ran", "ran"],
    "resumable: fan out and in": ["ran", "ran", "ran", "instance_done"],
}


@pytest.mark.parametrize("name", SCENARIOS)
async def test_scenario_gives_the_events_of_the_typescript_system(name: str, handler_of: Any) -> None:
    steps = SCENARIOS[name]
    comparison = Comparison({step["input"]["subject"] for step in steps})
    handler = handler_of(name, steps[0]["input"]["to"], SimpleMachineMemory())
    outcomes: list[Outcome | None] = []
    for step in steps:
        event = comparison.input(step["input"])
        if step["error"] is None:
            result = await handler.execute(event)
            comparison.check(step["events"], result.events)
            outcomes.append(result.outcome)
        else:
            with pytest.raises(ViolationError) as raised:
                await handler.execute(event)
            assert raised.value.type == step["error"]["type"]
            assert raised.value.name == step["error"]["name"]
            outcomes.append(None)
    assert outcomes == OUTCOMES[name]


# --- what the vectors do not run, and where we better the TypeScript system --------------------------------------


def started(type: str, uri: str, **data: Any) -> ArvoEvent:
    subject = ArvoOrchestrationSubject.new(orchestrator=type, version="1.0.0", initiator="com.test.client")
    return create_arvo_event(
        id="in-1",
        source="com.test.client",
        type=type,
        subject=subject,
        data={"parentSubject$$": None, **data},
        dataschema=f"{uri}/1.0.0",
    )


def answered(request: ArvoEvent, type: str, **data: Any) -> ArvoEvent:
    return create_arvo_event(
        source="com.calc.add",
        type=type,
        subject=request.subject,
        data=data,
        to=request.source,
        dataschema="#/calc/add/0.0.0" if type.startswith("sys.") else "#/calc/add/1.0.0",
        parentid=request.id,
    )


async def test_a_machine_that_ends_without_output_completes(handler_of: Any) -> None:
    """The TypeScript system emits nothing here."""
    handler = handler_of("opaque", "arvo.orc.boom.now", SimpleMachineMemory())
    (opaque,) = (await handler.execute(started("arvo.orc.boom.now", "#/orc/boom", how="opaque"))).events
    assert (opaque.type, opaque.to) == ("com.opaque.thing", "com.some.where")
    assert opaque.dataschema == "#/opaque/1.0.0"
    (done,) = (await handler.execute(answered(opaque, "evt.calc.add.success", result=1))).events
    assert (done.type, done.data, done.to) == ("arvo.orc.boom.now.done", {}, "com.test.client")


async def test_emitted_data_that_does_not_fit_is_a_contract_violation(handler_of: Any) -> None:
    handler = handler_of("bad data", "arvo.orc.boom.now", SimpleMachineMemory())
    with pytest.raises(ContractViolation):
        await handler.execute(started("arvo.orc.boom.now", "#/orc/boom", how="bad-data"))


@pytest.mark.parametrize(
    ("type", "data", "final"),
    [
        ("evt.calc.add.refused", {"why": "odd"}, {"final": 1, "note": "n/a"}),
        (
            "sys.com.calc.add.error",
            {"errorName": "Error", "errorMessage": "unlucky", "errorStack": None},
            {"final": -1, "note": "unlucky"},
        ),
    ],
)
async def test_a_machine_hears_refusals_and_system_errors(
    handler_of: Any, type: str, data: dict[str, Any], final: dict[str, Any]
) -> None:
    handler = handler_of("calc", "arvo.orc.calc", SimpleMachineMemory())
    (request,) = (await handler.execute(started("arvo.orc.calc", "#/orc/calc", a=1))).events
    (done,) = (await handler.execute(answered(request, type, **data))).events
    assert done.data == final


async def test_a_resumable_hears_system_errors(handler_of: Any) -> None:
    handler = handler_of("resumable", "arvo.orc.parent", SimpleMachineMemory())
    first, _ = (await handler.execute(started("arvo.orc.parent", "#/orc/parent", a=1))).events
    error = {"errorName": "Error", "errorMessage": "unlucky", "errorStack": None}
    (done,) = (await handler.execute(answered(first, "sys.com.calc.add.error", **error))).events
    assert done.data == {"total": -1, "ok": False}


async def test_the_stateless_handler_answers_twice_or_not_at_all(handler_of: Any) -> None:
    handler = handler_of("handler", "com.calc.add", SimpleMachineMemory())

    def request(a: float) -> ArvoEvent:
        return create_arvo_event(
            source="com.test.client",
            type="com.calc.add",
            subject="any.subject",
            data={"a": a},
            dataschema="#/calc/add/1.0.0",
            redirectto="arvo.orc.calc",
        )

    both = (await handler.execute(request(15))).events
    assert [(event.type, event.to) for event in both] == [
        ("evt.calc.add.success", "arvo.orc.calc"),
        ("evt.calc.add.refused", "arvo.orc.calc"),
    ]
    with pytest.raises(ContractViolation):
        await handler.execute(request(16))
    (told,) = (await handler.execute(request(13))).events
    assert (told.type, told.to, told.data["errorMessage"]) == (
        "sys.com.calc.add.error",
        "com.test.client",
        "unlucky",
    )
