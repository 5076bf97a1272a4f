"""All operations that wait become one statement for each kind, under way side by side."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import monotonic
from typing import ClassVar, Final

from pyarvo.errors import MemoryFault, MemoryUnavailable
from pyarvo.memory.backend import Batches, Find, Image, Stored
from pyarvo.memory.decide import Commit, JournalEntry, Op, Outcome, Read, Release
from pyarvo.memory.options import MemoryOptions
from pyarvo.memory.postgres.connections import Lender, Record
from pyarvo.memory.postgres.faults import DRIVER_ERRORS, asks_again, asks_singly, fault_of, is_broken
from pyarvo.memory.postgres.rows import entry_of, key_of, narrowing_of, parameters_of_image, stored_of
from pyarvo.memory.postgres.telling import Texts, must_release, settled

__all__ = ["PostgresBackend"]

_log = logging.getLogger("pyarvo.memory")

# C12: no write waits longer for another's. A batch gives up early, and its operations are asked one by one.
_LOCK_WAIT_S: Final = 0.2
_BATCH_WAIT_S: Final = 0.05

# How often an operation is sent: at first briefly, then again where its row was changed under it.
_TRIES: Final = 9

# A statement holds its parameters twice; more than this goes in several.
_BATCH_BYTES: Final = 2 * 1024 * 1024

# Callers have deadlines of their own; these free a connection whose server says nothing.
_WRITE_S: Final = 1.0
_READ_S: Final = 1.0
# Counting walks through all rows.
_QUERY_S: Final = 60.0
_SWEEP_EVERY_S: Final = 3_600.0

Answer = Outcome | MemoryFault


class PostgresBackend:
    """
    Tables in one schema of a PostgreSQL database.

    Args:
        options: See `MemoryOptions`.

        schema: Its name, checked.

        lender: Where connections come from.

        one_transaction: Whether a call stands in BEGIN and COMMIT, for a pooler that lends per transaction and does
            not know named statements.

        clock: In seconds, for how often to sweep; for tests. Default: monotonic.
    """

    name: ClassVar[str] = "postgresql"
    immediate: ClassVar[bool] = False
    takes_hashed_keys: ClassVar[bool] = False
    most_bodies: ClassVar[int | None] = None
    batches: ClassVar[Batches] = Batches(max_ops=64, max_in_flight=2)

    def __init__(
        self,
        options: MemoryOptions,
        schema: str,
        lender: Lender,
        *,
        one_transaction: bool = False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._options = options
        self._lender = lender
        self._one_transaction = one_transaction
        self._texts = Texts(schema, options)
        self._clock = clock
        self._sweep_at = 0.0

    async def execute(self, ops: Sequence[Op]) -> Sequence[Answer]:
        until = monotonic() + _LOCK_WAIT_S
        if len(ops) == 1:
            answers = await self._settle(ops, until)
        else:
            answers = await self._in_waves(ops, until)
        if self._clock() >= self._sweep_at and not isinstance(ops[0], Read):
            await self._sweep()
        return answers

    async def _in_waves(self, ops: Sequence[Op], until: float) -> list[Answer]:
        """Operations of one instance one after the other, all else at once."""
        answers: dict[int, Answer] = {}
        for wave in _waves(ops):
            groups = _groups(ops, wave)
            settled_groups = await asyncio.gather(
                *(self._settle([ops[n] for n in group], until) for group in groups)
            )
            for group, outcomes in zip(groups, settled_groups, strict=True):
                answers.update(zip(group, outcomes, strict=True))
        return [answers[n] for n in range(len(ops))]

    async def _settle(self, ops: Sequence[Op], until: float, tries: int = _TRIES) -> list[Answer]:
        """Operations of one kind on different instances, in the order of their keys, in one statement."""
        try:
            rows = await self._rows(ops, until, briefly=tries == _TRIES)
        except MemoryFault as fault:
            if len(ops) > 1 and asks_singly(fault):
                return await self._singly(ops, until)
            if tries > 1 and asks_again(fault):
                return await self._settle(ops, until, tries - 1)
            return [fault.about(None, "") for _ in ops]
        outcomes: list[Answer | None] = [None] * len(ops)
        for row in rows:
            n = int(row["n"]) - 1
            outcomes[n] = settled(ops[n], row)
            if must_release(ops[n], row):
                (released,) = await self._settle([Release(ops[n].id, row["token"])], until)
                outcomes[n] = released if isinstance(released, MemoryFault) else outcomes[n]
        again = [n for n, outcome in enumerate(outcomes) if outcome is None]
        if again and tries > 1:
            anew = await self._settle([ops[n] for n in again], until, tries - 1)
            for n, outcome in zip(again, anew, strict=True):
                outcomes[n] = outcome
        return [outcome if outcome is not None else _contended() for outcome in outcomes]

    async def _rows(self, ops: Sequence[Op], until: float, *, briefly: bool) -> Sequence[Record]:
        wait_s = until - monotonic()
        if len(ops) > 1:
            wait_s = min(wait_s, _BATCH_WAIT_S)
        writing = not isinstance(ops[0], Read)
        text, arguments = self._texts.statement(ops, max(1, int(wait_s * 1_000)), briefly=briefly)
        return await self._fetch(text, arguments, writing=writing, within_s=None if writing else _READ_S)

    async def _singly(self, ops: Sequence[Op], until: float) -> list[Answer]:
        """A locked row, or a fault of one operation, is its own; the batch was rolled back."""
        alone = await asyncio.gather(*(self._settle([op], until) for op in ops))
        return [outcome for (outcome,) in alone]

    async def _fetch(
        self, text: str, arguments: Sequence[object], *, writing: bool, within_s: float | None = None
    ) -> Sequence[Record]:
        """The rows of a statement, whatever goes wrong named as a fault."""
        connection = await self._lender.take()
        within_s = within_s or max(self._options.deadline_s, _WRITE_S)
        # A server that says nothing is hung up on; then the driver raises what a lost connection raises.
        watch = asyncio.get_running_loop().call_later(within_s, connection.terminate)
        broken = True
        try:
            if self._one_transaction:
                async with connection.transaction():
                    rows = await connection.fetch(text, *arguments)
            else:
                rows = await connection.fetch(text, *arguments)
            broken = False
        except DRIVER_ERRORS as error:
            broken = is_broken(error)
            raise fault_of(error, writing=writing) from error
        finally:
            watch.cancel()
            await self._lender.give(connection, broken=broken)
        return rows

    async def _sweep(self) -> None:
        """Forget what is old, now and then; no operation fails because of it."""
        self._sweep_at = self._clock() + _SWEEP_EVERY_S
        try:
            await self._fetch(self._texts.plain("sweep"), [self._options.tombstone_s], writing=True)
        except MemoryFault as fault:
            _log.warning("old tombstones were not removed: %s", fault)

    # --- queries ----------------------------------------------------------------------------------------------

    async def get(self, id: str) -> Stored | None:
        rows = await self._query(self._texts.plain("get"), [key_of(id)[0]])
        return stored_of(rows[0]) if rows else None

    async def find(self, what: Find, *, before: int | None, limit: int) -> Sequence[Stored]:
        rows = await self._query(*self._texts.query("find", narrowing_of(what, before), limit))
        return [stored_of(row) for row in rows]

    async def count(self, what: Find) -> int:
        rows = await self._query(*self._texts.query("count", narrowing_of(what)))
        return int(rows[0]["number"])

    async def journal(self, id: str, *, after: int, limit: int) -> Sequence[JournalEntry]:
        rows = await self._query(self._texts.plain("journal"), [key_of(id)[0], after, limit])
        return [entry_of(row) for row in rows]

    async def history(self, id: str) -> Sequence[tuple[int, bytes]]:
        rows = await self._query(self._texts.plain("history"), [key_of(id)[0]])
        return [(row["version"], row["data"]) for row in rows]

    async def put(self, image: Image) -> bool:
        parameters = parameters_of_image(image, self._options.history)
        wait_ms = str(int(_LOCK_WAIT_S * 1_000))
        return bool(await self._fetch(self._texts.plain("put"), [wait_ms, *parameters], writing=True))

    async def ping(self) -> None:
        await self._query(self._texts.plain("ping"), [], within_s=_READ_S)

    async def close(self) -> None:
        await self._lender.close()

    async def _query(
        self, text: str, parameters: Sequence[object], *, within_s: float = _QUERY_S
    ) -> Sequence[Record]:
        return await self._fetch(text, parameters, within_s=within_s, writing=False)


def _contended() -> MemoryFault:
    return MemoryUnavailable("others kept changing the instance; nothing was applied")


def _waves(ops: Sequence[Op]) -> list[list[int]]:
    """The positions of *ops*, so that no wave has two of one instance and each instance's order is kept."""
    waves: list[list[int]] = []
    seen: dict[str, int] = {}
    for n, op in enumerate(ops):
        wave = seen[op.id] = seen.get(op.id, -1) + 1
        if wave == len(waves):
            waves.append([])
        waves[wave].append(n)
    return waves


def _groups(ops: Sequence[Op], wave: Sequence[int]) -> list[list[int]]:
    """The positions of a wave by kind, in the order of keys, each group no larger than a statement may be."""
    groups: list[list[int]] = []
    current: dict[type[Op], list[int]] = {}
    sizes: dict[type[Op], int] = {}
    for n in sorted(wave, key=lambda n: key_of(ops[n].id)):
        op = ops[n]
        kind = type(op)
        size = sizes.get(kind, _BATCH_BYTES + 1) + _size(op)
        if size > _BATCH_BYTES:
            current[kind] = []
            groups.append(current[kind])
            size = _size(op)
        current[kind].append(n)
        sizes[kind] = size
    return groups


def _size(op: Op) -> int:
    return len(op.data) + len(op.produced or b"") if isinstance(op, Commit) else 0
