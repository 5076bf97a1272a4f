"""PgBouncer in transaction mode before a PostgreSQL server of ours; its program is the one that PGBOUNCER names."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from socket import create_connection
from urllib.parse import urlsplit

from pyarvo.demo.servers.process import free_ports, until

from .postgres import PostgresServer

__all__ = ["before", "knows_names", "program"]

_NOBODY = 65534

# A pool for each user: tests make users of their own, each with a search path of its own.
_SETTINGS = """
[databases]
* = host=127.0.0.1 port={server}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
pool_mode = transaction
default_pool_size = {pool}
max_client_conn = 500
server_idle_timeout = 2
auth_type = trust
auth_file = {users}
auth_user = arvo
auth_query = SELECT usename, '' FROM pg_shadow WHERE usename = $1
{more}"""


def program() -> str | None:
    """The program; None where no test asks for it."""
    return os.environ.get("PGBOUNCER")


@cache
def knows_names() -> bool:
    """Whether the program follows prepared statements from backend to backend: from 1.21 on."""
    said = subprocess.run([program() or "", "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"(\d+)\.(\d+)", said)
    assert version, said
    return (int(version[1]), int(version[2])) >= (1, 21)


@contextmanager
def before(server: PostgresServer, *, prepared: int = 0, pool: int = 4) -> Generator[str]:
    """
    `host:port` of a pooler before *server*, for as long as the context lasts.

    Args:
        server: Where.

        prepared: Its max_prepared_statements; 0 = it does not know a statement that another backend prepared.

        pool: Most backends of one user.
    """
    given = program()
    assert given, "PGBOUNCER names the program"
    # Older ones end at a setting that they do not know.
    more = f"max_prepared_statements = {prepared}\n" if knows_names() else ""
    port = free_ports(1)[0]
    as_nobody = os.geteuid() == 0  # it refuses to run as root
    with tempfile.TemporaryDirectory(prefix="pyarvo-pgbouncer-") as folder:
        users, settings, log = (Path(folder) / name for name in ("users", "settings", "log"))
        users.write_text('"arvo" ""\n')
        at = {"server": urlsplit(server.url).port, "port": port, "users": users}
        settings.write_text(_SETTINGS.format(**at, pool=pool, more=more))
        Path(folder).chmod(0o755)
        with log.open("wb") as out:
            process = subprocess.Popen(
                [given, str(settings)],
                stdout=out,
                stderr=out,
                user=_NOBODY if as_nobody else None,
                group=_NOBODY if as_nobody else None,
                extra_groups=[] if as_nobody else None,
            )
        try:
            until(lambda: _listens(process, port, log), f"PgBouncer on port {port}")
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


def _listens(process: subprocess.Popen[bytes], port: int, log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    with suppress(OSError), create_connection(("127.0.0.1", port), 1.0):
        return True
    return False
