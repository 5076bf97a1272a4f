"""Reading a definition: which keys a state may have, how transitions may be written, and the tree of states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple, cast

from pyarvo.errors import InvalidMachine
from pyarvo.statecharts.model import Kind, State

__all__ = ["Written", "at", "build_tree", "check_keys", "one_or_many", "written_transitions"]

_ANY = frozenset({"id", "type", "description", "meta", "tags"})
_ACTIVE = _ANY | {"entry", "exit", "on", "always"}
_KEYS: dict[Kind, frozenset[str]] = {
    Kind.ATOMIC: _ACTIVE,
    Kind.COMPOUND: _ACTIVE | {"initial", "states", "onDone"},
    Kind.PARALLEL: _ACTIVE | {"states", "onDone"},
    Kind.FINAL: _ANY | {"entry", "exit", "output"},
    Kind.HISTORY: _ANY | {"history", "target"},
}
_ROOT_KEYS = frozenset({"context", "output", "version", "$schema"})
_ALL_KEYS: frozenset[str] = _ROOT_KEYS.union(*_KEYS.values())
_TRANSITION_KEYS = frozenset({"target", "actions", "guard", "reenter", "description", "meta"})
_REFUSED = {
    "invoke": "machines call services by emitting events, not by `invoke`",
    "after": "machines have no timers; `after` is not available",
    "actors": "machines have no actors; call services by emitting events",
    "delays": "machines have no timers; `delays` is not available",
}
_TYPES: dict[str, tuple[type, ...]] = {
    "id": (str,),
    "description": (str,),
    "version": (str,),
    "$schema": (str,),
    "meta": (Mapping,),
    "states": (Mapping,),
    "on": (Mapping,),
    "tags": (str, list, tuple),
    "initial": (str, list, tuple, Mapping),
    "reenter": (bool,),
}


def at(path: str, key: str | int) -> str:
    """The path of a member: `states.pay.on['evt.pay.done'][0]`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if not isinstance(key, str) or not key.isidentifier():  # pyright: ignore[reportUnnecessaryIsInstance] - foreign input
        return f"{path}[{key!r}]"
    return f"{path}.{key}" if path else key


def one_or_many(value: Any, path: str) -> Iterator[tuple[Any, str]]:
    """The items of *value* with their paths; a value that is not a list is its only item; None has no items."""
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(cast("list[Any]", value)):
            yield item, at(path, index)
    elif value is not None:
        yield value, path


def check_keys(config: Mapping[str, Any], allowed: frozenset[str], path: str, of: str) -> None:
    """
    Refuse keys that mean nothing here, and values of the wrong type.

    Raises:
        InvalidMachine: With the path of the key.
    """
    for key, value in config.items():
        if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance] - foreign input
            raise InvalidMachine(path or "(root)", f"the key {key!r} is not a string")
        where = at(path, key)
        if key in _REFUSED:
            raise InvalidMachine(where, _REFUSED[key])
        if key not in allowed and not (key in _ALL_KEYS and _is_empty(value)):
            raise InvalidMachine(where, _why_not(key, allowed, of))
        types = _TYPES.get(key)
        if types is not None and value is not None and not isinstance(value, types):
            wanted = " or ".join(_NAMES.get(one, one.__name__) for one in types if one is not tuple)
            raise InvalidMachine(where, f"must be {wanted}, not {type(value).__name__}")


_NAMES: dict[type, str] = {str: "a string", list: "a list", bool: "true or false", Mapping: "a mapping"}


class Written(NamedTuple):
    """
    A transition as it is written.

    Attributes:
        config: As a mapping, whatever form it has.

        path: Where it stands.

        target_path: Where its target stands.
    """

    config: Mapping[str, Any]
    path: str
    target_path: str


def written_transitions(value: Any, path: str) -> Iterator[Written]:
    """
    The transitions in *value*: written as a target, a mapping, None (takes the event and does nothing), or a list of these.

    Raises:
        InvalidMachine: Something else, or an unknown key.
    """
    listed: list[tuple[Any, str]] = [(None, path)] if value is None else list(one_or_many(value, path))
    for item, where in listed:
        if item is None:
            yield Written({}, where, where)
        elif isinstance(item, str):
            yield Written({"target": item}, where, where)
        elif isinstance(item, Mapping):
            config = cast("Mapping[str, Any]", item)
            check_keys(config, _TRANSITION_KEYS, where, "a transition")
            yield Written(config, where, at(where, "target"))
        else:
            raise InvalidMachine(where, f"a transition is a target or a mapping, not {type(item).__name__}")


def build_tree(config: Any) -> list[State]:
    """
    Number the states of a definition in document order.

    Returns:
        All states; the first is the root.

    Raises:
        InvalidMachine: A key, a type or an id breaks a rule.
    """
    if not isinstance(config, Mapping):
        raise InvalidMachine("(root)", f"a definition is a mapping, not {type(config).__name__}")
    states: list[State] = []
    _add(states, cast("Mapping[str, Any]", config), key="", parent=None, config_path="", path="")
    _check_ids(states)
    return states


def _add(
    states: list[State],
    config: Mapping[str, Any],
    *,
    key: str,
    parent: State | None,
    config_path: str,
    path: str,
) -> State:
    kind, declared_parallel = _kind(config, config_path)
    root = parent is None
    allowed = _KEYS[kind] | _ROOT_KEYS if root else _KEYS[kind]
    if declared_parallel:
        allowed |= _KEYS[Kind.PARALLEL]
    check_keys(config, allowed, config_path, "the root" if root else f"a state of type {kind.value}")
    name = config.get("id") or ("(machine)" if root else f"{states[0].id}.{path}")
    state = State(len(states), key or name, name, kind, parent, config_path, config)
    state.bit = 1 << state.index
    state.declared_parallel = declared_parallel
    state.depth = 0 if parent is None else parent.depth + 1
    state.deep = config.get("history") == "deep"
    states.append(state)
    children: list[State] = []
    inner = cast("Mapping[Any, Any]", config.get("states") or {})
    for child_key, child in inner.items():
        where = at(at(config_path, "states"), str(child_key))
        if not isinstance(child_key, str) or not child_key:
            raise InvalidMachine(where, "the key of a state is a string of at least one character")
        if not isinstance(child, Mapping):
            raise InvalidMachine(where, f"a state is a mapping, not {type(child).__name__}")
        children.append(
            _add(
                states,
                cast("Mapping[str, Any]", child),
                key=child_key,
                parent=state,
                config_path=where,
                path=f"{path}.{child_key}" if path else child_key,
            )
        )
    state.children = tuple(child for child in children if child.kind is not Kind.HISTORY)
    state.histories = tuple(child for child in children if child.kind is Kind.HISTORY)
    state.offspring = sum(child.bit for child in state.children)
    state.below = (1 << len(states)) - (state.bit << 1)
    return state


def _kind(config: Mapping[str, Any], path: str) -> tuple[Kind, bool]:
    """The kind of a state, declared or seen, and whether it says `parallel`."""
    declared = config.get("type")
    has_states = bool(config.get("states"))
    if declared is None:
        return _seen_kind(config, has_states=has_states, path=path), False
    if declared not in [kind.value for kind in Kind]:  # a list: what is declared may have no hash
        known = ", ".join(kind.value for kind in Kind)
        raise InvalidMachine(at(path, "type"), f"{declared!r} is not one of {known}")
    kind = Kind(declared)
    if has_states and kind in (Kind.ATOMIC, Kind.FINAL, Kind.HISTORY):
        raise InvalidMachine(at(path, "states"), f"a state of type {declared} has no states inside")
    if kind is Kind.COMPOUND and not has_states:
        raise InvalidMachine(at(path, "states"), "a compound state has states inside")
    if kind is Kind.HISTORY:
        _check_history(config, path)
    if kind is Kind.PARALLEL and not has_states:
        return Kind.ATOMIC, True  # an empty parallel state loads and behaves as atomic
    return kind, kind is Kind.PARALLEL


def _seen_kind(config: Mapping[str, Any], *, has_states: bool, path: str) -> Kind:
    if has_states:
        return Kind.COMPOUND
    if config.get("history"):
        _check_history(config, path)
        return Kind.HISTORY
    return Kind.ATOMIC


def _check_history(config: Mapping[str, Any], path: str) -> None:
    value = config.get("history")
    if value is not None and value is not True and value not in ("shallow", "deep"):
        raise InvalidMachine(at(path, "history"), f"{value!r} is not one of shallow, deep")


def _check_ids(states: list[State]) -> None:
    if states[0].kind is Kind.HISTORY:
        raise InvalidMachine("type", "the root cannot be a history state")
    seen: dict[str, State] = {}
    for state in states:
        other = seen.setdefault(state.id, state)
        if other is not state:
            reason = f"the id {state.id!r} is taken by {other.path or 'the root'}"
            raise InvalidMachine(at(state.path, "id"), reason)


def _is_empty(value: Any) -> bool:
    """Exports write `on: {}` and `entry: []` everywhere; they say nothing, so they may stand anywhere."""
    return value is None or (isinstance(value, (Mapping, list, tuple)) and not value)


def _why_not(key: str, allowed: frozenset[str], of: str) -> str:
    if key in _ALL_KEYS or key in _TRANSITION_KEYS:
        return f"{of} has no `{key}`"
    close = get_close_matches(key, sorted(allowed), n=1)
    hint = f"; did you mean `{close[0]}`?" if close else ""
    return f"{of} has no `{key}`{hint}"
