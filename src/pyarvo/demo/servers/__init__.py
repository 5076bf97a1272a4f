"""
Real servers on the loopback, started from the programs in PyPI wheels: Valkey, PostgreSQL, NATS.

Each can be killed and started again on the same data. The demo runs on them; the project's tests use them too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pyarvo.demo.servers import nats, postgres, redis
from pyarvo.demo.servers.process import Server, ServerFailed, ServerMissing
from pyarvo.errors import InvalidOption

__all__ = ["SERVERS", "Server", "ServerFailed", "ServerMissing", "create_server"]

SERVERS: Final = MappingProxyType[str, Callable[[Path], Server]](
    {"redis": redis.create_durable, "postgres": postgres.create_durable, "nats": nats.create_durable}
)


def create_server(name: str, directory: Path) -> Server:
    """
    Make a server that keeps what it acknowledged, whenever it is killed; `start` it next.

    Args:
        name: "redis", "postgres" or "nats".

        directory: For its files; need not exist.

    Raises:
        InvalidOption: There is no such server.
        ServerMissing: Its program is not installed; the message says how to get it.
        ServerFailed: Its data directory cannot be made.
    """
    create = SERVERS.get(name)
    if create is None:
        raise InvalidOption("server", f"must be one of {', '.join(SERVERS)}, is {name!r}")
    return create(directory)
