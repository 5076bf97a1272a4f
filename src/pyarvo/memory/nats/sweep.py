"""Forgetting: tombstones, and instances that were leased but never written, once they are old."""

from __future__ import annotations

import logging
from contextlib import aclosing
from time import monotonic
from typing import Final

import msgspec

from pyarvo.errors import RecordCorrupt
from pyarvo.memory.nats.scan import messages
from pyarvo.memory.nats.store import Mark, Store

__all__ = ["sweep"]

_log = logging.getLogger("pyarvo.memory.nats")

_MARK: Final = msgspec.json.Decoder(Mark)


async def sweep(store: Store, tombstone_s: float, within_s: float) -> None:
    """
    Remove what is older than *tombstone_s*, and counts as gone already.

    Every instance leaves a mark when it comes to be and when it is deleted. Marks are read oldest first, up to the
    first that is young; the mark of an instance that lives on is dropped, so that it is looked at once only.
    """
    oldest = await store.now() - tombstone_s
    found = messages(store, store.bucket.keys.buried, headers_only=False)
    async with aclosing(found):
        async for message in found:
            try:
                mark = _MARK.decode(message.data)
                if mark.at >= oldest:
                    return
                await _look_at(store, mark.id, message.metadata.sequence.stream, monotonic() + within_s)
            except (msgspec.MsgspecError, RecordCorrupt) as exc:
                _log.warning("not swept: %s: %s", message.subject, exc)


async def _look_at(store: Store, id: str, mark: int, until: float) -> None:
    keys = store.bucket.keys
    seen = await store.load(id, until)
    if seen.entry is not None and seen.entry.row.version == 0:
        return
    if seen.entry is None and seen.revision:
        # Only up to the revision that was looked at: whoever wrote since keeps what he wrote.
        for subjects in (keys.entry(id), keys.bodies(id), keys.earliers(id), keys.pages(id)):
            await store.purge(subjects, before=seen.revision + 1)
    await store.purge(keys.mark(id), before=mark + 1)
