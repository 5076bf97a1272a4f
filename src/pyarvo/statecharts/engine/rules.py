"""
The rules of a step, one function each.

The algorithm is that of W3C SCXML, appendix D; where it and XState v5 disagree, `docs/statecharts.md` has the table of what
holds here. The engine calls every rule through this module, so that a test can put a wrong one in its place and see that
something turns red.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pyarvo.statecharts.model import Kind, Run, State, Transition, indices

__all__ = [
    "candidates",
    "completed_states",
    "conflicting",
    "default_targets",
    "domain_of",
    "effective_targets",
    "enabled",
    "entry_order",
    "entry_set",
    "exit_order",
    "exit_set",
    "is_complete",
    "is_left_behind",
    "preempts",
    "recorded_states",
    "select_eventless",
    "select_for_event",
    "settles",
    "specificity",
    "without_conflicts",
]


# Selection: which transitions an event enables.


def specificity(prefix: str) -> int:
    """Descriptors are tried from the most to the least specific: the longer prefix first, `*` (no prefix) last."""
    return -len(prefix)


def candidates(state: State, event_type: str) -> Sequence[Transition]:
    """Transitions of *state* for an event: the exact type, then `a.b.*` (which also means `a.b` itself), then `*`."""
    exact = state.on.get(event_type, ())
    if not state.wildcards:
        return exact
    dotted = f"{event_type}."
    return [*exact, *(one for prefix, group in state.wildcards if dotted.startswith(prefix) for one in group)]


def enabled(run: Run, transitions: Iterable[Transition]) -> Transition | None:
    """The first transition, as written, whose guard holds. An error in a guard is an error, not "false"."""
    for transition in transitions:
        if transition.guard is None or transition.guard(run):
            return transition
    return None


def select_for_event(run: Run, state: State, event_type: str) -> list[Transition]:
    """The deepest enabled transition of every region; a state's own only if nothing inside it took the event."""
    taken: list[Transition] = []
    if state.kind is Kind.PARALLEL:
        for region in state.children:
            taken += select_for_event(run, region, event_type)
    elif state.children:
        active = run.configuration & state.offspring
        taken = select_for_event(run, run.states[active.bit_length() - 1], event_type)
    if taken:
        return taken
    own = enabled(run, candidates(state, event_type))
    return [] if own is None else [own]


def select_eventless(run: Run) -> list[Transition]:
    """For every active leaf, in document order, the first enabled `always` on the way from it to the root."""
    taken: list[Transition] = []
    for index in indices(run.configuration & run.leaves):
        leaf = run.states[index]
        for state in (leaf, *leaf.ancestors()):
            own = enabled(run, state.always) if state.always else None
            if own is not None:
                if own not in taken:
                    taken.append(own)
                break
    return taken


# Conflicts: which of them are taken together.


def conflicting(exits: int, other_exits: int) -> bool:
    """Two transitions conflict when they would leave the same state."""
    return exits & other_exits != 0


def preempts(transition: Transition, other: Transition) -> bool:
    """Of two that conflict, the one written on a descendant wins; otherwise the first in document order."""
    return bool(other.source.below & transition.source.bit)


def without_conflicts(taken: list[tuple[Transition, int]]) -> list[tuple[Transition, int]]:
    """Of transitions and the states that each would leave, those that can be taken together."""
    if len(taken) == 1:
        return taken
    kept: list[tuple[Transition, int]] = []
    for transition, exits in taken:
        rivals = [other for other in kept if conflicting(exits, other[1])]
        if all(preempts(transition, other) for other, _ in rivals):
            kept = [other for other in kept if other not in rivals]
            kept.append((transition, exits))
    return kept


# Geometry: what a transition leaves and enters.


def domain_of(source: State, targets: Sequence[State], *, reenter: bool) -> State | None:
    """
    The state below which a transition happens.

    Internal by default: the source itself, when every target is the source or inside it, unless `reenter`. Otherwise the
    closest common ancestor of source and targets, parallel states counted. None: above the root (`reenter` on the root).
    """
    if not reenter and all(target is source or source.below & target.bit for target in targets):
        return source
    mask = source.bit
    for target in targets:
        mask |= target.bit
    root = source
    for ancestor in source.ancestors():
        if ancestor.below & mask == mask:
            return ancestor
        root = ancestor
    return None if reenter else root


def exit_set(domain: State | None, configuration: int) -> int:
    """A transition leaves every active state below its domain."""
    return configuration if domain is None else configuration & domain.below


def effective_targets(
    targets: Iterable[State], history: Mapping[int, int], states: Sequence[State]
) -> list[State]:
    """Targets with every history state replaced by what it recorded, or by its defaults."""
    found: list[State] = []
    for target in targets:
        if target.kind is not Kind.HISTORY:
            found.append(target)
        elif history.get(target.index):
            found += [states[index] for index in indices(history[target.index])]
        else:
            found += effective_targets(default_targets(target), history, states)
    return found


def default_targets(state: State) -> Sequence[State]:
    """Where a history state leads that has recorded nothing: its own target, else into its parent by default."""
    parent = state.parent
    if state.defaults or parent is None:
        return state.defaults
    return (parent,) if parent.initial is None else parent.initial.targets


class _Entry:
    """The growing answer of `entry_set`: states to enter, and those of them entered by their `initial`."""

    __slots__ = ("defaults", "history", "states", "table")

    def __init__(self, history: Mapping[int, int], table: Sequence[State]) -> None:
        self.states = 0
        self.defaults = 0
        self.history = history
        self.table = table

    def down(self, state: State) -> None:
        """Enter *state* and what that brings with it below."""
        if state.kind is Kind.HISTORY:
            self._restore(state)
            return
        self.states |= state.bit
        if state.initial is not None:
            self.defaults |= state.bit
            self.all(state.initial.targets, below=state)
        elif state.kind is Kind.PARALLEL:
            self.regions(state)

    def all(self, targets: Iterable[State], *, below: State | None) -> None:
        """Enter *targets*, then what lies between them and *below*, and every region on the way."""
        for target in targets:
            self.down(target)
        for target in effective_targets(targets, self.history, self.table):
            for ancestor in () if target is below else target.ancestors():
                if ancestor is below:
                    break
                self.states |= ancestor.bit
                self.regions(ancestor)

    def regions(self, state: State) -> None:
        """Enter by default every region of a parallel state in which nothing is entered yet."""
        if state.kind is Kind.PARALLEL:
            for region in state.children:
                if not self.states & (region.below | region.bit):
                    self.down(region)

    def _restore(self, state: State) -> None:
        parent = state.parent
        recorded = self.history.get(state.index)
        if recorded:
            self.all([self.table[index] for index in indices(recorded)], below=parent)
            return
        if not state.defaults and parent is not None:
            self.defaults |= parent.bit
        self.all(default_targets(state), below=parent)


def entry_set(
    source: State | None,
    targets: Sequence[State],
    domain: State | None,
    history: Mapping[int, int],
    states: Sequence[State],
) -> tuple[int, int]:
    """
    What a transition enters: its targets, their ancestors below the domain, their initial or recorded descendants, and
    the other regions of every parallel state on the way. A source that targets itself, internally, stays as it is; what lies
    between a history state's parent and the recorded states is entered in any case, as both specifications have it.

    Returns:
        Masks of the states to enter and of those entered by their `initial`.
    """
    entry = _Entry(history, states)
    entry.all(targets, below=domain)
    if domain is not None:
        entry.regions(domain)
    stays = source.bit if source is not None and source is domain and source in targets else 0
    entered = entry.states & ~stays
    return entered, entry.defaults & entered


def is_left_behind(domain: State | None, left_by_others: int) -> bool:
    """Nothing is entered in a branch that another transition of the same microstep has left."""
    return domain is not None and bool(domain.bit & left_by_others)


# Order and memory.


def exit_order(mask: int) -> Iterable[int]:
    """States are left in reverse document order: children before parents, later before earlier."""
    return reversed(indices(mask))


def entry_order(mask: int) -> Iterable[int]:
    """States are entered in document order: parents before children."""
    return indices(mask)


def recorded_states(history: State, configuration: int, leaves: int) -> int:
    """What a history state remembers of its parent: active leaves below it (deep), or active children (shallow)."""
    parent = history.parent
    if parent is None:
        return 0
    return configuration & (parent.below & leaves if history.deep else parent.offspring)


# Completion.


def is_complete(state: State, configuration: int) -> bool:
    """A compound state is complete in a final child, a parallel one when all its regions are."""
    if state.kind is Kind.PARALLEL:
        return all(is_complete(region, configuration) for region in state.children)
    if state.kind is Kind.FINAL:
        return bool(configuration & state.bit)
    return any(child.kind is Kind.FINAL and configuration & child.bit for child in state.children)


def completed_states(final: State, configuration: int) -> tuple[list[State], bool]:
    """
    What is complete, now that *final* was entered: its compound parent, then each parallel state above whose regions are.

    Returns:
        These states, inner first, and whether the machine as a whole is done.
    """
    above = final.parent
    completed: list[State] = []
    if above is not None and above.kind is Kind.COMPOUND:
        completed.append(above)
        above = above.parent
    while above is not None and above.kind is Kind.PARALLEL and is_complete(above, configuration):
        completed.append(above)
        above = above.parent
    return completed, above is None


def settles(run: Run, before: tuple[int, int]) -> bool:
    """An eventless transition that changed neither states, history nor context is not taken again for the same event."""
    return before == (run.configuration, run.changes)
