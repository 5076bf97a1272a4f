"""Where a run keeps its instances: a place of its own in the store of a URL, and the file of its effects."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import quote, unquote, urlsplit
from uuid import uuid4

import msgspec

from pyarvo.brokers import RetryPolicy
from pyarvo.errors import InvalidOption
from pyarvo.memory import LeasedMemory, open_memory
from pyarvo.memory.options import from_text
from pyarvo.memory.urls import parse_url

__all__ = ["Place", "place_of", "retry_on", "sqlite_place"]

_OPTION_OF: Final = {"postgresql": "schema", "nats": "bucket"}
_REDIS: Final = ("redis", "rediss", "redis+sentinel", "redis+cluster")

_WITHIN_S: Final = 5

_SHORT: Final = RetryPolicy(attempts=7, first_s=0.1, longest_s=0.5)
"""Longer than the lease of 1 s that a killed worker leaves behind."""

_LONG: Final = RetryPolicy(attempts=10, first_s=0.1, longest_s=1.0)
"""Longer than a killed server needs to be back, up to six seconds."""


class Place(msgspec.Struct, frozen=True):
    """
    Where a run happens.

    Attributes:
        url: Of the memory; nothing but this run is in it.

        effects: Path of the SQLite file with the demo's tables: the memory's own file, or one beside a server.
    """

    url: str
    effects: str

    @property
    def is_file(self) -> bool:
        """Whether the memory is the file of the effects."""
        return self.url.startswith("sqlite:")

    async def remove(self) -> None:
        """
        Remove what the run left in a server: schema, bucket, or keys (which Redis forgets a minute later). Nothing
        is done where there is nothing any more.

        What the driver raises goes through: the run is over, and the place is named.
        """
        scheme, options = parse_url(self.url)
        if scheme == "postgresql":
            await _drop_schema(self.url.partition("?")[0], options)
        elif scheme == "nats":
            await _delete_bucket(self.url.partition("?")[0], options)
        elif scheme in _REDIS:
            async with open_memory(self.url, tombstone_s=60.0) as memory:
                await _delete_all(memory)


def sqlite_place(path: Path) -> Place:
    """A memory in a file, with the effects in tables of that same file."""
    return Place(f"sqlite:///{quote(str(path.absolute()))}", str(path))


def place_of(url: str, folder: Path) -> Place:
    """
    A fresh place in the store that *url* names.

    Args:
        url: `sqlite:///path.db` of a file that does not exist yet; or a Redis, PostgreSQL or NATS server as for
            `open_memory`, without prefix, schema or bucket: the run makes its own.

        folder: For the file of effects, where the store is a server.

    Raises:
        InvalidOption: The demo cannot use it.
    """
    scheme, options = parse_url(url)
    if scheme == "sqlite":
        return _new_file(url)
    if scheme in _REDIS:
        option = "prefix"
    elif scheme in _OPTION_OF:
        option = _OPTION_OF[scheme]
    else:
        raise InvalidOption(
            "memory", f"the demo runs on sqlite, redis, postgresql and nats, and not on {scheme}://"
        )
    named = scheme == "nats" and urlsplit(url).path.strip("/")
    if option in options or named:
        raise InvalidOption("memory", f"must name no {option}; the demo makes one of its own for each run")
    name = f"pyarvo_demo_{uuid4().hex[:8]}"
    fresh = f"{url}{'&' if '?' in url else '?'}{option}={name}"
    try:
        open_memory(fresh)  # refuses what it does not understand; connects at first use
    except ImportError as error:
        raise InvalidOption("memory", f"needs a driver: {error}") from error
    return Place(fresh, str(folder / "effects.db"))


def retry_on(place: Place) -> RetryPolicy:
    """How long a worker tries again: on a server longer, for it can be away."""
    return _SHORT if place.is_file else _LONG


def _new_file(url: str) -> Place:
    rest = url.partition("://")[2].removeprefix("/")
    if not rest or "?" in rest:
        raise InvalidOption("memory", "must be sqlite:///path.db of a new file, without options")
    path = Path(unquote(rest))
    if path.exists():
        raise InvalidOption("memory", f"{path} exists; the demo needs a file of its own")
    return Place(url, str(path))


async def _delete_all(memory: LeasedMemory) -> None:
    for instance in [each async for each in memory.each()]:
        await memory.delete(instance.id, force=True)


async def _drop_schema(url: str, options: dict[str, str]) -> None:
    from pyarvo.memory.postgres.connections import connect, split_options

    dsn, _ = split_options(url, options)
    connection = await connect(dsn, statement_cache_size=0)
    try:
        await connection.execute(f'DROP SCHEMA IF EXISTS "{options["schema"]}" CASCADE')
    finally:
        await connection.close(timeout=_WITHIN_S)


async def _delete_bucket(url: str, options: dict[str, str]) -> None:
    from nats.js.errors import NotFoundError

    import nats
    from pyarvo.memory.nats.address import address_of

    tls = bool(from_text("tls", options.get("tls", "false"), default=False))
    address, _ = address_of(url, credentials=options.get("credentials"), tls=tls)
    client = await cast("Any", nats).connect(**address.arguments, connect_timeout=_WITHIN_S)
    try:
        with suppress(NotFoundError):
            await client.jetstream().delete_key_value(options["bucket"])
    finally:
        await client.close()
