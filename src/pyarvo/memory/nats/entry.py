"""
The entry of an instance: what stands in its one key, and what a write makes of it.

A message of the stream. Its header `Pyarvo-Entry` is a JSON array of everything that lists show, so that a list
need not carry records about. Its payload is four blocks whose lengths the header knows:

    record   the encoded record, as it is
    last     the step that made the current version (event key, time, produced events); it moves to a key of its
             own before the next write takes its place here
    older    4 bytes for every write whose slot was moved to a page: the first of the hash of its event key
    slots    28 bytes for every other write: a hash of its event key (zeros: none), a hash of its token and digest,
             by which a repeat is recognised, and when it was (seconds, 32 bits)

So that an entry grows by 4 bytes a write and not by 28, slots move to pages of their own, 256 at a time, once they are
older than the steps whose bodies are kept. A page is looked at only when the first bytes of a hash fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pyarvo.errors import RecordCorrupt, SchemaTooNew
from pyarvo.events.labels import Labels
from pyarvo.memory.decide import Acquire, Commit, JournalEntry, Op, Row, is_held
from pyarvo.memory.nats.keys import body_hash
from pyarvo.memory.nats.steps import (
    FIRST,
    JOURNAL,
    PAGE,
    SLOT_SIZE,
    Slot,
    StepBody,
    decode_body,
    encode_body,
    find_parts,
    firsts_of,
    mark_of,
    pack_slot,
    unpack_slot,
)

__all__ = ["HEADER", "SCHEMA", "Entry", "Meta", "decode_meta", "is_forgotten", "labels_of", "new_entry"]

SCHEMA: Final = 1

HEADER: Final = "Pyarvo-Entry"


class Meta(Struct, frozen=True, array_like=True):
    """The header. Fields may be added at the end; a change of meaning raises `schema`."""

    schema: int
    id: str
    version: int
    fence: int
    token: str
    holder: str
    granted_at: float
    until: float
    deleted_at: float | None
    note: str
    created_at: float
    updated_at: float
    serial: int
    life: int
    labels: tuple[str | None, str | None, str | None, str | None]
    record_size: int
    """-1 = no record."""
    last_size: int
    paged: int

    def row(self, data: bytes | None) -> Row:
        """The row as `decide` knows it."""
        return Row(
            self.version,
            self.fence,
            self.token,
            self.holder,
            self.granted_at,
            self.until,
            self.deleted_at,
            self.note,
            data,
        )


_META = msgspec.json.Decoder(Meta)
_encode_meta = msgspec.json.Encoder().encode


def decode_meta(text: bytes | str | None) -> Meta:
    """
    The header of a stored entry.

    Raises:
        RecordCorrupt: It is missing or does not decode.
        SchemaTooNew: A newer pyarvo wrote it.
    """
    if text is None:
        raise RecordCorrupt(f"the stored entry has no header {HEADER}")
    try:
        meta = _META.decode(text)
    except msgspec.MsgspecError as exc:
        raise RecordCorrupt(f"the header {HEADER} of the stored entry does not decode") from exc
    if meta.schema > SCHEMA:
        raise SchemaTooNew(f"the entry has schema {meta.schema}, this pyarvo knows {SCHEMA}; upgrade pyarvo")
    return meta


class Entry(Struct, frozen=True):
    """
    All there is of one instance.

    Attributes:
        id: The instance.

        row: Lease, version, record.

        labels: What lists filter by.

        created_at, updated_at: By the server's clock, seconds since the epoch.

        serial: Order of creation: the revision of the entry's first write. That write itself cannot know it yet and
            says 0.

        life: The revision on which the instance was made, or made anew by a deletion: versions begin at 1 in each
            life, and what is kept in keys of its own is named by both.

        last: The encoded step of the current version; empty when its write had none.

        older, slots: See the module.
    """

    id: str
    row: Row
    labels: Labels
    created_at: float
    updated_at: float
    serial: int
    life: int
    last: bytes = b""
    older: bytes = b""
    slots: bytes = b""

    @classmethod
    def decode(cls, id: str, revision: int, header: bytes | str | None, payload: bytes) -> Entry:
        """
        The entry of stored bytes.

        Raises:
            RecordCorrupt: They make no sense, or are another instance's.
            SchemaTooNew: A newer pyarvo wrote them.
        """
        meta = decode_meta(header)
        if meta.id != id:
            raise RecordCorrupt("the stored entry is another instance's")
        record = max(0, meta.record_size)
        last = record + meta.last_size
        older = last + FIRST * meta.paged
        if min(meta.last_size, meta.paged) < 0 or len(payload) != older + SLOT_SIZE * (
            meta.version - meta.paged
        ):
            raise RecordCorrupt("the stored entry is not as long as its header says")
        data = payload[:record] if meta.record_size >= 0 else None
        return cls(
            id,
            meta.row(data),
            labels_of(meta),
            meta.created_at,
            meta.updated_at,
            meta.serial or revision,
            meta.life,
            payload[record:last],
            payload[last:older],
            payload[older:],
        )

    def encode(self) -> tuple[str, bytes]:
        """Header and payload."""
        row, labels = self.row, self.labels
        data = row.data
        meta = Meta(
            SCHEMA,
            self.id,
            row.version,
            row.fence,
            row.token,
            row.holder,
            row.granted_at,
            row.until,
            row.deleted_at,
            row.note,
            self.created_at,
            self.updated_at,
            self.serial,
            self.life,
            (labels.orchestrator, labels.version, labels.status, labels.parent),
            -1 if data is None else len(data),
            len(self.last),
            self.paged,
        )
        return _encode_meta(meta).decode(), b"".join((data or b"", self.last, self.older, self.slots))

    # --- what the journal says of an operation ----------------------------------------------------------------

    @property
    def paged(self) -> int:
        """Versions whose slots stand on pages."""
        return len(self.older) // FIRST

    def pages_for(self, op: Op) -> tuple[int, ...]:
        """Which pages have to be looked at before *op* can be decided; mostly none."""
        if not self.older or not isinstance(op, Acquire | Commit):
            return ()
        versions = find_parts(self.older, body_hash(op.event_key)[:FIRST], FIRST) if op.event_key else []
        if isinstance(op, Commit) and op.expected < self.paged:
            versions.append(op.expected + 1)
        return tuple({(version - 1) // PAGE for version in versions})

    def row_for(self, op: Op, pages: Mapping[int, bytes] = MappingProxyType({})) -> Row:
        """
        The row as `decide` wants it. The body of a consumed event is not in it unless it stands in the entry.

        Args:
            op: What is to be decided.

            pages: Those that `pages_for` names.
        """
        if isinstance(op, Acquire):
            consumed = self._consumed(op.event_key, pages)
            return self.row if consumed is None else replace(self.row, consumed=consumed)
        if isinstance(op, Commit):
            consumed, written = self._consumed(op.event_key, pages), self._written(op, pages)
            if consumed is not None or written is not None:
                return replace(self.row, consumed=consumed, written=written)
        return self.row

    def _consumed(self, event_key: str | None, pages: Mapping[int, bytes]) -> JournalEntry | None:
        if event_key is None:
            return None
        wanted = body_hash(event_key)
        version = next((each + self.paged for each in find_parts(self.slots, wanted, SLOT_SIZE)), 0)
        for page, slots in pages.items():
            version = version or next(
                (each + page * PAGE for each in find_parts(slots, wanted, SLOT_SIZE)), 0
            )
        if not version:
            return None
        if version == self.row.version:
            body = decode_body(self.last)
            return JournalEntry(version, event_key, "", b"", body.produced, body.at)
        return JournalEntry(version, event_key, "", b"", None, float(self.slot(version, pages).at))

    def _written(self, op: Commit, pages: Mapping[int, bytes]) -> JournalEntry | None:
        """The write at the version that *op* would make, if it is the very same."""
        version = op.expected + 1
        if version > self.row.version or self.slot(version, pages).mark != mark_of(op):
            return None
        return JournalEntry(version, op.event_key, op.token, op.digest, None, 0.0)

    def slot(self, version: int, pages: Mapping[int, bytes]) -> Slot:
        """What is known of the write that made *version*, 1 to that of the row, with its page if it is on one."""
        slots, at = self.slots, version - 1 - self.paged
        if at < 0:
            slots, at = pages[(version - 1) // PAGE], (version - 1) % PAGE
        return unpack_slot(slots, at)

    @property
    def page(self) -> tuple[int, bytes] | None:
        """Number and bytes of the page to be stored before the next write; None while there is none."""
        if self.row.version - self.paged < PAGE + JOURNAL:
            return None
        return self.paged // PAGE, self.slots[: PAGE * SLOT_SIZE]

    # --- what a write makes of it -----------------------------------------------------------------------------

    def leased(self, row: Row) -> Entry:
        """With another lease."""
        return replace(self, row=_without_journal(row))

    def written(self, row: Row, op: Commit, now: float) -> Entry:
        """With the write of *op*."""
        last, key, older, slots = b"", None, self.older, self.slots
        if self.page is not None:
            _, moved = self.page
            older += firsts_of(moved)
            slots = slots[len(moved) :]
        if op.event_key is not None:
            last, key = encode_body(StepBody(op.event_key, now, op.produced)), body_hash(op.event_key)
        return Entry(
            self.id,
            _without_journal(row),
            op.labels,
            self.created_at,
            now,
            self.serial,
            self.life,
            last,
            older,
            slots + pack_slot(key, mark_of(op), int(now)),
        )

    def deleted(self, row: Row, revision: int, now: float) -> Entry:
        """As a tombstone; *revision* is that of the entry that it replaces."""
        return Entry(self.id, _without_journal(row), Labels(), self.created_at, now, self.serial, revision)


def new_entry(id: str, revision: int, now: float) -> Entry:
    """An instance that was not there before; *revision* is that of what stood there, if anything."""
    return Entry(id, Row(), Labels(), now, now, 0, revision)


def is_forgotten(row: Row, updated_at: float, now: float, tombstone_s: float) -> bool:
    """Whether an instance without a record is so old that it counts as one that never was."""
    oldest = now - tombstone_s
    return row.version == 0 and updated_at < oldest and row.granted_at < oldest and not is_held(row, now)


def labels_of(meta: Meta) -> Labels:
    """The labels of a header."""
    orchestrator, version, status, parent = meta.labels
    return Labels(orchestrator=orchestrator, version=version, status=status, parent=parent)


def _without_journal(row: Row) -> Row:
    if row.consumed is None and row.written is None:
        return row
    return replace(row, consumed=None, written=None)
