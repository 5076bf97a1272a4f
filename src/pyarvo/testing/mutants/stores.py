"""Where mutants live: the real backends over a dictionary, a file and a server, with a rule or a text exchanged."""

# Mutants change what the backends keep to themselves.
# pyright: reportPrivateUsage=false
# ruff: noqa: SLF001

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha1
from pathlib import Path
from types import FunctionType, MappingProxyType
from typing import Any, Final, Protocol, cast
from uuid import uuid4

from pyarvo.memory.backend import Backend
from pyarvo.memory.decide import Op, Outcome, Row, decide
from pyarvo.memory.options import MemoryOptions
from pyarvo.memory.simple import SimpleBackend
from pyarvo.memory.sqlite import store as sqlite_store
from pyarvo.memory.sqlite.backend import SqliteBackend
from pyarvo.memory.sqlite.store import Store
from pyarvo.testing.conformance.stores import Shelf, by_way_of, server_of

__all__ = ["Change", "InFile", "InMemory", "MutantStore", "OnServer", "Rule", "Swap"]

Rule = Callable[[Row, Op, float], tuple[Row, Outcome]]


@dataclass(frozen=True, slots=True)
class Swap:
    """
    One changed text.

    Attributes:
        where: Name of the SQL statement, or of the Lua script without its ending.

        old: What stands there once.

        new: What stands there in the mutant.
    """

    where: str
    old: str
    new: str

    def applied(self, text: str) -> str:
        """
        *text*, changed.

        Raises:
            ValueError: The text has become another since the mutant was written.
        """
        if text.count(self.old) != 1:
            raise ValueError(f"{self.where} holds {text.count(self.old)} times: {self.old}")
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Change:
    """
    What of a backend is exchanged.

    Attributes:
        rule: Takes the place of `decide` in the stores that call it.

        sql: Of SQLite's statements.

        lua: Of Redis' scripts.
    """

    rule: Rule = decide
    sql: tuple[Swap, ...] = ()
    lua: tuple[Swap, ...] = ()


class MutantStore(Protocol):
    """
    One store; every backend that it makes works on the same data.

    Attributes:
        kind: Its name.

        server: Where it is, "host:port"; None where it is no server. A backend may be told another way to it.
    """

    kind: str

    @property
    def server(self) -> str | None: ...

    def backend(self, options: MemoryOptions, change: Change, server: str | None = None) -> Backend: ...


def _seeing(function: Any, **names: Any) -> Any:
    """The same code, which finds other things under these global names."""
    seen = {**function.__globals__, **names}
    made = FunctionType(
        function.__code__, seen, function.__name__, function.__defaults__, function.__closure__
    )
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def _methods_seeing(cls: type, **names: Any) -> dict[str, Any]:
    own = {name: value for name, value in vars(cls).items() if isinstance(value, FunctionType)}
    return {name: _seeing(value, **names) for name, value in own.items()}


# --- in memory --------------------------------------------------------------------------------------------------


class _Shelf(Shelf):
    """One whose rule is another."""

    def __init__(self, options: MemoryOptions, rule: Rule, first: _Shelf | None) -> None:
        super().__init__(options, first)
        self._apply = _seeing(SimpleBackend._apply, decide=rule).__get__(self)


@dataclass(slots=True)
class InMemory:
    """A dictionary of this process."""

    kind: str = "memory"
    server: None = None
    _first: _Shelf | None = None

    def backend(self, options: MemoryOptions, change: Change, server: str | None = None) -> Backend:
        del server
        shelf = _Shelf(options, change.rule, self._first)
        self._first = self._first or shelf
        return shelf


# --- in a file --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class InFile:
    """A SQLite file, made at first use."""

    path: Path
    kind: str = "sqlite"
    server: None = None

    def backend(self, options: MemoryOptions, change: Change, server: str | None = None) -> Backend:
        del server
        return _Sqlite(str(self.path), options, change)


class _Sqlite(SqliteBackend):
    def __init__(self, path: str, options: MemoryOptions, change: Change) -> None:
        super().__init__(path, options, "normal", time.time)
        self._store = _changed_store(change)

    def _connect(self) -> tuple[sqlite3.Connection, Store]:
        connection, _ = super()._connect()
        return connection, self._store(connection, self._options)


@cache
def _changed_store(change: Change) -> type[Store]:
    statements: Mapping[str, str] = sqlite_store._SQL
    changed = dict(statements)
    for swap in change.sql:
        changed[swap.where] = swap.applied(changed[swap.where])
    methods = _methods_seeing(Store, _SQL=MappingProxyType(changed), decide=change.rule)
    return type("ChangedStore", (Store,), methods)


# --- on a server ------------------------------------------------------------------------------------------------

_SCRIPTS: Final = (
    "read",
    "acquire",
    "commit",
    "renew",
    "release",
    "delete",
    "force_release",
    "get",
    "put",
)


@dataclass(slots=True)
class OnServer:
    """Keys of a prefix of their own on a Redis or Valkey server."""

    url: str
    kind: str = "redis"
    prefix: str = field(default_factory=lambda: f"mutant-{uuid4().hex}")

    @property
    def server(self) -> str | None:
        """See `MutantStore`."""
        return server_of(self.url)

    def backend(self, options: MemoryOptions, change: Change, server: str | None = None) -> Backend:
        from pyarvo.memory.redis.backend import RedisBackend

        url = by_way_of(self.url, server)
        return RedisBackend(lambda: _changed_route(url, change.lua), self.prefix, options, None)


def _changed_route(url: str, swaps: tuple[Swap, ...]) -> Any:
    """The way to the server, on which every script is sent as the mutant has it."""
    from pyarvo.memory.redis.address import Address, RedisOptions
    from pyarvo.memory.redis.routes import open_route

    route = open_route(Address.parse(url), RedisOptions())
    if swaps:
        server = cast("Any", route)._server
        sent = _sent_instead(swaps)
        server.writes, server.questions = _Changed(server.writes, sent), _Changed(server.questions, sent)
    return route


@cache
def _sent_instead(swaps: tuple[Swap, ...]) -> Sequence[tuple[bytes, bytes]]:
    from pyarvo.memory.redis.scripts import LOAD, LOADED
    from pyarvo.memory.redis.wire import Replies, pack

    found: list[tuple[bytes, bytes]] = []
    commands: list[Any] = []
    sent = Replies()
    sent.feed(LOAD)
    sent.take(LOADED, commands)
    for name, command in zip(_SCRIPTS, commands, strict=True):
        text = cast("bytes", command[2]).decode()
        changed = text
        for swap in swaps:
            if swap.where in {name, "row"}:
                changed = swap.applied(changed)
        if changed != text:
            found.append(
                (pack(b"SCRIPT", b"LOAD", text.encode()), pack(b"SCRIPT", b"LOAD", changed.encode()))
            )
            found.append((_digest(text), _digest(changed)))
    return found


def _digest(script: str) -> bytes:
    return sha1(script.encode(), usedforsecurity=False).hexdigest().encode()


class _Changed:
    """A link that sends other scripts than it was given."""

    def __init__(self, link: Any, sent: Sequence[tuple[bytes, bytes]]) -> None:
        self._link = link
        self._sent = sent

    async def exchange(self, payload: bytes, count: int, within_s: float) -> Any:
        for old, new in self._sent:
            payload = payload.replace(old, new)
        return await self._link.exchange(payload, count, within_s)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)
