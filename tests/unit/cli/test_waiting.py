"""What an instance waits for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyarvo.cli.waiting import awaited
from pyarvo.memory import Step

ME = "the-order"


def event(id: str, type: str, source: str = "arvo.orc.order", **more: Any) -> dict[str, Any]:
    return {"id": id, "type": type, "source": source, "to": type, "subject": ME, **more}


def step(version: int, source: str, id: str, *produced: dict[str, Any]) -> Step:
    return Step(json.dumps([source, id]), produced, version, float(version))


def machine(consumed: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"status": "active", "value": "x", "events": {"consumed": consumed or {}, "produced": []}, **more}


def waits(*args: Any) -> list[str]:
    return [one.id for one in awaited(ME, *args) or ()]


PAY, SHIP = event("pay", "com.pay.it"), event("ship", "com.ship.it")
INIT = step(1, "com.web.shop", "init", PAY, SHIP)


def test_requests_of_an_earlier_step_are_awaited_until_answered() -> None:
    record = machine(event("a1", "evt.ship.ok", "com.ship.it", parentid="ship"))
    assert waits(record, [INIT, step(2, "com.ship.it", "a1")]) == ["pay"]


def test_the_parent_id_of_the_last_answer_decides_not_its_source() -> None:
    again = event("pay-2", "com.pay.it")
    record = machine(event("a1", "evt.pay.ok", "com.pay.it", parentid="pay-2"))
    steps = [step(1, "com.web.shop", "init", PAY, again), step(2, "com.pay.it", "a1")]
    assert waits(record, steps) == ["pay"]


def test_an_answer_that_answers_nothing_open_closes_nothing() -> None:
    record = machine(event("a1", "evt.pay.ok", "com.pay.it", parentid="something-else"))
    assert waits(record, [INIT, step(2, "com.pay.it", "a1")]) == ["pay", "ship"]


def test_older_answers_are_known_by_their_source() -> None:
    last = event("a2", "evt.x", "com.other.one", parentid="none")
    steps = [INIT, step(2, "com.pay.it", "a1"), step(3, "com.other.one", "a2")]
    assert waits(machine(last), steps) == ["ship"]


def test_kept_records_know_older_answers_for_certain() -> None:
    last = event("a2", "evt.x", "com.other.one", parentid="none")
    earlier = machine(event("a1", "evt.x", "com.pay.it", parentid="ship"))
    steps = [INIT, step(2, "com.pay.it", "a1"), step(3, "com.other.one", "a2")]
    assert waits(machine(last), steps, [(2, earlier)]) == ["pay"]


def test_an_older_answer_from_a_person_answers_the_request_in_a_domain() -> None:
    approve = event("approve", "com.human.approve", domain="human.desk")
    steps = [
        step(1, "com.web.shop", "init", PAY, approve),
        step(2, "com.desk.anna", "a1"),
        step(3, "com.x.y", "a2"),
    ]
    last = event("a2", "evt.x", "com.x.y", parentid="none")
    assert waits(machine(last), steps) == ["pay"]


def test_completions_and_system_errors_are_no_requests() -> None:
    done = event("done", "arvo.orc.order.done")
    error = event("error", "sys.arvo.orc.order.error")
    assert waits(machine(), [step(1, "com.web.shop", "init", done, error, PAY)]) == ["pay"]


def test_a_child_execution_is_named() -> None:
    child = event("child", "arvo.orc.parcel", subject="the-parcel", domain="eu.west")
    found = awaited(ME, machine(), [step(1, "com.web.shop", "init", child)])
    assert found is not None
    (one,) = found
    assert (one.child, one.to, one.domain, one.type) == (
        "the-parcel",
        "arvo.orc.parcel",
        "eu.west",
        "arvo.orc.parcel",
    )
    assert one.asked_at is not None
    assert one.asked_at.timestamp() == 1.0


def test_without_a_journal_the_record_tells_its_last_requests() -> None:
    record = machine()
    record["events"]["produced"] = [PAY, event("done", "arvo.orc.order.done")]
    assert waits(record, []) == ["pay"]


EXPECTED: dict[str, Any] = {"pay": [event("a1", "evt.pay.ok")], "ship": [], "old": []}
ODD: list[dict[str, Any]] = [
    {"produced": 3},
    {"produced": [1, {}, None]},
    {"expected": None},
    {"expected": [1]},
]


def test_a_resumable_says_itself_what_it_expects() -> None:
    found = awaited(ME, {"status": "active", "events": {"expected": EXPECTED}}, [INIT])
    assert found is not None
    assert [(one.id, one.type) for one in found] == [("ship", "com.ship.it"), ("old", None)]


@pytest.mark.parametrize("more", [{"executionStatus": "failure"}, {"status": "done"}, {"status": "stopped"}])
def test_what_is_over_waits_for_nothing(more: dict[str, Any]) -> None:
    assert waits(machine(**more), [INIT]) == []


def test_no_record_waits_for_nothing() -> None:
    assert awaited(ME, None, []) == ()


@pytest.mark.parametrize(
    "record", [{}, {"note": "mine"}, {"events": [1, 2]}, {"events": None, "status": ["odd"]}]
)
def test_of_a_foreign_record_nobody_can_tell(record: dict[str, Any]) -> None:
    assert awaited(ME, record, []) is None


@pytest.mark.parametrize("events", ODD)
def test_odd_events_do_not_break_it(events: dict[str, Any]) -> None:
    assert (
        awaited(ME, {"events": events}, [Step("a key that is no array", (), 1, None), Step("", (), 2, 1.0)])
        == ()
    )
