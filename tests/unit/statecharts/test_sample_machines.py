"""The sample machines of the TypeScript system's tests, written in Python, with the events that they live through."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, Field

from pyarvo.contracts import (
    VersionedArvoContract,
    create_arvo_contract,
    create_arvo_orchestrator_contract,
)
from pyarvo.errors import ExecutionViolation
from pyarvo.events import ArvoEvent, create_arvo_event
from pyarvo.statecharts import (
    ArvoMachine,
    MachineForm,
    StateForm,
    StepResult,
    assign,
    emit,
    enqueue_arvo_event,
    setup_arvo_machine,
    step,
)


class Anything(BaseModel):
    """The contracts' data is checked elsewhere; here it may be anything."""

    data: dict[str, Any] = Field(default_factory=dict)


def orchestrator(name: str, version: Any = "0.0.1") -> VersionedArvoContract:
    contract = create_arvo_orchestrator_contract(
        uri=f"#/test/{name}", name=name, versions={version: {"init": Anything, "complete": Anything}}
    )
    return contract.version(version)


def service(name: str, version: Any = "0.0.1") -> VersionedArvoContract:
    contract = create_arvo_contract(
        uri=f"#/test/{name}",
        type=f"com.{name}",
        versions={version: {"accepts": Anything, "emits": {f"evt.{name}.success": Anything}}},
    )
    return contract.version(version)


def arvo_event(type: str, data: dict[str, Any]) -> ArvoEvent:
    return create_arvo_event(source="com.test.test", type=type, subject="test-subject", data=data)


def live(machine: ArvoMachine, *told: tuple[str, dict[str, Any]]) -> list[StepResult]:
    """Start a machine with its first event and tell it the others; every snapshot goes through JSON."""
    results: list[StepResult] = []
    snapshot = None
    for type, data in told:
        results.append(step(machine.machine, snapshot, arvo_event(type, data)))
        snapshot = json.loads(json.dumps(results[-1].snapshot))
    return results


# arvo.orc.test: routes at the start, says things twice, and completes at once.


def moved(by: int) -> Any:
    def value(context: Any, _event: Any) -> int:
        return context["value"] + by * context["delta"]

    return value


def changed(context: Any, _event: Any) -> dict[str, Any]:
    return {
        "type": "com.number.changed",
        "id": "my-id",
        "data": {"value": context["value"]},
        "domain": [None, "external"],
    }


ROUTER: MachineForm = {
    "id": "counter",
    "version": "0.0.1",
    "context": lambda given: {
        "value": given.data["value"],
        "delta": given.data["delta"],
        "action": given.data["type"],
        "errors": [],
    },
    "output": lambda c, _e: {
        "success": not c["errors"],
        "final": c["value"],
        "__id": {"deduplication": "DEVELOPER_MANAGED", "value": "out"},
        "__executionunits": 4,
    },
    "initial": "route",
    "states": {
        "route": {
            "always": [
                {"guard": "isIncrement", "target": "increment"},
                {"guard": "isDecrement", "target": "decrement"},
                {
                    "target": "error",
                    "actions": {"type": "fail", "params": lambda c, _e: {"message": f"no {c['action']}"}},
                },
            ]
        },
        "increment": {
            "entry": [assign({"value": moved(1)}), emit(changed)],
            "always": "notification",
        },
        "decrement": {"entry": [assign({"value": moved(-1)}), emit(changed)], "always": "notification"},
        "notification": {
            "entry": [
                {
                    "type": "enqueueArvoEvent",
                    "params": lambda c, _e: {"type": "com.notify.queued", "data": {"value": c["value"]}},
                },
                emit({"type": "com.notify.emitted", "data": {}}),
                enqueue_arvo_event({"type": "com.notify.last", "data": {}}),
            ],
            "always": "done",
        },
        "error": {"type": "final"},
        "done": {"type": "final"},
    },
}


def router() -> ArvoMachine:
    return setup_arvo_machine(
        contracts={"self": orchestrator("test"), "services": {"changed": service("number.changed")}},
        actions={"fail": assign({"errors": lambda c, _e, p: [*c["errors"], p["message"]]})},
        guards={
            "isIncrement": lambda c, _e: c["action"] == "increment",
            "isDecrement": lambda c, _e: c["action"] == "decrement",
        },
    ).create_machine(ROUTER)


@pytest.mark.parametrize(("action", "final"), [("increment", 15), ("decrement", 5)])
def test_the_router_completes_in_its_first_step(action: str, final: int) -> None:
    [result] = live(router(), ("arvo.orc.test", {"value": 10, "delta": 5, "type": action}))
    assert [one["type"] for one in result.emitted] == [
        "com.number.changed",
        "com.notify.emitted",
        "com.notify.queued",
        "com.notify.last",
    ]
    assert result.emitted[0] == {
        "type": "com.number.changed",
        "id": "my-id",
        "data": {"value": final},
        "domain": [None, "external"],
    }
    assert result.output == {
        "success": True,
        "final": final,
        "__id": {"deduplication": "DEVELOPER_MANAGED", "value": "out"},
        "__executionunits": 4,
    }
    assert (result.snapshot["status"], result.snapshot["value"]) == ("done", "done")


def test_the_router_takes_the_last_way_when_no_guard_holds() -> None:
    [result] = live(router(), ("arvo.orc.test", {"value": 10, "delta": 5, "type": "double"}))
    assert (result.emitted, result.snapshot["value"]) == ([], "error")
    assert result.snapshot["context"]["errors"] == ["no double"]
    assert result.output["success"] is False


# arvo.orc.inc and arvo.orc.dec: read a value, change it, write it.


def changer(name: str, by: int, *, version: str, locked: bool) -> ArvoMachine:
    increment: StateForm = {
        "entry": emit(
            lambda c, _e: {"type": "com.value.write", "data": {"key": c["key"], "value": c["value"] + by}}
        ),
        "on": {
            "evt.value.write.success": {"target": "done"},
            "sys.com.value.write.error": {"target": "error"},
        },
    }
    config: MachineForm = {
        "id": name,
        "version": version,
        "context": lambda given: {"key": given.data["key"], "value": None, "errors": []},
        "initial": "fetch_value",
        "output": lambda c, _e: {"success": not c["errors"], "errors": c["errors"]},
        "states": {
            "fetch_value": {
                "entry": emit(lambda c, _e: {"type": "com.value.read", "data": {"key": c["key"]}}),
                "on": {
                    "evt.value.read.success": {
                        "target": "increment",
                        "actions": assign({"value": lambda _c, e: e.data["value"]}),
                    },
                    "sys.com.value.read.error": {
                        "target": "error",
                        "actions": assign({"errors": lambda c, e: [*c["errors"], e.data["errorMessage"]]}),
                    },
                },
            },
            "increment": increment,
            "done": {"type": "final"},
            "error": {"type": "final"},
        },
    }
    if locked:
        increment["type"] = "parallel"  # without regions: it only says that answers may meet
    contracts: Any = {
        "self": orchestrator(name, version),
        "services": {"read": service("value.read"), "write": service("value.write")},
    }
    return setup_arvo_machine(contracts=contracts).create_machine(config)


@pytest.mark.parametrize(
    ("name", "by", "version", "locked"),
    [("inc", 1, "0.0.1", True), ("inc", 1, "0.0.2", False), ("dec", -1, "0.0.1", False)],
)
def test_a_changer_reads_then_writes(name: str, by: int, version: str, locked: bool) -> None:
    machine = changer(name, by, version=version, locked=locked)
    assert machine.requires_resource_locking is locked
    started, read, written = live(
        machine,
        (f"arvo.orc.{name}", {"key": "k"}),
        ("evt.value.read.success", {"value": 10}),
        ("evt.value.write.success", {}),
    )
    assert started.emitted == [{"type": "com.value.read", "data": {"key": "k"}}]
    assert read.emitted == [{"type": "com.value.write", "data": {"key": "k", "value": 10 + by}}]
    assert read.snapshot["value"] == "increment"
    assert [one.output for one in (started, read, written)] == [None, None, {"success": True, "errors": []}]


def test_a_changer_ends_in_its_error_state_when_the_service_fails() -> None:
    *_, last = live(
        changer("inc", 1, version="0.0.1", locked=True),
        ("arvo.orc.inc", {"key": "k"}),
        ("sys.com.value.read.error", {"errorName": "E", "errorMessage": "no such key", "errorStack": None}),
    )
    assert (last.snapshot["value"], last.output) == ("error", {"success": False, "errors": ["no such key"]})


def test_a_changer_ignores_what_it_does_not_wait_for() -> None:
    started, other = live(
        changer("inc", 1, version="0.0.1", locked=True),
        ("arvo.orc.inc", {"key": "k"}),
        ("evt.value.write.success", {}),
    )
    assert (other.snapshot, other.emitted, other.output) == (started.snapshot, [], None)


# arvo.orc.number.modifier: calls one of the two as its child.


def call(name: str) -> StateForm:
    done = f"arvo.orc.{name}.done"
    return {
        "entry": emit(
            lambda c, _e: {
                "type": f"arvo.orc.{name}",
                "data": {"parentSubject$$": c["subject"], "key": c["key"]},
            }
        ),
        "on": {
            done: [
                {"target": "done", "guard": lambda _c, e: e.data["success"]},
                {"target": "error", "actions": assign({"errors": lambda _c, e: e.data["errors"]})},
            ],
            f"sys.arvo.orc.{name}.error": {
                "target": "error",
                "actions": assign({"errors": ["child failed"]}),
            },
        },
    }


MODIFIER: MachineForm = {
    "id": "modifier",
    "context": lambda given: {
        "subject": given.subject,
        "key": given.data["init"]["key"],
        "value": given.data["init"]["value"],
        "operation": given.data["operation"],
        "errors": [],
    },
    "initial": "init_value",
    "output": lambda c, _e: {"success": not c["errors"], "errors": c["errors"]},
    "states": {
        "init_value": {
            "entry": emit(
                lambda c, _e: {"type": "com.value.write", "data": {"key": c["key"], "value": c["value"]}}
            ),
            "on": {
                "evt.value.write.success": [
                    {"target": "router", "guard": lambda _c, e: e.data["success"]},
                    {"target": "error", "actions": assign({"errors": ["not written"]})},
                ]
            },
        },
        "router": {
            "always": [
                {"target": "increment", "guard": lambda c, _e: c["operation"] == "increment"},
                {"target": "decrement", "guard": lambda c, _e: c["operation"] == "decrement"},
                {"target": "error", "actions": assign({"errors": ["unknown operation"]})},
            ]
        },
        "increment": call("inc"),
        "decrement": call("dec"),
        "done": {"type": "final"},
        "error": {"type": "final"},
    },
}


def modifier() -> ArvoMachine:
    contracts: Any = {
        "self": orchestrator("number.modifier"),
        "services": {"write": service("value.write"), "inc": orchestrator("inc"), "dec": orchestrator("dec")},
    }
    return setup_arvo_machine(contracts=contracts).create_machine(MODIFIER)


def start_modifier(operation: str) -> tuple[str, dict[str, Any]]:
    return "arvo.orc.number.modifier", {"init": {"key": "k", "value": 3}, "operation": operation}


@pytest.mark.parametrize(
    ("operation", "child"), [("increment", "arvo.orc.inc"), ("decrement", "arvo.orc.dec")]
)
def test_the_modifier_calls_its_child_with_its_own_subject(operation: str, child: str) -> None:
    _, called, ended = live(
        modifier(),
        start_modifier(operation),
        ("evt.value.write.success", {"success": True}),
        (f"{child}.done", {"success": True, "errors": []}),
    )
    assert called.emitted == [{"type": child, "data": {"parentSubject$$": "test-subject", "key": "k"}}]
    assert (called.snapshot["value"], ended.output) == (operation, {"success": True, "errors": []})


WRITTEN = ("evt.value.write.success", {"success": True})
MODIFIER_ERRORS: list[tuple[list[tuple[str, dict[str, Any]]], list[str]]] = [
    ([("evt.value.write.success", {"success": False})], ["not written"]),
    ([WRITTEN, ("arvo.orc.inc.done", {"success": False, "errors": ["no"]})], ["no"]),
    ([WRITTEN, ("sys.arvo.orc.inc.error", {})], ["child failed"]),
]


@pytest.mark.parametrize(("told", "errors"), MODIFIER_ERRORS)
def test_the_modifier_ends_in_its_error_state(told: Any, errors: list[str]) -> None:
    *_, last = live(modifier(), start_modifier("increment"), *told)
    assert (last.snapshot["value"], last.output) == ("error", {"success": False, "errors": errors})


def test_the_modifier_knows_no_other_operation() -> None:
    *_, last = live(modifier(), start_modifier("double"), ("evt.value.write.success", {"success": True}))
    assert last.output == {"success": False, "errors": ["unknown operation"]}


# dumb: its entry action fails.


@pytest.mark.parametrize("error", [RuntimeError("plain"), ExecutionViolation("on purpose")])
def test_the_dumb_machine_fails_with_the_users_own_error(error: Exception) -> None:
    def fail() -> None:
        raise error

    contracts: Any = {"self": orchestrator("dumb"), "services": {}}
    machine = setup_arvo_machine(contracts=contracts).create_machine({"entry": fail})
    with pytest.raises(type(error)) as caught:
        live(machine, ("arvo.orc.dumb", {}))
    assert caught.value is error


# arvo.orc.workflow.average: add, then divide.

AVERAGE: MachineForm = {
    "context": lambda given: {"numbers": given.data["numbers"], "sum": None, "average": None, "error": None},
    "initial": "add",
    "output": lambda c, _e: {"success": c["error"] is None, "average": c["average"]},
    "on": {"sys.*": {"target": ".error", "actions": assign({"error": lambda _c, e: e.data["errorMessage"]})}},
    "states": {
        "add": {
            "entry": emit(lambda c, _e: {"type": "com.calculator.add", "data": {"numbers": c["numbers"]}}),
            "on": {
                "evt.calculator.add.success": {
                    "target": "divide",
                    "actions": assign({"sum": lambda _c, e: e.data["result"]}),
                }
            },
        },
        "divide": {
            "entry": emit(
                lambda c, _e: {
                    "type": "com.calculator.divide",
                    "data": {"numerator": c["sum"], "denominator": len(c["numbers"])},
                }
            ),
            "on": {
                "evt.calculator.divide.success": {
                    "target": "done",
                    "actions": assign({"average": lambda _c, e: e.data["result"]}),
                }
            },
        },
        "done": {"type": "final"},
        "error": {"type": "final"},
    },
}


def average() -> ArvoMachine:
    contracts: Any = {
        "self": orchestrator("workflow.average"),
        "services": {"add": service("calculator.add"), "divide": service("calculator.divide")},
    }
    return setup_arvo_machine(contracts=contracts).create_machine(AVERAGE)


def test_the_average_adds_and_divides() -> None:
    started, added, divided = live(
        average(),
        ("arvo.orc.workflow.average", {"numbers": [1, 2, 3]}),
        ("evt.calculator.add.success", {"result": 6}),
        ("evt.calculator.divide.success", {"result": 2}),
    )
    assert started.emitted == [{"type": "com.calculator.add", "data": {"numbers": [1, 2, 3]}}]
    assert added.emitted == [{"type": "com.calculator.divide", "data": {"numerator": 6, "denominator": 3}}]
    assert divided.output == {"success": True, "average": 2}


@pytest.mark.parametrize("told", [[], [("evt.calculator.add.success", {"result": 6})]])
def test_the_average_ends_in_its_error_state_whichever_service_fails(told: Any) -> None:
    failure = ("sys.com.calculator.add.error", {"errorMessage": "overflow"})
    *_, last = live(average(), ("arvo.orc.workflow.average", {"numbers": [1, 2, 3]}), *told, failure)
    assert (last.snapshot["value"], last.output) == ("error", {"success": False, "average": None})
    assert last.snapshot["context"]["error"] == "overflow"
