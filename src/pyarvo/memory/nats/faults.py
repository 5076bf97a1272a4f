"""What answers of the server, and their absence, mean for a memory: in one place."""

from __future__ import annotations

import asyncio
import ssl
from enum import Enum
from typing import Final

import nats.errors
from msgspec import Struct

from pyarvo.errors import MemoryFault, MemoryUnavailable, WriteOutcomeUnknown

__all__ = [
    "DRIVER_ERRORS",
    "NO_MESSAGE",
    "NO_STREAM",
    "ApiError",
    "Silence",
    "connect_fault",
    "is_conflict",
    "read_fault",
    "write_fault",
]


DRIVER_ERRORS: Final = (nats.errors.Error, OSError)
"""What the driver raises of a connection; the second where it writes by itself to one that was lost."""


class ApiError(Struct, frozen=True):
    """An error that the server answered with."""

    code: int = 0
    err_code: int = 0
    description: str = ""


class Silence(Enum):
    """Why there is no answer."""

    NOT_SENT = "there is no connection"
    NO_RESPONDERS = "no JetStream answers: is it enabled, and has the stream a leader?"
    TIMED_OUT = "no answer in time"
    DISCONNECTED = "the connection was lost"
    FORBIDDEN = "this user may not publish there; see the permissions in docs/backends/nats.md"


NO_MESSAGE: Final = 10037
NO_STREAM: Final = 10059

_CONFLICTS: Final = frozenset({10071, 10164})

# Refused before anything was stored, and only somebody's action changes that.
_LASTING: Final = {
    10023: "the account has no more JetStream resources",
    10039: "JetStream is not enabled for this account",
    10047: "the server has no more storage",
    10054: "the message is larger than the stream allows",
    10076: "JetStream is not enabled on this server",
    10077: "the bucket is full (max_bytes, or max_msgs)",
}


def is_conflict(error: ApiError) -> bool:
    """Whether another revision was stored than the one a write stood on."""
    return error.err_code in _CONFLICTS


def read_fault(why: ApiError | Silence) -> MemoryFault:
    """For a question that changes nothing."""
    if isinstance(why, Silence):
        return MemoryUnavailable(why.value, transient=why is not Silence.FORBIDDEN)
    hint = _LASTING.get(why.err_code)
    text = f"the server answered {why.err_code} {why.description!r}{f': {hint}' if hint else ''}"
    return MemoryUnavailable(text, transient=hint is None and why.code >= 500)


def write_fault(why: ApiError | Silence) -> MemoryFault:
    """For a write: unknown when it was sent and nobody said what became of it."""
    if why in {Silence.TIMED_OUT, Silence.DISCONNECTED}:
        return WriteOutcomeUnknown(f"{why.value}; commit the same again to settle it")
    return read_fault(why)


def connect_fault(error: BaseException, where: str) -> MemoryFault:
    """
    The fault to raise when no connection came about, its cause set.

    Args:
        error: From the driver.

        where: The servers, without user and password.
    """
    refused = (nats.errors.AuthorizationError, nats.errors.InvalidUserCredentialsError, ssl.SSLError)
    lasting = isinstance(error, refused) or "authorization" in str(error).lower()
    if lasting:
        text = f"{where}: refused: {_said(error)}; check user, password, token, credentials or certificate"
    elif isinstance(error, nats.errors.NoServersError | OSError | asyncio.TimeoutError):
        text = f"{where}: no server answers"
    else:
        text = f"{where}: {_said(error)}"
    fault = MemoryUnavailable(text, transient=not lasting)
    fault.__cause__ = error
    return fault


def _said(error: BaseException) -> str:
    return str(error).removeprefix("nats: ") or type(error).__name__
