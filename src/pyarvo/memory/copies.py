"""Copies of records that were just written, so that the next step of an instance need not decode its record."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from pyarvo.memory.contract import Record

__all__ = ["MOST_COPIES", "MOST_COPY_BYTES", "Copies"]

MOST_COPIES: Final = 256
MOST_COPY_BYTES: Final = 16 * 1024
"""Longest record, as encoded bytes, of which a copy is kept."""


class Copies:
    """
    The copies that the checks of written records made anyway, the latest ones.

    A copy is good for one reader, who owns it then, and only where the store answers the very bytes that it was
    decoded from.
    """

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[bytes, Record]] = OrderedDict()

    def keep(self, id: str, raw: bytes, copy: Record) -> None:
        """*copy* is what *raw*, now stored for *id*, decodes to; the caller keeps no hold of it."""
        if len(raw) > MOST_COPY_BYTES:
            return
        self._kept[id] = (raw, copy)
        if len(self._kept) > MOST_COPIES:
            self._kept.popitem(last=False)

    def take(self, id: str, raw: bytes) -> Record | None:
        """The copy of *raw*, which no other caller has or gets; None when there is none."""
        kept = self._kept.pop(id, None)
        return None if kept is None or kept[0] != raw else kept[1]
