"""Settings of a PostgreSQL server, and of a pooler before it."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import asyncpg

from pyarvo.errors import InvalidOption
from pyarvo.memory.doctor import Finding, breaks, fine, unknown
from pyarvo.memory.postgres.connections import Connection, connect, split_options
from pyarvo.memory.postgres.faults import DRIVER_ERRORS, fault_of_connecting
from pyarvo.memory.postgres.migrations import OLDEST_SERVER, SCHEMA_VERSION, check_schema_name

__all__ = ["examine"]

_WITHIN_S: Final = 5.0
_CLOCKS_APART_S: Final = 5.0
_TRIES: Final = 5

_BACKEND: Final = "SELECT pg_backend_pid()"

_ASKED: Final = """
SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int / 10000 AS major,
       current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('synchronous_standby_names') AS standbys,
       pg_is_in_recovery() AS standby, current_setting('default_transaction_read_only') AS read_only,
       extract(epoch FROM clock_timestamp())::float8 AS now
"""
_HAS_SCHEMA: Final = "SELECT to_regclass($1::text) IS NOT NULL"


async def examine(url: str, options: Mapping[str, str]) -> Sequence[Finding]:
    """
    See `pyarvo.memory.doctor.examine`. Opens two connections; writes nothing.

    Raises:
        InvalidOption: The URL is not understood.
        MemoryUnavailable: The server could not be asked.
    """
    schema = check_schema_name(options.get("schema", "pyarvo"))
    dsn, _ = split_options(url, options)
    try:
        async with _connected(dsn) as one, _connected(dsn) as two:
            sent_at = time.time()
            (told,) = await one.fetch(_ASKED)
            clock = _clock(told["now"] - (sent_at + time.time()) / 2)
            findings = [_version(told), *_durability(told), *_writable(told), clock]
            findings.append(await _pooler(one, two, options.get("pooler", "none")))
            findings.extend([finding async for finding in _schema(one, schema)])
    except DRIVER_ERRORS as error:
        raise fault_of_connecting(error, "the server cannot be asked") from error
    return findings


@asynccontextmanager
async def _connected(dsn: str) -> AsyncGenerator[Connection]:
    # Without named statements: a pooler may not know them.
    try:
        connection = await connect(
            dsn,
            timeout=_WITHIN_S,
            command_timeout=_WITHIN_S,
            statement_cache_size=0,
            server_settings={"application_name": "pyarvo doctor"},
        )
    except ValueError as error:  # the driver's, which quotes a piece of the password
        raise InvalidOption(
            "url", "is not understood; write special characters of a password as %XX"
        ) from error
    try:
        yield connection
    finally:
        with suppress(*DRIVER_ERRORS):
            await connection.close(timeout=_WITHIN_S)


def _version(told: Mapping[str, Any]) -> Finding:
    if told["major"] >= OLDEST_SERVER:
        return fine("version", told["version"])
    return breaks(
        "version", told["version"], f"{OLDEST_SERVER} is the oldest that works", "upgrade the server"
    )


def _durability(told: Mapping[str, Any]) -> list[Finding]:
    findings: list[Finding] = []
    crash = "when the machine stops"
    if told["fsync"] == "on":
        findings.append(fine("fsync", "on"))
    else:
        reason = f"acknowledged steps are lost, or the whole database is damaged, {crash}"
        findings.append(breaks("fsync", told["fsync"], reason, "ALTER SYSTEM SET fsync = on, and reload"))
    if told["full_page_writes"] == "on":
        findings.append(fine("full_page_writes", "on"))
    else:
        reason = (
            f"pages that were half written {crash} are not repaired, unless the file system never does that"
        )
        fix = "ALTER SYSTEM SET full_page_writes = on, and reload"
        findings.append(breaks("full_page_writes", told["full_page_writes"], reason, fix))
    return [*findings, _synchronous_commit(told["synchronous_commit"], standbys=bool(told["standbys"]))]


def _synchronous_commit(value: str, *, standbys: bool) -> Finding:
    name = "synchronous_commit"
    if value == "off":
        return fine(name, value, "a memory sets it on for its own transactions")
    if value == "local" and standbys:
        reason = "there are synchronous standbys, but a commit does not wait for them: a failover loses the latest steps"
        return breaks(name, value, reason, "ALTER ROLE ... SET synchronous_commit = on")
    return fine(name, value, "" if standbys else "no synchronous standby: a failover loses what it lacked")


def _writable(told: Mapping[str, Any]) -> list[Finding]:
    if told["standby"]:
        reason = "this server is a standby: it takes no writes"
        fix = "name the primary, or several hosts and target_session_attrs=read-write in the URL"
        return [breaks("pg_is_in_recovery", "true", reason, fix)]
    if told["read_only"] == "on":
        fix = "ALTER ROLE ... SET default_transaction_read_only = off"
        return [breaks("default_transaction_read_only", "on", "the role takes no writes", fix)]
    return [fine("pg_is_in_recovery", "false")]


def _clock(ahead_s: float) -> Finding:
    shown = f"{ahead_s:+.1f} s from this host's"
    if abs(ahead_s) <= _CLOCKS_APART_S:
        return fine("clock", shown)
    reason = "one of the two is wrong; leases go by the server's, so it must neither jump nor differ from a standby's"
    return unknown("clock", shown, reason, "compare both with a time server")


async def _pooler(one: Connection, two: Connection, option: str) -> Finding:
    """Two idle connections that reach one backend stand before a pooler that lends per transaction."""
    if not await _share_a_backend(one, two):
        reason = "as far as one can tell from here: a pooler with several free connections looks the same"
        return fine("pooler", "none, or one that lends per session", reason)
    if option == "transaction":
        return fine("pooler", "lends per transaction", "calls stand in BEGIN and COMMIT: pooler=transaction")
    known = await _knows_names(one, two)
    if known:
        return fine("pooler", "lends per transaction", "it knows prepared statements")
    fix = "PgBouncer 1.21 or newer with max_prepared_statements, or ?pooler=transaction in the URL"
    if known is None:
        reason = "it did not come about that one could tell whether it knows prepared statements"
        return unknown("pooler", "lends per transaction", reason, fix)
    reason = (
        "statements that are prepared on one connection are looked for on another: calls fail now and then"
    )
    return breaks("pooler", "lends per transaction", reason, fix)


async def _share_a_backend(one: Connection, two: Connection) -> bool:
    """Asked a few times: a pooler whose other clients are busy may lend each another one."""
    for _ in range(_TRIES):
        if await one.fetchval(_BACKEND) == await two.fetchval(_BACKEND):
            return True
    return False


async def _knows_names(one: Connection, two: Connection) -> bool | None:
    """
    Whether a statement that *one* prepared is found while *two* keeps the backend that it was prepared on.

    None where that never came about, or there was no other backend then.
    """
    driver: Any = one
    for _ in range(_TRIES):
        async with one.transaction():
            backend = await one.fetchval(_BACKEND)
            prepared = await driver.prepare("SELECT 1", name=f"pyarvo_doctor_{os.urandom(4).hex()}")
        try:
            async with two.transaction():
                if await two.fetchval(_BACKEND) == backend:
                    await prepared.fetchval(timeout=_WITHIN_S)
                    return True
        except (asyncpg.InvalidSQLStatementNameError, asyncpg.InterfaceError):
            return False
        except TimeoutError:
            return None
    return None


async def _schema(connection: Connection, schema: str) -> AsyncIterator[Finding]:
    name = f"schema {schema}"
    if not await connection.fetchval(_HAS_SCHEMA, f'"{schema}".migration'):
        reason = "not made yet; the first use makes it where the role may, else `pyarvo migrate` under one that may"
        yield fine(name, "none", reason)
        return
    version = await connection.fetchval(f'SELECT coalesce(max(version), 0) FROM "{schema}".migration')  # noqa: S608 - checked
    if version == SCHEMA_VERSION:
        yield fine(name, version)
    elif version > SCHEMA_VERSION:
        reason = f"this pyarvo knows {SCHEMA_VERSION} and leaves the tables alone"
        yield breaks(name, version, reason, "upgrade pyarvo")
    else:
        yield fine(name, version, f"the next use brings it to {SCHEMA_VERSION}, or `pyarvo migrate`")
