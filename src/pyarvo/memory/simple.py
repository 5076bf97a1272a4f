"""SimpleMachineMemory: everything in this process. State is lost with it; the lease rules are those of every store."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import Any, ClassVar, Unpack

from msgspec.structs import replace

from pyarvo.errors import InvalidOption, MemoryFault
from pyarvo.events.labels import Labels
from pyarvo.memory.backend import Find, Image, Stored, matches
from pyarvo.memory.decide import (
    Acquire,
    Commit,
    Committed,
    Deleted,
    JournalEntry,
    Op,
    Outcome,
    Row,
    decide,
    is_held,
)
from pyarvo.memory.leased import LeasedMemory
from pyarvo.memory.options import MemoryOptions, OptionFields, check_clock

__all__ = ["SimpleBackend", "SimpleMachineMemory", "open_simple"]

_NO_LABELS = Labels()
_SWEEP_EVERY_S = 3_600.0


def _monotonic_epoch() -> Callable[[], float]:
    """A clock that reads like the time of day but cannot be set back."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


class _Entry:
    """All there is of one instance."""

    __slots__ = ("by_key", "by_version", "created_at", "history", "labels", "row", "serial", "updated_at")

    def __init__(self, serial: int, now: float, history: int) -> None:
        self.row = Row()
        self.labels = _NO_LABELS
        self.serial = serial
        self.created_at = now
        self.updated_at = now
        self.by_key: dict[str, JournalEntry] = {}
        self.by_version: dict[int, JournalEntry] = {}
        self.history: deque[tuple[int, bytes]] = deque(maxlen=history)


class SimpleBackend:
    """
    Encoded bytes in a dictionary, so that no caller ever holds what the store holds.

    Args:
        options: See `MemoryOptions`.

        clock: Seconds since the epoch; for tests. Default: monotonic.
    """

    name: ClassVar[str] = "memory"
    immediate: ClassVar[bool] = True
    takes_hashed_keys: ClassVar[bool] = False
    most_bodies: ClassVar[int | None] = None

    def __init__(self, options: MemoryOptions, clock: Callable[[], float] | None = None) -> None:
        self._options = options
        self._clock = clock or _monotonic_epoch()
        self._entries: dict[str, _Entry] = {}
        self._serial = 0
        self._mutex = Lock()
        self._sweep_at = self._clock() + _SWEEP_EVERY_S

    async def execute(self, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        with self._mutex:
            now = self._clock()
            if now >= self._sweep_at:
                self._sweep(now)
            return [self._apply(op, now) for op in ops]

    def _apply(self, op: Op, now: float) -> Outcome:
        entry = self._entries.get(op.id)
        seen = _seen(entry, op)
        row, outcome = decide(seen, op, now)
        if row is seen:
            return outcome
        if entry is None:
            self._serial += 1
            entry = self._entries[op.id] = _Entry(self._serial, now, self._options.history)
        before = entry.row
        # What the journal said of this operation is no part of the instance.
        entry.row = (
            row if row.written is None and row.consumed is None else replace(row, written=None, consumed=None)
        )
        if type(op) is Commit:
            if row.version != before.version and isinstance(outcome, Committed):
                self._keep(entry, before, op, now)
        elif type(outcome) is Deleted and row is not before:
            self._entries[op.id] = forgotten = _Entry(entry.serial, entry.created_at, self._options.history)
            forgotten.row, forgotten.updated_at = row, now
        return outcome

    def _keep(self, entry: _Entry, before: Row, op: Commit, now: float) -> None:
        """Everything that a commit changes beside the row."""
        version = entry.row.version
        made = JournalEntry(version, op.event_key, op.token, op.digest, op.produced, now)
        entry.by_version[version] = made
        if op.event_key is not None:
            entry.by_key[op.event_key] = made
        old = entry.by_version.pop(version - self._options.journal, None)
        if old is not None and old.event_key is not None:
            bare = replace(old, produced=None)
            entry.by_key[old.event_key] = entry.by_version[old.version] = bare
        if before.data is not None and self._options.history:
            entry.history.append((before.version, before.data))
        entry.labels = op.labels
        entry.updated_at = now

    def _sweep(self, now: float) -> None:
        """Forget tombstones, and instances that were leased but never written, once they are old."""
        self._sweep_at = now + _SWEEP_EVERY_S
        oldest = now - self._options.tombstone_s
        for id, entry in list(self._entries.items()):
            old = entry.updated_at < oldest and entry.row.granted_at < oldest
            if entry.row.version == 0 and old and not is_held(entry.row, now):
                del self._entries[id]

    # --- queries ----------------------------------------------------------------------------------------------

    async def get(self, id: str) -> Stored | None:
        with self._mutex:
            entry = self._entries.get(id)
            return None if entry is None else _stored(id, entry, self._clock())

    async def find(self, what: Find, *, before: int | None, limit: int) -> Sequence[Stored]:
        with self._mutex:
            found = [stored for stored in self._matching(what) if before is None or stored.serial < before]
        found.sort(key=lambda stored: -stored.serial)
        return [replace(stored, row=replace(stored.row, data=None)) for stored in found[:limit]]

    async def count(self, what: Find) -> int:
        with self._mutex:
            return sum(1 for _ in self._matching(what))

    async def journal(self, id: str, *, after: int, limit: int) -> Sequence[JournalEntry]:
        with self._mutex:
            entry = self._entries.get(id)
            if entry is None:
                return []
            kept = [entry.by_version[version] for version in sorted(entry.by_version) if version > after]
        return kept[:limit]

    async def history(self, id: str) -> Sequence[tuple[int, bytes]]:
        with self._mutex:
            entry = self._entries.get(id)
            return [] if entry is None else list(reversed(entry.history))

    # --- whole instances --------------------------------------------------------------------------------------

    async def put(self, image: Image) -> bool:
        stored = image.stored
        with self._mutex:
            if stored.id in self._entries:
                return False
            self._serial += 1
            entry = _Entry(self._serial, stored.created_at, self._options.history)
            entry.row, entry.labels = replace(stored.row, until=0.0), stored.labels
            entry.updated_at = stored.updated_at
            entry.by_version = {step.version: step for step in image.journal}
            entry.by_key = {step.event_key: step for step in image.journal if step.event_key is not None}
            entry.history.extend(reversed(image.history))
            self._entries[stored.id] = entry
        return True

    # --- life cycle -------------------------------------------------------------------------------------------

    async def ping(self) -> None:
        return

    async def close(self) -> None:
        return

    def _matching(self, what: Find) -> Iterator[Stored]:
        now = self._clock()
        for id, entry in self._entries.items():
            stored = _stored(id, entry, now)
            if matches(stored, what):
                yield stored


def _seen(entry: _Entry | None, op: Op) -> Row:
    """The row as `decide` wants it: with what the journal says of this operation."""
    if entry is None:
        return Row()
    if type(op) is Commit:
        consumed = None if op.event_key is None else entry.by_key.get(op.event_key)
        written = entry.by_version.get(op.expected + 1)
        if consumed is not None or written is not None:
            return replace(entry.row, consumed=consumed, written=written)
    elif type(op) is Acquire and op.event_key is not None:
        consumed = entry.by_key.get(op.event_key)
        if consumed is not None:
            return replace(entry.row, consumed=consumed)
    return entry.row


def _stored(id: str, entry: _Entry, now: float) -> Stored:
    return Stored(id, entry.row, entry.labels, entry.created_at, entry.updated_at, now, entry.serial)


class SimpleMachineMemory(LeasedMemory):
    """
    A memory inside this process: for development, tests and request-scoped workflows.

    It keeps the whole contract of the durable ones, for several event loops and threads of one process; what
    it keeps is lost with the process.

    Args:
        clock: Seconds since the epoch; for tests. Default: monotonic.

        options: See `MemoryOptions`.

    Raises:
        InvalidOption: An option is unknown or out of its bounds.
    """

    def __init__(self, *, clock: Callable[[], float] | None = None, **options: Unpack[OptionFields]) -> None:
        if clock is not None:
            check_clock(clock)
        parsed = MemoryOptions.of(options)
        super().__init__(SimpleBackend(parsed, clock), parsed)


def open_simple(url: str, **options: Any) -> SimpleMachineMemory:
    """The factory of `memory://`; every call opens another, empty memory."""
    if url.partition("://")[2]:
        raise InvalidOption("url", "memory:// takes no path; its options follow as ?name=value")
    return SimpleMachineMemory(**options)
