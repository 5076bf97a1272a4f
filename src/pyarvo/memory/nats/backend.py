"""Operations that wait go out one after another on one connection, their answers come as they come."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import aclosing
from functools import partial
from threading import Lock
from time import monotonic
from typing import ClassVar, Final

from msgspec.structs import replace
from nats.aio.client import Client

from pyarvo.errors import MemoryFault, MemoryUnavailable
from pyarvo.memory.backend import Find, Image, Stored, matches
from pyarvo.memory.decide import JournalEntry, Op, Outcome
from pyarvo.memory.loops import forget_ended, run_there
from pyarvo.memory.nats.address import Address
from pyarvo.memory.nats.bucket import Bucket, BucketOptions
from pyarvo.memory.nats.entry import Entry, is_forgotten
from pyarvo.memory.nats.importing import put
from pyarvo.memory.nats.keys import id_of
from pyarvo.memory.nats.link import Link
from pyarvo.memory.nats.scan import messages, stored_of
from pyarvo.memory.nats.steps import JOURNAL, PAGE
from pyarvo.memory.nats.store import Clock, Store
from pyarvo.memory.nats.sweep import sweep
from pyarvo.memory.options import MemoryOptions

__all__ = ["NatsBackend"]

_SWEEP_EVERY_S: Final = 3_600.0

_PAGES_FROM_ONE_SCAN_S: Final = 60.0


class NatsBackend:
    """
    A bucket of JetStream.

    Args:
        address: Where the servers are; or

        client: A connected client of the running loop, never closed.

        bucket: How the bucket is, and is made.

        options: See `MemoryOptions`.

        clock: Seconds since the epoch, for tests; None = the server's.
    """

    name: ClassVar[str] = "nats"
    immediate: ClassVar[bool] = False
    takes_hashed_keys: ClassVar[bool] = True

    def __init__(
        self,
        address: Address | None,
        client: Client | None,
        bucket: BucketOptions,
        options: MemoryOptions,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._address = address
        self._client = client
        self._bucket = bucket
        self._options = options
        self._clock = clock
        self._stores: dict[asyncio.AbstractEventLoop, Store] = {}
        self._mutex = Lock()
        self._sweep_at = 0.0
        self._scanned: tuple[Find, float, list[Stored]] | None = None

    async def execute(self, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        store = self._stores.get(asyncio.get_running_loop()) or await self._store()
        if len(ops) == 1:
            outcomes = await _in_order(store, ops)
        else:
            by_id: defaultdict[str, list[int]] = defaultdict(list)
            for n, op in enumerate(ops):
                by_id[op.id].append(n)
            groups = list(by_id.values())
            answers = await asyncio.gather(*(_in_order(store, [ops[n] for n in group]) for group in groups))
            outcome_of = {
                n: outcome
                for group, mine in zip(groups, answers, strict=True)
                for n, outcome in zip(group, mine, strict=True)
            }
            outcomes = [outcome_of[n] for n in range(len(ops))]
        self._sweep_now_and_then(store)
        return outcomes

    async def _store(self) -> Store:
        loop = asyncio.get_running_loop()
        with self._mutex:
            store = self._stores.get(loop)
            if store is None:
                forget_ended(self._stores)
                if self._client is not None and self._stores:
                    raise MemoryUnavailable(
                        "the client passed in belongs to another event loop", transient=False
                    )
                bucket = Bucket(self._bucket, self._options.deadline_s, create=self._options.create)
                link = Link(self._address, self._client, bucket.greet)
                store = self._stores[loop] = Store(link, bucket, self._options, self._clock)
            return store

    def _sweep_now_and_then(self, store: Store) -> None:
        clock = self._clock or monotonic
        if clock() >= self._sweep_at:
            self._sweep_at = clock() + _SWEEP_EVERY_S
            store.in_background(sweep(store, self._options.tombstone_s, self._options.deadline_s))

    # --- queries ----------------------------------------------------------------------------------------------

    async def get(self, id: str) -> Stored | None:
        store = await self._store()
        entry = await self._entry(store, id)
        if entry is None:
            return None
        now = await store.now(entry.row.granted_at)
        return Stored(id, entry.row, entry.labels, entry.created_at, entry.updated_at, now, entry.serial)

    async def find(self, what: Find, *, before: int | None, limit: int) -> Sequence[Stored]:
        if before is not None:
            known = self._scanned_of(what)
            if known is not None:
                return await self._again([each.id for each in known if each.serial < before], what, limit)
        found = sorted(await self._matching(what), key=lambda each: -each.serial)
        self._scanned = (what, monotonic(), found)
        return [each for each in found if before is None or each.serial < before][:limit]

    async def _again(self, ids: list[str], what: Find, limit: int) -> list[Stored]:
        """The first *limit* of *ids* that are still there and still match, as they are now."""
        found: list[Stored] = []
        while ids and len(found) < limit:
            some, ids = ids[: limit - len(found)], ids[limit - len(found) :]
            for stored in await asyncio.gather(*(self.get(id) for id in some)):
                if stored is not None and matches(stored, what):
                    found.append(replace(stored, row=replace(stored.row, data=None)))
        return found

    def _scanned_of(self, what: Find) -> list[Stored] | None:
        """What the scan for an earlier page found: its later pages come from it."""
        if self._scanned is None:
            return None
        wanted, at, found = self._scanned
        return found if wanted == what and monotonic() - at < _PAGES_FROM_ONE_SCAN_S else None

    async def count(self, what: Find) -> int:
        return len(await self._matching(what))

    async def _matching(self, what: Find) -> list[Stored]:
        store = await self._store()
        if what.parent is not None:
            children = await self._children(store, what.parent)
            return await self._again(children, what, len(children))
        found: dict[str, Stored] = {}
        every = messages(store, store.bucket.keys.entries, headers_only=True)
        async with aclosing(every):
            async for message in every:
                now = await store.now()  # for each: leases are granted and renewed while the scan runs
                stored = stored_of(message, partial(store.judged_at, now))
                gone = is_forgotten(stored.row, stored.updated_at, now, self._options.tombstone_s)
                # One that is written during the scan comes by again.
                if matches(stored, what) and not gone:
                    found[stored.id] = stored
                else:
                    found.pop(stored.id, None)
        return list(found.values())

    async def _children(self, store: Store, parent: str) -> list[str]:
        until = monotonic() + self._options.deadline_s
        subjects = await store.bucket.subjects(store.link, store.bucket.keys.children(parent))
        plain = {subject: id_of(subject) for subject in subjects}
        hashed = [subject for subject, id in plain.items() if id is None]
        found = await asyncio.gather(*(store.stream.newest(subject, until) for subject in hashed))
        return [id for id in plain.values() if id is not None] + [
            message.data.decode() for message in found if message is not None
        ]

    async def journal(self, id: str, *, after: int, limit: int) -> Sequence[JournalEntry]:
        store = await self._store()
        until = monotonic() + self._options.deadline_s

        async def steps(entry: Entry) -> list[JournalEntry]:
            return await _steps(store, entry, after, limit, until)

        return await store.beside(id, until, steps) or []

    async def history(self, id: str) -> Sequence[tuple[int, bytes]]:
        store = await self._store()
        entry = await self._entry(store, id)
        if entry is None:
            return []
        last, until = entry.row.version, monotonic() + self._options.deadline_s
        versions = range(last - 1, max(0, last - 1 - self._options.history), -1)
        subjects = [store.bucket.keys.earlier(id, entry.life, version) for version in versions]
        found = await asyncio.gather(*(store.stream.newest(subject, until) for subject in subjects))
        return [
            (version, message.data)
            for version, message in zip(versions, found, strict=True)
            if message is not None
        ]

    async def _entry(self, store: Store, id: str) -> Entry | None:
        return (await store.load(id, monotonic() + self._options.deadline_s)).entry

    # --- whole instances --------------------------------------------------------------------------------------

    @property
    def most_bodies(self) -> int | None:
        return min(self._options.journal, JOURNAL)

    async def put(self, image: Image) -> bool:
        store = await self._store()
        return await put(store, image, history=self._options.history, within_s=self._options.deadline_s)

    # --- life cycle -------------------------------------------------------------------------------------------

    async def ping(self) -> None:
        store = await self._store()
        await store.bucket.refresh(store.link)

    async def close(self) -> None:
        here = asyncio.get_running_loop()
        with self._mutex:
            stores = list(self._stores.items())
            self._stores.clear()
        for loop, store in stores:
            if loop is here:
                await store.close()
            elif loop.is_running():
                await run_there(store.close(), loop, self._options.deadline_s)


async def _in_order(store: Store, ops: Sequence[Op]) -> list[Outcome | MemoryFault]:
    """Operations of one instance, one after another; each has its own fault."""
    answers: list[Outcome | MemoryFault] = []
    for op in ops:
        try:
            answers.append(await store.apply(op))
        except MemoryFault as fault:
            answers.append(fault)
    return answers


async def _steps(store: Store, entry: Entry, after: int, limit: int, until: float) -> list[JournalEntry]:
    """The steps of an instance with a version over *after*."""
    last = entry.row.version
    first = max(0, after) + 1
    pages = await store.pages(entry, range((first - 1) // PAGE, entry.paged // PAGE), until)
    slots = {version: entry.slot(version, pages) for version in range(first, last + 1)}
    kept_from = last - store.journal + 1
    shown = [version for version, slot in slots.items() if version >= kept_from or slot.key is not None]
    found = [store.step(entry, version, slots[version], until) for version in shown[:limit]]
    return await asyncio.gather(*found)
