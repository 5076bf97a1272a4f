"""Copies of records that were just written, so that the next step of an instance need not decode its record."""

from __future__ import annotations

from threading import Lock
from typing import Final

from pyarvo.memory.contract import Record

__all__ = ["MOST_BYTES", "MOST_COPIES", "Copies"]

MOST_BYTES: Final = 4 * 1024 * 1024
"""Most bytes of all records together, encoded, of which copies are kept."""

MOST_COPIES: Final = 256
"""Most copies, whatever their length: a decoded record of few bytes takes many times their room."""


class Copies:
    """
    The copies that the checks of written records made anyway, the latest ones: at most 256, of at most 4 MiB of
    encoded records together. A longer record is not kept.

    A copy is good for one reader, who owns it then, and only where the store answers the very bytes that it was
    decoded from. Threads may share it.
    """

    __slots__ = ("_bytes", "_kept", "_mutex")

    def __init__(self) -> None:
        self._kept: dict[str, tuple[bytes, Record]] = {}
        self._bytes = 0
        self._mutex = Lock()

    def keep(self, id: str, raw: bytes, copy: Record) -> None:
        """*copy* is what *raw*, now stored for *id*, decodes to; the caller keeps no hold of it."""
        with self._mutex:
            self._forget(id)
            if len(raw) > MOST_BYTES:
                return
            self._kept[id] = (raw, copy)
            self._bytes += len(raw)
            while self._bytes > MOST_BYTES or len(self._kept) > MOST_COPIES:
                self._forget(next(iter(self._kept)))

    def take(self, id: str, raw: bytes) -> Record | None:
        """The copy of *raw*, which no other caller has or gets; None when there is none."""
        with self._mutex:
            kept = self._forget(id)
        return None if kept is None or kept[0] != raw else kept[1]

    def _forget(self, id: str) -> tuple[bytes, Record] | None:
        kept = self._kept.pop(id, None)
        if kept is not None:
            self._bytes -= len(kept[0])
        return kept
