"""What one operation does to the bucket: see the entry, decide, save it under its revision, or see it again."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from time import monotonic
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pyarvo.errors import MemoryFault, MemoryUnavailable, RecordCorrupt, RecordTooLarge
from pyarvo.memory.decide import (
    Acquire,
    Commit,
    Consumed,
    Delete,
    JournalEntry,
    Op,
    Outcome,
    Read,
    Row,
    decide,
)
from pyarvo.memory.nats.bucket import Bucket
from pyarvo.memory.nats.cache import Cache, Seen
from pyarvo.memory.nats.clock import SLACK_S
from pyarvo.memory.nats.entry import HEADER, Entry, is_forgotten, new_entry
from pyarvo.memory.nats.keys import BLOCK
from pyarvo.memory.nats.link import EXPECTED, Ask, Link
from pyarvo.memory.nats.steps import JOURNAL, Slot, StepBody, check_page, decode_body
from pyarvo.memory.nats.stream import Stream, is_stored, revision_of
from pyarvo.memory.options import MemoryOptions
from pyarvo.memory.retry import ATTEMPT_S

__all__ = ["LEASE_ROOM", "Clock", "Mark", "Store"]

R = TypeVar("R")

Clock = Callable[[], float]

_log = logging.getLogger("pyarvo.memory.nats")

# A little less than the caller's deadline, so that it hears what became of its call.
_PATIENCE: Final = 0.9

_ROUNDS: Final = 64
_PAUSE_S: Final = 0.002

_HEADROOM: Final = 64 * 1024
_MARGIN: Final = 2 * 1024

# The server's, and not to be configured.
_HEADER_LIMIT: Final = 64 * 1024 - 1

LEASE_ROOM: Final = 32 * 1024
"""
What later leases may add to a written entry: the longest holder, and the longest reason of a release by force, with
its escapes. A write that left no room for them could never be leased again.
"""


class Lacking(Exception):
    """What an entry names is not there: it went with the instance, whose entry is another by now, or it is lost."""


class Mark(Struct, frozen=True, array_like=True):
    """Tells the sweep of an instance that came to be or was deleted at a time."""

    id: str
    at: float


class Store:
    """
    The bucket as one event loop works on it.

    Args:
        link: The loop's connection.

        bucket: Checked whenever the link connects.

        options: How much journal and history to keep, and how long to wait.

        clock: Seconds since the epoch, for tests; None = the server's.
    """

    def __init__(self, link: Link, bucket: Bucket, options: MemoryOptions, clock: Clock | None) -> None:
        self.link = link
        self.bucket = bucket
        self.stream = Stream(link, bucket)
        self._options = options
        self.journal = min(options.journal, JOURNAL)
        self._clock = clock
        self._cache = Cache()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._reading_clock = asyncio.Lock()
        self._background: set[asyncio.Task[None]] = set()

    async def apply(self, op: Op) -> Outcome:
        """
        Do *op*.

        Raises:
            MemoryUnavailable: Nothing was applied.
            WriteOutcomeUnknown: The server did not say.
            RecordTooLarge: Over what the server takes in one message; nothing was sent.
            RecordCorrupt, SchemaTooNew: The stored entry is not to be used.
        """
        if isinstance(op, Read):
            return await self._apply(op, monotonic() + ATTEMPT_S)
        until = monotonic() + self._options.deadline_s * _PATIENCE
        turn = self._turns.get(op.id)
        if turn is None:
            turn = self._turns[op.id] = asyncio.Lock()
        async with turn:
            return await self._apply(op, until)

    async def _apply(self, op: Op, until: float) -> Outcome:
        await self.link.connected()
        self._check_size(op)
        seen = self._guess(op)
        guessed, lacked = seen is not None, -1
        for n in range(_ROUNDS):
            if monotonic() >= until:
                break
            if n > 2:
                await asyncio.sleep(random.uniform(0, _PAUSE_S * n))
            seen = seen or await self.load(op.id, until)
            try:
                outcome = await self._tried(op, seen, until, sure=not guessed)
            except Lacking as lacking:
                if seen.revision == lacked:
                    raise RecordCorrupt(str(lacking)) from lacking
                outcome, lacked = None, -1 if guessed else seen.revision
            if outcome is not None:
                return outcome
            seen, guessed = None, False
        raise MemoryUnavailable("this instance was busy until the deadline; nothing was applied")

    async def _tried(self, op: Op, seen: Seen, until: float, *, sure: bool) -> Outcome | None:
        """The outcome on what was seen; None when something newer is there, or may be where that is not *sure*."""
        row = await self._row(seen.entry, op, until)
        now = 0.0 if isinstance(op, Read) else await self.now(row.granted_at)
        after, outcome = decide(row, op, now)
        if after is row:
            return await self._with_body(seen.entry, outcome, until) if sure else None
        entry = self._entry(seen, after, op, now)
        return outcome if await self._save(op, seen, entry, until) else None

    async def beside(self, id: str, until: float, work: Callable[[Entry], Awaitable[R]]) -> R | None:
        """
        What *work* finds beside the newest entry of *id*; None where there is no entry.

        Raises:
            RecordCorrupt: Something that the entry names is not there, and the entry is the same still.
        """
        lacked = -1
        while (seen := await self.load(id, until)).entry is not None:
            try:
                return await work(seen.entry)
            except Lacking as lacking:
                if seen.revision == lacked:
                    raise RecordCorrupt(str(lacking)) from lacking
                lacked = seen.revision
        return None

    # --- seeing -----------------------------------------------------------------------------------------------

    def _guess(self, op: Op) -> Seen | None:
        """What to stand on without asking; every answer but a confirmed write is looked up after all."""
        seen = None if isinstance(op, Read) else self._cache.get(op.id)
        return None if seen is None or (seen.shared and isinstance(op, Acquire)) else seen

    async def load(self, id: str, until: float) -> Seen:
        """The newest entry of *id*, from the stream's leader."""
        message = await self.stream.newest(self.bucket.keys.entry(id), until)
        if message is None:
            return Seen(0, None)
        entry = Entry.decode(id, message.seq, message.header, message.data)
        if entry.row.version == 0 and await self._is_forgotten(entry):
            return Seen(message.seq, None)
        seen = Seen(message.seq, entry)
        known = self._cache.get(id)
        if known is not None:
            seen.shared = known.shared and known.revision != seen.revision
            seen.spilled = known.spilled and known.revision == seen.revision
        return seen

    async def _row(self, entry: Entry | None, op: Op, until: float) -> Row:
        if entry is None:
            return Row()
        pages = entry.pages_for(op)
        return entry.row_for(op, await self.pages(entry, pages, until)) if pages else entry.row_for(op)

    async def pages(self, entry: Entry, numbers: Iterable[int], until: float) -> dict[int, bytes]:
        """Those pages of the journal."""
        pages: dict[int, bytes] = {}
        for number in numbers:
            message = await self.stream.newest(self.bucket.keys.page(entry.id, entry.life, number), until)
            if message is None:
                raise Lacking("a page of the journal is not there")
            pages[number] = check_page(message.data)
        return pages

    async def _is_forgotten(self, entry: Entry) -> bool:
        now = await self.now(entry.row.granted_at)
        return is_forgotten(entry.row, entry.updated_at, now, self._options.tombstone_s)

    async def now(self, granted_at: float = 0.0) -> float:
        """
        The server's clock, in seconds since the epoch.

        Args:
            granted_at: Of the lease to be judged. Its grant lies in the past, whatever our estimate says, unless
                the server's clock was set back.
        """
        if self._clock is not None:
            return self._clock()
        clock = self.bucket.clock
        if not clock.is_fresh(monotonic()):
            async with self._reading_clock:
                if not clock.is_fresh(monotonic()):
                    await self.bucket.refresh(self.link)
        now = clock.now(monotonic())
        if granted_at > now + SLACK_S:
            await self.bucket.refresh(self.link)
            now = clock.now(monotonic())
        return self.judged_at(now, granted_at)

    def judged_at(self, now: float, granted_at: float) -> float:
        """*now*, or the grant of the lease to be judged where that lies a little behind it."""
        ahead = self._clock is None and now < granted_at <= now + SLACK_S
        return granted_at if ahead else now

    async def _with_body(self, entry: Entry | None, outcome: Outcome, until: float) -> Outcome:
        """The outcome, with the events of the consumed step."""
        if entry is None or not isinstance(outcome, Consumed):
            return outcome
        version, newest = outcome.entry.version, entry.row.version
        if version == newest or version <= newest - self.journal:
            return outcome
        body = await self._body(entry, version, until)
        if body.event_key != outcome.entry.event_key:
            raise RecordCorrupt("a kept step is another event's")
        return replace(outcome, entry=replace(outcome.entry, produced=body.produced, at=body.at))

    async def _body(self, entry: Entry, version: int, until: float) -> StepBody:
        """The step that made *version*, from its own key."""
        message = await self.stream.newest(self.bucket.keys.body(entry.id, entry.life, version), until)
        if message is None:
            raise Lacking("the body of a kept step is not there")
        return decode_body(message.data)

    async def step(self, entry: Entry, version: int, slot: Slot, until: float) -> JournalEntry:
        """
        What the journal says of the write that made *version*.

        Of a key that is no longer kept only the hash is known; it stands in its place, as `blake2b:` and 32 digits.
        """
        back = entry.row.version - version
        if slot.key is None:
            return JournalEntry(version, None, "", b"", None, float(slot.at))
        if back >= JOURNAL:
            return JournalEntry(version, f"blake2b:{slot.key.hex()}", "", b"", None, float(slot.at))
        if version == entry.row.version:
            body = decode_body(entry.last)
        else:
            body = await self._body(entry, version, until)
        produced = body.produced if back < self.journal else None
        return JournalEntry(version, body.event_key, "", b"", produced, body.at)

    # --- saving -----------------------------------------------------------------------------------------------

    def _entry(self, seen: Seen, after: Row, op: Op, now: float) -> Entry:
        before = seen.entry or new_entry(op.id, seen.revision, now)
        if isinstance(op, Delete):
            return before.deleted(after, seen.revision, now)
        if isinstance(op, Commit) and after.version != before.row.version:
            return before.written(after, op, now)
        return before.leased(after)

    async def _save(self, op: Op, seen: Seen, entry: Entry, until: float) -> bool:
        """
        Put *entry* where *seen* is; False when something newer is there.

        An acquire moves the last step (and with history the record) into keys of their own, so that the commit
        that follows may take their place in the entry: by then they are known to be stored.
        """
        old = seen.entry
        writes = old is not None and entry.row.version > old.row.version
        header, payload = entry.encode()
        self._check_message(len(header.encode()), len(payload), LEASE_ROOM if writes else 0)
        first = self._first(op, seen, entry) if writes else ()
        if first and not await self._stored(first, until):
            raise MemoryUnavailable("the bucket did not take the step before; nothing was applied")
        aside = self._aside(op, seen, entry)
        headers = {EXPECTED: str(seen.revision), HEADER: header}
        question = Ask(self.bucket.keys.entry(op.id), payload, headers)
        *acks, answer = await self.link.ask_all((*aside, question), max(0.0, until - monotonic()))
        self._cache.drop(op.id)
        revision = revision_of(answer)
        if revision is None:
            # Somebody else wrote it since we looked.
            self._cache.put(op.id, Seen(seen.revision, old, shared=True))
            return False
        if not entry.serial:
            entry = replace(entry, serial=revision)
        spilled = not writes and (seen.spilled or (isinstance(op, Acquire) and all(map(is_stored, acks))))
        self._cache.put(op.id, Seen(revision, entry, spilled=spilled, shared=seen.shared))
        if isinstance(op, Delete):
            if old is not None:
                self.in_background(self._forget(old))
        elif writes:
            self._drop_old(entry)
        return True

    def _first(self, op: Op, seen: Seen, entry: Entry) -> tuple[Ask, ...]:
        """What has to be stored before a write is: what its entry no longer holds, and under which parent it is."""
        first = () if seen.spilled else self._spill(op.id, seen.entry)
        parent = entry.labels.parent
        if parent is not None and (seen.entry is None or seen.entry.labels.parent != parent):
            first = (*first, Ask(self.bucket.keys.child(parent, op.id), op.id.encode()))
        return first

    def _aside(self, op: Op, seen: Seen, entry: Entry) -> tuple[Ask, ...]:
        """What is sent along with the entry."""
        if isinstance(op, Delete) or (isinstance(op, Acquire) and seen.entry is None):
            mark = msgspec.json.encode(Mark(op.id, entry.updated_at))
            return (Ask(self.bucket.keys.mark(op.id), mark),)
        return self._spill(op.id, seen.entry) if isinstance(op, Acquire) and not seen.spilled else ()

    def _spill(self, id: str, entry: Entry | None) -> tuple[Ask, ...]:
        if entry is None:
            return ()
        keys, version, data = self.bucket.keys, entry.row.version, entry.row.data
        last: tuple[Ask, ...] = (Ask(keys.body(id, entry.life, version), entry.last),) if entry.last else ()
        if self._options.history and data is not None:
            last = (*last, Ask(keys.earlier(id, entry.life, version), data))
        if entry.page is not None:
            number, slots = entry.page
            last = (*last, Ask(keys.page(id, entry.life, number), slots))
        return last

    async def _stored(self, asks: tuple[Ask, ...], until: float) -> bool:
        return all(map(is_stored, await self.link.ask_all(asks, max(0.0, until - monotonic()))))

    def _check_size(self, op: Op) -> None:
        if isinstance(op, Commit):
            limit = self.bucket.limit - _HEADROOM
            size = max(len(op.data), len(op.produced or b""))
            if size > limit:
                raise RecordTooLarge(size, limit)

    def _check_message(self, header: int, payload: int, room: int) -> None:
        """
        Record, step and event keys together have to fit into one message, labels with what else lists show into its
        header; and leave *room* in both.
        """
        for size, limit in ((header, _HEADER_LIMIT), (header + payload, self.bucket.limit)):
            most = limit - _MARGIN - room
            if size > most:
                raise RecordTooLarge(size, most)

    # --- what nobody waits for --------------------------------------------------------------------------------

    def _drop_old(self, entry: Entry) -> None:
        """Every so many versions, purge the block that holds only bodies and records no longer kept."""
        version, keys = entry.row.version, self.bucket.keys
        if version % BLOCK == 0:
            steps = (version - JOURNAL - BLOCK + 1) // BLOCK
            if steps >= 0:
                self.in_background(self.purge(keys.bodies(entry.id, entry.life, steps)))
            records = (version - self._options.history - BLOCK + 1) // BLOCK
            if self._options.history and records >= 0:
                self.in_background(self.purge(keys.earliers(entry.id, entry.life, records)))

    async def _forget(self, entry: Entry) -> None:
        """What a deleted instance had beside its entry."""
        keys = self.bucket.keys
        for kept in (keys.bodies, keys.earliers, keys.pages):
            await self.purge(kept(entry.id, entry.life))
        if entry.labels.parent is not None:
            await self.purge(keys.child(entry.labels.parent, entry.id))

    async def purge(self, subjects: str, *, before: int = 0) -> None:
        """See `Stream.purge`."""
        await self.stream.purge(subjects, self._options.deadline_s, before=before)

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Do *work* while nobody waits for it, and before `close` is done; its faults are logged."""
        task = asyncio.get_running_loop().create_task(_quietly(work))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def close(self) -> None:
        """Finish the purges under way, then end the connection."""
        if self._background:
            _, late = await asyncio.wait(self._background.copy(), timeout=self._options.deadline_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        await self.link.close()


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    """What fails here leaves messages behind that nothing reads."""
    try:
        await work
    except MemoryFault as fault:
        _log.info("not purged: %s", fault)
