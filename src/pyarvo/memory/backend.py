"""What a backend is: one `execute(ops) -> outcomes`, and a few queries. The public class above it does the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from msgspec import Struct

from pyarvo.errors import MemoryFault
from pyarvo.events.labels import Labels
from pyarvo.memory.decide import JournalEntry, Op, Outcome, Row

__all__ = ["Backend", "Find", "Stored"]


class Stored(Struct, frozen=True):
    """
    One instance as the store has it, for people and tools.

    Attributes:
        id: The instance.

        row: Its lease and version; `data` only where one instance was asked for.

        labels: What lists filter by.

        created_at, updated_at: By the store's clock, seconds since the epoch.

        now: The store's clock at the moment of reading.

        serial: Order of creation; lists go from the highest down.
    """

    id: str
    row: Row
    labels: Labels
    created_at: float
    updated_at: float
    now: float
    serial: int


class Find(Struct, frozen=True):
    """
    Which instances to list; every field that is not None narrows.

    Attributes:
        orchestrator, version, status, parent: Labels, compared as they are.

        root: True = without a parent, False = with one.

        held: Whether a lease runs now, by the store's clock.

        updated_before, updated_after: Seconds since the epoch.

        deleted: Tombstones are listed only when this is True, and then nothing else is.
    """

    orchestrator: str | None = None
    version: str | None = None
    status: str | None = None
    parent: str | None = None
    root: bool | None = None
    held: bool | None = None
    updated_before: float | None = None
    updated_after: float | None = None
    deleted: bool = False


class Backend(Protocol):
    """
    A store that keeps the lease algorithm of `decide`.

    `execute` applies each operation atomically, in the order given for operations of one instance, and durably:
    an outcome is handed out only after the store would keep it through a crash. Per operation it answers an
    outcome, or the fault of that operation alone. It raises `MemoryUnavailable` when nothing of the whole was
    applied, and `WriteOutcomeUnknown` when the store did not say.

    One batch is under way at a time. A backend that executes batches in the order in which they were handed over,
    also while earlier ones are not answered, may say so by an attribute `batches`: most operations of one, and
    most batches under way. Then the store works on one while this process works on another.
    """

    name: ClassVar[str]
    """The URL scheme, and the name in logs and metrics."""

    immediate: ClassVar[bool]
    """Whether `execute` answers without ever suspending; then calls are neither batched nor timed."""

    async def execute(self, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]: ...

    async def get(self, id: str) -> Stored | None: ...

    async def find(self, what: Find, *, before: int | None, limit: int) -> Sequence[Stored]:
        """Instances with a serial under *before*, newest first."""
        ...

    async def count(self, what: Find) -> int: ...

    async def journal(self, id: str, *, after: int, limit: int) -> Sequence[JournalEntry]:
        """Entries with a version over *after*, oldest first."""
        ...

    async def history(self, id: str) -> Sequence[tuple[int, bytes]]:
        """Earlier records that are still kept, as version and bytes, newest first."""
        ...

    async def ping(self) -> None: ...

    async def close(self) -> None: ...
