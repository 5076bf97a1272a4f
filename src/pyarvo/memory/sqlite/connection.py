"""Opening the file: is it ours, which version, and the settings that the contract needs."""

from __future__ import annotations

import random
import sqlite3
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal, TypeVar

from pyarvo.errors import ForeignStore, MemoryUnavailable, SchemaTooNew, StoreMissing
from pyarvo.memory.sqlite.faults import is_busy

__all__ = [
    "APPLICATION_ID",
    "OLDEST_SQLITE",
    "SCHEMA_VERSION",
    "OpenedFile",
    "Synchronous",
    "begin",
    "check_there",
    "connect",
    "patiently",
]

APPLICATION_ID: Final = 0x4152564F  # "ARVO"
SCHEMA_VERSION: Final = 1
OLDEST_SQLITE: Final = (3, 35, 0)
_WAL_PAGES: Final = 4_000

Synchronous = Literal["full", "normal"]

T = TypeVar("T")


class OpenedFile:
    """
    Which file stands behind a path: what is written to a file that was removed or replaced is lost with the process.

    Args:
        path: Absolute.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._identity: tuple[int, int] | None = None

    def opened(self) -> None:
        """
        A connection to it was made.

        Raises:
            MemoryUnavailable: It is gone already.
        """
        if self._identity is None:
            self._identity = self._found()

    def check(self) -> None:
        """
        Raises:
            MemoryUnavailable: Another file, or none, is there now.
        """
        if self._identity is not None and self._found() != self._identity:
            raise self._fault("replaced")

    def _found(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError as exc:
            raise self._fault("removed") from exc
        return found.st_dev, found.st_ino

    def _fault(self, what: str) -> MemoryUnavailable:
        return MemoryUnavailable(
            f"{self._path} was {what} while it was open; put the file back, or open the memory anew",
            transient=False,
        )


def check_there(path: str) -> None:
    """
    Raises:
        StoreMissing: There is no file, or nothing in it yet.
        MemoryUnavailable: It cannot be read, or is not a file.
    """
    try:
        if Path(path).is_dir():
            raise MemoryUnavailable(f"{path} is a directory, not a memory", transient=False)
        there = Path(path).is_file() and Path(path).stat().st_size > 0
    except OSError as exc:
        raise MemoryUnavailable(f"{path} cannot be read: {exc.strerror}", transient=False) from exc
    if not there:
        raise _missing(path)


def connect(
    path: str, synchronous: Synchronous, within_s: float, *, create: bool = True
) -> sqlite3.Connection:
    """
    A connection of the calling thread, the schema made or brought up to date where *create* allows it.

    Two processes that open a new file at once both end with the same schema: each step is done under the
    write lock and looks again at what is there.

    Raises:
        ForeignStore: The file is a database of something else.
        SchemaTooNew: A newer pyarvo wrote it.
        StoreMissing: The schema is not there, or an older one, and not *create*.
        MemoryUnavailable: This SQLite is too old.
        sqlite3.Error: The driver's, for the caller to classify.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise MemoryUnavailable(
            f"SQLite {sqlite3.sqlite_version} is too old, 3.35 or newer is needed", transient=False
        )
    if not create:
        check_there(path)  # before: connecting makes a file that is not there
    connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=True)
    try:
        patiently(lambda: _check_version(connection, path, create=create), within_s)
        patiently(lambda: connection.execute("PRAGMA journal_mode = WAL"), within_s)
        for pragma in _pragmas(synchronous):
            connection.execute(f"PRAGMA {pragma}")
        _migrate(connection, path, within_s)
    except BaseException:
        connection.close()
        raise
    return connection


def _missing(path: str) -> StoreMissing:
    return StoreMissing(
        f"there is no memory at {path}; it is made by the first handler that uses it, or by `pyarvo migrate`"
    )


def begin(connection: sqlite3.Connection, until: float) -> None:
    """BEGIN IMMEDIATE, tried until *until* (monotonic seconds) while another process writes."""
    patiently(lambda: connection.execute("BEGIN IMMEDIATE"), until - time.monotonic())


def patiently(attempt: Callable[[], T], within_s: float) -> T:
    """
    Repeat *attempt* while the file is busy, for at most *within_s* seconds.

    Short random pauses: SQLite's own wait grows to 100 ms a turn, far longer than the transactions it waits for.
    """
    until = time.monotonic() + within_s
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= until:
                raise
        time.sleep(random.uniform(0.0005, 0.004))


def _pragmas(synchronous: Synchronous) -> list[str]:
    pragmas = [
        f"synchronous = {synchronous.upper()}",
        f"wal_autocheckpoint = {_WAL_PAGES}",
        "cache_size = -16384",
        "trusted_schema = OFF",
    ]
    if sys.platform == "darwin":  # there, fsync alone does not reach the disk
        pragmas += ["fullfsync = ON", "checkpoint_fullfsync = ON"]
    return pragmas


def _version(connection: sqlite3.Connection, path: str) -> int:
    """
    The schema's version; 0 for a file that is still empty.

    Raises:
        ForeignStore: Somebody else's tables, or another application's mark.
        SchemaTooNew: Ours, of a later time.
    """
    # From one snapshot: another process may make the schema between two of these.
    alone = not connection.in_transaction
    if alone:
        connection.execute("BEGIN")
    try:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    finally:
        if alone:
            connection.execute("ROLLBACK")
    if application_id != APPLICATION_ID:
        if application_id or version or tables:
            raise ForeignStore(f"{path} is a database of something else; choose another file")
        return 0
    if version > SCHEMA_VERSION:
        raise SchemaTooNew(f"{path} has schema {version}, this pyarvo knows {SCHEMA_VERSION}; upgrade pyarvo")
    return int(version)


def _check_version(connection: sqlite3.Connection, path: str, *, create: bool) -> None:
    """As `_version`; also refuse what would have to be made, where nothing may be."""
    if _version(connection, path) < SCHEMA_VERSION and not create:
        raise _missing(path)


def _migrate(connection: sqlite3.Connection, path: str, within_s: float) -> None:
    if patiently(lambda: _version(connection, path), within_s) == SCHEMA_VERSION:
        return
    begin(connection, time.monotonic() + within_s)
    if _version(connection, path) < SCHEMA_VERSION:
        for statement in _schema():
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")  # after a fault the caller closes the connection, which rolls back


def _schema() -> list[str]:
    text = files("pyarvo.memory.sqlite").joinpath("schema.sql").read_text(encoding="utf-8")
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    return [statement for statement in plain.split(";") if statement.strip()]
