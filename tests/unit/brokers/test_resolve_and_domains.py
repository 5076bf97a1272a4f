"""resolve, events with a domain, and the end of a broker."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.brokers.conftest import Handler, Sleep, denied, event, settled

from pyarvo.brokers import DeadLetter, DeadLetterReason, create_simple_event_broker
from pyarvo.errors import BrokerClosed, ConfigViolation
from pyarvo.events import ArvoEvent

CALLER = "com.test.caller"


def answer(got: ArvoEvent, **fields: object) -> ArvoEvent:
    return event(
        got.source, got.subject, f"answer to {got.id}", parentid=got.id, source="com.test.a", **fields
    )


async def test_resolve_returns_the_event_that_comes_back() -> None:
    def relay(got: ArvoEvent) -> ArvoEvent:
        return event("com.test.b", got.subject, got.id, source=got.source)

    handlers = [Handler("com.test.a", relay), Handler("com.test.b", answer)]
    async with create_simple_event_broker(handlers) as broker:
        result = await broker.resolve(event("com.test.a", id="q"))
    assert result is not None
    assert result.id == "answer to q"
    assert broker.dead_letters == ()


async def test_resolve_returns_the_last_of_several() -> None:
    def two(got: ArvoEvent) -> list[ArvoEvent]:
        return [event(CALLER, id="progress"), event(CALLER, id="final")]

    async with create_simple_event_broker([Handler("com.test.a", two)]) as broker:
        result = await broker.resolve(event("com.test.a"))
    assert result is not None
    assert result.id == "final"


async def test_resolve_returns_none_when_nothing_comes_back() -> None:
    async with create_simple_event_broker([Handler("com.test.a")]) as broker:
        assert await broker.resolve(event("com.test.a")) is None
        assert await broker.resolve(event("com.test.nowhere")) is None


async def test_resolve_does_not_wait_for_the_work_of_others() -> None:
    gate = asyncio.Event()

    async def stuck(_: ArvoEvent) -> None:
        await gate.wait()

    async with create_simple_event_broker(
        [Handler("com.test.a", stuck), Handler("com.test.b", answer)]
    ) as broker:
        await broker.publish(event("com.test.a"))
        async with asyncio.timeout(10):
            assert await broker.resolve(event("com.test.b")) is not None
        gate.set()


async def test_concurrent_resolves_of_one_source_and_subject_each_get_their_own() -> None:
    async def slow(got: ArvoEvent) -> ArvoEvent:
        for _ in range(int(got.id)):
            await asyncio.sleep(0)
        return answer(got)

    async with create_simple_event_broker([Handler("com.test.a", slow)]) as broker:
        results = await asyncio.gather(*(broker.resolve(event("com.test.a", id=str(n))) for n in (5, 3, 1)))
        again = await broker.resolve(event("com.test.a", id="0"))
    assert [each and each.id for each in (*results, again)] == [f"answer to {n}" for n in (5, 3, 1, 0)]


async def test_an_answer_published_from_elsewhere_belongs_to_no_resolve() -> None:
    gate = asyncio.Event()

    async def wait(_: ArvoEvent) -> None:
        await gate.wait()

    async with create_simple_event_broker([Handler("com.test.a", wait)]) as broker:
        waiting = asyncio.create_task(broker.resolve(event("com.test.a")))
        await settled()
        await broker.publish(event(CALLER, id="stray"))
        await settled()
        gate.set()
        assert await waiting is None
    assert [each.event.id for each in broker.dead_letters] == ["stray"]


async def test_the_answer_to_a_resolve_that_was_cancelled_is_a_dead_letter() -> None:
    gate = asyncio.Event()

    async def slow(got: ArvoEvent) -> ArvoEvent:
        await gate.wait()
        return answer(got)

    async with create_simple_event_broker([Handler("com.test.a", slow)]) as broker:
        waiting = asyncio.create_task(broker.resolve(event("com.test.a", id="q")))
        await settled()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        gate.set()
    assert [each.event.id for each in broker.dead_letters] == ["answer to q"]


async def test_a_source_that_is_a_handlers_cannot_be_resolved() -> None:
    async with create_simple_event_broker([Handler("com.test.a")]) as broker:
        with pytest.raises(ConfigViolation, match="source"):
            await broker.resolve(event("com.test.a", source="com.test.a"))


@pytest.mark.parametrize("verb", ["resolve", "wait_idle", "close"])
async def test_a_handler_cannot_wait_for_itself(verb: str) -> None:
    async def wait(got: ArvoEvent) -> None:
        await (broker.resolve(got) if verb == "resolve" else getattr(broker, verb)())

    async with create_simple_event_broker([Handler("com.test.a", wait)]) as broker:
        async with asyncio.timeout(10):
            await broker.publish(event("com.test.a"))
            await broker.wait_idle()
    assert isinstance(broker.dead_letters[0].error, ConfigViolation)


# ------------------------------------------------------------------------------------------- events with a domain


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_an_event_with_a_domain_goes_to_the_callback_and_is_not_routed(kind: str) -> None:
    seen: list[str] = []

    async def later(got: ArvoEvent) -> None:
        await asyncio.sleep(0)
        seen.append(got.id)

    def at_once(got: ArvoEvent) -> None:
        seen.append(got.id)

    handler = Handler("com.test.a", lambda _: event("com.test.a", id="out", domain="human.review"))
    callback = later if kind == "async" else at_once
    async with create_simple_event_broker([handler], on_domained_event=callback) as broker:
        await broker.publish(event("com.test.a", id="in"))
    assert seen == ["out"]
    assert handler.seen == ["in"]


async def test_what_the_callback_publishes_is_part_of_the_resolve() -> None:
    async def approve(got: ArvoEvent) -> None:
        await broker.publish(event("com.test.b", got.subject, "approval", source=got.source))

    asks = Handler("com.test.a", lambda got: event("com.test.x", source=got.source, domain="human.review"))
    handlers = [asks, Handler("com.test.b", answer)]
    async with create_simple_event_broker(handlers, max_pending=1, on_domained_event=approve) as broker:
        async with asyncio.timeout(10):
            result = await broker.resolve(event("com.test.a"))
    assert result is not None
    assert result.id == "answer to approval"


async def test_an_error_of_the_callback_makes_a_dead_letter() -> None:
    def fail(_: ArvoEvent) -> None:
        raise ZeroDivisionError

    async with create_simple_event_broker([], on_domained_event=fail) as broker:
        await broker.publish(event("com.test.a", domain="human.review"))
    letter = broker.dead_letters[0]
    assert letter.reason is DeadLetterReason.DOMAIN_CALLBACK
    assert isinstance(letter.error, ZeroDivisionError)


async def test_without_a_callback_an_event_with_a_domain_is_a_dead_letter() -> None:
    handler = Handler("com.test.a")
    async with create_simple_event_broker([handler]) as broker:
        await broker.publish(event("com.test.a", domain="human.review"))
    assert handler.seen == []
    assert broker.dead_letters[0].reason is DeadLetterReason.NO_HANDLER


# ------------------------------------------------------------------------------------------------------- the end


async def test_close_finishes_what_was_accepted_and_what_it_leads_to(sleep: Sleep) -> None:
    tries = 0

    def relay(got: ArvoEvent) -> ArvoEvent | None:
        nonlocal tries
        if got.id == "held" and (tries := tries + 1) == 1:
            raise denied()
        return event("com.test.b", got.subject) if got.to == "com.test.a" else None

    last = Handler("com.test.b")
    broker = create_simple_event_broker([Handler("com.test.a", relay), last], sleep=sleep)
    for n in range(5):
        await broker.publish(event("com.test.a", f"s{n}"))
    await broker.publish(event("com.test.a", "held", "held"))
    await broker.close()
    assert len(last.seen) == 6
    assert broker.pending == 0
    await broker.close()


async def test_after_its_deadline_close_abandons_what_is_left(sleep: Sleep) -> None:
    sleep.hold()
    cancelled = False

    async def hang(got: ArvoEvent) -> None:
        nonlocal cancelled
        if got.subject == "denied":
            raise denied()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled = True

    handler = Handler("com.test.a", hang)
    broker = create_simple_event_broker([handler], sleep=sleep, max_concurrency=2)
    await broker.publish(event("com.test.a", "hangs", "running"))
    await broker.publish(event("com.test.a", "hangs", "queued"))
    await broker.publish(event("com.test.a", "denied", "waiting"))
    await settled()
    resolving = asyncio.create_task(broker.resolve(event("com.test.a", "hangs", "resolved")))
    await settled()
    await broker.close(timeout_s=0.0)
    assert cancelled
    assert {each.event.id for each in broker.dead_letters} == {"running", "queued", "waiting", "resolved"}
    assert {each.reason for each in broker.dead_letters} == {DeadLetterReason.ABANDONED}
    assert handler.seen == ["running", "waiting"]
    with pytest.raises(BrokerClosed):
        await resolving
    assert broker.pending == 0


async def test_a_handler_that_takes_no_notice_of_being_cancelled_is_the_last(sleep: Sleep) -> None:
    async def stubborn(_: ArvoEvent) -> ArvoEvent:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return event("com.test.a", "s", "another")
        raise AssertionError

    handler = Handler("com.test.a", stubborn)
    broker = create_simple_event_broker([handler], sleep=sleep)
    await broker.publish(event("com.test.a", "s", "one"))
    await broker.publish(event("com.test.a", "s", "two"))
    await settled()
    await broker.close(timeout_s=0.0)
    assert handler.seen == ["one"]
    assert {each.event.id for each in broker.dead_letters} == {"two", "another"}


async def test_close_leaves_no_wait_behind_when_a_cancelled_handler_asks_for_another_delivery(
    sleep: Sleep,
) -> None:
    async def stubborn(_: ArvoEvent) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise denied() from None

    sleep.hold()
    broker = create_simple_event_broker([Handler("com.test.a", stubborn)], sleep=sleep)
    await broker.publish(event("com.test.a"))
    await settled()
    await broker.close(timeout_s=0.0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert [each.reason for each in broker.dead_letters] == [DeadLetterReason.ABANDONED]


async def test_two_that_close_at_once_abandon_each_event_once() -> None:
    async def hang(_: ArvoEvent) -> None:
        await asyncio.Event().wait()

    async def tell(letter: DeadLetter) -> None:
        await asyncio.sleep(0)
        told.append(letter.event.id)

    told: list[str] = []
    broker = create_simple_event_broker([Handler("com.test.a", hang)], on_dead_letter=tell)
    await broker.publish(event("com.test.a", "s", "one"))
    await broker.publish(event("com.test.a", "s", "two"))
    await settled()
    await asyncio.gather(broker.close(timeout_s=0.0), broker.close(timeout_s=0.0))
    assert told == [each.event.id for each in broker.dead_letters] == ["one", "two"]
    assert broker.pending == 0


async def test_a_dead_letter_whose_callback_is_cut_off_is_none_twice() -> None:
    async def hang(_: DeadLetter) -> None:
        await asyncio.Event().wait()

    broker = create_simple_event_broker([], on_dead_letter=hang)
    await broker.publish(event("com.test.nowhere"))
    await settled()
    await broker.close(timeout_s=0.0)
    assert [each.reason for each in broker.dead_letters] == [DeadLetterReason.NO_HANDLER]
    assert broker.pending == 0


async def test_publishers_that_wait_for_a_place_are_refused_by_close() -> None:
    gate = asyncio.Event()

    async def stuck(_: ArvoEvent) -> None:
        await gate.wait()

    broker = create_simple_event_broker([Handler("com.test.a", stuck)], max_pending=1)
    await broker.publish(event("com.test.a"))
    waiting = asyncio.create_task(broker.publish(event("com.test.a")))
    await settled()
    closing = asyncio.create_task(broker.close())
    await settled()
    with pytest.raises(BrokerClosed):
        await waiting
    assert not closing.done()
    gate.set()
    await closing
    assert broker.dead_letters == ()


async def test_wait_idle_has_a_deadline() -> None:
    gate = asyncio.Event()

    async def stuck(_: ArvoEvent) -> None:
        await gate.wait()

    async with create_simple_event_broker([Handler("com.test.a", stuck)]) as broker:
        await broker.wait_idle(timeout_s=10)
        await broker.publish(event("com.test.a"))
        with pytest.raises(TimeoutError):
            await broker.wait_idle(timeout_s=0.001)
        gate.set()
        await broker.wait_idle()
        assert broker.pending == 0


async def test_a_block_that_is_cancelled_abandons_at_once() -> None:
    entered = asyncio.Event()

    async def hang(_: ArvoEvent) -> None:
        await asyncio.Event().wait()

    broker = create_simple_event_broker([Handler("com.test.a", hang)])

    async def block() -> None:
        async with broker:
            await broker.publish(event("com.test.a", id="cut off"))
            await settled()
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    await entered.wait()
    task.cancel()
    async with asyncio.timeout(10):
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert [each.event.id for each in broker.dead_letters] == ["cut off"]
