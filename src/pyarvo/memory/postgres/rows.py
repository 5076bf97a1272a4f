"""Rows of the tables as what they mean, and the other way round."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b, sha256
from typing import Any

from pyarvo.errors import RecordCorrupt
from pyarvo.events.labels import Labels
from pyarvo.memory.backend import Find, Image, Stored
from pyarvo.memory.decide import JournalEntry, Row

__all__ = [
    "entry_of",
    "event_of",
    "key_of",
    "moment",
    "narrowing_of",
    "parameters_of_image",
    "raw_of",
    "seconds",
    "stored_of",
]

Record = Mapping[str, Any]


@lru_cache(maxsize=8_192)
def key_of(id: str) -> tuple[bytes, bytes]:
    """The key of an instance, and its id as it is stored."""
    raw = id.encode()
    return sha256(raw).digest(), raw


def event_of(id: str, event_key: str | None) -> bytes | None:
    """The hash of instance and event key by which the journal finds a step."""
    if event_key is None:
        return None
    return blake2b(event_key.encode(), digest_size=16, key=key_of(id)[0]).digest()


def seconds(at: datetime | None) -> float:
    """Since the epoch; 0.0 for none."""
    return 0.0 if at is None else at.timestamp()


def moment(at: datetime | None) -> float | None:
    """Seconds since the epoch; None for none."""
    return None if at is None else at.timestamp()


def entry_of(found: Record, prefix: str = "") -> JournalEntry:
    """
    The journal entry of a row of `step`, whose columns have *prefix* before their names.

    Raises:
        RecordCorrupt: It makes no sense.
    """
    return JournalEntry(
        version=found[prefix + "version"],
        event_key=_text(found[prefix + "event_key"]),
        token=found[prefix + "token"],
        digest=found[prefix + "digest"],
        produced=found[prefix + "produced"],
        at=seconds(found[prefix + "at"]),
    )


def stored_of(found: Record) -> Stored:
    """
    The instance of a row of `instance`.

    Raises:
        RecordCorrupt: It makes no sense.
    """
    return Stored(
        id=_text(found["id"]) or "",
        row=Row(
            version=found["version"],
            fence=found["fence"],
            token=found["token"],
            holder=_text(found["holder"]) or "",
            granted_at=seconds(found["granted_at"]),
            until=seconds(found["until"]),
            deleted_at=moment(found["deleted_at"]),
            note=_text(found["note"]) or "",
            data=found["data"],
        ),
        labels=Labels(
            orchestrator=_text(found["orchestrator"]),
            version=_text(found["orchestrator_version"]),
            status=_text(found["status"]),
            parent=_text(found["parent"]),
        ),
        created_at=seconds(found["created_at"]),
        updated_at=seconds(found["updated_at"]),
        now=seconds(found["now"]),
        serial=found["serial"],
    )


def narrowing_of(what: Find, before: int | None = None) -> dict[str, object]:
    """The values of the conditions `of_...`; None where one does not narrow."""
    return {
        "orchestrator": raw_of(what.orchestrator),
        "version": raw_of(what.version),
        "status": raw_of(what.status),
        "parent": raw_of(what.parent),
        "root": what.root,
        "held": what.held,
        "updated_before": _datetime(what.updated_before),
        "updated_after": _datetime(what.updated_after),
        "deleted": what.deleted,
        "before": before,
    }


def parameters_of_image(image: Image, history: int) -> tuple[Any, ...]:
    """The parameters of `put`, of the earlier records the latest *history*."""
    stored, row, labels = image.stored, image.stored.row, image.stored.labels
    journal, earlier = image.journal, image.history[:history]
    return (
        *key_of(stored.id),
        *(row.version, row.fence, row.token, row.holder.encode()),
        _datetime(row.granted_at or None),
        _datetime(row.deleted_at),
        row.note.encode(),
        *map(raw_of, (labels.orchestrator, labels.version, labels.status, labels.parent)),
        _datetime(stored.created_at),
        _datetime(stored.updated_at),
        row.data,
        [entry.version for entry in journal],
        [event_of(stored.id, entry.event_key) for entry in journal],
        [raw_of(entry.event_key) for entry in journal],
        [entry.token for entry in journal],
        [entry.digest for entry in journal],
        [_datetime(entry.at) for entry in journal],
        [entry.produced for entry in journal],
        [version for version, _ in earlier],
        [data for _, data in earlier],
    )


def raw_of(text: str | None) -> bytes | None:
    """Text as it is stored."""
    return None if text is None else text.encode()


def _datetime(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)


def _text(raw: bytes | None) -> str | None:
    if raw is None:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError as exc:
        raise RecordCorrupt("stored text is not UTF-8; it was left as it is") from exc
