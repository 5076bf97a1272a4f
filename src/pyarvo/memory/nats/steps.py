"""Steps at rest: the body of one, and the slots and pages of the journal."""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from pyarvo.errors import RecordCorrupt
from pyarvo.memory.decide import Commit, JournalEntry

__all__ = [
    "FIRST",
    "JOURNAL",
    "PAGE",
    "SLOT_SIZE",
    "Slot",
    "StepBody",
    "check_page",
    "decode_body",
    "encode_body",
    "find_parts",
    "firsts_of",
    "mark_of",
    "pack_slot",
    "unpack_slot",
]

JOURNAL: Final = 128
"""Most steps whose bodies are kept."""

PAGE: Final = 256
"""Slots on a page."""

_SLOT: Final = struct.Struct(">16s8sI")
FIRST: Final = 4
"""Bytes of the hash of an event key that an entry keeps when the slot is on a page."""

SLOT_SIZE: Final = _SLOT.size

_NO_KEY: Final = bytes(16)


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


_BODY = msgspec.msgpack.Decoder(StepBody)
_encode_body = msgspec.msgpack.Encoder().encode


def encode_body(body: StepBody) -> bytes:
    """The bytes of a step."""
    return _encode_body(body)


def decode_body(raw: bytes) -> StepBody:
    """
    The step of stored bytes.

    Raises:
        RecordCorrupt: They do not decode.
    """
    try:
        return _BODY.decode(raw)
    except msgspec.MsgspecError as exc:
        raise RecordCorrupt("the stored step does not decode") from exc


def pack_slot(key: bytes | None, mark: bytes, at: int) -> bytes:
    """The bytes of a slot."""
    return _SLOT.pack(key or _NO_KEY, mark, at)


def unpack_slot(slots: bytes, index: int) -> Slot:
    """The slot at *index*, from 0."""
    key, mark, seconds = _SLOT.unpack_from(slots, index * SLOT_SIZE)
    return Slot(None if key == _NO_KEY else key, mark, seconds)


def firsts_of(slots: bytes) -> bytes:
    """What an entry keeps of slots that are on a page."""
    return b"".join(slots[at : at + FIRST] for at in range(0, len(slots), SLOT_SIZE))


def find_parts(where: bytes, wanted: bytes, every: int) -> list[int]:
    """Which of the parts of *every* bytes in *where* begin with *wanted*, counted from 1."""
    found: list[int] = []
    at = where.find(wanted)
    while at >= 0:
        if at % every == 0:
            found.append(at // every + 1)
        at = where.find(wanted, at + 1)
    return found


def check_page(slots: bytes) -> bytes:
    """
    The bytes of a page.

    Raises:
        RecordCorrupt: They do not decode.
    """
    if len(slots) != PAGE * SLOT_SIZE:
        raise RecordCorrupt("a page of the journal is not as long as pages are")
    return slots


def mark_of(op: Commit | JournalEntry) -> bytes:
    """8 bytes by which a repeated write recognises itself."""
    return blake2b(op.token.encode() + b"\0" + op.digest, digest_size=8).digest()
