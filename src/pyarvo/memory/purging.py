"""Which instances may go: whole trees of finished work that nobody changed for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Final, Protocol

from pyarvo.errors import LeaseLost
from pyarvo.memory.arguments import MIN_TIME
from pyarvo.memory.backend import Find, Stored
from pyarvo.memory.decide import is_held
from pyarvo.memory.instances import FINISHED, Instance, Page

__all__ = ["purge_trees"]

# Trees that are looked at together, so that their deletions share transactions and round trips.
_AT_ONCE: Final = 32

# How many parents are remembered, so that each is looked up once for all its children.
_REMEMBERED: Final = 10_000

Look = Callable[[str], Awaitable[Stored | None]]


class Tended(Protocol):
    """What of a memory is needed."""

    def each(self, what: Find | None = None) -> AsyncIterator[Instance]: ...

    async def instances(self) -> Page: ...

    async def children(self, id: str) -> tuple[Instance, ...]: ...

    async def delete(self, id: str) -> bool: ...


async def purge_trees(memory: Tended, look: Look, *, older_than_s: float, dry_run: bool) -> tuple[str, ...]:
    """
    See `QueryLevel.purge`.

    Args:
        memory: What is purged.

        look: The instance as it is stored, its record not decoded: a damaged one goes like any other.

        older_than_s: Age of the last change, by the store's clock.

        dry_run: Whether to name only.
    """

    async def purge(top: str) -> list[str]:
        tree = await _finished_tree(memory, look, top, older_than_s)
        return [id for id in reversed(tree) if dry_run or await _delete_unheld(memory, id)]

    purged: list[str] = []
    async with aclosing(_chunks(memory, look, older_than_s)) as chunks:
        async for tops in chunks:
            results = await asyncio.gather(*map(purge, tops), return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result
                purged.extend(result)
    return tuple(purged)


async def _chunks(memory: Tended, look: Look, older_than_s: float) -> AsyncGenerator[list[str]]:
    chunk: list[str] = []
    async with aclosing(_tops(memory, look, older_than_s)) as tops:
        async for id in tops:
            chunk.append(id)
            if len(chunk) == _AT_ONCE:
                yield chunk
                chunk = []
    if chunk:
        yield chunk


async def _tops(memory: Tended, look: Look, older_than_s: float) -> AsyncGenerator[str]:
    """Old instances without a parent, then finished ones whose parent the store does not know (any more)."""
    now = await _now(memory, look)
    if now is None:
        return
    # A second more than needed: the exact age is looked at when a tree is.
    before = max(now - older_than_s + 1.0, MIN_TIME)
    async for instance in memory.each(Find(root=True, updated_before=before)):
        yield instance.id
    known: dict[str, bool] = {}
    async for instance in memory.each(Find(root=False, updated_before=before)):
        parent = instance.parent
        if parent is None or instance.status not in FINISHED:
            continue
        if parent not in known:
            if len(known) == _REMEMBERED:
                known.clear()
            stored = await look(parent)
            known[parent] = stored is not None and stored.row.deleted_at is None
        if not known[parent]:
            yield instance.id


async def _now(memory: Tended, look: Look) -> float | None:
    """The store's clock; None when it holds nothing."""
    for instance in (await memory.instances()).items:
        stored = await look(instance.id)
        if stored is not None:
            return stored.now
    return None


async def _finished_tree(memory: Tended, look: Look, top: str, older_than_s: float) -> Sequence[str]:
    """The ids of the tree, parents first; empty when a member is live, held or young."""
    tree = [top]
    for id in tree:
        stored = await look(id)
        if stored is None or stored.labels.status not in FINISHED:
            return ()
        if is_held(stored.row, stored.now) or stored.now - stored.updated_at < older_than_s:
            return ()
        tree.extend(child.id for child in await memory.children(id))
    return tree


async def _delete_unheld(memory: Tended, id: str) -> bool:
    try:
        return await memory.delete(id)
    except LeaseLost:
        return False
