"""A PostgreSQL server for tests: our own (`pyarvo.demo.servers.postgres`), or the server that POSTGRES_URL names."""

from __future__ import annotations

import atexit
import os
from functools import cache
from itertools import count

from pyarvo.demo.servers.postgres import PostgresServer, postgres_binaries

__all__ = ["FileClock", "PostgresServer", "new_schema", "postgres_binaries", "postgres_url", "shared_server"]


@cache
def shared_server() -> PostgresServer:
    """One server for all tests of this process that leave it alive; so it need not sync its disk."""
    server = PostgresServer({"fsync": "off"})
    atexit.register(server.stop)
    server.create()
    server.start()
    return server


def postgres_url() -> str:
    """The server that POSTGRES_URL names, or the shared one."""
    return os.environ.get("POSTGRES_URL") or shared_server().url


_numbers = count(1)


def new_schema() -> str:
    """A name that no other test has; schemas keep tests apart."""
    return f"t{os.getpid()}_{next(_numbers)}"


class FileClock:
    """
    A clock that a test turns, for a server on this machine: it stands in a file.

    Sessions see it in place of the server's through the search path in `url`; the statements stay as they are.

    Args:
        server: It must be ours: only a superuser reads files.

        now: Seconds since the epoch.

    Attributes:
        schema: Where it is; first in the search path of those who shall see it.
    """

    def __init__(self, server: PostgresServer, now: float = 1_700_000_000.0) -> None:
        self.schema = f"clock_{new_schema()}"
        self._path = server.data.parent / self.schema
        self._server = server
        self.now = now

    @property
    def now(self) -> float:
        return self._now

    @now.setter
    def now(self, value: float) -> None:
        self._now = value
        new = self._path.with_suffix(".new")
        new.write_text(repr(value))
        new.chmod(0o644)
        new.replace(self._path)

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self.now += seconds

    @property
    def url(self) -> str:
        """Of the server, seen under this clock."""
        return f"{self._server.url}?search_path={self.schema},pg_catalog"

    @property
    def sql(self) -> str:
        """Makes the clock; once, before the first session under it."""
        return (
            f"CREATE SCHEMA {self.schema}; "
            f"CREATE FUNCTION {self.schema}.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
            f"$$SELECT to_timestamp(pg_read_file('{self._path}')::float8)$$"
        )
