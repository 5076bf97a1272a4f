"""
The lease algorithm, pure: `decide(row, op, now) -> (row, outcome)`. One algorithm for every backend.

A backend loads the instance's `Row`, calls `decide`, and, where the row that comes back is another one, stores
it, all in one atomic operation of its store. Nothing here does I/O, reads a clock or changes its arguments.
`now` is the store's clock, in seconds; only differences and the order of its values matter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

from msgspec import Struct
from msgspec.structs import replace

from pyarvo.events.labels import Labels

__all__ = [
    "Acquire",
    "Acquired",
    "Commit",
    "Committed",
    "Conflict",
    "Consumed",
    "Delete",
    "Deleted",
    "Denied",
    "ForceRelease",
    "Found",
    "JournalEntry",
    "Lost",
    "Op",
    "Outcome",
    "Read",
    "Release",
    "Released",
    "Renew",
    "Renewed",
    "Row",
    "decide",
    "is_held",
]


class JournalEntry(Struct, frozen=True, gc=False):
    """
    What the journal keeps of one applied write.

    Attributes:
        version: The version it made.

        event_key: The event it consumed; None for a write without a step.

        token: Whose write it was.

        digest: Of data and step: by it a repeated write recognises itself (C9).

        produced: The encoded JSON array of produced events; None for no step, or for a body no longer kept.

        at: When, by the store's clock, seconds since the epoch.
    """

    version: int
    event_key: str | None
    token: str
    digest: bytes
    produced: bytes | None
    at: float


class Row(Struct, frozen=True, gc=False):
    """
    What a store keeps of one instance, and what its journal says of the operation at hand.

    Attributes:
        version: Of the record; 0 = none.

        fence: Of the latest grant, release by force or deletion; 0 = never leased.

        token: Of the latest grant; "" when there was none, or when its rights were taken by force.

        holder: A label of the latest holder, for people; never compared.

        granted_at: When the lease was granted or last renewed.

        until: When it ends; 0.0 once it was given up.

        deleted_at: When the instance was deleted; None when it was not.

        note: Why the lease was last released by force; "".

        data: The encoded record; a backend may leave it out (None) where the operation does not read it.

        consumed: The journal entry of the operation's event key, if any.

        written: The journal entry at the version that the operation would make, if any.
    """

    version: int = 0
    fence: int = 0
    token: str = ""
    holder: str = ""
    granted_at: float = 0.0
    until: float = 0.0
    deleted_at: float | None = None
    note: str = ""
    data: bytes | None = None
    consumed: JournalEntry | None = None
    written: JournalEntry | None = None


# --- operations -----------------------------------------------------------------------------------------------


class Read(Struct, frozen=True, gc=False):
    """Read the record; changes nothing."""

    id: str


class Acquire(Struct, frozen=True, gc=False):
    """Take the lease and read the record; answered with the step instead when the event was consumed."""

    id: str
    token: str
    ttl_s: float
    event_key: str | None = None
    holder: str = ""


class Commit(Struct, frozen=True, gc=False):
    """Write record and journal entry; with `release`, end the lease in the same operation."""

    id: str
    token: str
    expected: int
    data: bytes
    digest: bytes
    labels: Labels
    event_key: str | None = None
    produced: bytes | None = None
    release: bool = True


class Renew(Struct, frozen=True, gc=False):
    """Extend the lease to *ttl_s* from now."""

    id: str
    token: str
    ttl_s: float


class Release(Struct, frozen=True, gc=False):
    """End the lease and every right of its token."""

    id: str
    token: str


class Delete(Struct, frozen=True, gc=False):
    """Remove record and journal, leave a tombstone."""

    id: str
    force: bool = False


class ForceRelease(Struct, frozen=True, gc=False):
    """Take the lease away from whoever holds it; the reason is kept."""

    id: str
    reason: str


Op: TypeAlias = Read | Acquire | Commit | Renew | Release | Delete | ForceRelease


# --- outcomes -------------------------------------------------------------------------------------------------


class Found(Struct, frozen=True, gc=False):
    """The record as it is; `data` None and version 0 when there is none."""

    version: int
    data: bytes | None


class Acquired(Struct, frozen=True, gc=False):
    """The lease is the caller's."""

    fence: int
    version: int
    data: bytes | None
    deleted_at: float | None


class Denied(Struct, frozen=True, gc=False):
    """Somebody else holds the lease; nothing changed."""


class Consumed(Struct, frozen=True, gc=False):
    """The event was consumed before: its journal entry. To an acquire, with the record as it is now."""

    entry: JournalEntry
    fence: int
    version: int
    data: bytes | None


class Committed(Struct, frozen=True, gc=False):
    """The write is applied, now or by an earlier sending of the same operation."""

    version: int


class Lost(Struct, frozen=True, gc=False):
    """The token has no right any more; nothing changed."""


class Conflict(Struct, frozen=True, gc=False):
    """Another version is stored than the operation stands on; nothing changed."""

    expected: int
    actual: int


class Renewed(Struct, frozen=True, gc=False):
    """The lease runs until then, by the store's clock."""

    until: float


class Released(Struct, frozen=True, gc=False):
    """Whether the lease is over for certain, and was the caller's."""

    ours: bool


class Deleted(Struct, frozen=True, gc=False):
    """Whether there was an instance to delete."""

    existed: bool


Outcome: TypeAlias = (
    Found | Acquired | Denied | Consumed | Committed | Lost | Conflict | Renewed | Released | Deleted
)

_DENIED = Denied()
_LOST = Lost()


# --- the rules ------------------------------------------------------------------------------------------------


def decide(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """
    What *op* does to *row* at time *now*.

    Returns:
        The row to store (the very same object when nothing changes) and the answer.
    """
    return _RULES[type(op)](row, op, now)


def is_held(row: Row, now: float) -> bool:
    """Whether a lease runs. Over when now >= until, and when the clock was set back before its grant or renewal (C4)."""
    return row.granted_at <= now < row.until


def _has_right(row: Row, token: str) -> bool:
    """Whether *token* was granted last and has not been given up; its time may have passed (C3)."""
    return row.token == token and row.until != 0.0


def _read(row: Row, op: Read, now: float) -> tuple[Row, Outcome]:
    del op, now
    return row, Found(row.version, row.data)


def _acquire(row: Row, op: Acquire, now: float) -> tuple[Row, Outcome]:
    if row.consumed is not None:
        return row, Consumed(row.consumed, row.fence, row.version, row.data)
    if row.token == op.token:
        # The same request again: the same lease, or none if it has been given up meanwhile.
        if row.until == 0.0:
            return row, _DENIED
        return row, Acquired(row.fence, row.version, row.data, row.deleted_at)
    if is_held(row, now):
        return row, _DENIED
    fence = row.fence + 1
    granted = Row(
        row.version, fence, op.token, op.holder, now, now + op.ttl_s, row.deleted_at, row.note, row.data
    )
    return granted, Acquired(fence, row.version, row.data, row.deleted_at)


def _commit(row: Row, op: Commit, now: float) -> tuple[Row, Outcome]:
    del now
    written = row.written
    if written is not None and written.token == op.token and written.digest == op.digest:
        again = replace(row, until=0.0) if op.release and _has_right(row, op.token) else row
        return again, Committed(written.version)
    if not _has_right(row, op.token):
        return row, _LOST
    if row.consumed is not None:
        return row, Consumed(row.consumed, row.fence, row.version, None)
    if row.version != op.expected:
        return row, Conflict(op.expected, row.version)
    version = row.version + 1
    until = 0.0 if op.release else row.until
    applied = Row(version, row.fence, row.token, row.holder, row.granted_at, until, None, row.note, op.data)
    return applied, Committed(version)


def _renew(row: Row, op: Renew, now: float) -> tuple[Row, Outcome]:
    if not _has_right(row, op.token):
        return row, _LOST
    # Where the clock was set back the old end means nothing any more; else no renewal shortens a lease.
    until = now + op.ttl_s if now < row.granted_at else max(row.until, now + op.ttl_s)
    return replace(row, granted_at=now, until=until), Renewed(until)


def _release(row: Row, op: Release, now: float) -> tuple[Row, Outcome]:
    del now
    if row.token != op.token:
        return row, Released(ours=False)
    return (row if row.until == 0.0 else replace(row, until=0.0)), Released(ours=True)


def _delete(row: Row, op: Delete, now: float) -> tuple[Row, Outcome]:
    if row.version == 0 and row.until == 0.0:
        return row, Deleted(existed=False)
    if is_held(row, now) and not op.force:
        return row, _DENIED
    return Row(fence=row.fence + 1, deleted_at=now), Deleted(existed=row.version > 0)


def _force_release(row: Row, op: ForceRelease, now: float) -> tuple[Row, Outcome]:
    if not _has_right(row, row.token) or row.fence == 0:
        return row, Released(ours=False)
    del now
    return replace(row, fence=row.fence + 1, token="", holder="", until=0.0, note=op.reason), Released(
        ours=True
    )


_RULES = cast(
    "dict[type, Callable[[Row, Any, float], tuple[Row, Outcome]]]",
    {
        Read: _read,
        Acquire: _acquire,
        Commit: _commit,
        Renew: _renew,
        Release: _release,
        Delete: _delete,
        ForceRelease: _force_release,
    },
)
