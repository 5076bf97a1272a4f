"""Binding what a definition names (actions, guards, expressions) to what runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

from pyarvo.errors import ConfigViolation, InvalidContext, InvalidEvent, InvalidMachine
from pyarvo.statecharts.actions import Assign, Emit, EnqueueArvoEvent, Raise
from pyarvo.statecharts.definition import at, check_keys, one_or_many
from pyarvo.statecharts.events import as_event
from pyarvo.statecharts.guards import And, Not, Or, StateIn
from pyarvo.statecharts.model import Action, Deferred, Guard, Kind, Run, State
from pyarvo.statecharts.plain import copy_plain
from pyarvo.statecharts.targets import find_by_id, find_path

__all__ = ["RESERVED_ACTIONS", "Behaviour", "arity", "call_with", "label_of"]

RESERVED_ACTIONS = frozenset({"enqueueArvoEvent", "enqueue_arvo_event"})
"""Action names with a meaning of their own: `{"type": "enqueueArvoEvent", "params": event}`."""

_OBJECT_KEYS = frozenset({"type", "params"})


@dataclass(slots=True)
class Behaviour:
    """
    Binds the actions and guards of one machine.

    Attributes:
        actions: Implementations by name: callables or data actions.

        guards: Implementations by name: callables or combinations.

        ids: The machine's states by id, for `state_in`.

        root: The machine's root, for `state_in`.
    """

    actions: Mapping[str, Any]
    guards: Mapping[str, Any]
    ids: Mapping[str, State]
    root: State
    _binding: list[str] = field(default_factory=list[str])

    def all_actions(self, value: Any, path: str) -> tuple[Action, ...]:
        """
        Every action in *value*: one, or a list.

        Raises:
            InvalidMachine: One is unknown or malformed.
        """
        return tuple(self.action(item, where) for item, where in one_or_many(value, path))

    def action(self, spec: Any, path: str) -> Action:
        """
        One action: a name, `{"type": name, "params": ...}`, a data action, or a callable.

        Raises:
            InvalidMachine: It is unknown or malformed.
        """
        name, params = _named(spec, path, "an action")
        if name is None:
            return _bind_action(spec, _constant(None), path)
        if name in RESERVED_ACTIONS:
            if params is None:
                raise InvalidMachine(at(path, "params"), f"{name} needs the event as `params`")
            return _bind_action(EnqueueArvoEvent(params), _constant(None), path)
        if name not in self.actions:
            raise InvalidMachine(path, f"there is no action {name!r}{_known(self.actions, 'actions')}")
        return _bind_action(self.actions[name], _params(params, path), path)

    def guard(self, spec: Any, path: str) -> Guard:
        """
        One guard: a name, `{"type": name, "params": ...}`, a combination, or a callable.

        Raises:
            InvalidMachine: It is unknown or malformed, or names lead in a circle.
        """
        name, params = _named(spec, path, "a guard")
        if name is None:
            return self._bind_guard(spec, _constant(None), path)
        if name not in self.guards:
            raise InvalidMachine(path, f"there is no guard {name!r}{_known(self.guards, 'guards')}")
        if name in self._binding:
            circle = " -> ".join([*self._binding, name])
            raise InvalidMachine(path, f"the guard {name!r} is made of itself: {circle}")
        self._binding.append(name)
        bound = self._bind_guard(self.guards[name], _params(params, path), path)
        self._binding.pop()
        return bound

    def _bind_guard(self, spec: Any, params: Deferred, path: str) -> Guard:
        if isinstance(spec, And):
            parts = self._parts(spec.guards, path)
            return lambda run: all(part(run) for part in parts)
        if isinstance(spec, Or):
            parts = self._parts(spec.guards, path)
            return lambda run: any(part(run) for part in parts)
        if isinstance(spec, Not):
            inner = self.guard(spec.guard, path)
            return lambda run: not inner(run)
        if isinstance(spec, StateIn):
            mask = self._mask(spec.state, path)
            return lambda run: run.configuration & mask == mask
        if callable(spec):
            test = call_with(spec, path)
            return lambda run: _truth(test(run.context, run.event, params(run)), path)
        raise InvalidMachine(path, f"a guard is a name, a mapping or a callable, not {type(spec).__name__}")

    def _parts(self, guards: tuple[Any, ...], path: str) -> tuple[Guard, ...]:
        if not guards:
            raise InvalidMachine(path, "a combination needs at least one guard")
        return tuple(self.guard(guard, at(path, index)) for index, guard in enumerate(guards))

    def _mask(self, state: Any, path: str) -> int:
        if isinstance(state, str):
            found = find_by_id(self.ids, state) if state.startswith("#") else find_path(self.root, state)
            if found is None or found.kind is Kind.HISTORY:
                raise InvalidMachine(path, f"state_in: there is no state {state!r}")
            return found.bit
        if isinstance(state, Mapping):
            return self._value_mask(self.root, cast("Mapping[str, Any]", state), path)
        raise InvalidMachine(path, f"state_in takes a string or a state value, not {type(state).__name__}")

    def _value_mask(self, parent: State, value: Mapping[str, Any], path: str) -> int:
        mask = 0
        for key, inner in value.items():
            child = parent.child(key)
            if child is None or child.kind is Kind.HISTORY:
                raise InvalidMachine(path, f"state_in: there is no state {key!r} inside {parent.key!r}")
            nested: Any = {inner: {}} if isinstance(inner, str) else inner
            if not isinstance(nested, Mapping):
                raise InvalidMachine(
                    path, f"state_in: {key!r} has a string or a mapping inside, not {type(inner).__name__}"
                )
            mask |= child.bit | self._value_mask(child, cast("Mapping[str, Any]", nested), path)
        return mask


def _truth(answer: Any, path: str) -> bool:
    """Whether a guard holds. What is to be awaited would count as true, whatever came of it."""
    if answer is True or answer is False:
        return answer
    _refuse_awaitable(answer, path)
    return bool(answer)


def _refuse_awaitable(answer: Any, path: str) -> None:
    """A callable may hand back what an async one made, which can only be seen when it runs."""
    if not inspect.isawaitable(answer):
        return
    if inspect.iscoroutine(answer):
        answer.close()  # else it warns that nobody awaited it, beside the error that says so
    raise ConfigViolation(
        f"the callable at {path} returned something to await; the callables of a machine are synchronous"
    )


def call_with(function: Callable[..., Any], path: str) -> Callable[[Any, Any, Any], Any]:
    """
    Adapt a user's callable, which takes `(context, event[, params])` or fewer, to be called with all three.

    A third parameter with a default is given only when there are params.

    Raises:
        InvalidMachine: It is async, needs more than three arguments, or others than positional ones.
    """
    takes, needs = arity(function, path)
    if needs > 3:
        raise InvalidMachine(
            path, f"a callable takes (context, event[, params]); this one needs {needs} arguments"
        )
    if takes == 0:
        return lambda _context, _event, _params: function()
    if takes == 1:
        return lambda context, _event, _params: function(context)
    if takes == 2:
        return lambda context, event, _params: function(context, event)
    if needs == 3:
        return function
    return lambda context, event, params: (
        function(context, event) if params is None else function(context, event, params)
    )


def arity(function: Callable[..., Any], path: str) -> tuple[int, int]:
    """
    How many positional arguments a user's callable takes at most and needs at least.

    Raises:
        InvalidMachine: It is async, or needs others than positional ones.
    """
    called = getattr(type(function), "__call__", None)  # noqa: B004 - an object may have an async __call__
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called):
        raise InvalidMachine(path, "the callables of a machine are synchronous; this one is async")
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some built-ins have no signature
        return 2, 2
    takes = needs = 0
    for parameter in parameters:
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            takes += 1
            needs += parameter.default is parameter.empty
        elif parameter.kind is parameter.VAR_POSITIONAL:
            takes += 3
        elif parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            raise InvalidMachine(path, f"a callable cannot need the keyword argument {parameter.name!r}")
    return takes, needs


def label_of(spec: Any) -> str:
    """A short name of an action or guard, for diagrams: its type, its qualified name, or what it is made of."""
    if isinstance(spec, str):
        return spec
    if isinstance(spec, Mapping):
        return str(cast("Mapping[str, Any]", spec).get("type"))
    if isinstance(spec, And):
        return " and ".join(label_of(one) for one in spec.guards)
    if isinstance(spec, Or):
        return "(" + " or ".join(label_of(one) for one in spec.guards) + ")"
    if isinstance(spec, Not):
        return f"not {label_of(spec.guard)}"
    if isinstance(spec, StateIn):
        return f"in {spec.state}"
    if isinstance(spec, (Emit, EnqueueArvoEvent, Raise)):
        verb = {Emit: "emit", Raise: "raise", EnqueueArvoEvent: "enqueue"}[type(spec)]
        event = spec.event
        named = cast("Mapping[str, Any]", event).get("type") if isinstance(event, Mapping) else event
        return f"{verb} {named}" if isinstance(named, str) else verb
    if isinstance(spec, Assign):
        keys = ", ".join(cast("Mapping[str, Any]", spec.update)) if isinstance(spec.update, Mapping) else ""
        return f"assign {keys}".rstrip()
    return str(getattr(spec, "__name__", type(spec).__name__)).replace("<lambda>", "function")


def _named(spec: Any, path: str, what: str) -> tuple[str | None, Any]:
    """Name and params of an action or guard that is written as a name; (None, None) when it is the thing itself."""
    if isinstance(spec, str):
        return spec, None
    if not isinstance(spec, Mapping):
        return None, None
    written = cast("Mapping[str, Any]", spec)
    check_keys(written, _OBJECT_KEYS, path, what)
    name = written.get("type")
    if not isinstance(name, str):
        raise InvalidMachine(at(path, "type"), f"{what} that is a mapping has a string `type`")
    return name, written.get("params")


def _bind_action(spec: Any, params: Deferred, path: str) -> Action:
    if isinstance(spec, Assign):
        return _bind_assign(spec, params, path)
    if isinstance(spec, Emit):
        return _bind_emission(spec.event, params, path, lambda run: run.emitted)
    if isinstance(spec, EnqueueArvoEvent):
        return _bind_emission(spec.event, params, path, lambda run: run.queued)
    if isinstance(spec, Raise):
        if not callable(spec.event) and not isinstance(spec.event, str) and not _is_typed(spec.event):
            raise InvalidMachine(path, "an event to raise is a string, or a mapping with a string `type`")
        raised = _expression(spec.event, params, path)
        return lambda run: run.internal.append(as_event(raised(run)))
    if callable(spec):
        effect = call_with(spec, path)

        def take_effect(run: Run) -> None:
            result = effect(run.context, run.event, params(run))
            if result is not None:
                _refuse_awaitable(result, path)

        return take_effect
    raise InvalidMachine(path, f"an action is a name, a mapping or a callable, not {type(spec).__name__}")


def _bind_assign(spec: Assign, params: Deferred, path: str) -> Action:
    update = spec.update
    if isinstance(update, Mapping):
        members: dict[str, Deferred] = {}
        for key, value in cast("Mapping[Any, Any]", update).items():
            where = at(path, key)
            if not isinstance(key, str):
                raise InvalidMachine(where, f"the name of a member is a string, not {type(key).__name__}")
            members[key] = _expression(value, params, where)

        def assign_members(run: Run) -> None:
            changed = {key: value(run) for key, value in members.items()}
            run.context = {**run.context, **changed}
            run.changes += 1

        return assign_members
    if not callable(update):
        raise InvalidMachine(path, f"assign takes a mapping or a callable, not {type(update).__name__}")
    compute = call_with(update, path)

    def assign_all(run: Run) -> None:
        changed = compute(run.context, run.event, params(run))
        if not isinstance(changed, Mapping):
            raise InvalidContext(
                "context", f"the assign at {path} returned a {type(changed).__name__}, not a mapping"
            )
        run.context = {**run.context, **changed}
        run.changes += 1

    return assign_all


def _bind_emission(
    event: Any, params: Deferred, path: str, queue: Callable[[Run], list[dict[str, Any]]]
) -> Action:
    if not callable(event) and not _is_typed(event):
        raise InvalidMachine(path, "an event to hand out is a mapping with a string `type`")
    made = _expression(event, params, path)

    def hand_out(run: Run) -> None:
        value = made(run)
        if not _is_typed(value):
            raise InvalidEvent("type", f"the event made at {path} is not a mapping with a string `type`")
        queue(run).append(copy_plain(dict(value)))

    return hand_out


def _is_typed(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(cast("Mapping[str, Any]", value).get("type"), str)


def _expression(value: Any, params: Deferred, path: str) -> Deferred:
    """Where a value is wanted, a callable of (context, event[, params]) may stand."""
    if callable(value):
        compute = call_with(value, path)
        return lambda run: compute(run.context, run.event, params(run))
    return lambda _run: copy_plain(value)


def _params(params: Any, path: str) -> Deferred:
    if params is None:
        return _constant(None)
    return _expression(params, _constant(None), at(path, "params"))


@cache
def _constant(value: None) -> Deferred:
    return lambda _run: value


def _known(names: Iterable[str], option: str) -> str:
    known = ", ".join(sorted(names))
    return f"; {option}= has: {known}" if known else f"; give it in {option}="
