"""A whole instance of another store into the bucket: what stands beside its entry first, then the entry."""

from __future__ import annotations

import os
from collections.abc import Iterator
from time import monotonic
from typing import Final

import msgspec
from msgspec.structs import replace

from pyarvo.errors import MemoryUnavailable, RecordTooLarge
from pyarvo.memory.backend import Image, hashed
from pyarvo.memory.decide import JournalEntry
from pyarvo.memory.nats.entry import HEADER, Entry
from pyarvo.memory.nats.link import EXPECTED, Ask
from pyarvo.memory.nats.steps import (
    JOURNAL,
    PAGE,
    SLOT_SIZE,
    StepBody,
    encode_body,
    firsts_of,
    mark_of,
    pack_slot,
)
from pyarvo.memory.nats.store import LEASE_ROOM, Mark, Store
from pyarvo.memory.nats.stream import is_stored, revision_of

__all__ = ["put"]

_AT_ONCE: Final = 32
_MARGIN: Final = 2 * 1024
_NO_SLOT: Final = bytes(SLOT_SIZE)

# A revision of a stream never gets here: nobody else's steps can stand under the names of an imported life.
_IMPORTED: Final = 1 << 56


async def put(store: Store, image: Image, *, history: int, within_s: float) -> bool:
    """
    Keep *image*, its lease ended, unless the bucket knows the id.

    Args:
        store: The bucket.

        image: The instance.

        history: How many of its earlier records are kept.

        within_s: Longest wait for each answer.

    Raises:
        RecordTooLarge: Over what the server takes in one message; nothing was written.
        MemoryUnavailable, WriteOutcomeUnknown: As for any write; the same again settles it.
    """
    await store.link.connected()
    seen = await store.load(image.stored.id, monotonic() + within_s)
    if seen.entry is not None:
        return False
    slots = b"".join(_slots(image))
    entry = _entry(image, slots)
    header, payload = entry.encode()
    question = Ask(store.bucket.keys.entry(entry.id), payload, {EXPECTED: str(seen.revision), HEADER: header})
    beside = list(_beside(store, image, entry, slots, history))
    for ask in beside:
        _check(ask, store.bucket.limit - _MARGIN)
    _check(question, store.bucket.limit - _MARGIN - LEASE_ROOM)
    for at in range(0, len(beside), _AT_ONCE):
        answers = await store.link.ask_all(tuple(beside[at : at + _AT_ONCE]), within_s)
        if not all(map(is_stored, answers)):
            raise MemoryUnavailable("the bucket did not take the journal; the instance was not written")
    if revision_of(await store.link.ask(question, within_s)) is not None:
        return True
    keys = store.bucket.keys  # somebody else was faster; nothing reads what we left
    for kept in (keys.bodies, keys.earliers, keys.pages):
        await store.purge(kept(entry.id, entry.life))
    return False


def _check(ask: Ask, limit: int) -> None:
    size = len(ask.payload) + sum(len(value) for value in (ask.headers or {}).values())
    if size > limit:
        raise RecordTooLarge(size, limit)


def _entry(image: Image, slots: bytes) -> Entry:
    stored = image.stored
    paged = max(0, (stored.row.version - JOURNAL) // PAGE) * PAGE * SLOT_SIZE
    last = image.journal[-1] if image.journal else None
    return Entry(
        stored.id,
        replace(stored.row, until=0.0, consumed=None, written=None),
        stored.labels,
        stored.created_at,
        stored.updated_at,
        0,
        _IMPORTED | int.from_bytes(os.urandom(6), "big"),
        _body(last) if last is not None and last.version == stored.row.version else b"",
        firsts_of(slots[:paged]),
        slots[paged:],
    )


def _slots(image: Image) -> Iterator[bytes]:
    """One for every version, also for those of which the other store kept nothing."""
    known = {entry.version: entry for entry in image.journal}
    for version in range(1, image.stored.row.version + 1):
        entry = known.get(version)
        yield _NO_SLOT if entry is None else pack_slot(_key(entry), mark_of(entry), int(entry.at))


def _key(entry: JournalEntry) -> bytes | None:
    return None if entry.event_key is None else bytes.fromhex(hashed(entry.event_key).rpartition(":")[2])


def _body(entry: JournalEntry) -> bytes:
    """A step at rest; empty for a write without one."""
    if entry.event_key is None:
        return b""
    return encode_body(StepBody(entry.event_key, entry.at, entry.produced))


def _beside(store: Store, image: Image, entry: Entry, slots: bytes, history: int) -> Iterator[Ask]:
    """What has keys of its own: steps, pages of the journal, earlier records, the child's mark, the sweep's."""
    keys, id, life, version = store.bucket.keys, entry.id, entry.life, entry.row.version
    for step in image.journal:
        if step.event_key is not None and version - JOURNAL < step.version < version:
            yield Ask(keys.body(id, life, step.version), _body(step))
    for number in range(entry.paged // PAGE):
        page = PAGE * SLOT_SIZE
        yield Ask(keys.page(id, life, number), slots[number * page : (number + 1) * page])
    for earlier, data in image.history[:history]:
        yield Ask(keys.earlier(id, life, earlier), data)
    if entry.labels.parent is not None:
        yield Ask(keys.child(entry.labels.parent, id), id.encode())
    if not version:
        yield Ask(keys.mark(id), msgspec.json.encode(Mark(id, entry.updated_at)))
