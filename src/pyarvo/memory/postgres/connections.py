"""A few connections a loop, lent for one statement at a time; or those of a pool that was given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, NamedTuple, Protocol, cast
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

import asyncpg

from pyarvo.errors import MemoryFault, MemoryUnavailable
from pyarvo.memory.loops import run_there
from pyarvo.memory.postgres.faults import DRIVER_ERRORS, fault_of_connecting

__all__ = [
    "CONNECT_S",
    "Connection",
    "GivenPool",
    "Lender",
    "OwnConnections",
    "Pool",
    "Record",
    "connect",
    "split_options",
]

# Least time that making a connection may take; callers that wait for it have deadlines of their own.
CONNECT_S: Final = 5.0

_IDLE_S: Final = 300.0
_CLOSE_S: Final = 2.0

# A plan is made anew at least this often: one that was made for a nearly empty table reads all of it.
_PLAN_S: Final = 60

# Options of a URL that are the driver's; they say how to connect, and nothing about the memory.
_DRIVER: Final = frozenset(
    {
        *("host", "port", "user", "password", "passfile", "service", "target_session_attrs"),
        *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslpassword", "sslnegotiation"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version"),
    }
)

Record = Mapping[str, Any]


class ServerVersion(NamedTuple):
    """As the driver tells it."""

    major: int
    minor: int
    micro: int
    releaselevel: str
    serial: int


class Connection(Protocol):
    """What is used of the driver's connection."""

    async def fetch(self, query: str, /, *args: object) -> Sequence[Record]: ...
    async def fetchval(self, query: str, /, *args: object) -> Any: ...
    async def execute(self, query: str, /) -> str: ...
    def transaction(self, *, isolation: str | None = None) -> AbstractAsyncContextManager[None]: ...
    def get_server_version(self) -> ServerVersion: ...
    def is_closed(self) -> bool: ...
    def terminate(self) -> None: ...
    async def close(self, *, timeout: float) -> None: ...  # noqa: ASYNC109 - the driver's


connect = cast(
    "Callable[..., Awaitable[Connection]]",
    asyncpg.connect,
)


def split_options(url: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The driver's URL, with those of *options* that are the driver's, and the rest of them."""
    driver = {name: value for name, value in options.items() if name in _DRIVER}
    rest = {name: value for name, value in options.items() if name not in _DRIVER}
    if driver:
        url = f"{url}{'&' if '?' in url else '?'}{urlencode(driver, errors='replace')}"
    return url, rest


class Pool(Protocol):
    """What is used of a pool that the caller made."""

    async def acquire(self) -> Connection: ...
    async def release(self, connection: Connection, /) -> None: ...


class Lender(Protocol):
    """Where connections come from."""

    async def take(self) -> Connection:
        """
        A connection for one statement.

        Raises:
            MemoryUnavailable: None was had; nothing was sent.
        """
        ...

    async def give(self, connection: Connection, *, broken: bool) -> None: ...

    async def close(self) -> None: ...


Prepare = Callable[[Connection], Awaitable[None]]


class OwnConnections:
    """
    At most *size* connections for each event loop, made when needed.

    A pool of its own: the driver's asks the server to reset the session each time a connection comes back, and
    there is nothing to reset.

    Args:
        dsn: Where to, in the driver's form.

        size: Most connections of one loop.

        named: Whether statements may be prepared by name; not behind a pooler that lends per transaction.

        within_s: The longest a connection may take to be made.

        prepare: Called once with the first connection.
    """

    def __init__(self, dsn: str, *, size: int, named: bool, within_s: float, prepare: Prepare) -> None:
        self._dsn = dsn
        self._size = size
        self._named = named
        self._within_s = within_s
        self._prepare = prepare
        self._prepared = False
        self._lanes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Lane] = WeakKeyDictionary()

    async def take(self) -> Connection:
        loop = asyncio.get_running_loop()
        lane = self._lanes.get(loop)
        if lane is None:
            lane = self._lanes[loop] = _Lane(self._size)
            lane.closing = self._closed_with(loop, lane)
            await anext(lane.closing)
        await lane.free.acquire()
        try:
            return lane.idle_one(loop.time()) or await self._connect()
        except BaseException:
            lane.free.release()
            raise

    async def give(self, connection: Connection, *, broken: bool) -> None:
        loop = asyncio.get_running_loop()
        lane = self._lanes.get(loop)
        if broken or lane is None:
            connection.terminate()
        else:
            lane.idle.append((connection, loop.time()))
        if lane is not None:
            lane.free.release()

    async def close(self) -> None:
        here = asyncio.get_running_loop()
        for loop, lane in list(self._lanes.items()):
            if lane.closing is None or loop.is_closed():
                continue
            if loop is here or not loop.is_running():
                await lane.closing.aclose()
                continue
            # A loop that ends just now closes them itself.
            await run_there(_ended(lane.closing), loop, 2 * _CLOSE_S)

    async def _closed_with(self, loop: asyncio.AbstractEventLoop, lane: _Lane) -> AsyncGenerator[None, None]:
        """Closes a loop's connections by `close`, or when the loop shuts its asynchronous generators down."""
        try:
            yield
        finally:
            self._lanes.pop(loop, None)
            for connection, _ in lane.idle:
                await _close(connection)

    async def _connect(self) -> Connection:
        try:
            connection = await connect(
                self._dsn,
                timeout=self._within_s,
                statement_cache_size=100 if self._named else 0,
                max_cached_statement_lifetime=_PLAN_S,
                max_cacheable_statement_size=0,
                server_settings={"application_name": "pyarvo"},
            )
        except (*DRIVER_ERRORS, ValueError) as error:  # of a host that no name server can be asked for
            raise fault_of_connecting(error, "no connection") from error
        if not self._prepared:
            await _prepared(connection, self._prepare)
            self._prepared = True
        return connection


class _Lane:
    """The connections of one loop; the one that came back last is lent first."""

    def __init__(self, size: int) -> None:
        self.free = asyncio.Semaphore(size)
        self.idle: list[tuple[Connection, float]] = []
        self.closing: AsyncGenerator[None, None] | None = None

    def idle_one(self, now: float) -> Connection | None:
        while self.idle:
            connection, since = self.idle.pop()
            if now - since < _IDLE_S and not connection.is_closed():
                return connection
            connection.terminate()
        return None


class GivenPool:
    """
    Connections of a pool that the caller made and closes; it serves the loop it was made in.

    Args:
        pool: An `asyncpg.Pool`. One made without reset queries is much faster.

        prepare: Called once with the first connection.
    """

    def __init__(self, pool: Pool, *, prepare: Prepare) -> None:
        self._pool = pool
        self._loop: asyncio.AbstractEventLoop | None = None
        self._prepare = prepare
        self._prepared = False

    async def take(self) -> Connection:
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if self._loop is not loop:
            raise MemoryUnavailable("the pool that was given serves another event loop", transient=False)
        try:
            connection = await self._pool.acquire()
        except DRIVER_ERRORS as error:
            raise fault_of_connecting(error, "no connection from the pool") from error
        if not self._prepared:
            try:
                await _prepared(connection, self._prepare, own=False)
            except BaseException:
                await self._pool.release(connection)
                raise
            self._prepared = True
        return connection

    async def give(self, connection: Connection, *, broken: bool) -> None:
        if broken:
            connection.terminate()
        await self._pool.release(connection)

    async def close(self) -> None:
        return


async def _prepared(connection: Connection, prepare: Prepare, *, own: bool = True) -> None:
    try:
        await prepare(connection)
    except BaseException as error:
        if own:
            connection.terminate()
        if isinstance(error, MemoryFault) or not isinstance(error, Exception):
            raise
        raise fault_of_connecting(error, "the schema could not be looked at or made") from error


async def _ended(closing: AsyncGenerator[None, None]) -> None:
    await closing.aclose()


async def _close(connection: Connection) -> None:
    try:
        await connection.close(timeout=_CLOSE_S)
    except DRIVER_ERRORS:
        connection.terminate()
