"""What the starters of servers share: how to wait for one, where it may listen, and how it fails."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Final, Protocol

from pyarvo.errors import ArvoError

__all__ = ["Server", "ServerFailed", "ServerMissing", "free_ports", "until"]

# A cluster's bus listens 10,000 above; that must be a port too.
_HIGHEST_PORT: Final = 55_000


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


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on; for clusters also with their bus ports, 10,000 above, valid."""
    held: list[socket.socket] = []
    ports: list[int] = []
    try:
        while len(ports) < count:
            one = socket.socket()
            held.append(one)
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            if port < _HIGHEST_PORT:
                ports.append(port)
    finally:
        for one in held:
            one.close()
    return ports
