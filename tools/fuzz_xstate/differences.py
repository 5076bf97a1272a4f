"""
Why this package and XState differ on a chart: the differences that `docs/statecharts.md` states, told apart by what they do.

Anything else is a fault in one of the two, and named `UNKNOWN`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any
from unittest.mock import patch

from pyarvo.statecharts.engine import rules
from pyarvo.statecharts.model import Run, Transition, indices

from .ours import play

__all__ = ["Difference", "explain"]

Seen = dict[str, Any]


class Difference(StrEnum):
    """What came of a chart."""

    NONE = "the same, step by step"
    INITIAL = "actions of `initial` in a region entered beside a target: W3C, not XState"
    ILLEGAL = "XState reaches an illegal configuration on the way"
    ALWAYS = "`always` of several regions: document order here, order of entry in XState"
    UNKNOWN = "unknown"


def explain(config: Seen, events: list[str], ours: Seen, theirs: Seen) -> Difference:
    """
    Say why two plays of a chart differ.

    Args:
        config: The chart.

        events: What it was given.

        ours: What this package saw, as `play` returns it.

        theirs: What XState saw.
    """
    if ours == theirs:
        return Difference.NONE
    if "steps" not in ours or "steps" not in theirs:
        return Difference.UNKNOWN
    if _without_initial(ours) == _without_initial(theirs):
        return Difference.INITIAL
    if _is_illegal(config, _until_they_part(ours, theirs)):
        return Difference.ILLEGAL
    with _always_in_order_of_entry():
        if _without_initial(play(config, events)) == _without_initial(theirs):
            return Difference.ALWAYS
    return Difference.UNKNOWN


def _without_initial(seen: Seen) -> list[Seen]:
    """The steps without what `initial` says; charts mark it by a leading i."""
    if "steps" not in seen:
        return [seen]
    return [
        {**step, "emitted": [one for one in step["emitted"] if not one.startswith("i")]}
        for step in seen["steps"]
    ]


def _until_they_part(ours: Seen, theirs: Seen) -> Iterator[Seen]:
    for mine, step in zip(_without_initial(ours), theirs["steps"], strict=True):
        yield step
        if (
            mine["active"] != step["active"]
            or mine["emitted"] != _without_initial({"steps": [step]})[0]["emitted"]
        ):
            return


def _is_illegal(config: Seen, steps: Iterable[Seen]) -> bool:
    """Whether a state was entered twice, beside another or without its parent, left while not active, or some are missing."""
    parents = dict(_parents(config))
    alone = {
        child["id"]: node for node in _nodes(config) if "initial" in node for child in node["states"].values()
    }
    active: set[str] = set()
    for step in steps:
        for said in step["emitted"]:
            name = said[1:]
            if said.startswith("+"):
                if name in active or (parents[name] is not None and parents[name] not in active):
                    return True
                if name in alone and active.intersection(alone[name]["states"]):
                    return True
                active.add(name)
            elif said.startswith("-"):
                if name not in active:
                    return True
                active.discard(name)
        if not _is_whole(config, set(step["active"])):
            return True
    return False


def _parents(node: Seen, parent: str | None = None) -> Iterator[tuple[str, str | None]]:
    yield node["id"], parent
    for child in node.get("states", {}).values():
        yield from _parents(child, node["id"])


def _nodes(node: Seen) -> Iterator[Seen]:
    yield node
    for child in node.get("states", {}).values():
        yield from _nodes(child)


def _is_whole(node: Seen, active: set[str]) -> bool:
    """Whether below an active state one child is active, or every region, and below others nothing is."""
    children = [child for child in node.get("states", {}).values() if child.get("type") != "history"]
    inside = [child for child in children if child["id"] in active]
    if node["id"] in active:
        wanted = len(children) if node.get("type") == "parallel" else min(1, len(children))
    else:
        wanted = 0
    return len(inside) == wanted and all(_is_whole(child, active) for child in children)


@contextmanager
def _always_in_order_of_entry() -> Generator[None, None, None]:
    """The engine with XState's order: leaves are asked in the order in which they were entered."""
    order: list[int] = []
    listed: list[int] = []
    left = 0
    exit_order, entry_order = rules.exit_order, rules.entry_order

    def leave(mask: int) -> Iterable[int]:
        nonlocal left
        left |= mask
        for index in indices(mask):
            if index in order:
                order.remove(index)
        return exit_order(mask)

    def enter(mask: int) -> Iterable[int]:
        order.extend(index for index in indices(mask) if index not in order)
        return entry_order(mask)

    def select(run: Run) -> list[Transition]:
        nonlocal left
        # XState keeps its list where a microstep ends in the states it began with and records no history.
        if set(order) == set(listed) and not left & run.machine.with_history:
            order[:] = listed
        listed[:], left = order, 0
        taken: list[Transition] = []
        for index in order:
            if not run.configuration & run.leaves & (1 << index):
                continue
            leaf = run.states[index]
            for state in (leaf, *leaf.ancestors()):
                own = rules.enabled(run, state.always)
                if own is not None:
                    if own not in taken:
                        taken.append(own)
                    break
        return taken

    with (
        patch.object(rules, "exit_order", leave),
        patch.object(rules, "entry_order", enter),
        patch.object(rules, "select_eventless", select),
    ):
        yield
