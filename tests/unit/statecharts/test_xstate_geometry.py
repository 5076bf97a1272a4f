"""
What XState's own suites say about which states are left and entered, by value: `deep`, `internalTransitions`, `parallel`,
`history`, `multiple`, `order`.

The states of a tracked chart say "+path" when entered and "-path" when left. `said` is what the last step said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from pyarvo.errors import InvalidMachine
from pyarvo.statecharts import Machine, MachineForm, StateForm, TransitionForm, assign, emit, raise_

UNASKED = object()


@dataclass
class Case:
    title: str
    config: MachineForm
    events: Sequence[Any] = ()
    value: Any = UNASKED
    said: str | None = None
    context: Any = UNASKED


def say(word: str) -> Any:
    return emit({"type": word})


def region(**states: StateForm) -> StateForm:
    return {"initial": next(iter(states)), "states": states}


def start(**states: StateForm) -> MachineForm:
    return {"id": "m", "initial": next(iter(states)), "states": states}


def parallel(**states: StateForm) -> StateForm:
    return {"type": "parallel", "states": states}


def root_parallel(**states: StateForm) -> MachineForm:
    return {"id": "m", "type": "parallel", "states": states}


def more(state: StateForm, **keys: Any) -> Any:
    return {**state, **keys}


# Deep transitions: four levels on each side.


def deep(**on: Any) -> MachineForm:
    """A.B.C.D, then P.Q.R.S and DONE; `on` says which level reacts to which event."""
    d: StateForm = {"on": on.get("D", {})}
    c = more(region(D=d), on=on.get("C", {}))
    b = more(region(C=c), on=on.get("B", {}))
    a = more(region(B=b), on=on.get("A", {}))
    return more(start(A=a, P=region(Q=region(R=region(S={}))), DONE={}), on=on.get("root", {}))


LEFT_DEEP = "-A.B.C.D -A.B.C -A.B -A"
DEEP = [
    Case(
        f"all are left when {level} reacts",
        deep(**{level: {"E": "#m.DONE"}}),
        ["E"],
        "DONE",
        f"{LEFT_DEEP} +DONE",
    )
    for level in ("A", "B", "C", "D", "root")
] + [
    Case(
        f"{level} reacts, {target} is the target",
        deep(**{level: {"E": target}}),
        ["E"],
        {"P": {"Q": {"R": "S"}}},
        f"{LEFT_DEEP} +P +P.Q +P.Q.R +P.Q.R.S",
    )
    for level in ("A", "D")
    for target in ("#m.P", "#m.P.Q.R.S")
]


# Internal transitions.


def foo(transition: TransitionForm | str, **inner: StateForm) -> MachineForm:
    return start(foo=more(region(**(inner or {"a": {}, "b": {}})), on={"E": transition}), bar={})


REENTER = "-foo.a -foo +foo +foo.b"
INTERNAL = [
    Case("a child is entered, the parent stays", foo(".b"), ["E"], {"foo": "b"}, "-foo.a +foo.b"),
    Case(
        "reenter: the parent is left and entered",
        foo({"target": ".b", "reenter": True}),
        ["E"],
        {"foo": "b"},
        REENTER,
    ),
    Case(
        "reenter to itself starts anew",
        foo({"target": "foo", "reenter": True}, a={"on": {"N": "b"}}, b={}),
        ["N", "E"],
        {"foo": "a"},
        "-foo.b -foo +foo +foo.a",
    ),
    Case(
        "to itself without reenter starts anew inside",
        foo("foo", a={"on": {"N": "b"}}, b={}),
        ["N", "E"],
        {"foo": "a"},
        "-foo.b +foo.a",
    ),
    Case(
        "reenter by a path through itself",
        foo({"target": "foo.b", "reenter": True}),
        ["E"],
        {"foo": "b"},
        REENTER,
    ),
    Case("a path through itself without reenter", foo("foo.b"), ["E"], {"foo": "b"}, "-foo.a +foo.b"),
    Case("the root reacts", {**start(foo={}, bar={}), "on": {"E": ".bar"}}, ["E"], "bar", "-foo +bar"),
    Case("targetless, in a list", start(foo={"on": {"E": [{"actions": [say("x")]}]}}), ["E"], "foo", "x"),
    Case("targetless, as an object", start(foo={"on": {"E": {"actions": say("x")}}}), ["E"], "foo", "x"),
    Case(
        "targetless on the root, in a list",
        {**start(foo={}), "on": {"E": [{"actions": [say("x")]}]}},
        ["E"],
        "foo",
        "x",
    ),
    Case(
        "targetless on the root, as an object",
        {**start(foo={}), "on": {"E": {"actions": say("x")}}},
        ["E"],
        "foo",
        "x",
    ),
    Case(
        "an empty transition keeps the event from the parent",
        {**start(foo={"on": {"E": {}}}, bar={}), "on": {"E": ".bar"}},
        ["E"],
        "foo",
        "",
    ),
    Case(
        "None does the same",
        {**start(foo={"on": {"E": None}}, bar={}), "on": {"E": ".bar"}},
        ["E"],
        "foo",
        "",
    ),
    Case(
        "an empty list does not",
        {**start(foo={"on": {"E": []}}, bar={}), "on": {"E": ".bar"}},
        ["E"],
        "bar",
        "-foo +bar",
    ),
    Case(
        "descendants between are left and entered",
        foo(".a.x", a=region(x={})),
        ["E"],
        {"foo": {"a": "x"}},
        "-foo.a.x -foo.a +foo.a +foo.a.x",
    ),
    Case("an atomic state to itself: nothing", start(foo={"on": {"E": "foo"}}), ["E"], "foo", ""),
    Case(
        "an atomic state to itself with reenter",
        start(foo={"on": {"E": {"target": "foo", "reenter": True}}}),
        ["E"],
        "foo",
        "-foo +foo",
    ),
    Case(
        "reenter without a target: nothing",
        start(foo={"on": {"E": {"reenter": True, "actions": say("x")}}}),
        ["E"],
        "foo",
        "x",
    ),
    Case(
        "to an ancestor: it is left and entered",
        start(foo=region(a={"on": {"E": "#m.foo"}})),
        ["E"],
        {"foo": "a"},
        "-foo.a -foo +foo +foo.a",
    ),
    Case(
        "the root to itself with reenter",
        {**start(foo={}), "on": {"E": {"target": "#m", "reenter": True}}},
        ["E"],
        "foo",
        "-foo -root +root +foo",
    ),
]


# Parallel states.

WORD: MachineForm = {
    **root_parallel(
        bold=region(off={"on": {"BOLD": "on"}}, on={"on": {"BOLD": "off"}}),
        italics=region(off={"on": {"ITALICS": "on"}}, on={"on": {"ITALICS": "off"}}),
        list=region(
            none={"on": {"BULLETS": "bullets", "NUMBERS": "numbers"}},
            bullets={"on": {"NONE": "none", "NUMBERS": "numbers"}},
            numbers={"on": {"BULLETS": "bullets", "NONE": "none"}},
        ),
    ),
    "on": {"RESET": "#m"},
}
PLAIN = {"bold": "off", "italics": "off", "list": "none"}
COMPOSER = start(
    ro=more(
        region(
            edit=more(
                parallel(
                    selection=more(
                        region(nothing={}, activity={"on": {"canvas": "nothing"}}, link={}),
                        on={"activity": ".activity", "link": ".link"},
                    ),
                    clipboard=region(
                        empty={"on": {"cut": "cut", "copy": "copied"}},
                        cut={"on": {"paste": "empty"}},
                        copied={},
                    ),
                ),
                on={"manage": "manage"},
            ),
            manage=more(parallel(selection=region(nothing={})), on={"edit": "edit"}),
        )
    )
)
RAISING = root_parallel(
    one=region(
        C={"entry": raise_("CLEAR"), "on": {"A": "A", "B": "B"}},
        A={"entry": raise_("OFF"), "on": {"B": "B", "C": "C"}},
        B={"entry": raise_("ON"), "on": {"A": "A", "C": "C"}},
    ),
    two=parallel(
        x=region(on={"on": {"CLEAR": "off"}}, off={"on": {"ON": "on"}}),
        y=region(off={"on": {"ON": "on"}}, on={"on": {"OFF": "off"}}),
    ),
)
NESTED = root_parallel(
    one=region(
        off={"on": {"COMPLEX": "on", "SIMPLE": "on"}},
        on=parallel(a=region(idle={"on": {"WORK": "busy"}}, busy={}), b=region(idle={}, busy={})),
    ),
    two=region(
        off={"on": {"COMPLEX": "complex", "SIMPLE": "simple"}},
        simple={},
        complex=parallel(a=region(off={}, on={}), b=region(off={}, on={})),
    ),
)
FLAT_DEEP = root_parallel(
    X={},
    V=more(
        region(A={}, B=region(BB=parallel(P={}, Q={})), C={}),
        on={"a": {"target": "V.A"}, "b": {"target": "V.B"}, "c": {"target": "V.C"}},
    ),
)
PAGES = root_parallel(
    pages=region(about={"id": "about"}, dashboard={"id": "dashboard"}),
    menu=region(
        closed={"id": "closed", "on": {"toggle": "#opened"}},
        opened={"id": "opened", "on": {"toggle": "#closed", "go": {"target": ["#dashboard", "#opened"]}}},
    ),
)
EDITOR: MachineForm = {
    **root_parallel(
        editing={"on": {"CHANGE": {"actions": assign({"value": lambda _c, e: e.data["value"]})}}},
        status=region(
            unsaved={"on": {"SAVE": {"target": "saved", "actions": say("save")}}},
            saved={"on": {"CHANGE": "unsaved"}},
        ),
    ),
    "context": {"value": ""},
}
CROSS = {
    "operation": region(waiting={"on": {"E": "#demo"}}, fetching={}),
    "mode": region(normal={}, demo={"id": "demo"}),
}
ENTERED_INITIALLY: StateForm = {"initial": {"target": "x", "actions": say("way in")}, "states": {"x": {}}}
PARALLEL = [
    Case(
        "starts in every region",
        WORD,
        [],
        PLAIN,
        "+root +bold +bold.off +italics +italics.off +list +list.none",
    ),
    Case("one region moves", WORD, ["BOLD"], {**PLAIN, "bold": "on"}),
    Case("and back", WORD, ["BOLD", "BOLD"], PLAIN),
    Case(
        "several regions, several events",
        WORD,
        ["BULLETS", "BOLD", "ITALICS"],
        {"bold": "on", "italics": "on", "list": "bullets"},
    ),
    Case(
        "the root to itself starts all anew",
        WORD,
        ["BULLETS", "BOLD", "RESET"],
        PLAIN,
        "-list.bullets -list -italics.off -italics -bold.on -bold +bold +bold.off +italics +italics.off +list +list.none",
    ),
    Case(
        "a region reacts itself",
        root_parallel(a=more(region(x={}, y={}), on={"A": ".y"}), b=more(region(x={}, y={}), on={"B": ".y"})),
        ["B"],
        {"a": "x", "b": "y"},
        "-b.x +b.y",
    ),
    Case(
        "regions without states",
        root_parallel(foo={}, bar={}, baz=region(one={"on": {"E": "two"}}, two={})),
        [],
        {"foo": {}, "bar": {}, "baz": "one"},
    ),
    Case(
        "regions without states stay",
        root_parallel(foo={}, bar={}, baz=region(one={"on": {"E": "two"}}, two={})),
        ["E"],
        {"foo": {}, "bar": {}, "baz": "two"},
    ),
    Case(
        "a region's child, by a relative target",
        COMPOSER,
        ["activity"],
        {"ro": {"edit": {"selection": "activity", "clipboard": "empty"}}},
    ),
    Case(
        "out of one parallel state into another",
        COMPOSER,
        ["link", "manage"],
        {"ro": {"manage": {"selection": "nothing"}}},
    ),
    Case(
        "an event raised at the start reaches the other region",
        RAISING,
        [],
        {"one": "C", "two": {"x": "off", "y": "off"}},
    ),
    Case(
        "a raised event reaches several regions", RAISING, ["B"], {"one": "B", "two": {"x": "on", "y": "on"}}
    ),
    Case(
        "raised events one after the other", RAISING, ["B", "A"], {"one": "A", "two": {"x": "on", "y": "off"}}
    ),
    Case(
        "two regions react to one event, differently",
        EDITOR,
        ["SAVE", {"type": "CHANGE", "value": "new"}],
        {"editing": {}, "status": "unsaved"},
        context={"value": "new"},
    ),
    Case(
        "actions on a region's way in, at the start",
        root_parallel(a=ENTERED_INITIALLY),
        [],
        {"a": "x"},
        "+root +a way in +a.x",
    ),
    Case(
        "actions on a region's way in, later",
        start(o={"on": {"E": "p"}}, p=parallel(a=ENTERED_INITIALLY)),
        ["E"],
        {"p": {"a": "x"}},
        "-o +p +p.a way in +p.a.x",
    ),
    Case(
        "nested parallel states, the simple way",
        NESTED,
        ["SIMPLE", "WORK"],
        {"one": {"on": {"a": "busy", "b": "idle"}}, "two": "simple"},
    ),
    Case(
        "nested parallel states, the complex way",
        NESTED,
        ["COMPLEX", "WORK"],
        {"one": {"on": {"a": "busy", "b": "idle"}}, "two": {"complex": {"a": "off", "b": "off"}}},
    ),
    Case(
        "a nested parallel state of atomic regions",
        start(A={"on": {"to-B": "B"}}, B=parallel(C={}, D={})),
        ["to-B"],
        {"B": {"C": {}, "D": {}}},
    ),
    Case("deep and flat", FLAT_DEEP, ["a", "c", "b"], {"X": {}, "V": {"B": {"BB": {"P": {}, "Q": {}}}}}),
    Case(
        "one region acts, the other moves",
        root_parallel(
            foo={"on": {"U": {"actions": say("u")}}}, bar=more(region(idle={}, baz={}), on={"U": ".baz"})
        ),
        ["U"],
        {"foo": {}, "bar": "baz"},
        "-bar.idle u +bar.baz",
    ),
    Case(
        "targets in two regions from inside one of them",
        PAGES,
        ["toggle", "go"],
        {"pages": "dashboard", "menu": "opened"},
    ),
    Case(
        "a state of a region to itself with reenter",
        root_parallel(
            foo=region(a={"on": {"E": "b"}}, b={"on": {"E": {"target": "b", "reenter": True}}}), bar={}
        ),
        ["E", "E"],
        {"foo": "b", "bar": {}},
        "-foo.b +foo.b",
    ),
    Case(
        "into another region: all regions of the root start anew",
        root_parallel(**CROSS),
        ["E"],
        {"operation": "waiting", "mode": "demo"},
        "-mode.normal -mode -operation.waiting -operation +operation +operation.waiting +mode +mode.demo",
    ),
    Case(
        "into another region of a nested parallel state",
        start(a=parallel(**CROSS)),
        ["E"],
        {"a": {"operation": "waiting", "mode": "demo"}},
        "-a.mode.normal -a.mode -a.operation.waiting -a.operation +a.operation +a.operation.waiting +a.mode +a.mode.demo",
    ),
    Case(
        "targetless on a parallel state",
        {**root_parallel(a=region(x={}), b={}), "on": {"E": {"actions": say("e")}}},
        ["E"],
        {"a": "x", "b": {}},
        "e",
    ),
    Case(
        "targetless in one region",
        root_parallel(a=more(region(x={}), on={"E": {"actions": say("e")}}), b={}),
        ["E"],
        {"a": "x", "b": {}},
        "e",
    ),
    Case(
        "the parallel state's own transition waits for its regions",
        {**root_parallel(a=region(x={"on": {"E": "y"}}, y={}), b={}), "on": {"E": {"actions": say("own")}}},
        ["E", "E"],
        {"a": "y", "b": {}},
        "own",
    ),
]


# History.


def switch(history: StateForm, back: str = "on.h") -> MachineForm:
    return start(
        on=more(region(first={"on": {"SWITCH": "second"}}, second={}, h=history), on={"POWER": "off"}),
        off={"on": {"POWER": back}},
    )


def off_first(history: StateForm, **keys: Any) -> MachineForm:
    return start(
        off={"on": {"POWER": "on.h"}},
        on=more(region(first={}, second={}, h=history), on={"POWER": "off"}, **keys),
    )


def depths(history: StateForm) -> MachineForm:
    b = region(P={"on": {"INNER": "Q"}}, Q={})
    second = region(A={"on": {"INNER": "B"}}, B=b)
    return start(
        on=more(region(first={"on": {"SWITCH": "second"}}, second=second, h=history), on={"POWER": "off"}),
        off={"on": {"POWER": "on.h"}},
    )


SHALLOW: StateForm = {"type": "history", "history": "shallow"}
DEEP_HISTORY: StateForm = {"history": "deep"}


def two_histories() -> MachineForm:
    def half(event: str, first: str, second: str, inner: str) -> StateForm:
        near, far = inner
        inside: dict[str, StateForm] = {near: {"on": {event: far}}, far: {}}
        states: Any = {
            first: {"on": {event: second}},
            second: region(**inside),
            "hist": {"history": True},
            "deep": DEEP_HISTORY,
        }
        return region(**states)

    to: dict[str, Any] = {
        "SWITCH": "on",
        "DEEP": "on.deep",
        "HIST": "on.hist",
        "DEEP_A": "on.A.deep",
        "BOTH": {"target": ["on.A.hist", "on.K.hist"]},
        "SOME": {"target": ["on.A.C", "on.K.hist"]},
        "FULL": {"target": ["on.A.deep", "on.K.deep"]},
    }
    on = parallel(
        A=half("INNER_A", "B", "C", "DE"),
        K=half("INNER_K", "L", "M", "NO"),
        hist={"history": True},
        deep=DEEP_HISTORY,
    )
    return start(off={"on": to}, on=more(on, on={"POWER": "off"}))


def visited(history: StateForm, initial: Any) -> MachineForm:
    b: Any = {
        "initial": initial,
        "states": {"b1": {}, "b2": {"id": "h", **history}, "b3": {}},
        "on": {"NEXT": "a"},
    }
    return start(a={"on": {"NEXT": "#h"}}, b=b)


WAY_IN = {"target": "b1", "actions": say("way in")}
TO_HISTORY: StateForm = {"type": "history"}
TO_B3: StateForm = {"type": "history", "target": "b3"}
INNER = ["SWITCH", "INNER_A", "INNER_A", "INNER_K", "INNER_K", "POWER"]
SHALLOW_BACK = {"on": {"A": {"C": "D"}, "K": {"M": "N"}}}
DEEP_BACK = {"on": {"A": {"C": "E"}, "K": {"M": "O"}}}
DOOR = start(
    closed={"id": "closed", "on": {"CLICK": "open.h"}},
    open=more(
        region(first={"on": {"NEXT": "second"}}, second={"on": {"CLOSE": "#closed"}}, h=TO_HISTORY),
        on={"CLICK": "closed"},
    ),
)
DEPLOY = start(
    idle=region(
        absent={"on": {"DEPLOY": "#m.deploy"}},
        present={"on": {"DEPLOY": "#m.deploy", "DESTROY": "#m.destroy"}},
        h=TO_HISTORY,
    ),
    deploy={"on": {"SUCCESS": "idle.present", "FAILURE": "idle.h"}},
    destroy={"always": [{"target": "idle.absent"}]},
)
HISTORY = [
    Case("shallow, said so", switch(SHALLOW), ["SWITCH", "POWER", "POWER"], {"on": "second"}),
    Case("shallow by default", switch(TO_HISTORY), ["SWITCH", "POWER", "POWER"], {"on": "second"}),
    Case("`history: true` alone", switch({"history": True}), ["SWITCH", "POWER", "POWER"], {"on": "second"}),
    Case(
        "by way of a third state",
        start(
            running=more(
                region(
                    normal={"on": {"TURBO": "turbo"}}, turbo={"on": {"TURBO": "normal"}}, H={"history": True}
                ),
                on={"POWER": "off"},
            ),
            starting={"on": {"STARTED": "running.H"}},
            off={"on": {"POWER": "starting"}},
        ),
        ["TURBO", "POWER", "POWER", "STARTED"],
        {"running": "turbo"},
    ),
    Case(
        "nothing recorded: the parent's initial state, said shallow",
        off_first(SHALLOW),
        ["POWER"],
        {"on": "first"},
    ),
    Case("nothing recorded: the parent's initial state", off_first(TO_HISTORY), ["POWER"], {"on": "first"}),
    Case(
        "nothing recorded: its own default",
        off_first({"type": "history", "target": "second"}),
        ["POWER"],
        {"on": "second"},
    ),
    Case(
        "recorded by an eventless transition",
        DEPLOY,
        ["DEPLOY", "SUCCESS", "DESTROY", "DEPLOY", "FAILURE"],
        {"idle": "absent"},
    ),
    Case(
        "reenter records before it enters",
        start(
            a=more(
                region(a1={"on": {"NEXT": "a2"}}, a2={}, h={"type": "history", "id": "h"}),
                on={"RE": {"target": "#h", "reenter": True}},
            )
        ),
        ["NEXT", "RE"],
        {"a": "a2"},
        "-a.a2 -a +a +a.a2",
    ),
    Case(
        "as the machine's initial state",
        start(foo={"type": "history", "target": "bar"}, bar={}),
        [],
        "bar",
        "+root +bar",
    ),
    Case(
        "as the initial state of a target",
        start(foo={"on": {"NEXT": "bar"}}, bar=region(baz={"type": "history", "target": "qwe"}, qwe={})),
        ["NEXT"],
        {"bar": "qwe"},
        "-foo +bar +bar.qwe",
    ),
    Case(
        "no default, never visited: actions on the way in run",
        visited(TO_HISTORY, WAY_IN),
        ["NEXT"],
        {"b": "b1"},
        "-a +b way in +b.b1",
    ),
    Case(
        "own default, never visited: they do not",
        visited(TO_B3, WAY_IN),
        ["NEXT"],
        {"b": "b3"},
        "-a +b +b.b3",
    ),
    Case(
        "entry actions of the parent run in any case",
        visited(TO_B3, "b1"),
        ["NEXT"],
        {"b": "b3"},
        "-a +b +b.b3",
    ),
    Case(
        "history as the initial state: they do",
        start(
            a={"on": {"NEXT": "b"}},
            b={
                "initial": {"target": "h", "actions": say("way in")},
                "states": {"h": {"type": "history", "target": "b2"}, "b2": {}},
            },
        ),
        ["NEXT"],
        {"b": "b2"},
        "-a +b way in +b.b2",
    ),
    Case(
        "no default, visited: they do not",
        visited(TO_HISTORY, WAY_IN),
        ["NEXT", "NEXT", "NEXT"],
        {"b": "b1"},
        "-a +b +b.b1",
    ),
    Case(
        "own default, visited: what was recorded",
        visited(TO_B3, WAY_IN),
        ["NEXT", "NEXT", "NEXT"],
        {"b": "b3"},
        "-a +b +b.b3",
    ),
    Case(
        "of the root, never left: enters the initial state again",
        start(running={"on": {"PING": "refresh"}}, refresh=TO_HISTORY),
        ["PING"],
        "running",
        "+running",
    ),
    Case(
        "nothing beyond the domain is entered, default",
        DOOR,
        ["CLICK"],
        {"open": "first"},
        "-closed +open +open.first",
    ),
    Case(
        "nothing beyond the domain is entered, recorded",
        DOOR,
        ["CLICK", "NEXT", "CLOSE", "CLICK"],
        {"open": "second"},
        "-closed +open +open.second",
    ),
    Case(
        "internal, never left: the initial state",
        start(
            first={"on": {"NEXT": "second.other"}},
            second=more(region(nested={}, other={}, h={"history": True}), on={"NEXT": {"target": ".h"}}),
        ),
        ["NEXT", "NEXT"],
        {"second": "nested"},
        "-second.other +second.nested",
    ),
    Case(
        "shallow restores one level",
        depths({"history": "shallow"}),
        ["SWITCH", "INNER", "POWER", "POWER"],
        {"on": {"second": "A"}},
    ),
    Case(
        "deep restores two",
        depths(DEEP_HISTORY),
        ["SWITCH", "INNER", "POWER", "POWER"],
        {"on": {"second": {"B": "P"}}},
    ),
    Case(
        "deep restores three",
        depths(DEEP_HISTORY),
        ["SWITCH", "INNER", "INNER", "POWER", "POWER"],
        {"on": {"second": {"B": "Q"}}},
    ),
    Case(
        "parallel, deep, never visited: the default configuration",
        two_histories(),
        ["DEEP"],
        {"on": {"A": "B", "K": "L"}},
    ),
    Case(
        "parallel, shallow, never visited: the default configuration",
        two_histories(),
        ["HIST"],
        {"on": {"A": "B", "K": "L"}},
    ),
    Case(
        "parallel, shallow: the regions, not what was in them",
        two_histories(),
        ["SWITCH", "INNER_A", "POWER", "HIST"],
        {"on": {"A": "B", "K": "L"}},
    ),
    Case(
        "parallel, deep, one level",
        two_histories(),
        ["SWITCH", "INNER_A", "POWER", "DEEP"],
        {"on": {"A": {"C": "D"}, "K": "L"}},
    ),
    Case("parallel, deep, every region", two_histories(), [*INNER, "DEEP"], DEEP_BACK),
    Case(
        "the history of one region, the other by default",
        two_histories(),
        [*INNER, "DEEP_A"],
        {"on": {"A": {"C": "E"}, "K": "L"}},
    ),
    Case("the shallow histories of both regions", two_histories(), [*INNER, "BOTH"], SHALLOW_BACK),
    Case(
        "the history of one region and a state of the other", two_histories(), [*INNER, "SOME"], SHALLOW_BACK
    ),
    Case("the deep histories of both regions", two_histories(), [*INNER, "FULL"], DEEP_BACK),
    Case(
        "history beside the regions does not keep a parallel state from completing",
        start(
            p=more(
                parallel(
                    h=TO_HISTORY,
                    one=region(wait={"on": {"ONE": "end"}}, end={"type": "final"}),
                    two=region(wait={"on": {"TWO": "end"}}, end={"type": "final"}),
                ),
                onDone="over",
            ),
            over={},
        ),
        ["ONE", "TWO"],
        "over",
    ),
]


# Several targets at once.

PARA = parallel(A=region(B={}, C={}), K=region(L={}, M={}), P=region(Q={}, R={}))
MULTIPLE = [
    Case(
        f"enters {' and '.join(targets)}",
        start(simple={"on": {"E": {"target": targets}}}, para=PARA),
        ["E"],
        {"para": value},
    )
    for targets, value in (
        (["para"], {"A": "B", "K": "L", "P": "Q"}),
        (["para.K.M"], {"A": "B", "K": "M", "P": "Q"}),
        (["para.A.C", "para.K.M", "para.P.R"], {"A": "C", "K": "M", "P": "R"}),
        (["para.K.M", "para.P.R"], {"A": "B", "K": "M", "P": "R"}),
        (["para.P.R", "para.K.M"], {"A": "B", "K": "M", "P": "R"}),
    )
]


@pytest.mark.parametrize("case", DEEP + INTERNAL + PARALLEL + HISTORY + MULTIPLE, ids=lambda case: case.title)
def test_case(play: Any, tracked: Any, case: Case) -> None:
    played = play(tracked(case.config), *case.events)
    assert played.value == case.value
    if case.said is not None:
        assert " ".join(played.said) == case.said
    if case.context is not UNASKED:
        assert played.context == case.context


PARA2 = parallel(K2=region(L2=parallel(L2A=region(L2B={}, L2C={})), M2={}))


@pytest.mark.parametrize(
    "targets",
    [
        ["para.A.C", "para.A.B"],
        ["para.A.C", "para.K.M", "other"],
        ["para.A.C", "para2.K2.M2"],
        ["para2.K2.L2.L2A", "other"],
        ["para2.K2.L2.L2A.L2C", "para2.K2.M2"],
        ["para", "para.A"],
    ],
)
def test_targets_that_no_configuration_holds_are_refused(targets: list[str]) -> None:
    config = start(simple={"on": {"E": {"target": targets}}}, para=PARA, para2=PARA2, other={})
    with pytest.raises(InvalidMachine, match="cannot be active together"):
        Machine(config)


def test_a_target_on_the_root_is_not_a_sibling() -> None:
    with pytest.raises(InvalidMachine, match="the root has no sibling 'left'"):
        Machine({**start(left={}, right={}), "on": {"LEFT": "left"}})


def test_states_are_numbered_in_document_order() -> None:
    machine = Machine(
        start(
            one=region(two={}, three=region(four={}, five=region(six={}))),
            seven=parallel(
                eight=region(nine={}, ten=region(eleven={}, twelve={})),
                thirteen=parallel(fourteen={}, fifteen={}),
            ),
        )
    )
    assert [(state.key, state.index) for state in machine.states] == [
        (key, index)
        for index, key in enumerate(
            "m one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen".split()
        )
    ]
