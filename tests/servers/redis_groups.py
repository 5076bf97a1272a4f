"""Valkey servers that hang together: a cluster of three masters; a master, its replica and a sentinel."""

from __future__ import annotations

import socket
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.servers.redis import RedisServer, free_ports, until

__all__ = ["Watched", "cluster", "cluster_url", "move_slot", "watched"]

_SLOTS = 16_384
# A cluster's bus listens so far above its server; Redis 6.2 takes no other port for it.
_BUS = 10_000
# From here on systems give ports to connections.
_CONNECTIONS = 32_000


@contextmanager
def cluster(directory: Path, masters: int = 3) -> Generator[list[RedisServer]]:
    """A cluster; every master has an equal share of the slots."""
    with ExitStack() as stack:
        servers: list[RedisServer] = []
        for n in range(masters):
            settings = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]
            server = RedisServer(directory / str(n), _port_with_bus(), settings)
            server.start()
            stack.callback(server.kill)
            servers.append(server)
        for n, server in enumerate(servers):
            slots = range(n * _SLOTS // masters, (n + 1) * _SLOTS // masters)
            server.command("CLUSTER", "ADDSLOTS", *map(str, slots))
        for server in servers[1:]:
            servers[0].command("CLUSTER", "MEET", "127.0.0.1", str(server.port))
        until(lambda: all(_is_whole(server, masters) for server in servers), "the cluster is whole")
        yield servers


def _port_with_bus() -> int:
    """A free port, and that of its bus is free too."""
    while True:
        (port,) = free_ports(1)
        if port + _BUS >= _CONNECTIONS:
            continue
        with socket.socket() as bus, suppress(OSError):
            bus.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bus.bind(("127.0.0.1", port + _BUS))
            return port


def _is_whole(server: RedisServer, masters: int) -> bool:
    info = server.command("CLUSTER", "INFO")
    return "cluster_state:ok" in info and f"cluster_size:{masters}" in info


def cluster_url(servers: Sequence[RedisServer]) -> str:
    return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in servers)


def move_slot(
    slot: int, source: RedisServer, target: RedisServer, others: Sequence[RedisServer] = ()
) -> None:
    """Begin to move *slot*, with all its keys; with *others*, end it: every server then knows."""
    source_id, target_id = (server.command("CLUSTER", "MYID") for server in (source, target))
    if others:
        for server in others:
            server.command("CLUSTER", "SETSLOT", str(slot), "NODE", target_id)
        return
    target.command("CLUSTER", "SETSLOT", str(slot), "IMPORTING", source_id)
    source.command("CLUSTER", "SETSLOT", str(slot), "MIGRATING", target_id)
    keys = source.command("CLUSTER", "GETKEYSINSLOT", str(slot), "100").splitlines()
    reply = source.command("MIGRATE", "127.0.0.1", str(target.port), "", "0", "5000", "KEYS", *keys)
    assert reply == "OK", reply


@dataclass
class Watched:
    """
    A master and its replica, watched by a sentinel.

    Attributes:
        url: For a memory.
    """

    master: RedisServer
    replica: RedisServer
    sentinel: RedisServer
    url: str

    def fail_over(self) -> None:
        """Kill the master; returns when the replica has taken over."""
        self.master.kill()
        until(self._has_taken_over, "the replica takes over", 30.0)

    def _has_taken_over(self) -> bool:
        try:
            return "role:master" in self.replica.command("INFO", "replication")
        except OSError:  # the sentinel ends the replica's connections while it makes a master of it
            return False


@contextmanager
def watched(directory: Path) -> Generator[Watched]:
    """Three processes on free ports."""
    first, second, third = free_ports(3)
    durable = ["--appendonly", "yes", "--repl-diskless-sync-delay", "0"]
    master = RedisServer(directory / "master", first, durable)
    replica = RedisServer(directory / "replica", second, [*durable, "--replicaof", "127.0.0.1", str(first)])
    settings = directory / "sentinel" / "sentinel.conf"
    sentinel = RedisServer(settings.parent, third, sentinel=settings)
    settings.write_text(
        f"port {third}\nbind 127.0.0.1\ndir {settings.parent}\n"
        f"sentinel monitor orders 127.0.0.1 {first} 1\n"
        "sentinel down-after-milliseconds orders 300\nsentinel failover-timeout orders 2000\n"
    )
    with ExitStack() as stack:
        for server in (master, replica, sentinel):
            server.start()
            stack.callback(server.kill)
        until(
            lambda: "master_link_status:up" in replica.command("INFO", "replication"), "the replica follows"
        )
        until(
            lambda: f"port\n{second}" in sentinel.command("SENTINEL", "REPLICAS", "orders"),
            "the sentinel knows the replica",
            30.0,
        )
        yield Watched(master, replica, sentinel, f"redis+sentinel://127.0.0.1:{third}/orders")
