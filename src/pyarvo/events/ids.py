"""Ids and times of events: random ones, ids that a re-run makes again, ids that carry a user's value."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha1
from json.encoder import encode_basestring_ascii as ascii_json
from os import urandom
from time import time
from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec

from pyarvo.errors import InvalidEvent
from pyarvo.events.json_text import encode
from pyarvo.events.packed import pack, unpack

if TYPE_CHECKING:
    from pyarvo.events.event import ArvoEvent

__all__ = [
    "ID_NAMESPACE",
    "ArvoEventId",
    "create_arvo_event_id",
    "derived_id",
    "event_key",
    "new_id",
    "parse_arvo_event_id",
    "utc_timestamp",
]

ID_NAMESPACE: Final = UUID("f0c0cbfe-25cd-58e6-86c9-35f92106e8ab")
"""Namespace of `derived_id`: `uuid5(NAMESPACE_URL, "urn:pyarvo:event-id")`. Published: another one would
give every event in flight another id."""

_MANAGED_LIMIT = 64 * 1024

_NAMESPACE_BYTES = ID_NAMESPACE.bytes


class ArvoEventId(msgspec.Struct, frozen=True):
    """
    What an Arvo-managed event id holds.

    Attributes:
        uuid: A random UUID, which makes the id unique.

        value: The user's own value.
    """

    uuid: str
    value: str


def new_id() -> str:
    """Return a random UUID (version 4) as text."""
    return _uuid_text(urandom(16), "4")


def derived_id(
    *, handler: str, subject: str, source: str, id: str, type: str, domain: str | None, n: int
) -> str:
    """
    Make the id that a re-run of the same step makes again.

    It is `uuid5(ID_NAMESPACE, json.dumps([handler, subject, source, id, type, domain, n]))`, ASCII JSON.

    Args:
        handler: Source of the handler that emits.

        subject: Subject of the consumed event.

        source: Source of the consumed event.

        id: Id of the consumed event.

        type: Type of the emitted event.

        domain: Its domain, resolved.

        n: How many earlier outputs of this step have the same type and domain.
    """
    # What json.dumps makes of the list, in half the time: every emitted event needs one.
    texts = f"{ascii_json(handler)}, {ascii_json(subject)}, {ascii_json(source)}, {ascii_json(id)}"
    name = f"[{texts}, {ascii_json(type)}, {'null' if domain is None else ascii_json(domain)}, {n}]"
    return _uuid_text(sha1(_NAMESPACE_BYTES + name.encode(), usedforsecurity=False).digest(), "5")


def event_key(event: ArvoEvent) -> str:
    """Return the identity of *event* for a memory: the JSON array `[source, id]` as compact text."""
    return encode([event.source, event.id]).decode()


def utc_timestamp() -> str:
    """Return the present moment in true UTC, to the millisecond: `2026-01-02T03:04:05.678+00:00`."""
    return _timestamp(int(time() * 1000))


@lru_cache(maxsize=4)
def _timestamp(milliseconds: int) -> str:
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}+00:00"


@lru_cache(maxsize=4)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).replace(tzinfo=None).isoformat()


def create_arvo_event_id(value: str, *, uuid: str | None = None) -> str:
    """
    Make an Arvo-managed id: unique, and it carries *value*.

    Args:
        value: The user's value.

        uuid: The unique part; None makes a random one.

    Raises:
        InvalidEvent: *value* is not Unicode text.
    """
    if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
        raise InvalidEvent("id", f"its value must be text, is {type(value).__name__}")
    try:
        return pack(encode({"uuid": uuid or new_id(), "value": str.__str__(value)}))
    except UnicodeEncodeError as error:
        raise InvalidEvent("id", "must be Unicode text") from error


def parse_arvo_event_id(id: str) -> ArvoEventId | None:
    """
    Read an Arvo-managed id.

    Returns:
        What it holds; None when *id* is of another kind (a UUID, or the user's own).
    """
    raw = unpack(id, _MANAGED_LIMIT)
    if not isinstance(raw, bytes):
        return None
    try:
        return msgspec.json.decode(raw, type=ArvoEventId)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _uuid_text(raw: bytes, version: str) -> str:
    # By hand: uuid.uuid4() and uuid5() cost five times as much, and an orchestration makes dozens.
    digits = raw.hex()
    variant = "89ab"[raw[8] >> 4 & 3]
    return f"{digits[:8]}-{digits[8:12]}-{version}{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"
