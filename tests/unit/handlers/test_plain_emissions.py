"""An emission of type and data only is sent without a second check: it must keep every rule all the same."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest

from pyarvo.errors import ConfigViolation
from pyarvo.events import ArvoEvent
from pyarvo.handlers import create_arvo_event_handler, create_arvo_resumable
from pyarvo.memory import SimpleMachineMemory

CONSUMED: dict[str, Any] = {
    "accesscontrol": "role:é",
    "redirectto": "com.back.to/%C3%A9",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "vendor=1",
    "datacontenttype": "application/json",
    "domain": "eu.west",
    "custom": "of the consumed event only",
}


def _checked(event: ArvoEvent) -> ArvoEvent:
    return ArvoEvent.from_dict(event.to_dict())


@pytest.mark.parametrize("fields", [{}, CONSUMED], ids=["bare", "full"])
async def test_an_output_passes_the_check_that_it_was_spared(world: Any, fields: dict[str, Any]) -> None:
    async def add(_call: Any) -> list[dict[str, Any]]:
        plain = {"type": "evt.calc.add.success", "data": {"result": 5}}
        return [plain, {**plain, "time": None}, {**plain, "id": "chosen"}]

    handler = create_arvo_event_handler(contract=world.add, executionunits=2.5, handler={"1.0.0": add})
    plain, other, chosen = (await handler.execute(world.request(4, **fields))).events
    assert type(plain) is ArvoEvent
    assert [_checked(event) for event in (plain, other, chosen)] == [plain, other, chosen]
    assert plain.extensions == {}
    assert plain.extensions is not other.extensions
    # The checked way and the unchecked one make the same event.
    differing = {"id", "time"}
    assert {key: value for key, value in plain.to_dict().items() if key not in differing} == {
        key: value for key, value in chosen.to_dict().items() if key not in differing
    }


class Name(StrEnum):
    ADDED = "evt.calc.add.success"
    PLACE = "com.else.where"
    TIME = "2026-01-02T03:04:05Z"


@pytest.mark.parametrize("name", ["type", "to", "redirectto", "accesscontrol", "id", "time", "domain"])
async def test_a_member_of_an_enumeration_is_sent_as_its_text(world: Any, name: str) -> None:
    member = {"type": Name.ADDED, "time": Name.TIME}.get(name, Name.PLACE)
    asked: dict[str, Any] = {"type": "evt.calc.add.success", "data": {"result": 5}, name: member}

    async def add(_call: Any) -> list[dict[str, Any]]:
        return [asked, {**asked, name: [member]} if name == "domain" else {**asked, name: str(member)}]

    handler = create_arvo_event_handler(contract=world.add, executionunits=2, handler={"1.0.0": add})
    one, other = (await handler.execute(world.request(4))).events
    sent = one.to_dict()[name]
    assert (type(sent), sent) == (str, member.value)
    assert other.to_dict()[name] == sent


async def test_a_request_passes_the_check_that_it_was_spared(world: Any) -> None:
    async def job(_call: Any) -> dict[str, Any]:
        return {"services": [{"type": "com.calc.add", "data": {"a": 1}}]}

    handler = create_arvo_resumable(
        contracts=world.contracts, memory=SimpleMachineMemory(), handler={"1.0.0": job}, executionunits=4
    )
    init = world.init(accesscontrol="role:é", domain="eu.west", custom=1)
    (request,) = (await handler.execute(init)).events
    assert _checked(request) == request
    assert (request.redirectto, request.parentid, request.domain) == ("arvo.orc.job", "init-1", None)


@pytest.mark.parametrize("units", [True, "1", None, float("nan"), float("inf"), 2**53])
def test_units_that_no_event_can_carry_are_refused_at_once(world: Any, units: Any) -> None:
    async def never(_call: Any) -> None: ...

    with pytest.raises(ConfigViolation, match="executionunits: must be a finite number"):
        create_arvo_event_handler(contract=world.add, executionunits=units, handler={"1.0.0": never})
