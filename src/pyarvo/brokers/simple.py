"""The in-process broker: carries events from handler to handler until nothing is left to do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from contextvars import ContextVar, copy_context
from inspect import isawaitable
from types import TracebackType
from typing import Any, NamedTuple, Self, Unpack

from pyarvo.brokers.dead_letters import DeadLetters
from pyarvo.brokers.delivery import (
    DeadLetter,
    DeadLetterReason,
    Delivery,
    EventHandler,
    Resolve,
    RetryPolicy,
    ends_the_task,
)
from pyarvo.brokers.lanes import Lane, Lanes
from pyarvo.brokers.options import BrokerOptions, OnDomainedEvent, bounded, check_options, check_timeout
from pyarvo.brokers.places import Places
from pyarvo.errors import (
    BrokerClosed,
    ConfigViolation,
    ExecutionViolation,
    TransactionViolation,
    ViolationError,
)
from pyarvo.events import ArvoEvent
from pyarvo.handlers.result import Outcome

__all__ = ["SimpleEventBroker", "create_simple_event_broker"]

_log = logging.getLogger("pyarvo.brokers")

_TURNS = 32
"""Deliveries after which a worker lets the event loop breathe, should no handler ever suspend."""


# The broker that runs the present code, and the delivery's cause: what is published from there is not bounded
# (it would wait for itself) and belongs to the same cause.
_inside: ContextVar[tuple[SimpleEventBroker, Resolve | None] | None] = ContextVar(
    "pyarvo_broker", default=None
)


class _Again(NamedTuple):
    after_s: float
    keeps_place: bool


class SimpleEventBroker:
    """
    Delivers events to handlers of this process; make it with `create_simple_event_broker`.

    **Order.** Events with the same `to` and `subject` share a lane: one at a time, first come, first served. Lanes
    are served in turn, `max_concurrency` of them at once.

    **Bound.** `publish` waits while `max_pending` events are not yet over. What handlers and callbacks publish is
    never made to wait, so a full broker goes on.

    **Again.** Only what may end otherwise is delivered again: after a `TransactionViolation` the event keeps its
    place and its lane waits; after the outcome `unknown_instance` the lane goes on and the event comes last in it,
    because the event that starts the workflow may stand behind it. All else that cannot be delivered is a dead letter
    at once.

    **Nothing is durable.** An event that was accepted and not yet handled is gone with the process. Publish again
    what may not have been handled: what was is replayed.
    """

    def __init__(self, handlers: Iterable[EventHandler], **options: Unpack[BrokerOptions]) -> None:
        check_options(options)
        if not isinstance(handlers, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
            raise ConfigViolation(f"handlers: {type(handlers).__name__} is not iterable")
        self._handlers: dict[str, EventHandler] = {}
        for handler in handlers:
            if not (hasattr(handler, "source") and callable(getattr(handler, "execute", None))):
                raise ConfigViolation(f"handlers: {type(handler).__name__} has no source and execute")
            if handler.source in self._handlers:
                raise ConfigViolation(f"handlers: two of them have the source {handler.source!r}")
            self._handlers[handler.source] = handler
        self._places = Places(bounded("max_pending", options.get("max_pending", 1_000), 1))
        self._max_concurrency = bounded("max_concurrency", options.get("max_concurrency", 64), 1)
        self._retry = options.get("retry") or RetryPolicy()
        self._on_domained_event = options.get("on_domained_event")
        self._dead_letters = DeadLetters(
            bounded("dead_letter_limit", options.get("dead_letter_limit", 1_000), 0),
            options.get("on_dead_letter"),
        )
        self._sleep = options.get("sleep", asyncio.sleep)
        self._lanes = Lanes()
        self._live: dict[Delivery, None] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._waits: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._context = copy_context()

    # --------------------------------------------------------------------------------------------- for callers

    @property
    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """The latest events that are not delivered any more, oldest first, at most `dead_letter_limit`."""
        return tuple(self._dead_letters.kept)

    @property
    def pending(self) -> int:
        """Events accepted and not yet over: waiting, being handled, or waiting to be delivered again."""
        return len(self._live)

    async def publish(self, event: ArvoEvent) -> None:
        """
        Accept *event*; returns before it is handled.

        Waits while the broker is full, unless it is called by a handler or a callback of this broker.

        Raises:
            BrokerClosed: The broker was closed; the event was not accepted.
            ExecutionViolation: It is not an event.
        """
        inside = self._running_code()
        await self._publish(event, None if inside is None else inside[1], wait=inside is None)

    async def resolve(self, event: ArvoEvent) -> ArvoEvent | None:
        """
        Publish *event* and wait until nothing that it caused is left to do.

        An event belongs to the `resolve` that caused it: directly, as the output of a handler that was given such an
        event, or because a handler or callback published it on that occasion. So any number of calls may wait at
        once, with the same source too. What is published from elsewhere belongs to none of them.

        Returns:
            Of the events it caused, the last that went to `event.source`; None when there was none.

        Raises:
            BrokerClosed: The broker was closed before the end.
            ConfigViolation: `event.source` is a handler's, or the caller is a handler of this broker.
            ExecutionViolation: It is not an event.
        """
        self._refuse_inside("resolve")
        cause = Resolve(_checked(event).source)
        if cause.address in self._handlers:
            raise ConfigViolation(
                f"resolve: the source {cause.address!r} is a handler's, which gets the answer"
            )
        await self._publish(event, cause, wait=True)
        await cause.done
        return cause.answer

    async def wait_idle(self, timeout_s: float | None = None) -> None:
        """
        Wait until every accepted event is over.

        Args:
            timeout_s: Seconds; None waits without an end.

        Raises:
            TimeoutError: The time passed; nothing else happened.
            InvalidOption: *timeout_s* is not a number.
            ConfigViolation: The caller is a handler of this broker, which would wait for itself.
        """
        self._refuse_inside("wait_idle")
        check_timeout(timeout_s)
        async with asyncio.timeout(timeout_s):
            await self._idle.wait()

    async def close(self, timeout_s: float | None = 30.0) -> None:
        """
        Accept no more events from outside and finish what was accepted. Calling it again is harmless.

        Args:
            timeout_s: Seconds until what is not over is cancelled and becomes a dead letter; None waits without an
                end.

        Raises:
            InvalidOption: *timeout_s* is not a number.
            ConfigViolation: The caller is a handler of this broker, which would wait for itself.
        """
        self._refuse_inside("close")
        check_timeout(timeout_s)
        self._closed = True
        self._places.open_up()  # for those who wait: they are refused
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            _log.warning("closing: %d events are not over after %s s", len(self._live), timeout_s)
        finally:
            await self._abandon()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish what was accepted; at once when the block was cancelled or interrupted."""
        interrupted = kind is not None and not issubclass(kind, Exception)
        await self.close(*((0.0,) if interrupted else ()))

    # ------------------------------------------------------------------------------------------- in and out

    async def _publish(self, event: ArvoEvent, cause: Resolve | None, *, wait: bool) -> None:
        delivery = Delivery(_checked(event), cause)
        if self._lanes.stopped:
            raise _closed()
        if wait:
            await self._enter()
        else:
            self._places.squeeze_in()
        self._accept(delivery)
        self._start()

    async def _enter(self) -> None:
        if self._closed:
            raise _closed()
        await self._places.enter()
        if self._closed:  # meanwhile
            self._places.leave()
            raise _closed()

    def _accept(self, delivery: Delivery) -> None:
        """Take *delivery* on; it has its place already."""
        self._live[delivery] = None
        self._idle.clear()
        if delivery.cause is not None:
            delivery.cause.live += 1
        self._lanes.put(delivery)

    def _finish(self, delivery: Delivery) -> None:
        """Forget *delivery*; what it led to was accepted before."""
        del self._live[delivery]
        cause = delivery.cause
        if cause is not None:
            cause.live -= 1
            if not cause.live and not cause.done.done():
                cause.done.set_result(None)
        if not self._live:
            self._idle.set()
        self._places.leave()

    # ------------------------------------------------------------------------------------------- delivering

    def _start(self) -> None:
        """Give ready lanes to new workers, as far as there may be more of them."""
        while len(self._workers) < self._max_concurrency and (lane := self._lanes.take()) is not None:
            self._spawn(self._work(lane), self._workers)

    async def _work(self, lane: Lane) -> None:
        turn = 0
        next_lane: Lane | None = lane
        while next_lane is not None:
            await self._serve(next_lane)
            turn += 1
            if turn % _TURNS == 0:
                await asyncio.sleep(0)
            next_lane = self._lanes.take()
            self._start()

    async def _serve(self, lane: Lane) -> None:
        """Deliver the lane's next event, once."""
        delivery = lane.waiting.popleft()
        token = _inside.set((self, delivery.cause))
        try:
            again = await self._deliver(delivery)
        finally:
            _inside.reset(token)
        if again is None:
            self._finish(delivery)
            self._lanes.give_back(lane)
        else:
            if not again.keeps_place:
                self._lanes.give_back(lane)
            held = lane if again.keeps_place else None
            self._spawn(self._wait(delivery, again.after_s, held), self._waits)

    async def _wait(self, delivery: Delivery, after_s: float, lane: Lane | None) -> None:
        """Hold *delivery* back; with *lane* it comes first in that lane, which stays taken meanwhile."""
        await self._sleep(after_s)
        if lane is None:
            self._lanes.put(delivery)
        else:
            self._lanes.give_back(lane, delivery)
        self._start()

    async def _deliver(self, delivery: Delivery) -> _Again | None:
        """
        Hand the event to whom it concerns.

        Returns:
            None when it is over; else when and where to deliver it again.
        """
        event, cause = delivery.event, delivery.cause
        if event.domain is not None:
            await self._hand_out(delivery, self._on_domained_event)
            return None
        handler = self._handlers.get(event.to or "")
        if handler is None:
            if cause is not None and event.to == cause.address and not cause.done.done():
                cause.answer = event
            else:
                await self._dead_letters.add(delivery, DeadLetterReason.NO_HANDLER)
            return None
        delivery.attempts += 1
        try:
            result = await handler.execute(event)
            outcome = result.outcome
            outputs = [Delivery(output, cause) for output in result.events]
        except TransactionViolation as error:
            return await self._again(delivery, error, error.retry_after_s, keeps_place=True)
        except ViolationError as error:
            await self._dead_letters.add(delivery, DeadLetterReason.VIOLATION, error)
            return None
        except BaseException as error:
            if ends_the_task(error):
                raise
            await self._dead_letters.add(delivery, DeadLetterReason.UNEXPECTED, error)
            return None
        if outcome == Outcome.UNKNOWN_INSTANCE:
            return await self._again(delivery, None, None, keeps_place=False)
        for output in outputs:
            self._places.squeeze_in()
            self._accept(output)
        return None

    async def _again(
        self, delivery: Delivery, error: Exception | None, after_s: float | None, *, keeps_place: bool
    ) -> _Again | None:
        if delivery.attempts >= self._retry.attempts:
            await self._dead_letters.add(delivery, DeadLetterReason.RETRIES_EXHAUSTED, error)
            return None
        return _Again(self._retry.wait_s(delivery.attempts, after_s), keeps_place=keeps_place)

    async def _hand_out(self, delivery: Delivery, callback: OnDomainedEvent | None) -> None:
        if callback is None:
            await self._dead_letters.add(delivery, DeadLetterReason.NO_HANDLER)
            return
        try:
            told = callback(delivery.event)
            if isawaitable(told):
                await told
        except BaseException as error:
            if ends_the_task(error):
                raise
            await self._dead_letters.add(delivery, DeadLetterReason.DOMAIN_CALLBACK, error)

    # --------------------------------------------------------------------------------------------- the end

    async def _abandon(self) -> None:
        """Cancel what still runs; what is not over becomes a dead letter."""
        self._lanes.stop()
        while tasks := self._workers | self._waits:  # a worker that is cancelled may leave a wait behind
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # From Python 3.12 on that waits for nothing where all are over, and `over` is still to be called.
            self._workers -= tasks
            self._waits -= tasks
        # All of it before a callback is awaited: another `close` may have come as far as this.
        letters: list[DeadLetter] = []
        for delivery in list(self._live):
            if delivery.cause is not None and not delivery.cause.done.done():
                delivery.cause.done.set_exception(_closed())
            if not delivery.dead:
                letters.append(self._dead_letters.keep(delivery, DeadLetterReason.ABANDONED))
            self._finish(delivery)
        for letter in letters:
            await self._dead_letters.tell(letter)

    def _spawn(self, work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> None:
        """Run *work* apart from the caller's context; it is in *tasks* while it runs."""

        def over(task: asyncio.Task[None]) -> None:
            tasks.discard(task)
            self._start()

        task = asyncio.get_running_loop().create_task(work, context=self._context.copy())
        tasks.add(task)
        task.add_done_callback(over)

    def _running_code(self) -> tuple[SimpleEventBroker, Resolve | None] | None:
        """Whether a handler or callback of this broker is the caller, and its cause."""
        inside = _inside.get()
        return inside if inside is not None and inside[0] is self else None

    def _refuse_inside(self, verb: str) -> None:
        if self._running_code() is not None:
            raise ConfigViolation(f"{verb}: called by a handler of this broker, which would wait for itself")


def create_simple_event_broker(
    handlers: Iterable[EventHandler], **options: Unpack[BrokerOptions]
) -> SimpleEventBroker:
    """
    Make a broker.

    Args:
        handlers: Each with another `source`.

        options: See `BrokerOptions`.

    Raises:
        ConfigViolation: Two handlers have the same source, or something is not a handler.
        InvalidOption: An option is unknown, of another kind or out of its bounds.
    """
    return SimpleEventBroker(handlers, **options)


def _checked(event: object) -> ArvoEvent:
    if not isinstance(event, ArvoEvent):
        raise ExecutionViolation(f"an ArvoEvent is expected, not {type(event).__name__}")
    return event


def _closed() -> BrokerClosed:
    return BrokerClosed("the broker was closed; make a new one and publish again what was not finished")
