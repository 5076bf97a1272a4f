"""What the in-process broker can be told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from math import isnan
from typing import Any, TypedDict

from pyarvo.brokers.delivery import DeadLetter, RetryPolicy
from pyarvo.errors import InvalidOption
from pyarvo.events import ArvoEvent
from pyarvo.numeric import is_integer, is_number

__all__ = ["BrokerOptions", "OnDeadLetter", "OnDomainedEvent", "bounded", "check_options", "check_timeout"]

OnDomainedEvent = Callable[[ArvoEvent], Awaitable[Any] | Any]
OnDeadLetter = Callable[[DeadLetter], Awaitable[Any] | Any]


class BrokerOptions(TypedDict, total=False):
    """
    The keyword arguments of a `SimpleEventBroker`; all may be left out.

    Attributes:
        max_pending: With so many events not yet over `publish` waits; 1 or more, default 1,000.

        max_concurrency: Lanes that are served at once; 1 or more, default 64.

        retry: How often and when an event is delivered again; default `RetryPolicy()`.

        on_domained_event: Gets the events that have a domain, which are not routed; may be async. Handing over and
            returning soon is best: it occupies one of the `max_concurrency` while it runs. What it raises makes the
            event a dead letter. Without it these events are dead letters.

        on_dead_letter: Told of each dead letter; may be async. What it raises is logged.

        dead_letter_limit: How many of the latest dead letters are shown; 0 or more, default 1,000.

        sleep: Waits some seconds; for tests.
    """

    max_pending: int
    max_concurrency: int
    retry: RetryPolicy | None
    on_domained_event: OnDomainedEvent | None
    on_dead_letter: OnDeadLetter | None
    dead_letter_limit: int
    sleep: Callable[[float], Awaitable[None]]


def check_options(options: Mapping[str, object]) -> None:
    """
    Refuse unknown options, and callbacks that cannot be called.

    Raises:
        InvalidOption: With the name of the option.
    """
    known = BrokerOptions.__annotations__
    for name, value in options.items():
        if name not in known:
            raise InvalidOption(name, f"is unknown; known are {', '.join(sorted(known))}")
        if name.startswith("on_") and not (value is None or callable(value)):
            raise InvalidOption(name, "must be a function")
    if not isinstance(options.get("retry"), RetryPolicy | None):
        raise InvalidOption("retry", "must be a RetryPolicy")
    if not callable(options.get("sleep", callable)):
        raise InvalidOption("sleep", "must be a function")


def bounded(option: str, value: object, least: int) -> int:
    """
    Raises:
        InvalidOption: *value* is not an integer of *least* or more.
    """
    if not (is_integer(value) and value >= least):
        raise InvalidOption(option, f"must be {least} or more, is {value!r}")
    return value


def check_timeout(timeout_s: object) -> None:
    """
    Raises:
        InvalidOption: Neither None nor a number of seconds.
    """
    if timeout_s is not None and not (is_number(timeout_s) and not isnan(timeout_s)):
        raise InvalidOption("timeout_s", f"must be seconds or None, is {timeout_s!r}")
