"""
The compiled form of a definition: states numbered in document order, sets of states as int bit masks.

A state's number is its place in a walk that visits parents before children and children as written. So a mask read from
its low end is document order (entry), from its high end reverse document order (exit), and a state's descendants are one
run of bits. What runs on it while a step lasts stands here too, because actions and guards are functions of that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any, Protocol

__all__ = ["Action", "Chart", "Deferred", "Guard", "Initial", "Kind", "Run", "State", "Transition", "indices"]

Action = Callable[["Run"], None]
Guard = Callable[["Run"], bool]
Deferred = Callable[["Run"], Any]


class Kind(Enum):
    """What a state is made of."""

    ATOMIC = "atomic"
    COMPOUND = "compound"
    PARALLEL = "parallel"
    FINAL = "final"
    HISTORY = "history"


@dataclass(slots=True, eq=False)
class Transition:
    """
    One arrow.

    Attributes:
        source: The state that it is written on.

        event: The descriptor it is written under; None: eventless.

        guard_label: Its guard, for diagrams.

        action_labels: Its actions, for diagrams.

        targets: Where it leads, history states included; empty: it stays.

        reenter: Whether the source is left and entered again.

        domain: The state below which all happens, where history has no say in it; None: above the root.

        fixed: Whether `domain`, `entered` and `defaults` hold for every run, because no history state is involved.

        entered: The states that are entered (mask).

        defaults: Those of them that are entered by their `initial` (mask).
    """

    source: State
    path: str
    event: str | None
    targets: tuple[State, ...] = ()
    guard: Guard | None = None
    guard_label: str = ""
    action_labels: str = ""
    actions: tuple[Action, ...] = ()
    reenter: bool = False
    domain: State | None = None
    fixed: bool = True
    entered: int = 0
    defaults: int = 0


@dataclass(slots=True, eq=False)
class Initial:
    """
    The way into a compound state that was targeted itself.

    Attributes:
        targets: Descendants of the state.

        actions: What is done on this way, after the state's own entry actions.
    """

    targets: tuple[State, ...]
    actions: tuple[Action, ...] = ()


@dataclass(slots=True, eq=False)
class State:
    """
    One state.

    Attributes:
        index: Its number in document order.

        bit: `1 << index`.

        below: Its proper descendants, history states included (mask).

        children: Child states without history states.

        offspring: The same (mask).

        histories: Its history children.

        on: Transitions by exact event type.

        wildcards: Prefix ("" for `*`, else ending in a dot) and transitions, the most specific first.

        defaults: Targets of a history state that has recorded nothing; empty: its parent's initial states.

        declared_parallel: Whether it says `parallel`, though it may be empty and so behave as atomic.
    """

    index: int
    key: str
    id: str
    kind: Kind
    parent: State | None
    path: str
    config: Mapping[str, Any]
    bit: int = 0
    below: int = 0
    depth: int = 0
    children: tuple[State, ...] = ()
    offspring: int = 0
    histories: tuple[State, ...] = ()
    entry: tuple[Action, ...] = ()
    exit: tuple[Action, ...] = ()
    on: dict[str, tuple[Transition, ...]] = field(default_factory=dict[str, tuple[Transition, ...]])
    wildcards: tuple[tuple[str, tuple[Transition, ...]], ...] = ()
    always: tuple[Transition, ...] = ()
    initial: Initial | None = None
    deep: bool = False
    defaults: tuple[State, ...] = ()
    output: Deferred | None = None
    declared_parallel: bool = False

    def ancestors(self) -> Iterator[State]:
        """Its parent, the parent's parent, up to the root."""
        state = self.parent
        while state is not None:
            yield state
            state = state.parent

    def child(self, key: str) -> State | None:
        """The child of that key, history states included."""
        for state in (*self.children, *self.histories):
            if state.key == key:
                return state
        return None

    def transitions(self) -> Iterator[Transition]:
        """Every transition written on it, in the order of selection."""
        for group in self.on.values():
            yield from group
        for _, group in self.wildcards:
            yield from group
        yield from self.always


class Chart(Protocol):
    """
    What a step needs of a compiled machine.

    Attributes:
        states: In document order.

        root: The first of them.

        leaves: The states without children (mask).

        eventless: The states with eventless transitions (mask).

        with_history: The states with history children (mask).

        max_microsteps: Bound of one step, start included.
    """

    id: str
    states: tuple[State, ...]
    root: State
    leaves: int
    eventless: int
    with_history: int
    max_microsteps: int


class Run:
    """
    What a step works on, thrown away when the step fails. Rules read it, actions change it; the snapshot that the step began with is never touched.

    Attributes:
        configuration: The active states (mask).

        history: Recorded states (mask) by number of the history state.

        context: The machine's context, this step's own copy.

        event: What guards and actions see.

        internal: Events that the machine raised for itself.

        emitted: Events handed out by `emit`, in order of execution.

        queued: Events handed out by `enqueue_arvo_event`, in order of execution.

        changes: Counts assignments and records of history.

        trail: The configuration after each microstep.
    """

    __slots__ = (
        "changes",
        "configuration",
        "context",
        "done",
        "emitted",
        "event",
        "history",
        "internal",
        "leaves",
        "machine",
        "output",
        "queued",
        "states",
        "trail",
    )

    def __init__(
        self,
        machine: Chart,
        *,
        configuration: int,
        history: dict[int, int],
        context: dict[str, Any],
        event: Any,
    ) -> None:
        self.machine = machine
        self.states = machine.states
        self.leaves = machine.leaves
        self.configuration = configuration
        self.history = history
        self.context = context
        self.event = event
        self.internal: deque[Any] = deque()
        self.emitted: list[dict[str, Any]] = []
        self.queued: list[dict[str, Any]] = []
        self.changes = 0
        self.trail: list[int] = []
        self.done = False
        self.output: Any = None


@lru_cache(maxsize=4096)
def indices(mask: int) -> tuple[int, ...]:
    """Numbers of the states in *mask*, in document order; cached, because a machine meets the same few masks again."""
    found: list[int] = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return tuple(found)
