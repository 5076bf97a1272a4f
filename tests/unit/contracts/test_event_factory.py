from typing import Any

import pytest
from pydantic import BaseModel

from pyarvo.contracts import (
    create_arvo_contract,
    create_arvo_event_factory,
    create_arvo_orchestrator_contract,
    create_arvo_orchestrator_event_factory,
)
from pyarvo.errors import ContractViolation, InvalidContract, InvalidEvent, InvalidSubject
from pyarvo.events import ARVO_CONTENT_TYPE, ArvoOrchestrationSubject, parse_subject


class Add(BaseModel):
    a: float
    b: float = 1


class Result(BaseModel):
    result: float


ADD = create_arvo_contract(
    uri="#/calc/add",
    type="com.calc.add",
    versions={"2.0.0": {"accepts": Add, "emits": {"evt.calc.add.success": Result}}},
).version("2.0.0")
CALC = create_arvo_orchestrator_contract(
    uri="#/orc/calc", name="calc", versions={"1.0.0": {"init": Add, "complete": Result}}
).version("1.0.0")

factory = create_arvo_event_factory(ADD)
orchestrator = create_arvo_orchestrator_event_factory(CALC)

PARENT = ArvoOrchestrationSubject.new(
    orchestrator="arvo.orc.parent",
    version="1.0.0",
    initiator="com.test.test",
    domain="eu.west",
    meta={"tenant": "acme", "redirectto": "com.test.desk"},
)


def test_accepts() -> None:
    event = factory.accepts(source="com.test.test", subject="s", data={"a": 1, "unknown": True}, id="i")
    assert event.type == event.to == "com.calc.add"
    assert event.data == {"a": 1, "b": 1}
    assert event.dataschema == "#/calc/add/2.0.0"
    assert event.datacontenttype == ARVO_CONTENT_TYPE
    assert (event.id, event.source, event.subject) == ("i", "com.test.test", "s")


def test_every_field_is_passed_on() -> None:
    fields: dict[str, Any] = {
        "id": "i",
        "time": "2026-01-02T03:04:05Z",
        "to": "com.other.svc",
        "accesscontrol": "role:admin",
        "redirectto": "com.back.here",
        "executionunits": 1.5,
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "k=v",
        "parentid": "p",
        "domain": "eu.west",
        "extensions": {"tenant": "acme"},
    }
    event = factory.emits(
        source="com.a.b", subject="s", type="evt.calc.add.success", data={"result": 1}, **fields
    )
    for name, value in fields.items():
        assert getattr(event, name) == value


def test_dataschema_is_that_of_the_contract_verbatim() -> None:
    contract = create_arvo_contract(
        uri="#/calc%20add", type="com.calc.add", versions={"1.0.0": {"accepts": Add, "emits": {}}}
    ).version("1.0.0")
    event = create_arvo_event_factory(contract).accepts(source="com.a.b", subject="s", data={"a": 1})
    assert event.dataschema == contract.dataschema == "#/calc%20add/1.0.0"


def test_parentid_is_verbatim_and_addresses_are_encoded() -> None:
    event = factory.accepts(source="com.a.b", subject="a b", to="t o", data={"a": 1}, parentid="p 1 é%")
    assert event.parentid == "p 1 é%"
    assert event.subject == "a%20b"
    assert event.to == "t%20o"
    with pytest.raises(InvalidEvent, match="parentid"):
        factory.accepts(source="com.a.b", subject="s", data={"a": 1}, parentid="")


def test_data_may_be_the_model() -> None:
    assert factory.accepts(source="com.a.b", subject="s", data=Add(a=1)).data == {"a": 1, "b": 1}


def test_wrong_data_and_wrong_types_are_refused() -> None:
    with pytest.raises(ContractViolation):
        factory.accepts(source="com.a.b", subject="s", data={"a": "x"})
    with pytest.raises(ContractViolation):
        factory.emits(source="com.a.b", subject="s", type="evt.calc.add.success", data={})
    types: list[Any] = ["evt.calc.add.other", "sys.com.calc.add.error", None, ["evt.calc.add.success"]]
    for type in types:
        with pytest.raises(ContractViolation, match="emits no"):
            factory.emits(source="com.a.b", subject="s", type=type, data={})


def test_a_missing_subject_is_made() -> None:
    accepted = parse_subject(factory.accepts(source="com.test.test", data={"a": 1}).subject)
    assert accepted.orchestrator_name == "com.calc.add"
    assert accepted.orchestrator_version == "2.0.0"
    assert accepted.initiator == "com.test.test"
    assert (accepted.domain, accepted.meta) == (None, {})

    event = factory.emits(
        source="com.test.test",
        type="evt.calc.add.success",
        data={"result": 1},
        domain="eu.west",
        redirectto="com.back.here",
    )
    emitted = parse_subject(event.subject)
    assert emitted.orchestrator_name == "evt.calc.add.success"
    assert emitted.domain == event.domain == "eu.west"
    assert emitted.meta == {"redirectto": "com.back.here"}

    failed = parse_subject(factory.system_error(source="com.test.test", error=KeyError("x")).subject)
    assert failed.orchestrator_name == "sys.com.calc.add.error"
    assert failed.orchestrator_version == "2.0.0"

    with pytest.raises(InvalidSubject, match=r"subject, source: must be .* initiator"):
        factory.accepts(source="me", data={"a": 1})


def test_domain_of_an_event_with_a_given_subject() -> None:
    event = factory.accepts(source="com.a.b", subject=PARENT, data={"a": 1}, domain="us.east")
    assert event.domain == "us.east"
    assert event.subject == PARENT


def test_system_error() -> None:
    event = factory.system_error(source="com.a.b", subject="s", error=LookupError("gone"), parentid="p 1")
    assert event.type == event.to == "sys.com.calc.add.error"
    assert event.dataschema == "#/calc/add/0.0.0"
    assert event.data == {"errorName": "LookupError", "errorMessage": "gone", "errorStack": None}
    assert event.parentid == "p 1"


def test_init_of_a_root() -> None:
    event = orchestrator.init(
        source="com.test.test", data={"a": 1, "parentSubject$$": None}, domain="eu.west", redirectto="com.b.c"
    )
    subject = parse_subject(event.subject)
    assert event.type == "arvo.orc.calc"
    assert event.data == {"parentSubject$$": None, "a": 1, "b": 1}
    assert subject.orchestrator_name == "arvo.orc.calc"
    assert subject.orchestrator_version == "1.0.0"
    assert subject.initiator == "com.test.test"
    assert subject.domain == event.domain == "eu.west"
    assert subject.meta == {"redirectto": "com.b.c"}


def test_init_of_a_child() -> None:
    event = orchestrator.init(source="arvo.orc.parent", data={"a": 1, "parentSubject$$": PARENT})
    subject = parse_subject(event.subject)
    assert subject.orchestrator_name == "arvo.orc.calc"
    assert subject.initiator == "arvo.orc.parent"
    assert subject.domain == "eu.west"
    assert event.domain is None
    # Not the parent: the answer goes to whoever started the parent, as in the TypeScript system.
    assert subject.meta == {"tenant": "acme", "redirectto": "com.test.test"}

    redirected = orchestrator.init(
        source="arvo.orc.parent",
        data={"a": 1, "parentSubject$$": PARENT},
        redirectto="com.my.desk",
        domain="us.east",
    )
    assert parse_subject(redirected.subject).meta["redirectto"] == redirected.redirectto == "com.my.desk"
    assert parse_subject(redirected.subject).domain == redirected.domain == "us.east"

    given = orchestrator.init(source="a", subject="s", data={"a": 1, "parentSubject$$": PARENT})
    assert given.subject == "s"

    with pytest.raises(InvalidSubject):
        orchestrator.init(source="arvo.orc.parent", data={"a": 1, "parentSubject$$": "nonsense"})
    with pytest.raises(ContractViolation):
        orchestrator.init(source="arvo.orc.parent", data={"a": 1})


def test_complete() -> None:
    event = orchestrator.complete(source="arvo.orc.calc", subject="s", data={"result": 2})
    assert event.type == "arvo.orc.calc.done"
    assert event.dataschema == "#/orc/calc/1.0.0"
    assert event.data == {"result": 2}


def test_only_orchestrators_contracts_have_an_orchestrator_factory() -> None:
    with pytest.raises(InvalidContract, match="contractType"):
        create_arvo_orchestrator_event_factory(ADD)


@pytest.mark.parametrize("make", [create_arvo_event_factory, create_arvo_orchestrator_event_factory])
def test_a_factory_is_of_one_version(make: Any) -> None:
    whole = create_arvo_orchestrator_contract(
        uri="#/orc/calc", name="calc", versions={"1.0.0": {"init": Add, "complete": Result}}
    )
    for given in (whole, None, "1.0.0"):
        with pytest.raises(InvalidContract, match=r"contract\.version"):
            make(given)


def test_an_event_needs_a_source() -> None:
    without_source: Any = {"data": {"a": 1}}
    with pytest.raises(InvalidEvent, match="'source'"):
        factory.accepts(**without_source)
    with pytest.raises(InvalidEvent, match="'source'"):
        factory.accepts(**without_source, subject="s")
