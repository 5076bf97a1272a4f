"""Real NATS servers for tests (`pyarvo.demo.servers.nats`): alone, or three in a cluster."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pyarvo.demo.servers.nats import NatsServer, binary
from pyarvo.demo.servers.process import free_ports, until

__all__ = ["NatsServer", "binary", "cluster", "free_ports", "nats_url", "running", "settle", "until"]


@contextmanager
def running(
    directory: Path, *, settings: Sequence[str] = (), durable: bool = False, jetstream: bool = True
) -> Generator[NatsServer]:
    """A server for as long as the context lasts."""
    server = NatsServer(directory, settings=settings, durable=durable, jetstream=jetstream)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def nats_url(directory: Path, *, settings: Sequence[str] = ()) -> Generator[str]:
    """The server that `NATS_URL` names, or one of our own with *settings*."""
    given = os.environ.get("NATS_URL")
    if given:
        yield given.rstrip("/")
        return
    with running(directory, settings=settings) as server:
        yield server.url


@contextmanager
def cluster(directory: Path, *, size: int = 3, settings: Sequence[str] = ()) -> Generator[list[NatsServer]]:
    """Servers in one cluster with *settings*, and with a leader of JetStream."""
    routes = free_ports(size)
    listed = ", ".join(f"nats://127.0.0.1:{port}" for port in routes)
    with ExitStack() as stack:
        servers: list[NatsServer] = []
        for n, port in enumerate(routes):
            setting = f"cluster {{ name: test, listen: 127.0.0.1:{port}, routes: [{listed}] }}"
            servers.append(
                NatsServer(directory / f"s{n}", name=f"s{n}", settings=[setting, *settings], durable=True)
            )
        for server in servers:
            stack.callback(server.stop)
            server.start()
        settle(servers)
        yield servers


def settle(servers: Sequence[NatsServer]) -> None:
    """Wait until the servers have a leader, and that leader counts on all the others."""
    until(lambda: _is_settled(servers), "the cluster does not settle")


def _is_settled(servers: Sequence[NatsServer]) -> bool:
    metas: dict[str, dict[str, Any]] = {
        server.name: server.ask("jsz").get("meta_cluster") or {} for server in servers
    }
    leaders = {meta.get("leader") for meta in metas.values()}
    if len(leaders) != 1 or not (leader := leaders.pop()):
        return False
    others: Sequence[dict[str, Any]] = (
        metas[leader].get("replicas") or ()
    )  # only the leader's own view counts
    return len(others) == len(servers) - 1 and all(
        other.get("current") and not other.get("offline") for other in others
    )
