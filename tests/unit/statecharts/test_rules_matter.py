"""
Every rule of the engine matters: put a wrong one in its place and a small, named case turns red.

A case is a chart (its states say when they are entered and left), events, and what must be seen: the state value and what was
said, per step. Each rule has at least one wrong version, with a case that tells it from the right one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from pyarvo.errors import ArvoError
from pyarvo.statecharts import MachineForm, assign, emit, raise_
from pyarvo.statecharts.engine import rules
from pyarvo.statecharts.model import Kind, State, Transition

engine = importlib.import_module("pyarvo.statecharts.engine.step")


@dataclass
class Case:
    rule: str
    wrong: Callable[..., Any]
    config: MachineForm
    events: Sequence[str]
    seen: Sequence[tuple[Any, str]]
    where: Any = rules

    @property
    def name(self) -> str:
        return f"{self.rule}-{self.wrong.__name__}"


def outcome(play: Any, tracked: Any, case: Case) -> Any:
    """What the case shows; an error is a showing too."""
    try:
        played = play(tracked(case.config), *case.events, max_microsteps=50)
    except (ArvoError, LookupError, ValueError) as error:
        return repr(error)
    return [(value, " ".join(said)) for value, said in zip(played.values, played.emitted, strict=True)]


# Charts that several cases share.

TWO_REGIONS: MachineForm = {
    "initial": "p",
    "states": {
        "p": {
            "type": "parallel",
            "states": {
                "a": {"initial": "x", "states": {"x": {"on": {"E": "y", "OUT": "#out"}}, "y": {}}},
                "b": {
                    "initial": "x",
                    "states": {
                        "x": {"on": {"OUT": {"target": "y", "actions": emit({"type": "lost"})}}},
                        "y": {},
                    },
                },
            },
        },
        "out": {"id": "out"},
    },
}
START_TWO = ({"p": {"a": "x", "b": "x"}}, "+root +p +p.a +p.a.x +p.b +p.b.x")
HISTORY: MachineForm = {
    "initial": "m",
    "states": {
        "m": {
            "initial": "a",
            "on": {"OUT": "out"},
            "states": {
                "a": {
                    "initial": "a1",
                    "states": {"a1": {"on": {"N": "a2", "H": "#h"}}, "a2": {"on": {"BACK": "a1"}}},
                },
                "b": {},
                "h": {"type": "history", "history": "deep", "id": "h", "target": "b"},
                "s": {"type": "history"},
            },
        },
        "out": {"on": {"DEEP": "m.h", "SHALLOW": "m.s", "IN": "m.a"}},
    },
}
START_HISTORY = ({"m": {"a": "a1"}}, "+root +m +m.a +m.a.a1")
OUT = ("out", "-m.a.a1 -m.a -m +out")
NESTED: MachineForm = {
    "initial": "a",
    "states": {
        "a": {
            "initial": "b",
            "on": {"IN": ".c", "RE": {"target": ".c", "reenter": True}, "OUT": "d"},
            "states": {"b": {}, "c": {}},
        },
        "d": {"initial": "e", "states": {"e": {}}},
    },
}
START_NESTED = ({"a": "b"}, "+root +a +a.b")
DONE: MachineForm = {
    "initial": "p",
    "states": {
        "p": {
            "type": "parallel",
            "onDone": "end",
            "states": {
                "a": {"initial": "x", "states": {"x": {"on": {"A": "f"}}, "f": {"type": "final"}}},
                "b": {"initial": "x", "states": {"x": {"on": {"B": "f"}}, "f": {"type": "final"}}},
            },
        },
        "end": {"type": "final"},
    },
}
START_DONE = START_TWO


def on_a(**on: Any) -> MachineForm:
    """States a, b, c; a reacts as given."""
    return {"initial": "a", "states": {"a": {"on": on}, "b": {}, "c": {}}}


def descriptors(**on: Any) -> MachineForm:
    """Descriptors written with underscores for dots and `any` for the star."""
    return on_a(**{key.replace("_", ".").replace("any", "*"): target for key, target in on.items()})


AB = ("a", "+root +a")
TO_B = ("b", "-a +b")


# Wrong rules.


def exact_only(state: State, event_type: str) -> Sequence[Transition]:
    return state.on.get(event_type, ())


def wildcard_first(state: State, event_type: str) -> Sequence[Transition]:
    wild = [one for _, group in state.wildcards for one in group]
    return [*wild, *state.on.get(event_type, ())]


def shorter_first(prefix: str) -> int:
    return len(prefix)


def last_one(run: Any, transitions: Iterable[Transition]) -> Transition | None:
    return next((one for one in reversed(list(transitions)) if one.guard is None or one.guard(run)), None)


def errors_are_false(run: Any, transitions: Iterable[Transition]) -> Transition | None:
    for one in transitions:
        try:
            if one.guard is None or one.guard(run):
                return one
        except ZeroDivisionError:
            continue
    return None


def guards_are_ignored(_run: Any, transitions: Iterable[Transition]) -> Transition | None:
    return next(iter(transitions), None)


def parents_first(run: Any, state: State, event_type: str) -> list[Transition]:
    own = rules.enabled(run, rules.candidates(state, event_type))
    if own is not None:
        return [own]
    active = [one for one in state.children if run.configuration & one.bit]
    return [taken for child in active for taken in parents_first(run, child, event_type)]


def every_leaf_climbs(run: Any, state: State, event_type: str) -> list[Transition]:
    """As W3C has it: a region that takes nothing lets its ancestors take the event."""
    found: list[Transition] = []
    for leaf in run.states:
        if run.configuration & leaf.bit and not leaf.children:
            for one in (leaf, *leaf.ancestors()):
                own = rules.enabled(run, rules.candidates(one, event_type))
                if own is not None:
                    found += [] if own in found else [own]
                    break
    return found


def leaves_only(run: Any) -> list[Transition]:
    active = [one for one in run.states if run.configuration & one.bit and not one.children]
    return [own for leaf in active if (own := rules.enabled(run, leaf.always)) is not None]


def first_region_only(run: Any) -> list[Transition]:
    for leaf in run.states:
        if run.configuration & leaf.bit and not leaf.children:
            own = rules.enabled(run, leaf.always)
            if own is not None:
                return [own]
    return []


def nothing_conflicts(_exits: int, _other: int) -> bool:
    return False


def everything_conflicts(_exits: int, _other: int) -> bool:
    return True


def earlier_wins(_transition: Transition, _other: Transition) -> bool:
    return False


def later_wins(_transition: Transition, _other: Transition) -> bool:
    return True


def take_all(taken: list[tuple[Transition, int]]) -> list[tuple[Transition, int]]:
    return taken


def take_first(taken: list[tuple[Transition, int]]) -> list[tuple[Transition, int]]:
    return taken[:1]


right_domain = rules.domain_of


def always_external(source: State, targets: Sequence[State], *, reenter: bool) -> State | None:
    return right_domain(source, targets, reenter=True)


def never_reenters(source: State, targets: Sequence[State], *, reenter: bool) -> State | None:
    return right_domain(source, targets, reenter=False)


def compound_only(source: State, targets: Sequence[State], *, reenter: bool) -> State | None:
    domain = right_domain(source, targets, reenter=reenter)
    while domain is not None and domain.kind is Kind.PARALLEL and domain.parent is not None:
        domain = domain.parent
    return domain


def always_root(source: State, _targets: Sequence[State], *, reenter: bool) -> State | None:
    return ([source, *source.ancestors()])[-1]


def nothing_is_left(_domain: State | None, _configuration: int) -> int:
    return 0


def domain_is_left_too(domain: State | None, configuration: int) -> int:
    return configuration if domain is None else configuration & (domain.below | domain.bit)


def history_is_forgotten(targets: Iterable[State], _history: Any, _states: Any) -> list[State]:
    replaced: list[State] = []
    for one in targets:
        replaced += list(rules.default_targets(one)) if one.kind is Kind.HISTORY else [one]
    return replaced


def parents_initial(state: State) -> Sequence[State]:
    assert state.parent is not None
    assert state.parent.initial is not None
    return state.parent.initial.targets


right_entry = rules.entry_set


def targets_alone(
    source: State | None,
    targets: Sequence[State],
    domain: State | None,
    history: Mapping[int, int],
    states: Any,
) -> tuple[int, int]:
    entered, defaults = right_entry(source, targets, domain, history, states)
    wanted = 0
    for one in targets:
        wanted |= one.bit | one.below
    return (entered & wanted, defaults) if source is not None else (entered, defaults)


def no_other_regions(
    source: State | None,
    targets: Sequence[State],
    domain: State | None,
    history: Mapping[int, int],
    states: Any,
) -> tuple[int, int]:
    entered, defaults = right_entry(source, targets, domain, history, states)
    wanted = 0
    for one in targets:
        wanted |= one.bit | one.below
        for ancestor in one.ancestors():
            wanted |= ancestor.bit
    return (entered & wanted, defaults) if source is not None else (entered, defaults)


def source_is_entered(
    source: State | None,
    targets: Sequence[State],
    domain: State | None,
    history: Mapping[int, int],
    states: Any,
) -> tuple[int, int]:
    return right_entry(None, targets, domain, history, states)


def no_defaults(
    source: State | None,
    targets: Sequence[State],
    domain: State | None,
    history: Mapping[int, int],
    states: Any,
) -> tuple[int, int]:
    return right_entry(source, targets, domain, history, states)[0], 0


def always_entered(_domain: State | None, _left: int) -> bool:
    return False


def forward(mask: int) -> Iterable[int]:
    return [index for index in range(mask.bit_length()) if mask >> index & 1]


def backward(mask: int) -> Iterable[int]:
    return reversed(list(forward(mask)))


def always_deep(history: State, configuration: int, leaves: int) -> int:
    assert history.parent is not None
    return configuration & history.parent.below & leaves


def always_shallow(history: State, configuration: int, leaves: int) -> int:
    assert history.parent is not None
    return configuration & history.parent.offspring


def any_region(state: State, configuration: int) -> bool:
    return any(
        configuration & one.bit
        for child in state.children
        for one in child.children
        if one.kind is Kind.FINAL
    )


def compound_parent_only(final: State, configuration: int) -> tuple[list[State], bool]:
    above = final.parent
    return (
        ([above], above.parent is None) if above is not None and above.kind is Kind.COMPOUND else ([], False)
    )


def never_done(final: State, configuration: int) -> tuple[list[State], bool]:
    return right_completed(final, configuration)[0], False


right_completed = rules.completed_states


def never_settles(_run: Any, _before: Any) -> bool:
    return False


def settles_at_once(_run: Any, _before: Any) -> bool:
    return True


def exit_nothing_at_the_end(_run: Any) -> None:
    return None


right_leave = engine._leave


def leave_without_record(run: Any, mask: int) -> None:
    before = run.history
    right_leave(run, mask)
    run.history = before


def boom(_context: Any, _event: Any) -> bool:
    return 1 // 0 == 0


def never(_context: Any, _event: Any) -> bool:
    return False


def below_three(context: Any, _event: Any) -> bool:
    return context["n"] < 3


def one_more(context: Any, _event: Any) -> int:
    return context["n"] + 1


PARENT_AND_CHILD: MachineForm = {
    "initial": "a",
    "states": {
        "a": {"initial": "c", "on": {"E": "x"}, "states": {"c": {"on": {"E": "d"}}, "d": {}}},
        "x": {},
    },
}
DOCUMENT_ORDER: MachineForm = {
    "initial": "p",
    "states": {
        "p": {
            "type": "parallel",
            "states": {
                "a": {"initial": "i", "states": {"i": {"on": {"E": {"target": "#c"}}}}},
                "b": {
                    "initial": "x",
                    "states": {
                        "x": {"on": {"E": {"target": "y", "actions": emit({"type": "lost"})}}},
                        "y": {},
                        "c": {"id": "c"},
                    },
                },
            },
        },
    },
}
ALWAYS_BOTH: MachineForm = {
    "type": "parallel",
    "states": {
        "a": {"initial": "x", "states": {"x": {"always": "y"}, "y": {}}},
        "b": {"initial": "x", "states": {"x": {"always": "y"}, "y": {}}},
    },
}
# p's own `always` is met first, on the way up from a; that of b's leaf is written on a descendant of p and wins.
ALWAYS_PARENT_FIRST: MachineForm = {
    "initial": "idle",
    "states": {
        "idle": {"on": {"GO": "p"}},
        "p": {
            "type": "parallel",
            "always": "#out",
            "states": {
                "a": {},
                "b": {"initial": "x", "states": {"x": {"always": "y"}, "y": {}}},
            },
        },
        "out": {"id": "out"},
    },
}
LEFT_BEHIND: MachineForm = {
    "initial": "p",
    "states": {
        "p": {
            "type": "parallel",
            "states": {
                "a": {"on": {"E": "#out"}},
                "b": {
                    "initial": "x",
                    "states": {"x": {"on": {"E": "h"}}, "h": {"type": "history", "target": "x"}},
                },
            },
        },
        "out": {"id": "out"},
    },
}
INITIAL_ACTIONS: MachineForm = {
    "initial": "a",
    "states": {
        "a": {"on": {"E": "b"}},
        "b": {
            "initial": {"target": "c", "actions": raise_("GO")},
            "states": {"c": {"on": {"GO": "d"}}, "d": {}},
        },
    },
}
CROSS_REGIONS: MachineForm = {
    "initial": "p",
    "states": {
        "p": {
            "type": "parallel",
            "states": {
                "a": {"initial": "x", "states": {"x": {"on": {"E": "#y"}}}},
                "b": {"initial": "x", "states": {"x": {}, "y": {"id": "y"}}},
            },
        },
    },
}
COUNT: MachineForm = {
    "context": {"n": 0},
    "initial": "a",
    "states": {
        "a": {"always": [{"guard": below_three, "actions": assign({"n": one_more})}, {"target": "b"}]},
        "b": {},
    },
}
STAY: MachineForm = {
    "initial": "a",
    "states": {"a": {"on": {"E": "b"}}, "b": {"always": ".c", "initial": "c", "states": {"c": {}}}},
}
HISTORY_STEPS = ["N", "OUT", "DEEP"]
CROSSED = ({"p": {"a": "x", "b": "y"}}, "-p.b.x -p.b -p.a.x -p.a +p.a +p.a.x +p.b +p.b.y")
START_CROSS = ({"p": {"a": "x", "b": "x"}}, "+root +p +p.a +p.a.x +p.b +p.b.x")
LEFT = ({"m": {"a": "a2"}}, "-m.a.a1 +m.a.a2"), ("out", "-m.a.a2 -m.a -m +out")

CASES = [
    Case("candidates", exact_only, descriptors(foo_any="b"), ["foo.bar"], [AB, TO_B]),
    Case("candidates", wildcard_first, descriptors(any="c", foo="b"), ["foo"], [AB, TO_B]),
    Case("specificity", shorter_first, descriptors(foo_any="c", foo_bar_any="b"), ["foo.bar.x"], [AB, TO_B]),
    Case("enabled", last_one, on_a(E=["b", "c"]), ["E"], [AB, TO_B]),
    Case("enabled", guards_are_ignored, on_a(E=[{"target": "c", "guard": never}, "b"]), ["E"], [AB, TO_B]),
    Case(
        "select_for_event",
        parents_first,
        PARENT_AND_CHILD,
        ["E"],
        [({"a": "c"}, "+root +a +a.c"), ({"a": "d"}, "-a.c +a.d")],
    ),
    Case(
        "select_for_event",
        every_leaf_climbs,
        {
            "type": "parallel",
            "on": {"E": {"actions": raise_("PARENT")}, "PARENT": ".b.y"},
            "states": {
                "a": {"initial": "x", "states": {"x": {"on": {"E": "y"}}, "y": {}}},
                "b": {"initial": "x", "states": {"x": {}, "y": {}}},
            },
        },
        ["E"],
        [({"a": "x", "b": "x"}, "+root +a +a.x +b +b.x"), ({"a": "y", "b": "x"}, "-a.x +a.y")],
    ),
    Case(
        "select_eventless",
        leaves_only,
        {
            "initial": "a",
            "states": {"a": {"always": "b", "initial": "x", "states": {"x": {}}}, "b": {}},
        },
        [],
        [("b", "+root +a +a.x -a.x -a +b")],
    ),
    Case(
        "select_eventless",
        first_region_only,
        ALWAYS_BOTH,
        [],
        [({"a": "y", "b": "y"}, "+root +a +a.x +b +b.x -b.x -a.x +a.y +b.y")],
    ),
    Case(
        "conflicting",
        nothing_conflicts,
        DOCUMENT_ORDER,
        ["E"],
        [
            ({"p": {"a": "i", "b": "x"}}, "+root +p +p.a +p.a.i +p.b +p.b.x"),
            ({"p": {"a": "i", "b": "c"}}, "-p.b.x -p.b -p.a.i -p.a +p.a +p.a.i +p.b +p.b.c"),
        ],
    ),
    Case(
        "conflicting",
        everything_conflicts,
        ALWAYS_BOTH,
        [],
        [({"a": "y", "b": "y"}, "+root +a +a.x +b +b.x -b.x -a.x +a.y +b.y")],
    ),
    Case(
        "preempts",
        earlier_wins,
        ALWAYS_PARENT_FIRST,
        ["GO"],
        [
            ("idle", "+root +idle"),
            ("out", "-idle +p +p.a +p.b +p.b.x -p.b.x +p.b.y -p.b.y -p.b -p.a -p +out"),
        ],
    ),
    Case(
        "preempts",
        later_wins,
        DOCUMENT_ORDER,
        ["E"],
        [
            ({"p": {"a": "i", "b": "x"}}, "+root +p +p.a +p.a.i +p.b +p.b.x"),
            ({"p": {"a": "i", "b": "c"}}, "-p.b.x -p.b -p.a.i -p.a +p.a +p.a.i +p.b +p.b.c"),
        ],
    ),
    Case(
        "without_conflicts",
        take_all,
        TWO_REGIONS,
        ["OUT"],
        [START_TWO, ("out", "-p.b.x -p.b -p.a.x -p.a -p +out")],
    ),
    Case(
        "without_conflicts",
        take_first,
        ALWAYS_BOTH,
        [],
        [({"a": "y", "b": "y"}, "+root +a +a.x +b +b.x -b.x -a.x +a.y +b.y")],
    ),
    Case("domain_of", always_external, NESTED, ["IN"], [START_NESTED, ({"a": "c"}, "-a.b +a.c")]),
    Case("domain_of", never_reenters, NESTED, ["RE"], [START_NESTED, ({"a": "c"}, "-a.b -a +a +a.c")]),
    Case("domain_of", compound_only, CROSS_REGIONS, ["E"], [START_CROSS, CROSSED]),
    Case("domain_of", always_root, NESTED, ["IN"], [START_NESTED, ({"a": "c"}, "-a.b +a.c")]),
    Case("exit_set", nothing_is_left, NESTED, ["OUT"], [START_NESTED, ({"d": "e"}, "-a.b -a +d +d.e")]),
    Case("exit_set", domain_is_left_too, NESTED, ["IN"], [START_NESTED, ({"a": "c"}, "-a.b +a.c")]),
    Case(
        "effective_targets",
        history_is_forgotten,
        HISTORY,
        ["N", "OUT", "IN", "H"],
        [
            START_HISTORY,
            *LEFT,
            ({"m": {"a": "a1"}}, "-out +m +m.a +m.a.a1"),
            ({"m": {"a": "a2"}}, "-m.a.a1 +m.a +m.a.a2"),
        ],
    ),
    Case(
        "default_targets",
        parents_initial,
        {
            "initial": "o",
            "states": {
                "o": {"on": {"E": "m.h"}},
                "m": {"initial": "x", "states": {"x": {}, "y": {}, "h": {"type": "history", "target": "y"}}},
            },
        },
        ["E"],
        [("o", "+root +o"), ({"m": "y"}, "-o +m +m.y")],
    ),
    Case(
        "entry_set",
        targets_alone,
        {
            "initial": "o",
            "states": {"o": {"on": {"E": "m.y"}}, "m": {"initial": "x", "states": {"x": {}, "y": {}}}},
        },
        ["E"],
        [("o", "+root +o"), ({"m": "y"}, "-o +m +m.y")],
    ),
    Case("entry_set", no_other_regions, CROSS_REGIONS, ["E"], [START_CROSS, CROSSED]),
    Case("entry_set", source_is_entered, on_a(E="a"), ["E"], [AB, ("a", "")]),
    Case("entry_set", no_defaults, INITIAL_ACTIONS, ["E"], [AB, ({"b": "d"}, "-a +b +b.c -b.c +b.d")]),
    Case(
        "is_left_behind",
        always_entered,
        LEFT_BEHIND,
        ["E"],
        [({"p": {"a": {}, "b": "x"}}, "+root +p +p.a +p.b +p.b.x"), ("out", "-p.b.x -p.b -p.a -p +out")],
    ),
    Case("exit_order", forward, NESTED, ["OUT"], [START_NESTED, ({"d": "e"}, "-a.b -a +d +d.e")]),
    Case("entry_order", backward, NESTED, ["OUT"], [START_NESTED, ({"d": "e"}, "-a.b -a +d +d.e")]),
    Case(
        "recorded_states",
        always_shallow,
        HISTORY,
        HISTORY_STEPS,
        [START_HISTORY, *LEFT, ({"m": {"a": "a2"}}, "-out +m +m.a +m.a.a2")],
    ),
    Case(
        "recorded_states",
        always_deep,
        HISTORY,
        ["N", "OUT", "SHALLOW"],
        [START_HISTORY, *LEFT, ({"m": {"a": "a1"}}, "-out +m +m.a +m.a.a1")],
    ),
    Case(
        "is_complete", any_region, DONE, ["A"], [START_DONE, ({"p": {"a": "f", "b": "x"}}, "-p.a.x +p.a.f")]
    ),
    Case(
        "completed_states",
        compound_parent_only,
        DONE,
        ["A", "B"],
        [
            START_DONE,
            ({"p": {"a": "f", "b": "x"}}, "-p.a.x +p.a.f"),
            ("end", "-p.b.x +p.b.f -p.b.f -p.b -p.a.f -p.a -p +end -end -root"),
        ],
    ),
    Case(
        "completed_states",
        never_done,
        {"initial": "a", "states": {"a": {"type": "final"}}},
        [],
        [("a", "+root +a -a -root")],
    ),
    Case("settles", never_settles, STAY, ["E"], [AB, ({"b": "c"}, "-a +b +b.c -b.c +b.c")]),
    Case("settles", settles_at_once, COUNT, [], [("b", "+root +a -a +b")]),
    Case(
        "_finish",
        exit_nothing_at_the_end,
        {"initial": "a", "states": {"a": {"type": "final"}}},
        [],
        [("a", "+root +a -a -root")],
        engine,
    ),
    Case(
        "_leave",
        leave_without_record,
        HISTORY,
        HISTORY_STEPS,
        [START_HISTORY, *LEFT, ({"m": {"a": "a2"}}, "-out +m +m.a +m.a.a2")],
        engine,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_case_holds_under_the_right_rule(play: Any, tracked: Any, case: Case) -> None:
    assert outcome(play, tracked, case) == list(case.seen)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_case_turns_red_under_a_wrong_rule(
    play: Any, tracked: Any, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case.where, case.rule, case.wrong)
    assert outcome(play, tracked, case) != list(case.seen)


def test_an_error_in_a_guard_is_an_error(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config = on_a(E=[{"target": "c", "guard": boom}, "b"])
    with pytest.raises(ZeroDivisionError):
        play(config, "E")
    monkeypatch.setattr(rules, "enabled", errors_are_false)
    assert play(config, "E").value == "b"


def test_every_rule_has_a_case() -> None:
    assert {case.rule for case in CASES if case.where is rules} == set(rules.__all__)
