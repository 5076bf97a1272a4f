"""Order within a lane, concurrency across lanes, and the bound for publishers."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from tests.unit.brokers.conftest import Handler, event, settled

from pyarvo.brokers import SimpleEventBroker, create_simple_event_broker
from pyarvo.brokers.places import Places
from pyarvo.errors import BrokerClosed, ConfigViolation, ExecutionViolation, InvalidOption
from pyarvo.events import ArvoEvent


async def test_a_lane_is_first_come_first_served_and_one_at_a_time() -> None:
    running: dict[str, int] = {}
    most: dict[str, int] = {}

    async def work(got: ArvoEvent) -> None:
        running[got.subject] = running.get(got.subject, 0) + 1
        most[got.subject] = max(most.get(got.subject, 0), running[got.subject])
        for _ in range(random.randrange(5)):
            await asyncio.sleep(0)
        running[got.subject] -= 1

    handler = Handler("com.test.a", work)
    async with create_simple_event_broker([handler], max_concurrency=3) as broker:
        for n in range(60):
            await broker.publish(event("com.test.a", f"s{n % 5}", f"s{n % 5}-{n:02}"))
    assert len(handler.seen) == 60
    for lane in range(5):
        mine = [id for id in handler.seen if id.startswith(f"s{lane}-")]
        assert mine == sorted(mine)
    assert set(most.values()) == {1}
    assert handler.seen != sorted(handler.seen), "lanes ran one after the other"


async def test_lanes_are_concurrent_up_to_the_limit() -> None:
    gate, started = asyncio.Event(), list[str]()

    async def work(got: ArvoEvent) -> None:
        started.append(got.subject)
        await gate.wait()

    async with create_simple_event_broker([Handler("com.test.a", work)], max_concurrency=3) as broker:
        for n in range(5):
            await broker.publish(event("com.test.a", f"s{n}"))
        await settled()
        assert started == ["s0", "s1", "s2"]
        gate.set()
    assert started == ["s0", "s1", "s2", "s3", "s4"]


async def test_the_same_subject_to_two_handlers_is_two_lanes() -> None:
    gate = asyncio.Event()

    async def stuck(_: ArvoEvent) -> None:
        await gate.wait()

    free = Handler("com.test.b")
    async with create_simple_event_broker([Handler("com.test.a", stuck), free]) as broker:
        await broker.publish(event("com.test.a"))
        await broker.publish(event("com.test.b", id="through"))
        await settled()
        assert free.seen == ["through"]
        gate.set()


async def test_a_busy_lane_does_not_starve_the_others() -> None:
    handler = Handler("com.test.a")
    async with create_simple_event_broker([handler], max_concurrency=1) as broker:
        for n in range(10):
            await broker.publish(event("com.test.a", "busy", f"busy-{n}"))
        await broker.publish(event("com.test.a", "rare", "rare"))
    assert handler.seen.index("rare") == 1


async def test_finished_lanes_are_forgotten() -> None:
    broker = create_simple_event_broker([Handler("com.test.a")])
    for n in range(100):
        await broker.publish(event("com.test.a", f"s{n}"))
    await broker.wait_idle()
    await settled()
    assert len(broker._lanes) == 0  # pyright: ignore[reportPrivateUsage] - memory is what this is about
    assert broker._workers == set()  # pyright: ignore[reportPrivateUsage]
    assert broker.pending == 0
    await broker.close()


async def test_a_handler_that_never_suspends_does_not_stop_the_loop() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    count = 0

    def again(got: ArvoEvent) -> ArvoEvent | None:
        nonlocal count
        count += 1
        return event("com.test.a", got.subject) if count < 1_000 else None

    async with create_simple_event_broker([Handler("com.test.a", again)]) as broker:
        ticker = asyncio.create_task(tick())
        await broker.publish(event("com.test.a"))
        await broker.wait_idle()
        ticker.cancel()
    assert count == 1_000
    assert ticks > 10


# ---------------------------------------------------------------------------------------------------- the bound


async def test_publish_waits_while_the_broker_is_full() -> None:
    gate = asyncio.Event()

    async def stuck(_: ArvoEvent) -> None:
        await gate.wait()

    handler = Handler("com.test.a", stuck)
    async with create_simple_event_broker([handler], max_pending=2) as broker:
        await broker.publish(event("com.test.a", "1", "1"))
        await broker.publish(event("com.test.a", "2", "2"))
        waiting = [asyncio.create_task(broker.publish(event("com.test.a", "3", f"3{n}"))) for n in range(3)]
        await settled()
        assert not any(task.done() for task in waiting)
        assert broker.pending == 2
        gate.set()
        await asyncio.gather(*waiting)
    assert handler.seen == ["1", "2", "30", "31", "32"]


async def test_a_full_broker_never_holds_up_what_handlers_emit() -> None:
    """Every event makes three more, four levels deep, with one place only."""

    def three(got: ArvoEvent) -> list[ArvoEvent]:
        level = got.data["level"]
        return [
            event("com.test.a", f"{got.subject}{n}", data={"level": level - 1}) for n in range(3) if level
        ]

    handler = Handler("com.test.a", three)
    async with create_simple_event_broker([handler], max_pending=1, max_concurrency=1) as broker:
        async with asyncio.timeout(10):
            for n in range(3):
                await broker.publish(event("com.test.a", f"root{n}-", data={"level": 4}))
    assert len(handler.seen) == 3 * (1 + 3 + 9 + 27 + 81)


async def test_a_handler_that_publishes_by_itself_does_not_wait_for_itself() -> None:
    async def publish(got: ArvoEvent) -> None:
        if got.id != "last":
            await broker.publish(event("com.test.a", got.subject, "last"))

    handler = Handler("com.test.a", publish)
    async with create_simple_event_broker([handler], max_pending=1) as broker:
        async with asyncio.timeout(10):
            await broker.publish(event("com.test.a", "s", "first"))
            await broker.wait_idle()
    assert handler.seen == ["first", "last"]


async def test_what_handlers_emit_counts_against_the_bound() -> None:
    gate = asyncio.Event()

    async def work(got: ArvoEvent) -> list[ArvoEvent]:
        if got.subject == "s":
            return [event("com.test.a", f"s{n}") for n in range(3)]
        await gate.wait()
        return []

    async with create_simple_event_broker([Handler("com.test.a", work)], max_pending=3) as broker:
        await broker.publish(event("com.test.a", "s"))
        await settled()
        late = asyncio.create_task(broker.publish(event("com.test.a", "late")))
        await settled()
        assert broker.pending == 3
        assert not late.done()
        gate.set()
        await late


async def test_who_gives_up_waiting_takes_no_place() -> None:
    places = Places(1)
    await places.enter()
    gone, served = asyncio.create_task(places.enter()), asyncio.create_task(places.enter())
    await settled()
    gone.cancel()
    await settled()
    places.leave()
    await settled()
    assert served.done()


async def test_who_gives_up_in_the_moment_of_its_turn_hands_the_place_on() -> None:
    places = Places(1)
    await places.enter()
    gone, served = asyncio.create_task(places.enter()), asyncio.create_task(places.enter())
    await settled()
    places.leave()  # it is the turn of `gone`, which has not woken up
    gone.cancel()
    await settled()
    assert gone.cancelled()
    assert served.done()


# -------------------------------------------------------------------------------------------------- what it refuses


def test_two_handlers_of_one_source_are_refused() -> None:
    with pytest.raises(ConfigViolation, match=r"com\.test\.a"):
        create_simple_event_broker([Handler("com.test.a"), Handler("com.test.a")])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_pending", 0),
        ("max_concurrency", 0),
        ("dead_letter_limit", -1),
        ("max_pending", "many"),
        ("max_concurrency", None),
        ("retry", 5),
        ("on_domained_event", 5),
        ("on_dead_letter", "print"),
        ("sleep", None),
        ("on_domained_events", print),
    ],
)
def test_options_out_of_bounds_are_refused(option: str, value: Any) -> None:
    with pytest.raises(InvalidOption, match=option):
        SimpleEventBroker([], **{option: value})


def test_what_is_no_handler_is_refused() -> None:
    with pytest.raises(ConfigViolation, match="int has no source"):
        create_simple_event_broker([5])  # pyright: ignore[reportArgumentType] - on purpose
    with pytest.raises(ConfigViolation, match="NoneType is not iterable"):
        create_simple_event_broker(None)  # pyright: ignore[reportArgumentType] - on purpose


@pytest.mark.parametrize("timeout_s", ["5", float("nan"), True, b""])
async def test_a_timeout_that_is_no_number_is_refused(timeout_s: Any) -> None:
    broker = create_simple_event_broker([])
    for wait in (broker.close, broker.wait_idle):
        with pytest.raises(InvalidOption, match="timeout_s"):
            await wait(timeout_s=timeout_s)
    await broker.close()


async def test_what_is_no_event_is_refused() -> None:
    broker = create_simple_event_broker([])
    with pytest.raises(ExecutionViolation, match="ArvoEvent"):
        await broker.publish("no event")  # type: ignore[arg-type]  # that is the test
    await broker.close()
    with pytest.raises(BrokerClosed):
        await broker.publish(event("com.test.a"))


async def test_a_handler_may_be_wrapped() -> None:
    class Wrapped:
        """Hands on what it does not know."""

        def __init__(self, inner: Handler) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

    inner = Handler("com.test.a")
    wrapped: Any = Wrapped(inner)
    async with create_simple_event_broker([wrapped]) as broker:
        await broker.publish(event("com.test.a"))
    assert len(inner.seen) == 1
