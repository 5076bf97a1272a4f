"""
How a definition may be written, for type checkers and editors.

`Machine` takes any mapping and says itself what is wrong with it; written as a literal, a definition is checked against these
forms before it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NotRequired, Required, TypedDict

from pyarvo.statecharts.actions import ActionData
from pyarvo.statecharts.guards import GuardData

__all__ = [
    "ActionForm",
    "Function",
    "GuardForm",
    "InitialForm",
    "MachineForm",
    "NamedForm",
    "StateForm",
    "TransitionForm",
    "TransitionsForm",
]

Function = (
    Callable[[Any, Any], Any] | Callable[[Any, Any, Any], Any] | Callable[[Any], Any] | Callable[[], Any]
)


class NamedForm(TypedDict):
    """An action or a guard by name: `{"type": name, "params": ...}`."""

    type: str
    params: NotRequired[Function | Mapping[str, Any] | Sequence[Any] | float | bool | None]


ActionForm = str | NamedForm | ActionData | Function
ActionsForm = ActionForm | Sequence[ActionForm]
GuardForm = str | NamedForm | GuardData | Function


class TransitionForm(TypedDict, total=False):
    """A transition: where to, if, and what is done on the way."""

    target: str | Sequence[str] | None
    guard: GuardForm
    actions: ActionsForm
    reenter: bool
    description: str
    meta: Mapping[str, Any]


TransitionsForm = str | TransitionForm | None | Sequence[str | TransitionForm]


class InitialForm(TypedDict, total=False):
    """The way into a compound state: a child, and what is done on the way."""

    target: Required[str | Sequence[str]]
    actions: ActionsForm
    description: str
    meta: Mapping[str, Any]


class StateForm(TypedDict, total=False):
    """A state of any kind; which keys go with which `type`, `Machine` knows."""

    id: str
    type: Literal["atomic", "compound", "parallel", "final", "history"]
    initial: str | Sequence[str] | InitialForm
    states: Mapping[str, StateForm]
    entry: ActionsForm
    exit: ActionsForm
    on: Mapping[str, TransitionsForm]
    always: TransitionsForm
    onDone: TransitionsForm
    output: Function | Mapping[str, Any] | str | float | bool | None
    history: Literal["shallow", "deep", True]
    target: str | Sequence[str]
    description: str
    meta: Mapping[str, Any]
    tags: str | Sequence[str]


_Schema = TypedDict("_Schema", {"$schema": str}, total=False)


class MachineForm(StateForm, _Schema, total=False):
    """A whole definition: the root state, and what only the root has."""

    context: Mapping[str, Any] | Callable[[Any], Mapping[str, Any]] | Callable[[], Mapping[str, Any]]
    version: str
