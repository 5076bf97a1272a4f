"""What a backend is: one `execute(ops) -> outcomes`, and a few queries. The public class above it does the rest."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, ClassVar, Final, NamedTuple, Protocol

from msgspec import Struct

from pyarvo.errors import MemoryFault
from pyarvo.events.labels import Labels
from pyarvo.memory.decide import JournalEntry, Op, Outcome, Row, is_held

__all__ = ["Backend", "Batches", "Find", "Image", "Importing", "Stored", "hashed", "is_hashed", "matches"]

_HASHED: Final = "blake2b:"
_HASHED_LENGTH: Final = len(_HASHED) + 32


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


def matches(stored: Stored, what: Find) -> bool:
    """Whether *what* lists *stored*, for backends that do not ask their store."""
    labels = stored.labels
    wanted: tuple[tuple[Any, Any], ...] = (
        (what.orchestrator, labels.orchestrator),
        (what.version, labels.version),
        (what.status, labels.status),
        (what.parent, labels.parent),
        (what.root, labels.parent is None),
        (what.held, is_held(stored.row, stored.now)),
    )
    if any(asked is not None and asked != actual for asked, actual in wanted):
        return False
    if what.deleted != (stored.row.deleted_at is not None):
        return False
    if what.updated_before is not None and stored.updated_at >= what.updated_before:
        return False
    return what.updated_after is None or stored.updated_at > what.updated_after


class Batches(NamedTuple):
    """
    How operations go to a backend.

    Attributes:
        max_ops: Most operations of one batch; 1 = each goes alone.

        max_in_flight: Most batches under way at once, on one event loop.
    """

    max_ops: int
    max_in_flight: int


class Backend(Protocol):
    """
    A store that keeps the lease algorithm of `decide`.

    `execute` applies each operation atomically, in the order given for operations of one instance, and durably:
    an outcome is handed out only after the store would keep it through a crash. Per operation it answers an
    outcome, or the fault of that operation alone. It raises `MemoryUnavailable` when nothing of the whole was
    applied, and `WriteOutcomeUnknown` when the store did not say.

    One batch of up to 256 operations is under way at a time. A backend that gains by having more under way may say so
    by an attribute `batches` (`Batches`): then the store works on one while this process works on another. No two
    batches under way have operations of one instance.

    A backend without an index, which walks all it has for every page of a list, may name by an attribute `page` how
    many instances to ask for when all are wanted; else it is 1,000.
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


# --- whole instances ------------------------------------------------------------------------------------------


class Image(Struct, frozen=True):
    """
    Everything that a store keeps of one instance.

    Attributes:
        stored: Row, record and labels.

        journal: Oldest first.

        history: Earlier records as version and bytes, newest first.
    """

    stored: Stored
    journal: tuple[JournalEntry, ...]
    history: tuple[tuple[int, bytes], ...]


class Importing(Protocol):
    """What a backend offers beside `Backend` to be the destination of a copy."""

    takes_hashed_keys: ClassVar[bool]
    """Whether it finds a consumed event by the hash of its key alone; see `hashed`."""

    @property
    def most_bodies(self) -> int | None:
        """Of how many of an instance's latest steps it keeps the events; None = of all that it is given."""
        ...

    async def put(self, image: Image) -> bool:
        """
        Keep *image* in one atomic operation, its lease ended, unless the store knows the id.

        All times stay as they are; order of creation is the order of the calls. Of the history as much is kept as
        the store's options say.

        Returns:
            Whether it was written.
        """
        ...


def hashed(event_key: str) -> str:
    """The form in which a store names an event key that it keeps only the hash of."""
    if is_hashed(event_key):
        return event_key
    return f"{_HASHED}{blake2b(event_key.encode(), digest_size=16).hexdigest()}"


def is_hashed(event_key: str | None) -> bool:
    """Whether *event_key* is only the hash of one."""
    return event_key is not None and event_key.startswith(_HASHED) and len(event_key) == _HASHED_LENGTH
