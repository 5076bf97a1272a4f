"""The way from an operation's key to a server: one server, the master that sentinels name, or a cluster."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any, Final, Protocol, TypeAlias

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import RedisClusterException, RedisError

from pyarvo.errors import MemoryFault, MemoryUnavailable, WriteOutcomeUnknown
from pyarvo.memory.redis.address import Address, RedisOptions, tls_arguments
from pyarvo.memory.redis.answers import changed
from pyarvo.memory.redis.faults import fault_of_answer, fault_of_reply
from pyarvo.memory.redis.scripts import LOAD, LOADED, Command
from pyarvo.memory.redis.wire import Answer, ErrorReply, Link, Reply, pack

__all__ = ["Client", "Result", "Route", "Server", "Wait", "open_route", "route_over", "unavailable"]

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


class Server:
    """
    One server: a connection for writes, and one for questions, so that none of these holds up a write.

    Args:
        make: A new, unconnected connection of the driver.
    """

    def __init__(self, make: Callable[[], object]) -> None:
        self.writes = Link(make)
        self.questions = Link(make)

    async def forget(self) -> None:
        """It is not the server that it was."""
        await self.writes.forget()
        await self.questions.forget()

    async def close(self) -> None:
        await self.writes.close()
        await self.questions.close()


class Route(Protocol):
    """The way to the servers."""

    async def run(
        self,
        commands: Sequence[Command],
        within_s: float,
        *,
        question: bool = False,
        wait: Wait | None = None,
    ) -> list[Result]:
        """
        Send commands to where their keys are. Each is answered by its reply, or by the fault of it alone.

        Args:
            commands: What to send.

            within_s: The longest one round trip may take, in seconds.

            question: Whether nothing is written.

            wait: What is asked of replicas.
        """
        ...

    async def servers(self) -> Sequence[Server]:
        """The servers that together hold every key."""
        ...

    async def close(self) -> None: ...


class SingleRoute:
    """
    One server, or the master that sentinels name; it is found anew by every connection.

    Args:
        server: The server.

        sentinel: Closed with the route.
    """

    def __init__(self, server: Server, sentinel: Sentinel | None = None) -> None:
        self._server = server
        self._sentinel = sentinel

    async def run(
        self,
        commands: Sequence[Command],
        within_s: float,
        *,
        question: bool = False,
        wait: Wait | None = None,
    ) -> list[Result]:
        link = self._server.questions if question else self._server.writes
        results = await _ask(link, commands, within_s, wait)
        refused = [result.text for result in results if type(result) is ErrorReply]
        if not refused:
            return results
        if any("READONLY" in text for text in refused):
            await self._server.forget()
        return [_settled(result) for result in results]

    async def servers(self) -> Sequence[Server]:
        return (self._server,)

    async def close(self) -> None:
        await self._server.close()
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
        self._servers: dict[_Place, Server] = {}
        self._outdated = False

    async def run(
        self,
        commands: Sequence[Command],
        within_s: float,
        *,
        question: bool = False,
        wait: Wait | None = None,
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
                _ask(
                    self._server(place).questions if question else self._server(place).writes,
                    [_asked(commands[n], n in asking) for n in group],
                    within_s,
                    wait,
                )
                for place, group in groups.items()
            ]
            places, asking = {}, set[int]()
            for group, answers in zip(groups.values(), await asyncio.gather(*sent), strict=True):
                for n, result in zip(group, answers, strict=True):
                    results[n] = result
                    if isinstance(result, ErrorReply) and result.code in {"MOVED", "ASK"}:
                        places[n] = _place_in(result)
                        if result.code == "ASK":
                            asking.add(n)
                        else:
                            self._outdated = True
            if not places:
                break
        self._outdated |= any(_hints_at_change(result) for result in results)
        return [_settled(result) for result in results]

    async def servers(self) -> Sequence[Server]:
        await self._learn(_CONNECT_S)
        nodes = self._client.get_primaries()
        return [self._server((node.host, int(node.port))) for node in nodes]

    async def close(self) -> None:
        for server in self._servers.values():
            await server.close()
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

    def _server(self, place: _Place) -> Server:
        server = self._servers.get(place)
        if server is None:
            node = self._client.get_default_node()
            arguments: dict[str, Any] = {**node.connection_kwargs, "host": place[0], "port": place[1]}
            server = self._servers[place] = Server(lambda: node.connection_class(**arguments))
        return server


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
    unknown = [
        n for n, result in enumerate(results) if type(result) is ErrorReply and result.code == "NOSCRIPT"
    ]
    if unknown:
        loading = Command(b"", (LOAD,), LOADED)
        loaded, *again = await _exchange(link, [loading, *[commands[n] for n in unknown]], within_s, wait)
        for n, result in zip(unknown, again, strict=True):
            refused = isinstance(result, ErrorReply) and result.code == "NOSCRIPT"
            results[n] = loaded if refused else result
    return results


async def _exchange(
    link: Link, commands: Sequence[Command], within_s: float, wait: Wait | None
) -> list[Result]:
    parts = [part for command in commands for part in command.parts]
    ends = list(accumulate([len(command.parts) * command.replies for command in commands]))
    count = ends[-1]
    if wait is not None:
        parts.append(wait.payload)
        count += 1
        within_s += wait.within_s
    answer = await link.exchange(b"".join(parts), count, within_s)
    replies = answer.replies
    got = len(replies)
    if count == len(commands):
        results: list[Result] = [*replies]
    else:
        results = [_last(replies[start:end]) for start, end in pairwise((0, *ends)) if end <= got]
    results += [fault_of_answer(answer) for _ in range(len(commands) - len(results))]
    if wait is not None and got == count:
        confirmed = replies[-1]
        if not isinstance(confirmed, int) or confirmed < wait.replicas:
            results = [_unconfirmed(result, confirmed, wait) for result in results]
    return results


def _last(replies: Sequence[Reply]) -> Reply:
    """The answer of several parts: the first error, else what the last one says."""
    return next((reply for reply in replies if isinstance(reply, ErrorReply)), replies[-1])


def _unconfirmed(result: Result, confirmed: Reply, wait: Wait) -> Result:
    if isinstance(result, MemoryFault) or not changed(result):
        return result
    return WriteOutcomeUnknown(
        f"stored, but {confirmed} of {wait.replicas} replicas have it after {wait.within_s} s"
    )


# --- opening --------------------------------------------------------------------------------------------------


def _once() -> Retry:
    """For the driver's own questions: no retry, there are deadlines and retries above."""
    return Retry(NoBackoff(), 0)


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
            return SingleRoute(Server(lambda: connection(**arguments)))
        case "sentinel":
            login = {"username": options.sentinel_username, "password": options.sentinel_password}
            sentinel = Sentinel(
                list(address.hosts),
                sentinel_kwargs={
                    **({"ssl": True, **tls_arguments(options)} if tls else {}),
                    **{name: value for name, value in login.items() if value},
                    "socket_connect_timeout": _CONNECT_S / 4,
                    "socket_timeout": _CONNECT_S / 4,
                    "retry": _once(),
                },
            )
            pool = SentinelConnectionPool(
                address.service, sentinel, ssl=tls, db=address.database, **arguments
            )
            return SingleRoute(Server(pool.make_connection), sentinel)
        case "cluster":
            nodes = [ClusterNode(host, port) for host, port in address.hosts]
            client = RedisCluster(
                startup_nodes=nodes,
                ssl=tls,
                retry=_once(),
                require_full_coverage=False,
                **arguments,
            )
            return ClusterRoute(client, owned=True)


def route_over(client: Client) -> Route:
    """The way that a client passed in knows; it is not closed."""
    if isinstance(client, RedisCluster):
        return ClusterRoute(client, owned=False)
    pool: ConnectionPool = client.connection_pool
    return SingleRoute(Server(pool.make_connection))


def unavailable(fault: MemoryFault) -> MemoryFault:
    """The fault of a question, which can be asked again whether it arrived or not."""
    if not isinstance(fault, WriteOutcomeUnknown):
        return fault
    plain = MemoryUnavailable(fault.args[0])
    plain.__cause__ = fault.__cause__
    return plain
