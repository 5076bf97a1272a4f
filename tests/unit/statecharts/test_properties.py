"""What holds for every chart: legal configurations, purity, and an end to every circle."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import event as note
from hypothesis import given, settings
from hypothesis import strategies as st

from pyarvo.errors import EndlessLoop
from pyarvo.statecharts import Machine, MachineForm, StepResult, assign, emit, raise_, step
from pyarvo.statecharts.model import Kind

engine = importlib.import_module("pyarvo.statecharts.engine.step")
EVENTS = ("A", "B", "C", "R")


def one_more(context: Any, _event: Any) -> int:
    return context["n"] + 1


def below(limit: int) -> Any:
    def holds(context: Any, _event: Any) -> bool:
        return context["n"] < limit

    return holds


class Builder:
    """Draws a chart: the tree first, then transitions between any of its states."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.draw = draw
        self.ids: list[str] = []
        self.nodes: list[dict[str, Any]] = []

    def choose(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def chart(self) -> dict[str, Any]:
        root = self.node(3)
        root["context"] = {"n": 0}
        for node in self.nodes:
            if node.get("type") not in ("final", "history"):
                self.behave(node)
        return root

    def node(self, depth: int) -> dict[str, Any]:
        name = f"s{len(self.ids)}"
        self.ids.append(name)
        node: dict[str, Any] = {"id": name}
        self.nodes.append(node)
        kinds = ["compound"] * 3 + ["parallel", "atomic"] if depth else ["atomic", "atomic", "final"]
        kind = "compound" if depth == 3 else self.choose(*kinds)
        if kind == "final":
            node["type"] = "final"
        elif kind != "atomic":
            children = [self.node(depth - 1) for _ in range(self.choose(1, 2, 3))]
            inner = [child["id"] for child in children]
            if self.choose(True, False):
                children.append(self.history(inner))
            node["states"] = {child["id"]: child for child in children}
            node.update({"type": "parallel"} if kind == "parallel" else {"initial": self.choose(*inner)})
        return node

    def history(self, inner: list[str]) -> dict[str, Any]:
        name = f"h{len(self.ids)}"
        self.ids.append(name)
        node: dict[str, Any] = {"id": name, "type": "history", "history": self.choose("shallow", "deep")}
        if self.choose(True, False):
            node["target"] = self.choose(*inner)
        return node

    def behave(self, node: dict[str, Any]) -> None:
        name = node["id"]
        node["entry"], node["exit"] = emit({"type": f"+{name}"}), emit({"type": f"-{name}"})
        node["on"] = {
            one: [self.transition() for _ in range(self.choose(1, 2))]
            for one in EVENTS
            if self.choose(True, False)
        }
        if self.choose(True, False, False):
            counting = {"guard": below(self.choose(1, 3, 5)), "actions": assign({"n": one_more})}
            node["always"] = [{**self.transition(), **counting}]
        if "states" in node and name != "s0" and self.choose(True, False):
            node["onDone"] = [self.transition()]

    def transition(self) -> dict[str, Any]:
        made: dict[str, Any] = {
            "actions": [
                self.choose(emit({"type": "t"}), assign({"n": one_more}), raise_("R"), emit({"type": "u"}))
            ]
        }
        if self.choose(True, True, True, False):
            made["target"] = f"#{self.choose(*self.ids)}"
        if self.choose(True, False, False):
            made["reenter"] = True
        if self.choose(True, False, False):
            made["guard"] = below(self.choose(2, 4))
        return made


@st.composite
def charts(draw: Callable[[st.SearchStrategy[Any]], Any]) -> dict[str, Any]:
    return Builder(draw).chart()


def assert_legal(machine: Machine, configuration: int) -> None:
    """One child of every active compound state, every region of every active parallel one, and nothing else."""
    assert configuration & machine.root.bit
    for state in machine.states:
        if not configuration & state.bit:
            continue
        assert state.kind is not Kind.HISTORY
        assert state.parent is None or configuration & state.parent.bit
        active = (configuration & state.offspring).bit_count()
        assert active == {Kind.COMPOUND: 1, Kind.PARALLEL: len(state.children)}.get(state.kind, 0)


def take(machine: Machine, snapshot: Any, event: Any) -> StepResult | None:
    """One step, its configuration checked; None when the chart goes round for ever."""
    persist = engine.persist

    def spy(run: Any, output: Any) -> Any:
        assert_legal(machine, run.configuration)
        return persist(run, output)

    with patch.object(engine, "persist", spy):
        try:
            return step(machine, snapshot, event)
        except EndlessLoop:
            return None


@settings(max_examples=200, deadline=None)
@given(charts(), st.lists(st.sampled_from(EVENTS), min_size=1, max_size=8))
def test_every_step_is_legal_pure_and_the_same_from_a_saved_state(
    config: dict[str, Any], events: list[str]
) -> None:
    machine = Machine(config, max_microsteps=60)
    result = take(machine, None, None)
    for event in events:
        if result is None:
            note("endless")
            return
        text = json.dumps(result.snapshot)
        following = take(machine, result.snapshot, event)
        assert json.dumps(result.snapshot) == text, "the given snapshot was changed"
        assert take(machine, json.loads(text), event) == following, "a saved state goes on differently"
        if following is not None:
            assert json.loads(json.dumps(following.snapshot)) == following.snapshot
        result = following
    note("done" if result is not None and result.snapshot["status"] == "done" else "went through")


@settings(max_examples=60, deadline=None)
@given(charts(), st.lists(st.sampled_from(EVENTS), max_size=5))
def test_the_same_input_gives_the_same_json_from_a_machine_compiled_anew(
    config: dict[str, Any], events: list[str]
) -> None:
    texts: list[list[str]] = [[], []]
    for said in texts:
        machine = Machine(config, max_microsteps=60)
        result = take(machine, None, None)
        for event in events:
            if result is None:
                break
            said.append(json.dumps([result.snapshot, result.emitted]))
            result = take(machine, result.snapshot, event)
    assert texts[0] == texts[1]


@settings(max_examples=60, deadline=None)
@given(
    st.permutations(range(6)).flatmap(lambda order: st.integers(2, 6).map(lambda size: order[:size])),
    st.integers(0, 5),
    st.booleans(),
    st.booleans(),
)
def test_every_eventless_circle_trips_the_bound(
    order: list[int], start: int, nested: bool, raising: bool
) -> None:
    """Some of six states lead round for ever, by `always` or by events they raise; the others lead into the circle."""
    states: dict[str, Any] = {}
    for state in range(6):
        follower = order[(order.index(state) + 1) % len(order)] if state in order else order[0]
        target = f"#c{follower}"
        states[f"c{state}"] = {"entry": raise_("GO"), "on": {"GO": target}} if raising else {"always": target}
        states[f"c{state}"]["id"] = f"c{state}"
    circle: dict[str, Any] = {"initial": f"c{start}", "states": states}
    config: Any = {"type": "parallel", "states": {"beside": {}, "circle": circle}} if nested else circle
    with pytest.raises(EndlessLoop) as caught:
        step(Machine(config, max_microsteps=50), None)
    for state in order:
        assert f"c{state}" in caught.value.cycle


def test_the_circle_is_named_once_round() -> None:
    config: MachineForm = {
        "initial": "a",
        "states": {"a": {"always": "b"}, "b": {"always": "c"}, "c": {"always": "a"}},
    }
    with pytest.raises(EndlessLoop) as caught:
        step(Machine(config), None)
    assert caught.value.cycle.count(" -> ") == 3
