"""What a machine reacts to: any object with a `type`, and the small event that texts and mappings become."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from pyarvo.errors import InvalidEvent

__all__ = ["INIT", "Event", "as_event", "as_input", "done_type", "init_event"]

INIT = "xstate.init"
"""Type of the event that entry actions see while a machine starts."""


class Event(msgspec.Struct, frozen=True):
    """
    An event inside a machine: raised, completion, start, or one that a test wrote as text or mapping.

    Attributes:
        type: What descriptors are matched with.

        data: What the event carries; `{}` when it was written as a string.

        output: Output of the state that completed; only for `xstate.done.state.*`.

        input: What the machine was started with; only for `xstate.init`.
    """

    type: str
    data: Any = None
    output: Any = None
    input: Any = None


def as_event(value: Any) -> Any:
    """
    Make an event of what a caller handed over; an object that has a `type` is passed through untouched.

    Args:
        value: A type, a mapping with `type` (its `data`, or else its other members, become `.data`), or an
            object with the attribute `type`.

    Raises:
        InvalidEvent: None of these.
    """
    if isinstance(value, str):
        return Event(value, {})
    if isinstance(value, Mapping):
        return _from_mapping(cast("Mapping[str, Any]", value))
    if isinstance(getattr(value, "type", None), str):
        return value
    raise InvalidEvent("type", f"an event of a machine has a string `type`; {type(value).__name__} has none")


def as_input(value: Any) -> Any:
    """Make the input of a new machine: an event written as text or mapping becomes one, all else is kept."""
    if isinstance(value, str):
        return as_event(value)
    typed = isinstance(value, Mapping) and isinstance(cast("Mapping[str, Any]", value).get("type"), str)
    return as_event(value) if typed else cast("Any", value)


def init_event(value: Any) -> Event:
    """The event that actions see while a machine starts with *value* as its input."""
    return Event(INIT, getattr(value, "data", None), None, value)


def done_type(state_id: str) -> str:
    """Type of the event that says: the state of this id has completed."""
    return f"xstate.done.state.{state_id}"


def _from_mapping(value: Mapping[str, Any]) -> Event:
    type_ = value.get("type")
    if not isinstance(type_, str):
        raise InvalidEvent("type", "an event of a machine has a string `type`")
    rest = {key: member for key, member in value.items() if key != "type"}
    return Event(type_, rest.get("data", rest))
