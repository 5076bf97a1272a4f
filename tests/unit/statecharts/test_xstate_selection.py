"""
What XState's own suites say about choosing transitions, by value: `eventDescriptors`, `guards`, `stateIn`, `transient`.

A case is a chart, events, and what holds after the last of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from pyarvo.errors import EndlessLoop, InvalidMachine
from pyarvo.statecharts import Machine, MachineForm, and_, assign, emit, not_, or_, raise_, state_in, step
from pyarvo.statecharts.forms import GuardForm, NamedForm, StateForm, TransitionForm

UNASKED = object()


@dataclass
class Case:
    title: str
    config: MachineForm
    events: Sequence[Any] = ()
    value: Any = UNASKED
    said: Any = UNASKED
    context: Any = UNASKED
    status: str = "active"
    input: Any = None
    guards: dict[str, GuardForm] = field(default_factory=dict[str, GuardForm])
    actions: dict[str, Any] = field(default_factory=dict[str, Any])


def check(play: Any, case: Case) -> None:
    played = play(case.config, *case.events, input=case.input, guards=case.guards, actions=case.actions)
    asked = {"value": case.value, "said": case.said, "context": case.context}
    expected = {name: wanted for name, wanted in asked.items() if wanted is not UNASKED}
    assert expected or case.status != "active", "the case asks nothing"
    assert {name: getattr(played, name) for name in expected} == expected
    assert played.status == case.status


def say(word: str) -> Any:
    return emit({"type": word})


def yes() -> bool:
    return True


def no() -> bool:
    return False


def from_a(on: dict[str, Any], **more: Any) -> MachineForm:
    """Start in `a`, which reacts as given; `pass` and `fail` are there to go to."""
    states: Any = {"a": {"on": on}, "pass": {}, "fail": {}, **more}
    return {"initial": "a", "states": states}


DESCRIPTORS = [
    Case("falls back to the wildcard", from_a({"FOO": "fail", "*": "pass"}), ["BAR"], "pass"),
    Case(
        "prefers the exact type though the wildcard is written first",
        from_a({"*": "fail", "NEXT": "pass"}),
        ["NEXT"],
        "pass",
    ),
    Case(
        "prefers the exact type to a prefix written first",
        from_a({"foo.*": "fail", "foo.bar": "pass"}),
        ["foo.bar"],
        "pass",
    ),
    Case(
        "prefers the longer prefix", from_a({"foo.*": "fail", "foo.bar.*": "pass"}), ["foo.bar.baz"], "pass"
    ),
    Case(
        "takes the shorter prefix when the longer one's guard fails",
        from_a({"foo.bar.*": {"target": "fail", "guard": no}, "foo.*": "pass"}),
        ["foo.bar.baz"],
        "pass",
    ),
    Case(
        "takes the prefix when the exact type's guard fails",
        from_a({"foo.bar": {"target": "fail", "guard": no}, "foo.*": "pass"}),
        ["foo.bar"],
        "pass",
    ),
    Case("a prefix matches the bare word", from_a({"event.*": "pass"}), ["event"], "pass"),
    Case("a prefix does not match the beginning of a word", from_a({"event.*": "fail"}), ["eventually"], "a"),
    Case("a prefix matches one more word", from_a({"event.*": "pass"}), ["event.whatever"], "pass"),
    Case("a prefix is not looked for in the middle", from_a({"event.*": "fail"}), ["eventually.event"], "a"),
    Case("a prefix matches several more words", from_a({"event.*": "pass"}), ["event.first.second"], "pass"),
    Case(
        "a prefix of several words",
        from_a({"event.foo.bar.*": "pass"}),
        ["event.foo.bar.first.second"],
        "pass",
    ),
    Case(
        "a prefix of several words, too short an event",
        from_a({"event.foo.bar.*": "fail"}),
        ["event.foo"],
        "a",
    ),
    Case(
        "actions under a prefix", from_a({"talk.*": {"actions": say("heard")}}), ["talk.rate"], said=["heard"]
    ),
    Case(
        "types may hold spaces and capitals", from_a({"go to Dashboard": "pass"}), ["go to Dashboard"], "pass"
    ),
    Case(
        "completion events match the wildcard too",
        {
            "initial": "a",
            "states": {
                "a": {
                    "initial": "f",
                    "states": {"f": {"type": "final"}},
                    "on": {"*": {"actions": say("star")}},
                }
            },
        },
        [],
        said=["star"],
    ),
    Case(
        "a completion event can be named by its id",
        {
            "id": "m",
            "initial": "a",
            "states": {
                "a": {
                    "initial": "f",
                    "states": {"f": {"type": "final"}},
                    "on": {"xstate.done.state.m.a": "b"},
                },
                "b": {},
            },
        },
        [],
        "b",
    ),
]


@pytest.mark.parametrize("descriptor", ["event*", "event.*.bar.*", "*.event.*", "event*.bar.*", "*event.*"])
def test_wildcards_inside_are_refused_where_xstate_only_warns(descriptor: str) -> None:
    with pytest.raises(InvalidMachine, match="a wildcard is the whole last part"):
        Machine(from_a({descriptor: "pass"}))


def light(guard: Any = "long") -> MachineForm:
    return {
        "context": lambda given: given or {"elapsed": 0},
        "initial": "green",
        "states": {
            "green": {
                "on": {
                    "TIMER": [{"target": "green", "guard": "short"}, {"target": "yellow", "guard": guard}],
                    "EMERGENCY": {"target": "red", "guard": lambda _c, e: bool(e.data.get("isEmergency"))},
                }
            },
            "yellow": {},
            "red": {},
        },
    }


LIGHTS: dict[str, GuardForm] = {
    "short": lambda context, _event: context["elapsed"] < 100,
    "long": lambda context, _event: 100 <= context["elapsed"] < 200,
    "between": lambda context, _event, params: params["low"] <= context["elapsed"],
}


def two_regions(guard: Any) -> MachineForm:
    return {
        "type": "parallel",
        "states": {
            "A": {"initial": "A0", "states": {"A0": {"on": {"A": "A1"}}, "A1": {}, "A2": {}}},
            "B": {
                "initial": "B0",
                "states": {
                    "B0": {
                        "always": {"target": "B4", "guard": guard},
                        "on": {"T": {"target": "B1", "guard": guard}},
                    },
                    "B1": {},
                    "B4": {},
                },
            },
        },
    }


def guarded(guard: Any) -> MachineForm:
    return from_a({"E": {"target": "pass", "guard": guard}})


GUARDS = [
    Case("not met: stays", light(), ["TIMER"], "green", input={"elapsed": 50}, guards=LIGHTS),
    Case("met: moves", light(), ["TIMER"], "yellow", input={"elapsed": 120}, guards=LIGHTS),
    Case("none met: stays", light(), ["TIMER"], "green", input={"elapsed": 300}, guards=LIGHTS),
    Case(
        "a guard object",
        light({"type": "between", "params": {"low": 150}}),
        ["TIMER"],
        "yellow",
        input={"elapsed": 150},
        guards=LIGHTS,
    ),
    Case(
        "a guard object, not met",
        light({"type": "between", "params": {"low": 151}}),
        ["TIMER"],
        "green",
        input={"elapsed": 150},
        guards=LIGHTS,
    ),
    Case("by the event, met", light(), [{"type": "EMERGENCY", "isEmergency": True}], "red", guards=LIGHTS),
    Case("by the event, not met", light(), [{"type": "EMERGENCY"}], "green", guards=LIGHTS),
    Case(
        "a guard that asks for another region's state, not met",
        two_regions(state_in("A.A2")),
        ["T"],
        {"A": "A0", "B": "B0"},
    ),
    Case(
        "a guard that asks for another region's state, met",
        two_regions(state_in("A.A0")),
        [],
        {"A": "A0", "B": "B4"},
    ),
    Case(
        "guards see the states of the microstep before",
        two_regions(state_in("A.A1")),
        ["A"],
        {"A": "A1", "B": "B4"},
    ),
    Case(
        "falls back to a bare target", from_a({"E": [{"target": "fail", "guard": no}, "pass"]}), ["E"], "pass"
    ),
    Case("inline", guarded(yes), ["E"], "pass"),
    Case("by name", guarded("g"), ["E"], "pass", guards={"g": yes}),
    Case("by name in an object", guarded({"type": "g"}), ["E"], "pass", guards={"g": yes}),
    Case("not: inline", guarded(not_(no)), ["E"], "pass"),
    Case("not: by name", guarded(not_("g")), ["E"], "pass", guards={"g": no}),
    Case(
        "not: object with params",
        guarded(not_({"type": "g", "params": {"value": 10}})),
        ["E"],
        "pass",
        guards={"g": lambda _c, _e, p: p["value"] != 10},
    ),
    Case("not: nested", guarded(not_(and_(not_(no), not_(yes)))), ["E"], "pass"),
    Case("and: inline", guarded(and_(yes, yes)), ["E"], "pass"),
    Case("and: one fails", guarded(and_(yes, no)), ["E"], "a"),
    Case("and: by name", guarded(and_("g", yes)), ["E"], "pass", guards={"g": yes}),
    Case("and: as a list", guarded(and_(*[yes, "g"])), ["E"], "pass", guards={"g": yes}),
    Case("and: nested", guarded(and_(not_(no), or_(no, yes))), ["E"], "pass"),
    Case("or: inline", guarded(or_(no, yes)), ["E"], "pass"),
    Case("or: none", guarded(or_(no, no)), ["E"], "a"),
    Case("or: by name", guarded(or_("g", "h")), ["E"], "pass", guards={"g": no, "h": yes}),
    Case("or: nested", guarded(or_(and_(yes, no), not_(no))), ["E"], "pass"),
    Case("a named combination of inline guards", guarded("g"), ["E"], "pass", guards={"g": not_(no)}),
    Case(
        "a named combination of named guards", guarded("g"), ["E"], "pass", guards={"g": not_("h"), "h": no}
    ),
    Case(
        "a named combination, three deep",
        guarded("g"),
        ["E"],
        "pass",
        guards={"g": and_("h", "i"), "h": yes, "i": or_("h", no)},
    ),
    Case(
        "an alias of a name inside a combination gets no params",
        guarded("g"),
        ["E"],
        "pass",
        guards={"g": not_("h"), "h": lambda _c, _e, p: p is not None},
    ),
]

DYNAMIC_PARAMS: NamedForm = {"type": "g", "params": lambda c, e: [c["n"], e.data["k"]]}


def test_params_may_be_computed_from_context_and_event(play: Any) -> None:
    seen: list[Any] = []
    config: MachineForm = {"context": {"n": 100}, "on": {"E": {"guard": DYNAMIC_PARAMS}}}

    def note(_context: Any, _event: Any, params: Any) -> bool:
        seen.append(params)
        return True

    play(config, {"type": "E", "k": 7}, guards={"g": note})
    assert seen == [[100, 7]]


def test_a_combination_stops_at_the_first_guard_that_decides(play: Any) -> None:
    seen: list[str] = []

    def tell(word: str, answer: bool) -> Any:
        return lambda: seen.append(word) or answer

    config: MachineForm = {
        "on": {
            "E": [
                {"guard": and_(tell("a", False), tell("b", True))},
                {"guard": or_(tell("c", True), tell("d", True))},
            ]
        }
    }
    play(config, "E")
    assert seen == ["a", "c"]


def asking(guard: Any) -> MachineForm:
    return {
        "type": "parallel",
        "states": {
            "a": {
                "initial": "a1",
                "states": {"a1": {"on": {"E": {"target": "a2", "guard": guard}}}, "a2": {"id": "a_two"}},
            },
            "b": {
                "initial": "b1",
                "states": {
                    "b1": {"on": {"B": "b2"}},
                    "b2": {
                        "id": "b_two",
                        "type": "parallel",
                        "states": {
                            "foo": {"initial": "f1", "states": {"f1": {"on": {"F": "f2"}}, "f2": {}}},
                            "bar": {},
                        },
                    },
                },
            },
        },
    }


B2: Any = {"foo": "f1", "bar": {}}
STATE_IN = [
    Case("a path that is active", asking(state_in({"b": "b2"})), ["B", "E"], {"a": "a2", "b": {"b2": B2}}),
    Case("a path that is not active", asking(state_in({"b": "b2"})), ["E"], {"a": "a1", "b": "b1"}),
    Case("an id that is active", asking(state_in("#b_two")), ["B", "E"], {"a": "a2", "b": {"b2": B2}}),
    Case("an id that is not active", asking(state_in("#b_two")), ["E"], {"a": "a1", "b": "b1"}),
    Case("a dotted path", asking(state_in("b.b2.foo.f1")), ["B", "E"], {"a": "a2", "b": {"b2": B2}}),
    Case(
        "a nested value",
        asking(state_in({"b": {"b2": {"foo": "f1"}}})),
        ["B", "E"],
        {"a": "a2", "b": {"b2": B2}},
    ),
    Case(
        "a nested value that does not hold",
        asking(state_in({"b": {"b2": {"foo": "f2"}}})),
        ["B", "E"],
        {"a": "a1", "b": {"b2": B2}},
    ),
    Case(
        "a value of two regions",
        asking(state_in({"a": "a1", "b": "b2"})),
        ["B", "E"],
        {"a": "a2", "b": {"b2": B2}},
    ),
    Case(
        "an id and a path below it",
        asking(state_in("#b_two.foo.f2")),
        ["B", "F", "E"],
        {"a": "a2", "b": {"b2": {"foo": "f2", "bar": {}}}},
    ),
    Case(
        "an id and a path below it that is not active",
        asking(state_in("#b_two.foo.f2")),
        ["B", "E"],
        {"a": "a1", "b": {"b2": B2}},
    ),
    Case(
        "by name", asking("inB"), ["B", "E"], {"a": "a2", "b": {"b2": B2}}, guards={"inB": state_in("#b_two")}
    ),
    Case("forbids an event", asking(not_(state_in("b.b1"))), ["E"], {"a": "a1", "b": "b1"}),
]


def fork(first: Any, second: Any) -> MachineForm:
    return {
        "context": {"data": False},
        "initial": "G",
        "states": {"G": {"on": {"GO": "E"}}, "E": {"always": [first, second]}, "D": {}, "F": {}},
    }


def unset(context: Any, _event: Any) -> bool:
    return not context["data"]


def is_set(context: Any, _event: Any) -> bool:
    return bool(context["data"])


def whatever(_context: Any, event: Any) -> bool:
    return event.type == "WHATEVER"


def told_by(word: str) -> Any:
    return emit(lambda _c, e: {"type": f"{word}:{e.type}"})


GREETING: MachineForm = {
    "id": "greeting",
    "context": {"hour": 10},
    "initial": "pending",
    "states": {
        "pending": {
            "always": [
                {"target": "morning", "guard": lambda c, _e: c["hour"] < 12},
                {"target": "afternoon", "guard": lambda c, _e: c["hour"] < 18},
                {"target": "evening"},
            ]
        },
        "morning": {},
        "afternoon": {},
        "evening": {},
    },
    "on": {"CHANGE": {"actions": assign({"hour": 20})}, "RECHECK": "#greeting"},
}


def region(**states: Any) -> Any:
    return {"initial": next(iter(states)), "states": states}


def waiting(always: list[TransitionForm], **states: StateForm) -> StateForm:
    return {"always": always, "initial": "a", "states": states}


def if_in(target: str, **value: str) -> Any:
    return {"always": {"target": target, "guard": state_in(value)}}


TRANSIENT = [
    Case(
        "the first candidate that holds", fork({"target": "D", "guard": unset}, {"target": "F"}), ["GO"], "D"
    ),
    Case(
        "the first of two that hold",
        fork({"target": "D", "guard": unset}, {"target": "F", "guard": yes}),
        ["GO"],
        "D",
    ),
    Case(
        "the last candidate without a guard",
        fork({"target": "D", "guard": is_set}, {"target": "F"}),
        ["GO"],
        "F",
    ),
    Case(
        "actions of every microstep, in order",
        {
            "initial": "A",
            "states": {
                "A": {"exit": say("exit A"), "on": {"TIMER": {"target": "T", "actions": say("timer")}}},
                "T": {"always": [{"target": "B"}]},
                "B": {"entry": say("enter B")},
            },
        },
        ["TIMER"],
        "B",
        ["exit A", "timer", "enter B"],
    ),
    Case(
        "internal events one after the other",
        {
            "type": "parallel",
            "states": {
                "A": region(A1={"on": {"E": "A2"}}, A2={"entry": raise_("INT1")}),
                "B": region(B1={"on": {"E": "B2"}}, B2={"entry": raise_("INT2")}),
                "C": region(
                    C1={"on": {"INT1": "C2", "INT2": "C3"}},
                    C2={"on": {"INT2": "C4"}},
                    C3={"on": {"INT1": "C4"}},
                    C4={},
                ),
            },
        },
        ["E"],
        {"A": "A2", "B": "B2", "C": "C4"},
    ),
    Case(
        "eventless transitions of all regions in one microstep",
        {
            "type": "parallel",
            "states": {
                "A": region(A1={"on": {"E": "A2"}}, A2={"always": "A3"}, A3=if_in("A4", B="B3"), A4={}),
                "B": region(B1={"on": {"E": "B2"}}, B2=if_in("B3", A="A2"), B3=if_in("B4", A="A3"), B4={}),
            },
        },
        ["E"],
        {"A": "A4", "B": "B4"},
    ),
    Case(
        "eventless transitions are looked for after every microstep",
        {
            "type": "parallel",
            "states": {
                "A": region(A1={"on": {"A": "A2"}}, A2={}),
                "B": region(B1=if_in("B2", A="A2"), B2={}),
                "C": region(C1=if_in("C2", A="A2"), C2={}),
            },
        },
        ["A"],
        {"A": "A2", "B": "B2", "C": "C2"},
    ),
    Case("taken at the start", GREETING, [], "morning"),
    Case("not looked for again in a state that has none", GREETING, ["CHANGE"], "morning"),
    Case("taken again after re-entry", GREETING, ["CHANGE", "RECHECK"], "evening"),
    Case(
        "before raised events",
        {
            "initial": "a",
            "states": {
                "a": {"on": {"FOO": "b"}},
                "b": {"entry": raise_("BAR"), "always": "c", "on": {"BAR": "d"}},
                "c": {"on": {"BAR": "e"}},
                "d": {},
                "e": {},
            },
        },
        ["FOO"],
        "e",
    ),
    Case(
        "the wildcard does not mean it",
        from_a({"FOO": "b"}, b={"always": "pass", "on": {"*": "fail"}}),
        ["FOO"],
        "pass",
    ),
    Case(
        "on the root",
        {
            "context": {"count": 0},
            "initial": "first",
            "states": {
                "first": {"on": {"ADD": {"actions": assign({"count": lambda c, _e: c["count"] + 1})}}},
                "success": {"type": "final"},
            },
            "always": [{"target": ".success", "guard": lambda c, _e: c["count"] > 0}],
        },
        ["ADD"],
        status="done",
    ),
    Case(
        "at the start, by the input",
        {
            "context": lambda given: {"duration": given["duration"]},
            "initial": "initial",
            "states": {
                "initial": {
                    "always": [
                        {"target": "finished", "guard": lambda c, _e: c["duration"] < 1000},
                        {"target": "active"},
                    ]
                },
                "active": {},
                "finished": {"type": "final"},
            },
        },
        [],
        "active",
        input={"duration": 3000},
    ),
    Case(
        "though nothing else took the event",
        {
            "initial": "a",
            "states": {"a": {"always": {"target": "b", "guard": whatever}}, "b": {}},
        },
        ["WHATEVER"],
        "b",
    ),
    Case(
        "and the next one after it",
        {
            "initial": "a",
            "states": {
                "a": {"always": {"target": "b", "guard": whatever}},
                "b": {"always": {"target": "c", "guard": yes}},
                "c": {},
            },
        },
        ["WHATEVER"],
        "c",
    ),
    Case(
        "guards see the event that led here",
        {
            "initial": "a",
            "states": {
                "a": {"on": {"WHATEVER": "b"}},
                "b": {"always": "c"},
                "c": {"always": {"target": "d", "guard": whatever}},
                "d": {"type": "final"},
            },
        },
        ["WHATEVER"],
        "d",
        status="done",
    ),
    Case(
        "actions see the event that led here",
        {
            "initial": "a",
            "states": {
                "a": {"on": {"EVENT": "b"}},
                "b": {"always": {"target": "c", "actions": told_by("on")}, "exit": told_by("out")},
                "c": {"entry": told_by("in")},
            },
        },
        ["EVENT"],
        said=["out:EVENT", "on:EVENT", "in:EVENT"],
    ),
    Case(
        "no loop on a fallback target",
        {
            "initial": "idle",
            "states": {
                "idle": {"on": {"E": "active"}},
                "active": waiting([{"guard": no, "target": ".a"}, {"target": ".b"}], a={}, b={}),
            },
        },
        ["E"],
        {"active": "b"},
    ),
    Case(
        "no loop on a guarded target",
        {
            "initial": "idle",
            "states": {
                "idle": {"on": {"E": "active"}},
                "active": waiting([{"guard": yes, "target": ".a"}, {"target": ".b"}], a={}, b={}),
            },
        },
        ["E"],
        {"active": "a"},
    ),
    Case(
        "an action that changes nothing runs once",
        {
            "initial": "idle",
            "states": {
                "idle": {"on": {"E": "active"}},
                "active": waiting([{"actions": say("once"), "target": ".a"}], a={}),
            },
        },
        ["E"],
        {"active": "a"},
        ["once"],
    ),
    Case(
        "assignments go on until the guard fails",
        {
            "context": {"count": 0},
            "initial": "counting",
            "states": {
                "counting": {
                    "always": {
                        "guard": lambda c, _e: c["count"] < 5,
                        "actions": assign({"count": lambda c, _e: c["count"] + 1}),
                    }
                }
            },
        },
        [],
        context={"count": 5},
    ),
    Case(
        "once more after a raised event that changed nothing",
        {
            "always": {"actions": say("always")},
            "on": {"EV": {"actions": raise_("RAISED")}, "RAISED": {"actions": say("raised")}},
        },
        ["EV"],
        said=["always", "raised", "always"],
    ),
]


@pytest.mark.parametrize("case", DESCRIPTORS + GUARDS + STATE_IN + TRANSIENT, ids=lambda case: case.title)
def test_case(play: Any, case: Case) -> None:
    check(play, case)


@pytest.mark.parametrize("entry", [None, raise_("EVENT")])
def test_circles_of_eventless_transitions_and_raised_events_end(entry: Any) -> None:
    way: Any = {"always": "c"} if entry is None else {"entry": entry, "on": {"EVENT": "c"}}
    config: MachineForm = {"initial": "a", "states": {"a": {"always": "b"}, "b": way, "c": {"always": "a"}}}
    with pytest.raises(EndlessLoop, match="after 100 microsteps"):
        step(Machine(config, max_microsteps=100), None)


def test_an_unknown_guard_is_an_error_of_the_definition() -> None:
    with pytest.raises(InvalidMachine, match="no guard 'missing'"):
        Machine(from_a({"E": {"target": "pass", "guard": "missing"}}))
