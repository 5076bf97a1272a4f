"""Rows of the tables as what they mean, and the other way round."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

from pyarvo.errors import RecordCorrupt
from pyarvo.events.labels import Labels
from pyarvo.memory.backend import Find, Stored
from pyarvo.memory.decide import JournalEntry, Row

__all__ = ["entry_of", "key_of", "moment", "parameters_of", "seconds", "stored_of"]

Record = Mapping[str, Any]


@lru_cache(maxsize=8_192)
def key_of(id: str) -> tuple[bytes, bytes]:
    """The key of an instance, and its id as it is stored."""
    raw = id.encode()
    return sha256(raw).digest(), raw


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


def parameters_of(what: Find) -> tuple[Any, ...]:
    """The parameters of `matches`."""
    labels = (what.orchestrator, what.version, what.status, what.parent)
    return (
        *(None if label is None else label.encode() for label in labels),
        what.root,
        what.held,
        _datetime(what.updated_before),
        _datetime(what.updated_after),
        what.deleted,
    )


def _datetime(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)


def _text(raw: bytes | None) -> str | None:
    if raw is None:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError as exc:
        raise RecordCorrupt("stored text is no UTF-8; it was left as it is") from exc
