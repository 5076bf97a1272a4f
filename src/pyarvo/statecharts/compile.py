"""Machines: a definition, validated and compiled once, then stepped as often as you like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from pyarvo.errors import InvalidContext, InvalidMachine
from pyarvo.numeric import is_integer
from pyarvo.statecharts.actions import Assign, Emit, EnqueueArvoEvent, Raise
from pyarvo.statecharts.behaviour import RESERVED_ACTIONS, Behaviour, arity, call_with, label_of
from pyarvo.statecharts.definition import (
    Written,
    at,
    build_tree,
    check_keys,
    one_or_many,
    written_transitions,
)
from pyarvo.statecharts.engine import rules
from pyarvo.statecharts.events import done_type
from pyarvo.statecharts.forms import ActionForm, GuardForm, MachineForm
from pyarvo.statecharts.guards import And, Not, Or, StateIn
from pyarvo.statecharts.model import Deferred, Initial, Kind, State, Transition, indices
from pyarvo.statecharts.plain import copy_context, copy_plain
from pyarvo.statecharts.targets import initial_targets, resolve

__all__ = ["Machine"]

_INITIAL_KEYS = frozenset({"target", "actions", "description", "meta"})


class Machine:
    """
    A state machine, compiled. It holds no state: `step` takes a snapshot and returns the next.

    Attributes:
        id: `id` of the definition, or "(machine)".

        version: `version` of the definition, if it has one.

        config: The definition as it was given.

        states: All states in document order; the first is the root.

        source: Type of the event that starts the machine; None: anything starts it.

        max_microsteps: Bound of one step, start included.

        unreachable: Paths of the states that no transition leads to, whatever guards say.
    """

    def __init__(
        self,
        config: MachineForm | Mapping[str, Any],
        *,
        actions: Mapping[str, ActionForm] | None = None,
        guards: Mapping[str, GuardForm] | None = None,
        source: str | None = None,
        check_context: Callable[[dict[str, Any]], None] | None = None,
        max_microsteps: int = 1_000,
    ) -> None:
        """
        Compile a definition.

        Args:
            config: The definition, in the form of XState v5.

            actions: Actions by name: callables `(context, event[, params])`, or `assign(...)`, `emit(...)`, ...

            guards: Guards by name: callables `(context, event[, params])`, or `and_(...)`, `state_in(...)`, ...

            source: Type of the event that starts the machine; None: anything starts it.

            check_context: Called with the context at the end of every step; raises when it is not as it should be.

            max_microsteps: Bound of one step, at least 1.

        Raises:
            InvalidMachine: The definition breaks a rule; the error has the path.
        """
        _check_names(actions or {}, "actions", (Assign, Emit, EnqueueArvoEvent, Raise))
        _check_names(guards or {}, "guards", (And, Or, Not, StateIn))
        if not is_integer(max_microsteps) or max_microsteps < 1:
            raise InvalidMachine(
                "max_microsteps", f"must be an integer of at least 1, not {max_microsteps!r}"
            )
        self.config = cast("Mapping[str, Any]", config)
        self.states = tuple(build_tree(config))
        self.root = self.states[0]
        self.id = self.root.id
        self.version: str | None = self.config.get("version")
        self.ids = {state.id: state for state in self.states}
        self.source = source
        self.check_context = check_context
        self.max_microsteps = max_microsteps
        self.leaves = sum(state.bit for state in self.states if state.kind in (Kind.ATOMIC, Kind.FINAL))
        self._compile(Behaviour(actions or {}, guards or {}, self.ids, self.root))
        self.eventless = sum(state.bit for state in self.states if state.always)
        self.with_history = sum(state.bit for state in self.states if state.histories)
        self.make_context = _context_factory(self.config.get("context"))
        self.start_states, self.start_defaults = rules.entry_set(None, [self.root], None, {}, self.states)
        self.unreachable = tuple(self.states[index].path for index in indices(self._unreached()))

    def _compile(self, behaviour: Behaviour) -> None:
        for state in self.states:
            config, path = state.config, state.path
            if state.kind is Kind.HISTORY:
                state.defaults = _history_defaults(state, self.ids)
                continue
            state.entry = behaviour.all_actions(config.get("entry"), at(path, "entry"))
            state.exit = behaviour.all_actions(config.get("exit"), at(path, "exit"))
            if config.get("output") is not None:
                state.output = _output(config["output"], at(path, "output"))
            if state.kind is Kind.COMPOUND:
                state.initial = _initial(state, behaviour)
        for state in self.states:  # when every `initial` is known: geometry needs them
            if state.kind is not Kind.HISTORY:
                self._compile_transitions(state, behaviour)

    def _compile_transitions(self, state: State, behaviour: Behaviour) -> None:
        exact: dict[str, tuple[Transition, ...]] = {}
        wildcards: dict[str, tuple[Transition, ...]] = {}
        for event, value, path in _events(state):
            prefix = _prefix(event, path)
            group = wildcards if prefix is not None else exact
            key = event if prefix is None else prefix
            made = tuple(
                self._transition(state, event, written, behaviour)
                for written in written_transitions(value, path)
            )
            group[key] = group.get(key, ()) + made
        state.on = exact
        state.wildcards = tuple(sorted(wildcards.items(), key=lambda item: rules.specificity(item[0])))
        always = state.config.get("always")
        if always is not None:
            state.always = tuple(
                self._transition(state, None, written, behaviour)
                for written in written_transitions(always, at(state.path, "always"))
            )

    def _transition(
        self, source: State, event: str | None, written: Written, behaviour: Behaviour
    ) -> Transition:
        config, path, target_path = written
        made = Transition(source, path, event)
        made.targets = resolve(source, config.get("target"), self.ids, target_path)
        made.reenter = bool(config.get("reenter"))
        made.actions = behaviour.all_actions(config.get("actions"), at(path, "actions"))
        made.action_labels = ", ".join(label_of(one) for one, _ in one_or_many(config.get("actions"), ""))
        if config.get("guard") is not None:
            made.guard = behaviour.guard(config["guard"], at(path, "guard"))
            made.guard_label = label_of(config["guard"])
        made.fixed = not any(_meets_history(target) for target in (*made.targets, *_regions_beside(made)))
        if made.targets and made.fixed:
            made.domain = rules.domain_of(source, made.targets, reenter=made.reenter)
            made.entered, made.defaults = rules.entry_set(source, made.targets, made.domain, {}, self.states)
        return made

    def _unreached(self) -> int:
        reached, seen = self.start_states, 0
        while reached != seen:
            fresh, seen = reached & ~seen, reached
            for index in indices(fresh):
                for one in self.states[index].transitions():
                    if one.targets:
                        targets = rules.effective_targets(one.targets, {}, self.states)
                        domain = rules.domain_of(one.source, targets, reenter=one.reenter)
                        reached |= rules.entry_set(one.source, one.targets, domain, {}, self.states)[0]
        alive = sum(state.bit for state in self.states if state.kind is not Kind.HISTORY)
        return alive & ~reached

    def __repr__(self) -> str:
        return f"<Machine {self.id!r}, {len(self.states)} states>"


def _events(state: State) -> Iterator[tuple[str, Any, str]]:
    """What a state reacts to: `on`, then its own completion."""
    written = cast("Mapping[Any, Any]", state.config.get("on") or {})
    for event, value in written.items():
        path = at(at(state.path, "on"), str(event))
        if not isinstance(event, str) or not event:
            raise InvalidMachine(path, "an event descriptor is a string of at least one character")
        yield event, value, path
    if state.config.get("onDone") is not None:
        yield done_type(state.id), state.config["onDone"], at(state.path, "onDone")


def _prefix(event: str, path: str) -> str | None:
    """What `a.b.*` and `*` match by: "a.b." and ""; None for an exact type."""
    if "*" not in event:
        return None
    prefix = event[:-1]
    if not event.endswith("*") or "*" in prefix or (prefix and not prefix.endswith(".")) or prefix == ".":
        raise InvalidMachine(
            path, f"{event!r}: a wildcard is the whole last part of a descriptor (`*`, `a.b.*`)"
        )
    return prefix


def _initial(state: State, behaviour: Behaviour) -> Initial:
    value, path = state.config.get("initial"), at(state.path, "initial")
    if value is None:
        keys = ", ".join(child.key for child in state.children)
        raise InvalidMachine(path, f"a compound state names the state it starts in, one of: {keys}")
    if isinstance(value, Mapping):
        written = cast("Mapping[str, Any]", value)
        check_keys(written, _INITIAL_KEYS, path, "`initial`")
        targets = initial_targets(state, written.get("target"), behaviour.ids, at(path, "target"))
        return Initial(targets, behaviour.all_actions(written.get("actions"), at(path, "actions")))
    return Initial(initial_targets(state, value, behaviour.ids, path))


def _history_defaults(state: State, ids: Mapping[str, State]) -> tuple[State, ...]:
    path = at(state.path, "target")
    targets = resolve(state, state.config.get("target"), ids, path)
    parent = state.parent
    for target in targets:
        if target.kind is Kind.HISTORY or parent is None or not parent.below & target.bit:
            raise InvalidMachine(
                path,
                f"the default of a history state is a state beside it or inside those, not {target.key!r}",
            )
    return targets


def _meets_history(state: State) -> bool:
    """Whether entering *state* by default may ask what a history state recorded."""
    if state.kind is Kind.HISTORY:
        return True
    inner = state.children if state.initial is None else state.initial.targets
    return any(_meets_history(one) for one in inner)


def _regions_beside(transition: Transition) -> Iterator[State]:
    """Regions that a transition may enter by default: those of the parallel states above its targets."""
    for target in transition.targets:
        for ancestor in target.ancestors():
            if ancestor.kind is Kind.PARALLEL:
                yield from (region for region in ancestor.children if not region.below & target.bit)


def _output(value: Any, path: str) -> Deferred:
    if callable(value):
        compute = call_with(value, path)
        return lambda run: compute(run.context, run.event, None)
    return lambda _run: copy_plain(value)


def _context_factory(value: Any) -> Callable[[Any], Any]:
    """`(input) -> context`, of a definition's `context`: a mapping, a callable, or nothing."""
    if callable(value):
        takes, needs = arity(value, "context")
        if needs > 1:
            raise InvalidMachine("context", f"a factory takes (input); this one needs {needs} arguments")
        return value if takes else lambda _given: value()
    if value is None:
        return lambda _given: {}
    if not isinstance(value, Mapping):
        raise InvalidMachine("context", f"must be a mapping or a callable, not {type(value).__name__}")
    fixed = dict(cast("Mapping[str, Any]", value))
    try:
        copy_context(fixed)
    except InvalidContext as error:
        raise InvalidMachine(error.path, error.reason) from error
    return lambda _given: fixed


def _check_names(table: Mapping[str, Any], option: str, data: tuple[type, ...]) -> None:
    if not isinstance(table, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - foreign
        raise InvalidMachine(option, f"must map names to {option}, not be a {type(table).__name__}")
    for name, value in table.items():
        path = at(option, str(name))
        if name in RESERVED_ACTIONS and option == "actions":
            raise InvalidMachine(path, "this name is reserved; its meaning is fixed")
        if not callable(value) and not isinstance(value, data):
            raise InvalidMachine(
                path, f"must be a callable or made by this package, not {type(value).__name__}"
            )
