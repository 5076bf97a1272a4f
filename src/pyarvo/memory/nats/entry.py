"""
The entry of an instance: what stands in its one key, and what a write makes of it.

A message of the stream. Its header `Pyarvo-Entry` is a JSON array of everything that lists show, so that a list
need not carry records about. Its payload is four blocks whose lengths the header knows:

    record   the encoded record, as it is
    last     the step that made the current version (event key, time, produced events); it moves to a key of its
             own before the next write takes its place here
    slots    28 bytes for every write: a hash of its event key (zeros: none), a hash of its token and digest, by
             which a repeat is recognised, and when it was (seconds, 32 bits)
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pyarvo.errors import RecordCorrupt, SchemaTooNew
from pyarvo.events.labels import Labels
from pyarvo.memory.decide import Acquire, Commit, JournalEntry, Op, Row, is_held
from pyarvo.memory.nats.keys import body_hash

__all__ = [
    "HEADER",
    "JOURNAL",
    "SCHEMA",
    "Entry",
    "Meta",
    "StepBody",
    "decode_body",
    "decode_meta",
    "encode_body",
    "is_forgotten",
    "labels_of",
    "new_entry",
]

SCHEMA: Final = 1

HEADER: Final = "Pyarvo-Entry"

JOURNAL: Final = 128
"""Most steps whose bodies are kept."""

_SLOT: Final = struct.Struct(">16s8sI")
_NO_KEY: Final = bytes(16)


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


class Slot(NamedTuple):
    """
    One write.

    Attributes:
        key: Hash of its event key; None = it had none.

        mark: Hash of its token and digest.

        at: When, in whole seconds since the epoch.
    """

    key: bytes | None
    mark: bytes
    at: int


class StepBody(Struct, frozen=True, array_like=True):
    """One step at rest."""

    event_key: str
    at: float
    produced: bytes | None


_META = msgspec.json.Decoder(Meta)
_BODY = msgspec.msgpack.Decoder(StepBody)
_encode_meta = msgspec.json.Encoder().encode
_encode_body = msgspec.msgpack.Encoder().encode


def encode_body(body: StepBody) -> bytes:
    """The bytes of a step."""
    return _encode_body(body)


def decode_body(raw: bytes) -> StepBody:
    """
    The step of stored bytes.

    Raises:
        RecordCorrupt: They are none.
    """
    try:
        return _BODY.decode(raw)
    except msgspec.MsgspecError as exc:
        raise RecordCorrupt("the stored step does not decode") from exc


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

        slots: See the module.
    """

    id: str
    row: Row
    labels: Labels
    created_at: float
    updated_at: float
    serial: int
    life: int
    last: bytes = b""
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
        if meta.last_size < 0 or len(payload) != last + _SLOT.size * meta.version:
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
            payload[last:],
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
        )
        return _encode_meta(meta).decode(), b"".join((data or b"", self.last, self.slots))

    # --- what the journal says of an operation ----------------------------------------------------------------

    def row_for(self, op: Op) -> Row:
        """The row as `decide` wants it. The body of a consumed event is not in it unless it stands in the entry."""
        if isinstance(op, Acquire):
            consumed = self._consumed(op.event_key)
            return self.row if consumed is None else replace(self.row, consumed=consumed)
        if isinstance(op, Commit):
            consumed, written = self._consumed(op.event_key), self._written(op)
            if consumed is not None or written is not None:
                return replace(self.row, consumed=consumed, written=written)
        return self.row

    def _consumed(self, event_key: str | None) -> JournalEntry | None:
        if event_key is None or not self.slots:
            return None
        wanted = body_hash(event_key)
        at = self.slots.find(wanted)
        while at >= 0 and at % _SLOT.size:
            at = self.slots.find(wanted, at + 1)
        if at < 0:
            return None
        version = at // _SLOT.size + 1
        if version == self.row.version:
            body = decode_body(self.last)
            return JournalEntry(version, event_key, "", b"", body.produced, body.at)
        return JournalEntry(version, event_key, "", b"", None, float(self.slot(version).at))

    def _written(self, op: Commit) -> JournalEntry | None:
        """The write at the version that *op* would make, if it is the very same."""
        version = op.expected + 1
        if version > self.row.version or self.slot(version).mark != _mark(op):
            return None
        return JournalEntry(version, op.event_key, op.token, op.digest, None, 0.0)

    def slot(self, version: int) -> Slot:
        """What is known of the write that made *version*, 1 to that of the row."""
        key, mark, at = _SLOT.unpack_from(self.slots, (version - 1) * _SLOT.size)
        return Slot(None if key == _NO_KEY else key, mark, at)

    # --- what a write makes of it -----------------------------------------------------------------------------

    def leased(self, row: Row) -> Entry:
        """With another lease."""
        return replace(self, row=_without_journal(row))

    def written(self, row: Row, op: Commit, now: float) -> Entry:
        """With the write of *op*."""
        last, key = b"", _NO_KEY
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
            self.slots + _SLOT.pack(key, _mark(op), int(now)),
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


def _mark(op: Commit) -> bytes:
    return blake2b(op.token.encode() + b"\0" + op.digest, digest_size=8).digest()


def _without_journal(row: Row) -> Row:
    if row.consumed is None and row.written is None:
        return row
    return replace(row, consumed=None, written=None)
