"""The schema: which version is there, bringing it up to date, and the SQL of it for those who apply it by hand."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Final

from pyarvo.errors import InvalidOption, MemoryUnavailable, SchemaTooNew, StoreMissing
from pyarvo.memory.postgres.connections import Connection

__all__ = ["OLDEST_SERVER", "SCHEMA_VERSION", "check_schema_name", "migrate", "migration_sql"]

SCHEMA_VERSION: Final = 1
OLDEST_SERVER: Final = 14

_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")

# Racing processes stand in a row: each looks again once it has the lock. "ARVO" and the schema's name.
_LOCK: Final = "SELECT pg_advisory_xact_lock(1095914063, hashtext('{name}'))"
# Plain selects: `to_regclass` answers from a cache that a wait for the lock does not refresh.
_HAS_SCHEMA: Final = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)"
_HAS_VERSIONS: Final = (
    "SELECT EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
    "WHERE n.nspname = $1 AND c.relname = 'migration')"
)

_VERSIONS: Final = (
    "CREATE TABLE IF NOT EXISTS {schema}.migration "
    "(version INTEGER PRIMARY KEY, applied_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp())"
)


def check_schema_name(schema: object) -> str:
    """
    The name of a schema.

    Raises:
        InvalidOption: Not 1 to 63 of a-z, 0-9 and _, or it begins with a digit or with pg_.
    """
    if not isinstance(schema, str) or not _NAME.fullmatch(schema) or schema.startswith("pg_"):
        raise InvalidOption(
            "schema", f"must be 1 to 63 of a-z, 0-9 and _, not beginning with a digit or pg_, is {schema!r}"
        )
    return schema


def migration_sql(schema: str = "pyarvo", *, since: int = 0) -> str:
    """
    The SQL that brings *schema* from version *since* (0 = nothing there) to the newest, as one transaction.

    Applying it to a schema that is at another version fails and changes nothing.

    Raises:
        InvalidOption: The schema's name, or *since* is not 0 to the newest version.
    """
    name = check_schema_name(schema)
    if not 0 <= since <= SCHEMA_VERSION:
        raise InvalidOption("since", f"must be 0 to {SCHEMA_VERSION}, is {since!r}")
    statements = [_filled(_LOCK, name)]
    if since == 0:
        statements.append(_filled("CREATE SCHEMA IF NOT EXISTS {schema}", name))
    statements += _steps(name, since)
    return "\n\n".join(
        ["BEGIN ISOLATION LEVEL READ COMMITTED;", *(f"{statement};" for statement in statements), "COMMIT;\n"]
    )


async def migrate(connection: Connection, schema: str, *, create: bool = True) -> None:
    """
    Bring the schema up to date; does nothing, and needs no right to create, where it is.

    Raises:
        SchemaTooNew: A newer pyarvo made it.
        StoreMissing: It is not there, or an older one, and not *create*.
        MemoryUnavailable: The server is too old.
        asyncpg.PostgresError: The driver's, for the caller to classify.
    """
    major = connection.get_server_version().major
    if major < OLDEST_SERVER:
        raise MemoryUnavailable(
            f"PostgreSQL {major} is too old, {OLDEST_SERVER} or newer is needed", transient=False
        )
    if await _version(connection, schema) == SCHEMA_VERSION:
        return
    if not create:
        raise StoreMissing(
            f"there is no memory in the schema {schema!r}, or one of an older version; it is made by the first "
            "handler that uses it and may, or by `pyarvo migrate`"
        )
    async with connection.transaction(isolation="read_committed"):
        await connection.execute(_filled(_LOCK, schema))
        version = await _version(connection, schema)
        if version == SCHEMA_VERSION:
            return
        if not await connection.fetchval(_HAS_SCHEMA, schema):
            await connection.execute(_filled("CREATE SCHEMA {schema}", schema))
        for statement in _steps(schema, version):
            await connection.execute(statement)


async def _version(connection: Connection, schema: str) -> int:
    """The version that is there; 0 for none."""
    if not await connection.fetchval(_HAS_VERSIONS, schema):
        return 0
    version = await connection.fetchval(
        _filled("SELECT coalesce(max(version), 0) FROM {schema}.migration", schema)
    )
    if version > SCHEMA_VERSION:
        raise SchemaTooNew(
            f"schema {schema} has version {version}, this pyarvo knows {SCHEMA_VERSION}; upgrade pyarvo"
        )
    return int(version)


def _steps(schema: str, since: int) -> list[str]:
    """The statements from version *since* to the newest, each version's mark after its statements."""
    statements = [_filled(_VERSIONS, schema)] if since == 0 else []
    for version in range(since + 1, SCHEMA_VERSION + 1):
        text = files("pyarvo.memory.postgres").joinpath(f"schema_{version}.sql").read_text(encoding="utf-8")
        plain = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
        statements += [part.strip() for part in _filled(plain, schema).split(";") if part.strip()]
        mark = f"INSERT INTO {{schema}}.migration (version) VALUES ({version})"  # noqa: S608 - a number of ours
        statements.append(_filled(mark, schema))
    return statements


def _filled(text: str, schema: str) -> str:
    return text.replace("{schema}", f'"{schema}"').replace("{name}", schema)
