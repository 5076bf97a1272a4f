"""What the driver's errors mean for a memory, in one place."""

from __future__ import annotations

from typing import Final

from asyncpg import InterfaceError, InternalClientError, PostgresError

from pyarvo.errors import MemoryFault, MemoryUnavailable, RecordCorrupt, WriteOutcomeUnknown

__all__ = ["DRIVER_ERRORS", "asks_again", "asks_singly", "fault_of", "fault_of_connecting", "is_broken"]

# All that the driver raises: time-outs are of the first, its own confusion stands beside its other errors.
DRIVER_ERRORS: Final = (OSError, PostgresError, InterfaceError, InternalClientError)

# The connection or the server went away in the middle: whether it was before or after the commit, nobody can say.
_UNKNOWN: Final = ("08", "57P01", "57P02", "57P03", "57P05", "40003")

# Not applied, and worth asking again: conflicts between transactions, no room or connection just now, a server that
# starts, or that is a standby until the failover is over.
_TRANSIENT: Final = ("08", "40", "53300", "53200", "53400", "55P03", "57", "25006")

# Faults of one operation of a batch, not of the store.
_OF_ONE: Final = ("22", "23", "40", "54", "55P03")

# Lost against another transaction; for a journal that has the step already, a new snapshot will show it.
_AGAIN: Final = ("40001", "40P01", "23505")

_HINTS: Final = {
    "28": "check user and password of the URL, and pg_hba.conf",
    "3D": "create the database first",
    "3F": "the schema is missing; let its owner apply the migrations",
    "42P01": "a table is missing; let the schema's owner apply the migrations",
    "42703": "a column is missing; let the schema's owner apply the migrations",
    "42501": "grant the rights that docs/backends/postgres.md lists",
    "53100": "the disk is full; nothing was changed",
    "25006": "this server is read-only; is it a standby?",
    "26000": "is there a pooler that lends connections per transaction? add pooler=transaction to the URL",
    "42P05": "is there a pooler that lends connections per transaction? add pooler=transaction to the URL",
    "55P03": "the row was locked by another's write",
}


def fault_of(error: BaseException, *, writing: bool) -> MemoryFault:
    """
    The fault to raise for *error* of a statement that was sent, its cause set.

    Args:
        error: The driver's, or `TimeoutError`.

        writing: Whether the statement could have changed something.
    """
    code = _code(error)
    message = _message(error, code)
    fault: MemoryFault
    if code == "23505":
        fault = RecordCorrupt(
            "the journal has a step that the instance does not know of; it was left as it is"
        )
    elif isinstance(error, PostgresError) and not code.startswith(_UNKNOWN):
        fault = MemoryUnavailable(message, transient=code.startswith(_TRANSIENT))
    elif isinstance(error, InterfaceError) and not code:
        # The driver refused before it sent anything: bad arguments, a connection that was closed.
        fault = MemoryUnavailable(message, transient="closed" in str(error))
    elif isinstance(error, InternalClientError) and "cannot switch to state" in str(error):
        # The server's goodbye stands on the line, and its end has not been read; nothing was sent.
        fault = MemoryUnavailable(message)
    elif writing:
        fault = WriteOutcomeUnknown(message)
    else:
        fault = MemoryUnavailable(message)
    fault.__cause__ = error
    return fault


def fault_of_connecting(error: BaseException, where: str) -> MemoryFault:
    """The fault to raise where no connection was had, and nothing was sent."""
    code = _code(error)
    transient = code.startswith(_TRANSIENT) if code else isinstance(error, OSError)
    fault = MemoryUnavailable(f"{where}: {_message(error, code)}", transient=transient)
    fault.__cause__ = error
    return fault


def is_broken(error: BaseException) -> bool:
    """Whether the connection is not to be used again. A read-only server may be one that a failover left behind."""
    code = _code(error)
    return not code or code.startswith((*_UNKNOWN, "25006", "26000"))


def asks_singly(fault: MemoryFault) -> bool:
    """Whether the operations of a refused batch may each be asked alone: nothing of it was applied."""
    return _code(fault.__cause__).startswith(_OF_ONE)


def asks_again(fault: MemoryFault) -> bool:
    """Whether the same statement may well be answered now."""
    return _code(fault.__cause__).startswith(_AGAIN)


def _code(error: BaseException | None) -> str:
    return str(getattr(error, "sqlstate", None) or "")


def _message(error: BaseException, code: str) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    hint = next((text for start, text in _HINTS.items() if code.startswith(start)), "")
    return f"{error}{f' ({hint})' if hint else ''}"
