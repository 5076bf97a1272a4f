"""Events as user code receives them: data checked, defaults applied, the pydantic model beside it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from functools import cached_property
from typing import Any, cast

from msgspec.structs import force_setattr

from pyarvo.contracts import VersionedArvoContract
from pyarvo.events import ArvoEvent

__all__ = ["ReceivedEvent", "recalled", "received", "with_data"]

_CARRIED = tuple(name for name in ArvoEvent.__struct_fields__ if name != "data")


class ReceivedEvent(ArvoEvent, frozen=True, kw_only=True, dict=True):
    """An event that fits its contract: `data` is plain JSON with the contract's defaults applied."""

    def __post_init__(self) -> None:
        """Nothing to check: it is made of an event, which was checked, and of data that came out of its model."""

    @cached_property
    def parsed(self) -> Any:
        """The data as an instance of the contract's pydantic model."""
        return _parse(cast("VersionedArvoContract", vars(self)["contract"]), self.type, self.data)


def received(event: ArvoEvent, contract: VersionedArvoContract) -> ReceivedEvent:
    """
    Check the consumed *event* against *contract*.

    Raises:
        ContractViolation: Its data does not fit.
    """
    model = _parse(contract, event.type, event.data)
    fields = {name: getattr(event, name) for name in _CARRIED}
    checked = ReceivedEvent(**fields, data=model.model_dump(mode="json", by_alias=True))
    vars(checked)["parsed"] = model
    return checked


def recalled(stored: Mapping[str, Any], contract: VersionedArvoContract) -> ReceivedEvent:
    """Read an event that was checked, and stored as its wire fields; its model is made when it is asked for."""
    event = cast("ReceivedEvent", ReceivedEvent.from_dict(stored))
    vars(event)["contract"] = contract
    return event


def with_data(event: ArvoEvent, data: dict[str, Any]) -> ArvoEvent:
    """Copy *event* with other *data*, which is known to be JSON: the fields are not checked a second time."""
    changed = copy(event)
    force_setattr(changed, "data", data)
    return changed


def _parse(contract: VersionedArvoContract, type: str, data: object) -> Any:
    return contract.parse_accepts(data) if type == contract.type else contract.parse_emit(type, data)
