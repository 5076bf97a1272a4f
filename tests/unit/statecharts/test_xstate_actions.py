"""
What XState's own suites say about actions, completion and saved states, by value: `assign`, `emit`, `predictableExec`,
`microstep`, `final`, `rehydration`, `transition`, `invalid`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from pyarvo.errors import InvalidMachine, InvalidSnapshot
from pyarvo.statecharts import Machine, MachineForm, StateForm, assign, emit, raise_, step
from pyarvo.statecharts.forms import ActionForm

UNASKED = object()


@dataclass
class Case:
    title: str
    config: MachineForm
    events: Sequence[Any] = ()
    value: Any = UNASKED
    said: str | None = None
    context: Any = UNASKED
    status: str = "active"
    output: Any = UNASKED
    actions: dict[str, ActionForm] = field(default_factory=dict[str, ActionForm])


def say(word: str) -> Any:
    return emit({"type": word})


def tell(what: str) -> Any:
    """Say a member of the context."""
    return emit(lambda context, _event: {"type": f"{what}={context[what]}"})


def tell_event() -> Any:
    return emit(lambda _context, event: {"type": f"by {event.type}"})


def region(**states: StateForm) -> StateForm:
    return {"initial": next(iter(states)), "states": states}


def more(state: StateForm, **keys: Any) -> Any:
    return {**state, **keys}


FINAL: StateForm = {"type": "final"}


# assign

COUNTER: MachineForm = {
    "context": {"count": 0, "foo": "bar"},
    "initial": "counting",
    "states": {
        "counting": {
            "on": {
                "INC": [{"target": "counting", "actions": assign(lambda c, _e: {"count": c["count"] + 1})}],
                "DEC": [{"target": "counting", "actions": [assign({"count": lambda c, _e: c["count"] - 1})]}],
                "WIN_PROP": {"actions": assign({"count": lambda: 100, "foo": lambda: "win"})},
                "WIN_STATIC": {"actions": assign({"count": 100, "foo": "win"})},
                "WIN_MIX": {"actions": assign({"count": lambda: 100, "foo": "win"})},
                "WIN": {"actions": assign(lambda: {"count": 100, "foo": "win"})},
                "MAYBE": {"actions": assign({"maybe": "defined"})},
                "SET": {"actions": assign({"count": lambda _c, e: e.data["value"]})},
                "SWAP": {
                    "actions": assign({"count": lambda c, _e: c["foo"], "foo": lambda c, _e: c["count"]})
                },
            }
        }
    },
}
INC_BY_10: Any = {"context": {"count": 1}, "entry": {"type": "inc", "params": {"by": 10}}}
ASSIGN = [
    Case("by member, once", COUNTER, ["DEC"], "counting", context={"count": -1, "foo": "bar"}),
    Case("by member, twice", COUNTER, ["DEC", "DEC"], "counting", context={"count": -2, "foo": "bar"}),
    Case("as a whole, once", COUNTER, ["INC"], "counting", context={"count": 1, "foo": "bar"}),
    Case("as a whole, twice", COUNTER, ["INC", "INC"], "counting", context={"count": 2, "foo": "bar"}),
    Case("several members, computed", COUNTER, ["WIN_PROP"], context={"count": 100, "foo": "win"}),
    Case("several members, written", COUNTER, ["WIN_STATIC"], context={"count": 100, "foo": "win"}),
    Case("several members, mixed", COUNTER, ["WIN_MIX"], context={"count": 100, "foo": "win"}),
    Case("several members, as a whole", COUNTER, ["WIN"], context={"count": 100, "foo": "win"}),
    Case("an unknown event changes nothing", COUNTER, ["FAKE"], context={"count": 0, "foo": "bar"}),
    Case("a new member", COUNTER, ["MAYBE"], context={"count": 0, "foo": "bar", "maybe": "defined"}),
    Case("from the event", COUNTER, [{"type": "SET", "value": 30}], context={"count": 30, "foo": "bar"}),
    Case(
        "every member is computed from the context before",
        COUNTER,
        ["SWAP"],
        context={"count": "bar", "foo": 0},
    ),
    Case(
        "params for the whole",
        INC_BY_10,
        context={"count": 11},
        actions={"inc": assign(lambda c, _e, p: {"count": c["count"] + p["by"]})},
    ),
    Case(
        "params for a member",
        INC_BY_10,
        context={"count": 11},
        actions={"inc": assign({"count": lambda c, _e, p: c["count"] + p["by"]})},
    ),
]


# emit

EMIT = [
    Case("on entry", {"entry": say("nonsense")}, said="nonsense"),
    Case(
        "on a transition",
        {"on": {"E": {"actions": emit({"type": "emitted", "foo": "bar"})}}},
        ["E"],
        said="emitted",
    ),
    Case(
        "on exit",
        {"initial": "a", "states": {"a": {"exit": say("bye"), "on": {"E": "b"}}, "b": {}}},
        ["E"],
        said="bye",
    ),
    Case(
        "from the context",
        {"context": {"count": 10}, "on": {"E": {"actions": tell("count")}}},
        ["E"],
        said="count=10",
    ),
    Case(
        "after an assignment before it",
        {"context": {"count": 10}, "on": {"E": {"actions": [assign({"count": 11}), tell("count")]}}},
        ["E"],
        said="count=11",
    ),
    Case("several, in order", {"on": {"E": {"actions": [say("one"), say("two")]}}}, ["E"], said="one two"),
    Case("nothing from the steps before", {"entry": say("x"), "on": {"E": {}}}, ["E"], said=""),
    Case(
        "by name, with params",
        {"entry": {"type": "greet", "params": {"name": "you"}}},
        said="hello you",
        actions={"greet": emit(lambda _c, _e, p: {"type": f"hello {p['name']}"})},
    ),
]


# Order of execution, microsteps

EXECUTION = [
    Case(
        "in the order they are written",
        {
            "context": {"n": 0},
            "initial": "a",
            "states": {
                "a": {"on": {"E": "b"}},
                "b": {"entry": [say("custom"), assign({"n": 1}), say("after")]},
            },
        },
        ["E"],
        said="custom after",
    ),
    Case("entry actions run at the start", {"entry": say("called")}, said="called"),
    Case(
        "assignments are made at the start",
        {"context": {"called": False}, "entry": [assign({"called": True})]},
        context={"called": True},
    ),
    Case(
        "actions see the raised event",
        {
            "initial": "a",
            "states": {
                "a": {"on": {"E": "b"}},
                "b": {"entry": raise_("RAISED"), "on": {"RAISED": {"target": "c", "actions": tell_event()}}},
                "c": {},
            },
        },
        ["E"],
        "c",
        "by RAISED",
    ),
    Case(
        "assignments see the raised event",
        {
            "context": {},
            "initial": "a",
            "states": {
                "a": {"on": {"E": "b"}},
                "b": {
                    "entry": raise_({"type": "RAISED", "data": {"k": 1}}),
                    "on": {"RAISED": {"target": "c", "actions": assign({"k": lambda _c, e: e.data["k"]})}},
                },
                "c": {},
            },
        },
        ["E"],
        "c",
        context={"k": 1},
    ),
    Case(
        "entry actions see the raised event",
        {
            "initial": "a",
            "states": {
                "a": {"on": {"E": "b"}},
                "b": {"entry": raise_("RAISED"), "on": {"RAISED": "c"}},
                "c": {"entry": tell_event()},
            },
        },
        ["E"],
        said="by RAISED",
    ),
    Case(
        "a raise may be computed",
        {
            "context": {"n": 2},
            "on": {
                "E": {"actions": raise_(lambda c, _e: {"type": "GO", "data": c["n"]})},
                "GO": {"actions": assign({"got": lambda _c, e: e.data})},
            },
        },
        ["E"],
        context={"n": 2, "got": 2},
    ),
    Case(
        "an action between assignments sees the first",
        {
            "context": {"counter": 0},
            "initial": "a",
            "states": {
                "a": {"on": {"E": "b"}},
                "b": {"entry": [assign({"counter": 1}), tell("counter"), assign({"counter": 2})]},
            },
        },
        ["E"],
        said="counter=1",
        context={"counter": 2},
    ),
    Case(
        "the same at the start",
        {
            "context": {"count": 0},
            "entry": [
                tell("count"),
                assign({"count": 1}),
                tell("count"),
                assign({"count": 2}),
                tell("count"),
            ],
        },
        said="count=0 count=1 count=2",
    ),
    Case(
        "exit, transition, entry",
        {
            "initial": "a",
            "states": {
                "a": {"exit": say("exit"), "on": {"E": {"target": "b", "actions": say("on")}}},
                "b": {"entry": say("entry")},
            },
        },
        ["E"],
        "b",
        "exit on entry",
    ),
    Case(
        "raised and eventless microsteps follow one another",
        {
            "initial": "start",
            "states": {
                "start": {"on": {"GO": "a"}},
                "a": {"entry": [say("a"), raise_("NEXT")], "on": {"NEXT": "b"}},
                "b": {"entry": say("b"), "always": "c"},
                "c": {"entry": [say("c"), raise_("NEXT")], "on": {"NEXT": "d"}},
                "d": {"entry": say("d")},
            },
        },
        ["GO"],
        "d",
        "a b c d",
    ),
    Case(
        "an eventless microstep",
        {"initial": "a", "states": {"a": {"on": {"E": "b"}}, "b": {"always": "c"}, "c": {}}},
        ["E"],
        "c",
    ),
    Case(
        "raised on a transition",
        {
            "initial": "a",
            "states": {
                "a": {"on": {"E": {"target": "b", "actions": raise_("R")}}},
                "b": {"on": {"R": "c"}},
                "c": {},
            },
        },
        ["E"],
        "c",
    ),
    Case(
        "the queue is kept between microsteps",
        {
            "initial": "a",
            "states": {
                "a": {"on": {"E": {"target": "b", "actions": [raise_("FOO"), raise_("BAR")]}}},
                "b": {"on": {"FOO": "c"}},
                "c": {"on": {"BAR": "d"}},
                "d": {"always": "e"},
                "e": {},
            },
        },
        ["E"],
        "e",
    ),
    Case(
        "a raised event that nobody takes is gone",
        {
            "initial": "a",
            "states": {"a": {"entry": raise_("R"), "on": {"E": "b"}}, "b": {"on": {"R": "c"}}, "c": {}},
        },
        ["E"],
        "b",
    ),
    Case(
        "actions by name, as objects and inline, mixed",
        {"entry": ["one", {"type": "two"}, say("three")]},
        said="one two three",
        actions={"one": say("one"), "two": say("two")},
    ),
]


# Completion

TWO_ALPHA: StateForm = {
    "type": "parallel",
    "states": {
        "one": region(s={"on": {"A1": "f"}}, f=FINAL),
        "two": region(s={"on": {"A2": "f"}}, f=FINAL),
    },
}
BETA_PARALLEL: StateForm = {
    "type": "parallel",
    "states": {
        "three": region(s={"on": {"B3": "f"}}, f=FINAL),
        "four": region(s={"on": {"B4": "f"}}, f=FINAL),
    },
}
BETA = region(s={"on": {"B": "f"}}, f=FINAL)


def regions(*, on_done: str = "done", **states: StateForm) -> MachineForm:
    return {
        "initial": "first",
        "states": {"first": {"type": "parallel", "states": states, "onDone": on_done}, "done": FINAL},
    }


def told_event() -> Any:
    def output(_context: Any, event: Any) -> Any:
        return {"type": event.type, "output": event.output}

    return output


def tell_done() -> Any:
    return emit(lambda _c, e: {"type": f"{e.type}:{e.output}"})


def completing(event: str = "EV", other: str = "EV") -> MachineForm:
    return {
        "type": "parallel",
        "states": {
            "a": region(x={"on": {event: "y"}}, y=FINAL),
            "b": region(x={"on": {other: "y"}}, y=FINAL),
        },
    }


END_OF_REGIONS = "-b.y -b -a.y -a -root"
COMPLETION = [
    Case("a final root", {"type": "final"}, status="done"),
    Case(
        "a final root's output sees the root's completion",
        {"type": "final", "output": told_event()},
        status="done",
        output={"type": "xstate.done.state.(machine)", "output": None},
    ),
    Case(
        "a parallel state completes with its regions, by id",
        {
            "id": "m",
            "initial": "foo",
            "states": {
                "foo": {
                    "type": "parallel",
                    "states": {
                        "first": region(a={"on": {"N1": "b"}}, b=FINAL),
                        "second": region(a={"on": {"N2": "b"}}, b=FINAL),
                    },
                    "onDone": {"target": "bar", "actions": tell_event()},
                },
                "bar": {},
            },
        },
        ["N1", "N2"],
        "bar",
        "by xstate.done.state.m.foo",
    ),
    Case(
        "inner completion first",
        {
            "initial": "foo",
            "states": {
                "foo": {
                    "initial": "bar",
                    "onDone": {"actions": say("foo")},
                    "states": {
                        "bar": more(region(baz={"type": "final", "entry": say("baz")}), onDone="end"),
                        "end": {"type": "final", "entry": say("bar")},
                    },
                }
            },
        },
        said="baz bar foo",
    ),
    Case(
        "the output of a nested final state is in the completion event",
        {
            "context": {"revealed": None},
            "initial": "secret",
            "states": {
                "secret": more(
                    region(
                        wait={"on": {"ASK": "reveal"}},
                        reveal={"type": "final", "output": lambda: {"secret": "the secret"}},
                    ),
                    onDone={
                        "target": "success",
                        "actions": assign({"revealed": lambda _c, e: e.output["secret"]}),
                    },
                ),
                "success": FINAL,
            },
        },
        ["ASK"],
        "success",
        context={"revealed": "the secret"},
        status="done",
    ),
    Case(
        "that output sees what the entry actions assigned",
        {
            "context": {"count": 0},
            "initial": "a",
            "states": {
                "a": more(
                    region(
                        a1={"on": {"N": "a2"}},
                        a2={
                            "type": "final",
                            "entry": assign({"count": 1}),
                            "output": lambda c, _e: c["count"],
                        },
                    ),
                    onDone={"actions": tell_done()},
                )
            },
        },
        ["N"],
        said="xstate.done.state.(machine).a:1",
    ),
    Case(
        "parallel in parallel: all four",
        regions(alpha=TWO_ALPHA, beta=BETA_PARALLEL),
        ["A1", "A2", "B3", "B4"],
        "done",
        status="done",
    ),
    Case(
        "parallel in parallel: three of four",
        regions(alpha=TWO_ALPHA, beta=BETA_PARALLEL),
        ["A1", "A2", "B3"],
        {"first": {"alpha": {"one": "f", "two": "f"}, "beta": {"three": "f", "four": "s"}}},
    ),
    Case(
        "the compound region completes last",
        regions(alpha=TWO_ALPHA, beta=BETA),
        ["A1", "A2", "B"],
        "done",
        status="done",
    ),
    Case(
        "the parallel region completes last",
        regions(alpha=TWO_ALPHA, beta=BETA),
        ["B", "A1", "A2"],
        "done",
        status="done",
    ),
    Case(
        "all complete at the start",
        regions(a1={"type": "parallel", "states": {"x": FINAL, "y": FINAL}}, a2=region(z=FINAL)),
        [],
        "done",
        status="done",
    ),
    Case(
        "a final region of a parallel root: the root's completion",
        {"type": "parallel", "states": {"a": FINAL}, "output": told_event()},
        status="done",
        output={"type": "xstate.done.state.(machine)", "output": None},
    ),
    Case(
        "a final state in a region of a parallel root: the root's completion",
        {"type": "parallel", "states": {"a": region(b=FINAL)}, "output": told_event()},
        status="done",
        output={"type": "xstate.done.state.(machine)", "output": None},
    ),
    Case(
        "two parallel levels deep",
        {
            "type": "parallel",
            "states": {"a": {"type": "parallel", "states": {"b": region(c=FINAL)}}},
            "output": told_event(),
        },
        status="done",
        output={"type": "xstate.done.state.(machine)", "output": None},
    ),
    Case(
        "an outer parallel state gets its own completion event",
        {
            "initial": "a",
            "states": {
                "a": {
                    "type": "parallel",
                    "states": {"b": {"type": "parallel", "states": {"c": region(d=FINAL)}}},
                    "onDone": {"actions": tell_done()},
                }
            },
        },
        said="xstate.done.state.(machine).a:None",
    ),
    Case(
        "completions inside a machine that is done are not heard",
        {
            "type": "parallel",
            "states": {
                "a": {
                    "type": "parallel",
                    "states": {"b": more(region(c=FINAL), onDone={"actions": say("never")})},
                    "onDone": {"actions": say("never")},
                }
            },
            "onDone": {"actions": say("never")},
        },
        said="",
        status="done",
    ),
    Case(
        "a completed parallel child does not complete the machine",
        {"initial": "a", "states": {"a": {"type": "parallel", "states": {"b": region(c=FINAL)}}}},
        [],
        {"a": {"b": "c"}},
    ),
    Case(
        "onDone of a parallel state is heard once",
        {
            "initial": "a",
            "states": {
                "a": {
                    "type": "parallel",
                    "states": {"b": FINAL, "c": FINAL},
                    "onDone": {"actions": say("once")},
                }
            },
        },
        said="once",
    ),
    Case(
        "a parallel root waits for all regions, compound",
        {"type": "parallel", "states": {"A": region(A1=FINAL), "B": region(B1={}, B2=FINAL)}},
        [],
        {"A": "A1", "B": "B1"},
    ),
    Case(
        "a parallel root waits for all regions, final",
        {"type": "parallel", "states": {"A": FINAL, "B": region(B1={}, B2=FINAL)}},
        [],
        {"A": {}, "B": "B1"},
    ),
    Case(
        "the machine's output sees the final state's",
        {
            "initial": "a",
            "states": {"a": {"on": {"N": "b"}}, "b": {"type": "final", "output": {"k": 1}}},
            "output": told_event(),
        },
        ["N"],
        status="done",
        output={"type": "xstate.done.state.(machine).b", "output": {"k": 1}},
    ),
    Case(
        "a plain output",
        {"initial": "a", "states": {"a": FINAL}, "output": {"answer": 42}},
        status="done",
        output={"answer": 42},
    ),
    Case(
        "an output that is no mapping",
        {"initial": "a", "states": {"a": FINAL}, "output": 42},
        status="done",
        output=42,
    ),
    Case(
        "a null output of the root",
        {"initial": "a", "states": {"a": FINAL}, "output": None},
        status="done",
        output=None,
    ),
    Case(
        "a null output of the final state",
        {
            "initial": "a",
            "states": {"a": {"type": "final", "output": None}},
            "output": lambda _c, e: e.output,
        },
        status="done",
        output=None,
    ),
    Case(
        "exit actions at the end see the event, not the completion",
        {
            "initial": "a",
            "output": {"k": 1},
            "exit": tell_event(),
            "states": {"a": {"on": {"E": "b"}}, "b": FINAL},
        },
        ["E"],
        said="by E",
        status="done",
    ),
    Case(
        "a region's output is not the parallel state's",
        {
            "initial": "p",
            "states": {
                "p": {
                    "type": "parallel",
                    "states": {"a": region(f={"type": "final", "output": {"k": 1}})},
                    "onDone": {"actions": tell_done()},
                }
            },
        },
        said="xstate.done.state.(machine).p:None",
    ),
    Case(
        "raised events die with the machine",
        {
            "initial": "a",
            "on": {"R": {"actions": say("never")}},
            "states": {"a": {"type": "final", "entry": raise_("R")}},
        },
        said="",
        status="done",
    ),
]
EXITS = [
    Case(
        "exit actions at the end, in reverse order",
        {"initial": "a", "states": {"a": {"on": {"EV": "b"}}, "b": FINAL}},
        ["EV"],
        said="-a +b -b -root",
        status="done",
    ),
    Case(
        "regions: the earlier one last",
        completing("EV2", "EV1"),
        ["EV1", "EV2"],
        said=f"-a.x +a.y {END_OF_REGIONS}",
        status="done",
    ),
    Case(
        "regions: the later one last",
        completing("EV1", "EV2"),
        ["EV1", "EV2"],
        said=f"-b.x +b.y {END_OF_REGIONS}",
        status="done",
    ),
    Case(
        "regions: both at once",
        completing(),
        ["EV"],
        said=f"-b.x -a.x +a.y +b.y {END_OF_REGIONS}",
        status="done",
    ),
]


def check(played: Any, case: Case) -> None:
    if case.value is not UNASKED:
        assert played.value == case.value
    if case.said is not None:
        assert " ".join(played.said) == case.said
    if case.context is not UNASKED:
        assert played.context == case.context
    if case.output is not UNASKED:
        assert played.last.snapshot["output"] == case.output
    assert played.status == case.status


@pytest.mark.parametrize("case", ASSIGN + EMIT + EXECUTION + COMPLETION, ids=lambda case: case.title)
def test_case(play: Any, case: Case) -> None:
    check(play(case.config, *case.events, actions=case.actions), case)


@pytest.mark.parametrize("case", EXITS, ids=lambda case: case.title)
def test_case_of_exits(play: Any, tracked: Any, case: Case) -> None:
    check(play(tracked(case.config), *case.events), case)


def test_the_output_is_computed_once() -> None:
    calls: list[int] = []
    config: MachineForm = {
        "initial": "a",
        "states": {"a": {"on": {"N": "b"}}, "b": FINAL},
        "output": lambda: calls.append(1),
    }
    machine = Machine(config)
    done = step(machine, step(machine, None).snapshot, "N")
    step(machine, done.snapshot, "N")
    assert calls == [1]


def test_the_output_of_a_parallel_root_is_computed_once() -> None:
    calls: list[int] = []
    step(
        Machine({"type": "parallel", "states": {"a": FINAL, "b": FINAL}, "output": lambda: calls.append(1)}),
        None,
    )
    assert calls == [1]


def test_the_output_of_a_final_region_is_not_computed() -> None:
    calls: list[int] = []
    parallel: StateForm = {
        "type": "parallel",
        "states": {"B": {"type": "final", "output": lambda: calls.append(1)}, "C": region(C1={})},
    }
    step(Machine({"initial": "A", "states": {"A": parallel}}), None)
    assert calls == []


# Saved states


def test_entry_actions_do_not_run_again_on_a_saved_state() -> None:
    machine = Machine({"entry": say("entry"), "initial": "a", "states": {"a": {"entry": say("a")}}})
    saved = json.loads(json.dumps(step(machine, None).snapshot))
    assert step(machine, saved, "nothing").emitted == []


def test_always_of_a_saved_state_is_looked_at_with_the_next_event() -> None:
    asked: list[str] = []

    def ask(_context: Any, event: Any) -> bool:
        asked.append(event.type)
        return False

    machine = Machine({"initial": "a", "states": {"a": {"always": {"target": "b", "guard": ask}}, "b": {}}})
    step(machine, step(machine, None).snapshot, "E")
    assert asked == ["xstate.init", "E"]


def test_history_survives_saving(play: Any) -> None:
    config: MachineForm = {
        "initial": "on",
        "states": {
            "on": more(
                region(first={"on": {"S": "second"}}, second={}, h={"type": "history"}), on={"P": "off"}
            ),
            "off": {"on": {"P": "on.h"}},
        },
    }
    played = play(config, "S", "P", "P")
    assert played.values == [{"on": "first"}, {"on": "second"}, "off", {"on": "second"}]
    assert played.results[2].snapshot["historyValue"] == {"(machine).on.h": [{"id": "(machine).on.second"}]}


@pytest.mark.parametrize("history", [None, {}])
def test_a_saved_state_without_history_has_recorded_nothing(history: Any) -> None:
    machine = Machine(
        {
            "initial": "off",
            "states": {
                "on": region(first={}, second={}, h={"type": "history"}),
                "off": {"on": {"P": "on.h"}},
            },
        }
    )
    saved = {**step(machine, None).snapshot, "historyValue": history}
    assert step(machine, saved, "P").snapshot["value"] == {"on": "first"}


BOTH: MachineForm = {"type": "parallel", "states": {"A": region(A1={}, A2={}), "B": region(B1={}, B2={})}}


@pytest.mark.parametrize(
    ("config", "value", "path"),
    [
        ({"initial": "valid", "states": {"valid": {}}}, "invalid", "value.invalid"),
        (
            {"initial": "parent", "states": {"parent": region(valid={})}},
            {"parent": "invalid"},
            "value.parent.invalid",
        ),
        (BOTH, {"A": "A3", "B": "B3"}, "value.A.A3"),
        (BOTH, "A", "value"),
        (BOTH, {"A": {}, "B": {}}, "value.A"),
        (BOTH, {"A": "A1", "B": {}}, "value.B"),
        (BOTH, {"A": "A1"}, "value"),
    ],
)
def test_state_values_of_another_machine_are_refused(config: MachineForm, value: Any, path: str) -> None:
    machine = Machine(config)
    with pytest.raises(InvalidSnapshot) as caught:
        step(machine, {**step(machine, None).snapshot, "value": value}, "E")
    assert caught.value.path == path


def test_a_valid_state_value_is_taken() -> None:
    machine = Machine(BOTH)
    saved = {**step(machine, None).snapshot, "value": {"B": "B2", "A": "A1"}}
    assert step(machine, saved, "E").snapshot["value"] == {"A": "A1", "B": "B2"}


def test_a_step_is_a_pure_function() -> None:
    config: MachineForm = {
        "context": {"n": 0},
        "initial": "a",
        "states": {"a": {"on": {"E": {"target": "b", "actions": assign({"n": 1})}}}, "b": {}},
    }
    machine = Machine(config)
    first = step(machine, None).snapshot
    assert step(machine, first, "E") == step(machine, first, "E")
    assert first == step(machine, None).snapshot


def test_an_unknown_action_is_an_error_of_the_definition() -> None:
    with pytest.raises(InvalidMachine, match="no action 'missing'"):
        Machine({"entry": "missing"})
