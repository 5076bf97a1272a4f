"""PostgresMachineMemory: tables in a PostgreSQL database that is already there, direct or through PgBouncer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, Unpack, cast, get_args
from urllib.parse import parse_qsl, urlencode, urlsplit

try:
    import asyncpg
except ImportError as exc:
    raise ImportError("PostgresMachineMemory needs asyncpg: pip install 'pyarvo[postgres]'") from exc

from pyarvo.errors import InvalidOption
from pyarvo.memory.leased import LeasedMemory
from pyarvo.memory.options import MemoryOptions, OptionFields, check_number, check_source, from_text
from pyarvo.memory.postgres.backend import PostgresBackend
from pyarvo.memory.postgres.connections import CONNECT_S, Connection, GivenPool, Lender, OwnConnections, Pool
from pyarvo.memory.postgres.migrations import SCHEMA_VERSION, check_schema_name, migrate, migration_sql

__all__ = ["SCHEMA_VERSION", "Pooler", "PostgresMachineMemory", "migration_sql", "open_postgres"]

Pooler = Literal["none", "transaction"]

# Options of a URL that are the driver's; they say how to connect, and nothing about the memory.
_DRIVER: Final = frozenset(
    {
        *("host", "port", "user", "password", "passfile", "service", "target_session_attrs"),
        *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslpassword", "sslnegotiation"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version"),
    }
)


_SSL_MODES: Final = frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"})


class PostgresMachineMemory(LeasedMemory):
    """
    A memory in a schema of a PostgreSQL database, 14 or newer.

    The schema is made at first use where the role may do so; see `migration_sql` for those who apply it by hand.
    Leases are judged by the server's clock.

    Args:
        url: `postgresql://user:password@host:port/database`, several hosts separated by commas; the driver's
            options (`sslmode`, `target_session_attrs`, `passfile`, ...) may follow as `?name=value`. What is left
            out comes from the PG* variables.

        client: An `asyncpg.Pool` instead of a URL. It is used and never closed, and serves the loop it was made in;
            make it with `reset=...` that does nothing, or each call pays a second round trip.

        schema: Where the tables are, 1 to 63 of a-z, 0-9 and _.

        pool_size: Most connections of one event loop, 1 to 64. None is held between calls.

        pooler: "transaction" behind a pooler that lends connections per transaction and does not know prepared
            statements (PgBouncer before 1.21, or `max_prepared_statements=0`): each call then stands in BEGIN and
            COMMIT, four round trips. "none" (default) for a direct connection and for any other pooler.

        options: See `MemoryOptions`.

    Raises:
        InvalidOption: The URL or an option is out of its bounds, or *client* is another one.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        client: object | None = None,
        schema: str = "pyarvo",
        pool_size: int = 4,
        pooler: Pooler = "none",
        **options: Unpack[OptionFields],
    ) -> None:
        parsed = MemoryOptions.of(options)
        name = check_schema_name(schema)
        if pooler not in get_args(Pooler):
            raise InvalidOption("pooler", f"must be none or transaction, is {pooler!r}")
        check_source(url, client, asyncpg.Pool, "an asyncpg.Pool")

        async def prepare(connection: Connection) -> None:
            await migrate(connection, name, create=parsed.create)

        lender: Lender
        if url is None:
            lender = GivenPool(cast("Pool", client), prepare=prepare)
        else:
            lender = OwnConnections(
                _checked_url(url),
                size=_checked_size(pool_size),
                named=pooler == "none",
                within_s=max(parsed.deadline_s, CONNECT_S),
                prepare=prepare,
            )
        backend = PostgresBackend(parsed, name, lender, one_transaction=pooler == "transaction")
        super().__init__(backend, parsed)


def open_postgres(url: str, **options: Any) -> PostgresMachineMemory:
    """The factory of `postgresql://`; the driver's options among *options* go to the driver."""
    driver = {name: value for name, value in options.items() if name in _DRIVER}
    rest: Mapping[str, Any] = {name: value for name, value in options.items() if name not in _DRIVER}
    if driver:
        url = f"{url}{'&' if '?' in url else '?'}{urlencode(driver, errors='replace')}"
    return PostgresMachineMemory(url, **rest)


def _checked_url(url: str) -> str:
    """The URL is never shown: it may hold a password."""
    try:
        parts = urlsplit(url)
    except ValueError as exc:
        raise InvalidOption("url", "is no URL; write special characters of a password as %XX") from exc
    if parts.scheme not in {"postgresql", "postgres"}:
        raise InvalidOption("url", "must begin with postgresql://")
    if parts.fragment:
        raise InvalidOption("url", "has a fragment (#...); write # as %23")
    for host in parts.netloc.rpartition("@")[2].split(","):
        port = host.rpartition("]")[2].partition(":")[2]
        if port and not (port.isdecimal() and 0 < int(port) < 65_536):
            raise InvalidOption("url", "has a port that is no number from 1 to 65,535")
    mode = dict(parse_qsl(parts.query)).get("sslmode", "prefer")
    if mode not in _SSL_MODES:
        raise InvalidOption("sslmode", f"must be one of {', '.join(sorted(_SSL_MODES))}")
    return url


def _checked_size(pool_size: object) -> int:
    size = from_text("pool_size", pool_size, 4) if isinstance(pool_size, str) else pool_size
    check_number("pool_size", size, int, 1, 64)
    return cast("int", size)
