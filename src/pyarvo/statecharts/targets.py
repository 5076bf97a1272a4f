"""Finding the states that targets name: "a", "a.b", ".a", "#id", "#id.a"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from pyarvo.errors import InvalidMachine
from pyarvo.statecharts.definition import at, one_or_many
from pyarvo.statecharts.model import Kind, State

__all__ = ["check_together", "find_by_id", "find_path", "initial_targets", "resolve"]

_DOT = re.compile(r"(?<!\\)\.")


def find_path(start: State, path: str) -> State | None:
    r"""The descendant of *start* at a dotted path of keys; `\.` is a dot inside a key."""
    state: State | None = start
    for key in _DOT.split(path):
        state = None if state is None else state.child(key.replace("\\.", "."))
    return state


def find_by_id(ids: Mapping[str, State], text: str) -> State | None:
    """The state of "#id" or "#id.a.b"; an id may itself hold dots, the longest that fits is meant."""
    name = text.removeprefix("#")
    if name in ids:
        return ids[name]
    dots = [index for index, letter in enumerate(name) if letter == "."]
    for dot in reversed(dots):
        start = ids.get(name[:dot])
        if start is not None:
            return find_path(start, name[dot + 1 :])
    return None


def resolve(source: State, value: object, ids: Mapping[str, State], path: str) -> tuple[State, ...]:
    """
    The states that the target of a transition names, seen from *source*.

    Raises:
        InvalidMachine: One is unknown, or they cannot be active together.
    """
    found = [_one(source, text, ids, where) for text, where in one_or_many(value, path)]
    check_together(found, path)
    return tuple(found)


def initial_targets(state: State, value: object, ids: Mapping[str, State], path: str) -> tuple[State, ...]:
    """
    The states that the `initial` of *state* names: keys of children, paths below it, or ids.

    Raises:
        InvalidMachine: One is unknown or not inside the state, or they cannot be active together.
    """
    found: list[State] = []
    for text, where in one_or_many(value, path):
        if not isinstance(text, str):
            raise InvalidMachine(where, f"a target is a string, not {type(text).__name__}")
        target = find_by_id(ids, text) if text.startswith("#") else find_path(state, text.removeprefix("."))
        if target is None or not state.below & target.bit:
            raise InvalidMachine(
                where, f"there is no state {text!r} inside {_name(state)}{_known(state.children)}"
            )
        found.append(target)
    if not found:
        raise InvalidMachine(path, "names no state")
    check_together(found, path)
    return tuple(found)


def check_together(targets: Sequence[State], path: str) -> None:
    """
    Refuse targets that no legal configuration holds at once: they must lie in different regions of a parallel state.

    A state and one inside it do not: the outer one would be entered by its `initial` as well.

    Raises:
        InvalidMachine: Two of them do not.
    """
    for index, target in enumerate(targets):
        for other in targets[:index]:
            both = target.bit | other.bit
            shared = next((one for one in target.ancestors() if one.below & both == both), None)
            nested = bool(target.below & other.bit or other.below & target.bit)
            if nested or shared is None or shared.kind is not Kind.PARALLEL:
                reason = f"{other.key!r} and {target.key!r} cannot be active together"
                raise InvalidMachine(path, f"{reason}: they are not in different regions of a parallel state")


def _one(source: State, text: object, ids: Mapping[str, State], path: str) -> State:
    if not isinstance(text, str) or not text:
        raise InvalidMachine(path, f"a target is a string, not {text!r}")
    if text.startswith("#"):
        target, near = find_by_id(ids, text), "; ids are: " + ", ".join(sorted(ids)[:8])
    elif text.startswith("."):
        target, near = find_path(source, text[1:]), _known(source.children)
    elif source.parent is None:
        hint = f"; did you mean {'.' + text!r}?" if find_path(source, text) else ""
        raise InvalidMachine(path, f"the root has no sibling {text!r}{hint}")
    else:
        target, near = find_path(source.parent, text), _known(source.parent.children)
    if target is None:
        raise InvalidMachine(path, f"there is no state {text!r} as seen from {_name(source)}{near}")
    return target


def _name(state: State) -> str:
    return "the root" if state.parent is None else at("states", state.key)


def _known(states: Iterable[State]) -> str:
    keys = ", ".join(state.key for state in states)
    return f"; there are: {keys}" if keys else ""
