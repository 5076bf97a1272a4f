"""
From one store to another: every instance with record, version, fence, journal, labels and tombstone.

Each is written whole or not at all, read back and compared by a hash. So a copy that was broken off is simply started
again: what is there and the same is passed over, what is there and differs is left alone and named. Ids of events
that were consumed go along, so an event that is delivered again replays from the new store too.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from enum import StrEnum
from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from pyarvo.errors import RecordCorrupt, RecordTooLarge, UnsupportedByBackend
from pyarvo.memory.backend import Find, Image, hashed
from pyarvo.memory.decide import is_held
from pyarvo.memory.queries import QueryLevel

__all__ = ["Copied", "Fate", "copy", "fingerprint"]


class Fate(StrEnum):
    """What became of one instance."""

    COPIED = "copied"
    SAME = "same"
    """It was there, and the same."""
    HELD = "held"
    """Somebody holds it in the source."""
    CHANGED = "changed"
    """The source went on while it was copied: the copy is of the moment before."""
    DIFFERS = "differs"
    """The destination knows this id with other contents, which were left alone."""
    REFUSED = "refused"
    """The destination cannot keep all of it."""
    DAMAGED = "damaged"
    """It does not read back as it was written."""


class Copied(Struct, frozen=True, kw_only=True):
    """
    One instance of a copy.

    Attributes:
        id: The instance.

        fate: What became of it.

        hash: SHA-256 of what was compared; None where nothing was.

        reason: Why it was not copied; "" where it was.
    """

    id: str
    fate: Fate
    hash: str | None = None
    reason: str = ""

    @property
    def is_there(self) -> bool:
        """Whether the destination has it, as it is in the source."""
        return self.fate in {Fate.COPIED, Fate.SAME}


async def copy(source: QueryLevel, target: QueryLevel, *, force: bool = False) -> AsyncGenerator[Copied]:
    """
    Copy every instance of *source*, the oldest first, then its tombstones.

    Args:
        source: Nobody should work on it meanwhile.

        target: Instances that only it has are left alone.

        force: Also copy what somebody holds, as it was last committed, under a higher fence: the holder has no right
            in the destination.

    Raises:
        UnsupportedByBackend: *target* takes no copies.
        MemoryFault: One of the stores failed; start the copy again.
    """
    bodies = target.most_bodies
    for deleted in (False, True):
        ids = [instance.id async for instance in source.each(Find(deleted=deleted))]
        for id in reversed(ids):
            try:
                image = await source.image(id)
            except RecordCorrupt as error:
                yield Copied(id=id, fate=Fate.DAMAGED, reason=f"in the source: {error.args[0]}")
                continue
            if image is None:  # gone since it was listed
                continue
            if is_held(image.stored.row, image.stored.now):
                if not force:
                    yield Copied(id=id, fate=Fate.HELD, reason="somebody holds it in the source")
                    continue
                image = _taken_away(image)
            yield await _copied(source, target, image, bodies)


def fingerprint(image: Image, bodies: int | None = None) -> str:
    """
    SHA-256 of all that has to be the same in two stores: not of times, holders and fences.

    Args:
        image: The instance.

        bodies: Of how many of the latest steps the events count; None = of all.
    """
    stored, row = image.stored, image.stored.row
    since = 0 if bodies is None else row.version - bodies
    labels = stored.labels
    parts: list[str | bytes | int | None] = [stored.id, row.version, row.deleted_at is not None, row.note]
    parts += [labels.orchestrator, labels.version, labels.status, labels.parent, row.data]
    for entry in image.journal:
        recent = entry.version > since
        if entry.event_key is None and not recent:
            continue  # a write without an event is known for a while only
        key = None if entry.event_key is None else hashed(entry.event_key)
        parts += [entry.version, key, entry.produced if recent else None]
    state = sha256()
    for part in parts:
        raw = part if isinstance(part, bytes) else str(part).encode()
        state.update(b"%d:%b:" % (len(raw), type(part).__name__.encode()))
        state.update(raw)
    return state.hexdigest()


def _taken_away(image: Image) -> Image:
    row = image.stored.row
    free = replace(row, fence=row.fence + 1, token="", holder="", until=0.0)
    return replace(image, stored=replace(image.stored, row=free))


async def _copied(source: QueryLevel, target: QueryLevel, image: Image, bodies: int | None) -> Copied:
    id = image.stored.id
    wanted = fingerprint(image, bodies)
    try:
        written = await target.put(image)
    except (UnsupportedByBackend, RecordTooLarge) as error:
        return Copied(id=id, fate=Fate.REFUSED, hash=wanted, reason=str(error.args[0]))
    there = await target.image(id)
    if not _is_same(image, there, bodies):
        if written:
            reason = "it does not read back as it was written"
            return Copied(id=id, fate=Fate.DAMAGED, hash=wanted, reason=reason)
        reason = "the destination knows this id with other contents"
        return Copied(id=id, fate=Fate.DIFFERS, hash=wanted, reason=reason)
    now = await source.image(id)  # not decoded: a copy needs no keys of sealed records
    if now is None or fingerprint(now, bodies) != wanted:
        reason = "the source went on meanwhile; stop its workers, and copy into an empty store"
        return Copied(id=id, fate=Fate.CHANGED, hash=wanted, reason=reason)
    return Copied(id=id, fate=Fate.COPIED if written else Fate.SAME, hash=wanted)


def _is_same(image: Image, there: Image | None, bodies: int | None) -> bool:
    """Whether the destination has *image*: all of it, no lower fence, and of the history what it still keeps."""
    if there is None or fingerprint(there, bodies) != fingerprint(image, bodies):
        return False
    fence, kept = there.stored.row.fence, len(there.history)
    return fence >= image.stored.row.fence and there.history == image.history[:kept]
