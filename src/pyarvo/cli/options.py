"""The options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from pyarvo.cli.exits import Exit, Stop
from pyarvo.cli.opening import MEMORY_VARIABLE, Session
from pyarvo.cli.output import Output
from pyarvo.cli.text import parse_span

__all__ = ["IdArgument", "MemoryOption", "OutputOption", "UrlArgument", "parsed_span", "session", "url_of"]

MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--memory", metavar="URL", help="The memory to look at; as before the command.", show_default=False
    ),
]

OutputOption = Annotated[
    Output, typer.Option("--output", "-o", help="A table for people, or JSON alone on stdout.")
]

IdArgument = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="The instance id, or 4 or more characters of its beginning or end that are no other's; "
        "after -- when it begins with a dash.",
    ),
]


UrlArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="URL", help="The memory; by default the one before the command.", show_default=False
    ),
]


def parsed_span(option: str, text: str) -> float:
    """
    A length of time in seconds.

    Raises:
        Stop: It is none.
    """
    try:
        return parse_span(text)
    except ValueError as error:
        raise Stop(Exit.USAGE, f"{option}: {error}, is {text!r}") from error


def url_of(context: typer.Context, url: str | None) -> str:
    """
    The URL typed after the command, else that of the memory before it.

    Raises:
        Stop: There is neither.
    """
    named = session(context, url).url
    if not named:
        raise Stop(Exit.USAGE, f"which memory? Say its URL, or set {MEMORY_VARIABLE}")
    return named


def session(context: typer.Context, memory: str | None) -> Session:
    """The memory named after the command, else the one before it."""
    if memory is not None:
        return Session(url=memory, typed=True)
    named = context.find_object(Session)
    return Session(url=None, typed=False) if named is None else named
