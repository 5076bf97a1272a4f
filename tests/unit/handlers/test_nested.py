"""Orchestrations that start orchestrations: subjects, and how the answer comes back."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from pyarvo.contracts import ArvoContract, create_arvo_orchestrator_contract
from pyarvo.errors import ExecutionViolation
from pyarvo.events import ArvoEvent, ArvoOrchestrationSubject, utc_timestamp
from pyarvo.handlers import ArvoOrchestrator, Emission, create_arvo_orchestrator
from pyarvo.statecharts import ArvoMachine, assign, emit, setup_arvo_machine

Context = dict[str, Any]


def orchestrator(memory: Any, machine: ArvoMachine) -> ArvoOrchestrator:
    return create_arvo_orchestrator(memory=memory, executionunits=5, machines=[machine])


def started_with(init: ArvoEvent) -> Context:
    return {"n": init.data["n"]}


def request(context: Context) -> Emission:
    return {"type": "com.calc.add", "data": {"a": context["n"]}}


def result_of(_context: Context, event: ArvoEvent) -> Any:
    return event.data["result"]


def total(context: Context) -> Context:
    return {"total": context["n"]}


def raising() -> None:
    raise KeyError("boom")


def child_machine(world: Any, *, fails: bool) -> ArvoMachine:
    contracts: Any = {"self": world.job.version("1.0.0"), "services": {"add": world.add.version("1.0.0")}}
    taken = {"target": "done", "actions": assign({"n": result_of})}
    return setup_arvo_machine(contracts=contracts).create_machine(
        {
            "context": started_with,
            "output": total,
            "initial": "asking",
            "states": {
                "asking": {
                    "entry": raising if fails else emit(request),
                    "on": {"evt.calc.add.success": taken},
                },
                "done": {"type": "final"},
            },
        }
    )


class ParentDone(BaseModel):
    total: int
    ok: bool


@pytest.fixture
def parent_contract() -> ArvoContract:
    class ParentInit(BaseModel):
        n: int

    return create_arvo_orchestrator_contract(
        uri="#/orc/parent", name="parent", versions={"1.0.0": {"init": ParentInit, "complete": ParentDone}}
    )


def parent_context(init: ArvoEvent) -> Context:
    return {"n": init.data["n"], "total": 0, "ok": True}


def total_of(_context: Context, event: ArvoEvent) -> Any:
    return event.data["total"]


def verdict(context: Context) -> dict[str, Any]:
    return {"total": context["total"], "ok": context["ok"]}


def parent_machine(world: Any, contract: ArvoContract, **asked: Any) -> ArvoMachine:
    def child(context: Context) -> dict[str, Any]:
        return {"type": "arvo.orc.job", "data": {"n": context["n"]}, **asked}

    contracts: Any = {"self": contract.version("1.0.0"), "services": {"job": world.job.version("1.0.0")}}
    return setup_arvo_machine(contracts=contracts).create_machine(
        {
            "context": parent_context,
            "output": verdict,
            "initial": "calling",
            "states": {
                "calling": {
                    "entry": emit(child),
                    "on": {
                        "arvo.orc.job.done": {"target": "done", "actions": assign({"total": total_of})},
                        "sys.arvo.orc.job.error": {"target": "done", "actions": assign({"ok": False})},
                    },
                },
                "done": {"type": "final"},
            },
        }
    )


def parent_init(**fields: Any) -> ArvoEvent:
    subject = ArvoOrchestrationSubject.new(
        orchestrator="arvo.orc.parent",
        version="1.0.0",
        initiator="com.test.client",
        domain="us.east",
        meta={"tenant": "t1"},
    )
    wire: dict[str, Any] = {
        "id": "parent-init",
        "source": "com.test.client",
        "type": "arvo.orc.parent",
        "subject": subject,
        "data": {"parentSubject$$": None, "n": 2},
        "dataschema": "#/orc/parent/1.0.0",
        "time": utc_timestamp(),
        "to": "arvo.orc.parent",
        **fields,
    }
    return ArvoEvent(**wire)


async def test_a_child_gets_a_subject_of_its_own_and_its_parents(
    world: Any, memory: Any, parent_contract: ArvoContract
) -> None:
    parent = orchestrator(memory, parent_machine(world, parent_contract))
    event = parent_init()
    (child,) = (await parent.execute(event)).events
    assert child.data == {"parentSubject$$": event.subject, "n": 2, "step": 1}
    content = ArvoOrchestrationSubject.parse(child.subject)
    assert content == {
        "orchestrator": {"name": "arvo.orc.job", "version": "1.0.0"},
        "execution": {"id": child.id, "initiator": "arvo.orc.parent", "domain": "us.east"},
        "meta": {"tenant": "t1", "redirectto": "arvo.orc.parent"},
    }


async def test_an_explicit_null_makes_a_root(world: Any, memory: Any, parent_contract: ArvoContract) -> None:
    rooted = parent_machine(
        world, parent_contract, data={"n": 2, "parentSubject$$": None}, redirectto="com.x.y"
    )
    (child,) = (await orchestrator(memory, rooted).execute(parent_init())).events
    assert child.data["parentSubject$$"] is None
    content = ArvoOrchestrationSubject.parse(child.subject)
    assert content["execution"] == {"id": child.id, "initiator": "arvo.orc.parent", "domain": None}
    assert content["meta"] == {"redirectto": "com.x.y"}
    assert child.redirectto == "com.x.y"


async def test_a_child_has_an_execution_in_each_domain(
    world: Any, memory: Any, parent_contract: ArvoContract
) -> None:
    wide = parent_machine(world, parent_contract, domain=["a", "b"], id="mine")
    one, two = (await orchestrator(memory, wide).execute(parent_init())).events
    executions = [ArvoOrchestrationSubject.parse(child.subject)["execution"] for child in (one, two)]
    assert [execution["domain"] for execution in executions] == ["a", "b"]
    assert executions[0]["id"] != executions[1]["id"]
    assert one.id == two.id == "mine"


async def test_a_parent_subject_that_is_none_is_an_execution_violation(
    world: Any, memory: Any, parent_contract: ArvoContract
) -> None:
    bad = parent_machine(world, parent_contract, data={"n": 2, "parentSubject$$": "no-subject"})
    event = parent_init()
    with pytest.raises(ExecutionViolation, match=r"parentSubject\$\$"):
        await orchestrator(memory, bad).execute(event)
    assert await memory.read(event.subject) is None
    assert await memory.is_free(event.subject)


@pytest.mark.parametrize("child_fails", [False, True])
async def test_parent_and_child_run_to_the_end(
    world: Any, memory: Any, parent_contract: ArvoContract, child_fails: bool
) -> None:
    parent = orchestrator(memory, parent_machine(world, parent_contract))
    child = orchestrator(memory, child_machine(world, fails=child_fails))
    event = parent_init()
    (call,) = (await parent.execute(event)).events
    (back,) = (await child.execute(call)).events
    if not child_fails:
        answer = world.answer(7, to=back, subject=back.subject)
        (back,) = (await child.execute(answer)).events
    assert (back.subject, back.to, back.parentid) == (event.subject, "arvo.orc.parent", call.id)
    assert back.domain is None
    (done,) = (await parent.execute(back)).events
    assert done.data == {"total": 0 if child_fails else 7, "ok": not child_fails}
    assert (done.to, done.subject, done.parentid) == ("com.test.client", event.subject, "parent-init")
    record = await memory.read(call.subject)
    assert (record["parentSubject"], record["initEventId"]) == (event.subject, call.id)
