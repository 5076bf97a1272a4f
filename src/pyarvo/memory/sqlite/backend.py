"""One writer thread and one reader thread a memory; all operations that wait become one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar, Final, TypeVar

from pyarvo.errors import MemoryFault, RecordCorrupt, WriteOutcomeUnknown
from pyarvo.memory.backend import Find, Image, Stored
from pyarvo.memory.decide import JournalEntry, Op, Outcome, Read
from pyarvo.memory.options import MemoryOptions
from pyarvo.memory.sqlite.connection import OpenedFile, Synchronous, begin, connect
from pyarvo.memory.sqlite.faults import DRIVER_ERRORS, fault_of, is_busy
from pyarvo.memory.sqlite.store import Store
from pyarvo.memory.sqlite.worker import Job, Worker

__all__ = ["SqliteBackend"]

_SWEEP_EVERY_S: Final = 3_600.0
_SWEEP_ON_S: Final = 1.0

# A write gives up waiting for another process a little before its caller does, to be able to say "not applied".
_PATIENCE: Final = 0.9

R = TypeVar("R")
Reading = Callable[[Store], Any]


class SqliteBackend:
    """
    A file in WAL mode.

    Args:
        path: Of the file.

        options: See `MemoryOptions`.

        synchronous: "full" (default) survives a power cut, "normal" only a crash of the process.

        clock: Seconds since the epoch; for tests. Default: the host's.
    """

    name: ClassVar[str] = "sqlite"
    immediate: ClassVar[bool] = False
    takes_hashed_keys: ClassVar[bool] = False
    most_bodies: ClassVar[int | None] = None

    def __init__(
        self, path: str, options: MemoryOptions, synchronous: Synchronous, clock: Callable[[], float]
    ) -> None:
        self._path = str(
            Path(path).absolute()
        )  # so that it stays the same file when the process goes elsewhere
        self._file = OpenedFile(self._path)
        self._options = options
        self._synchronous: Synchronous = synchronous
        self._clock = clock
        self._writing = _Slot(self._connect)
        self._reading = _Slot(self._connect)
        self._sweep_at = 0.0
        self._writer: Worker[Sequence[Op]] = Worker(
            "pyarvo-sqlite-write", self._write_jobs, self._writing.close
        )
        self._reader: Worker[Reading] = Worker("pyarvo-sqlite-read", self._read_jobs, self._reading.close)

    async def execute(self, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        if all(isinstance(op, Read) for op in ops):
            return await self._read(lambda store: [_found(store, op) for op in ops if isinstance(op, Read)])
        return await self._writer.run(ops)

    async def get(self, id: str) -> Stored | None:
        return await self._at_one_moment(lambda store, now: store.get(id, now))

    async def find(self, what: Find, *, before: int | None, limit: int) -> Sequence[Stored]:
        return await self._at_one_moment(lambda store, now: store.find(what, before, limit, now))

    async def count(self, what: Find) -> int:
        return await self._at_one_moment(lambda store, now: store.count(what, now))

    async def journal(self, id: str, *, after: int, limit: int) -> Sequence[JournalEntry]:
        return await self._read(lambda store: store.journal(id, after, limit))

    async def history(self, id: str) -> Sequence[tuple[int, bytes]]:
        return await self._read(lambda store: store.history(id))

    async def put(self, image: Image) -> bool:
        # By the connection of the readers, whose thread runs any work; a tool's writes do not stand in batches.
        within_s = self._options.deadline_s * _PATIENCE
        return await self._read(lambda store: store.put(image, monotonic() + within_s))

    async def ping(self) -> None:
        await self._read(lambda store: store.get("", self._clock()))

    async def close(self) -> None:
        await self._writer.close()
        await self._reader.close()

    async def _at_one_moment(self, query: Callable[[Store, float], R]) -> R:
        return await self._read(lambda store: store.at_one_moment(self._clock, lambda now: query(store, now)))

    async def _read(self, reading: Callable[[Store], R]) -> R:
        return await self._reader.run(reading)

    # --- in the threads ---------------------------------------------------------------------------------------

    def _connect(self) -> tuple[sqlite3.Connection, Store]:
        within_s = self._options.deadline_s * _PATIENCE
        self._file.check()  # before: connecting makes a file that is not there
        connection = connect(self._path, self._synchronous, within_s, create=self._options.create)
        self._file.opened()
        return connection, Store(connection, self._options)

    def _read_jobs(self, jobs: list[Job[Reading]]) -> None:
        for job in jobs:
            try:
                self._file.check()
                _, store = self._reading.get()
                job.result = job.work(store)
            except DRIVER_ERRORS as error:
                job.fault = fault_of(error, self._path)
                self._reading.drop_unless(is_busy(error))
            except Exception as error:  # noqa: BLE001 - it is that caller's; the jobs beside it have none
                job.fault = error

    def _write_jobs(self, jobs: list[Job[Sequence[Op]]]) -> None:
        ops = [op for job in jobs for op in job.work]
        until = jobs[0].at + self._options.deadline_s * _PATIENCE
        try:
            outcomes = self._transaction(ops, until)
        except MemoryFault as fault:
            if len(ops) == 1 or isinstance(fault, WriteOutcomeUnknown) or _of_the_store(fault):
                outcomes = [fault.about(None, "") for _ in ops]
            else:
                outcomes = [self._alone(op, until) for op in ops]
        for job in jobs:
            job.result, outcomes = outcomes[: len(job.work)], outcomes[len(job.work) :]

    def _alone(self, op: Op, until: float) -> Outcome | MemoryFault:
        """One operation of a batch that was rolled back: its fault is its own."""
        try:
            (outcome,) = self._transaction([op], until)
        except MemoryFault as fault:
            return fault
        return outcome

    def _transaction(self, ops: Sequence[Op], until: float) -> list[Outcome | MemoryFault]:
        """All of *ops* in one transaction, durable when this returns."""
        self._file.check()
        committing = False
        try:
            connection, store = self._writing.get()
            begin(connection, until)
            now = self._clock()
            outcomes: list[Outcome | MemoryFault] = [store.apply(op, now) for op in ops]
            if now >= self._sweep_at:
                # While more is old than one write should wait for, the next ones go on.
                self._sweep_at = now + (_SWEEP_EVERY_S if store.sweep(now) else _SWEEP_ON_S)
            committing = True
            connection.execute("COMMIT")
        except DRIVER_ERRORS as error:
            fault = fault_of(error, self._path, committing=committing)
            self._writing.drop_unless(is_busy(error))
            raise fault from error
        except BaseException:
            self._writing.close()  # rolls back: a transaction left open would lock every other process out
            raise
        return outcomes


def _found(store: Store, op: Read) -> Outcome | MemoryFault:
    try:
        return store.read(op)
    except RecordCorrupt as fault:  # it is that instance's alone
        return fault


def _of_the_store(fault: MemoryFault) -> bool:
    """Whether the fault would meet every operation alike, so that asking one by one is of no use."""
    return getattr(fault, "transient", False)


class _Slot:
    """The connection of one thread: made when needed, dropped after a fault."""

    def __init__(self, make: Callable[[], tuple[sqlite3.Connection, Store]]) -> None:
        self._make = make
        self._pair: tuple[sqlite3.Connection, Store] | None = None

    def get(self) -> tuple[sqlite3.Connection, Store]:
        if self._pair is None:
            self._pair = self._make()
        return self._pair

    def drop_unless(self, usable: bool) -> None:
        """After a fault: roll back by closing, unless the connection never got into its transaction."""
        if self._pair is not None and (not usable or self._pair[0].in_transaction):
            self.close()

    def close(self) -> None:
        pair, self._pair = self._pair, None
        if pair is not None:
            pair[0].close()
