"""The query level: what people and tools ask of a memory. No handler needs it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar, cast

from msgspec.structs import replace

from pyarvo.errors import LeaseLost, MemoryFault, MemoryUnavailable, RecordCorrupt, UnsupportedByBackend
from pyarvo.memory.access import StoreAccess, misanswer
from pyarvo.memory.arguments import (
    MAX_PAGE,
    check_after,
    check_age,
    check_cursor,
    check_find,
    check_image,
    check_limit,
    check_reason,
)
from pyarvo.memory.backend import Find, Image, Importing, Stored, is_hashed
from pyarvo.memory.codec import check_id
from pyarvo.memory.contract import Record, Step
from pyarvo.memory.decide import Delete, Deleted, Denied, ForceRelease, JournalEntry, Released, is_held
from pyarvo.memory.instances import Instance, Page
from pyarvo.memory.purging import purge_trees
from pyarvo.telemetry import active

__all__ = ["QueryLevel"]

# How often an instance is read anew because it changed while it was read.
_LOOKS: Final = 5

R = TypeVar("R")


@contextmanager
def _told_as(operation: str, id: str | None = None) -> Generator[None]:
    """The faults of a query that is made of others are its own."""
    try:
        yield
    except MemoryFault as fault:
        fault.operation = operation
        fault.id = fault.id or id
        raise


class QueryLevel(StoreAccess):
    """Reading and tending a store: lists, trees, the journal, deletion, release by force."""

    async def get(self, id: str) -> Instance | None:
        """
        One instance with its metadata and record; also a tombstone. None when the store never knew it.

        Raises:
            InvalidRecord: *id* is not an instance id.
            RecordCorrupt: The stored bytes do not decode.
            MemoryUnavailable: The store could not be asked.
        """
        check_id(id, "get")
        stored = await self._asked(lambda: self._backend.get(id), id, "get")
        return None if stored is None else self._instance(stored)

    async def instances(
        self, what: Find | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> Page:
        """
        Instances without their records, newest first.

        Args:
            what: Which; None = all that are not deleted.

            limit: 1 to 1,000.

            cursor: From the page before.

        Raises:
            InvalidOption: *what*, *limit* or *cursor* is out of bounds.
            MemoryUnavailable: The store could not be asked.
        """
        check_limit(limit)
        check_cursor(cursor)
        return await self._page(check_find(what), limit, cursor)

    async def _page(self, what: Find, limit: int, cursor: str | None) -> Page:
        before = None if cursor is None else int(cursor)
        found = await self._asked(
            lambda: self._backend.find(what, before=before, limit=limit + 1), None, "instances"
        )
        more = len(found) > limit
        items = tuple(self._instance(stored) for stored in found[:limit])
        return Page(items, str(found[limit - 1].serial) if more else None)

    async def each(self, what: Find | None = None) -> AsyncIterator[Instance]:
        """Every instance that `instances` would page through."""
        find = check_find(what)
        cursor: str | None = None
        size: int = getattr(self._backend, "page", MAX_PAGE)
        while True:
            page = await self._page(find, size, cursor)
            for instance in page.items:
                yield instance
            if page.cursor is None:
                return
            cursor = page.cursor

    async def count(self, what: Find | None = None) -> int:
        """How many instances *what* finds."""
        find = check_find(what)
        return await self._asked(lambda: self._backend.count(find), None, "count")

    async def children(self, id: str) -> tuple[Instance, ...]:
        """The instances whose parent is *id*, newest first."""
        check_id(id, "children")
        with _told_as("children", id):
            return tuple([child async for child in self.each(Find(parent=id))])

    async def ancestors(self, id: str) -> tuple[Instance, ...]:
        """The parent of *id*, its parent, and so on to the root, without their records; as far as the store knows them."""
        check_id(id, "ancestors")
        seen = {id}
        chain: list[Instance] = []
        instance = await self._bare(id)
        while instance is not None and instance.parent is not None and instance.parent not in seen:
            seen.add(instance.parent)
            instance = await self._bare(instance.parent)
            if instance is not None:
                chain.append(instance)
        return tuple(chain)

    async def _bare(self, id: str) -> Instance | None:
        """As `get`, without the record: one that is damaged does not hide its family."""
        stored = await self._asked(lambda: self._backend.get(id), id, "ancestors")
        if stored is None:
            return None
        return self._instance(replace(stored, row=replace(stored.row, data=None)))

    async def journal(self, id: str, *, after: int = 0, limit: int = 100) -> tuple[Step, ...]:
        """
        The steps of *id* with a version over *after*, oldest first.

        A write without a step has an empty event key. Events of steps older than the memory keeps are gone.

        Args:
            id: The instance.

            after: The version that the page before ended with.

            limit: 1 to 1,000.

        Raises:
            InvalidOption: *after* or *limit* is out of bounds.
            RecordCorrupt: The events of one of them do not decode.
            MemoryUnavailable: The store could not be asked.
        """
        check_id(id, "journal")
        check_after(after)
        check_limit(limit)
        entries = await self._asked(
            lambda: self._backend.journal(id, after=after, limit=limit), id, "journal"
        )
        return tuple(self._step(entry, id) for entry in entries)

    async def history(self, id: str) -> tuple[tuple[int, Record], ...]:
        """
        Earlier records that are still kept (option `history`), as version and record, newest first.

        Raises:
            RecordCorrupt: One of them does not decode; `earlier` has the others.
            MemoryUnavailable: The store could not be asked.
        """
        kept = await self.earlier(id)
        for _, record in kept:
            if isinstance(record, RecordCorrupt):
                raise record
        return cast("tuple[tuple[int, Record], ...]", kept)

    async def earlier(self, id: str) -> tuple[tuple[int, Record | RecordCorrupt], ...]:
        """As `history`, for tools: one that does not decode is its fault, and hides no other."""
        check_id(id, "history")
        kept = await self._asked(lambda: self._backend.history(id), id, "history")
        return tuple((version, self._decoded_or_fault(raw, id, version)) for version, raw in kept)

    def _decoded_or_fault(self, raw: bytes, id: str, version: int) -> Record | RecordCorrupt:
        try:
            return self._decoded(raw, id, version, "history")
        except RecordCorrupt as fault:
            return fault

    async def delete(self, id: str, *, force: bool = False) -> bool:
        """
        Remove record and journal; a tombstone refuses late commits.

        Args:
            id: The instance.

            force: Also while somebody holds the lease; the holder's commit is refused.

        Returns:
            Whether there was a record.

        Raises:
            LeaseLost: Somebody holds the lease, and *force* is False. Nothing was deleted.
        """
        check_id(id, "delete")
        op = Delete(id, bool(force))
        outcome = await self._ask(op, self._options.deadline_s, "delete")
        if isinstance(outcome, Denied):
            raise LeaseLost("somebody holds the lease; wait, or delete by force", id=id, operation="delete")
        if not isinstance(outcome, Deleted):
            raise misanswer(op, outcome)
        return outcome.existed

    async def force_release(self, id: str, *, reason: str) -> bool:
        """
        Take the lease of *id* away from whoever holds it; raises the fence and keeps the reason.

        Returns:
            Whether there was a lease to take.

        Raises:
            InvalidOption: No reason given, or none that can be kept: at most 4,096 UTF-8 bytes.
        """
        check_id(id, "force_release")
        check_reason(reason)
        op = ForceRelease(id, reason)
        outcome = await self._ask(op, self._options.deadline_s, "force_release")
        if not isinstance(outcome, Released):
            raise misanswer(op, outcome)
        return outcome.ours

    async def purge(self, *, older_than_s: float, dry_run: bool = False) -> tuple[str, ...]:
        """
        Delete whole trees of finished instances, the last change of each longer ago than *older_than_s*.

        A tree with one live, leased or younger member stays whole. A tree whose topmost instance has a parent that this
        store does not know (any more) counts as whole too.

        Returns:
            The ids deleted, or, with *dry_run*, those that would be.
        """
        age_s = check_age(older_than_s)

        async def look(id: str) -> Stored | None:
            return await self._asked(lambda: self._backend.get(id), id, "purge")

        with _told_as("purge"):
            return await purge_trees(self, look, older_than_s=age_s, dry_run=dry_run)

    # --- whole instances, for copies --------------------------------------------------------------------------

    async def image(self, id: str) -> Image | None:
        """
        Everything that the store keeps of *id*, as it was at one moment; None when the store never knew it.

        Raises:
            MemoryUnavailable: The store could not be asked, or the instance kept changing meanwhile.
        """
        check_id(id, "image")
        before = await self._asked(lambda: self._backend.get(id), id, "image")
        for _ in range(_LOOKS):
            if before is None:
                return None
            entries: list[JournalEntry] = []
            while page := await self._entries(id, entries[-1].version if entries else 0):
                entries.extend(page)
            kept = await self._asked(lambda: self._backend.history(id), id, "image")
            stored = await self._asked(lambda: self._backend.get(id), id, "image")
            if stored is not None and stored.row == before.row:
                return Image(stored, tuple(entries), tuple(kept))
            before = stored
        raise MemoryUnavailable("it kept changing while it was read", id=id, operation="image")

    async def put(self, image: Image) -> bool:
        """
        Keep a whole instance of another store, its lease ended; nothing is written when this store knows the id.

        Returns:
            Whether it was written.

        Raises:
            UnsupportedByBackend: This memory cannot, or cannot keep all of it. Nothing was written.
            MemoryUnavailable: The store could not be asked.
        """
        check_image(image)
        id = image.stored.id
        check_id(id, "put")
        backend = self._importing()
        if not backend.takes_hashed_keys and any(is_hashed(entry.event_key) for entry in image.journal):
            raise UnsupportedByBackend(
                "its store keeps only hashes of the events it consumed first, by which no other finds them",
                id=id,
                operation="put",
            )
        return await self._asked(lambda: backend.put(image), id, "put")

    @property
    def most_bodies(self) -> int | None:
        """Of how many of an instance's latest steps `put` keeps the events; None = of all."""
        return self._importing().most_bodies

    def _importing(self) -> Importing:
        backend = self._backend
        if not hasattr(backend, "put"):
            raise UnsupportedByBackend(f"a memory of {backend.name} takes no copies", operation="put")
        return cast("Importing", backend)

    async def _entries(self, id: str, after: int) -> Sequence[JournalEntry]:
        return await self._asked(lambda: self._backend.journal(id, after=after, limit=MAX_PAGE), id, "image")

    async def _asked(self, query: Callable[[], Coroutine[Any, Any, R]], id: str | None, operation: str) -> R:
        """The backend's answer to *query*; every fault names instance and operation."""
        self._check_usable(id, operation)
        on = None if self._backend.immediate else active()
        try:
            return await (query() if on is None else self._signals.query(on, query(), operation, id))
        except MemoryFault as fault:
            raise fault.about(id, operation) from fault.__cause__

    def _instance(self, stored: Stored) -> Instance:
        row, labels = stored.row, stored.labels
        held = is_held(row, stored.now)
        return Instance(
            id=stored.id,
            version=row.version,
            fence=row.fence,
            held=held,
            lapsed=not held and row.until != 0.0,
            holder=row.holder,
            held_since=row.granted_at if held else None,
            expires_in_s=row.until - stored.now if held else None,
            orchestrator=labels.orchestrator,
            orchestrator_version=labels.version,
            status=labels.status,
            parent=labels.parent,
            created_at=stored.created_at,
            updated_at=stored.updated_at,
            deleted_at=row.deleted_at,
            note=row.note,
            data=None if row.data is None else self._decoded(row.data, stored.id, row.version, "get"),
        )
