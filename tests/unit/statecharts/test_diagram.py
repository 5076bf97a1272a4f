"""Pictures of a machine: every state and transition is there, and so are the active states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pyarvo.errors import InvalidSnapshot
from pyarvo.statecharts import (
    Machine,
    MachineForm,
    and_,
    assign,
    emit,
    enqueue_arvo_event,
    not_,
    or_,
    raise_,
    state_in,
    step,
    to_dot,
    to_mermaid,
    to_text,
)


def is_large(_context: object, _event: object) -> bool:
    return True


CHART: MachineForm = {
    "id": "order",
    "initial": "check",
    "on": {"evt.cancel.*": ".over"},
    "states": {
        "check": {
            "entry": [emit({"type": "com.stock.check"}), assign({"tries": 1}), "log"],
            "exit": enqueue_arvo_event(lambda: {"type": "x"}),
            "always": {"target": "over", "guard": and_(not_("open"), or_(is_large, state_in("work")))},
            "on": {
                "evt.stock.done": {"target": "work", "guard": {"type": "open"}, "actions": raise_("GO")},
                "evt.stock.told": {"actions": "log"},
            },
        },
        "work": {
            "type": "parallel",
            "onDone": "over",
            "states": {
                "pay": {
                    "initial": "wait",
                    "states": {
                        "wait": {"on": {"*": "paid"}},
                        "paid": {"type": "final"},
                        "h": {"type": "history", "target": "wait"},
                    },
                },
                "ship": {
                    "initial": "wait",
                    "states": {"wait": {}, "h": {"type": "history", "history": "deep"}},
                },
            },
        },
        "over": {"type": "final"},
    },
}
MACHINE = Machine(CHART, actions={"log": lambda: None}, guards={"open": lambda: True})
SNAPSHOT = {**step(MACHINE, None).snapshot, "value": {"work": {"pay": "paid", "ship": "wait"}}}

TEXT = """\
  order (starts in check)
      evt.cancel.* -> over
      check
          entry / emit com.stock.check, assign tries, log
          exit / enqueue
          evt.stock.done [open] -> work / raise GO
          evt.stock.told -> (stays) / log
          always [not open and (is_large or in work)] -> over
      work (parallel)
          done -> over
          pay (starts in wait)
              wait
                  * -> paid
              paid (final)
              h (H) (history)
                  default -> wait
          ship (starts in wait)
              wait
              h (H*) (history)
      over (final)
"""


def test_text_shows_the_whole_machine() -> None:
    assert to_text(MACHINE) == TEXT


def test_text_marks_the_active_states() -> None:
    marked = [
        line.split("(")[0].strip("> ")
        for line in to_text(MACHINE, SNAPSHOT).splitlines()
        if line.startswith(">")
    ]
    assert marked == ["order", "work", "pay", "paid", "ship", "wait"]


def test_mermaid_shows_every_state_and_transition_once() -> None:
    lines = [line.strip() for line in to_mermaid(MACHINE).splitlines()]
    assert lines[0] == "stateDiagram-v2"
    assert sum(line.startswith("state ") for line in lines) == 11
    for line in (
        "[*] --> s1",
        "s1 : entry / emit com.stock.check, assign tries, log",
        "s1 --> s2 : evt.stock.done [open] / raise GO",
        "s1 --> s1 : evt.stock.told / log",
        "s1 --> s10 : always [not open and (is_large or in work)]",
        "s0any --> s10 : evt.cancel.*",
        'state "any of order" as s0any',
        "s2 --> s10 : done",
        "s4 --> s5 : *",
        "s6 --> s4 : default",
        "s10 --> [*]",
        "--",
    ):
        assert lines.count(line) == 1, line
    assert lines.count("}") == 3
    assert not any(line.startswith("class") for line in lines)


def test_mermaid_marks_the_active_leaves() -> None:
    assert to_mermaid(MACHINE, SNAPSHOT).splitlines()[-1] == "  class s5,s8 active"


def test_mermaid_escapes_what_it_would_read_as_syntax() -> None:
    chart: MachineForm = {"initial": 'a"b', "states": {'a"b': {"on": {"x;y: z{}": "c"}}, "c": {}}}
    drawn = to_mermaid(Machine(chart))
    assert '  state "a#34;b" as s1' in drawn
    assert "s1 --> s2 : x#59;y#58; z#123;#125;" in drawn


def test_dot_shows_every_state_and_transition() -> None:
    drawn = to_dot(MACHINE)
    assert drawn.count("subgraph ") == 4
    assert drawn.count(" -> ") == 12
    assert (
        '"order.check" -> "start order.work" [label="evt.stock.done [open] / raise GO", lhead="cluster order.work"];'
        in drawn
    )
    assert '"start order.work" -> "order.over" [label="done", ltail="cluster order.work"];' in drawn
    assert "fillcolor" not in drawn


def test_dot_marks_the_active_states() -> None:
    marked = [line.split()[0] for line in to_dot(MACHINE, SNAPSHOT).splitlines() if "fillcolor" in line]
    assert marked == ['"order.work.pay.paid"', '"order.work.ship.wait"']


def test_a_machine_of_one_state_can_be_drawn() -> None:
    machine = Machine({"id": "one", "on": {"X": {"actions": emit({"type": "y"})}}})
    snapshot = step(machine, None).snapshot
    assert to_text(machine, snapshot) == "> one\n      X -> (stays) / emit y\n"
    assert "s0 --> s0 : X / emit y" in to_mermaid(machine, snapshot)
    assert '"one" -> "one" [label="X / emit y"];' in to_dot(machine, snapshot)


@pytest.mark.parametrize("draw", [to_mermaid, to_dot, to_text])
def test_what_is_no_snapshot_is_refused(draw: Callable[[Machine, Any], str]) -> None:
    with pytest.raises(InvalidSnapshot, match="not str"):
        draw(MACHINE, "check")


def test_a_snapshot_of_another_machine_is_refused() -> None:
    with pytest.raises(InvalidSnapshot):
        to_text(MACHINE, {**SNAPSHOT, "value": "elsewhere"})
