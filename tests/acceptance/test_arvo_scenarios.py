"""The scenarios that were run with the TypeScript system, run here: the same inputs, the same events out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import pytest
from pydantic import BaseModel

from pyarvo.contracts import create_arvo_contract, create_arvo_orchestrator_contract
from pyarvo.errors import ContractViolation, ViolationError
from pyarvo.events import ArvoDomain, ArvoEvent, ArvoOrchestrationSubject, create_arvo_event
from pyarvo.handlers import (
    Emission,
    ExecutionResult,
    HandlerCall,
    Outcome,
    ResumableCall,
    ResumableResult,
    create_arvo_event_handler,
    create_arvo_orchestrator,
    create_arvo_resumable,
)
from pyarvo.memory import SimpleMachineMemory
from pyarvo.statecharts import assign, emit, setup_arvo_machine

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "arvo_scenarios.json").read_text())
SCENARIOS = {scenario["name"]: scenario["steps"] for scenario in VECTORS["scenarios"]}


class Handler(Protocol):
    async def execute(self, event: ArvoEvent) -> ExecutionResult: ...


# --- the contracts, machines and functions of the vectors' `definitions` -----------------------------------------


class Error(Exception):
    """Named as JavaScript names it."""


class Add(BaseModel):
    a: float
    b: float = 1


class Added(BaseModel):
    result: float


class Refused(BaseModel):
    why: str


class Question(BaseModel):
    question: str


class Approval(BaseModel):
    approved: bool


class CalcInit(BaseModel):
    a: float


class CalcDone(BaseModel):
    final: float
    note: str = "n/a"


class CalcInit2(BaseModel):
    a: float
    k: float


class CalcDone2(BaseModel):
    final: float


class ParentDone(BaseModel):
    total: float
    ok: bool


class BoomInit(BaseModel):
    how: str


class Empty(BaseModel):
    pass


ADD = create_arvo_contract(
    uri="#/calc/add",
    type="com.calc.add",
    domain="calc.domain",
    versions={
        "1.0.0": {
            "accepts": Add,
            "emits": {"evt.calc.add.success": Added, "evt.calc.add.refused": Refused},
        }
    },
)
REVIEW = create_arvo_contract(
    uri="#/human/review",
    type="com.human.review",
    domain="human.interaction",
    versions={"1.0.0": {"accepts": Question, "emits": {"evt.human.review.done": Approval}}},
)
CALC = create_arvo_orchestrator_contract(
    uri="#/orc/calc",
    name="calc",
    versions={
        "1.0.0": {"init": CalcInit, "complete": CalcDone},
        "2.0.0": {"init": CalcInit2, "complete": CalcDone2},
    },
)
PARENT = create_arvo_orchestrator_contract(
    uri="#/orc/parent", name="parent", versions={"1.0.0": {"init": CalcInit, "complete": ParentDone}}
)
BOOM = create_arvo_orchestrator_contract(
    uri="#/orc/boom", name="boom.now", versions={"1.0.0": {"init": BoomInit, "complete": Empty}}
)


Context = dict[str, Any]


def result_of(_context: Context, event: ArvoEvent) -> Any:
    return event.data["result"]


def message_of(_context: Context, event: ArvoEvent) -> Any:
    return event.data["errorMessage"]


def adding(n: int, then: str) -> dict[str, Any]:
    def request(context: Context) -> Emission:
        return {"type": "com.calc.add", "data": {"a": context["v"], "b": n}}

    return {
        "entry": emit(request),
        "on": {
            "evt.calc.add.success": {"actions": assign({"v": result_of}), "target": then},
            "evt.calc.add.refused": {"target": "done"},
            "sys.com.calc.add.error": {"actions": assign({"err": message_of}), "target": "done"},
        },
    }


def calc_1_context(init: ArvoEvent) -> Context:
    return {"v": init.data["a"], "err": None}


def calc_1_output(context: Context) -> dict[str, Any]:
    return {"final": -1, "note": context["err"]} if context["err"] else {"final": context["v"]}


CALC_1 = setup_arvo_machine(
    contracts={"self": CALC.version("1.0.0"), "services": {"add": ADD.version("1.0.0")}}
).create_machine(
    {
        "id": "calc1",
        "context": calc_1_context,
        "output": calc_1_output,
        "initial": "s1",
        "states": {
            "s1": adding(1, "s2"),
            "s2": adding(2, "s3"),
            "s3": adding(3, "done"),
            "done": {"type": "final"},
        },
    }
)


def calc_2_context(init: ArvoEvent) -> Context:
    return {"v": init.data["a"], "k": init.data["k"], "got": 0}


def calc_2_output(context: Context) -> dict[str, Any]:
    return {
        "final": context["v"],
        "__id": {"deduplication": "DEVELOPER_MANAGED", "value": "fixed-done"},
        "__executionunits": 7,
    }


def calc_2_request(context: Context) -> Emission:
    return {"type": "com.calc.add", "data": {"a": context["v"], "b": context["k"]}}


def approved(_context: Context, event: ArvoEvent) -> bool:
    return event.data["approved"]


REVIEW_REQUEST: Emission = {
    "type": "com.human.review",
    "data": {"question": "ok?"},
    "domain": [ArvoDomain.FROM_EVENT_CONTRACT, None],
    "accesscontrol": "role:boss",
    "executionunits": 3,
}
CALCULATING = {
    "initial": "w",
    "states": {
        "w": {
            "entry": emit(calc_2_request),
            "on": {"evt.calc.add.success": {"target": "d", "actions": assign({"v": result_of})}},
        },
        "d": {"type": "final"},
    },
}
REVIEWING = {
    "initial": "w",
    "states": {
        "w": {
            "entry": emit(REVIEW_REQUEST),
            "on": {"evt.human.review.done": [{"guard": approved, "target": "d"}, {"target": "no"}]},
        },
        "d": {"type": "final"},
        "no": {"type": "final", "entry": assign({"v": -5})},
    },
}

CALC_2 = setup_arvo_machine(
    contracts={
        "self": CALC.version("2.0.0"),
        "services": {"add": ADD.version("1.0.0"), "review": REVIEW.version("1.0.0")},
    }
).create_machine(
    {
        "id": "calc2",
        "context": calc_2_context,
        "output": calc_2_output,
        "initial": "both",
        "states": {
            "both": {
                "type": "parallel",
                "states": {"x": CALCULATING, "y": REVIEWING},
                "onDone": {"target": "fin"},
            },
            "fin": {"type": "final"},
        },
    }
)


def boom_context(init: ArvoEvent) -> Context:
    return {"how": init.data["how"]}


def boom(context: Context) -> None:
    if context["how"] == "error":
        raise Error("boom said the machine")


def bad_or_opaque(context: Context) -> Emission:
    if context["how"] == "bad-data":
        return {"type": "com.calc.add", "data": {"a": "x"}}
    return {
        "type": "com.opaque.thing",
        "data": {"free": 1},
        "to": "com.some.where",
        "dataschema": "#/opaque/1.0.0",
    }


BOOM_1 = setup_arvo_machine(
    contracts={"self": BOOM.version("1.0.0"), "services": {"add": ADD.version("1.0.0")}}
).create_machine(
    {
        "id": "boom",
        "context": boom_context,
        "initial": "a",
        "states": {
            "a": {"entry": [boom, emit(bad_or_opaque)], "on": {"*": {"target": "b"}}},
            "b": {"type": "final"},
        },
    }
)


def parent_context(init: ArvoEvent) -> Context:
    return {"a": init.data["a"], "subj": init.subject, "total": 0, "ok": True}


def parent_output(context: Context) -> dict[str, Any]:
    return {"total": context["total"], "ok": context["ok"]}


def child_request(context: Context) -> Emission:
    return {"type": "arvo.orc.calc", "data": {"a": context["a"], "parentSubject$$": context["subj"]}}


def final_of(_context: Context, event: ArvoEvent) -> Any:
    return event.data["final"]


PARENT_1 = setup_arvo_machine(
    contracts={"self": PARENT.version("1.0.0"), "services": {"calc": CALC.version("1.0.0")}}
).create_machine(
    {
        "id": "parent",
        "context": parent_context,
        "output": parent_output,
        "initial": "call",
        "states": {
            "call": {
                "entry": emit(child_request),
                "on": {
                    "arvo.orc.calc.done": {"target": "done", "actions": assign({"total": final_of})},
                    "sys.arvo.orc.calc.error": {"target": "done", "actions": assign({"ok": False})},
                },
            },
            "done": {"type": "final"},
        },
    }
)


async def add(call: HandlerCall) -> Emission | list[Emission]:
    a, b = call.event.parsed.a, call.event.parsed.b
    if a == 13:
        raise Error("unlucky")
    if a == 14:
        return {
            "type": "evt.calc.add.refused",
            "data": {"why": "odd"},
            "domain": ["audit", None, ArvoDomain.FROM_SELF_CONTRACT],
            "to": "com.else.where",
            "executionunits": 9,
        }
    if a == 15:
        return [
            {"type": "evt.calc.add.success", "data": {"result": 1}},
            {"type": "evt.calc.add.refused", "data": {"why": "both"}},
        ]
    if a == 16:
        return {"type": "evt.calc.add.success", "data": {"result": "nan"}}
    return {"type": "evt.calc.add.success", "data": {"result": a + b}}


async def fan_out_and_in(call: ResumableCall) -> ResumableResult:
    if call.input is not None:
        a = call.input.data["a"]
        return {
            "context": {"a": a, "n": 2},
            "services": [
                {"type": "com.calc.add", "data": {"a": a, "b": 10}},
                {"type": "com.calc.add", "data": {"a": a, "b": 20}},
            ],
        }
    assert call.service is not None
    assert call.context is not None
    if call.service.type == "sys.com.calc.add.error":
        return {"output": {"total": -1, "ok": False}}
    got = call.collected_events.get("evt.calc.add.success", [])
    if len(got) < call.context["n"]:
        return {"context": call.context}
    return {"output": {"total": sum(event.parsed.result for event in got), "ok": True}}


def handler_of(name: str, to: str, memory: Any) -> Handler:
    if name.startswith("resumable"):
        return create_arvo_resumable(
            contracts={
                "self": PARENT,
                "services": {"add": ADD.version("1.0.0"), "calc": CALC.version("1.0.0")},
            },
            memory=memory,
            executionunits=4,
            handler={"1.0.0": fan_out_and_in},
        )
    if to == "com.calc.add":
        return create_arvo_event_handler(contract=ADD, executionunits=2, handler={"1.0.0": add})
    machines = {
        "arvo.orc.calc": [CALC_1, CALC_2],
        "arvo.orc.parent": [PARENT_1],
        "arvo.orc.boom.now": [BOOM_1],
    }
    return create_arvo_orchestrator(memory=memory, executionunits=5, machines=machines[to])


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
async def test_scenario_gives_the_events_of_the_typescript_system(name: str) -> None:
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


async def test_a_machine_that_ends_without_output_completes() -> None:
    """The TypeScript system emits nothing here."""
    handler = handler_of("opaque", "arvo.orc.boom.now", SimpleMachineMemory())
    (opaque,) = (await handler.execute(started("arvo.orc.boom.now", "#/orc/boom", how="opaque"))).events
    assert (opaque.type, opaque.to) == ("com.opaque.thing", "com.some.where")
    assert opaque.dataschema == "#/opaque/1.0.0"
    (done,) = (await handler.execute(answered(opaque, "evt.calc.add.success", result=1))).events
    assert (done.type, done.data, done.to) == ("arvo.orc.boom.now.done", {}, "com.test.client")


async def test_emitted_data_that_does_not_fit_is_a_contract_violation() -> None:
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
    type: str, data: dict[str, Any], final: dict[str, Any]
) -> None:
    handler = handler_of("calc", "arvo.orc.calc", SimpleMachineMemory())
    (request,) = (await handler.execute(started("arvo.orc.calc", "#/orc/calc", a=1))).events
    (done,) = (await handler.execute(answered(request, type, **data))).events
    assert done.data == final


async def test_a_resumable_hears_system_errors() -> None:
    handler = handler_of("resumable", "arvo.orc.parent", SimpleMachineMemory())
    first, _ = (await handler.execute(started("arvo.orc.parent", "#/orc/parent", a=1))).events
    error = {"errorName": "Error", "errorMessage": "unlucky", "errorStack": None}
    (done,) = (await handler.execute(answered(first, "sys.com.calc.add.error", **error))).events
    assert done.data == {"total": -1, "ok": False}


async def test_the_stateless_handler_answers_twice_or_not_at_all() -> None:
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
