"""Keys of a prefix on a Valkey server as a place; its clock stands in a key that the scripts read for TIME."""

# It rewrites scripts and damages stores from inside.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any
from uuid import uuid4

from redis.asyncio.connection import Connection
from tests.servers.redis import ask

from pyarvo.memory import MemoryOptions
from pyarvo.memory.backend import Backend
from pyarvo.memory.redis.address import Address
from pyarvo.memory.redis.backend import RedisBackend
from pyarvo.memory.redis.routes import Server, SingleRoute
from pyarvo.memory.redis.scripts import LOAD, LOADED, keys_of
from pyarvo.memory.redis.wire import Answer, Link, Replies, pack

from .place import Clock, Place

__all__ = ["RedisPlace"]


class KeyClock(Clock):
    """
    The server's clock as the rewritten scripts see it; what expires on the server does so by this clock too.

    Args:
        url: Of the server.

        prefix: Of the keys that it rules.
    """

    def __init__(self, url: str, prefix: str) -> None:
        self.key = f"clock:{prefix}"
        self._url = url
        self._prefix = prefix
        self._now = 0.0
        super().__init__()

    @property
    def now(self) -> float:
        return self._now

    @now.setter
    def now(self, value: float) -> None:
        micros = round(value * 1e6)
        past_ms = round((value - self._now) * 1e3) if self._now else 0
        self._now = micros / 1e6
        ask(self._url, "HSET", self.key, "s", micros // 1_000_000, "us", micros % 1_000_000)
        if past_ms > 0:
            for key in ask(self._url, "KEYS", f"{self._prefix}:*"):
                left_ms = ask(self._url, "PTTL", key)
                if left_ms > 0:
                    ask(self._url, "PEXPIRE", key, left_ms - past_ms)


class Clocked(Link):
    """
    A link that asks for the clock of the place wherever the server's was meant.

    Args:
        make: A connection.

        swaps: What is sent in place of what.
    """

    def __init__(self, make: Callable[[], object], swaps: list[tuple[bytes, bytes]]) -> None:
        super().__init__(make)
        self._swaps = swaps

    async def exchange(self, payload: bytes, count: int, within_s: float) -> Answer:
        for old, new in self._swaps:
            payload = payload.replace(old, new)
        return await super().exchange(payload, count, within_s)


@cache
def _scripts() -> list[str]:
    """The scripts as they are."""
    commands: list[Any] = []
    requests = Replies()
    requests.feed(LOAD)
    assert requests.take(LOADED, commands)
    return [command[2].decode() for command in commands]


class RedisPlace(Place):
    """
    Keys of a prefix of its own, under a clock of its own.

    Args:
        directory: For nothing.

        url: Of the server.
    """

    def __init__(self, directory: Path, url: str) -> None:
        super().__init__("redis", directory)
        self._url = url
        self._prefix = f"place-{uuid4().hex}"
        clock = KeyClock(url, self._prefix)
        self.clock = clock
        reading = f"redis.call('HMGET', '{clock.key}', 's', 'us')"
        making = f"redis.call('INCR', '{clock.key}:made') - 1"
        asking = pack(b"HMGET", clock.key.encode(), b"s", b"us")
        self._swaps = [(pack(b"TIME"), asking)]
        for script in _scripts():
            clocked = script.replace("redis.call('TIME')", reading)
            assert clocked != script
            # What is made while the clock stands still is a microsecond apart, as it would be with a real one.
            clocked = clocked.replace("'serial', whole(now)", f"'serial', whole(now + {making})")
            ask(url, "SCRIPT", "LOAD", clocked)
            self._swaps.append((_digest(script), _digest(clocked)))
        ((self._host, self._port),) = Address.parse(url).hosts

    def _backend(self, options: MemoryOptions) -> Backend:
        return RedisBackend(self._route, self._prefix, options, None)

    def _route(self) -> SingleRoute:
        def connection() -> Connection:
            return Connection(host=self._host, port=self._port, protocol=2)

        server = Server(connection)
        server.writes, server.questions = Clocked(connection, self._swaps), Clocked(connection, self._swaps)
        return SingleRoute(server)

    def damage(self, id: str, raw: bytes) -> None:
        key = keys_of(self._prefix.encode(), id).record
        assert ask(self._url, "EXISTS", key) == 1
        ask(self._url, "SET", key, raw)


def _digest(script: str) -> bytes:
    return sha1(script.encode(), usedforsecurity=False).hexdigest().encode()
