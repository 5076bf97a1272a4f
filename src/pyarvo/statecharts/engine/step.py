"""One step of a machine: a pure function of definition, snapshot and event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from pyarvo.errors import EndlessLoop, ExecutionViolation, InvalidContext
from pyarvo.statecharts.compile import Machine
from pyarvo.statecharts.engine import rules
from pyarvo.statecharts.events import Event, as_event, as_input, done_type, init_event
from pyarvo.statecharts.model import Kind, Run, State, Transition, indices
from pyarvo.statecharts.plain import copy_context, copy_plain
from pyarvo.statecharts.snapshot import persist, restore, status_of

__all__ = ["StepResult", "step"]


class StepResult(msgspec.Struct, frozen=True):
    """
    What a step made.

    Attributes:
        snapshot: The machine's new state: a JSON object in XState's persisted shape.

        emitted: Events to hand on: all that `emit` made, then all of `enqueue_arvo_event`.

        output: The machine's output when this very step completed it (`{}` when it defines none); None otherwise.
    """

    snapshot: dict[str, Any]
    emitted: list[dict[str, Any]]
    output: Any = None


def step(machine: Machine, snapshot: Mapping[str, Any] | None, event: Any = None) -> StepResult:
    """
    Start a machine, or let it react to one event.

    No I/O, no clock, no randomness; the given snapshot is never changed. An error of the context factory, of a guard or of
    an action is raised as it is, and nothing is returned.

    Args:
        machine: The compiled definition.

        snapshot: The state to go on from; None starts the machine.

        event: What the machine reacts to: any object with a `type`, or a type, or a mapping with `type`. When the machine
            starts, this is its input; it is not sent as an event.

    Returns:
        The new snapshot, the events to hand on, and the output if this step completed the machine. A machine that is not
        active (done, error, stopped) ignores the event.

    Raises:
        EndlessLoop: The machine did not come to rest within its bound of microsteps.
        ExecutionViolation: The machine has a source, and the event that should start it is of another type.
        InvalidContext: The context is not JSON, or does not fit the machine's model.
        InvalidEvent: The event, or an event made by an action, has no `type`.
        InvalidSnapshot: The snapshot is not one of this machine.
    """
    if snapshot is None:
        run = _begin(machine, event)
    elif status_of(snapshot) != "active":
        return StepResult(copy_plain(dict(snapshot)), [])
    else:
        configuration, history, context = restore(machine, snapshot)
        run = Run(
            machine, configuration=configuration, history=history, context=context, event=as_event(event)
        )
        _microstep(run, rules.select_for_event(run, machine.root, run.event.type))
    _settle(run)
    if machine.check_context is not None:
        machine.check_context(run.context)
    output = copy_context(run.output, "output")
    told: Any = ({} if output is None else output) if run.done else None
    return StepResult(persist(run, output), run.emitted + run.queued, told)


def _begin(machine: Machine, event: Any) -> Run:
    given = as_input(event)
    if machine.source is not None and getattr(given, "type", None) != machine.source:
        raise ExecutionViolation(
            f"machine {machine.id!r} starts with an event of type {machine.source!r}, not of type "
            f"{getattr(given, 'type', None)!r}"
        )
    context = machine.make_context(given)
    if not isinstance(context, dict):
        raise InvalidContext("context", f"a context is a dict, not a {type(context).__name__}")
    run = Run(machine, configuration=0, history={}, context=copy_context(context), event=init_event(given))
    _enter(run, machine.start_states, machine.start_defaults)
    _finish(run)
    run.trail.append(run.configuration)
    return run


def _settle(run: Run) -> None:
    """Take eventless transitions while there are any, then the next internal event, until the machine rests or is done."""
    quiet = False
    while not run.done:
        taken: list[Transition] = []
        if not quiet and run.configuration & run.machine.eventless:
            taken = rules.select_eventless(run)
        eventless = bool(taken)
        if not taken:
            if not run.internal:
                return
            run.event = run.internal.popleft()
            taken = rules.select_for_event(run, run.machine.root, run.event.type)
        before = (run.configuration, run.changes)
        _microstep(run, taken)
        quiet = eventless and rules.settles(run, before)


def _microstep(run: Run, taken: list[Transition]) -> None:
    """Leave, act, enter: all transitions of *taken* that do not conflict, as one."""
    if not taken:
        return
    if len(run.trail) >= run.machine.max_microsteps:
        raise EndlessLoop(run.machine.id, run.machine.max_microsteps, _cycle(run))
    kept = rules.without_conflicts([(one, _exits(run, one)) for one in taken])
    domains = [_domain(run, one) for one, _ in kept]  # before history is recorded anew
    _leave(run, _union(exits for _, exits in kept))
    for transition, _ in kept:
        for action in transition.actions:
            action(run)
    states = defaults = 0
    for position, (transition, _) in enumerate(kept):
        others = _union(exits for at, (_, exits) in enumerate(kept) if at != position) if kept[1:] else 0
        if transition.targets and not rules.is_left_behind(domains[position], others):
            entered, by_default = _entries(run, transition, domains[position])
            states |= entered
            defaults |= by_default
    _enter(run, states, defaults)
    _finish(run)
    run.trail.append(run.configuration)


def _union(masks: Iterable[int]) -> int:
    union = 0
    for mask in masks:
        union |= mask
    return union


def _domain(run: Run, transition: Transition) -> State | None:
    if transition.fixed:
        return transition.domain
    targets = rules.effective_targets(transition.targets, run.history, run.states)
    return rules.domain_of(transition.source, targets, reenter=transition.reenter)


def _exits(run: Run, transition: Transition) -> int:
    return rules.exit_set(_domain(run, transition), run.configuration) if transition.targets else 0


def _entries(run: Run, transition: Transition, domain: State | None) -> tuple[int, int]:
    if transition.fixed:
        return transition.entered, transition.defaults
    return rules.entry_set(transition.source, transition.targets, domain, run.history, run.states)


def _leave(run: Run, mask: int) -> None:
    """Record history, then run exit actions; a state is active until its own have run."""
    for index in indices(mask & run.machine.with_history):
        for history in run.states[index].histories:
            recorded = rules.recorded_states(history, run.configuration, run.leaves)
            if run.history.get(history.index) != recorded:
                run.history = {**run.history, history.index: recorded}
                run.changes += 1
    for index in rules.exit_order(mask):
        state = run.states[index]
        for action in state.exit:
            action(run)
        run.configuration &= ~state.bit


def _enter(run: Run, mask: int, defaults: int) -> None:
    """Activate states and run entry actions, then those of `initial` where the state was entered by it."""
    for index in rules.entry_order(mask):
        state = run.states[index]
        run.configuration |= state.bit
        for action in state.entry:
            action(run)
        if state.initial is not None and defaults & state.bit:
            for action in state.initial.actions:
                action(run)
        if state.kind is Kind.FINAL:
            _complete(run, state)


def _complete(run: Run, final: State) -> None:
    """Raise the completion events that entering *final* brings about, and note when the machine is done."""
    completed, done = rules.completed_states(final, run.configuration)
    output = None
    if final.output is not None and final.parent is not None and final.parent.kind is Kind.COMPOUND:
        output = copy_plain(final.output(run))
    for state in completed:
        told = output if state is final.parent else None
        run.internal.append(Event(done_type(state.id), None, told))
    if done:
        run.done = True
        root = run.machine.root
        whole = root if root.kind is Kind.PARALLEL else final
        run.output = _machine_output(run, Event(done_type(whole.id), None, output))


def _machine_output(run: Run, completion: Event) -> Any:
    """The output that the root defines, computed with the completion event in view."""
    if run.machine.root.output is None:
        return None
    seen, run.event = run.event, completion
    output = run.machine.root.output(run)
    run.event = seen
    return output


def _finish(run: Run) -> None:
    """A machine that is done leaves every state: exit actions run, the configuration stays for the record."""
    if run.done:
        for index in rules.exit_order(run.configuration):
            for action in run.states[index].exit:
                action(run)


def _cycle(run: Run) -> str:
    """The shortest sequence of configurations that the end of the trail repeats, in words."""
    trail = run.trail
    length = next(
        (size for size in range(1, len(trail) // 2 + 1) if trail[-size:] == trail[-2 * size : -size]), 10
    )
    names = [
        " + ".join(run.states[index].path for index in indices(mask & run.leaves)) for mask in trail[-length:]
    ]
    return " -> ".join([*names, names[0]])
