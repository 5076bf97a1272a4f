"""Valkey servers that hang together: a cluster of three masters; a master, its replica and a sentinel."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.redis import RedisServer, free_ports, until

__all__ = ["Watched", "cluster", "cluster_url", "move_slot", "watched"]

_SLOTS = 16_384


@contextmanager
def cluster(directory: Path, masters: int = 3) -> Generator[list[RedisServer]]:
    """A cluster; every master has an equal share of the slots."""
    ports = free_ports(2 * masters)
    with ExitStack() as stack:
        servers: list[RedisServer] = []
        for n in range(masters):
            settings = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]
            settings += ["--cluster-port", str(ports[masters + n])]
            server = RedisServer(directory / str(n), ports[n], settings)
            server.start()
            stack.callback(server.kill)
            servers.append(server)
        for n, server in enumerate(servers):
            first, last = n * _SLOTS // masters, (n + 1) * _SLOTS // masters - 1
            server.command("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
        for n, server in enumerate(servers[1:], 1):
            servers[0].command("CLUSTER", "MEET", "127.0.0.1", str(server.port), str(ports[masters + n]))
        until(lambda: all(_is_whole(server, masters) for server in servers), "the cluster is whole")
        yield servers


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
    replica = RedisServer(directory / "replica", second, [*durable, "--replicaof", f"127.0.0.1 {first}"])
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
