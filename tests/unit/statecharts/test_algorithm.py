"""
The algorithm of W3C SCXML, appendix D, case by case, and every row of the table of what holds where specifications disagree.

Each case names the rule that it holds. States say "+path" when entered and "-path" when left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from pyarvo.statecharts import MachineForm, StateForm, assign, emit, raise_, state_in


@dataclass
class Case:
    rule: str
    config: MachineForm
    events: Sequence[str]
    value: Any
    said: str


def say(word: str) -> Any:
    return emit({"type": word})


def region(**states: StateForm) -> StateForm:
    return {"initial": next(iter(states)), "states": states}


def chart(**states: StateForm) -> MachineForm:
    return {"id": "m", "initial": next(iter(states)), "states": states}


def parallel(**states: StateForm) -> StateForm:
    return {"type": "parallel", "states": states}


def more(state: StateForm, **keys: Any) -> Any:
    return {**state, **keys}


def is_e(_context: Any, event: Any) -> bool:
    return event.type == "E"


def go(target: str, word: str = "", **keys: Any) -> Any:
    return {"target": target, "actions": say(word), **keys} if word else {"target": target, **keys}


OUT: StateForm = {"id": "out"}
LEAVE_P = "-p.b.x -p.b -p.a.x -p.a -p"

HIERARCHY = [
    Case(
        "hierarchy: initial states are entered down to a leaf",
        chart(a=region(b=region(c={}))),
        [],
        {"a": {"b": "c"}},
        "+root +a +a.b +a.b.c",
    ),
    Case(
        "hierarchy: a child takes the event before its parent",
        chart(a=more(region(b={"on": {"E": go("c", "child")}}, c={}), on={"E": go("d", "parent")}), d={}),
        ["E"],
        {"a": "c"},
        "-a.b child +a.c",
    ),
    Case(
        "hierarchy: the parent takes it when the child's guard fails",
        chart(
            a=more(
                region(b={"on": {"E": go("c", "child", guard=lambda: False)}}, c={}),
                on={"E": go("d", "parent")},
            ),
            d={},
        ),
        ["E"],
        "d",
        "-a.b -a parent +d",
    ),
    Case(
        "hierarchy: leaving a state leaves all inside it, the innermost first",
        chart(a=more(region(b=region(c={})), on={"E": "d"}), d={}),
        ["E"],
        "d",
        "-a.b.c -a.b -a +d",
    ),
    Case(
        "hierarchy: ancestors of a deep target are entered, their initial states are not",
        chart(a={"on": {"E": "b.d"}}, b=region(c={}, d={})),
        ["E"],
        {"b": "d"},
        "-a +b +b.d",
    ),
    Case(
        "initial: may name a descendant",
        {"initial": "#deep", "states": {"a": region(b={}, c=region(d={}, e={"id": "deep"}))}},
        [],
        {"a": {"c": "e"}},
        "+root +a +a.c +a.c.e",
    ),
    Case(
        "initial: may name a state in each of several regions",
        {
            "initial": ["#ay", "#by"],
            "states": {"p": parallel(a=region(x={}, y={"id": "ay"}), b=region(x={}, y={"id": "by"}))},
        },
        [],
        {"p": {"a": "y", "b": "y"}},
        "+root +p +p.a +p.a.y +p.b +p.b.y",
    ),
    Case(
        "initial: its actions run between the parent's entry and the child's",
        {"initial": {"target": "a", "actions": say("way in")}, "states": {"a": {}}},
        [],
        "a",
        "+root way in +a",
    ),
]

ONCE: MachineForm = {
    "type": "parallel",
    "context": {"n": 0},
    "always": {
        "guard": lambda c, _e: c["n"] < 1,
        "actions": [say("own"), assign({"n": lambda c, _e: c["n"] + 1})],
    },
    "states": {"a": {}, "b": {}},
}
PARALLEL = [
    Case(
        "selection: an `always` met on the way from several leaves is taken once",
        ONCE,
        [],
        {"a": {}, "b": {}},
        "+root +a +b own",
    ),
    Case(
        "parallel: every region takes the event",
        chart(
            p=parallel(
                a=region(x={"on": {"E": go("y", "a")}}, y={}), b=region(x={"on": {"E": go("y", "b")}}, y={})
            )
        ),
        ["E"],
        {"p": {"a": "y", "b": "y"}},
        "-p.b.x -p.a.x a b +p.a.y +p.b.y",
    ),
    Case(
        "parallel: all leave, then all act, then all enter, in document order",
        chart(
            p=parallel(
                a=region(x={"on": {"E": go("y", "a")}}, y={}),
                b=region(x={}, y={}),
                c=region(x={"on": {"E": go("y", "c")}}, y={}),
            )
        ),
        ["E"],
        {"p": {"a": "y", "b": "x", "c": "y"}},
        "-p.c.x -p.a.x a c +p.a.y +p.c.y",
    ),
    Case(
        "parallel: entering one region's state enters the others by default",
        chart(o={"on": {"E": "p.b.y"}}, p=parallel(a=region(x={}, y={}), b=region(x={}, y={}))),
        ["E"],
        {"p": {"a": "x", "b": "y"}},
        "-o +p +p.a +p.a.x +p.b +p.b.y",
    ),
    Case(
        "selection: the parallel state's own transition only when no region took one",
        chart(
            p=more(
                parallel(a=region(x={"on": {"E": go("y", "region")}}, y={}), b=region(x={})),
                on={"E": {"actions": say("own")}},
            )
        ),
        ["E"],
        {"p": {"a": "y", "b": "x"}},
        "-p.a.x region +p.a.y",
    ),
    Case(
        "selection: and then it is taken once for all regions",
        chart(p=more(parallel(a=region(x={}), b=region(x={})), on={"E": {"actions": say("own")}})),
        ["E"],
        {"p": {"a": "x", "b": "x"}},
        "own",
    ),
    Case(
        "selection: `always` climbs from every leaf, also past a region that took one",
        {
            "type": "parallel",
            "context": {"n": 0},
            "always": {"guard": lambda c, _e: c["n"] < 1, "actions": [say("own"), assign({"n": 1})]},
            "states": {"a": region(x={"always": go("y", "region")}, y={}), "b": region(x={})},
        },
        [],
        {"a": "y", "b": "x"},
        "+root +a +a.x +b +b.x -a.x region own +a.y",
    ),
]

CONFLICTS = [
    Case(
        "conflict: the first region in document order wins",
        chart(
            p=parallel(
                a=region(x={"on": {"E": go("#out", "a")}}), b=region(x={"on": {"E": go("#m.q", "b")}})
            ),
            out=OUT,
            q={},
        ),
        ["E"],
        "out",
        f"{LEAVE_P} a +out",
    ),
    Case(
        "conflict: a transition out interrupts those that stay inside",
        chart(
            p=parallel(
                a=region(x={"on": {"E": go("#out", "out")}}), b=region(x={"on": {"E": go("y", "b")}}, y={})
            ),
            out=OUT,
        ),
        ["E"],
        "out",
        f"{LEAVE_P} out +out",
    ),
    Case(
        "conflict: those that come first interrupt the transition out",
        chart(
            p=parallel(
                a=region(x={"on": {"E": go("y", "a")}}, y={}), b=region(x={"on": {"E": go("#out", "out")}})
            ),
            out=OUT,
        ),
        ["E"],
        {"p": {"a": "y", "b": "x"}},
        "-p.a.x a +p.a.y",
    ),
    Case(
        "conflict: a targetless transition conflicts with nothing",
        chart(
            p=parallel(
                a=region(x={"on": {"E": go("#out", "out")}}), b=region(x={"on": {"E": {"actions": say("b")}}})
            ),
            out=OUT,
        ),
        ["E"],
        "out",
        f"{LEAVE_P} out b +out",
    ),
    Case(
        "conflict, always: a descendant's wins over one met earlier",
        chart(
            p=more(
                parallel(a={}, b=region(x={"always": go("y", "inner")}, y={})), always=go("#out", "outer")
            ),
            out=OUT,
        ),
        [],
        "out",
        "+root +p +p.a +p.b +p.b.x -p.b.x inner +p.b.y -p.b.y -p.b -p.a -p outer +out",
    ),
    Case(
        "conflict, always: the first in document order wins among regions",
        chart(
            p=parallel(a=region(x={"always": go("#out", "a")}), b=region(x={"always": go("#m.q", "b")})),
            out=OUT,
            q={},
        ),
        [],
        "out",
        f"+root +p +p.a +p.a.x +p.b +p.b.x {LEAVE_P} a +out",
    ),
    Case(
        "a branch that a sibling has left is not entered again: by history",
        chart(
            p=parallel(
                a={"on": {"E": "#out"}},
                b=region(x={"on": {"E": go("h", "stay")}}, h={"type": "history", "target": "x"}),
            ),
            out=OUT,
        ),
        ["E"],
        "out",
        "-p.b.x -p.b -p.a -p stay +out",
    ),
    Case(
        "a branch that a sibling has left is not entered again: to itself",
        chart(p=parallel(a={"on": {"E": "#out"}}, b=region(x={"on": {"E": go("x", "stay")}})), out=OUT),
        ["E"],
        "out",
        "-p.b.x -p.b -p.a -p stay +out",
    ),
    Case(
        "domain: parallel states count, so crossing regions starts all of them anew",
        chart(
            p=parallel(
                a=region(x={"on": {"E": "#by"}}, y={}),
                b=region(x={}, y={"id": "by"}),
                c=region(x={"on": {"N": "y"}}, y={}),
            )
        ),
        ["N", "E"],
        {"p": {"a": "x", "b": "y", "c": "x"}},
        "-p.c.y -p.c -p.b.x -p.b -p.a.x -p.a +p.a +p.a.x +p.b +p.b.y +p.c +p.c.x",
    ),
]

TRANSITIONS = [
    Case(
        "internal is the default: the source stays",
        chart(a=more(region(b={}, c={}), on={"E": ".c"})),
        ["E"],
        {"a": "c"},
        "-a.b +a.c",
    ),
    Case(
        "reenter: the source is left and entered",
        chart(a=more(region(b={}, c={}), on={"E": go(".c", reenter=True)})),
        ["E"],
        {"a": "c"},
        "-a.b -a +a +a.c",
    ),
    Case(
        "internal of a parallel source starts its regions anew",
        chart(p=more(parallel(a=region(x={}, y={}), b=region(x={"on": {"N": "y"}}, y={})), on={"E": ".a.y"})),
        ["N", "E"],
        {"p": {"a": "y", "b": "x"}},
        "-p.b.y -p.b -p.a.x -p.a +p.a +p.a.y +p.b +p.b.x",
    ),
    Case(
        "self without reenter: an atomic state is not left",
        chart(a=region(b={"on": {"E": go("b", "act")}})),
        ["E"],
        {"a": "b"},
        "act",
    ),
    Case(
        "self with reenter: ancestors stay",
        chart(a=region(b={"on": {"E": go("b", reenter=True)}})),
        ["E"],
        {"a": "b"},
        "-a.b +a.b",
    ),
    Case(
        "targetless: nothing is left or entered",
        chart(a=more(region(b={}), on={"E": {"actions": say("act")}})),
        ["E"],
        {"a": "b"},
        "act",
    ),
    Case(
        "candidates are tried as written",
        chart(a={"on": {"E": [go("b", guard=lambda: False), go("c"), go("d")]}}, b={}, c={}, d={}),
        ["E"],
        "c",
        "-a +c",
    ),
]

QUEUES = [
    Case(
        "eventless chains run to their end",
        chart(a={"on": {"E": "b"}}, b={"always": "c"}, c={"always": "d"}, d={}),
        ["E"],
        "d",
        "-a +b -b +c -c +d",
    ),
    Case(
        "eventless before internal events",
        chart(
            a={"on": {"E": "b"}},
            b={"entry": raise_("R"), "always": "c", "on": {"R": "x"}},
            c={"on": {"R": "d"}},
            d={},
            x={},
        ),
        ["E"],
        "d",
        "-a +b -b +c -c +d",
    ),
    Case(
        "internal events in the order they were raised",
        chart(
            a={"on": {"E": go("b")}, "exit": [raise_("R1"), raise_("R2")]},
            b={"on": {"R1": "c", "R2": "x"}},
            c={"on": {"R2": "d"}},
            d={},
            x={},
        ),
        ["E"],
        "d",
        "-a +b -b +c -c +d",
    ),
    Case(
        "an event that nothing takes is forgotten",
        chart(a={"entry": raise_("R"), "on": {"E": "b"}}, b={"on": {"R": "c"}}, c={}),
        ["E"],
        "b",
        "-a +b",
    ),
    Case(
        "`always` is looked at after an event that nothing took",
        {"context": {"n": 0}, **chart(a={"always": go("b", guard=is_e)}, b={})},
        ["E"],
        "b",
        "-a +b",
    ),
    Case(
        "guards see the configuration before the microstep",
        {
            "type": "parallel",
            "states": {
                "a": region(x={"on": {"E": "y"}}, y={}),
                "b": region(x={"on": {"E": go("y", guard=state_in("a.x"))}}, y={}),
            },
        },
        ["E"],
        {"a": "y", "b": "y"},
        "-b.x -a.x +a.y +b.y",
    ),
]


def remembering(kind: Any, **more_keys: Any) -> MachineForm:
    inner = region(x={"on": {"N": "y"}}, y={})
    history: Any = {"type": "history", "history": kind, **more_keys}
    return chart(
        a=more(region(b=inner, c={}, h=history), on={"OUT": "out", "H": ".h"}),
        out={"id": "out", "on": {"BACK": "a.h", "IN": "a.c"}},
    )


DOUBLE_HISTORY: StateForm = {
    "initial": "h",
    "states": {"h": {"type": "history", "target": "u"}, "u": {"on": {"N": "v"}}, "v": {}},
}
HISTORY = [
    Case(
        "history: as the initial state of a region beside the target",
        chart(
            p=more(parallel(a=region(x={}, y={}), b=DOUBLE_HISTORY), on={"OUT": "#out"}),
            out={"id": "out", "on": {"BACK": "p.a.y"}},
        ),
        ["N", "OUT", "BACK"],
        {"p": {"a": "y", "b": "v"}},
        "-out +p +p.a +p.a.y +p.b +p.b.v",
    ),
    Case(
        "history: an eventless transition that records something new is taken again",
        chart(
            o={"on": {"E": "a"}},
            a=more(region(b={}, h={"type": "history"}), always=go("a", "again", reenter=True)),
        ),
        ["E"],
        {"a": "b"},
        "-o +a +a.b -a.b -a again +a +a.b -a.b -a again +a +a.b",
    ),
    Case(
        "history: shallow restores the child, its inside by default",
        remembering("shallow"),
        ["N", "OUT", "BACK"],
        {"a": {"b": "x"}},
        "-out +a +a.b +a.b.x",
    ),
    Case(
        "history: deep restores the leaves",
        remembering("deep"),
        ["N", "OUT", "BACK"],
        {"a": {"b": "y"}},
        "-out +a +a.b +a.b.y",
    ),
    Case(
        "history: the default is taken until something is recorded",
        remembering("deep", target="c"),
        ["OUT"],
        "out",
        "-a.b.x -a.b -a +out",
    ),
    Case(
        "history: recorded each time the parent is left",
        remembering("deep", target="c"),
        ["N", "OUT", "IN", "OUT", "BACK"],
        {"a": "c"},
        "-out +a +a.c",
    ),
    Case(
        "history: not recorded when only what is inside is left",
        remembering("deep", target="c"),
        ["N", "H"],
        {"a": "c"},
        "-a.b.y -a.b +a.c",
    ),
    Case(
        "history: recorded before the entry set is computed",
        chart(
            a=more(
                region(b={"on": {"N": "c"}}, c={}, h={"type": "history"}), on={"E": go(".h", reenter=True)}
            )
        ),
        ["N", "E"],
        {"a": "c"},
        "-a.c -a +a +a.c",
    ),
    Case(
        "history: under parallel, deep restores every region",
        chart(
            p=more(
                parallel(
                    a=region(x={"on": {"N": "y"}}, y={}),
                    b=region(x={"on": {"N": "y"}}, y={}),
                    h={"type": "history", "history": "deep"},
                ),
                on={"OUT": "#out"},
            ),
            out={"id": "out", "on": {"BACK": "p.h"}},
        ),
        ["N", "OUT", "BACK"],
        {"p": {"a": "y", "b": "y"}},
        "-out +p +p.a +p.a.y +p.b +p.b.y",
    ),
    Case(
        "history: of one region, the other by default",
        chart(
            p=more(
                parallel(
                    a=region(x={"on": {"N": "y"}}, y={}, h={"type": "history"}),
                    b=region(x={"on": {"N": "y"}}, y={}),
                ),
                on={"OUT": "#out"},
            ),
            out={"id": "out", "on": {"BACK": "p.a.h"}},
        ),
        ["N", "OUT", "BACK"],
        {"p": {"a": "y", "b": "x"}},
        "-out +p +p.a +p.a.y +p.b +p.b.x",
    ),
    Case(
        "history: of a parallel state, nothing recorded: into the parallel state by default",
        chart(p=parallel(a=region(x={"on": {"E": "#h"}}), b=region(x={}), h={"type": "history", "id": "h"})),
        ["E"],
        {"p": {"a": "x", "b": "x"}},
        f"{LEAVE_P} +p +p.a +p.a.x +p.b +p.b.x",
    ),
    Case(
        "history: what it restores between its parent and the states is entered, though active (both specifications)",
        chart(a=region(b={"on": {"E": "h"}}, h={"type": "history", "target": "b"})),
        ["E"],
        {"a": "b"},
        "+a.b",
    ),
]

FINAL: StateForm = {"type": "final"}
DONE = [
    Case(
        "done: a final child raises its parent's completion",
        chart(a=more(region(b={"on": {"E": "f"}}, f=FINAL), onDone="c"), c={}),
        ["E"],
        "c",
        "-a.b +a.f -a.f -a +c",
    ),
    Case(
        "done: completion is an internal event, after eventless transitions",
        chart(
            a=more(region(b={"on": {"E": "f"}}, f=FINAL), onDone="x", always=go("c", guard=state_in("a.f"))),
            c={},
            x={},
        ),
        ["E"],
        "c",
        "-a.b +a.f -a.f -a +c",
    ),
    Case(
        "done: a parallel state completes with its last region",
        chart(
            p=more(
                parallel(a=region(x={"on": {"A": "f"}}, f=FINAL), b=region(x={"on": {"B": "f"}}, f=FINAL)),
                onDone="c",
            ),
            c={},
        ),
        ["B", "A"],
        "c",
        "-p.a.x +p.a.f -p.b.f -p.b -p.a.f -p.a -p +c",
    ),
    Case(
        "done: a region's completion is heard before the parallel state's",
        chart(
            p=more(
                parallel(
                    a=more(region(f=FINAL), onDone={"actions": say("a done")}),
                    b=more(region(f=FINAL), onDone={"actions": say("b done")}),
                ),
                onDone={"actions": say("p done")},
            )
        ),
        [],
        {"p": {"a": "f", "b": "f"}},
        "+root +p +p.a +p.a.f +p.b +p.b.f a done b done p done",
    ),
    Case(
        "done: a final child of the root ends the machine, raised events die",
        {
            **chart(a={"on": {"E": "f"}}, f={"type": "final", "entry": raise_("R")}),
            "on": {"R": {"actions": say("never")}},
        },
        ["E"],
        "f",
        "-a +f -f -root",
    ),
    Case(
        "done: the end leaves every state, innermost and last first",
        {
            "type": "parallel",
            "states": {
                "a": region(x={"on": {"E": "f"}}, f=FINAL),
                "b": region(x={"on": {"E": "f"}}, f=FINAL),
            },
        },
        ["E"],
        {"a": "f", "b": "f"},
        "-b.x -a.x +a.f +b.f -b.f -b -a.f -a -root",
    ),
]


@pytest.mark.parametrize(
    "case",
    HIERARCHY + PARALLEL + CONFLICTS + TRANSITIONS + QUEUES + HISTORY + DONE,
    ids=lambda case: case.rule,
)
def test_rule(play: Any, tracked: Any, case: Case) -> None:
    played = play(tracked(case.config), *case.events)
    assert (played.value, " ".join(played.said)) == (case.value, case.said)


def test_no_case_is_there_twice() -> None:
    rules = [case.rule for case in HIERARCHY + PARALLEL + CONFLICTS + TRANSITIONS + QUEUES + HISTORY + DONE]
    assert len(set(rules)) == len(rules)
