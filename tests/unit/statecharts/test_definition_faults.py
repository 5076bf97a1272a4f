"""Every fault of a definition is an InvalidMachine with its path, when the machine is made."""

from __future__ import annotations

from typing import Any, cast

import pytest

from pyarvo.errors import ConfigViolation, InvalidMachine
from pyarvo.statecharts import Machine, and_, assign, emit, not_, or_, raise_, state_in


def root(**keys: Any) -> dict[str, Any]:
    return {"initial": "a", "states": {"a": {}, "b": {}}, **keys}


def a(**keys: Any) -> dict[str, Any]:
    return {"initial": "a", "states": {"a": keys, "b": {}}}


def needs_four(_a: Any, _b: Any, _c: Any, _d: Any) -> None:
    return None


def needs_keyword(_a: Any, *, word: str) -> str:
    return word


def needs_two(_input: Any, _event: Any) -> dict[str, Any]:
    return {}


async def waits(_context: Any) -> bool:
    return False


async def async_value() -> int:
    return 1


class Waits:
    async def __call__(self, _context: Any) -> None: ...


FAULTS: list[tuple[str, Any, str, str]] = [
    ("not a mapping", [], "(root)", "a definition is a mapping, not list"),
    ("a key that is no text", {1: "x"}, "(root)", "the key 1 is not a string"),
    ("unknown key", root(initail="a"), "initail", "did you mean `initial`?"),
    ("unknown key in a state", a(enter=[]), "states.a.enter", "did you mean `entry`?"),
    (
        "unknown key in a transition",
        a(on={"X": {"cond": "x"}}),
        "states.a.on.X.cond",
        "a transition has no `cond`",
    ),
    ("a transition's key on a state", a(actions="x"), "states.a.actions", "has no `actions`"),
    ("a root's key on a state", a(context={"n": 1}), "states.a.context", "has no `context`"),
    ("invoke", a(invoke={"src": "x"}), "states.a.invoke", "not by `invoke`"),
    ("empty invoke", a(invoke={}), "states.a.invoke", "not by `invoke`"),
    ("after", a(after={"100": "b"}), "states.a.after", "no timers"),
    ("invoke at the root", root(invoke=[]), "invoke", "not by `invoke`"),
    ("after at the root", root(after={}), "after", "no timers"),
    ("actors", root(actors={}), "actors", "no actors"),
    ("delays", root(delays={}), "delays", "no timers"),
    ("type", a(type="atom"), "states.a.type", "'atom' is not one of atomic, compound"),
    ("atomic with states", a(type="atomic", states={"x": {}}), "states.a.states", "has no states inside"),
    ("final with states", a(type="final", states={"x": {}}), "states.a.states", "has no states inside"),
    ("compound without states", a(type="compound"), "states.a.states", "has states inside"),
    ("final with on", a(type="final", on={"X": "b"}), "states.a.on", "type final has no `on`"),
    ("final with always", a(type="final", always="b"), "states.a.always", "type final has no `always`"),
    ("output on an atomic state", a(output={"x": 1}), "states.a.output", "type atomic has no `output`"),
    ("onDone on an atomic state", a(onDone="b"), "states.a.onDone", "type atomic has no `onDone`"),
    ("initial on an atomic state", a(initial="x"), "states.a.initial", "type atomic has no `initial`"),
    (
        "initial on a parallel state",
        a(type="parallel", initial="x", states={"x": {}}),
        "states.a.initial",
        "has no",
    ),
    ("history on an atomic state", a(type="atomic", history="deep"), "states.a.history", "has no `history`"),
    ("history kind", a(type="history", history="wide"), "states.a.history", "not one of shallow, deep"),
    ("history kind without a type", a(history="wide"), "states.a.history", "not one of shallow, deep"),
    ("history with entry", a(type="history", entry="x"), "states.a.entry", "has no `entry`"),
    ("the root as history", {"type": "history"}, "type", "the root cannot be a history state"),
    ("id that is no text", a(id=1), "states.a.id", "must be a string, not int"),
    ("id taken", a(id="(machine).b"), "states.b.id", "is taken by states.a"),
    ("states that are no mapping", {"states": ["a"]}, "states", "must be a mapping, not list"),
    (
        "a state that is no mapping",
        {"initial": "a", "states": {"a": "b"}},
        "states.a",
        "a state is a mapping",
    ),
    ("a state without a name", {"initial": "", "states": {"": {}}}, "states['']", "at least one character"),
    ("no initial", {"states": {"a": {}, "b": {}}}, "initial", "one of: a, b"),
    ("no inner initial", a(states={"x": {}}), "states.a.initial", "one of: x"),
    (
        "unknown initial",
        {"initial": "c", "states": {"a": {}}},
        "initial",
        "no state 'c' inside the root; there are: a",
    ),
    (
        "initial that is no text",
        {"initial": [1], "states": {"a": {}}},
        "initial[0]",
        "a target is a string, not int",
    ),
    (
        "initial of the wrong type",
        {"initial": 1, "states": {"a": {}}},
        "initial",
        "must be a string or a list or a mapping",
    ),
    ("initial without a target", {"initial": {}, "states": {"a": {}}}, "initial.target", "names no state"),
    (
        "key in initial",
        {"initial": {"target": "a", "guard": "x"}, "states": {"a": {}}},
        "initial.guard",
        "has no `guard`",
    ),
    (
        "initial outside",
        a(states={"x": {}}, initial="#(machine).b"),
        "states.a.initial",
        "no state '#(machine).b' inside",
    ),
    ("on that is no mapping", a(on=["X"]), "states.a.on", "must be a mapping, not list"),
    ("an empty descriptor", a(on={"": "b"}), "states.a.on['']", "at least one character"),
    ("wildcard inside a word", a(on={"ev*": "b"}), "states.a.on['ev*']", "a wildcard is the whole last part"),
    (
        "wildcard in the middle",
        a(on={"ev.*.x": "b"}),
        "states.a.on['ev.*.x']",
        "a wildcard is the whole last part",
    ),
    ("wildcard at the front", a(on={"*.x": "b"}), "states.a.on['*.x']", "a wildcard is the whole last part"),
    ("two wildcards", a(on={"ev.*.*": "b"}), "states.a.on['ev.*.*']", "a wildcard is the whole last part"),
    (
        "unknown target",
        a(on={"X": "c"}),
        "states.a.on.X",
        "no state 'c' as seen from states.a; there are: a, b",
    ),
    (
        "unknown target in a mapping",
        a(on={"evt.x": {"target": "c"}}),
        "states.a.on['evt.x'].target",
        "no state 'c'",
    ),
    (
        "unknown target in a list",
        a(on={"X": [{"target": "b"}, {"target": "c"}]}),
        "states.a.on.X[1].target",
        "no state 'c'",
    ),
    ("unknown id", a(on={"X": "#nope"}), "states.a.on.X", "no state '#nope'"),
    ("unknown child", a(on={"X": ".c"}), "states.a.on.X", "no state '.c'"),
    ("unknown child of an id", root(id="m", on={"X": "#m.c"}), "on.X", "no state '#m.c'"),
    ("the root's sibling", root(on={"X": "a"}), "on.X", "did you mean '.a'?"),
    (
        "target that is no text",
        a(on={"X": {"target": 1}}),
        "states.a.on.X.target",
        "a target is a string, not 1",
    ),
    ("a transition of the wrong type", a(on={"X": 1}), "states.a.on.X", "a target or a mapping, not int"),
    (
        "targets in one region",
        a(on={"X": {"target": ["a", "b"]}}),
        "states.a.on.X.target",
        "cannot be active together",
    ),
    (
        "reenter",
        a(on={"X": {"target": "b", "reenter": 1}}),
        "states.a.on.X.reenter",
        "must be true or false, not int",
    ),
    ("unknown action", a(entry="x"), "states.a.entry", "no action 'x'; give it in actions="),
    (
        "unknown action in a list",
        a(exit=[emit({"type": "x"}), {"type": "y"}]),
        "states.a.exit[1]",
        "no action 'y'",
    ),
    (
        "action of the wrong type",
        a(entry=[1]),
        "states.a.entry[0]",
        "a name, a mapping or a callable, not int",
    ),
    ("action without a type", a(entry={"params": 1}), "states.a.entry.type", "a string `type`"),
    (
        "key in an action",
        a(entry={"type": "x", "param": 1}),
        "states.a.entry.param",
        "did you mean `params`?",
    ),
    (
        "action on the way in",
        {"initial": {"target": "a", "actions": "x"}, "states": {"a": {}}},
        "initial.actions",
        "no action 'x'",
    ),
    ("emit without a type", a(entry=emit({"data": {}})), "states.a.entry", "a mapping with a string `type`"),
    (
        "raise without a type",
        a(entry=raise_({"data": {}})),
        "states.a.entry",
        "a mapping with a string `type`",
    ),
    (
        "assign of a string",
        a(entry=assign(cast("Any", "x"))),
        "states.a.entry",
        "a mapping or a callable, not str",
    ),
    (
        "assign to a member that is no text",
        a(entry=assign(cast("Any", {1: 2}))),
        "states.a.entry[1]",
        "the name of a member is a string, not int",
    ),
    (
        "enqueueArvoEvent without an event",
        a(entry={"type": "enqueueArvoEvent"}),
        "states.a.entry.params",
        "needs the event",
    ),
    ("an async action", a(entry=waits), "states.a.entry", "synchronous"),
    ("an async guard", a(on={"E": {"guard": waits}}), "states.a.on.E.guard", "synchronous"),
    ("an object with an async call", a(entry=Waits()), "states.a.entry", "synchronous"),
    (
        "a context factory of two",
        {"context": needs_two, "initial": "a", "states": {"a": {}}},
        "context",
        "takes (input)",
    ),
    ("a callable of four", a(entry=needs_four), "states.a.entry", "this one needs 4 arguments"),
    (
        "a callable with a keyword",
        a(entry=needs_keyword),
        "states.a.entry",
        "cannot need the keyword argument 'word'",
    ),
    (
        "unknown guard",
        a(on={"X": {"target": "b", "guard": "g"}}),
        "states.a.on.X.guard",
        "no guard 'g'; give it in guards=",
    ),
    ("unknown guard inside", a(on={"X": {"guard": and_("g")}}), "states.a.on.X.guard[0]", "no guard 'g'"),
    ("unknown guard turned round", a(always={"guard": not_("g")}), "states.a.always.guard", "no guard 'g'"),
    ("empty combination", a(always={"guard": or_()}), "states.a.always.guard", "at least one guard"),
    (
        "guard of the wrong type",
        a(always={"guard": 1}),
        "states.a.always.guard",
        "a name, a mapping or a callable, not int",
    ),
    (
        "state_in of an unknown path",
        a(always={"guard": state_in("c")}),
        "states.a.always.guard",
        "no state 'c'",
    ),
    (
        "state_in of an unknown id",
        a(always={"guard": state_in("#c")}),
        "states.a.always.guard",
        "no state '#c'",
    ),
    (
        "state_in of an unknown value",
        a(always={"guard": state_in({"c": "d"})}),
        "states.a.always.guard",
        "no state 'c' inside",
    ),
    (
        "state_in of a number",
        a(always={"guard": state_in(cast("Any", 1))}),
        "states.a.always.guard",
        "a string or a state value, not int",
    ),
    (
        "state_in of a value that ends in nothing",
        a(always={"guard": state_in({"a": None})}),
        "states.a.always.guard",
        "a string or a mapping inside, not NoneType",
    ),
    (
        "a type without a hash",
        a(type=["atomic"]),
        "states.a.type",
        "['atomic'] is not one of atomic, compound",
    ),
    (
        "a member of the context that has no name",
        a(entry=assign(cast("Any", {None: async_value}))),
        "states.a.entry[None]",
        "the name of a member is a string, not NoneType",
    ),
    (
        "a target and one inside it",
        {
            "initial": "a",
            "states": {
                "a": {"on": {"X": {"target": ["p.r", "p.r.y"]}}},
                "p": {
                    "type": "parallel",
                    "states": {"r": {"initial": "x", "states": {"x": {}, "y": {}}}, "s": {}},
                },
            },
        },
        "states.a.on.X.target",
        "cannot be active together",
    ),
    ("context with a NaN", root(context={"a": [float("nan")]}), "context.a[0]", "nan has no JSON form"),
    ("context with a set", root(context={"a": {1}}), "context.a", "set"),
    ("context of the wrong type", root(context=[]), "context", "a mapping or a callable, not list"),
    ("version of the wrong type", root(version=1), "version", "must be a string, not int"),
    (
        "default of a history state elsewhere",
        {
            "initial": "a",
            "states": {
                "a": {"initial": "x", "states": {"x": {}, "h": {"type": "history", "target": "#b"}}},
                "b": {"id": "b"},
            },
        },
        "states.a.states.h.target",
        "not 'b'",
    ),
]


@pytest.mark.parametrize(
    ("config", "path", "reason"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)
def test_the_fault_is_named_with_its_path(config: Any, path: str, reason: str) -> None:
    with pytest.raises(InvalidMachine) as caught:
        Machine(config)
    assert caught.value.path == path
    assert reason in str(caught.value)
    assert isinstance(caught.value, ConfigViolation)


def test_known_names_are_listed_for_an_unknown_one() -> None:
    with pytest.raises(InvalidMachine, match="no action 'sav'; actions= has: load, save"):
        Machine(a(entry="sav"), actions={"save": print, "load": print})


@pytest.mark.parametrize("name", ["enqueueArvoEvent", "enqueue_arvo_event"])
def test_reserved_action_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidMachine, match="reserved") as caught:
        Machine({}, actions={name: print})
    assert caught.value.path == f"actions.{name}"


def test_implementations_of_the_wrong_type_are_refused() -> None:
    with pytest.raises(InvalidMachine) as caught:
        Machine({}, actions={"x": "y"})
    assert caught.value.path == "actions.x"
    with pytest.raises(InvalidMachine) as caught:
        Machine({}, guards={"x": cast("Any", emit({"type": "y"}))})
    assert caught.value.path == "guards.x"


def test_guards_made_of_themselves_are_refused() -> None:
    with pytest.raises(InvalidMachine, match="g -> h -> g"):
        Machine(a(always={"guard": "g"}), guards={"g": not_("h"), "h": and_("g")})


@pytest.mark.parametrize("bound", [0, 1.5, "5", None])
def test_the_bound_of_microsteps_is_at_least_one(bound: Any) -> None:
    with pytest.raises(InvalidMachine) as caught:
        Machine({}, max_microsteps=bound)
    assert caught.value.path == "max_microsteps"


def test_what_exports_write_everywhere_is_no_fault() -> None:
    machine = Machine(
        {
            "$schema": "https://example.org/machine.json",
            "id": "m",
            "version": "1.0.0",
            "description": "d",
            "meta": {"any": ["thing"]},
            "tags": ["x"],
            "type": "compound",
            "initial": "a",
            "states": {
                "a": {
                    "type": "atomic",
                    "on": {},
                    "entry": [],
                    "exit": None,
                    "always": [],
                    "states": {},
                    "tags": "t",
                },
                "end": {"type": "final", "on": {}, "always": None, "states": {}, "description": "over"},
            },
        }
    )
    assert (machine.id, machine.version) == ("m", "1.0.0")


def test_states_and_events_may_be_named_like_refused_keys() -> None:
    machine = Machine(
        {
            "initial": "after",
            "states": {"after": {"on": {"invoke": "invoke", "after": "actors"}}, "invoke": {}, "actors": {}},
        }
    )
    assert [state.key for state in machine.states] == ["(machine)", "after", "invoke", "actors"]


def test_states_that_nothing_leads_to_are_known() -> None:
    machine = Machine(
        {
            "initial": "a",
            "states": {
                "a": {"on": {"X": [{"target": "b", "guard": state_in("a")}]}},
                "b": {"initial": "x", "states": {"x": {}, "island": {"on": {"Y": "shore"}}, "shore": {}}},
            },
        }
    )
    assert machine.unreachable == ("states.b.states.island", "states.b.states.shore")


@pytest.mark.parametrize("option", ["actions", "guards"])
def test_implementations_are_given_by_name(option: str) -> None:
    with pytest.raises(InvalidMachine, match="must map names to") as caught:
        Machine({}, **cast("Any", {option: [len]}))
    assert caught.value.path == option
