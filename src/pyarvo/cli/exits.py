"""How a command ends: the exit codes, and which error means which."""

from __future__ import annotations

import re
import sys
from enum import IntEnum
from typing import Final

from pyarvo.cli.text import safe
from pyarvo.errors import ArvoError, InvalidOption, InvalidRecord, NotApplied

__all__ = ["Exit", "Stop", "code_of", "redacted", "report"]


class Exit(IntEnum):
    """What a script can tell from the exit status."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4


class Stop(Exception):
    """
    Ends a command with a message for people.

    Attributes:
        code: The exit status.
    """

    def __init__(self, code: Exit, message: str) -> None:
        super().__init__(message)
        self.code = code


def code_of(error: Stop | ArvoError) -> Exit:
    """The exit status for *error*."""
    match error:
        case Stop():
            return error.code
        case InvalidOption() | InvalidRecord():
            return Exit.USAGE
        case NotApplied():
            return Exit.CONFLICT
        case _:
            return Exit.FAILED


def report(error: Stop | ArvoError) -> None:
    """Say on stderr what went wrong, without secrets and without control characters."""
    print(f"pyarvo: {safe(redacted(str(error)))}", file=sys.stderr)  # noqa: T201 - stderr is where people look


# To the last @, whatever stands between: a password that should have been encoded may hold any sign of a URL. Only a
# port, a path and options (host:80/b?x=@) are none; host:80/@ may be one, so too much is hidden rather than too little.
_PASSWORD: Final = re.compile(r"(?<=://)([^\s/:@]*):(?!\d{1,5}(?:/[^\s?@]*)?\?\w+=)\S*@")
# All before the last @, as the memory reads it: a token alone, or a password with a slash in it.
_OF_NATS: Final = re.compile(r"(?<=nats://)([^\s/:@]*:)?[^\s?#]*@", re.IGNORECASE)
_SECRET: Final = re.compile(
    r"([?&][^=&\s]*(?:password|passwd|secret|token|key)[^=&\s]*=)[^&\s]*", re.IGNORECASE
)


def redacted(text: str) -> str:
    """*text* with the secrets of every URL in it replaced by `***`."""
    return _SECRET.sub(r"\1***", _PASSWORD.sub(r"\1:***@", _OF_NATS.sub(r"\1***@", text)))
