"""The contracts, machines and functions of the vectors' `definitions`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import pytest
from pydantic import BaseModel

from pyarvo.contracts import create_arvo_contract, create_arvo_orchestrator_contract
from pyarvo.events import ArvoDomain, ArvoEvent
from pyarvo.handlers import (
    Emission,
    ExecutionResult,
    HandlerCall,
    ResumableCall,
    ResumableResult,
    create_arvo_event_handler,
    create_arvo_orchestrator,
    create_arvo_resumable,
)
from pyarvo.statecharts import assign, emit, setup_arvo_machine


class Handler(Protocol):
    async def execute(self, event: ArvoEvent) -> ExecutionResult: ...


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


def make_handler(name: str, to: str, memory: Any) -> Handler:
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


@pytest.fixture
def handler_of() -> Callable[[str, str, Any], Handler]:
    """Make the handler that a scenario of that name sends its first event to."""
    return make_handler
