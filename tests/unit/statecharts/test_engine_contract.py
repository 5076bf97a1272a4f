"""The engine contract for Arvo, and what a step promises about contexts, errors and snapshots."""

from __future__ import annotations

import json
from collections import OrderedDict
from enum import StrEnum
from types import SimpleNamespace
from typing import Any

import pytest

from pyarvo.errors import (
    ArvoError,
    ConfigViolation,
    EndlessLoop,
    ExecutionViolation,
    InvalidContext,
    InvalidEvent,
    InvalidMachine,
    ViolationError,
)
from pyarvo.statecharts import (
    Event,
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
)
from pyarvo.statecharts.forms import Function


def fail(*_: Any) -> Any:
    raise KeyError("user")


# 1. The start.


def test_start_needs_an_event_of_the_machines_source() -> None:
    machine = Machine({"context": lambda given: {"a": given.data["a"]}}, source="arvo.orc.x")
    with pytest.raises(ExecutionViolation, match=r"type 'arvo\.orc\.x', not of type 'evt\.y\.z'"):
        step(machine, None, {"type": "evt.y.z", "data": {"a": 1}})
    assert step(machine, None, {"type": "arvo.orc.x", "data": {"a": 1}}).snapshot["context"] == {"a": 1}


def test_start_event_is_the_input_and_is_not_sent_as_an_event() -> None:
    seen: list[Any] = []
    machine = Machine(
        {
            "context": lambda given: {"subject": given.subject},
            "entry": lambda _context, event: seen.append(event),
            "initial": "a",
            "states": {"a": {"on": {"arvo.orc.x": "b"}}, "b": {}},
        },
        source="arvo.orc.x",
    )
    event = SimpleNamespace(type="arvo.orc.x", data={"k": 1}, subject="s")
    result = step(machine, None, event)
    assert result.snapshot["value"] == "a"
    assert result.snapshot["context"] == {"subject": "s"}
    assert (seen[0].type, seen[0].input, seen[0].data) == ("xstate.init", event, {"k": 1})
    assert step(machine, result.snapshot, event).snapshot["value"] == "b"


def test_callables_get_the_very_event_object() -> None:
    seen: list[Any] = []
    machine = Machine(
        {
            "on": {
                "X": {"guard": lambda _c, e: seen.append(e) is None, "actions": lambda _c, e: seen.append(e)}
            }
        }
    )
    event = SimpleNamespace(type="X", data={})
    step(machine, step(machine, None).snapshot, event)
    assert [one is event for one in seen] == [True, True]


@pytest.mark.parametrize(
    ("written", "data"),
    [
        ("X", {}),
        ({"type": "X"}, {}),
        ({"type": "X", "data": {"k": 1}}, {"k": 1}),
        ({"type": "X", "k": 1}, {"k": 1}),
    ],
)
def test_texts_and_mappings_become_small_events(written: Any, data: Any) -> None:
    seen: list[Any] = []
    machine = Machine({"on": {"X": {"actions": lambda _c, e: seen.append(e)}}})
    step(machine, step(machine, None).snapshot, written)
    assert seen == [Event("X", data)]


@pytest.mark.parametrize("event", [None, 1, {"data": {}}, {"type": 1}])
def test_what_has_no_type_is_no_event(event: Any) -> None:
    machine = Machine({})
    with pytest.raises(InvalidEvent):
        step(machine, step(machine, None).snapshot, event)


@pytest.mark.parametrize("given", [None, 3, {"a": 1}, [1]])
def test_any_input_starts_a_machine_without_a_source(given: Any) -> None:
    machine = Machine({"context": lambda given: {"got": given}})
    assert step(machine, None, given).snapshot["context"] == {"got": given}


# 2. The order of what is handed out.


def test_all_emitted_come_before_all_enqueued() -> None:
    machine = Machine(
        {
            "entry": [
                enqueue_arvo_event({"type": "q1"}),
                emit({"type": "e1"}),
                {"type": "enqueueArvoEvent", "params": {"type": "q2"}},
            ],
            "initial": "a",
            "states": {
                "a": {
                    "entry": {
                        "type": "enqueueArvoEvent",
                        "params": lambda _c, e: {"type": "q3", "data": e.type},
                    },
                    "always": "b",
                },
                "b": {"entry": emit(lambda c, _e: {"type": "e2", "data": c})},
            },
        }
    )
    assert step(machine, None).emitted == [
        {"type": "e1"},
        {"type": "e2", "data": {}},
        {"type": "q1"},
        {"type": "q2"},
        {"type": "q3", "data": "xstate.init"},
    ]


def test_enqueued_events_do_not_outlive_the_step() -> None:
    machine = Machine({"entry": enqueue_arvo_event({"type": "q"})})
    first = step(machine, None)
    assert [one["type"] for one in first.emitted] == ["q"]
    assert step(machine, first.snapshot, "X").emitted == []


def test_what_is_handed_out_is_the_callers_own() -> None:
    template = {"type": "x", "data": {"list": [1]}}
    machine = Machine(
        {"context": {"list": [1]}, "entry": [emit(template), emit(lambda c, _e: {"type": "y", "data": c})]}
    )
    result = step(machine, None)
    for one in result.emitted:
        one["data"]["list"].append(2)
    assert template["data"] == {"list": [1]}
    assert result.snapshot["context"] == {"list": [1]}
    assert step(machine, None).emitted[0] == {"type": "x", "data": {"list": [1]}}


@pytest.mark.parametrize("made", [None, "x", {}, {"type": 1}])
@pytest.mark.parametrize("action", [emit, enqueue_arvo_event])
def test_what_an_action_makes_must_be_an_event(action: Any, made: Any) -> None:
    with pytest.raises(InvalidEvent, match="made at entry"):
        step(Machine({"entry": action(lambda: made)}), None)


def test_what_is_handed_out_does_not_change_with_the_context_later_in_the_step() -> None:
    told = emit(lambda c, _e: {"type": "x", "data": c["list"]})
    machine = Machine(
        {"context": {"list": [1]}, "on": {"E": {"actions": [told, lambda c, _e: c["list"].append(2)]}}}
    )
    result = step(machine, step(machine, None).snapshot, "E")
    assert (result.emitted, result.snapshot["context"]) == ([{"type": "x", "data": [1]}], {"list": [1, 2]})


# 3. Errors.


@pytest.mark.parametrize(
    "config",
    [
        {"context": fail},
        {"entry": fail},
        {"entry": assign(fail)},
        {"entry": assign({"a": fail})},
        {"entry": emit(fail)},
        {"entry": raise_(fail)},
        {"always": {"guard": fail}},
        {"always": {"guard": and_(lambda: True, fail)}},
        {"always": {"guard": or_(lambda: False, fail)}},
        {"always": {"guard": not_(fail)}},
        {"type": "final", "output": fail},
        {"entry": {"type": "named", "params": fail}},
    ],
)
def test_the_first_error_of_user_code_is_raised_as_it_is(config: MachineForm) -> None:
    with pytest.raises(KeyError, match="user"):
        step(Machine(config, actions={"named": lambda: None}), None)


def test_an_error_changes_nothing() -> None:
    machine = Machine(
        {
            "context": {"list": [1]},
            "on": {
                "X": {
                    "actions": [
                        lambda c, _e: c["list"].append(2),
                        assign({"n": 1}),
                        emit({"type": "e"}),
                        fail,
                    ]
                }
            },
        }
    )
    snapshot = step(machine, None).snapshot
    before = json.dumps(snapshot)
    with pytest.raises(KeyError):
        step(machine, snapshot, "X")
    assert json.dumps(snapshot) == before
    assert step(machine, snapshot, "Y").emitted == []


def test_the_error_of_an_endless_loop_is_a_failure_and_names_the_cycle() -> None:
    machine = Machine(
        {"initial": "a", "states": {"a": {"always": "b"}, "b": {"always": "c"}, "c": {"always": "b"}}},
        max_microsteps=30,
    )
    with pytest.raises(EndlessLoop) as caught:
        step(machine, None)
    assert caught.value.limit == 30
    assert caught.value.cycle in (
        "states.b -> states.c -> states.b",
        "states.c -> states.b -> states.c",
    )
    assert isinstance(caught.value, ArvoError)
    assert not isinstance(caught.value, ViolationError)


def test_raised_events_that_go_round_trip_the_bound() -> None:
    machine = Machine(
        {
            "initial": "a",
            "states": {
                "a": {"entry": raise_("GO"), "on": {"GO": "b"}},
                "b": {"entry": raise_("GO"), "on": {"GO": "a"}},
            },
        }
    )
    with pytest.raises(EndlessLoop, match="after 1,000 microsteps"):
        step(machine, None)


def test_the_bound_counts_every_microstep_of_a_step() -> None:
    config: MachineForm = {
        "context": {"n": 0},
        "always": {"guard": lambda c, _e: c["n"] < 5, "actions": assign({"n": lambda c, _e: c["n"] + 1})},
    }
    assert step(Machine(config, max_microsteps=6), None).snapshot["context"] == {"n": 5}
    with pytest.raises(EndlessLoop):
        step(Machine(config, max_microsteps=5), None)


# 4. Completion.


def test_a_done_machine_ignores_events_and_completes_once() -> None:
    machine = Machine(
        {
            "context": {"n": 1},
            "initial": "a",
            "output": lambda c, _e: {"n": c["n"]},
            "on": {"X": {"actions": emit({"type": "never"})}},
            "states": {"a": {"on": {"GO": "b"}}, "b": {"type": "final"}},
        }
    )
    active = step(machine, None)
    assert active.output is None
    done = step(machine, active.snapshot, "GO")
    assert (done.snapshot["status"], done.output, done.snapshot["output"]) == ("done", {"n": 1}, {"n": 1})
    again = step(machine, done.snapshot, "X")
    assert (again.snapshot, again.emitted, again.output) == (done.snapshot, [], None)


@pytest.mark.parametrize("output", [{}, {"output": None}, {"output": lambda: None}, {"output": {}}])
def test_a_machine_that_completes_without_output_says_so_with_an_empty_one(output: Any) -> None:
    assert step(Machine({"type": "final", **output}), None).output == {}


@pytest.mark.parametrize("status", ["error", "stopped"])
def test_machines_that_are_not_active_ignore_events(status: str) -> None:
    machine = Machine({"on": {"X": {"actions": emit({"type": "never"})}}})
    snapshot = {**step(machine, None).snapshot, "status": status}
    assert step(machine, snapshot, "X").emitted == []


# 5. Empty parallel states, dots in types.


def test_an_empty_parallel_state_behaves_as_atomic() -> None:
    machine = Machine(
        {"initial": "p", "states": {"p": {"type": "parallel", "on": {"X": "q"}, "onDone": "q"}, "q": {}}}
    )
    started = step(machine, None).snapshot
    assert started["value"] == "p"
    assert step(machine, {**started, "value": {"p": {}}}, "X").snapshot["value"] == "q"


def test_dots_belong_to_the_type() -> None:
    machine = Machine(
        {"initial": "a", "states": {"a": {"on": {"evt.a.b": "c", "evt": "d"}}, "c": {}, "d": {}}}
    )
    snapshot = step(machine, None).snapshot
    assert step(machine, snapshot, "evt.a.b").snapshot["value"] == "c"
    assert step(machine, snapshot, "evt.a").snapshot["value"] == "a"
    assert step(machine, snapshot, "evt").snapshot["value"] == "d"


# Contexts.


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        ({"a": {1, 2}}, "context.a", "a set has no JSON form"),
        ({"a": [0, (1,)]}, "context.a[1]", "a tuple has no JSON form"),
        ({"a": {"b c": float("nan")}}, "context.a['b c']", "nan has no JSON form"),
        ({"a": [{"b": float("inf")}]}, "context.a[0].b", "inf has no JSON form"),
        ({"a": {1: 2}}, "context.a", "the key 1 is not Unicode text"),
        ({"a": b"x"}, "context.a", "a bytes has no JSON form"),
        ({"a": [10**30]}, "context.a[0]", "an integer of more than 64 bits"),
        ({"a": "\ud800"}, "context.a", "half of a surrogate pair"),
        ({"a": {"\ud800": 1}}, "context.a", "is not Unicode text"),
    ],
)
def test_a_context_that_is_not_json_is_refused_with_its_path(value: Any, path: str, reason: str) -> None:
    with pytest.raises(InvalidMachine, match="machine definition, ") as unmade:
        Machine({"context": value})
    assert unmade.value.path == path
    assert reason in str(unmade.value)
    machine = Machine({"context": {}, "entry": assign(lambda: value)})
    with pytest.raises(InvalidContext, match="machine, ") as caught:
        step(machine, None)
    assert caught.value.path == path
    assert reason in str(caught.value)


class Colour(StrEnum):
    RED = "red"


def test_a_context_has_the_plain_types_of_what_was_given() -> None:
    given: dict[str, Any] = {"colour": Colour.RED, "ordered": OrderedDict(a=[1, 2.5, None, True, -0.0])}
    made = step(Machine({"context": lambda: given}), None).snapshot["context"]
    assert repr(made) == repr({"colour": "red", "ordered": {"a": [1, 2.5, None, True, -0.0]}})
    assert [type(part) for part in made.values()] == [str, dict]


@pytest.mark.parametrize("levels", [255, 256, 400])
def test_a_context_that_is_nested_too_deep_is_refused(levels: int) -> None:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    with pytest.raises(InvalidContext, match="more than 200 levels"):
        step(Machine({"context": lambda: value}), None)


def test_a_context_that_contains_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    with pytest.raises(InvalidContext, match="more than 200 levels"):
        step(Machine({"context": lambda: loop}), None)


@pytest.mark.parametrize("made", [None, [], "x"])
def test_a_context_is_a_dict(made: Any) -> None:
    with pytest.raises(InvalidContext, match="a context is a dict"):
        step(Machine({"context": lambda: made}), None)


def test_the_context_is_the_machines_own() -> None:
    given = {"list": [1]}
    machine = Machine(
        {"context": lambda given: given, "on": {"X": {"actions": lambda c, _e: c["list"].append(2)}}}
    )
    started = step(machine, None, given)
    moved = step(machine, started.snapshot, "X")
    assert (given, started.snapshot["context"], moved.snapshot["context"]) == (
        {"list": [1]},
        {"list": [1]},
        {"list": [1, 2]},
    )


def test_a_written_context_starts_every_machine_anew() -> None:
    machine = Machine({"context": {"list": []}, "entry": lambda c, _e: c["list"].append(1)})
    assert [step(machine, None).snapshot["context"] for _ in range(2)] == [{"list": [1]}] * 2


def test_an_assign_replaces_the_context_it_does_not_change_it() -> None:
    seen: list[Any] = []
    machine = Machine(
        {
            "context": {"n": 0},
            "entry": [lambda c, _e: seen.append(c), assign({"n": 1}), lambda c, _e: seen.append(c)],
        }
    )
    step(machine, None)
    assert seen == [{"n": 0}, {"n": 1}]


@pytest.mark.parametrize("made", [None, 1, []])
def test_an_assign_makes_a_mapping(made: Any) -> None:
    with pytest.raises(InvalidContext, match="not a mapping"):
        step(Machine({"entry": assign(lambda: made)}), None)


def test_values_written_in_an_assign_are_not_shared() -> None:
    machine = Machine({"context": {}, "entry": [assign({"list": []}), lambda c, _e: c["list"].append(1)]})
    assert [step(machine, None).snapshot["context"] for _ in range(2)] == [{"list": [1]}] * 2


# Callables.


def any_number(*args: Any) -> Any:
    return {"got": args[2]}


def two_and_default(_context: Any, _event: Any, params: Any = "default") -> Any:
    return {"got": params}


CALLS: list[tuple[Function, Function | dict[str, Any] | None, Any]] = [
    (lambda: {"got": 0}, None, 0),
    (lambda c: {"got": c["n"]}, None, 7),
    (lambda c, e: {"got": [c["n"], e.type]}, None, [7, "xstate.init"]),
    (lambda _c, _e, p: {"got": p}, None, None),
    (lambda _c, _e, p: {"got": p}, {"k": 1}, {"k": 1}),
    (lambda _c, _e, p: {"got": p}, lambda c, e: [c["n"], e.type], [7, "xstate.init"]),
    (any_number, {"k": 1}, {"k": 1}),
    (two_and_default, None, "default"),
    (two_and_default, {"k": 1}, {"k": 1}),
]


@pytest.mark.parametrize(("function", "params", "got"), CALLS)
def test_callables_take_context_event_and_params(function: Any, params: Any, got: Any) -> None:
    named = {"type": "f"} if params is None else {"type": "f", "params": params}
    machine = Machine({"context": {"n": 7}, "entry": named}, actions={"f": assign(function)})
    assert step(machine, None).snapshot["context"]["got"] == got


def test_guards_get_params_too() -> None:
    config: MachineForm = {
        "initial": "a",
        "states": {"a": {"always": {"guard": {"type": "g", "params": {"k": 1}}, "target": "b"}}, "b": {}},
    }
    assert step(Machine(config, guards={"g": lambda _c, _e, p: p == {"k": 1}}), None).snapshot["value"] == "b"
    assert step(Machine(config, guards={"g": lambda _c, _e, p: p != {"k": 1}}), None).snapshot["value"] == "a"


def test_named_data_actions_and_combined_guards_work_like_written_ones() -> None:
    machine = Machine(
        {
            "initial": "a",
            "states": {"a": {"always": {"guard": "both", "target": "b"}}, "b": {"entry": ["say", "set"]}},
        },
        actions={"say": emit(lambda: {"type": "hello"}), "set": assign({"n": 1})},
        guards={"both": and_("yes", not_("no"), state_in("a")), "yes": lambda: True, "no": lambda: False},
    )
    result = step(machine, None)
    assert (result.snapshot["value"], result.snapshot["context"], result.emitted) == (
        "b",
        {"n": 1},
        [{"type": "hello"}],
    )


class Unsigned:
    """A callable that, like some built-ins, has no signature."""

    __signature__ = 1

    def __call__(self, context: Any, event: Any) -> Any:
        return {"got": [context["n"], event.type]}


def test_callables_without_a_signature_are_called_with_context_and_event() -> None:
    machine = Machine({"context": {"n": 7}, "entry": assign(Unsigned())})
    assert step(machine, None).snapshot["context"]["got"] == [7, "xstate.init"]


async def later() -> bool:
    return False


@pytest.mark.parametrize(
    "transition", [{"target": "b", "guard": lambda: later()}, {"target": "b", "actions": lambda: later()}]
)
def test_what_is_to_be_awaited_is_no_answer_of_a_guard_or_an_action(transition: Any) -> None:
    machine = Machine({"initial": "a", "states": {"a": {"on": {"X": transition}}, "b": {}}})
    with pytest.raises(ConfigViolation, match=r"states\.a\.on\.X.* returned something to await"):
        step(machine, step(machine, None).snapshot, "X")
