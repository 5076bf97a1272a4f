"""What is delivered again and what is not; where the rest goes."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from tests.unit.brokers.conftest import Handler, Sleep, denied, event, settled

from pyarvo.brokers import DeadLetter, DeadLetterReason, RetryPolicy, create_simple_event_broker
from pyarvo.errors import (
    ConfigViolation,
    ContractViolation,
    ExecutionViolation,
    InvalidOption,
    ViolationError,
)
from pyarvo.events import ArvoEvent
from pyarvo.handlers.result import Outcome


class OfTheUser(BaseException):
    """An error of user code that ends no program, as test frameworks raise it."""


async def test_a_transaction_violation_is_retried_in_place(sleep: Sleep) -> None:
    tries = 0

    def twice(got: ArvoEvent) -> None:
        nonlocal tries
        if got.id == "first" and (tries := tries + 1) < 3:
            raise denied()

    handler = Handler("com.test.a", twice)
    async with create_simple_event_broker([handler], sleep=sleep) as broker:
        await broker.publish(event("com.test.a", "s", "first"))
        await broker.publish(event("com.test.a", "s", "second"))
    assert handler.seen == ["first", "first", "first", "second"]
    assert broker.dead_letters == ()
    assert 0.1 <= sleep.waits[0] <= 0.125
    assert 0.2 <= sleep.waits[1] <= 0.25


async def test_what_the_handler_asks_to_wait_is_waited(sleep: Sleep) -> None:
    answers = iter([denied(retry_after_s=7.0), denied(retry_after_s=0.01), None])

    def script(_: ArvoEvent) -> None:
        if (answer := next(answers)) is not None:
            raise answer

    async with create_simple_event_broker([Handler("com.test.a", script)], sleep=sleep) as broker:
        await broker.publish(event("com.test.a"))
    assert 7.0 <= sleep.waits[0] <= 7.0 * 1.25
    assert 0.2 <= sleep.waits[1] <= 0.25, "never sooner than the broker's own back-off"


async def test_the_budget_of_attempts_is_kept(sleep: Sleep) -> None:
    def always(_: ArvoEvent) -> None:
        raise denied()

    handler = Handler("com.test.a", always)
    policy = RetryPolicy(attempts=4, first_s=1.0, longest_s=2.0)
    async with create_simple_event_broker([handler], retry=policy, sleep=sleep) as broker:
        await broker.publish(event("com.test.a", id="stuck"))
        await broker.publish(event("com.test.a", "other", id="behind"))
    assert handler.seen.count("stuck") == 4
    assert len(sleep.waits) == 6
    assert max(sleep.waits) <= 2.0 * 1.25
    letter = broker.dead_letters[0]
    assert (letter.reason, letter.attempts) == (DeadLetterReason.RETRIES_EXHAUSTED, 4)
    assert str(letter.error) == str(denied())


async def test_the_default_waits_outlast_a_lease_of_30_s() -> None:
    policy = RetryPolicy()
    assert sum(policy.wait_s(n, None) for n in range(1, policy.attempts)) >= 30.0


async def test_an_answer_that_overtook_its_init_lets_it_pass(sleep: Sleep) -> None:
    known = False

    def script(got: ArvoEvent) -> Outcome:
        nonlocal known
        known = known or got.id == "init"
        return Outcome.RAN if known else Outcome.UNKNOWN_INSTANCE

    handler = Handler("com.test.a", script)
    async with create_simple_event_broker([handler], sleep=sleep) as broker:
        await broker.publish(event("com.test.a", "s", "answer"))
        await broker.publish(event("com.test.a", "s", "init"))
    assert handler.seen == ["answer", "init", "answer"]
    assert broker.dead_letters == ()


async def test_an_answer_to_nobody_becomes_a_dead_letter(sleep: Sleep) -> None:
    handler = Handler("com.test.a", lambda _: Outcome.UNKNOWN_INSTANCE)
    async with create_simple_event_broker([handler], retry=RetryPolicy(attempts=3), sleep=sleep) as broker:
        await broker.publish(event("com.test.a"))
    assert len(handler.seen) == 3
    assert [(each.reason, each.error) for each in broker.dead_letters] == [
        (DeadLetterReason.RETRIES_EXHAUSTED, None)
    ]


async def test_a_lane_that_waits_to_try_again_occupies_no_worker(sleep: Sleep) -> None:
    sleep.hold()

    def script(got: ArvoEvent) -> None:
        if got.subject == "held" and not sleep.waits:
            raise denied()

    handler = Handler("com.test.a", script)
    async with create_simple_event_broker([handler], max_concurrency=1, sleep=sleep) as broker:
        await broker.publish(event("com.test.a", "held", "held"))
        await broker.publish(event("com.test.a", "free", "free"))
        await settled()
        assert handler.seen == ["held", "free"]
        assert broker.pending == 1
        sleep.wake()
    assert handler.seen == ["held", "free", "held"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ContractViolation("no"), DeadLetterReason.VIOLATION),
        (ConfigViolation("no"), DeadLetterReason.VIOLATION),
        (ExecutionViolation("no"), DeadLetterReason.VIOLATION),
        (ViolationError("OfTheUser", "no"), DeadLetterReason.VIOLATION),
        (ZeroDivisionError(), DeadLetterReason.UNEXPECTED),
        (asyncio.CancelledError(), DeadLetterReason.UNEXPECTED),
        (OfTheUser(), DeadLetterReason.UNEXPECTED),
    ],
)
async def test_what_cannot_end_otherwise_is_not_tried_again(
    error: BaseException, reason: DeadLetterReason, sleep: Sleep, caplog: pytest.LogCaptureFixture
) -> None:
    def script(_: ArvoEvent) -> None:
        raise error

    handler = Handler("com.test.a", script)
    caplog.set_level(logging.WARNING)
    async with create_simple_event_broker([handler], sleep=sleep) as broker:
        await broker.publish(event("com.test.a", id="bad"))
        await broker.publish(event("com.test.a", id="next"))
    assert handler.seen == ["bad", "next"]
    assert [(each.event.id, each.reason, each.error, each.attempts) for each in broker.dead_letters] == [
        ("bad", reason, error, 1),
        ("next", reason, error, 1),
    ]
    assert sleep.waits == []
    assert "bad" in caplog.text


async def test_a_result_that_is_none_is_the_handlers_fault() -> None:
    class Broken:
        source = "com.test.a"

        async def execute(self, event: ArvoEvent) -> object:
            return None

    async with create_simple_event_broker([Broken()]) as broker:  # type: ignore[list-item]  # that is the test
        await broker.publish(event("com.test.a"))
    assert broker.dead_letters[0].reason is DeadLetterReason.UNEXPECTED


async def test_an_event_that_nobody_handles_is_a_dead_letter() -> None:
    def out(got: ArvoEvent) -> ArvoEvent:
        return event("com.test.nowhere", id="lost")

    async with create_simple_event_broker([Handler("com.test.a", out)]) as broker:
        await broker.publish(event("com.test.a"))
    assert [(each.event.id, each.reason, each.attempts) for each in broker.dead_letters] == [
        ("lost", DeadLetterReason.NO_HANDLER, 0)
    ]


@pytest.mark.parametrize("error", [ZeroDivisionError(), asyncio.CancelledError(), OfTheUser()], ids=repr)
async def test_dead_letters_are_bounded_and_told_to_the_callback(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    async def tell(letter: DeadLetter) -> None:
        told.append(letter.event.id)
        raise error

    async with create_simple_event_broker([], dead_letter_limit=2, on_dead_letter=tell) as broker:
        for n in range(4):
            await broker.publish(event("com.test.nowhere", id=str(n)))
    assert told == ["0", "1", "2", "3"]
    assert [each.event.id for each in broker.dead_letters] == ["2", "3"]
    assert type(error).__name__ in caplog.text


@pytest.mark.parametrize(
    "bad",
    [
        {"attempts": 0},
        {"attempts": "3"},
        {"attempts": 1.5},
        {"first_s": -1.0},
        {"first_s": None},
        {"first_s": float("nan")},
        {"longest_s": "5"},
        {"first_s": 2.0, "longest_s": 1.0},
    ],
)
def test_a_policy_out_of_bounds_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption):
        RetryPolicy(**bad)
