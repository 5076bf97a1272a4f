"""From the URL of a store to a factory of memories over a place of its own in it."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pyarvo.memory import LeasedMemory, MemoryOptions, open_memory
from pyarvo.memory.simple import SimpleBackend
from pyarvo.memory.urls import parse_url
from pyarvo.testing.conformance.bench import Factory

__all__ = ["Shelf", "by_way_of", "factory_of", "opening", "server_of", "shared_simple"]

_PLACE = "pyarvo_conformance"
_PORTS = {"redis": 6379, "postgresql": 5432, "nats": 4222}


class Shelf(SimpleBackend):
    """
    A dictionary of this process, which several backends of other options share.

    Args:
        options: Of this backend.

        first: Whose dictionary it is; None for one of its own.
    """

    def __init__(self, options: MemoryOptions, first: Shelf | None) -> None:
        self._numbers = [0]
        super().__init__(options)
        if first is not None:
            for shared in ("_numbers", "_entries", "_mutex", "_clock"):
                setattr(self, shared, getattr(first, shared))

    @property
    def _serial(self) -> int:
        return self._numbers[0]

    @_serial.setter
    def _serial(self, value: int) -> None:
        self._numbers[0] = value


def shared_simple() -> Factory:
    """A factory of memories over one dictionary of this process."""
    first = Shelf(MemoryOptions(), None)

    def factory(**options: Any) -> LeasedMemory:
        parsed = MemoryOptions.of(options)
        return LeasedMemory(Shelf(parsed, first), parsed)

    return factory


@asynccontextmanager
async def factory_of(url: str) -> AsyncGenerator[tuple[Factory, str | None]]:
    """
    A factory of memories in the store of *url*, at a place where nothing of a user's is; and where its server is.

    For SQLite a file beside the one that is named, removed in the end; for Redis a prefix, for PostgreSQL a schema,
    for NATS a bucket, called `pyarvo_conformance`, which stay. The server is None for a store that is none, and for
    one of several servers or with TLS: a proxy before it would be passed by, or not be believed.

    Args:
        url: As for `open_memory`.

    Raises:
        InvalidOption: The URL is not understood.
    """
    scheme, _ = parse_url(url)
    if scheme == "memory":
        yield shared_simple(), None
        return
    open_memory(url)  # refuses what it does not understand; connects at first use
    if scheme != "sqlite":
        yield _other(url, scheme)
        return
    address, mark, query = url.partition("?")
    file = unquote(address.partition("://")[2].removeprefix("/"))
    with TemporaryDirectory(prefix="pyarvo-conformance-", dir=os.path.dirname(file) or ".") as directory:  # noqa: PTH120 - text of a URL; nothing is asked of the disk
        yield opening(f"sqlite:///{quote(directory)}/memory.db{mark}{query}", {}), None


def _other(url: str, scheme: str) -> tuple[Factory, str | None]:
    server = server_of(url)
    if scheme == "nats":
        return opening(urlsplit(url)._replace(path="").geturl(), {"bucket": _PLACE}), server
    if scheme == "postgresql":
        return opening(url, {"schema": _PLACE}), server
    return opening(url, {"prefix": _PLACE} if scheme.startswith("redis") else {}), server


def server_of(url: str) -> str | None:
    """The "host:port" of the one server that *url* names, reached without TLS; None where it names none."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or "," in parts.netloc or "ssl" in parts.query or not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{host}:{parts.port or _PORTS[parts.scheme]}"


def by_way_of(url: str, server: str | None) -> str:
    """*url* with "host:port" of *server* in place of its own; as it is where that is None."""
    if server is None:
        return url
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}{at}{server}").geturl()


def opening(url: str, place: dict[str, Any]) -> Factory:
    """A factory of memories in the store of *url*, with the options of *place*; they connect to `server` instead."""

    def factory(*, server: str | None = None, **options: Any) -> LeasedMemory:
        return open_memory(by_way_of(url, server), **place, **options)

    return factory
