"""Snapshots: the state of a machine as a JSON object, in the shape that XState persists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from pyarvo.errors import InvalidMachine, InvalidSnapshot
from pyarvo.statecharts.compile import Machine
from pyarvo.statecharts.definition import at
from pyarvo.statecharts.model import Kind, Run, State, indices
from pyarvo.statecharts.plain import copy_context
from pyarvo.statecharts.targets import check_together

__all__ = ["Restored", "active_states", "persist", "restore", "status_of", "value_of"]

_STATUSES = ("active", "done", "error", "stopped")


class Restored(NamedTuple):
    """
    A snapshot, read.

    Attributes:
        configuration: The active states (mask).

        history: Recorded states (mask) by number of the history state.

        context: A copy of the context.
    """

    configuration: int
    history: dict[int, int]
    context: dict[str, Any]


def persist(run: Run, output: Any) -> dict[str, Any]:
    """
    The snapshot of a run that has come to rest.

    Args:
        run: The finished run.

        output: The machine's output; None unless it is done.

    Raises:
        InvalidContext: The context is not JSON.
    """
    states = run.states
    return {
        "status": "done" if run.done else "active",
        "value": value_of(states[0], run.configuration),
        "context": copy_context(run.context),
        "historyValue": {
            states[index].id: [{"id": states[one].id} for one in indices(recorded)]
            for index, recorded in run.history.items()
        },
        "output": output,
        "error": None,
        "children": {},
    }


def status_of(snapshot: Mapping[str, Any]) -> str:
    """
    The status of a snapshot: "active", "done", "error" or "stopped".

    Raises:
        InvalidSnapshot: It is not a mapping, or has another status.
    """
    status = _mapping(snapshot).get("status")
    if status not in _STATUSES:
        raise InvalidSnapshot("status", f"{status!r} is not one of {', '.join(_STATUSES)}")
    return status


def restore(machine: Machine, snapshot: Mapping[str, Any]) -> Restored:
    """
    Read a snapshot; nothing runs.

    Raises:
        InvalidContext: The context is not JSON.
        InvalidSnapshot: A state is unknown or missing; the error has the path.
    """
    context = snapshot.get("context")
    if type(context) is not dict:
        raise InvalidSnapshot("context", f"a context is a mapping, not {type(context).__name__}")
    configuration = _read_value(machine.root, snapshot.get("value"), "value")
    recorded = snapshot.get("historyValue")
    history = _read_history(machine, recorded) if recorded else {}
    return Restored(configuration, history, copy_context(cast("Any", context)))


def active_states(machine: Machine, snapshot: Mapping[str, Any]) -> list[State]:
    """
    The states that are active in a snapshot, in document order.

    Raises:
        InvalidSnapshot: It is not a mapping, or a state is unknown or missing.
    """
    value = _mapping(snapshot).get("value")
    return [machine.states[index] for index in indices(_read_value(machine.root, value, "value"))]


def value_of(state: State, configuration: int) -> Any:
    """The state value below *state*: a key, or a mapping of keys to values; `{}` below an atomic state."""
    if state.kind is Kind.PARALLEL:
        return {region.key: value_of(region, configuration) for region in state.children}
    for child in state.children:
        if configuration & child.bit:
            return {child.key: value_of(child, configuration)} if child.children else child.key
    return {}


def _mapping(snapshot: object) -> Mapping[str, Any]:
    if not isinstance(snapshot, Mapping):
        raise InvalidSnapshot("(root)", f"a snapshot is a mapping, not {type(snapshot).__name__}")
    return cast("Mapping[str, Any]", snapshot)


def _read_value(state: State, value: Any, path: str) -> int:
    """Mask of *state* and of what *value* says is active below it."""
    if type(value) is str:
        child = _child(state, value, path)
        if child.children:
            raise InvalidSnapshot(path, f"{value!r} has states inside, but none of them is named")
        if state.kind is Kind.PARALLEL and len(state.children) > 1:
            raise InvalidSnapshot(path, f"only the region {value!r} of {len(state.children)} is named")
        return state.bit | child.bit
    if not isinstance(value, Mapping):
        raise InvalidSnapshot(path, f"a state value is a string or a mapping, not {type(value).__name__}")
    mask = state.bit
    written = cast("Mapping[str, Any]", value)
    for key, inner in written.items():
        mask |= _read_value(_child(state, key, path), inner, at(path, key))
    wanted = len(state.children) if state.kind is Kind.PARALLEL else min(1, len(state.children))
    if len(written) != wanted:
        raise InvalidSnapshot(path, f"{len(written)} states are named where {wanted} must be active")
    return mask


def _child(state: State, key: Any, path: str) -> State:
    for child in state.children:
        if child.key == key:
            return child
    raise InvalidSnapshot(at(path, str(key)), "there is no such state")


def _read_history(machine: Machine, recorded: Any) -> dict[int, int]:
    if not isinstance(recorded, Mapping):
        raise InvalidSnapshot("historyValue", f"must be a mapping, not {type(recorded).__name__}")
    history: dict[int, int] = {}
    for id, states in cast("Mapping[str, Any]", recorded).items():
        path = at("historyValue", id)
        node = machine.ids.get(id)
        if node is None or node.kind is not Kind.HISTORY or node.parent is None:
            raise InvalidSnapshot(path, "there is no such history state")
        if not isinstance(states, list):
            raise InvalidSnapshot(path, f"must be a list, not {type(states).__name__}")
        mask = 0
        for index, item in enumerate(cast("list[Any]", states)):
            name = cast("Mapping[str, Any]", item).get("id") if isinstance(item, Mapping) else item
            state = machine.ids.get(name) if isinstance(name, str) else None
            if state is None or state.kind is Kind.HISTORY or not node.parent.below & state.bit:
                raise InvalidSnapshot(
                    at(path, index), f"there is no state {name!r} inside {node.parent.id!r}"
                )
            mask |= state.bit
        _check_recorded([machine.states[index] for index in indices(mask)], path)
        history[node.index] = mask
    return history


def _check_recorded(states: list[State], path: str) -> None:
    """States that were active at once when they were recorded may not be so any more in a definition that changed."""
    try:
        check_together(states, path)
    except InvalidMachine as error:
        names = ", ".join(repr(state.id) for state in states)
        raise InvalidSnapshot(path, f"{names} cannot be active together") from error
