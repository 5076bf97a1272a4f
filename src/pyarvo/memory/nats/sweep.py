"""Forgetting: tombstones, and instances that were leased but never written, once they are old."""

from __future__ import annotations

from contextlib import aclosing
from time import monotonic

from nats.aio.msg import Msg

from pyarvo.memory.decide import is_held
from pyarvo.memory.nats.scan import messages
from pyarvo.memory.nats.store import Store

__all__ = ["sweep"]


async def sweep(store: Store, tombstone_s: float, within_s: float) -> None:
    """
    Remove what is older than *tombstone_s*.

    Every instance leaves a mark when it comes to be and when it is deleted. Marks are read oldest first, up to the
    first that is young; the mark of an instance that lives on is dropped, so that it is looked at once only.
    """
    oldest = await store.now() - tombstone_s
    found = messages(store.link, store.bucket.stream, store.bucket.keys.buried, headers_only=False)
    async with aclosing(found):
        async for mark in found:
            if mark.metadata.timestamp.timestamp() >= oldest:
                return
            await _look_at(store, mark, oldest, monotonic() + within_s)


async def _look_at(store: Store, mark: Msg, oldest: float, until: float) -> None:
    id = mark.data.decode()
    keys = store.bucket.keys
    seen = await store.load(id, until)
    entry = seen.entry
    if entry is not None and entry.row.version == 0:
        row = entry.row
        if entry.updated_at >= oldest or row.granted_at >= oldest or is_held(row, await store.now()):
            return
        # Only up to the revision that was looked at: whoever wrote since keeps what he wrote.
        await store.purge(keys.entry(id), before=seen.revision + 1)
        await store.purge(keys.bodies(id))
        await store.purge(keys.earliers(id))
    await store.purge(keys.mark(id), before=mark.metadata.sequence.stream + 1)
