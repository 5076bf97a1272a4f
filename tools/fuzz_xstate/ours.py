"""Runs charts of `charts.py` in the engine of this package."""

from __future__ import annotations

import json
from typing import Any, cast

from pyarvo.errors import EndlessLoop, InvalidMachine
from pyarvo.statecharts import Machine, and_, assign, emit, not_, or_, raise_, state_in, step
from pyarvo.statecharts.snapshot import active_states

__all__ = ["ENDLESS", "Refused", "play"]

ENDLESS = "does not come to rest"


class Refused(Exception):
    """The definition is none for this package, which is stricter than XState."""


def play(config: dict[str, Any], events: list[str]) -> dict[str, Any]:
    """
    Run a chart; the snapshot goes through JSON between steps.

    Returns:
        `{"steps": [{"active", "emitted", "n", "done"}, ...]}`, the first after the start, or `{"error": ...}`.

    Raises:
        Refused: The definition breaks a rule.
    """
    try:
        machine = Machine(_chart(config))
    except InvalidMachine as fault:
        raise Refused(str(fault)) from fault
    steps: list[dict[str, Any]] = []
    snapshot = None
    for event in (None, *events):
        try:
            result = step(machine, snapshot, event)
        except EndlessLoop:
            return {"error": ENDLESS}
        snapshot = json.loads(json.dumps(result.snapshot))
        steps.append(
            {
                "active": sorted(state.id for state in active_states(machine, snapshot)),
                "emitted": [one["type"] for one in result.emitted],
                "n": snapshot["context"]["n"],
                "done": snapshot["status"] == "done",
            }
        )
    return {"steps": steps}


def _chart(written: Any) -> Any:
    if isinstance(written, list):
        return [_chart(one) for one in cast("list[Any]", written)]
    if not isinstance(written, dict):
        return written
    made: dict[str, Any] = {}
    for key, value in cast("dict[str, Any]", written).items():
        if key in ("entry", "exit", "actions"):
            made[key] = [_action(one) for one in value]
        elif key == "guard":
            made[key] = _guard(value)
        else:
            made[key] = value if key == "context" else _chart(value)
    return made


def _action(written: dict[str, Any]) -> Any:
    if "$emit" in written:
        return emit({"type": written["$emit"]})
    if "$raise" in written:
        return raise_(written["$raise"])
    amount = written["$inc"]
    return assign({"n": lambda context: context["n"] + amount})


def _less(limit: int) -> Any:
    def holds(context: dict[str, int]) -> bool:
        return context["n"] < limit

    return holds


def _leaves(modulus: int, rest: int) -> Any:
    def holds(context: dict[str, int]) -> bool:
        return context["n"] % modulus == rest

    return holds


def _guard(written: dict[str, Any]) -> Any:
    ((kind, value),) = written.items()
    match kind:
        case "$lt":
            return _less(value)
        case "$mod":
            return _leaves(*value)
        case "$and":
            return and_(*(_guard(one) for one in value))
        case "$or":
            return or_(*(_guard(one) for one in value))
        case "$not":
            return not_(_guard(value))
        case _:
            return state_in(value)
