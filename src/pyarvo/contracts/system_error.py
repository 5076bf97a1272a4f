"""The one event that every handler may emit: what went wrong, told to whoever asked."""

from __future__ import annotations

from traceback import format_exception

from pydantic import BaseModel, ConfigDict, Field

from pyarvo.errors import ViolationError

__all__ = ["SystemErrorData", "create_arvo_error"]

# A failure is kept four times in one record, in text that may be four bytes a character: what no store can keep
# could be told to nobody.
_LONGEST_MESSAGE = 8_000
_LONGEST_STACK = 32_000


class SystemErrorData(BaseModel):
    """
    Data of a system error event.

    Attributes:
        error_name: Class of the error.

        error_message: Its message.

        error_stack: Its traceback, or None.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    error_name: str = Field(alias="errorName")
    error_message: str = Field(alias="errorMessage")
    error_stack: str | None = Field(alias="errorStack")


def create_arvo_error(error: BaseException) -> dict[str, str | None]:
    """
    Describe *error* as the data of a system error event.

    The traceback goes along, as in the TypeScript system. What is not Unicode text in it is escaped; an error whose
    own code cannot say its message has one that says so. Of long texts the middle is left out: a message has 8,000
    characters at most, a traceback 32,000.
    """
    return {
        "errorName": error.name if isinstance(error, ViolationError) else type(error).__name__,
        "errorMessage": _short(_unicode(_message(error)), _LONGEST_MESSAGE),
        "errorStack": _short(_unicode(_stack(error)), _LONGEST_STACK) if error.__traceback__ else None,
    }


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as fault:  # noqa: BLE001 - a user's class: its error is to be told all the same
        return f"<no message: {type(error).__name__}.__str__ raised {type(fault).__name__}>"


def _stack(error: BaseException) -> str:
    return "".join(format_exception(error))


def _short(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    half = longest // 2 - 32
    return f"{text[:half]}\n... {len(text) - 2 * half:,} characters left out ...\n{text[-half:]}"


def _unicode(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
