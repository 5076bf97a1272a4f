"""Saved states that are refused, and the names of states."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pyarvo.errors import ConfigViolation, InvalidContext, InvalidSnapshot
from pyarvo.statecharts import Machine, MachineForm, step

CHART: MachineForm = {
    "id": "m",
    "initial": "a",
    "states": {
        "a": {"initial": "x", "states": {"x": {}, "y": {}, "h": {"type": "history"}}, "on": {"OUT": "b"}},
        "b": {"on": {"BACK": "a.h"}},
    },
}
MACHINE = Machine(CHART)


def saved(**changed: Any) -> dict[str, Any]:
    snapshot = step(MACHINE, None).snapshot
    return {**snapshot, **changed}


def test_a_snapshot_has_the_shape_that_xstate_persists() -> None:
    snapshot = step(MACHINE, step(MACHINE, None).snapshot, "OUT").snapshot
    assert snapshot == {
        "status": "active",
        "value": "b",
        "context": {},
        "historyValue": {"m.a.h": [{"id": "m.a.x"}]},
        "output": None,
        "error": None,
        "children": {},
    }


def test_history_is_read_back_also_where_the_machines_id_has_dots() -> None:
    """XState takes the dots for steps into the machine, finds no such state, and forgets the history."""
    machine = Machine(
        {
            "id": "arvo.orc.order",
            "initial": "a",
            "states": {
                "a": {
                    "initial": "x",
                    "states": {"x": {"on": {"NEXT": "y"}}, "y": {}, "h": {"type": "history"}},
                    "on": {"OUT": "b"},
                },
                "b": {"on": {"BACK": "a.h"}},
            },
        }
    )
    snapshot = step(machine, None).snapshot
    for event in ("NEXT", "OUT", "BACK"):
        snapshot = step(machine, json.loads(json.dumps(snapshot)), event).snapshot
    assert snapshot["value"] == {"a": "y"}


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"status": None}, "status"),
        ({"status": "asleep"}, "status"),
        ({"value": None}, "value"),
        ({"value": 1}, "value"),
        ({"value": "c"}, "value.c"),
        ({"value": "a"}, "value"),
        ({"value": {"a": "h"}}, "value.a.h"),
        ({"value": {"a": {"x": "z"}}}, "value.a.x.z"),
        ({"value": {"a": "x", "b": {}}}, "value"),
        ({"value": {}}, "value"),
        ({"context": None}, "context"),
        ({"context": []}, "context"),
        ({"historyValue": ["h"]}, "historyValue"),
        ({"historyValue": {"m.a.x": []}}, "historyValue['m.a.x']"),
        ({"historyValue": {"m.a.g": []}}, "historyValue['m.a.g']"),
        ({"historyValue": {"m.a.h": {}}}, "historyValue['m.a.h']"),
        ({"historyValue": {"m.a.h": [{"id": "m.a.z"}]}}, "historyValue['m.a.h'][0]"),
        ({"historyValue": {"m.a.h": [{"id": "m.b"}]}}, "historyValue['m.a.h'][0]"),
        ({"historyValue": {"m.a.h": [{"id": "m.a.x"}, 1]}}, "historyValue['m.a.h'][1]"),
        ({"historyValue": {"m.a.h": [{"id": "m.a.h"}]}}, "historyValue['m.a.h'][0]"),
        ({"historyValue": {"m.a.h": [{"id": "m.a.x"}, {"id": "m.a.y"}]}}, "historyValue['m.a.h']"),
        ({"historyValue": {None: []}}, "historyValue[None]"),
    ],
)
def test_a_snapshot_of_something_else_is_refused_with_its_path(changed: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidSnapshot) as caught:
        step(MACHINE, saved(**changed), "OUT")
    assert caught.value.path == path
    assert isinstance(caught.value, ConfigViolation)


def test_a_snapshot_is_a_mapping() -> None:
    with pytest.raises(InvalidSnapshot, match="not list"):
        step(MACHINE, [], "OUT")  # pyright: ignore[reportArgumentType] - wrong on purpose


def test_a_saved_context_must_be_json() -> None:
    with pytest.raises(InvalidContext) as caught:
        step(MACHINE, saved(context={"a": {1}}), "OUT")
    assert caught.value.path == "context.a"


def test_history_may_name_states_as_bare_texts() -> None:
    snapshot = saved(value="b", historyValue={"m.a.h": ["m.a.y"]})
    assert step(MACHINE, snapshot, "BACK").snapshot["value"] == {"a": "y"}


@pytest.mark.parametrize(
    ("target", "value"),
    [
        ("b", "b"),
        ("a.y", {"a": "y"}),
        (".y", {"a": "y"}),
        ("#m.b", "b"),
        ("#m.a.y", {"a": "y"}),
        ("#why", {"a": "y"}),
        ("#dot.ted", {"c": "p"}),
        ("#dot.ted.q", {"c": "q"}),
        ("#dot", {"d": {"ted": "q"}}),
        ("#dot.ted\\.q", {"d": "ted.q"}),
        (r"v1\.0", "v1.0"),
    ],
)
def test_targets_find_their_states(target: str, value: Any) -> None:
    machine = Machine(
        {
            "id": "m",
            "initial": "a",
            "states": {
                "a": {"initial": "x", "states": {"x": {}, "y": {"id": "why"}}, "on": {"E": target}},
                "b": {},
                "c": {"id": "dot.ted", "initial": "p", "states": {"p": {}, "q": {}}},
                "d": {
                    "id": "dot",
                    "initial": "ted",
                    "states": {
                        "ted": {"id": "t", "initial": "q", "states": {"q": {"id": "u"}}},
                        "ted.q": {"id": "w"},
                    },
                },
                "v1.0": {},
            },
        }
    )
    assert step(machine, step(machine, None).snapshot, "E").snapshot["value"] == value


def test_the_example_of_the_documentation_runs() -> None:
    page = (Path(__file__).parents[3] / "docs" / "statecharts.md").read_text()
    example = page.split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(compile(example, "docs/statecharts.md", "exec"), names)
    third = names["third"]
    assert (third.snapshot["status"], third.output) == ("done", {"total": 3})
    assert third.emitted == [{"type": "com.receipt.print", "data": {}}]
