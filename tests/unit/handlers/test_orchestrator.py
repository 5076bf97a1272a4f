"""Orchestrators of state machines: the record, emissions, children, completion, failures."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from pyarvo.contracts import create_arvo_orchestrator_contract
from pyarvo.errors import ConfigViolation, ContractViolation
from pyarvo.events import ArvoDomain, ArvoEvent
from pyarvo.handlers import (
    ArvoOrchestrator,
    Emission,
    Outcome,
    create_arvo_orchestrator,
    create_arvo_resumable,
)
from pyarvo.statecharts import ArvoMachine, assign, emit, enqueue_arvo_event, setup_arvo_machine

Context = dict[str, Any]


def started_with(init: ArvoEvent) -> Context:
    return {"n": init.data["n"], "step": init.data["step"], "total": 0}


def request(context: Context) -> Emission:
    return {"type": "com.calc.add", "data": {"a": context["n"]}}


def result_of(_context: Context, event: ArvoEvent) -> Any:
    return event.data["result"]


def total(context: Context) -> dict[str, Any]:
    return {"total": context["total"]}


ADDING: dict[str, Any] = {
    "context": started_with,
    "output": total,
    "initial": "asking",
    "states": {
        "asking": {
            "entry": emit(request),
            "on": {
                "evt.calc.add.success": {"target": "done", "actions": assign({"total": result_of})},
                "sys.com.calc.add.error": {"target": "done"},
            },
        },
        "done": {"type": "final"},
    },
}


def machine(world: Any, config: dict[str, Any], version: str = "1.0.0", **services: Any) -> ArvoMachine:
    own = world.job.version(version)
    contracts: Any = {"self": own, "services": services or {"add": world.add.version("1.0.0")}}
    return setup_arvo_machine(contracts=contracts).create_machine(config)


def orchestrator(world: Any, memory: Any, *machines: ArvoMachine, **options: Any) -> ArvoOrchestrator:
    return create_arvo_orchestrator(
        memory=memory, executionunits=5, machines=list(machines or [machine(world, ADDING)]), **options
    )


def sending(*emissions: Any) -> dict[str, Any]:
    """A machine that emits and waits."""
    return {
        "context": started_with,
        "initial": "a",
        "states": {"a": {"entry": [emit(emission) for emission in emissions]}},
    }


# --- the record ----------------------------------------------------------------------------------------------------


async def test_the_record_holds_snapshot_definition_and_last_step(world: Any, memory: Any) -> None:
    adding = machine(world, ADDING)
    event = world.init()
    (asked,) = (await orchestrator(world, memory, adding).execute(event)).events
    record = await memory.read(world.subject())
    state = record.pop("state")
    assert record == {
        "executionStatus": "normal",
        "initEventId": "init-1",
        "subject": world.subject(),
        "parentSubject": None,
        "status": "active",
        "value": "asking",
        "events": {"consumed": event.to_dict(), "produced": [asked.to_dict()]},
        "machineDefinition": {"sha256": adding.definition_hash, "version": "1.0.0"},
    }
    assert (state["status"], state["value"]) == ("active", "asking")
    assert state["context"] == {"n": 3, "step": 1, "total": 0}


async def test_a_machine_gets_checked_data_and_the_record_the_event_as_it_came(
    world: Any, memory: Any
) -> None:
    event = world.init(data={"parentSubject$$": None, "n": 3, "unknown": 1})
    await orchestrator(world, memory).execute(event)
    record = await memory.read(world.subject())
    assert record["state"]["context"]["step"] == 1
    assert record["events"]["consumed"]["data"] == {"parentSubject$$": None, "n": 3, "unknown": 1}


async def test_what_a_machine_does_to_the_extensions_changes_no_record(world: Any, memory: Any) -> None:
    def careless(init: ArvoEvent) -> Context:
        init.extensions["tenant"] = "oops"
        return {}

    event = world.init(tenant="t1")
    careful = machine(world, {"context": careless, "initial": "a", "states": {"a": {}}})
    await orchestrator(world, memory, careful).execute(event)
    assert event.extensions == {"tenant": "t1"}
    assert (await memory.read(world.subject()))["events"]["consumed"]["tenant"] == "t1"


async def test_a_workflow_runs_to_its_completion(world: Any, memory: Any) -> None:
    handler = orchestrator(world, memory)
    (asked,) = (await handler.execute(world.init())).events
    assert (asked.data, asked.parentid, asked.redirectto) == ({"a": 3, "b": 1}, "init-1", "arvo.orc.job")
    (done,) = (await handler.execute(world.answer(4, to=asked))).events
    assert (done.type, done.data) == ("arvo.orc.job.done", {"total": 4})
    assert (done.to, done.parentid, done.executionunits) == ("com.test.client", "init-1", 5)
    record = await memory.read(world.subject())
    assert (record["status"], record["value"]) == ("done", "done")
    late = await handler.execute(world.answer(5, to=asked))
    assert (late.events, late.outcome) == ((), Outcome.INSTANCE_DONE)
    assert memory.calls == ["acquire", "commit", "acquire", "commit", "acquire", "release"]


async def test_a_machine_that_ignores_an_event_consumes_it(world: Any, memory: Any) -> None:
    handler = orchestrator(world, memory, machine(world, sending(request)))
    await handler.execute(world.init())
    ignored = world.answer(1)
    first = await handler.execute(ignored)
    again = await handler.execute(ignored)
    assert (first.events, first.outcome, again.outcome) == ((), Outcome.RAN, Outcome.REPLAYED)


async def test_versions_run_side_by_side(world: Any, memory: Any) -> None:
    later: dict[str, Any] = {**ADDING, "output": {"total": -1}}
    handler = orchestrator(world, memory, machine(world, ADDING), machine(world, later, "2.0.0"))
    newer = world.subject("exec-2", "2.0.0")
    (one,) = (await handler.execute(world.init())).events
    (two,) = (await handler.execute(world.init(subject=newer, dataschema="#/orc/job/2.0.0"))).events
    (old,) = (await handler.execute(world.answer(4, to=one))).events
    (new,) = (await handler.execute(world.answer(4, to=two, subject=newer))).events
    assert (old.data, old.dataschema) == ({"total": 4}, "#/orc/job/1.0.0")
    assert (new.data, new.dataschema) == ({"total": -1}, "#/orc/job/2.0.0")


async def test_a_version_without_machine_is_a_config_violation(world: Any, memory: Any) -> None:
    subject = world.subject(version="2.0.0")
    with pytest.raises(ConfigViolation, match=r"no machine of version 2\.0\.0"):
        await orchestrator(world, memory).execute(world.init(subject=subject, dataschema="#/orc/job/2.0.0"))
    assert await memory.is_free(subject)


async def test_machines_and_resumables_leave_each_others_workflows_alone(
    world: Any, memory: Any, job: Any
) -> None:
    machines = orchestrator(world, memory)
    functions = create_arvo_resumable(contracts=world.contracts, memory=memory, handler={"1.0.0": job})
    of_a_machine, of_a_function = world.subject("exec-1"), world.subject("exec-2")
    await machines.execute(world.init(subject=of_a_machine))
    await functions.execute(world.init(subject=of_a_function))
    for handler, subject in ((functions, of_a_machine), (machines, of_a_function)):
        before = await memory.read(subject)
        with pytest.raises(ConfigViolation, match="was not written by"):
            await handler.execute(world.answer(1, subject=subject))
        assert await memory.read(subject) == before
        assert await memory.is_free(subject)


async def test_a_state_that_is_none_does_not_start_the_machine_anew(world: Any, memory: Any) -> None:
    handler = orchestrator(world, memory)
    await handler.execute(world.init())
    lease = await memory.inner.acquire(world.subject())
    await memory.inner.commit(lease, {**lease.data, "state": None})
    with pytest.raises(ConfigViolation, match="was not written by a machine"):
        await handler.execute(world.answer(1))


# --- emissions -----------------------------------------------------------------------------------------------------


async def test_emitted_events_come_before_enqueued_ones(world: Any, memory: Any) -> None:
    config: dict[str, Any] = {
        "context": started_with,
        "initial": "a",
        "states": {
            "a": {
                "entry": [
                    enqueue_arvo_event({"type": "com.calc.add", "data": {"a": 1}}),
                    emit({"type": "com.calc.add", "data": {"a": 2}}),
                ]
            }
        },
    }
    events = (await orchestrator(world, memory, machine(world, config)).execute(world.init())).events
    assert [event.data["a"] for event in events] == [2, 1]
    assert events[0].id != events[1].id


async def test_an_opaque_event_is_sent_as_it_is(world: Any, memory: Any) -> None:
    opaque = {
        "type": "com.opaque.thing",
        "data": {"free": [1, None]},
        "to": "com.some.where",
        "dataschema": "#/opaque/1.0.0",
        "domain": [ArvoDomain.FROM_EVENT_CONTRACT, ArvoDomain.FROM_TRIGGERING_EVENT],
        "__extensions": {"tenant": "t1"},
    }
    event = world.init(domain="eu.west")
    sent = (await orchestrator(world, memory, machine(world, sending(opaque))).execute(event)).events
    assert [event.domain for event in sent] == [None, "eu.west"]
    assert (sent[0].type, sent[0].data, sent[0].to) == (opaque["type"], opaque["data"], "com.some.where")
    assert (sent[0].dataschema, sent[0].extensions) == ("#/opaque/1.0.0", {"tenant": "t1"})
    assert (sent[0].subject, sent[0].parentid) == (world.subject(), "init-1")
    record = await memory.read(world.subject())
    assert record["events"]["produced"][0]["tenant"] == "t1"


async def test_one_domain_is_one_event_however_often_it_is_named(world: Any, memory: Any) -> None:
    asked = {
        "type": "com.calc.add",
        "data": {"a": 1},
        "domain": [
            "calc.domain",
            ArvoDomain.FROM_EVENT_CONTRACT,
            ArvoDomain.LOCAL,
            ArvoDomain.FROM_SELF_CONTRACT,
        ],
    }
    sent = (await orchestrator(world, memory, machine(world, sending(asked))).execute(world.init())).events
    assert [event.domain for event in sent] == ["calc.domain", None]
    assert sent[0].id != sent[1].id


async def test_default_domains_can_be_set(world: Any, memory: Any) -> None:
    domains = {"services": ["audit"], "complete": [None, "ops"], "system_error": ["ops"]}
    handler = orchestrator(world, memory, default_event_emission_domains=domains)
    (asked,) = (await handler.execute(world.init())).events
    assert asked.domain == "audit"
    done = (await handler.execute(world.answer(4, to=asked))).events
    assert [event.domain for event in done] == [None, "ops"]


async def test_a_machine_may_emit_its_completion_itself(world: Any, memory: Any) -> None:
    asked = {"type": "arvo.orc.job.done", "data": {"total": 1, "unknown": 2}, "to": "com.test.client"}
    (done,) = (await orchestrator(world, memory, machine(world, sending(asked))).execute(world.init())).events
    assert (done.data, done.parentid, done.dataschema) == ({"total": 1}, "init-1", "#/orc/job/1.0.0")


@pytest.mark.parametrize(
    "asked", [{"type": "com.calc.add", "data": {"a": "x"}}, {"type": "arvo.orc.job.done", "data": {}}]
)
async def test_data_that_does_not_fit_is_a_contract_violation(world: Any, memory: Any, asked: Any) -> None:
    with pytest.raises(ContractViolation):
        await orchestrator(world, memory, machine(world, sending(asked))).execute(world.init())
    assert await memory.read(world.subject()) is None
    assert await memory.is_free(world.subject())


# --- completion ----------------------------------------------------------------------------------------------------


class Nothing(BaseModel):
    model_config = ConfigDict(extra="forbid")


@pytest.mark.parametrize("output", [None, {}, {"__id": "mine"}])
async def test_a_machine_without_output_completes_once(world: Any, memory: Any, output: Any) -> None:
    contract = create_arvo_orchestrator_contract(
        uri="#/orc/job", name="job", versions={"1.0.0": {"init": Nothing, "complete": Nothing}}
    )
    contracts: Any = {"self": contract.version("1.0.0"), "services": {}}
    config: dict[str, Any] = {"initial": "a", "states": {"a": {"type": "final"}}}
    if output is not None:
        config["output"] = output
    handler = orchestrator(world, memory, setup_arvo_machine(contracts=contracts).create_machine(config))
    event = world.init(data={"parentSubject$$": None})
    result = await handler.execute(event)
    assert [(event.type, event.data) for event in result.events] == [("arvo.orc.job.done", {})]
    assert (result.events[0].id == "mine") == bool(output)
    assert (await handler.execute(event)).outcome is Outcome.REPLAYED


async def test_an_output_that_does_not_fit_is_a_contract_violation(world: Any, memory: Any) -> None:
    config: dict[str, Any] = {"initial": "a", "states": {"a": {"type": "final"}}}
    with pytest.raises(ContractViolation, match="total"):
        await orchestrator(world, memory, machine(world, config)).execute(world.init())
    assert await memory.read(world.subject()) is None


# --- failures ------------------------------------------------------------------------------------------------------


def raising(context: Context) -> None:
    context["n"] = "spoilt"
    raise KeyError("boom")


async def test_a_machine_that_throws_fails_on_record(world: Any, memory: Any) -> None:
    config: dict[str, Any] = {
        **ADDING,
        "states": {
            **ADDING["states"],
            "asking": {"entry": emit(request), "on": {"evt.calc.add.success": {"actions": raising}}},
        },
    }
    config["states"].pop("done")
    handler = orchestrator(world, memory, machine(world, config))
    (asked,) = (await handler.execute(world.init())).events
    good = await memory.read(world.subject())
    result = await handler.execute(world.answer(1, to=asked))
    (told,) = result.events
    assert (result.outcome, told.type, told.to) == (
        Outcome.FAILED,
        "sys.arvo.orc.job.error",
        "com.test.client",
    )
    record = await memory.read(world.subject())
    assert record["state"] == good["state"]
    assert record["machineDefinition"] == good["machineDefinition"]
    assert record["error"]["errorName"] == "KeyError"
    assert record["executionStatus"] == "failure"


async def test_a_machine_that_throws_at_once_fails_on_record(world: Any, memory: Any) -> None:
    config: dict[str, Any] = {
        "context": started_with,
        "initial": "a",
        "states": {"a": {"entry": raising}},
    }
    event = world.init()
    result = await orchestrator(world, memory, machine(world, config)).execute(event)
    assert await memory.read(world.subject()) == {
        "executionStatus": "failure",
        "initEventId": "init-1",
        "subject": world.subject(),
        "parentSubject": None,
        "error": result.events[0].data,
        "events": {"consumed": event.to_dict(), "produced": [result.events[0].to_dict()]},
    }


async def test_a_machine_that_loops_for_ever_fails_on_record(world: Any, memory: Any) -> None:
    config: dict[str, Any] = {
        "context": started_with,
        "initial": "a",
        "states": {"a": {"always": {"target": "b"}}, "b": {"always": {"target": "a"}}},
    }
    result = await orchestrator(world, memory, machine(world, config)).execute(world.init())
    assert result.outcome is Outcome.FAILED
    assert result.events[0].data["errorName"] == "EndlessLoop"


@pytest.mark.parametrize(
    "asked",
    [
        {"type": "no type", "data": {}},
        {"type": "com.opaque.thing", "data": [1]},
        {"type": "com.opaque.thing"},
        {"type": "com.opaque.thing", "data": {}, "recipient": "x"},
    ],
)
async def test_an_emission_that_no_event_can_be_is_a_failure(world: Any, memory: Any, asked: Any) -> None:
    result = await orchestrator(world, memory, machine(world, sending(asked))).execute(world.init())
    assert result.outcome is Outcome.FAILED
    assert result.events[0].data["errorName"] == "InvalidEvent"


async def test_a_state_that_the_machine_no_longer_has_is_a_config_violation(world: Any, memory: Any) -> None:
    (asked,) = (await orchestrator(world, memory).execute(world.init())).events
    before = await memory.read(world.subject())
    changed = machine(world, {**ADDING, "initial": "b", "states": {"b": {"type": "final"}}})
    with pytest.raises(ConfigViolation):
        await orchestrator(world, memory, changed).execute(world.answer(4, to=asked))
    assert await memory.read(world.subject()) == before
    assert await memory.is_free(world.subject())


@pytest.mark.parametrize("output", [[1], "x", 5, True, [], "", 0, False])
async def test_an_output_that_is_no_object_is_a_contract_violation(
    world: Any, memory: Any, output: Any
) -> None:
    ended = {"output": lambda: output, "initial": "a", "states": {"a": {"type": "final"}}}
    with pytest.raises(ContractViolation, match=f"must be an object, not {type(output).__name__}"):
        await orchestrator(world, memory, machine(world, ended)).execute(world.init())
    assert await memory.read(world.subject()) is None


# --- set-up --------------------------------------------------------------------------------------------------------


def test_machines_must_belong_together(world: Any, memory: Any) -> None:
    other = create_arvo_orchestrator_contract(
        uri="#/orc/other", name="other", versions={"1.0.0": {"init": Nothing, "complete": Nothing}}
    )
    contracts: Any = {"self": other.version("1.0.0"), "services": {}}
    stranger = setup_arvo_machine(contracts=contracts).create_machine({"initial": "a", "states": {"a": {}}})
    with pytest.raises(ConfigViolation, match="at least one"):
        create_arvo_orchestrator(memory=memory, executionunits=1, machines=[])
    with pytest.raises(ConfigViolation, match="orchestrator each"):
        orchestrator(world, memory, machine(world, ADDING), stranger)
    with pytest.raises(ConfigViolation, match="twice"):
        orchestrator(world, memory, machine(world, ADDING), machine(world, ADDING))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("machines", None),
        ("machines", ["machine"]),
        ("machines", 5),
        ("memory", None),
        ("memory", object()),
        ("default_event_emission_domains", 5),
    ],
)
def test_options_of_another_kind_are_named(world: Any, memory: Any, option: str, value: Any) -> None:
    options: Any = {"memory": memory, "executionunits": 1, "machines": [machine(world, ADDING)]}
    with pytest.raises(ConfigViolation, match=option):
        create_arvo_orchestrator(**{**options, option: value})


@pytest.mark.parametrize("units", [True, "5", float("nan"), None])
def test_executionunits_must_be_a_number(world: Any, memory: Any, units: Any) -> None:
    with pytest.raises(ConfigViolation, match="executionunits"):
        create_arvo_orchestrator(memory=memory, executionunits=units, machines=[machine(world, ADDING)])


def test_a_handler_shows_what_it_is(world: Any, memory: Any) -> None:
    adding = machine(world, ADDING)
    handler = orchestrator(world, memory, adding)
    assert (handler.source, handler.domain, handler.executionunits) == ("arvo.orc.job", None, 5)
    assert handler.machines == {"1.0.0": adding}
    assert handler.memory is memory
