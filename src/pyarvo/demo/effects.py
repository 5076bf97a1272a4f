"""
What the services do to the world, and what the workers saw: tables of the demo in a SQLite file.

On SQLite that is the memory's own file; beside a memory in a server it is one of the demo's own.

An *effect* is something that must happen once: stock reserved, card charged, customer told. It is a row of
`demo_effect`, written under the key of the event that asked for it. A service that gets an event whose key has
a row does nothing and answers as it did then: what payment providers call an idempotency key.

That protects from doubling only as long as the same request comes under the same key, also when the process
that sent it has died and another runs the step again. The key is the sender's `[source, id]`, and so it does:
what was committed is replayed from the journal, and what was not is run again with ids derived from the consumed
event. **Doubled** are effects whose order and action are the same, whatever their key: the table has no UNIQUE that
could hide them. With `--no-replay` ids are random and nothing is replayed, the same services with the same
protection run, and rows double.

The rows are written without fsync: a killed process loses none, and the demo kills processes, not machines.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from pyarvo.events import ArvoEvent, event_key
from pyarvo.memory.sqlite.connection import begin, patiently
from pyarvo.memory.statements import load_statements

__all__ = ["STATEMENTS", "Effects", "connect", "count_effects", "create_tables", "note_server_kill"]

STATEMENTS: Final = load_statements("pyarvo.demo", "effects.sql")

_PATIENCE_S: Final = 20.0

T = TypeVar("T")


def connect(path: str) -> sqlite3.Connection:
    """A connection of the demo's own to the file of effects."""
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    # The first one after a kill recovers the file, and keeps the others out meanwhile.
    patiently(lambda: connection.execute("PRAGMA synchronous = NORMAL"), _PATIENCE_S)
    return connection


def create_tables(path: str) -> None:
    """Make the demo's tables; where the file is the memory's own, after the memory has made it."""
    with closing(connect(path)) as connection:
        patiently(lambda: connection.execute("PRAGMA journal_mode = WAL"), _PATIENCE_S)
        for statement in STATEMENTS["tables"].split(";"):
            patiently(lambda statement=statement: connection.execute(statement), _PATIENCE_S)


def count_effects(path: str) -> int:
    """How many effects there are so far."""
    with closing(connect(path)) as connection:
        return patiently(lambda: connection.execute(STATEMENTS["count_effects"]).fetchone()[0], _PATIENCE_S)


def note_server_kill(path: str, effects: int, away_s: float) -> None:
    """Write down that the memory's server was killed after so many *effects*, and was away for *away_s* seconds."""
    with closing(connect(path)) as connection:
        sql = STATEMENTS["add_server_kill"]
        patiently(lambda: connection.execute(sql, (effects, away_s)), _PATIENCE_S)


class Effects:
    """
    The demo's tables, as one worker writes them; all on one thread of its own.

    Args:
        path: Of the file.

        worker: Name of the worker.
    """

    def __init__(self, path: str, worker: str) -> None:
        self._path = path
        self._worker = worker
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="demo-effects")
        self._connection: sqlite3.Connection | None = None

    async def __aenter__(self) -> Self:
        self._connection = await self._on_thread(lambda: connect(self._path))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._on_thread(self._open.close)
        self._thread.shutdown()

    async def perform(
        self, name: str, action: str, request: ArvoEvent, answer: dict[str, Any]
    ) -> dict[str, Any]:
        """
        Do *action*, unless *request* had it done before.

        Args:
            name: Of the order.

            action: What is done.

            request: The event that asks for it.

            answer: What to answer when it is done now.

        Returns:
            The answer: *answer*, or that of the first time.
        """
        key = event_key(request)
        row = (key, name, action, json.dumps(answer), self._worker)

        def once() -> str:
            connection = self._open
            begin(connection, time.monotonic() + _PATIENCE_S)
            try:
                found = connection.execute(STATEMENTS["find_effect"], (key,)).fetchone()
                if found is None:
                    connection.execute(STATEMENTS["add_effect"], row)
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            return row[3] if found is None else found[0]

        return json.loads(await self._on_thread(once))

    async def note_replay(self, instance: str, key: str) -> None:
        """The memory knew the event; its step was handed on again."""
        await self._add("add_replay", instance, key)

    async def note_release(self, instance: str, fence: int) -> None:
        """A lease is about to be given up without a commit."""
        await self._add("add_release", instance, fence)

    async def note_kill(self, point: str, instance: str, key: str, fence: int, version: int) -> None:
        """This process is about to kill itself."""
        await self._add("add_kill", point, instance, key, fence, version)

    async def note_dead_letter(self, what: str, reason: str) -> None:
        """An event, or a line that is none, was not delivered."""
        await self._add("add_dead_letter", what, reason)

    async def _add(self, statement: str, *values: str | int) -> None:
        sql, row = STATEMENTS[statement], (*values, self._worker)
        await self._on_thread(lambda: patiently(lambda: self._open.execute(sql, row), _PATIENCE_S))

    @property
    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RuntimeError("open the effects first: async with")
        return self._connection

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
