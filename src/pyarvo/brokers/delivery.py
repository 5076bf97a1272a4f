"""What a broker knows of an event on its way: the delivery, when to try again, and the dead letter."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from random import uniform
from typing import Protocol

from pyarvo.errors import InvalidOption
from pyarvo.events import ArvoEvent
from pyarvo.handlers.cancellation import caller_cancelled
from pyarvo.numeric import is_integer, is_number

__all__ = [
    "DeadLetter",
    "DeadLetterReason",
    "Delivery",
    "EventHandler",
    "Resolve",
    "RetryPolicy",
    "ends_the_task",
]

_JITTER = 1.25


class _Result(Protocol):
    @property
    def events(self) -> Iterable[ArvoEvent]: ...

    @property
    def outcome(self) -> str: ...


class EventHandler(Protocol):
    """What a broker needs of a handler; every handler of the package has it."""

    @property
    def source(self) -> str:
        """Events with this `to` are the handler's."""
        ...

    async def execute(self, event: ArvoEvent, /) -> _Result:
        """Handle one event: what it returns in `events` is published next."""
        ...


class DeadLetterReason(StrEnum):
    """Why an event is not delivered any more."""

    NO_HANDLER = "no_handler"
    """No handler has its `to` as source, or it has a domain and the broker no callback for those."""

    VIOLATION = "violation"
    """A contract, config, execution or user's own violation: delivering it again changes nothing."""

    UNEXPECTED = "unexpected"
    """The handler raised something else."""

    RETRIES_EXHAUSTED = "retries_exhausted"
    """The last attempt ended like those before it: not executed, or its workflow unknown."""

    DOMAIN_CALLBACK = "domain_callback"
    """The callback for events with a domain raised."""

    ABANDONED = "abandoned"
    """The broker was closed, and its deadline passed."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """
    An event that is not delivered any more.

    Attributes:
        event: As it was to be delivered.

        reason: Why.

        error: What was raised last; None where nothing was.

        attempts: How often a handler was asked.
    """

    event: ArvoEvent
    reason: DeadLetterReason
    error: BaseException | None
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """
    How often and when an event is delivered again. With the defaults the waits add up to 31 s or more, so
    that they outlast a lease of 30 s that a dead process left behind.

    Attributes:
        attempts: Deliveries in all, 1 or more.

        first_s: Wait after the first one, in seconds, 0.0 or more; doubled after each further one.

        longest_s: The longest such wait, in seconds, `first_s` or more.

    Raises:
        InvalidOption: One of them is out of its bounds.
    """

    attempts: int = 12
    first_s: float = 0.1
    longest_s: float = 5.0

    def __post_init__(self) -> None:
        if not is_integer(self.attempts) or self.attempts < 1:
            raise InvalidOption("attempts", f"must be 1 or more, is {self.attempts!r}")
        if not is_number(self.longest_s):
            raise InvalidOption("longest_s", f"must be seconds, is {self.longest_s!r}")
        if not is_number(self.first_s) or not 0 <= self.first_s <= self.longest_s:
            raise InvalidOption("first_s", f"must be 0.0 to longest_s, is {self.first_s!r}")

    def wait_s(self, attempts: int, at_least_s: float | None) -> float:
        """
        Choose the wait before the next delivery.

        Args:
            attempts: Deliveries so far, 1 or more.

            at_least_s: What the handler asked for; the wait is never shorter.

        Returns:
            Seconds, with up to a quarter of jitter on top.
        """
        planned = min(self.longest_s, self.first_s * 2 ** min(attempts - 1, 30))
        return max(planned, at_least_s or 0.0) * uniform(1.0, _JITTER)


class Resolve:
    """
    One call of `resolve`: what it caused, and what came back.

    Attributes:
        address: Source of the event that was resolved.

        live: Deliveries that it caused and that are not over.

        answer: The last event that reached the address.

        done: Set when nothing is live.
    """

    __slots__ = ("address", "answer", "done", "live")

    def __init__(self, address: str) -> None:
        self.address = address
        self.live = 0
        self.answer: ArvoEvent | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Delivery:
    """
    An event on its way.

    Attributes:
        event: The event.

        lane: Events of one lane are delivered one after the other.

        cause: The `resolve` that led to it, if any.

        attempts: How often a handler was asked so far.

        dead: Whether it became a dead letter.
    """

    __slots__ = ("attempts", "cause", "dead", "event", "lane")

    def __init__(self, event: ArvoEvent, cause: Resolve | None) -> None:
        self.event = event
        self.lane = (event.to or "", event.subject)
        self.cause = cause
        self.attempts = 0
        self.dead = False


def ends_the_task(error: BaseException) -> bool:
    """
    Whether *error*, out of user code, is how this task ends: it is being cancelled or closed, or the program ends.

    User code may raise a `CancelledError` by itself, or a base exception of its own: an error like any other.
    """
    if isinstance(error, asyncio.CancelledError):
        return caller_cancelled()
    return isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)
