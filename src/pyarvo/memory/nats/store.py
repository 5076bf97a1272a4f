"""What one operation does to the bucket: see the entry, decide, save it under its revision, or see it again."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any, Final
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
from pyarvo.memory.nats.entry import HEADER, JOURNAL, Entry, StepBody, decode_body, is_forgotten, new_entry
from pyarvo.memory.nats.faults import (
    NO_MESSAGE,
    ApiError,
    Silence,
    is_conflict,
    read_fault,
    write_fault,
)
from pyarvo.memory.nats.keys import BLOCK
from pyarvo.memory.nats.link import EXPECTED, Answer, Ask, Link, decode_answer
from pyarvo.memory.options import MemoryOptions
from pyarvo.memory.retry import ATTEMPT_S

__all__ = ["Clock", "Mark", "Message", "Store"]

Clock = Callable[[], float]

_log = logging.getLogger("pyarvo.memory.nats")

# A little less than the caller's deadline, so that it hears what became of its call.
_PATIENCE: Final = 0.9

_ROUNDS: Final = 64
_PAUSE_S: Final = 0.002

_HEADROOM: Final = 64 * 1024
_MARGIN: Final = 2 * 1024

_HEADER_LINE: Final = f"\r\n{HEADER}:".encode()


class Message(Struct, frozen=True):
    """A stored message."""

    subject: str = ""
    seq: int = 0
    hdrs: bytes = b""
    data: bytes = b""

    @property
    def header(self) -> bytes | None:
        """Our header; None when there is none."""
        start = self.hdrs.find(_HEADER_LINE)
        if start < 0:
            return None
        start += len(_HEADER_LINE)
        return self.hdrs[start : self.hdrs.find(b"\r\n", start)]


class Mark(Struct, frozen=True, array_like=True):
    """Tells the sweep of an instance that came to be or was deleted at a time."""

    id: str
    at: float


class _Got(Struct, frozen=True):
    message: Message | None = None
    error: ApiError | None = None


class _Ack(Struct, frozen=True):
    seq: int = 0
    error: ApiError | None = None


_GOT: Final = msgspec.json.Decoder(_Got)
_ACK: Final = msgspec.json.Decoder(_Ack)


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
        guess = self._guess(op)
        missed = -1
        for n in range(_ROUNDS):
            if monotonic() >= until:
                break
            seen = guess or await self.load(op.id, until)
            row = Row() if seen.entry is None else seen.entry.row_for(op)
            now = 0.0 if isinstance(op, Read) else await self.now(row.granted_at)
            after, outcome = decide(row, op, now)
            if after is not row:
                entry = self._entry(seen.entry or new_entry(op.id, now), after, op, now)
                if await self._save(op, seen, entry, until):
                    return outcome
                if n > 1:
                    await asyncio.sleep(random.uniform(0, _PAUSE_S * n))
            elif guess is None:
                answer = await self._with_body(op, row, outcome, until)
                if answer is not None:
                    return answer
                if seen.revision == missed:
                    raise RecordCorrupt("the body of a kept step is not there")
                missed = seen.revision
            guess = None
        raise MemoryUnavailable("others write this instance all the time, nothing was applied")

    # --- seeing -----------------------------------------------------------------------------------------------

    def _guess(self, op: Op) -> Seen | None:
        """What to stand on without asking; every answer but a confirmed write is looked up after all."""
        seen = None if isinstance(op, Read) else self._cache.get(op.id)
        return None if seen is None or (seen.shared and isinstance(op, Acquire)) else seen

    async def load(self, id: str, until: float) -> Seen:
        """The newest entry of *id*, from the stream's leader."""
        message = await self.message(self.bucket.keys.entry(id), until)
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

    async def _is_forgotten(self, entry: Entry) -> bool:
        now = await self.now(entry.row.granted_at)
        return is_forgotten(entry.row, entry.updated_at, now, self._options.tombstone_s)

    async def message(self, subject: str, until: float) -> Message | None:
        """The newest message of *subject*; None when there is none."""
        question = Ask(self.bucket.get_subject, b'{"last_by_subj":"%s"}' % subject.encode())
        answer = await self.link.ask(question, max(0.0, until - monotonic()))
        if isinstance(answer, Silence):
            raise read_fault(answer)
        got = decode_answer(_GOT, answer)
        if got.message is None and got.error is not None and got.error.err_code != NO_MESSAGE:
            raise read_fault(got.error)
        return got.message

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
        return granted_at if now < granted_at <= now + SLACK_S else now

    async def _with_body(self, op: Op, row: Row, outcome: Outcome, until: float) -> Outcome | None:
        """The outcome, with the events of the consumed step; None when they are not where the entry says."""
        if not isinstance(outcome, Consumed) or outcome.entry.produced is not None:
            return outcome
        version = outcome.entry.version
        if version == row.version or version <= row.version - self.journal:
            return outcome
        body = await self.body(op.id, version, until)
        if body is None:
            return None
        if body.event_key != outcome.entry.event_key:
            raise RecordCorrupt("a kept step is another event's")
        return replace(outcome, entry=replace(outcome.entry, produced=body.produced, at=body.at))

    async def body(self, id: str, version: int, until: float) -> StepBody | None:
        """The step that made *version*, from its own key."""
        message = await self.message(self.bucket.keys.body(id, version), until)
        return None if message is None else decode_body(message.data)

    async def step(self, entry: Entry, version: int, until: float) -> JournalEntry:
        """
        What the journal says of the write that made *version*.

        Of a key that is no longer kept only the hash is known; it stands in its place, as `blake2b:` and 32 digits.
        """
        slot, back = entry.slot(version), entry.row.version - version
        if slot.key is None:
            return JournalEntry(version, None, "", b"", None, float(slot.at))
        if back >= JOURNAL:
            return JournalEntry(version, f"blake2b:{slot.key.hex()}", "", b"", None, float(slot.at))
        if version == entry.row.version:
            body = decode_body(entry.last)
        else:
            body = await self.body(entry.id, version, until)
            if body is None:
                raise RecordCorrupt("the body of a kept step is not there", id=entry.id)
        produced = body.produced if back < self.journal else None
        return JournalEntry(version, body.event_key, "", b"", produced, body.at)

    # --- saving -----------------------------------------------------------------------------------------------

    def _entry(self, before: Entry, after: Row, op: Op, now: float) -> Entry:
        if isinstance(op, Delete):
            return before.deleted(after, now)
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
        first = self._first(op, seen, entry) if writes else ()
        if first and not await self._stored(first, until):
            raise MemoryUnavailable("the bucket did not take the step before; nothing was applied")
        aside = self._aside(op, seen, entry)
        header, payload = entry.encode()
        self._check_message(len(header) + len(payload))
        headers = {EXPECTED: str(seen.revision), HEADER: header}
        question = Ask(self.bucket.keys.entry(op.id), payload, headers)
        *acks, answer = await self.link.ask_all((*aside, question), max(0.0, until - monotonic()))
        revision = self._revision(op.id, answer)
        if revision is None:
            # Somebody else wrote it since we looked.
            self._cache.put(op.id, Seen(seen.revision, old, shared=True))
            return False
        if not entry.serial:
            entry = replace(entry, serial=revision)
        spilled = not writes and (seen.spilled or (isinstance(op, Acquire) and all(map(_is_stored, acks))))
        self._cache.put(op.id, Seen(revision, entry, spilled=spilled, shared=seen.shared))
        if isinstance(op, Delete):
            self.in_background(self._forget(op.id, old))
        elif writes:
            self._drop_old(op.id, entry.row.version)
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
        last = (Ask(keys.body(id, version), entry.last),) if entry.last else ()
        if self._options.history and data is not None:
            return (*last, Ask(keys.earlier(id, version), data))
        return last

    async def _stored(self, asks: tuple[Ask, ...], until: float) -> bool:
        return all(map(_is_stored, await self.link.ask_all(asks, max(0.0, until - monotonic()))))

    def _revision(self, id: str, answer: Answer) -> int | None:
        """
        Under which revision the entry is stored; None when another one was there.

        Raises:
            MemoryFault: It is not stored, or nobody knows.
        """
        if isinstance(answer, Silence):
            self._cache.drop(id)
            raise write_fault(answer)
        ack = decode_answer(_ACK, answer)
        if ack.error is None:
            return ack.seq
        self._cache.drop(id)
        if is_conflict(ack.error):
            return None
        raise write_fault(ack.error)

    def _check_size(self, op: Op) -> None:
        if isinstance(op, Commit):
            limit = self.bucket.limit - _HEADROOM
            size = len(op.data) + len(op.produced or b"")
            if size > limit:
                raise RecordTooLarge(size, limit)

    def _check_message(self, size: int) -> None:
        """Record, step and event keys together have to fit into one message."""
        limit = self.bucket.limit - _MARGIN
        if size > limit:
            raise RecordTooLarge(size, limit)

    # --- what nobody waits for --------------------------------------------------------------------------------

    def _drop_old(self, id: str, version: int) -> None:
        """Every so many versions, purge the block that holds only bodies and records no longer kept."""
        if version % BLOCK == 0:
            keys = self.bucket.keys
            steps = (version - JOURNAL - BLOCK + 1) // BLOCK
            if steps >= 0:
                self.in_background(self.purge(keys.bodies(id, steps)))
            records = (version - self._options.history - BLOCK + 1) // BLOCK
            if self._options.history and records >= 0:
                self.in_background(self.purge(keys.earliers(id, records)))

    async def _forget(self, id: str, entry: Entry | None) -> None:
        """What a deleted instance has beside its entry."""
        keys = self.bucket.keys
        await self.purge(keys.bodies(id))
        await self.purge(keys.earliers(id))
        if entry is not None and entry.labels.parent is not None:
            await self.purge(keys.child(entry.labels.parent, id))

    async def purge(self, subjects: str, *, before: int = 0) -> None:
        """
        Remove the messages of *subjects* for good.

        Args:
            subjects: One, or a pattern.

            before: Only those with a sequence under it; 0 = all.
        """
        request: dict[str, Any] = {"filter": subjects, **({"seq": before} if before else {})}
        answer = await self.link.ask(
            Ask(self.bucket.purge_subject, msgspec.json.encode(request)), self._options.deadline_s
        )
        if isinstance(answer, Silence):
            raise read_fault(answer)
        ack = decode_answer(_ACK, answer)
        if ack.error is not None:
            raise read_fault(ack.error)

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
        await self.link.close()


def _is_stored(answer: Answer) -> bool:
    if isinstance(answer, Silence):
        return False
    ack = decode_answer(_ACK, answer)
    return ack.error is None and ack.seq > 0


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    """A purge that fails leaves messages behind that nothing reads; the sweep comes by again."""
    try:
        await work
    except MemoryFault as fault:
        _log.info("purging: %s", fault)
