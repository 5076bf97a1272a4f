"""RedisMachineMemory: workflows on Redis or Valkey, alone, behind sentinels, or as a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack, overload

from pyarvo.memory.leased import LeasedMemory
from pyarvo.memory.options import MemoryOptions, check_source

try:
    from redis.asyncio import Redis, RedisCluster

    from pyarvo.memory.redis.address import Address, RedisFields, RedisOptions
    from pyarvo.memory.redis.backend import RedisBackend
    from pyarvo.memory.redis.routes import Client, Route, Wait, open_route, route_over
except ModuleNotFoundError as exc:
    if (exc.name or "").partition(".")[0] not in {"redis", "hiredis"}:
        raise
    raise ModuleNotFoundError(
        "redis:// needs the drivers redis-py and hiredis: pip install 'pyarvo[redis]'", name=exc.name
    ) from exc

__all__ = ["RedisMachineMemory", "open_redis"]


class RedisMachineMemory(LeasedMemory):
    """
    A memory on Redis >= 6.2 or Valkey >= 7.2.

    Leases are judged by the server's clock. How much survives the death of the server is a matter of its
    settings (`appendfsync`, `maxmemory-policy`, replicas): docs/backends/redis.md.

    Args:
        url: `redis://[user:password@]host[:port][/database]`, `rediss://...` for TLS,
            `redis+sentinel://host:port,host:port/service[/database]`, `redis+cluster://host:port,host:port`.
            User and password are percent-encoded. For options in the URL see `open_memory`.

        client: Instead of a URL: a `redis.asyncio.Redis` or `RedisCluster`. Its settings are used for
            connections of this memory's own; it is never closed.

        options: See `RedisOptions` and `MemoryOptions`.

    Raises:
        InvalidOption: The URL or an option is not understood or out of its bounds, or *client* is another one, such
            as a synchronous `redis.Redis`.
    """

    @overload
    def __init__(self, url: str, **options: Unpack[RedisFields]) -> None: ...

    @overload
    def __init__(self, *, client: Client, **options: Unpack[RedisFields]) -> None: ...

    def __init__(
        self, url: str | None = None, *, client: Client | None = None, **options: Unpack[RedisFields]
    ) -> None:
        mine, rest = RedisOptions.split(options)
        parsed = MemoryOptions.of(rest)
        wait = Wait(mine.wait_replicas, mine.wait_s) if mine.wait_replicas else None
        super().__init__(RedisBackend(_opener(url, client, mine), mine.prefix, parsed, wait), parsed)


def _opener(url: str | None, client: Client | None, options: RedisOptions) -> Callable[[], Route]:
    check_source(url, client, (Redis, RedisCluster), "a redis.asyncio.Redis or RedisCluster")
    if client is not None:
        return lambda: route_over(client)
    address = Address.parse(url or "")
    return lambda: open_route(address, options)


def open_redis(url: str, **options: Any) -> RedisMachineMemory:
    """The factory of `redis://`, `rediss://`, `redis+sentinel://` and `redis+cluster://`."""
    return RedisMachineMemory(url, **options)
