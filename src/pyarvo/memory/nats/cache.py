"""
Entries as they were last seen, so that a write need not read first: it stands on a revision, and is refused when
that is no longer the newest. What is here is never believed: an answer is given only for what the server confirmed.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from pyarvo.memory.nats.entry import Entry

__all__ = ["Cache", "Seen"]

_MAX_BYTES: Final = 16 * 1024 * 1024
_OVERHEAD: Final = 1_024


class Seen:
    """
    An entry as it was at a revision.

    Attributes:
        revision: Of the entry; 0 = it was not there.

        entry: The entry; None when it was not there.

        spilled: Whether the entry's last step is known to stand in its own key too.

        shared: Whether another process was seen writing this instance: then acquiring reads first.
    """

    __slots__ = ("entry", "revision", "shared", "spilled")

    def __init__(
        self, revision: int, entry: Entry | None, *, spilled: bool = False, shared: bool = False
    ) -> None:
        self.revision = revision
        self.entry = entry
        self.spilled = spilled
        self.shared = shared


class Cache:
    """The entries used last, up to 16 MiB."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, Seen] = OrderedDict()
        self._bytes = 0

    def get(self, id: str) -> Seen | None:
        """What was last seen of *id*."""
        seen = self._seen.get(id)
        if seen is not None:
            self._seen.move_to_end(id)
        return seen

    def put(self, id: str, seen: Seen) -> None:
        """Remember *seen*, and forget what was not used for longest."""
        self.drop(id)
        self._seen[id] = seen
        self._bytes += _size(seen)
        while self._bytes > _MAX_BYTES:
            self.drop(next(iter(self._seen)))

    def drop(self, id: str) -> None:
        """Forget *id*."""
        seen = self._seen.pop(id, None)
        if seen is not None:
            self._bytes -= _size(seen)


def _size(seen: Seen) -> int:
    entry = seen.entry
    if entry is None:
        return _OVERHEAD
    return _OVERHEAD + len(entry.row.data or b"") + len(entry.last) + len(entry.older) + len(entry.slots)
