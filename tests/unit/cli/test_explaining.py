"""From facts to an explanation."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pyarvo.cli.explaining import explain
from pyarvo.cli.explanation import Explanation, Facts, Situation
from pyarvo.memory import Instance, Step

NOW = 1_000_000.0
PLAIN = Instance(
    id="order-1",
    version=1,
    fence=1,
    held=False,
    lapsed=False,
    holder="host:1",
    held_since=None,
    expires_in_s=None,
    orchestrator="arvo.orc.order",
    orchestrator_version="1.0.0",
    status="active",
    parent=None,
    created_at=NOW - 100,
    updated_at=NOW - 50,
    deleted_at=None,
    note="",
    data={"events": {"consumed": {}, "produced": []}, "status": "active", "value": "start"},
)
CHILD = replace(PLAIN, id="parcel-1", orchestrator="arvo.orc.parcel", parent="order-1", data=None)


def facts(instance: Instance = PLAIN, **more: Any) -> Facts:
    given: dict[str, Any] = {"ancestors": (), "children": (), "steps": (), "kept": (), "now": NOW, **more}
    return Facts(instance=instance, **given)


def commands(explanation: Explanation) -> list[str]:
    return [advice.command for advice in explanation.next]


def asking(id: str, subject: str, type: str = "arvo.orc.parcel") -> Step:
    event = {"id": id, "type": type, "source": "arvo.orc.order", "to": type, "subject": subject}
    return Step('["com.web.shop","init"]', (event,), 1, NOW - 50)


@pytest.mark.parametrize(
    ("more", "situation", "command"),
    [
        ({}, Situation.IDLE, "pyarvo instances show order-1"),
        ({"status": "done"}, Situation.DONE, "pyarvo instances show order-1"),
        ({"status": "failure"}, Situation.FAILED, "pyarvo instances show -o json order-1"),
        ({"status": "error"}, Situation.FAILED, "pyarvo instances show -o json order-1"),
        ({"version": 0, "data": None, "status": None}, Situation.EMPTY, "pyarvo instances explain order-1"),
        (
            {"version": 0, "data": None, "status": None, "deleted_at": NOW - 1},
            Situation.DELETED,
            "pyarvo instances list --deleted",
        ),
        (
            {"held": True, "held_since": NOW - 5, "expires_in_s": 25.0},
            Situation.HELD,
            "pyarvo instances explain order-1",
        ),
    ],
)
def test_each_situation_has_its_next_command(
    more: dict[str, Any], situation: Situation, command: str
) -> None:
    explanation = explain(facts(replace(PLAIN, **more)))
    assert explanation.situation is situation
    assert commands(explanation)[0] == command


def test_a_holder_that_lives_is_waited_for_and_one_that_is_dead_is_released() -> None:
    held = replace(PLAIN, held=True, held_since=NOW - 5, expires_in_s=25.0)
    release = "pyarvo locks release --reason"
    assert commands(explain(facts(held)))[1] == f"{release} ... order-1"
    dead = explain(facts(held, holder_alive=False))
    assert commands(dead)[0] == f"{release} 'host:1 is dead' order-1"
    assert "25 s" in dead.next[0].why
    assert dead.lease.remaining_s == 25.0
    assert dead.lease.since is not None
    assert dead.lease.since.timestamp() == NOW - 5


def test_a_request_to_a_service_is_waited_for() -> None:
    explanation = explain(facts(steps=[asking("pay-1", "order-1", "com.pay.it")]))
    assert explanation.situation is Situation.WAITING
    assert commands(explanation) == ["pyarvo instances history order-1"]
    assert "redeliver event init of com.web.shop" in explanation.next[0].why


def test_an_unfinished_child_is_looked_at_first() -> None:
    other = replace(CHILD, id="parcel-2")
    done = replace(CHILD, id="parcel-0", status="done")
    steps = [asking("ask", "parcel-1")]
    explanation = explain(facts(children=(other, CHILD, done), steps=steps))
    assert commands(explanation)[0] == "pyarvo instances explain parcel-1"
    assert explanation.children.total == 3
    assert [child.id for child in explanation.children.unfinished] == ["parcel-2", "parcel-1"]


def test_a_finished_child_whose_answer_is_missing_is_told() -> None:
    done = replace(CHILD, status="done")
    explanation = explain(facts(children=(done,), steps=[asking("ask", "parcel-1")]))
    assert commands(explanation)[0] == "pyarvo instances explain parcel-1"
    assert "redeliver the last event of that execution" in explanation.next[0].why


def test_of_two_awaited_children_the_unfinished_one_comes_first() -> None:
    done = replace(CHILD, id="parcel-0", status="done")
    steps = [asking("ask-0", "parcel-0"), asking("ask-1", "parcel-1")]
    explanation = explain(facts(children=(done, CHILD), steps=steps))
    assert commands(explanation)[0] == "pyarvo instances explain parcel-1"


def test_commands_repeat_the_memory_and_quote_every_id() -> None:
    hostile = replace(PLAIN, id="-a b; rm $HOME")
    explanation = explain(facts(hostile, memory="sqlite:///a b.db"))
    assert commands(explanation) == ["pyarvo --memory 'sqlite:///a b.db' instances show -- '-a b; rm $HOME'"]
    assert explanation.next[0].argv[-2:] == ("--", "-a b; rm $HOME")


def test_the_last_step_is_the_journals_and_its_type_the_records() -> None:
    consumed = {"id": "a1", "source": "com.pay.it", "type": "evt.pay.ok"}
    instance = replace(PLAIN, version=2, data={"events": {"consumed": consumed, "produced": []}})
    made = {"id": "n", "type": "com.note.it", "source": "arvo.orc.order"}
    explanation = explain(facts(instance, steps=[Step('["com.pay.it","a1"]', (made,), 2, NOW - 9)]))
    last = explanation.last_step
    assert last is not None
    assert (last.type, last.version, last.produced) == ("evt.pay.ok", 2, ("com.note.it",))
    other = explain(facts(instance, steps=[Step('["com.pay.it","a0"]', (), 2, NOW - 9)])).last_step
    assert other is not None
    assert other.type is None


@pytest.mark.parametrize(
    ("record", "error"),
    [
        ({"error": {"errorName": "E", "errorMessage": "m", "errorStack": "s"}}, ("E", "m", "s")),
        ({"error": {}}, (None, "the record keeps no message", None)),
        ({"error": "just text"}, (None, "just text", None)),
        ({"state": {"error": {"name": "E", "message": "m"}}}, ("E", "m", None)),
    ],
)
def test_the_last_error(record: dict[str, Any], error: tuple[str | None, ...]) -> None:
    failure = explain(facts(replace(PLAIN, data=record))).error
    assert failure is not None
    assert (failure.name, failure.message, failure.stack) == error


def test_the_diff_leaves_out_events_and_says_when_there_is_none() -> None:
    second = replace(PLAIN, version=2, data={"value": "b", "events": {"consumed": {"id": "2"}}})
    assert explain(facts(second)).diff.reason == "not kept: set history=N in the memory's options"
    assert explain(facts()).diff.reason == "there is no version before"
    kept = ((1, {"value": "a", "events": {"consumed": {"id": "1"}}}),)
    diff = explain(facts(second, kept=kept)).diff
    assert (diff.kept, diff.before, diff.after) == (True, 1, 2)
    assert [(change.path, change.before, change.after) for change in diff.changes] == [("$.value", "a", "b")]


def test_a_long_diff_is_cut() -> None:
    second = replace(PLAIN, version=2, data={str(n): n for n in range(1_000)})
    assert len(explain(facts(second, kept=((1, {}),))).diff.changes) == 200


def test_parents_and_a_parent_that_is_elsewhere() -> None:
    parent = replace(PLAIN, id="cart-1", parent="root-in-another-store")
    explanation = explain(facts(replace(PLAIN, parent="cart-1"), ancestors=(parent,)))
    assert [one.id for one in explanation.parents] == ["cart-1"]
    assert explanation.missing_parent == "root-in-another-store"
    assert explain(facts()).missing_parent is None
    circle = replace(PLAIN, id="cart-1", parent="order-1")
    assert explain(facts(replace(PLAIN, parent="cart-1"), ancestors=(circle,))).missing_parent is None


@pytest.mark.parametrize(
    "record", [{}, {"note": 1}, {"status": ["odd"], "events": 3, "value": None, "error": []}]
)
def test_a_plain_record_is_explained_too(record: dict[str, Any]) -> None:
    explanation = explain(facts(replace(PLAIN, data=record, status=None)))
    assert explanation.waits_for is None
    assert explanation.situation is Situation.IDLE


def test_it_is_json_with_times_in_utc() -> None:
    answer = json.loads(json.dumps(msgspec.to_builtins(explain(facts()))))
    assert answer["created_at"] == "1970-01-12T13:45:00Z"
    assert answer["situation"] == "idle"


def test_a_holder_that_never_came_back_is_named_and_its_event_asked_for() -> None:
    lapsed = replace(PLAIN, lapsed=True)
    steps = (Step('["com.web.shop","init"]', (), 1, NOW - 50),)
    explanation = explain(facts(lapsed, steps=steps))
    assert explanation.situation is Situation.IDLE
    assert explanation.lease.lapsed is True
    assert commands(explanation)[0] == "pyarvo instances history order-1"
    assert "host:1 died or froze in mid-step" in explanation.next[0].why
    assert "redeliver" in explanation.next[0].why


@pytest.mark.parametrize("more", [{"status": "done"}, {"status": "failure"}, {"version": 0, "data": None}])
def test_nobody_needs_to_come_back_to_what_is_over_or_never_began(more: dict[str, Any]) -> None:
    whys = [advice.why for advice in explain(facts(replace(PLAIN, lapsed=True, **more))).next]
    assert not [why for why in whys if "mid-step" in why]
