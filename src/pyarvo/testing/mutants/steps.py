"""Backends that lie about steps: which event an instance consumed, for how long they know it, and what it produced."""

from __future__ import annotations

from typing import Any, Final, cast
from unicodedata import normalize

import orjson
from msgspec.structs import replace

from pyarvo.memory.decide import Acquire, Commit, Consumed, Op, Outcome
from pyarvo.testing.mutants.mutant import wrapper
from pyarvo.testing.mutants.wrapper import Wrapper

__all__: list[str] = []

_KNOWN: Final = 100
_KEPT: Final = 16


@wrapper
class EventKeysCutAt255(Wrapper):
    """Knows the first 255 characters of an event key, as a VARCHAR(255) that cuts."""

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Acquire | Commit) and op.event_key is not None:
            op = replace(op, event_key=op.event_key[:255])
        return await self.ask(op)


@wrapper
class EventKeysNormalised(Wrapper):
    """Brings event keys into Unicode's composed form."""

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Acquire | Commit) and op.event_key is not None:
            op = replace(op, event_key=normalize("NFC", op.event_key))
        return await self.ask(op)


@wrapper
class StepsOfTheLastHundred(Wrapper):
    """Knows the last hundred events of an instance, and executes an older one again."""

    async def answer(self, op: Op) -> Outcome:
        outcome = await self.ask(op)
        if not (isinstance(op, Acquire) and isinstance(outcome, Consumed)):
            return outcome
        if outcome.version - outcome.entry.version >= _KNOWN:
            return await self.ask(replace(op, event_key=None))
        return outcome


@wrapper
class EventsOfTheLastSixteen(Wrapper):
    """Knows only of the last sixteen steps what they produced."""

    async def answer(self, op: Op) -> Outcome:
        outcome = await self.ask(op)
        if not (isinstance(op, Acquire) and isinstance(outcome, Consumed)):
            return outcome
        if outcome.version - outcome.entry.version >= _KEPT:
            return replace(outcome, entry=replace(outcome.entry, produced=None))
        return outcome


@wrapper
class EventsAsJsonb(Wrapper):
    """Stores what a step produced as JSONB does: keys by their length, and then by the alphabet."""

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Commit) and op.produced is not None:
            op = replace(op, produced=orjson.dumps(_by_length(orjson.loads(op.produced))))
        return await self.ask(op)


def _by_length(value: Any) -> Any:
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        return {key: _by_length(items[key]) for key in sorted(items, key=lambda each: (len(each), each))}
    return [_by_length(each) for each in cast("list[Any]", value)] if isinstance(value, list) else value
