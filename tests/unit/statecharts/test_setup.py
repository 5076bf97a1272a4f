"""Machines with contracts: what a set-up refuses, and what a machine knows of itself."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pydantic import BaseModel

from pyarvo.contracts import (
    VersionedArvoContract,
    create_arvo_contract,
    create_arvo_orchestrator_contract,
)
from pyarvo.errors import ConfigViolation, ExecutionViolation, InvalidContext, InvalidMachine
from pyarvo.statecharts import (
    ArvoMachine,
    MachineForm,
    assign,
    emit,
    raise_,
    setup_arvo_machine,
    state_in,
    step,
)
from pyarvo.statecharts.fingerprint import definition_hash


class Number(BaseModel):
    n: int = 0


class Empty(BaseModel):
    pass


def orchestrator(name: str = "sum", version: str = "1.0.0") -> VersionedArvoContract:
    contract = create_arvo_orchestrator_contract(
        uri=f"#/orc/{name}", name=name, versions={version: {"init": Number, "complete": Number}}
    )
    return contract.version(cast("Any", version))


def service(name: str, *emits: str, version: str = "1.0.0") -> VersionedArvoContract:
    contract = create_arvo_contract(
        uri=f"#/service/{name}",
        type=f"com.{name}.do",
        versions={version: {"accepts": Number, "emits": {f"evt.{name}.{one}": Number for one in emits}}},
    )
    return contract.version(cast("Any", version))


ADD = service("add", "done")
ASK = service("ask", "yes", "no")
CHART: MachineForm = {"initial": "a", "states": {"a": {"on": {"evt.add.done": "b"}}, "b": {"type": "final"}}}


def make(config: MachineForm = CHART, services: Any = None, **options: Any) -> ArvoMachine:
    contracts: Any = {"self": orchestrator(), "services": {"add": ADD} if services is None else services}
    return setup_arvo_machine(contracts=contracts, **options).create_machine(config)


def test_a_machine_knows_its_contracts() -> None:
    machine = make({**CHART, "id": "adder", "version": "1.0.0"})
    assert (machine.id, machine.version, machine.source) == ("adder", "1.0.0", "arvo.orc.sum")
    assert machine.contracts.self.uri == "#/orc/sum"
    assert dict(machine.contracts.services) == {"add": ADD}
    assert machine.machine.source == "arvo.orc.sum"


def test_services_of_a_machine_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        cast("Any", make().contracts.services)["more"] = ASK


def test_a_machine_without_an_id_is_named_by_its_source() -> None:
    machine = make({"initial": "a", "states": {"a": {"on": {"X": "#arvo.orc.sum.b"}}, "b": {}}})
    assert machine.id == "arvo.orc.sum"
    assert [state.id for state in machine.machine.states][1:] == ["arvo.orc.sum.a", "arvo.orc.sum.b"]


@pytest.mark.parametrize(
    ("contracts", "path"),
    [
        ({"services": {}}, "contracts.self"),
        ({"self": ADD, "services": {}}, "contracts.self"),
        ({"self": "arvo.orc.sum", "services": {}}, "contracts.self"),
        ({"self": orchestrator(), "services": {"add": "com.add.do"}}, "contracts.services.add"),
        (
            {
                "self": orchestrator(),
                "services": {"add": ADD, "again": service("add", "done", version="2.0.0")},
            },
            "contracts.services.again",
        ),
        (
            {"self": orchestrator(), "services": {"self": orchestrator(version="2.0.0")}},
            "contracts.services.self",
        ),
        ({"self": orchestrator(), "services": {}, "events": {}}, "contracts.events"),
        ({"self": orchestrator(), "services": [ADD]}, "contracts.services"),
        (None, "contracts"),
    ],
)
def test_contracts_that_do_not_belong_together_are_refused(contracts: Any, path: str) -> None:
    with pytest.raises(InvalidMachine) as caught:
        setup_arvo_machine(contracts=contracts)
    assert caught.value.path == path
    assert isinstance(caught.value, ConfigViolation)


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"actors": {}}, "actors"),
        ({"delays": {}}, "delays"),
        ({"actions": {"enqueueArvoEvent": print}}, "actions.enqueueArvoEvent"),
        ({"actions": {"enqueue_arvo_event": print}}, "actions.enqueue_arvo_event"),
        ({"actions": {"x": 1}}, "actions.x"),
        ({"guards": {"x": 1}}, "guards.x"),
        ({"actions": 5}, "actions"),
        ({"guards": ["x"]}, "guards"),
        ({"context": dict}, "context"),
        ({"context": Number()}, "context"),
    ],
)
def test_a_set_up_refuses_what_machines_have_not(options: Any, path: str) -> None:
    with pytest.raises(InvalidMachine) as caught:
        setup_arvo_machine(contracts={"self": orchestrator(), "services": {}}, **options)
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({**CHART, "version": "1.0.1"}, "version"),
        ({**CHART, "invoke": {}}, "invoke"),
        ({**CHART, "after": {"10": "b"}}, "after"),
        ({"initial": "a", "states": {"a": {"invoke": {}}}}, "states.a.invoke"),
        ({"initial": "a", "states": {"a": {"after": {}}}}, "states.a.after"),
        ({"initial": "a", "states": {"a": {}, "b": {"type": "final"}}}, "states.b"),
        ("no chart", "(root)"),
    ],
)
def test_a_machine_is_refused(config: Any, path: str) -> None:
    with pytest.raises(InvalidMachine) as caught:
        make(config)
    assert caught.value.path == path


def test_a_state_and_an_event_may_be_named_after() -> None:
    machine = make(
        {"initial": "after", "states": {"after": {"on": {"invoke": "invoke"}}, "invoke": {"type": "final"}}}
    )
    assert (
        step(machine.machine, step(machine.machine, None, "arvo.orc.sum").snapshot, "invoke").snapshot[
            "status"
        ]
        == "done"
    )


def test_the_machine_starts_with_its_source_only() -> None:
    with pytest.raises(ExecutionViolation):
        step(make().machine, None, "evt.add.done")


@pytest.mark.parametrize(
    ("config", "services", "locks"),
    [
        (CHART, {"add": ADD}, False),
        (CHART, {"ask": ASK}, True),
        (
            {"initial": "a", "states": {"a": {"type": "parallel", "states": {"x": {}, "y": {}}}}},
            {"add": ADD},
            True,
        ),
        ({"initial": "a", "states": {"a": {"type": "parallel"}}}, {}, True),
        ({"type": "parallel", "states": {"a": {}}}, {}, True),
    ],
)
def test_machines_where_answers_can_meet_need_a_lock(config: Any, services: Any, locks: bool) -> None:
    assert make(config, services).requires_resource_locking is locks


def test_the_context_must_fit_its_model_after_every_step() -> None:
    machine = make(
        {
            "context": lambda given: {"n": given.data["n"]},
            "on": {"evt.add.done": {"actions": assign({"n": lambda _c, e: e.data["n"]})}},
        },
        context=Number,
    ).machine
    started = step(machine, None, {"type": "arvo.orc.sum", "data": {"n": 1}})
    assert step(machine, started.snapshot, {"type": "evt.add.done", "data": {"n": 2}}).snapshot[
        "context"
    ] == {"n": 2}
    for given in (None, started.snapshot):
        event = {"type": "arvo.orc.sum" if given is None else "evt.add.done", "data": {"n": "secret"}}
        with pytest.raises(InvalidContext) as caught:
            step(machine, given, event)
        assert caught.value.path == "context.n"
        assert "secret" not in str(caught.value)
        assert caught.value.__cause__ is not None


def test_names_are_looked_up_in_the_set_up() -> None:
    machine = make(
        {
            "initial": "a",
            "entry": "hello",
            "states": {"a": {"always": {"target": "b", "guard": "go"}}, "b": {"type": "final"}},
        },
        actions={"hello": emit({"type": "com.add.do"})},
        guards={"go": lambda: True},
    )
    result = step(machine.machine, None, "arvo.orc.sum")
    assert (result.emitted, result.snapshot["value"], result.output) == ([{"type": "com.add.do"}], "b", {})


def named(_context: Any, _event: Any) -> bool:
    return True


def test_the_hash_is_of_the_definition_alone() -> None:
    assert (
        make().definition_hash
        == make(services={"ask": ASK}).definition_hash
        == definition_hash(cast("Any", CHART))
    )
    assert len(make().definition_hash) == 64


@pytest.mark.parametrize(
    "other",
    [
        {"initial": "a", "states": {"b": {}, "a": {}}},
        {"initial": "b", "states": {"a": {}, "b": {}}},
        {"initial": "a", "states": {"a": {}, "b": {}}, "entry": named},
        {"initial": "a", "states": {"a": {}, "b": {}}, "entry": emit({"type": "x"})},
        {"initial": "a", "states": {"a": {}, "b": {}}, "entry": raise_({"type": "x"})},
        {"initial": "a", "states": {"a": {"always": {"guard": state_in("a")}}, "b": {}}},
        {"initial": "a", "states": {"a": {"always": {"guard": state_in("b")}}, "b": {}}},
    ],
)
def test_the_hash_tells_definitions_apart(other: Any) -> None:
    base: dict[str, Any] = {"initial": "a", "states": {"a": {}, "b": {}}}
    assert definition_hash(other) != definition_hash(base)
    assert definition_hash(other) == definition_hash({**other})


def test_the_hash_names_callables_and_does_not_depend_on_where_they_lie() -> None:
    assert definition_hash({"entry": named}) == definition_hash({"entry": named})
    assert definition_hash({"entry": named}) != definition_hash({"entry": print})
