"""What the starters of servers share: how to wait for one, where it may listen, and how it fails."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Final, Protocol

from pyarvo.errors import ArvoError

__all__ = ["Server", "ServerFailed", "ServerMissing", "free_ports", "until"]

# Below those that systems give to connections: none of them takes the port of a server that is killed and started
# again, or connects to itself there meanwhile. A cluster's bus listens 10,000 above.
_PORTS: Final = range(10_000, 32_000)
# Processes that look at the same moment look in different places.
_STRIDE: Final = 199

_tried = count()


class ServerFailed(ArvoError):
    """A server did not start, or not in time; the message has the last lines of its log."""


class ServerMissing(ArvoError):
    """The program of a server is not installed; the message says how to get it."""


class Server(Protocol):
    """A server that was made here: it can be killed, and started again on the same data and the same port."""

    @property
    def url(self) -> str:
        """Of a memory on it, as `open_memory` takes it."""
        ...

    def start(self) -> None:
        """Start it and wait until it answers."""
        ...

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL), and wait until it is gone."""
        ...

    def stop(self) -> None:
        """End it, whatever state it is in."""
        ...


def until(done: Callable[[], bool], what: str, within_s: float = 20.0) -> None:
    """
    Poll until *done*.

    Raises:
        ServerFailed: Not within *within_s* seconds.
    """
    deadline = time.monotonic() + within_s
    while not done():
        if time.monotonic() >= deadline:
            raise ServerFailed(f"{what}: not within {within_s:g} s")
        time.sleep(0.01)


def free_ports(wanted: int) -> list[int]:
    """As many loopback ports that nobody listens on, each another than this process got before."""
    ports: list[int] = []
    while len(ports) < wanted:
        port = _PORTS[(os.getpid() * _STRIDE + next(_tried)) % len(_PORTS)]
        with socket.socket() as one, suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
            one.bind(("127.0.0.1", port))
            ports.append(port)
    return ports
