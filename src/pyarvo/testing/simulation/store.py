"""The simulated store, and the bad network between it and a process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from hashlib import blake2b
from random import Random
from typing import Any, ClassVar, Final, TypeVar

from pyarvo.errors import MemoryFault, MemoryUnavailable, WriteOutcomeUnknown
from pyarvo.memory.backend import Backend, Find, Stored
from pyarvo.memory.decide import Commit, Committed, JournalEntry, Op, Outcome
from pyarvo.memory.options import MemoryOptions
from pyarvo.memory.simple import SimpleBackend
from pyarvo.testing.simulation.loop import VirtualLoop, outside
from pyarvo.testing.simulation.watch import Broken, Watch

__all__ = ["Direct", "Link", "MakeBackend", "SimulatedStore", "at_once"]

T = TypeVar("T")

MakeBackend = Callable[[MemoryOptions, Callable[[], float]], Backend]
"""Makes the store's backend from options and clock; it must answer without suspending."""

_EPOCH: Final = 1_700_000_000.0
_SILENCE_S: Final = 6.0
"""After so long a driver gives up on a reply that was lost; longer than a memory's default deadline."""


class SimulatedStore:
    """
    One store for all processes: the shipped in-memory backend, under a clock that can be set wrong, and watched.

    Args:
        loop: Whose time it is.

        make: Makes the backend.

        traced: Whether it keeps a trace.

        watched: Whether its answers are judged one by one.

    Attributes:
        skew_s: How wrong the store's clock is, in seconds; set it back or forward at will.

        trace: One line for each operation applied, when somebody wants them; else None.

        broken: The first promise that was broken.

        digest: Of all operations so far and their answers: two runs are the same exactly when it is.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        make: MakeBackend = SimpleBackend,
        *,
        traced: bool = False,
        watched: bool = True,
    ) -> None:
        self.watched = watched
        self.skew_s = 0.0
        self.watch = Watch()
        self.broken: Broken | None = None
        self.trace: list[str] | None = [] if traced else None
        self._loop = loop
        self._digest = blake2b(digest_size=16)
        self.backend = make(MemoryOptions(lock_attempts=1), self.clock)

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def clock(self) -> float:
        """The store's clock."""
        return _EPOCH + self._loop.time() + self.skew_s

    def apply(self, name: str, ops: Sequence[Op]) -> list[Outcome | MemoryFault]:
        """Apply operations of process *name*, and judge each answer."""
        outcomes: list[Outcome | MemoryFault] = []
        for op in ops:
            (outcome,) = at_once(self.backend.execute((op,)))
            self._note(f"{self._loop.time():.6f} {name} {_said(op)} -> {_answered(outcome)}")
            if not isinstance(outcome, MemoryFault):
                self._judge(op, outcome)
            outcomes.append(outcome)
        return outcomes

    def _judge(self, op: Op, outcome: Outcome) -> None:
        # Kept, not raised: a handler would take it for a fault of the store, and try again.
        try:
            self.watch.saw(op, outcome, self.clock())
            if isinstance(op, Commit) and isinstance(outcome, Committed):
                self._check_step(op, outcome.version)
        except Broken as broken:
            if self.watched:
                self.broken = self.broken or broken

    def journal(self, id: str, after: int = 0) -> Sequence[JournalEntry]:
        """An instance's steps."""
        return at_once(self.backend.journal(id, after=after, limit=1_000_000))

    def stored(self, id: str) -> Stored | None:
        """An instance as the store has it."""
        return at_once(self.backend.get(id))

    def note(self, what: str) -> None:
        """Put something that happened outside the store into the trace."""
        self._note(f"{self._loop.time():.6f} {what}")

    def _note(self, line: str) -> None:
        self._digest.update(line.encode())
        if self.trace is not None:
            self.trace.append(line)

    def _check_step(self, op: Commit, version: int) -> None:
        stored = self.stored(op.id)
        if stored is None or stored.row.version < version:
            raise Broken("what was committed is there")
        steps = self.journal(op.id, version - 1)
        if not steps or steps[0].version != version or steps[0].event_key != op.event_key:
            raise Broken("record and step are written in one operation")


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never suspends."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    work.close()
    raise AssertionError("the store's backend suspended")


class _Backend:
    """The parts of a backend that a simulation does not use."""

    name: ClassVar[str] = "memory"

    def __init__(self, store: SimulatedStore, process: str) -> None:
        self._store = store
        self._process = process

    async def get(self, id: str) -> Stored | None:
        return self._store.stored(id)

    async def find(self, what: Find, *, before: int | None, limit: int) -> Sequence[Stored]:
        return await self._store.backend.find(what, before=before, limit=limit)

    async def count(self, what: Find) -> int:
        return await self._store.backend.count(what)

    async def journal(self, id: str, *, after: int, limit: int) -> Sequence[JournalEntry]:
        return self._store.journal(id, after)[:limit]

    async def history(self, id: str) -> Sequence[tuple[int, bytes]]:
        return await self._store.backend.history(id)

    async def ping(self) -> None:
        return

    async def close(self) -> None:
        return


class Direct(_Backend):
    """A store that answers at once, as one in the same process does."""

    immediate: ClassVar[bool] = True

    async def execute(self, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        return self._store.apply(self._process, ops)


class Link(_Backend):
    """
    A store behind a network that delays, and loses requests and replies.

    Args:
        store: At its other end.

        process: Name of the process at this end.

        chance: The seed's.

        loop: Whose time passes.

    Attributes:
        good: Whether nothing is lost and nothing is late.

        cut: Whether nothing gets through at all.
    """

    immediate: ClassVar[bool] = False

    def __init__(self, store: SimulatedStore, process: str, chance: Random, loop: VirtualLoop) -> None:
        super().__init__(store, process)
        self._chance = chance
        self._loop = loop
        self.good = False
        self.cut = False

    async def execute(self, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        if self.cut:
            raise MemoryUnavailable("the line is cut", transient=False)
        loop, answer = self._loop, self._loop.create_future()
        there_s = self._delay_s()
        if not self.good and self._chance.random() < 0.02:
            fault = MemoryUnavailable("the request was lost")
            loop.call_later(there_s, _settle, answer, fault, context=outside())
        else:
            loop.call_later(there_s, self._arrive, ops, answer, context=outside())
        return await answer

    def _arrive(self, ops: Sequence[Op], answer: asyncio.Future[Any]) -> None:
        outcomes = self._store.apply(self._process, ops)
        back_s = self._delay_s()
        lost = 1.0 if self.good else self._chance.random()
        if lost < 0.04:
            fault = WriteOutcomeUnknown("the reply was lost")
            self._loop.call_later(back_s if lost < 0.03 else _SILENCE_S, _settle, answer, fault)
        else:
            self._loop.call_later(back_s, _settle, answer, outcomes)

    def _delay_s(self) -> float:
        kind = 0.5 if self.good else self._chance.random()
        if kind < 0.9:
            return self._chance.uniform(0.0005, 0.01)
        return self._chance.uniform(0.05, 0.5) if kind < 0.98 else self._chance.uniform(0.5, 4.0)


def _settle(answer: asyncio.Future[Any], what: object) -> None:
    if answer.done():
        return
    if isinstance(what, MemoryFault):
        answer.set_exception(what)
    else:
        answer.set_result(what)


def _said(op: Op) -> str:
    return f"{type(op).__name__} {op.id[-16:]} {getattr(op, 'expected', '')}"


def _answered(outcome: object) -> str:
    fence, version = getattr(outcome, "fence", ""), getattr(outcome, "version", "")
    return f"{type(outcome).__name__} {fence} {version}"
