"""Handlers that do as they are told, and a sleep that takes no time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from inspect import isawaitable
from typing import Any

import pytest

from pyarvo.errors import TransactionCause, TransactionViolation
from pyarvo.events import ArvoEvent, create_arvo_event
from pyarvo.handlers.result import ExecutionResult, Outcome

Script = Callable[[ArvoEvent], Awaitable[Any] | Any]


def event(to: str, subject: str = "s", id: str | None = None, **fields: Any) -> ArvoEvent:
    fields = {"source": "com.test.caller", "type": "com.test.thing", "data": {}, **fields}
    return create_arvo_event(subject=subject, to=to, id=id, **fields)


def denied(retry_after_s: float | None = None) -> TransactionViolation:
    return TransactionViolation(TransactionCause.LOCK_UNACQUIRED, "held", retry_after_s=retry_after_s)


class Handler:
    """Asks a script what to do: it raises, or returns events, an outcome, or None."""

    def __init__(self, source: str, script: Script = lambda _: None) -> None:
        self.source = source
        self.script = script
        self.seen: list[str] = []

    async def execute(self, event: ArvoEvent) -> ExecutionResult:
        self.seen.append(event.id)
        answer: Any = self.script(event)
        if isawaitable(answer):
            answer = await answer
        if isinstance(answer, Outcome):
            return ExecutionResult((), answer)
        if isinstance(answer, ArvoEvent):
            answer = (answer,)
        events: Iterable[ArvoEvent] = answer or ()
        return ExecutionResult(tuple(events), Outcome.RAN)


class Sleep:
    """Records the waits; `hold` makes them last until `wake`."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.awake = asyncio.Event()
        self.awake.set()

    def hold(self) -> None:
        self.awake.clear()

    def wake(self) -> None:
        self.awake.set()

    async def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)
        await self.awake.wait()
        await asyncio.sleep(0)


@pytest.fixture
def sleep() -> Sleep:
    return Sleep()


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(50):
        await asyncio.sleep(0)
