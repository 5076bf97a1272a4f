"""What the server's errors, and the driver's, mean for a memory, in one place."""

from __future__ import annotations

import re
import ssl
from typing import Final

from redis.exceptions import AuthenticationError, RedisError

from pyarvo.errors import ForeignStore, MemoryFault, MemoryUnavailable, RecordCorrupt, WriteOutcomeUnknown
from pyarvo.memory.redis.wire import Answer, ErrorReply

__all__ = ["ServerError", "fault_of_answer", "fault_of_reply"]

# Refused before anything was executed, by code; "" where the server's own words are enough. Asking again soon may
# help with the first, and cannot with the second.
_FOR_NOW: Final = {
    "LOADING": "",
    "MASTERDOWN": "",
    "CLUSTERDOWN": "",
    "TRYAGAIN": "a slot is being moved to another server",
    "BUSY": "somebody's script holds the server up",
    "READONLY": "this server has become a replica",
    "NOREPLICAS": "",
    "MOVED": "the cluster is changing",
    "ASK": "the cluster is changing",
    "NOSCRIPT": "the server forgot the scripts twice in a row",
}
_FOR_LONG: Final = {
    "NOAUTH": "the URL needs a user name and password",
    "WRONGPASS": "the server refuses user name or password",
    "OOM": "the server's memory is full",
    "MISCONF": "the server cannot write its files",
    "CROSSSLOT": "",
}
_REFUSAL: Final = re.compile(rf"(?:^|[\s-])({'|'.join((*_FOR_NOW, *_FOR_LONG))})\b")


class ServerError(Exception):
    """An error that the server answered with; the cause of a fault."""


def fault_of_reply(error: ErrorReply) -> MemoryFault:
    """
    The fault in a server's error, its cause set.

    Older servers put the error of a command inside a script behind words of their own.
    """
    fault = _fault(error)
    fault.__cause__ = ServerError(error.text)
    return fault


def _fault(error: ErrorReply) -> MemoryFault:
    text = error.text
    if "WRONGTYPE" in text:
        return RecordCorrupt("a key of this instance holds something of another type; it was left as it is")
    if error.code == "NOPERM":
        return MemoryUnavailable(f"{text} (what a user needs: docs/backends/redis.md)", transient=False)
    found = _REFUSAL.search(text)
    if found is None:
        return WriteOutcomeUnknown(f"the server answered {text!r}")
    code = found[1]
    hint = _FOR_NOW.get(code) or _FOR_LONG.get(code)
    return MemoryUnavailable(f"{text}{f' ({hint})' if hint else ''}", transient=code in _FOR_NOW)


def fault_of_answer(answer: Answer) -> MemoryFault:
    """The fault of every command of a batch that was not answered, its cause set."""
    error = answer.error
    text = "no answer in time" if isinstance(error, TimeoutError) and not str(error) else str(error)
    fault: MemoryFault
    if answer.sent:
        fault = WriteOutcomeUnknown(f"sent, but not answered: {text}")
    elif isinstance(error, ValueError):
        fault = ForeignStore(f"this is not a Redis or Valkey server: {text}")
    else:
        fault = MemoryUnavailable(f"cannot connect: {text}", transient=not _is_lasting(error))
    fault.__cause__ = error
    return fault


def _is_lasting(error: BaseException | None) -> bool:
    """Whether connecting again soon cannot help: a password, a database or a certificate is wrong."""
    while error is not None:
        if isinstance(error, AuthenticationError | ssl.SSLCertVerificationError):
            return True
        if isinstance(error, RedisError) and "DB index" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
