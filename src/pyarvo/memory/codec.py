"""
Records to bytes and back, and the refusal of everything JSON cannot hold.

Bytes at rest are UTF-8 JSON. They start with `{`; any other first byte is the tag of another codec and, for a
reader that does not know it, a corrupt record. A value is checked by what comes back: encode, decode, compare.
That is compiled code; only a refused record is walked, to name the path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from math import isfinite
from typing import Any, Final, cast

import orjson

from pyarvo.errors import InvalidRecord, RecordCorrupt, RecordTooLarge
from pyarvo.memory.contract import Record, Step

__all__ = [
    "MAX_DEPTH",
    "MAX_EVENT_KEY_BYTES",
    "MAX_ID_BYTES",
    "check_event_key",
    "check_id",
    "decode_produced",
    "decode_record",
    "digest_of",
    "encode_and_copy",
    "encode_produced",
    "encode_record",
]

MAX_ID_BYTES: Final = 4_096
MAX_EVENT_KEY_BYTES: Final = 8_192
MAX_DEPTH: Final = 254
"""Objects and arrays inside one another: 200 for what an event may hold, and room for the record around it."""

_MIN_INT, _MAX_INT = -(2**63), 2**64 - 1
_ARRAYS = (list, tuple)


def check_id(id: str, operation: str = "") -> None:
    """
    Refuse anything but an instance id.

    Raises:
        InvalidRecord: Not text, empty, over 4,096 UTF-8 bytes, or with a lone surrogate; it names *operation*.
    """
    try:
        if type(id) is str:
            _checked_id(id)
        else:
            _check_text(id, "id", MAX_ID_BYTES)
    except InvalidRecord as fault:
        named = id if isinstance(id, str) else None  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
        raise fault.about(named, operation) from fault.__cause__


@lru_cache(maxsize=8_192)
def _checked_id(id: str) -> None:
    _check_text(id, "id", MAX_ID_BYTES)


def check_event_key(key: Sequence[str] | str) -> str:
    """
    The event key as canonical text: the compact JSON array `["source","id"]`.

    Text that is no JSON array of text is taken as it is.

    Raises:
        InvalidRecord: Not text or an array of text, empty, over 8,192 UTF-8 bytes, or with a lone surrogate.
    """
    if isinstance(key, str):
        return _event_key(key)
    if not isinstance(key, _ARRAYS):
        raise InvalidRecord("event_key", f"must be text or [source, id], is {type(key).__name__}")
    if not key:
        raise InvalidRecord("event_key", "is empty")
    for n, part in enumerate(key):
        if type(part) is not str or not part or not part.isascii():
            _check_text(part, f"event_key[{n}]", MAX_EVENT_KEY_BYTES)
    raw = orjson.dumps([*key])
    if len(raw) > MAX_EVENT_KEY_BYTES:
        _check_text(raw.decode(), "event_key", MAX_EVENT_KEY_BYTES)
    return raw.decode()


@lru_cache(maxsize=8_192)
def _event_key(key: str) -> str:
    _check_text(key, "event_key", MAX_EVENT_KEY_BYTES)
    try:
        parts = orjson.loads(key)
    except orjson.JSONDecodeError:
        return key
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in cast("list[object]", parts)):
        return key  # rewritten, numbers that differ may become the same, and what is nested may be refused
    return orjson.dumps(parts).decode()


def _check_text(value: object, path: str, limit: int) -> None:
    if not isinstance(value, str):
        raise InvalidRecord(path, f"must be text, is {type(value).__name__}")
    if not value:
        raise InvalidRecord(path, "is empty")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as exc:
        raise InvalidRecord(path, "holds a lone surrogate, which UTF-8 cannot carry") from exc
    if size > limit:
        raise InvalidRecord(path, f"has {size:,} UTF-8 bytes, the limit is {limit:,}")


def encode_record(data: Any, *, limit: int) -> bytes:
    """The bytes of a record; see `encode_and_copy`."""
    return encode_and_copy(data, limit=limit)[0]


def encode_and_copy(data: Any, *, limit: int) -> tuple[bytes, Record]:
    """
    The bytes of a record, and the copy that they decode to, which the check makes anyway.

    Args:
        data: A JSON object, depth at most 254, integers of 64 bits, finite floats.

        limit: Most bytes allowed.

    Raises:
        InvalidRecord: Not an object, or a value in it that JSON cannot hold, with its path.
        RecordTooLarge: Over the limit.
    """
    if not isinstance(data, dict):
        if not isinstance(data, Mapping):
            raise InvalidRecord("$", f"a record is a JSON object, this is {type(data).__name__}")
        data = dict(cast("Mapping[str, Any]", data))
    record = cast("Record", data)
    raw = _encode(record, "$")
    copy = _decode_again(raw, record, "$")
    if len(raw) > limit:
        raise RecordTooLarge(len(raw), limit)
    return raw, copy


def encode_produced(step: Step, *, limit: int, record: Record | None = None) -> bytes:
    """
    The bytes of a step's produced events, as one JSON array; the same errors as `encode_record`.

    Args:
        step: The step.

        limit: Most bytes allowed.

        record: The step's record as it decodes. A handler's holds the very events, which then need no second look.
    """
    produced: object = step.produced
    if not isinstance(produced, _ARRAYS):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are untyped too
        raise InvalidRecord("$step.produced", f"must be a tuple of events, is {type(produced).__name__}")
    events = list(cast("Sequence[object]", produced))
    for n, event in enumerate(events):
        if not isinstance(event, dict):
            raise InvalidRecord(f"$step.produced[{n}]", "an event is a JSON object")
    raw = _encode(events, "$step.produced")
    held: object = None if record is None else record.get("events")
    if not isinstance(held, dict) or cast("Record", held).get("produced") != events:
        _decode_again(raw, events, "$step.produced")
    if len(raw) > limit:
        raise RecordTooLarge(len(raw), limit)
    return raw


def decode_record(raw: bytes) -> Record:
    """
    The record of stored bytes.

    Raises:
        RecordCorrupt: They are not a JSON object.
    """
    if raw[:1] != b"{":
        raise RecordCorrupt(
            f"the stored bytes start with {raw[:1]!r}, not with '{{': corrupt, or another codec"
        )
    try:
        return cast("Record", orjson.loads(raw))
    except orjson.JSONDecodeError as exc:
        raise RecordCorrupt("the stored bytes are not JSON") from exc


def decode_produced(raw: bytes | None) -> tuple[Record, ...]:
    """The produced events of stored bytes; none when the body is no longer kept."""
    if raw is None:
        return ()
    try:
        events = orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        raise RecordCorrupt("the stored step is not JSON") from exc
    if not isinstance(events, list):
        raise RecordCorrupt("the stored step is not a JSON array")
    return tuple(cast("list[Record]", events))


def digest_of(data: bytes, event_key: str | None, produced: bytes | None) -> bytes:
    """16 bytes that tell one write from another: of data and step, each with its length before it."""
    key = (event_key or "").encode()
    body = produced or b""
    lengths = b"%d %d %d " % (len(data), len(key), len(body))
    return sha256(b"".join((lengths, data, key, body))).digest()[:16]


def _encode(value: object, path: str) -> bytes:
    try:
        raw = orjson.dumps(value)
    except (orjson.JSONEncodeError, RecursionError) as exc:
        _find_fault(value, path, 1)
        raise InvalidRecord(path, f"JSON cannot hold it: {exc}") from exc
    # orjson hands out its whole buffer, up to ten times the text: what is kept must be as long as it says.
    return bytes(memoryview(raw))


def _decode_again(raw: bytes, value: object, path: str) -> Any:
    """What comes back of *value*, which must be the same."""
    try:
        copy = orjson.loads(raw)
        faithful = copy == value
    except RecursionError as exc:
        _find_fault(value, path, 1)
        raise InvalidRecord(path, f"JSON cannot hold it: {exc}") from exc
    if not faithful:
        _find_fault(value, path, 1)
        raise InvalidRecord(path, "does not come back from JSON unchanged")
    return copy


def _find_fault(value: object, path: str, depth: int) -> None:
    """Raise for the first value that JSON cannot hold; a cycle shows itself as depth."""
    if depth > MAX_DEPTH:
        raise InvalidRecord(_shorten(path), f"is nested deeper than {MAX_DEPTH} levels, or a cycle")
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        _check_surrogates(value, path)
    elif isinstance(value, int):
        if not _MIN_INT <= value <= _MAX_INT:
            raise InvalidRecord(path, "is an integer of more than 64 bits")
    elif isinstance(value, float):
        if not isfinite(value):
            raise InvalidRecord(path, f"is {value}, JSON has finite numbers only")
    elif isinstance(value, dict):
        for key, item in cast("dict[object, object]", value).items():
            if type(key) is not str:  # also a kind of text, of an enumeration above all, is refused as a key
                raise InvalidRecord(path, f"has the key {key!r}, JSON has text keys only")
            _check_surrogates(key, path)
            _find_fault(item, f"{path}.{key}", depth + 1)
    elif isinstance(value, list):
        for n, item in enumerate(cast("list[object]", value)):
            _find_fault(item, f"{path}[{n}]", depth + 1)
    else:
        raise InvalidRecord(path, f"is a {type(value).__name__}, which JSON does not have")


def _check_surrogates(text: str, path: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise InvalidRecord(_shorten(path), "holds a lone surrogate, which UTF-8 cannot carry") from exc


def _shorten(path: str, keep: int = 120) -> str:
    return path if len(path) <= keep else f"{path[:keep]}..."
