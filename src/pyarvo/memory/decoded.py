"""A cache of decoded records, so that the step after a write need not decode what was just written."""

from __future__ import annotations

from threading import Lock
from typing import Final

from pyarvo.memory.contract import Record

__all__ = ["MOST_BYTES", "MOST_RECORDS", "DecodedRecords"]

MOST_BYTES: Final = 4 * 1024 * 1024
"""Most bytes of all records together, encoded."""

MOST_RECORDS: Final = 256
"""Most records, whatever their length: a decoded record of few bytes takes many times their room."""


class DecodedRecords:
    """
    The records written last, as the check of each write decoded them: at most 256, of at most 4 MiB of encoded
    records together. A longer record is not kept.

    A decoded record goes to one reader, who then owns it, and only where the store answers with the very bytes that
    it was decoded from. Threads may share this object.
    """

    __slots__ = ("_bytes", "_kept", "_mutex")

    def __init__(self) -> None:
        self._kept: dict[str, tuple[bytes, Record]] = {}
        self._bytes = 0
        self._mutex = Lock()

    def keep(self, id: str, raw: bytes, record: Record) -> None:
        """*record* is what *raw*, now stored for *id*, decodes to; the caller keeps no reference to it."""
        with self._mutex:
            self._forget(id)
            if len(raw) > MOST_BYTES:
                return
            self._kept[id] = (raw, record)
            self._bytes += len(raw)
            while self._bytes > MOST_BYTES or len(self._kept) > MOST_RECORDS:
                self._forget(next(iter(self._kept)))

    def take(self, id: str, raw: bytes) -> Record | None:
        """The decoded *raw*, which no other caller has or gets; None when it is not kept."""
        with self._mutex:
            kept = self._forget(id)
        return None if kept is None or kept[0] != raw else kept[1]

    def _forget(self, id: str) -> tuple[bytes, Record] | None:
        kept = self._kept.pop(id, None)
        if kept is not None:
            self._bytes -= len(kept[0])
        return kept
