"""The stateless handler: routing, domains, ids, and what goes wrong."""

from __future__ import annotations

import json
import uuid
from enum import StrEnum
from typing import Any

import pytest
from pydantic import BaseModel, Field, field_validator

from pyarvo.contracts import create_arvo_contract
from pyarvo.errors import ConfigViolation, ContractViolation, ExecutionViolation
from pyarvo.events import ArvoDomain, parse_arvo_event_id
from pyarvo.handlers import ArvoEventHandler, Emission, HandlerCall, Outcome, create_arvo_event_handler


def answering(world: Any, *outputs: dict[str, Any], **options: Any) -> ArvoEventHandler:
    async def answer(call: HandlerCall) -> list[Any]:
        return list(outputs)

    return create_arvo_event_handler(
        contract=world.add, executionunits=2, handler={"1.0.0": answer}, **options
    )


SUCCESS: dict[str, Any] = {"type": "evt.calc.add.success", "data": {"result": 5}}


async def test_the_function_gets_checked_data_and_its_surroundings(world: Any) -> None:
    seen: list[HandlerCall] = []

    async def add(call: HandlerCall) -> Emission:
        seen.append(call)
        return {"type": "evt.calc.add.success", "data": {"result": call.event.parsed.a + call.event.parsed.b}}

    handler = create_arvo_event_handler(contract=world.add, executionunits=2, handler={"1.0.0": add})
    event = world.request(4, data={"a": 4, "unknown": True}, domain="eu.west")
    (answer,) = (await handler.execute(event)).events
    (call,) = seen
    assert call.event.data == {"a": 4, "b": 1}
    assert call.event.parsed.model_dump() == {"a": 4, "b": 1}
    assert call.event.id == event.id
    assert call.source == handler.source == "com.calc.add"
    assert call.contract is world.add.version("1.0.0")
    assert (call.domain.event, call.domain.self) == ("eu.west", "calc.domain")
    assert answer.data == {"result": 5}
    assert event.data == {"a": 4, "unknown": True}


async def test_the_model_is_made_of_the_data_as_it_came(world: Any) -> None:
    class Secret(BaseModel):
        a: int
        key: str = Field(exclude=True)

    seen: list[Any] = []

    async def look(call: HandlerCall) -> None:
        seen.extend([call.event.data, call.event.parsed.key])

    contract = create_arvo_contract(
        uri="#/calc/add", type="com.calc.add", versions={"1.0.0": {"accepts": Secret, "emits": {}}}
    )
    handler = create_arvo_event_handler(contract=contract, executionunits=2, handler={"1.0.0": look})
    await handler.execute(world.request(data={"a": 1, "key": "k"}))
    assert seen == [{"a": 1}, "k"]


async def test_a_default_that_is_made_is_the_same_in_the_data_and_in_the_model(world: Any) -> None:
    class Numbered(BaseModel):
        a: int
        number: uuid.UUID = Field(default_factory=uuid.uuid4)

    seen: list[Any] = []

    async def look(call: HandlerCall) -> None:
        seen.extend([call.event.data["number"], str(call.event.parsed.number)])

    contract = create_arvo_contract(
        uri="#/calc/add", type="com.calc.add", versions={"1.0.0": {"accepts": Numbered, "emits": {}}}
    )
    handler = create_arvo_event_handler(contract=contract, executionunits=2, handler={"1.0.0": look})
    await handler.execute(world.request(data={"a": 1}))
    assert seen[0] == seen[1]


async def test_an_answer_goes_back_with_what_the_request_carried(world: Any) -> None:
    event = world.request(
        redirectto="arvo.orc.job", accesscontrol="role:x", traceparent="00-a", tracestate="k=v", parentid="p"
    )
    result = await answering(world, SUCCESS).execute(event)
    (answer,) = result.events
    assert result.outcome is Outcome.RAN
    assert answer.to_dict() == {
        "id": answer.id,
        "source": "com.calc.add",
        "specversion": "1.0",
        "type": "evt.calc.add.success",
        "subject": event.subject,
        "datacontenttype": event.datacontenttype,
        "dataschema": "#/calc/add/1.0.0",
        "data": {"result": 5},
        "time": answer.time,
        "to": "arvo.orc.job",
        "accesscontrol": "role:x",
        "redirectto": None,
        "executionunits": 2,
        "traceparent": "00-a",
        "tracestate": "k=v",
        "parentid": "request-1",
        "domain": None,
    }


async def test_without_redirect_the_answer_goes_to_the_source(world: Any) -> None:
    (answer,) = (await answering(world, SUCCESS).execute(world.request())).events
    assert answer.to == "com.test.client"


async def test_what_the_function_sets_wins(world: Any) -> None:
    asked = {
        **SUCCESS,
        "id": "mine",
        "time": "2026-01-02T03:04:05Z",
        "to": "com.else.where é",
        "redirectto": "com.back.to",
        "accesscontrol": "role:z",
        "executionunits": 0,
        "extensions": {"tenant": "t1"},
    }
    (answer,) = (await answering(world, asked).execute(world.request(accesscontrol="role:x"))).events
    assert (answer.id, answer.time) == ("mine", "2026-01-02T03:04:05Z")
    assert answer.to == "com.else.where%20%C3%A9"
    assert (answer.redirectto, answer.accesscontrol, answer.executionunits) == ("com.back.to", "role:z", 0)
    assert answer.extensions == {"tenant": "t1"}
    assert answer.parentid == "request-1"


async def test_a_parent_id_is_verbatim(world: Any) -> None:
    (answer,) = (await answering(world, SUCCESS).execute(world.request(id="ä b%"))).events
    assert answer.parentid == "ä b%"


async def test_what_an_answer_takes_of_its_request_is_verbatim(world: Any) -> None:
    """Encoded once more, the subject would be another workflow's and the address nobody's."""
    request = world.request(subject="a%20b", source="com/%C3%A9")
    (answer,) = (await answering(world, SUCCESS).execute(request)).events
    assert (answer.subject, answer.to) == ("a%20b", "com/%C3%A9")
    request = world.request(subject="a%20b", source="com/%C3%A9", redirectto="back%20here")
    (answer,) = (await answering(world, SUCCESS).execute(request)).events
    assert answer.to == "back%20here"


@pytest.mark.parametrize(
    "more",
    [
        {"to": ""},
        {"redirectto": ""},
        {"domain": [""]},
        {"extensions": {"id": "mine"}},
        {"__extensions": {"id": "mine"}},
        {"parentid": "mine"},
        {"subject": "mine"},
    ],
)
async def test_empty_texts_and_fields_that_are_the_handlers_are_refused(world: Any, more: Any) -> None:
    with pytest.raises(ContractViolation):
        await answering(world, {**SUCCESS, **more}).execute(world.request())


async def test_ids_are_those_of_the_published_rule_and_the_same_at_a_redelivery(world: Any) -> None:
    handler = answering(world, SUCCESS, SUCCESS, {**SUCCESS, "domain": ["audit", None]})
    event = world.request()
    first = await handler.execute(event)
    again = await handler.execute(event)
    namespace = uuid.uuid5(uuid.NAMESPACE_URL, "urn:pyarvo:event-id")

    def derived(domain: str | None, n: int) -> str:
        parts = ["com.calc.add", event.subject, "com.test.client", "request-1", SUCCESS["type"], domain, n]
        return str(uuid.uuid5(namespace, json.dumps(parts)))

    assert [answer.id for answer in first.events] == [
        derived(None, 0),
        derived(None, 1),
        derived("audit", 0),
        derived(None, 2),
    ]
    assert [answer.id for answer in again.events] == [answer.id for answer in first.events]


async def test_an_id_of_the_users_is_kept_in_every_domain(world: Any) -> None:
    asked = {**SUCCESS, "id": {"deduplication": "DEVELOPER_MANAGED", "value": " mine "}, "domain": ["a", "b"]}
    answers = (await answering(world, asked).execute(world.request())).events
    assert [(answer.id, answer.domain) for answer in answers] == [("mine", "a"), ("mine", "b")]


async def test_an_id_is_trimmed_as_javascript_trims(world: Any) -> None:
    choice = {"deduplication": "DEVELOPER_MANAGED", "value": "\ufeff\u00a0mine\x1c\x85 "}
    (answer,) = (await answering(world, {**SUCCESS, "id": choice}).execute(world.request())).events
    assert answer.id == "mine\x1c\x85"


async def test_a_managed_id_carries_its_value_and_is_made_again(world: Any) -> None:
    asked = {**SUCCESS, "id": {"deduplication": "ARVO_MANAGED", "value": "order-7"}}
    handler = answering(world, asked)
    (first,) = (await handler.execute(world.request())).events
    (again,) = (await handler.execute(world.request())).events
    (plain,) = (await answering(world, SUCCESS).execute(world.request())).events
    parsed = parse_arvo_event_id(first.id)
    assert parsed is not None
    assert (parsed.value, parsed.uuid) == ("order-7", plain.id)
    assert again.id == first.id


@pytest.mark.parametrize("value", ["", "  ", None])
async def test_a_blank_id_is_derived(world: Any, value: Any) -> None:
    asked = {**SUCCESS, "id": {"deduplication": "ARVO_MANAGED", "value": value}}
    (answer,) = (await answering(world, asked).execute(world.request())).events
    (plain,) = (await answering(world, SUCCESS).execute(world.request())).events
    assert answer.id == plain.id


@pytest.mark.parametrize(
    ("asked", "trigger", "resolved"),
    [
        ([ArvoDomain.FROM_SELF_CONTRACT], None, ["calc.domain"]),
        (
            [ArvoDomain.FROM_SELF_CONTRACT, ArvoDomain.FROM_EVENT_CONTRACT, "calc.domain"],
            None,
            ["calc.domain"],
        ),
        ([ArvoDomain.FROM_TRIGGERING_EVENT, None], None, [None]),
        ([ArvoDomain.FROM_TRIGGERING_EVENT, None, "audit"], "eu.west", ["eu.west", None, "audit"]),
        ("audit", None, ["audit"]),
        ((None, "audit"), None, [None, "audit"]),
        ([], None, []),
        (None, "eu.west", ["us.east"]),
    ],
)
async def test_domains_are_resolved_then_made_distinct(
    world: Any, asked: Any, trigger: str | None, resolved: list[str | None]
) -> None:
    event = world.request(domain=trigger, subject=world.subject(domain="us.east"))
    answers = (await answering(world, {**SUCCESS, "domain": asked}).execute(event)).events
    assert [answer.domain for answer in answers] == resolved


async def test_default_domains_can_be_set(world: Any) -> None:
    domains = {"emits": ["audit", None], "system_error": ["ops"]}
    handler = answering(world, SUCCESS, default_event_emission_domains=domains)
    answers = (await handler.execute(world.request())).events
    assert [answer.domain for answer in answers] == ["audit", None]


async def test_a_default_domain_may_be_a_member_of_an_enumeration(world: Any) -> None:
    class Place(StrEnum):
        AUDIT = "audit"

    handler = answering(world, SUCCESS, default_event_emission_domains={"emits": [Place.AUDIT]})
    (answer,) = (await handler.execute(world.request())).events
    assert (type(answer.domain), answer.domain) == (str, "audit")


@pytest.mark.parametrize("nothing", [None, [], {}])
async def test_nothing_returned_is_nothing_sent(world: Any, nothing: Any) -> None:
    async def silent(call: HandlerCall) -> Any:
        return nothing

    handler = create_arvo_event_handler(contract=world.add, executionunits=2, handler={"1.0.0": silent})
    result = await handler.execute(world.request())
    assert (result.events, result.outcome) == ((), Outcome.RAN)


async def test_an_error_is_told_to_the_sender(world: Any) -> None:
    async def failing(call: HandlerCall) -> None:
        raise ValueError("unlucky")

    handler = create_arvo_event_handler(
        contract=world.add,
        executionunits=2,
        handler={"1.0.0": failing},
        default_event_emission_domains={"system_error": [None, "ops"]},
    )
    event = world.request(redirectto="arvo.orc.job", accesscontrol="role:x")
    result = await handler.execute(event)
    assert result.outcome is Outcome.FAILED
    assert [told.domain for told in result.events] == [None, "ops"]
    told = result.events[0]
    assert (told.type, told.to, told.dataschema) == (
        "sys.com.calc.add.error",
        "com.test.client",
        "#/calc/add/0.0.0",
    )
    assert (told.subject, told.parentid, told.redirectto) == (event.subject, "request-1", None)
    assert (told.executionunits, told.accesscontrol) == (2, "role:x")
    assert (told.data["errorName"], told.data["errorMessage"]) == ("ValueError", "unlucky")
    assert "failing" in told.data["errorStack"]
    again = await handler.execute(event)
    assert [event.id for event in again.events] == [event.id for event in result.events]


async def test_an_error_of_a_models_own_code_is_told_too(world: Any) -> None:
    class Strict(BaseModel):
        a: int

        @field_validator("a")
        @classmethod
        def check(cls, a: int) -> int:
            raise OSError("the price list is gone")

    contract = create_arvo_contract(
        uri="#/calc/add", type="com.calc.add", versions={"1.0.0": {"accepts": Strict, "emits": {}}}
    )
    handler = create_arvo_event_handler(
        contract=contract, executionunits=2, handler={"1.0.0": answer_nothing}
    )
    result = await handler.execute(world.request())
    assert result.outcome is Outcome.FAILED
    assert result.events[0].data["errorMessage"] == "the price list is gone"


async def test_a_violation_is_raised(world: Any) -> None:
    violation = ExecutionViolation("not today")

    async def refusing(call: HandlerCall) -> None:
        raise violation

    handler = create_arvo_event_handler(contract=world.add, executionunits=2, handler={"1.0.0": refusing})
    with pytest.raises(ExecutionViolation) as raised:
        await handler.execute(world.request())
    assert raised.value is violation


@pytest.mark.parametrize(
    ("changed", "violation"),
    [
        ({"type": "com.calc.sub"}, ConfigViolation),
        ({"dataschema": "#/calc/other/1.0.0"}, ContractViolation),
        ({"dataschema": "#/calc/add/7.0.0"}, ConfigViolation),
        ({"dataschema": "#/calc/add/0.0.0"}, ConfigViolation),
        ({"dataschema": "7.0.0"}, ConfigViolation),
        ({"data": {"a": "x"}}, ContractViolation),
        ({"data": {}}, ContractViolation),
    ],
)
async def test_an_event_that_does_not_fit_is_refused(
    world: Any, changed: dict[str, Any], violation: type[Exception]
) -> None:
    with pytest.raises(violation):
        await answering(world, SUCCESS).execute(world.request(**changed))


@pytest.mark.parametrize("dataschema", [None, "#/calc/add"])
async def test_without_a_version_the_latest_is_taken(
    world: Any, dataschema: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    (answer,) = (await answering(world, SUCCESS).execute(world.request(dataschema=dataschema))).events
    assert answer.dataschema == "#/calc/add/1.0.0"
    assert "the latest is taken" in caplog.text


@pytest.mark.parametrize("dataschema", ["1.0.0", "/1.0.0"])
async def test_a_version_without_a_contract_is_that_version(
    world: Any, dataschema: str, caplog: pytest.LogCaptureFixture
) -> None:
    (first,) = world.add.versions.values()
    models: Any = {"accepts": first.accepts.schema, "emits": first.emits}
    contract = create_arvo_contract(
        uri=world.add.uri, type=world.add.type, versions={"1.0.0": models, "2.0.0": models}
    )

    async def answer(call: HandlerCall) -> dict[str, Any]:
        return SUCCESS

    handler = create_arvo_event_handler(
        contract=contract, executionunits=2, handler={"1.0.0": answer, "2.0.0": answer}
    )
    (told,) = (await handler.execute(world.request(dataschema=dataschema))).events
    assert told.dataschema == "#/calc/add/1.0.0"
    assert caplog.text == ""


async def test_what_is_no_event_is_refused(world: Any) -> None:
    with pytest.raises(ExecutionViolation):
        await answering(world, SUCCESS).execute({"type": "com.calc.add"})  # pyright: ignore[reportArgumentType] - on purpose


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ({**SUCCESS, "data": {"result": "nan"}}, "does not fit"),
        ({**SUCCESS, "type": "evt.calc.add.other"}, "emits no"),
        ({"data": {"result": 1}}, "missing required field `type`"),
        ({**SUCCESS, "redirect_to": "com.a.b"}, "redirect_to"),
        ({**SUCCESS, "to": 7}, r"\$\.to"),
        ({**SUCCESS, "to": "\ud800"}, "Unicode"),
        ({**SUCCESS, "id": {"deduplication": "MAYBE", "value": "x"}}, "DEVELOPER_MANAGED"),
        ({**SUCCESS, "id": {"deduplication": "ARVO_MANAGED", "value": "\ud800"}}, "Unicode"),
        ({**SUCCESS, "id": ""}, "id"),
        ({**SUCCESS, "executionunits": "many"}, "executionunits"),
        ({**SUCCESS, "domain": ["No Domain"]}, "domain"),
        ({**SUCCESS, "time": "yesterday"}, "time"),
        ({**SUCCESS, "extensions": {"Bad-Key": 1}}, "Bad-Key"),
    ],
)
async def test_an_output_that_cannot_be_sent_is_a_contract_violation(
    world: Any, output: dict[str, Any], says: str
) -> None:
    with pytest.raises(ContractViolation, match=says):
        await answering(world, output).execute(world.request())


async def answer_nothing(call: HandlerCall) -> None:
    """An async function that answers nothing."""


def plain(call: HandlerCall) -> None:
    """No async function."""


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        ({}, "at least one"),
        (None, "at least one"),
        ({"2.0.0": answer_nothing}, "no version"),
        ({"1.0.0": plain}, "must be async"),
        ({"1.0.0": answer_nothing, "2.0.0": answer_nothing}, "has no version '2.0.0'"),
    ],
)
def test_functions_must_fit_the_contract(world: Any, handler: Any, says: str) -> None:
    with pytest.raises(ConfigViolation, match=says):
        create_arvo_event_handler(contract=world.add, executionunits=2, handler=handler)


def test_a_handler_is_of_a_whole_contract(world: Any) -> None:
    given: list[Any] = [None, world.add.version("1.0.0")]
    for contract in given:
        with pytest.raises(ConfigViolation, match="contract: must be a contract with all"):
            create_arvo_event_handler(contract=contract, executionunits=2, handler={"1.0.0": answer_nothing})


async def test_the_error_event_is_not_a_functions_to_send(world: Any) -> None:
    told = {"errorName": "Mine", "errorMessage": "m", "errorStack": None}
    with pytest.raises(ContractViolation, match="emits no 'sys"):
        await answering(world, {"type": "sys.com.calc.add.error", "data": told}).execute(world.request())


@pytest.mark.parametrize(
    "domains",
    [
        {"services": [None]},
        {"emits": "audit"},
        {"emits": ["No Domain"]},
        {"emits": [5]},
        {"emits": [["audit"]]},
        5,
    ],
)
def test_default_domains_must_be_of_known_kinds(world: Any, domains: Any) -> None:
    with pytest.raises(ConfigViolation, match="default_event_emission_domains"):
        answering(world, SUCCESS, default_event_emission_domains=domains)
