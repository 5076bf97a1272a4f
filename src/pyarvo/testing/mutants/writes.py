"""Backends that lie about writes: versions, repeats, steps, and what of a record is there."""

from __future__ import annotations

import asyncio
import os
from itertools import count
from typing import Any, Final

import orjson
from msgspec.structs import replace

from pyarvo.memory.backend import Backend
from pyarvo.memory.decide import (
    Acquire,
    Acquired,
    Commit,
    Committed,
    Conflict,
    Consumed,
    Denied,
    Found,
    Lost,
    Op,
    Outcome,
    Read,
    is_held,
)
from pyarvo.testing.mutants.mutant import wrapper
from pyarvo.testing.mutants.wrapper import Wrapper

__all__: list[str] = []

_TAKEN: Final = "f" * 32


@wrapper
class StaleVersionAccepted(Wrapper):
    """Writes over a newer version than the one the caller read."""

    async def answer(self, op: Op) -> Outcome:
        outcome = await self.ask(op)
        if isinstance(op, Commit) and isinstance(outcome, Conflict):
            return await self.ask(replace(op, expected=outcome.actual))
        return outcome


@wrapper
class LastWriterWins(Wrapper):
    """Checks neither token nor version: whoever writes last wins."""

    async def answer(self, op: Op) -> Outcome:
        outcome = await self.ask(op)
        if isinstance(op, Commit) and isinstance(outcome, Lost | Conflict):
            row = await self.row(op.id)
            token = row.token
            if not row.until:
                token = os.urandom(16).hex()
                await self.ask(Acquire(op.id, token, 30.0))
            return await self.ask(replace(op, token=token, expected=row.version))
        return outcome


@wrapper
class StepApart(Wrapper):
    """Writes the record first and the step after it: who dies in between executes the event again."""

    async def answer(self, op: Op) -> Outcome:
        if not (isinstance(op, Commit) and op.event_key is not None):
            return await self.ask(op)
        first = await self.ask(replace(op, event_key=None, produced=None, release=False))
        if not isinstance(first, Committed):
            return first
        await asyncio.sleep(0)
        second = await self.ask(replace(op, expected=first.version))
        return first if isinstance(second, Committed) else second


@wrapper
class StepIsForgotten(Wrapper):
    """Writes the record and leaves out the step."""

    async def answer(self, op: Op) -> Outcome:
        return await self.ask(replace(op, event_key=None, produced=None) if isinstance(op, Commit) else op)


@wrapper
class VersionStands(Wrapper):
    """Answers every commit with version 1."""

    async def answer(self, op: Op) -> Outcome:
        outcome = await self.ask(op)
        return Committed(1) if isinstance(outcome, Committed) else outcome


@wrapper
class CommitIsNotStored(Wrapper):
    """Acknowledges the first write of an instance and forgets it."""

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Commit) and op.expected == 0:
            return Committed(1)
        return await self.ask(op)


@wrapper
class RepeatIsAConflict(Wrapper):
    """Does not recognise a commit that is sent again because its answer was lost."""

    async def answer(self, op: Op) -> Outcome:
        return await self.ask(replace(op, digest=os.urandom(16)) if isinstance(op, Commit) else op)


@wrapper
class RepeatIsDoubled(Wrapper):
    """Applies a commit that is sent again a second time, on top of the first."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self._sent: set[tuple[str, bytes]] = set()

    async def answer(self, op: Op) -> Outcome:
        outcome = await self.ask(op)
        if not (isinstance(op, Commit) and isinstance(outcome, Committed)):
            return outcome
        if (op.token, op.digest) not in self._sent:
            self._sent.add((op.token, op.digest))
            return outcome
        again = replace(op, digest=os.urandom(16), event_key=None, produced=None)
        version = (await self.row(op.id)).version
        doubled = await self.ask(replace(again, expected=version))
        if isinstance(doubled, Lost):
            await self.ask(Acquire(op.id, _TAKEN, 30.0))
            doubled = await self.ask(replace(again, expected=version, token=_TAKEN))
        return doubled


@wrapper
class EventKeyNotUnique(Wrapper):
    """Lets an instance consume the same event again."""

    _made = count(1)

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Commit) and op.event_key is not None:
            outcome = await self.ask(op)
            if isinstance(outcome, Consumed):
                return await self.ask(replace(op, event_key=f"{op.event_key}#{next(self._made)}"))
            return outcome
        return await self.ask(op)


@wrapper
class KeyOfTheIdAlone(Wrapper):
    """Knows an event by its id and not by its source: another source's event counts as consumed."""

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Acquire | Commit) and op.event_key is not None and op.event_key[:1] == "[":
            op = replace(op, event_key=orjson.dumps(orjson.loads(op.event_key)[-1:]).decode())
        return await self.ask(op)


@wrapper
class KeysFolded(Wrapper):
    """Makes no difference between upper and lower case in the id of an event: the other one is never executed."""

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Acquire | Commit) and op.event_key is not None:
            op = replace(op, event_key=op.event_key.lower())
        return await self.ask(op)


@wrapper
class ConsumedIsRunAgain(Wrapper):
    """Never looks for a step when it grants a lease: a redelivered event is executed again."""

    async def answer(self, op: Op) -> Outcome:
        return await self.ask(replace(op, event_key=None) if isinstance(op, Acquire) else op)


@wrapper
class ReplayTakesTheLease(Wrapper):
    """Takes the lease for a consumed event too, and nobody will give it up."""

    async def answer(self, op: Op) -> Outcome:
        outcome = await self.ask(op)
        if isinstance(op, Acquire) and isinstance(outcome, Consumed):
            await self.ask(replace(op, event_key=None))
        return outcome


@wrapper
class ReplayNeedsTheLease(Wrapper):
    """Denies a consumed event while somebody holds the lease, instead of answering it."""

    async def answer(self, op: Op) -> Outcome:
        outcome = await self.ask(op)
        if isinstance(op, Acquire) and isinstance(outcome, Consumed):
            stored = await self.inner.get(op.id)
            if stored is not None and is_held(stored.row, stored.now):
                return Denied()
        return outcome


@wrapper
class EventsOfAReplayForgotten(Wrapper):
    """Knows that an event was consumed and no longer what it produced."""

    async def answer(self, op: Op) -> Outcome:
        outcome = await self.ask(op)
        if isinstance(outcome, Consumed):
            return replace(outcome, entry=replace(outcome.entry, produced=None))
        return outcome


@wrapper
class JournalOfTheProcess(Wrapper):
    """Keeps consumed events in the memory object: a restart, or another worker, executes them again."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self._keys: set[tuple[str, str]] = set()

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Commit) and op.event_key is not None:
            self._keys.add((op.id, op.event_key))
        elif isinstance(op, Acquire) and op.event_key is not None and (op.id, op.event_key) not in self._keys:
            op = replace(op, event_key=None)
        return await self.ask(op)


@wrapper
class DeletedComesBack(Wrapper):
    """Applies the late commit of a holder whose instance was deleted."""

    async def answer(self, op: Op) -> Outcome:
        outcome = await self.ask(op)
        if isinstance(op, Commit) and isinstance(outcome, Lost):
            row = await self.row(op.id)
            if row.deleted_at is not None:
                await self.ask(Acquire(op.id, _TAKEN, 30.0))
                return await self.ask(replace(op, token=_TAKEN, expected=0))
        return outcome


@wrapper
class EmptyIsAbsent(Wrapper):
    """Takes an empty record for none."""

    async def answer(self, op: Op) -> Outcome:
        outcome = await self.ask(op)
        if isinstance(outcome, Found | Acquired) and outcome.data == b"{}":
            return replace(outcome, data=None, version=0)
        return outcome


@wrapper
class LockedIsAbsent(Wrapper):
    """Reads nothing while somebody holds the lease."""

    async def answer(self, op: Op) -> Outcome:
        outcome = await self.ask(op)
        if isinstance(op, Read) and (await self.row(op.id)).until:
            return Found(0, None)
        return outcome


@wrapper
class RecordsMerged(Wrapper):
    """Writes the fields of a record over the stored ones, so that a removed field stays."""

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Commit):
            found = await self.ask(Read(op.id))
            if isinstance(found, Found) and found.data is not None:
                merged: dict[str, Any] = {**orjson.loads(found.data), **orjson.loads(op.data)}
                op = replace(op, data=orjson.dumps(merged))
        return await self.ask(op)


@wrapper
class TornWrite(Wrapper):
    """Writes a record in two halves, and a reader may see the first alone."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.immediate = False
        self.batches = (1, 64)

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Commit):
            record: dict[str, Any] = orjson.loads(op.data)
            half = dict(list(record.items())[: len(record) // 2])
            outcome = await self.ask(replace(op, data=orjson.dumps(half), release=False))
            if not isinstance(outcome, Committed) or half == record:
                return outcome
            await asyncio.sleep(0.02)
            whole = replace(op, expected=outcome.version, event_key=None, produced=None)
            return await self.ask(whole)
        return await self.ask(op)


@wrapper
class WriteBehind(Wrapper):
    """Acknowledges a write before the store has it."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self._behind: set[asyncio.Task[Outcome]] = set()

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Commit):
            row = await self.row(op.id)
            if row.token == op.token and row.until and row.version == op.expected:
                task = asyncio.get_running_loop().create_task(self._later(op))
                self._behind.add(task)
                task.add_done_callback(self._behind.discard)
                return Committed(op.expected + 1)
        return await self.ask(op)

    async def _later(self, op: Op) -> Outcome:
        await asyncio.sleep(0.5)
        return await self.ask(op)

    async def close(self) -> None:
        await asyncio.gather(*self._behind)
        await super().close()


@wrapper
class ReadsFromACache(Wrapper):
    """Answers reads from what this memory object wrote or read before."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self._cache: dict[str, Outcome] = {}

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Read):
            if op.id not in self._cache:
                self._cache[op.id] = await self.ask(op)
            return self._cache[op.id]
        outcome = await self.ask(op)
        if isinstance(op, Commit) and isinstance(outcome, Committed):
            self._cache[op.id] = Found(outcome.version, op.data)
        return outcome
