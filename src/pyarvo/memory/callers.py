"""
Whose lock is it? The four verbs carry no token, so the lease rides in the caller's context.

`lock` puts an empty cell into the context variable when it is *called*; the coroutine it returns fills the
cell. So the lease is found again under `asyncio.wait_for`, `gather`, `create_task` and from other threads,
where a variable set inside the coroutine would be lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from itertools import count
from threading import Lock
from time import monotonic
from types import MappingProxyType
from typing import Final

from pyarvo.memory.contract import Lease
from pyarvo.memory.options import MAX_TTL_S

__all__ = ["Callers", "Cell"]


class Cell:
    """One call of `lock`: empty until it is granted, and again after it was given up."""

    __slots__ = ("filled_at", "lease")

    def __init__(self) -> None:
        self.lease: Lease | None = None
        self.filled_at = 0.0


_Cells = Mapping[tuple[int, str], tuple[Cell, ...]]
_cells: ContextVar[_Cells] = ContextVar("pyarvo_cells", default=MappingProxyType({}))
_serials = count()

# A context that locked an id and gave it up is remembered, so that a late write of it is not taken for one of a
# caller without a cell. Only the latest are: a worker that locks for months must not grow.
_REMEMBERED: Final = 256
_SWEEP_OVER: Final = 1_024


class Callers:
    """The leases that callers of one memory object took with `lock`."""

    def __init__(self) -> None:
        self._serial = next(_serials)
        self._grants: dict[str, list[Cell]] = {}
        self._sweep_over = _SWEEP_OVER
        self._mutex = Lock()

    def open(self, id: str) -> Cell:
        """A new empty cell for *id* in the caller's context."""
        cell = Cell()
        key = (self._serial, id)
        seen = dict(_cells.get())
        kept = tuple(old for old in seen.pop(key, ()) if old.lease is not None)
        if len(seen) >= _REMEMBERED:
            given_up = next((k for k, cells in seen.items() if not any(c.lease for c in cells)), None)
            if given_up is not None:
                del seen[given_up]
        seen[key] = (*kept, cell)
        _cells.set(seen)
        return cell

    def fill(self, cell: Cell, lease: Lease) -> None:
        """The lock was granted."""
        cell.lease = lease
        cell.filled_at = monotonic()
        with self._mutex:
            if len(self._grants) > self._sweep_over:
                self._sweep()
                # Twice what is left: so that many leases held at once cost each lock next to nothing.
                self._sweep_over = max(_SWEEP_OVER, 2 * len(self._grants))
            self._grants.setdefault(lease.id, []).append(cell)

    def find(self, id: str) -> Cell | None:
        """
        The cell that the caller acts on; None when it has none.

        A caller that never called `lock` of *id* (a fixture, a synchronous dependency) acts only where this
        memory object has exactly one lease of it that was not given up.
        """
        mine = _cells.get().get((self._serial, id))
        if mine is not None:
            return next((cell for cell in reversed(mine) if cell.lease is not None), None)
        grants = self._grants.get(id, ())
        return grants[0] if len(grants) == 1 else None

    def close(self, cell: Cell) -> None:
        """The lease was given up, or is known to be lost."""
        with self._mutex:
            if cell.lease is None:
                return
            id, cell.lease = cell.lease.id, None
            self._grants[id] = [grant for grant in self._grants.get(id, ()) if grant is not cell]
            if not self._grants[id]:
                del self._grants[id]

    def _sweep(self) -> None:
        """Forget leases that nobody gave up and that have been over for longer than any TTL."""
        oldest = monotonic() - 2 * MAX_TTL_S
        for id, grants in list(self._grants.items()):
            self._grants[id] = [cell for cell in grants if cell.filled_at > oldest]
            if not self._grants[id]:
                del self._grants[id]
