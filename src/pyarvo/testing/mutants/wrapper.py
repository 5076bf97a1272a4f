"""A backend around a backend: what it passes on, or does not, is the lie."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from pyarvo.errors import MemoryFault
from pyarvo.memory.backend import Backend, Find, Stored
from pyarvo.memory.decide import JournalEntry, Op, Outcome, Row

__all__ = ["Wrapper"]

_EMPTY = Row()


class Wrapper:
    """
    Passes everything on; a mutant overrides `answer`, or one of the queries.

    Args:
        inner: The right backend.
    """

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.name = inner.name
        self.immediate = inner.immediate

    async def answer(self, op: Op) -> Outcome:
        """What one operation is answered."""
        return await self.ask(op)

    async def ask(self, op: Op) -> Outcome:
        """
        What the right backend answers.

        Raises:
            MemoryFault: What it raises, or gives as the fault of this operation alone.
        """
        (outcome,) = await self.inner.execute((op,))
        if isinstance(outcome, MemoryFault):
            raise outcome
        return outcome

    async def row(self, id: str) -> Row:
        """The row as the store has it now."""
        stored = await self.inner.get(id)
        return _EMPTY if stored is None else stored.row

    async def execute(self, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        if len(ops) == 1 or self.immediate:
            return [await self._settled(op) for op in ops]
        # Of one instance in order, of several at once: as the right backends do it.
        by_id: dict[str, list[int]] = {}
        for n, op in enumerate(ops):
            by_id.setdefault(op.id, []).append(n)
        outcomes: dict[int, Outcome | MemoryFault] = {}

        async def in_order(places: Sequence[int]) -> None:
            for n in places:
                outcomes[n] = await self._settled(ops[n])

        await asyncio.gather(*[in_order(places) for places in by_id.values()])
        return [outcomes[n] for n in range(len(ops))]

    async def _settled(self, op: Op) -> Outcome | MemoryFault:
        try:
            return await self.answer(op)
        except MemoryFault as fault:
            return fault

    async def get(self, id: str) -> Stored | None:
        return await self.inner.get(id)

    async def find(self, what: Find, *, before: int | None, limit: int) -> Sequence[Stored]:
        return await self.inner.find(what, before=before, limit=limit)

    async def count(self, what: Find) -> int:
        return await self.inner.count(what)

    async def journal(self, id: str, *, after: int, limit: int) -> Sequence[JournalEntry]:
        return await self.inner.journal(id, after=after, limit=limit)

    async def history(self, id: str) -> Sequence[tuple[int, bytes]]:
        return await self.inner.history(id)

    async def ping(self) -> None:
        await self.inner.ping()

    async def close(self) -> None:
        await self.inner.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)
