"""Guards as data: combinations of guards, and the question whether a state is active."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["And", "GuardData", "Not", "Or", "StateIn", "and_", "not_", "or_", "state_in"]

Predicate = (
    Callable[[Any, Any], Any] | Callable[[Any, Any, Any], Any] | Callable[[Any], Any] | Callable[[], Any]
)
GuardSpec = Any
"""A callable, a name, `{"type": name, "params": ...}`, or one of the classes below."""


@dataclass(frozen=True, slots=True)
class And:
    """
    All of them; the first that is false ends the question.

    Attributes:
        guards: At least one.
    """

    guards: tuple[GuardSpec, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """
    Any of them; the first that is true ends the question.

    Attributes:
        guards: At least one.
    """

    guards: tuple[GuardSpec, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """
    The opposite.

    Attributes:
        guard: The guard that is turned round.
    """

    guard: GuardSpec


@dataclass(frozen=True, slots=True)
class StateIn:
    """
    Whether a state, or every state of a state value, is active.

    Attributes:
        state: "#id", a path from the root ("a.b"), or a state value (`{"a": "b"}`).
    """

    state: str | Mapping[str, Any]


GuardData = And | Or | Not | StateIn


def and_(*guards: str | Mapping[str, Any] | Predicate | GuardData) -> And:
    """All of *guards*: callables, names, guard objects, or other combinations."""
    return And(_flat(guards))


def or_(*guards: str | Mapping[str, Any] | Predicate | GuardData) -> Or:
    """Any of *guards*: callables, names, guard objects, or other combinations."""
    return Or(_flat(guards))


def not_(guard: str | Mapping[str, Any] | Predicate | GuardData) -> Not:
    """The opposite of *guard*."""
    return Not(guard)


def state_in(state: str | Mapping[str, Any]) -> StateIn:
    """
    Whether *state* is active.

    Args:
        state: "#id", "#id.child", a path from the root ("a.b"), or a state value (`{"a": "b"}`).
    """
    return StateIn(state)


def _flat(guards: tuple[Any, ...]) -> tuple[Any, ...]:
    # and_([g, h]) is what the TypeScript form and([g, h]) turns into when it is carried over.
    if len(guards) == 1 and isinstance(guards[0], list):
        return tuple(guards[0])  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - foreign
    return guards
