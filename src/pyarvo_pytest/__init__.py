"""
The pytest plugin of pyarvo: fixtures for tests of workflows. Registered by the entry point `pyarvo` of `pytest11`.

It defines fixtures and nothing else: no hook, no option, no marker. It stands beside the package, because every run of
pytest imports it where pyarvo is installed, and importing anything of pyarvo imports all of it. So what the fixtures
need is imported when they are used, and a project that uses none pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Protocol, Unpack

import pytest

if TYPE_CHECKING:
    from pyarvo.brokers import SimpleEventBroker
    from pyarvo.brokers.delivery import EventHandler
    from pyarvo.brokers.options import BrokerOptions
    from pyarvo.memory import SimpleMachineMemory
    from pyarvo.testing.clock import VirtualClock
    from pyarvo.testing.faults import FaultyMemory, Plan
    from pyarvo.testing.history import History

__all__ = [
    "MakeBroker",
    "pyarvo_broker",
    "pyarvo_clock",
    "pyarvo_faults",
    "pyarvo_history",
    "pyarvo_memory",
]


class MakeBroker(Protocol):
    """What `pyarvo_broker` is."""

    def __call__(
        self,
        handlers: Iterable[EventHandler],
        *,
        allow_dead_letters: bool = False,
        **options: Unpack[BrokerOptions],
    ) -> SimpleEventBroker:
        """
        Make a broker.

        Args:
            handlers: Each with another `source`.

            allow_dead_letters: Whether the test expects some; else any fails it in the end.

            options: See `BrokerOptions`.
        """
        ...


@pytest.fixture
def pyarvo_clock(request: pytest.FixtureRequest) -> Generator[VirtualClock]:
    """
    Virtual time. An async test that asks for it, itself or through another fixture, runs in it from its first line;
    in other tests `pyarvo_clock.run(coroutine)` does so.
    """
    from pyarvo.testing.clock import VirtualClock

    clock = VirtualClock()
    test: Any = request.node
    function = getattr(test, "obj", None)
    if not iscoroutinefunction(function):
        yield clock
        return
    test.obj = clock.wrapped(function)
    yield clock
    test.obj = function


@pytest.fixture
def pyarvo_memory(pyarvo_clock: VirtualClock) -> SimpleMachineMemory:
    """A memory in this process whose leases end by the clock of the test; it asks once for a lease that is held."""
    from pyarvo.memory import SimpleMachineMemory

    return SimpleMachineMemory(clock=pyarvo_clock, lock_attempts=1)


@pytest.fixture
def pyarvo_faults(pyarvo_memory: SimpleMachineMemory) -> Callable[[Plan], FaultyMemory]:
    """`pyarvo_faults(plan)` is `pyarvo_memory` with the faults of a `Script` or a `RandomPlan`."""
    from pyarvo.testing.faults import FaultyMemory

    return lambda plan: FaultyMemory(pyarvo_memory, plan)


@pytest.fixture
def pyarvo_history(pyarvo_clock: VirtualClock) -> Generator[History]:
    """A `History` in virtual time; the test fails in the end when no order of the recorded calls explains them."""
    from pyarvo.testing.history import History, assert_linearizable

    history = History(clock=lambda: pyarvo_clock.elapsed_s, lock_ttl_s=30.0)
    yield history
    assert_linearizable(history.calls)


@pytest.fixture
def pyarvo_broker() -> Generator[MakeBroker]:
    """
    Makes brokers. When the test is over, it fails if one of them has dead letters, unless it was told that there
    will be some, or events that are not over.
    """
    from pyarvo.brokers import create_simple_event_broker

    made: list[tuple[SimpleEventBroker, bool]] = []

    def make(
        handlers: Iterable[EventHandler],
        *,
        allow_dead_letters: bool = False,
        **options: Unpack[BrokerOptions],
    ) -> SimpleEventBroker:
        broker = create_simple_event_broker(handlers, **options)
        made.append((broker, allow_dead_letters))
        return broker

    yield make
    for broker, allow_dead_letters in made:
        letters = () if allow_dead_letters else broker.dead_letters
        told = [f"{one.reason} {one.event.type} to {one.event.to}: {one.error!r}" for one in letters]
        if told:
            pytest.fail("\n".join((f"{len(told)} dead letters", *told)), pytrace=False)
        if broker.pending:
            pytest.fail(
                f"{broker.pending} events are not over: await `broker.wait_idle()` or use `async with`",
                pytrace=False,
            )
