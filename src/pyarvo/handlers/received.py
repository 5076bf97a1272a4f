"""Events as user code receives them: data checked, defaults applied, the pydantic model beside it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, TypeVar, cast

import msgspec
from msgspec.structs import asdict

from pyarvo.contracts import VersionedArvoContract
from pyarvo.events import ArvoEvent

__all__ = ["ReceivedEvent", "json_copy", "recalled", "received", "validated"]

T = TypeVar("T")


class ReceivedEvent(ArvoEvent, frozen=True, kw_only=True, dict=True):
    """An event that fits its contract: `data` is plain JSON with the contract's defaults applied."""

    def __post_init__(self) -> None:
        """Nothing to check: it is made of an event, which was checked, and of data that came out of its model."""

    @cached_property
    def parsed(self) -> Any:
        """The data as an instance of the contract's pydantic model; made when it is asked for."""
        contract: VersionedArvoContract = vars(self)["contract"]
        # A copy: what a model holds in fields of any type is what it was given, and the function's to change.
        raw: dict[str, Any] = json_copy(vars(self)["raw"])
        if self.type == contract.type:
            return contract.parse_accepts(raw)
        return contract.parse_emit(self.type, raw)


def validated(event: ArvoEvent, contract: VersionedArvoContract) -> dict[str, Any]:
    """
    Check the consumed *event* against *contract*.

    Returns:
        Its data as plain JSON, defaults applied.

    Raises:
        ContractViolation: Its data does not fit.
    """
    if event.type == contract.type:
        return contract.validate_accepts(event.data)
    return contract.validate_emit(event.type, event.data)


def received(event: ArvoEvent, contract: VersionedArvoContract) -> ReceivedEvent:
    """
    Check the consumed *event* against *contract*, and make of it what user code gets.

    Raises:
        ContractViolation: Its data does not fit.
    """
    fields = asdict(event)
    fields["data"] = validated(event, contract)
    fields["extensions"] = dict(event.extensions)
    checked = ReceivedEvent(**fields)
    vars(checked).update(contract=contract, raw=event.data)
    return checked


def recalled(stored: Mapping[str, Any], contract: VersionedArvoContract) -> ReceivedEvent:
    """Read an event that was checked, and stored as its wire fields."""
    event = cast("ReceivedEvent", ReceivedEvent.from_dict(stored))
    vars(event).update(contract=contract, raw=event.data)
    return event


def json_copy(value: T) -> T:
    """Copy JSON; half as dear as `copy.deepcopy` is for small values, a tenth for large ones."""
    return msgspec.json.decode(msgspec.json.encode(value))
