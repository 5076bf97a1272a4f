"""What is run: the suites on servers and Pythons of Debian 12, and of the suites that came after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["ROWS", "Row"]

_SERVED = ("tests/integration", "tests/conformance", "tests/acceptance")
_POOLED = ("tests/conformance", "-k", "pgbouncer")
_REDIS = "/usr/bin/redis-server"
_VALKEY = "/usr/bin/valkey-server"
_PGBOUNCER = "/usr/sbin/pgbouncer"


@dataclass(frozen=True)
class Row:
    """
    One line of the table.

    Attributes:
        name: To ask for it.

        what: What is tested.

        program: Says its version.

        tests: Arguments of pytest.

        package: Of Debian, with the program; "" for another Python of this machine.

        environment: What makes the tests use the program.

        suite: Of Debian, newer than this machine's: the tests run in a folder with its packages and its Python.
            "" = on this machine.

        python: Of that suite.
    """

    name: str
    what: str
    program: str
    tests: tuple[str, ...]
    package: str = ""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    suite: str = ""
    python: str = "python3"


def _postgres(name: str, version: int, suite: str = "") -> Row:
    binaries = f"/usr/lib/postgresql/{version}/bin"
    package = f"postgresql-{version}"
    tests = (*_SERVED, "-k", "postgres")
    return Row(
        name, "PostgreSQL", f"{binaries}/postgres", tests, package, {"POSTGRES_BIN": binaries}, suite=suite
    )


def _redis(name: str, what: str, program: str, suite: str = "") -> Row:
    package = program.rpartition("/")[2]
    tests = (*_SERVED, "-k", "redis")
    what = f"{what}, alone, as a cluster, behind a sentinel"
    return Row(name, what, program, tests, package, {"REDIS_SERVER": program}, suite=suite)


def _pgbouncer(name: str, what: str, suite: str = "", python: str = "python3") -> Row:
    what = f"PgBouncer, pool_mode=transaction, before the wheel's PostgreSQL; {what}"
    environment = {"PGBOUNCER": _PGBOUNCER}
    return Row(name, what, _PGBOUNCER, _POOLED, "pgbouncer", environment, suite=suite, python=python)


ROWS = (
    _redis("redis", "Redis", _REDIS),
    _postgres("postgres", 15),
    _pgbouncer("pgbouncer", "`pooler=transaction`"),
    *(Row(name, "unit tests", name, ("tests/unit",)) for name in ("python3.12", "python3.13")),
    _redis("redis-8", "Redis", _REDIS, "trixie"),
    _redis("valkey-8", "Valkey", _VALKEY, "trixie"),
    _postgres("postgres-17", 17, "trixie"),
    _pgbouncer("pgbouncer-1.24", "`pooler=transaction`, and statements by name", "trixie"),
    _pgbouncer("pgbouncer-1.26", "`pooler=transaction`, and statements by name", "forky", "python3.14"),
    Row(
        "python3.14",
        "all tests",
        "/usr/bin/python3.14",
        ("tests",),
        "python3.14",
        suite="forky",
        python="python3.14",
    ),
)
