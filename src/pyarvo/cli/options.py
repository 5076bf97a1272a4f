"""The options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from pyarvo.cli.opening import Session
from pyarvo.cli.output import Output

__all__ = ["IdArgument", "MemoryOption", "OutputOption", "session"]

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


def session(context: typer.Context, memory: str | None) -> Session:
    """The memory named after the command, else the one before it."""
    if memory is not None:
        return Session(url=memory, typed=True)
    named = context.find_object(Session)
    return Session(url=None, typed=False) if named is None else named
