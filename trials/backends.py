"""The stores that trials run on: a file, or a server of our own on the loopback."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.servers import nats, postgres, redis

__all__ = ["BACKENDS", "Store", "opened"]

BACKENDS = ("sqlite", "redis", "postgres", "nats")


@dataclass(frozen=True, slots=True)
class Store:
    """
    A store that is there.

    Attributes:
        name: Of the kind.

        url: Of a memory on it.

        restart: Kills its server with SIGKILL and starts it again; None where there is no server.
    """

    name: str
    url: str
    restart: Callable[[], None] | None = None

    @property
    def port(self) -> int:
        """Where the server listens."""
        return urlsplit(self.url).port or 0

    def by(self, port: int) -> str:
        """The URL by way of a proxy that listens on *port*."""
        return self.url.replace(f":{self.port}", f":{port}", 1)


@contextmanager
def opened(name: str, folder: Path) -> Generator[Store]:
    """A store of a kind, empty, that keeps what it acknowledged through a SIGKILL; ended with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    if name == "sqlite":
        yield Store(name, f"sqlite:///{folder.resolve()}/memory.db")
    elif name == "redis":
        with redis.running(folder, "--appendonly", "yes", "--appendfsync", "always") as server:
            yield Store(name, server.url, lambda: _again(server))
    elif name == "nats":
        with nats.running(folder, durable=True) as broker:
            yield Store(name, broker.url, lambda: _again(broker))
    else:
        database = postgres.PostgresServer()
        try:
            database.create()
            database.start()
            yield Store(name, database.url, lambda: _again(database))
        finally:
            database.stop()


def _again(server: redis.RedisServer | nats.NatsServer | postgres.PostgresServer) -> None:
    server.kill()
    server.start()
