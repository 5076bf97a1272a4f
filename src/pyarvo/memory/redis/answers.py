"""The scripts' answers to outcomes, and stored fields to what they mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Final, TypeAlias, cast

import msgspec

from pyarvo.errors import MemoryFault, MemoryUnavailable, RecordCorrupt
from pyarvo.events.labels import Labels
from pyarvo.memory.backend import Stored
from pyarvo.memory.decide import (
    Acquire,
    Acquired,
    Commit,
    Committed,
    Conflict,
    Consumed,
    Deleted,
    Denied,
    Found,
    JournalEntry,
    Lost,
    Op,
    Outcome,
    Released,
    Renewed,
    Row,
)
from pyarvo.memory.redis.wire import Reply

__all__ = ["changed", "entry_of", "outcome_of", "stored_of"]

_US: Final = 1_000_000


def entry_of(packed: bytes, event_key: str | None, produced: bytes | None) -> JournalEntry:
    """
    A journal entry as it is stored: `version:token:digest:at`.

    Raises:
        ValueError: It is not one.
    """
    version, token, rest = packed.split(b":", 2)
    digest, _, at = rest.rpartition(b":")
    return JournalEntry(int(version), event_key, token.decode(), digest, produced, int(at) / _US)


_Answer: TypeAlias = list[Any]

_DENIED: Final = Denied()
_LOST: Final = Lost()


def _found(op: Op, answer: _Answer) -> Outcome:
    del op
    return Found(answer[1], answer[2])


def _acquired(op: Op, answer: _Answer) -> Outcome:
    del op
    _, fence, version, data, deleted = answer
    return Acquired(fence, version, data, None if deleted is None else int(deleted) / _US)


def _denied(op: Op, answer: _Answer) -> Outcome:
    del op, answer
    return _DENIED


def _consumed(op: Op, answer: _Answer) -> Outcome:
    _, fence, version, data, entry, produced = answer
    event_key = op.event_key if isinstance(op, Acquire | Commit) else None
    return Consumed(entry_of(entry, event_key, produced), fence, version, data)


def _committed(op: Op, answer: _Answer) -> Outcome:
    del op
    return Committed(answer[1])


def _lost(op: Op, answer: _Answer) -> Outcome:
    del op, answer
    return _LOST


def _conflict(op: Op, answer: _Answer) -> Outcome:
    return Conflict(cast("Commit", op).expected, answer[1])


def _renewed(op: Op, answer: _Answer) -> Outcome:
    del op
    return Renewed(int(answer[1]) / _US)


def _released(op: Op, answer: _Answer) -> Outcome:
    del op
    return Released(ours=answer[1] == 1)


def _deleted(op: Op, answer: _Answer) -> Outcome:
    del op
    return Deleted(existed=answer[1] == 1)


def _corrupt(op: Op, answer: _Answer) -> MemoryFault:
    del op
    return RecordCorrupt(f"{answer[1].decode()}; it was left as it is")


def _unstaged(op: Op, answer: _Answer) -> MemoryFault:
    del op, answer
    return MemoryUnavailable("the record that was sent ahead is gone; nothing was applied")


_OUTCOMES: Final[dict[int, Callable[[Op, _Answer], Outcome | MemoryFault]]] = {
    1: _found,
    2: _acquired,
    3: _denied,
    4: _consumed,
    5: _committed,
    6: _lost,
    7: _conflict,
    8: _renewed,
    9: _released,
    10: _deleted,
    11: _corrupt,
    12: _unstaged,
}
_CHANGES: Final = frozenset({2, 5, 8, 9, 10})


def changed(reply: Reply) -> bool:
    """Whether a script answers that it stored something."""
    return isinstance(reply, list) and reply[0] in _CHANGES


def outcome_of(op: Op, reply: Reply) -> Outcome | MemoryFault:
    """The outcome in a script's answer to *op*: a list that opens with a number, named in the head of every script."""
    try:
        answer = cast("list[Any]", reply)
        return _OUTCOMES[answer[0]](op, answer)
    except (ValueError, TypeError, LookupError, AttributeError) as exc:
        fault = RecordCorrupt("what is stored of this instance does not decode; it was left as it is")
        fault.__cause__ = exc
        return fault


def stored_of(id: str, now: bytes | int, fields: Sequence[bytes], data: bytes | None) -> Stored:
    """
    An instance from the fields of its hash, name and value in turns.

    Raises:
        RecordCorrupt: They make no sense.
    """
    try:
        row = {fields[n].decode(): fields[n + 1] for n in range(0, len(fields), 2)}
        orchestrator, version, status, parent = msgspec.json.decode(
            row.get("labels", b"[null,null,null,null]"),
            type=tuple[str | None, str | None, str | None, str | None],
        )
        deleted = row.get("deleted")
        return Stored(
            id=id,
            row=Row(
                version=int(row["version"]),
                fence=int(row["fence"]),
                token=row["token"].decode(),
                holder=row["holder"].decode(),
                granted_at=int(row["granted"]) / _US,
                until=int(row["until"]) / _US,
                deleted_at=None if deleted is None else int(deleted) / _US,
                note=row.get("note", b"").decode(),
                data=data,
            ),
            labels=Labels(orchestrator=orchestrator, version=version, status=status, parent=parent),
            created_at=int(row["created"]) / _US,
            updated_at=int(row["updated"]) / _US,
            now=int(now) / _US,
            # Two servers of a cluster may make an instance in the same microsecond.
            serial=int(row["serial"]) << 8 | blake2b(id.encode(), digest_size=1).digest()[0],
        )
    except (KeyError, ValueError, IndexError, msgspec.DecodeError) as exc:
        raise RecordCorrupt("the hash of the instance does not decode; it was left as it is", id=id) from exc
