"""
What a memory tells telemetry: spans of its calls, and its metrics. Called only where something records.

`access.py` and `leased.py` look once an operation whether anything does (`telemetry.active`), and come here if so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

from pyarvo.errors import MemoryFault
from pyarvo.memory.contract import Lease
from pyarvo.memory.decide import (
    Acquire,
    Commit,
    Conflict,
    Delete,
    ForceRelease,
    Lost,
    Op,
    Outcome,
    Read,
    Release,
    Renew,
)
from pyarvo.telemetry import active, names
from pyarvo.telemetry.names import Acquisition

if TYPE_CHECKING:
    from pyarvo.telemetry.meters import Meters
    from pyarvo.telemetry.recorder import Recorder

__all__ = ["Signals", "tell_retry"]

R = TypeVar("R")

_VERBS: dict[type, str] = {
    Read: "read",
    Acquire: "acquire",
    Commit: "commit",
    Renew: "renew",
    Release: "release",
    Delete: "delete",
    ForceRelease: "force_release",
}


def tell_retry(operation: str | None) -> None:
    """A call of the store is about to be made once more."""
    on = active()
    if on is not None and on.meters is not None:
        on.meters.count(names.RETRIES, operation or "")


class Signals:
    """
    What the memories of one kind tell.

    Args:
        system: Name of the store.
    """

    __slots__ = ("_acquisitions", "_labels", "_operations", "_system")

    def __init__(self, system: str) -> None:
        self._system = system
        self._labels = {names.DB_SYSTEM: system}
        self._acquisitions = {each: {**self._labels, names.OUTCOME: each.value} for each in Acquisition}
        self._operations: dict[str, dict[str, str]] = {}

    def call(
        self, on: Recorder, call: Coroutine[Any, Any, R], operation: str, id: str | None
    ) -> Awaitable[R]:
        """What to await instead of *call*, which does I/O: with a span where that is recorded."""
        return on.memory_call(call, _told, system=self._system, operation=operation, id=id)

    async def round_trip(
        self,
        on: Recorder,
        execute: Callable[[Sequence[Op]], Awaitable[Sequence[Outcome | MemoryFault]]],
        ops: Sequence[Op],
    ) -> Sequence[Outcome | MemoryFault]:
        """Let the backend execute *ops*, and measure it: one duration and one size for all of them."""
        if on.meters is None:
            return await execute(ops)
        begun = perf_counter()
        fault: BaseException | None = None
        try:
            outcomes = await execute(ops)
            fault = next((each for each in outcomes if isinstance(each, MemoryFault)), None)
            return outcomes
        except BaseException as error:
            fault = error
            raise
        finally:
            labels = self._operation(_operation_of(ops))
            if fault is not None:
                labels = {**labels, names.ERROR_TYPE: type(fault).__qualname__}
            on.meters.round_trip.record(perf_counter() - begun, labels)
            on.meters.batch_size.record(len(ops), self._labels)

    async def query(self, on: Recorder, query: Coroutine[Any, Any, R], operation: str, id: str | None) -> R:
        """Await a query that does I/O, measured and with a span."""
        begun = perf_counter()
        labels = self._operation(operation)
        try:
            return await self.call(on, query, operation, id)
        except BaseException as error:
            labels = {**labels, names.ERROR_TYPE: type(error).__qualname__}
            raise
        finally:
            if on.meters is not None:
                on.meters.round_trip.record(perf_counter() - begun, labels)

    async def acquisition(self, meters: Meters, asking: Coroutine[Any, Any, Lease | None]) -> Lease | None:
        """Await the answer to somebody who asks for a lease, and count it. A replay is none: it takes no lease."""
        begun = perf_counter()
        outcome: Acquisition | None = Acquisition.ERROR
        try:
            lease = await asking
            if lease is None:
                outcome = Acquisition.DENIED
            else:
                outcome = Acquisition.ACQUIRED if lease.replay is None else None
            return lease
        finally:
            if outcome is not None:
                meters.count(names.LOCK_ACQUISITIONS, self._system, outcome.value)
                meters.wait.record(perf_counter() - begun, self._acquisitions[outcome])

    def committed(self, on: Recorder, size: int) -> None:
        """A write of *size* bytes was applied."""
        if on.meters is not None:
            on.meters.record_size.record(size, self._labels)

    def refused(self, outcome: Outcome) -> None:
        """A write or a renewal was not applied."""
        on = active()
        if on is None or on.meters is None:
            return
        if isinstance(outcome, Lost):
            on.meters.count(names.LOCK_LOST, self._system)
        elif isinstance(outcome, Conflict):
            on.meters.count(names.WRITE_CONFLICTS, self._system)

    def given_up(self, on: Recorder, lease: Lease) -> None:
        """The holder of *lease* gave it up, or was told that it is lost; once a lease."""
        if on.meters is not None:
            on.meters.hold.record(monotonic() - lease.sent_at, self._labels)

    def _operation(self, name: str) -> dict[str, str]:
        labels = self._operations.get(name)
        if labels is None:
            labels = self._operations[name] = {**self._labels, names.DB_OPERATION: name}
        return labels


def _operation_of(ops: Sequence[Op]) -> str:
    """The name of a round trip, as the database conventions name batches."""
    verb = _VERBS[type(ops[0])]
    if len(ops) == 1:
        return verb
    kinds = {type(op) for op in ops}
    return f"BATCH {verb}" if len(kinds) == 1 else "BATCH"


def _told(answer: object) -> str:
    """The answer of a call in a word: the name of its outcome; a query has none, whatever it found."""
    return type(answer).__name__.lower() if isinstance(answer, Outcome) else "answered"
