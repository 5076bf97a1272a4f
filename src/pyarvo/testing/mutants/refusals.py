"""Memories that lie about what they refuse: unfit records, ids, TTLs and cursors."""

from __future__ import annotations

import json
import math
from collections.abc import Coroutine, Mapping
from typing import Any, cast

from pyarvo.errors import InvalidRecord, RecordTooLarge
from pyarvo.memory import Find, Lease, LeasedMemory, Page, Record, Step
from pyarvo.testing.mutants.mutant import memory

__all__: list[str] = []


@memory
class UnfitIsStoredAsText(LeasedMemory):
    """Stores what JSON cannot hold as its text, and says nothing."""

    def _encoded(self, id: str, data: Mapping[str, Any], step: Step | None, operation: str) -> Any:
        try:
            return super()._encoded(id, data, step, operation)
        except InvalidRecord:
            if not isinstance(cast("object", data), dict):
                raise
            fitted = json.loads(json.dumps(data, default=str, allow_nan=False, skipkeys=True))
            return super()._encoded(id, fitted, step, operation)


@memory
class NanIsNull(LeasedMemory):
    """Stores NaN and infinity as null."""

    def _encoded(self, id: str, data: Mapping[str, Any], step: Step | None, operation: str) -> Any:
        return super()._encoded(id, _without_nan(data), step, operation)


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in cast("dict[str, Any]", value).items()}
    return value


@memory
class LargeRecordsAreCut(LeasedMemory):
    """Stores an empty record where the record is too large."""

    def _encoded(self, id: str, data: Mapping[str, Any], step: Step | None, operation: str) -> Any:
        try:
            return super()._encoded(id, data, step, operation)
        except RecordTooLarge:
            return super()._encoded(id, {}, step, operation)


@memory
class RefusesLate(LeasedMemory):
    """Finds out that a record is unfit after the lease was given up for it."""

    async def write(self, id: str, data: Record) -> None:
        try:
            await super().write(id, data)
        except (InvalidRecord, RecordTooLarge):
            await self.unlock(id)
            raise


@memory
class AnyIdWillDo(LeasedMemory):
    """Takes an empty id for an id like any other."""

    async def read(self, id: str) -> Record | None:
        return await super().read(id or "-")

    def lock(self, id: str) -> Coroutine[Any, Any, bool]:
        return super().lock(id or "-")

    async def write(self, id: str, data: Record) -> None:
        await super().write(id or "-", data)

    async def unlock(self, id: str) -> bool:
        return await super().unlock(id or "-")


@memory
class LongIdsAreCut(LeasedMemory):
    """Cuts an id of more than 4,096 bytes instead of refusing it."""

    async def read(self, id: str) -> Record | None:
        return await super().read(id[:1_000])

    def lock(self, id: str) -> Coroutine[Any, Any, bool]:
        return super().lock(id[:1_000])

    async def write(self, id: str, data: Record) -> None:
        await super().write(id[:1_000], data)

    async def unlock(self, id: str) -> bool:
        return await super().unlock(id[:1_000])


@memory
class AnyTtlWillDo(LeasedMemory):
    """Brings a TTL out of bounds into them, and says nothing."""

    async def acquire(self, id: str, *, event_key: Any = None, ttl_s: float | None = None) -> Lease | None:
        within = None if ttl_s is None else min(max(ttl_s, 1.0), 3_600.0)
        return await super().acquire(id, event_key=event_key, ttl_s=within)


@memory
class AnyCursorWillDo(LeasedMemory):
    """Takes a cursor that it does not understand for the beginning: who pages by a wrong one never ends."""

    async def instances(
        self, what: Find | None = None, *, limit: int = 100, cursor: str | None = None
    ) -> Page:
        known = cursor is not None and cursor.isascii() and cursor.isdecimal() and len(cursor) < 19
        return await super().instances(what, limit=limit, cursor=cursor if known else None)
