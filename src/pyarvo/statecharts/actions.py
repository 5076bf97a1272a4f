"""
Actions as data: what a machine does to its context, its queue and the world outside.

Each of these is a value in the definition. Wherever a value is wanted, a callable may stand: `(context, event)`, or
`(context, event, params)` for actions that get `params`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "ActionData",
    "Assign",
    "Emit",
    "EnqueueArvoEvent",
    "Raise",
    "assign",
    "emit",
    "enqueue_arvo_event",
    "raise_",
]

Expression = (
    Callable[[Any, Any], Any] | Callable[[Any, Any, Any], Any] | Callable[[Any], Any] | Callable[[], Any]
)
Value = Expression | str | int | float | bool | None | list[Any] | dict[str, Any]


@dataclass(frozen=True, slots=True)
class Assign:
    """
    Change the context.

    Attributes:
        update: Member name to value or callable, or one callable that returns the changed members.
    """

    update: Mapping[str, Value] | Expression


@dataclass(frozen=True, slots=True)
class Emit:
    """
    Hand an event out of the step.

    Attributes:
        event: A mapping with `type`, or a callable that returns one.
    """

    event: Mapping[str, Any] | Expression


@dataclass(frozen=True, slots=True)
class EnqueueArvoEvent:
    """
    Hand an event out of the step, after everything that was emitted.

    Attributes:
        event: A mapping with `type`, or a callable that returns one.
    """

    event: Mapping[str, Any] | Expression


@dataclass(frozen=True, slots=True)
class Raise:
    """
    Put an event into the machine's own queue; it is taken before the step ends.

    Attributes:
        event: A type, a mapping with `type`, or a callable that returns either.
    """

    event: str | Mapping[str, Any] | Expression


ActionData = Assign | Emit | EnqueueArvoEvent | Raise


def assign(update: Mapping[str, Value] | Expression) -> Assign:
    """
    Change members of the context; the others stay.

    Args:
        update: Member name to value or callable (all callables see the context as it was before), or one callable
            that returns a mapping of the changed members.
    """
    return Assign(update)


def emit(event: Mapping[str, Any] | Expression) -> Emit:
    """
    Hand an event out of the step.

    Args:
        event: A mapping with a string `type`, or a callable that returns one. For Arvo it may hold `data`, `to`, `id`,
            `domain`, `redirectto`, `accesscontrol`, `dataschema`, `executionunits`.
    """
    return Emit(event)


def enqueue_arvo_event(event: Mapping[str, Any] | Expression) -> EnqueueArvoEvent:
    """
    Hand an event out of the step, behind all that `emit` hands out in it.

    Args:
        event: As for `emit`.
    """
    return EnqueueArvoEvent(event)


def raise_(event: str | Mapping[str, Any] | Expression) -> Raise:
    """
    Let the machine itself react to an event, before the step ends.

    Args:
        event: A type, a mapping with a string `type`, or a callable that returns either.
    """
    return Raise(event)
