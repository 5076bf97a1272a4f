"""The way from an operation's key to a server: one server, the master that sentinels name, or a cluster."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeAlias

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.crc import key_slot
from redis.exceptions import RedisClusterException, RedisError

from pyarvo.errors import MemoryFault, MemoryUnavailable, WriteOutcomeUnknown
from pyarvo.memory.redis.address import Address, RedisOptions, tls_arguments
from pyarvo.memory.redis.faults import fault_of_answer, fault_of_reply
from pyarvo.memory.redis.scripts import LOAD, LOADED, Command, changed
from pyarvo.memory.redis.wire import Answer, ErrorReply, Link, Reply, pack

__all__ = ["Client", "Result", "Route", "Wait", "open_route", "route_over", "unavailable"]

Client: TypeAlias = "Redis | RedisCluster"
Result: TypeAlias = "Reply | MemoryFault"

_CONNECT_S: Final = 2.0
_REDIRECTIONS: Final = 5
_CHANGED: Final = re.compile(r"\b(READONLY|CLUSTERDOWN|TRYAGAIN)\b")
_Place: TypeAlias = tuple[str, int]
_ASKING: Final = pack(b"ASKING")


class Wait:
    """
    Sent behind the writes of a batch: so many replicas must have them.

    Args:
        replicas: How many.

        within_s: How long to wait for them, in seconds.
    """

    def __init__(self, replicas: int, within_s: float) -> None:
        self.replicas = replicas
        self.within_s = within_s
        self.payload = pack(b"WAIT", b"%d" % replicas, b"%d" % max(1, round(within_s * 1000)))


class Route(Protocol):
    """Sends commands to where their keys are. Each is answered by its reply, or by the fault of it alone."""

    async def run(
        self, commands: Sequence[Command], within_s: float, wait: Wait | None = None
    ) -> list[Result]: ...

    async def servers(self) -> Sequence[Link]:
        """The servers that together hold every key."""
        ...

    async def close(self) -> None: ...


class SingleRoute:
    """
    One server, or the master that sentinels name; it is found anew by every connection.

    Args:
        link: Its connections.

        sentinel: Closed with the route.
    """

    def __init__(self, link: Link, sentinel: Sentinel | None = None) -> None:
        self._link = link
        self._sentinel = sentinel

    async def run(
        self, commands: Sequence[Command], within_s: float, wait: Wait | None = None
    ) -> list[Result]:
        results = await _ask(self._link, commands, within_s, wait)
        if any(isinstance(result, ErrorReply) and "READONLY" in result.text for result in results):
            await self._link.forget()
        return [_settled(result) for result in results]

    async def servers(self) -> Sequence[Link]:
        return (self._link,)

    async def close(self) -> None:
        await self._link.close()
        if self._sentinel is not None:
            for client in self._sentinel.sentinels:
                await client.aclose()


class ClusterRoute:
    """
    Commands grouped by server, all servers at once. What a server sends on elsewhere was not executed, and follows.

    Args:
        client: Knows which slots are where.

        owned: Whether it is closed with the route.
    """

    def __init__(self, client: RedisCluster, *, owned: bool) -> None:
        self._client = client
        self._owned = owned
        self._links: dict[_Place, Link] = {}
        self._outdated = False

    async def run(
        self, commands: Sequence[Command], within_s: float, wait: Wait | None = None
    ) -> list[Result]:
        await self._learn(within_s)
        results: list[Result] = [MemoryUnavailable("no server of the cluster holds this slot")] * len(
            commands
        )
        slots = self._client.nodes_manager.slots_cache
        places: dict[int, _Place] = {}
        for n, command in enumerate(commands):
            nodes = slots.get(key_slot(command.key))
            if nodes:
                places[n] = (nodes[0].host, int(nodes[0].port))
        asking: set[int] = set()
        for _ in range(_REDIRECTIONS):
            groups: dict[_Place, list[int]] = {}
            for n, place in places.items():
                groups.setdefault(place, []).append(n)
            sent = [
                _ask(self._link(place), [_asked(commands[n], n in asking) for n in group], within_s, wait)
                for place, group in groups.items()
            ]
            places, asking = {}, set[int]()
            for group, answers in zip(groups.values(), await asyncio.gather(*sent), strict=True):
                for n, result in zip(group, answers, strict=True):
                    results[n] = result
                    if isinstance(result, ErrorReply) and result.code in {"MOVED", "ASK"}:
                        places[n] = _place_in(result)
                        self._outdated = True
                        if result.code == "ASK":
                            asking.add(n)
            if not places:
                break
        self._outdated |= any(_hints_at_change(result) for result in results)
        return [_settled(result) for result in results]

    async def servers(self) -> Sequence[Link]:
        await self._learn(_CONNECT_S)
        nodes = self._client.get_primaries()
        return [self._link((node.host, int(node.port))) for node in nodes]

    async def close(self) -> None:
        for link in self._links.values():
            await link.close()
        if self._owned:
            await self._client.aclose()

    async def _learn(self, within_s: float) -> None:
        """Which slots are where; asked again after anything pointed to a change."""
        try:
            async with asyncio.timeout(within_s):
                await self._client.initialize()
                if self._outdated:
                    await self._client.nodes_manager.initialize()
                    self._outdated = False
        except (RedisError, RedisClusterException, OSError) as exc:
            raise fault_of_answer(Answer([], exc, sent=False)) from exc

    def _link(self, place: _Place) -> Link:
        link = self._links.get(place)
        if link is None:
            node = self._client.get_default_node()
            arguments: dict[str, Any] = {**node.connection_kwargs, "host": place[0], "port": place[1]}
            link = self._links[place] = Link(lambda: node.connection_class(**arguments))
        return link


def _asked(command: Command, asking: bool) -> Command:
    """For a slot that is being moved: the new server takes a command only behind ASKING."""
    return Command(command.key, tuple(_ASKING + part for part in command.parts), 2) if asking else command


def _place_in(moved: ErrorReply) -> _Place:
    """The server named in `MOVED 3999 host:port`."""
    host, _, port = moved.text.split()[2].rpartition(":")
    return host, int(port)


def _hints_at_change(result: Result) -> bool:
    """Whether the slots may be elsewhere by now."""
    return isinstance(result, MemoryFault) or (
        isinstance(result, ErrorReply) and bool(_CHANGED.search(result.text))
    )


def _settled(result: Result) -> Result:
    return fault_of_reply(result) if isinstance(result, ErrorReply) else result


async def _ask(link: Link, commands: Sequence[Command], within_s: float, wait: Wait | None) -> list[Result]:
    """One round trip; another one for the commands whose script the server does not know."""
    results = await _exchange(link, commands, within_s, wait)
    unknown = [n for n, result in enumerate(results) if _is_unknown_script(result)]
    if unknown:
        loading = Command(b"", (LOAD,), LOADED)
        again = await _exchange(link, [loading, *[commands[n] for n in unknown]], within_s, wait)
        refused = again[0]
        for n, result in zip(unknown, again[1:], strict=True):
            results[n] = refused if _is_unknown_script(result) else result
    return results


def _is_unknown_script(result: Result) -> bool:
    return isinstance(result, ErrorReply) and result.code == "NOSCRIPT"


async def _exchange(
    link: Link, commands: Sequence[Command], within_s: float, wait: Wait | None
) -> list[Result]:
    payload = b"".join([part for command in commands for part in command.parts])
    count = sum(len(command.parts) * command.replies for command in commands)
    if wait is not None:
        payload += wait.payload
        count += 1
        within_s += wait.within_s
    answer = await link.exchange(payload, count, within_s)
    replies: Sequence[Reply] = answer.replies
    results: list[Result] = []
    at = 0
    for command in commands:
        at += len(command.parts) * command.replies
        results.append(replies[at - 1] if at <= len(replies) else fault_of_answer(answer))
    if wait is not None and len(replies) == count:
        confirmed = replies[-1]
        if not isinstance(confirmed, int) or confirmed < wait.replicas:
            results = [_unconfirmed(result, confirmed, wait) for result in results]
    return results


def _unconfirmed(result: Result, confirmed: Reply, wait: Wait) -> Result:
    if isinstance(result, MemoryFault) or not changed(result):
        return result
    return WriteOutcomeUnknown(
        f"stored, but {confirmed} of {wait.replicas} replicas have it after {wait.within_s} s"
    )


# --- opening --------------------------------------------------------------------------------------------------


def open_route(address: Address, options: RedisOptions) -> Route:
    """The way to the servers of *address*, for the running loop. It connects at first use."""
    arguments: dict[str, Any] = {
        "username": address.username,
        "password": address.password,
        "socket_connect_timeout": _CONNECT_S,
        "protocol": 2,
    }
    tls = address.tls or options.tls
    if tls:
        arguments |= tls_arguments(options)
    match address.kind:
        case "standalone":
            ((host, port),) = address.hosts
            connection = SSLConnection if tls else Connection
            arguments |= {"host": host, "port": port, "db": address.database}
            return SingleRoute(Link(lambda: connection(**arguments)))
        case "sentinel":
            login = {"username": options.sentinel_username, "password": options.sentinel_password}
            sentinel = Sentinel(
                list(address.hosts),
                sentinel_kwargs={
                    **({"ssl": True, **tls_arguments(options)} if tls else {}),
                    **{name: value for name, value in login.items() if value},
                    "socket_connect_timeout": _CONNECT_S / 4,
                    "socket_timeout": _CONNECT_S / 4,
                },
            )
            pool = SentinelConnectionPool(
                address.service, sentinel, ssl=tls, db=address.database, **arguments
            )
            return SingleRoute(Link(pool.make_connection), sentinel)
        case "cluster":
            nodes = [ClusterNode(host, port) for host, port in address.hosts]
            client = RedisCluster(
                startup_nodes=nodes,
                ssl=tls,
                cluster_error_retry_attempts=0,
                require_full_coverage=False,
                **arguments,
            )
            return ClusterRoute(client, owned=True)


def route_over(client: Client) -> Route:
    """The way that a client passed in knows; it is not closed."""
    if isinstance(client, RedisCluster):
        return ClusterRoute(client, owned=False)
    pool: ConnectionPool = client.connection_pool
    return SingleRoute(Link(pool.make_connection))


def unavailable(fault: MemoryFault) -> MemoryFault:
    """The fault of a question, which can be asked again whether it arrived or not."""
    if not isinstance(fault, WriteOutcomeUnknown):
        return fault
    plain = MemoryUnavailable(fault.args[0])
    plain.__cause__ = fault.__cause__
    return plain
