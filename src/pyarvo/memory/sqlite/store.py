"""What one operation does to the tables: load the row, decide, save what changed. Runs inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from types import NoneType
from typing import Any, Final, TypeVar

from pyarvo.errors import RecordCorrupt
from pyarvo.events.labels import Labels
from pyarvo.memory.backend import Find, Image, Stored
from pyarvo.memory.decide import (
    Acquire,
    Commit,
    Committed,
    Delete,
    Found,
    JournalEntry,
    Op,
    Outcome,
    Read,
    Row,
    decide,
)
from pyarvo.memory.options import MemoryOptions
from pyarvo.memory.sqlite.connection import begin
from pyarvo.memory.statements import load_statements

__all__ = ["Store"]

_SQL: Final = load_statements("pyarvo.memory.sqlite")

_SWEPT_AT_ONCE: Final = 500

_KINDS: Final[tuple[tuple[str, tuple[type, ...]], ...]] = (
    ("version", (int,)),
    ("fence", (int,)),
    ("token", (str,)),
    ("holder", (str,)),
    ("granted_at", (float,)),
    ("until", (float,)),
    ("deleted_at", (float, NoneType)),
    ("note", (str,)),
)


@lru_cache(maxsize=8_192)
def _key(id: str) -> bytes:
    return blake2b(id.encode(), digest_size=16).digest()


R = TypeVar("R")


class Store:
    """
    The tables behind one connection.

    Args:
        connection: As `connect` made it.

        options: How much journal and history to keep.
    """

    def __init__(self, connection: sqlite3.Connection, options: MemoryOptions) -> None:
        self._connection = connection
        self._execute: Callable[..., sqlite3.Cursor] = connection.execute
        self._options = options

    def apply(self, op: Op, now: float) -> Outcome:
        """Do *op*; the caller commits."""
        serial, row = self._load(op)
        after, outcome = decide(row, op, now)
        if after is row:
            return outcome
        if serial is None:
            added = self._execute(_SQL["add_instance"], (_key(op.id), op.id, now, now))
            serial = added.lastrowid or 0
        if isinstance(op, Commit) and isinstance(outcome, Committed) and after.version != row.version:
            self._save_commit(serial, after, op, now)
        elif isinstance(op, Delete):
            self._bury(serial, after, now)
        else:
            self._execute(
                _SQL["save_lease"],
                (after.fence, after.token, after.holder, after.granted_at, after.until, after.note, serial),
            )
        return outcome

    def read(self, op: Read) -> Outcome:
        """The record, outside of any transaction."""
        _, row = self._load(op)
        return Found(row.version, row.data)

    def sweep(self, now: float) -> bool:
        """Forget old tombstones and instances that were never written, a bounded number; whether that was all."""
        swept = self._execute(
            _SQL["sweep"], {"oldest": now - self._options.tombstone_s, "now": now, "most": _SWEPT_AT_ONCE}
        )
        return swept.rowcount < _SWEPT_AT_ONCE

    def _load(self, op: Op) -> tuple[int | None, Row]:
        query = _SQL["load_record" if isinstance(op, Acquire | Read) else "load"]
        event_key = op.event_key if isinstance(op, Acquire | Commit) else None
        found = self._execute(query, (event_key, _key(op.id))).fetchone()
        if found is None:
            return None, Row()
        serial = found[0]
        consumed = None if found[10] is None else JournalEntry(*found[10:])
        written = None
        if isinstance(op, Commit) and found[1] > op.expected:
            written = self._entry_of_version(serial, op.expected + 1)
        return serial, _row(found[1:10], consumed, written)

    def _entry_of_version(self, serial: int, version: int) -> JournalEntry | None:
        found = self._execute(_SQL["entry_of_version"], (serial, version)).fetchone()
        return None if found is None else JournalEntry(*found)

    def _save_commit(self, serial: int, after: Row, op: Commit, now: float) -> None:
        version, labels = after.version, op.labels
        if self._options.history:
            self._execute(_SQL["keep_record"], (version - 1, serial))
            self._execute(_SQL["drop_history"], (serial, version - 1 - self._options.history))
        self._execute(
            _SQL["save_commit"],
            (
                version,
                after.until,
                labels.orchestrator,
                labels.version,
                labels.status,
                labels.parent,
                now,
                serial,
            ),
        )
        self._execute(_SQL["save_record"], (serial, op.data))
        self._execute(
            _SQL["add_step"], (serial, version, op.event_key, op.token, op.digest, op.produced, now)
        )
        old = version - self._options.journal
        if old > 0:
            self._execute(_SQL["drop_body"], (serial, old))
            self._execute(_SQL["drop_plain"], (serial, old))

    def _bury(self, serial: int, after: Row, now: float) -> None:
        self._execute(_SQL["bury"], (after.fence, after.deleted_at, now, serial))
        for table in ("delete_record", "delete_steps", "delete_history"):
            self._execute(_SQL[table], (serial,))

    # --- whole instances --------------------------------------------------------------------------------------

    def put(self, image: Image, until: float) -> bool:
        """Keep *image* unless its id is known, in a transaction of its own."""
        begin(self._connection, until)
        with self._connection:
            if self.get(image.stored.id, 0.0) is not None:
                return False
            self._add(image)
        return True

    def _add(self, image: Image) -> None:
        stored, row, labels = image.stored, image.stored.row, image.stored.labels
        added = self._execute(
            _SQL["put_instance"],
            (
                *(_key(stored.id), stored.id, row.version, row.fence, row.token, row.holder, row.granted_at),
                *(
                    row.deleted_at,
                    row.note,
                    labels.orchestrator,
                    labels.version,
                    labels.status,
                    labels.parent,
                ),
                *(stored.created_at, stored.updated_at),
            ),
        )
        serial = added.lastrowid or 0
        if row.data is not None:
            self._execute(_SQL["save_record"], (serial, row.data))
        for it in image.journal:
            step = (serial, it.version, it.event_key, it.token, it.digest, it.produced, it.at)
            self._execute(_SQL["add_step"], step)
        for version, data in image.history[: self._options.history]:
            self._execute(_SQL["put_history"], (serial, version, data))

    # --- queries ----------------------------------------------------------------------------------------------

    def at_one_moment(self, clock: Callable[[], float], query: Callable[[float], R]) -> R:
        """*query*, given a time behind all it sees: else a lease granted or renewed meanwhile would be of the future."""
        self._execute("BEGIN")
        with self._connection:
            self._execute(
                "SELECT serial FROM instance"
            ).fetchone()  # a snapshot begins with what is read first
            return query(clock())

    def get(self, id: str, now: float) -> Stored | None:
        found = self._execute(_SQL["get"], (_key(id),)).fetchone()
        return None if found is None else _stored(found, now)

    def find(self, what: Find, before: int | None, limit: int, now: float) -> list[Stored]:
        query = _SQL["find" if what.parent is None else "find_children"]
        found = self._execute(query, _parameters(what, before, limit, now)).fetchall()
        return [_stored(row, now) for row in found]

    def count(self, what: Find, now: float) -> int:
        query = _SQL["find" if what.parent is None else "find_children"]
        (number,) = self._execute(
            f"SELECT count(*) FROM ({query})",  # noqa: S608 - the text is ours
            _parameters(what, None, -1, now),
        ).fetchone()
        return int(number)

    def journal(self, id: str, after: int, limit: int) -> list[JournalEntry]:
        return [JournalEntry(*found) for found in self._execute(_SQL["journal"], (_key(id), after, limit))]

    def history(self, id: str) -> list[tuple[int, bytes]]:
        return self._execute(_SQL["history"], (_key(id),)).fetchall()


def _row(
    values: tuple[Any, ...], consumed: JournalEntry | None = None, written: JournalEntry | None = None
) -> Row:
    """The row of stored values. SQLite keeps whatever somebody else's hand put into a column."""
    *lease, data = values
    for value, (column, kinds) in zip(lease, _KINDS, strict=True):
        if type(value) not in kinds:
            raise RecordCorrupt(f"the stored {column} is of the type {type(value).__name__}")
    if data is not None and type(data) is not bytes:
        data = str(data).encode()  # text may be a record all the same; whoever decodes it finds out
    return Row(*lease, data=data, consumed=consumed, written=written)


def _stored(found: tuple[Any, ...], now: float) -> Stored:
    serial, id = found[:2]
    orchestrator, version, status, parent, created_at, updated_at = found[11:]
    labels = Labels(orchestrator=orchestrator, version=version, status=status, parent=parent)
    return Stored(id, _row(found[2:11]), labels, created_at, updated_at, now, serial)


def _parameters(what: Find, before: int | None, limit: int, now: float) -> dict[str, Any]:
    return {
        "before": before,
        "orchestrator": what.orchestrator,
        "version": what.version,
        "status": what.status,
        "parent": what.parent,
        "root": what.root,
        "held": what.held,
        "updated_before": what.updated_before,
        "updated_after": what.updated_after,
        "deleted": what.deleted,
        "now": now,
        "limit": limit,
    }
