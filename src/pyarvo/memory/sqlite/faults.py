"""What SQLite's errors mean for a memory, in one place."""

from __future__ import annotations

import sqlite3
from typing import Final

from pyarvo.errors import MemoryFault, MemoryUnavailable, RecordCorrupt, WriteOutcomeUnknown

__all__ = ["DRIVER_ERRORS", "fault_of", "is_busy"]

# In a damaged file the driver also meets text that is none, in rows and in SQLite's own messages.
DRIVER_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)
DriverError = sqlite3.Error | UnicodeDecodeError

_BUSY: Final = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL", "SQLITE_SCHEMA")
_CORRUPT: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT")

# Python's own error for a column of text that is no UTF-8; it has no name.
_NO_TEXT: Final = "Could not decode to UTF-8"

# A failed write of the log leaves no commit mark in it; after any other I/O error of a COMMIT, a failed sync above
# all, the mark may be on disk or not.
_NOT_WRITTEN: Final = (
    "SQLITE_IOERR_WRITE",
    "SQLITE_IOERR_SHMSIZE",
    "SQLITE_IOERR_SHMOPEN",
    "SQLITE_IOERR_LOCK",
)

_HINTS: Final = {
    "SQLITE_CANTOPEN": "does the directory exist, and may this process write there?",
    "SQLITE_READONLY": "the file or its directory is read-only; write access is needed for the -wal file too",
    "SQLITE_FULL": "the disk, or the file's size limit, is full; nothing was changed",
    "SQLITE_BUSY": "another process holds the file locked",
}


def is_busy(error: DriverError) -> bool:
    """Whether asking again in a moment may help."""
    return _name(error).startswith(_BUSY)


def fault_of(error: DriverError, path: str, *, committing: bool = False) -> MemoryFault:
    """
    The fault to raise for *error*, its cause set.

    Args:
        error: From the driver.

        path: The file, for the message.

        committing: Whether COMMIT itself failed, so that the outcome may be unknown.
    """
    name = _name(error)
    hint = next((text for start, text in _HINTS.items() if name.startswith(start)), "")
    message = f"{path}: {error}{f' ({hint})' if hint else ''}"
    fault: MemoryFault
    if name.startswith(_CORRUPT):
        fault = RecordCorrupt(f"{message}; the file is damaged or no database; it was left as it is")
    elif committing and name.startswith("SQLITE_IOERR") and not name.startswith(_NOT_WRITTEN):
        fault = WriteOutcomeUnknown(message)
    else:
        fault = MemoryUnavailable(message, transient=name.startswith(_BUSY))
    fault.__cause__ = error
    return fault


def _name(error: DriverError) -> str:
    if isinstance(error, UnicodeDecodeError) or str(error).startswith(_NO_TEXT):
        return _CORRUPT[0]
    return str(getattr(error, "sqlite_errorname", ""))
