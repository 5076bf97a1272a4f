"""300 random charts that were run in XState 5.33: every step must agree."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, cast

import pytest

from pyarvo.statecharts import Machine, assign, emit, raise_, step
from pyarvo.statecharts.snapshot import active_states

VECTORS = Path(__file__).parents[2] / "vectors" / "xstate_traces.json.gz"
TRACES: Any = json.loads(gzip.decompress(VECTORS.read_bytes()))


def action(written: dict[str, Any]) -> Any:
    if "$emit" in written:
        return emit({"type": written["$emit"]})
    if "$raise" in written:
        return raise_(written["$raise"])
    amount = written["$inc"]
    return assign({"n": lambda context, _event: context["n"] + amount})


def guard(written: dict[str, Any]) -> Any:
    def less(context: Any, _event: Any) -> bool:
        return context["n"] < written["$lt"]

    def rest(context: Any, _event: Any) -> bool:
        modulus, remainder = written["$mod"]
        return context["n"] % modulus == remainder

    return less if "$lt" in written else rest


def chart(written: Any) -> Any:
    if isinstance(written, list):
        return [chart(one) for one in cast("list[Any]", written)]
    if not isinstance(written, dict):
        return written
    made: dict[str, Any] = {}
    for key, value in cast("dict[str, Any]", written).items():
        if key in ("entry", "exit", "actions"):
            made[key] = [action(one) for one in value]
        else:
            made[key] = guard(value) if key == "guard" else chart(value)
    return made


def test_all_traces_are_there() -> None:
    assert len(TRACES) == 300
    assert sum(len(trace["steps"]) for trace in TRACES) > 4_000


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: str(trace["seed"]))
def test_every_step_of_the_trace_agrees(trace: Any) -> None:
    machine = Machine(chart(trace["config"]))
    snapshot = None
    for number, (event, expected) in enumerate(zip([None, *trace["events"]], trace["steps"], strict=True)):
        result = step(machine, snapshot, event)
        snapshot = json.loads(json.dumps(result.snapshot))
        leaves = sorted(state.id for state in active_states(machine, snapshot) if not state.children)
        seen = {
            "leaves": leaves,
            "emitted": [one["type"] for one in result.emitted],
            "n": snapshot["context"]["n"],
            "done": snapshot["status"] == "done",
        }
        assert seen == expected, f"step {number}, event {event}"
