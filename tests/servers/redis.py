"""Real Valkey servers for tests (`pyarvo.demo.servers.redis`): alone, with replicas, as a cluster."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast

from pyarvo.demo.servers.process import ServerFailed, free_ports, until
from pyarvo.demo.servers.redis import RedisServer, binary, command
from pyarvo.memory import Step
from pyarvo.memory.redis import RedisMachineMemory
from pyarvo.memory.redis.backend import RedisBackend
from pyarvo.memory.redis.scripts import Keys
from redis import Redis

__all__ = [
    "RIGHTS",
    "RedisServer",
    "ask",
    "backend_of",
    "binary",
    "command",
    "free_ports",
    "keys_in",
    "prefix_of",
    "redis_url",
    "running",
    "stored",
    "until",
]

RIGHTS = (
    "+evalsha +script|load +ping +wait +time +get +set +rename +persist +pexpire +exists +unlink "
    "+hget +hset +hdel +hmget +hgetall +scan +hscan +select"
)
"""What a user needs to work with a memory, as docs/backends/redis.md says."""


@contextmanager
def running(directory: Path, *settings: str) -> Generator[RedisServer]:
    """A server on a free port, for as long as the block runs."""
    server = _started(directory, settings)
    try:
        yield server
    finally:
        server.kill()


def _started(directory: Path, settings: Sequence[str], tries: int = 3) -> RedisServer:
    """A server; on another port where somebody took the first one before it did."""
    server = RedisServer(directory, free_ports(1)[0], settings)
    try:
        server.start()
    except ServerFailed:
        if tries == 1:
            raise
        return _started(directory, settings, tries - 1)
    return server


@contextmanager
def redis_url(directory: Path) -> Generator[str]:
    """The URL of a server: `REDIS_URL` where that is given, else one that is started here."""
    given = os.environ.get("REDIS_URL")
    if given:
        yield given
        return
    with running(directory) as server:
        yield server.url


def ask(url: str, *arguments: object) -> Any:
    """The reply of the server at *url* to one command, as the driver gives it."""
    with closing(cast("Any", Redis).from_url(url)) as client:
        return client.execute_command(*arguments)


# --- memories on it -------------------------------------------------------------------------------------------


def backend_of(memory: RedisMachineMemory) -> RedisBackend:
    backend = memory._backend
    assert isinstance(backend, RedisBackend)
    return backend


def prefix_of(memory: RedisMachineMemory) -> str:
    return backend_of(memory)._prefix


def keys_in(memory: RedisMachineMemory, id: str) -> Keys:
    return backend_of(memory)._scripts.keys(id)


async def stored(memory: RedisMachineMemory, id: str = "x") -> None:
    """Make a record in one step."""
    lease = await memory.acquire(id)
    assert lease is not None
    await memory.commit(lease, {"a": 1}, step=Step('["s","1"]'))
