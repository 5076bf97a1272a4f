"""A schema on a PostgreSQL server as a place; its clock stands in a file that the server reads."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.servers.postgres import FileClock, PostgresServer, new_schema

from pyarvo.memory import MemoryOptions
from pyarvo.memory.backend import Backend
from pyarvo.memory.postgres.backend import PostgresBackend
from pyarvo.memory.postgres.connections import CONNECT_S, Connection, OwnConnections, connect
from pyarvo.memory.postgres.migrations import migrate
from pyarvo.memory.postgres.rows import key_of

from .place import Place

__all__ = ["PostgresPlace"]


class PostgresPlace(Place):
    """
    A schema of its own, under a clock of its own.

    Args:
        directory: For nothing.

        server: Where.

        pooler: `host:port` of a pooler before it, in transaction mode; a user of its own has the clock there, because
            the pooler hands no search path on.

        named: Whether that pooler knows statements that are prepared by name; where not, the memory is told.
    """

    def __init__(
        self, directory: Path, server: PostgresServer, *, pooler: str | None = None, named: bool = False
    ) -> None:
        super().__init__("postgres", directory)
        self._server = server
        self._named = pooler is None or named
        self._schema = new_schema()
        clock = FileClock(server)
        _at_once(self._execute(clock.sql))
        self.clock = clock
        self._url = clock.url
        if pooler is not None:
            user = f"user_{self._schema}"
            _at_once(self._execute(f"CREATE ROLE {user} LOGIN SUPERUSER"))
            _at_once(self._execute(f"ALTER ROLE {user} SET search_path = {clock.schema}, pg_catalog"))
            self._url = f"postgresql://{user}@{pooler}/postgres"
            _at_once(self._make())

    def _backend(self, options: MemoryOptions) -> Backend:
        async def prepare(connection: Connection) -> None:
            await migrate(connection, self._schema)

        lender = OwnConnections(self._url, size=2, named=self._named, within_s=CONNECT_S, prepare=prepare)
        return PostgresBackend(
            options, self._schema, lender, one_transaction=not self._named, clock=self.clock
        )

    def damage(self, id: str, raw: bytes) -> None:
        key = key_of(id)[0].hex()
        statement = f"UPDATE {self._schema}.instance SET data = '\\x{raw.hex()}' WHERE key = '\\x{key}'"
        assert _at_once(self._execute(statement)) == "UPDATE 1"

    async def _make(self) -> str:
        """Now, not under a test's deadline of 0.1 s: the pooler asks who the user is, and connects anew for each."""
        connection = await connect(self._url, statement_cache_size=0)
        await migrate(connection, self._schema)
        await connection.close(timeout=2.0)
        return self._schema

    async def _execute(self, statement: str) -> str:
        connection = await connect(self._server.url)
        done = await connection.execute(statement)
        await connection.close(timeout=2.0)
        return done


def _at_once(work: Coroutine[Any, Any, str]) -> str:
    """Do *work* on a loop of its own while the caller's loop stands still."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, work).result()
