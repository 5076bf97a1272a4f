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

__all__ = ["factory_of", "shared_simple"]

_PLACE = "pyarvo_conformance"


def shared_simple() -> Factory:
    """A factory of memories over one dictionary of this process."""
    backend = SimpleBackend(MemoryOptions())

    def factory(**options: Any) -> LeasedMemory:
        return LeasedMemory(backend, MemoryOptions.of(options))

    return factory


@asynccontextmanager
async def factory_of(url: str) -> AsyncGenerator[Factory]:
    """
    A factory of memories in the store of *url*, at a place where nothing of a user's is.

    For SQLite a file beside the one that is named, removed in the end; for Redis a prefix, for PostgreSQL a schema,
    for NATS a bucket, called `pyarvo_conformance`, which stay.

    Args:
        url: As for `open_memory`.

    Raises:
        InvalidOption: The URL is not understood.
    """
    scheme, _ = parse_url(url)
    if scheme == "memory":
        yield shared_simple()
        return
    if scheme != "sqlite":
        yield _other(url, scheme)
        return
    address, mark, query = url.partition("?")
    file = unquote(address.partition("://")[2].removeprefix("/"))
    with TemporaryDirectory(prefix="pyarvo-conformance-", dir=os.path.dirname(file) or ".") as directory:  # noqa: PTH120 - text of a URL; nothing is asked of the disk
        yield _opening(f"sqlite:///{quote(directory)}/memory.db{mark}{query}", {})


def _other(url: str, scheme: str) -> Factory:
    if scheme == "nats":
        return _opening(urlsplit(url)._replace(path="").geturl(), {"bucket": _PLACE})
    if scheme == "postgresql":
        return _opening(url, {"schema": _PLACE})
    return _opening(url, {"prefix": _PLACE} if scheme.startswith("redis") else {})


def _opening(url: str, place: dict[str, Any]) -> Factory:
    def factory(**options: Any) -> LeasedMemory:
        return open_memory(url, **place, **options)

    return factory
