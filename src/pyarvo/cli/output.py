"""Where answers go: JSON or a table to stdout, with every stored string as plain text."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pyarvo.cli.text import safe

__all__ = ["Output", "cell", "console", "print_json", "print_lines", "print_table", "status_cell"]


class Output(StrEnum):
    """How a command answers."""

    TABLE = "table"
    JSON = "json"


_WIDTH_OF_PIPES: Final = 160
_NARROWEST: Final = 8
"""Characters that every column keeps, however narrow the terminal; rich would leave columns out."""

_GAP: Final = 2

_STYLES: Final = {
    "active": "cyan",
    "waiting": "cyan",
    "held": "yellow",
    "done": "green",
    "failure": "bold red",
    "failed": "bold red",
    "error": "bold red",
    "deleted": "dim",
}


def print_json(answer: Any) -> None:
    """
    Write *answer* as JSON, and nothing else, to stdout.

    Times are ISO-8601 in UTC. All but printable ASCII is escaped, so that no stored character reaches a terminal.
    """
    sys.stdout.write(json.dumps(msgspec.to_builtins(answer), indent=2) + "\n")


def console(at_least: int = 0) -> Console:
    """
    A console on the present stdout that takes no string for markup.

    Args:
        at_least: Its width in characters where the terminal is narrower, which breaks longer lines itself.
    """
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    width = _WIDTH_OF_PIPES if piped else None
    made = Console(file=sys.stdout, markup=False, emoji=False, highlight=False, width=width)
    made.width = max(made.width, at_least)
    return made


def cell(text: object, style: str = "") -> Text:
    """A cell with *text* as it is, harmless to a terminal; None becomes a dash."""
    return Text("-" if text is None else safe(str(text)), style=style)


def status_cell(status: str | None) -> Text:
    """A cell in the colour of *status*."""
    return cell(status, _STYLES.get(status or "", ""))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Text]], *, empty: str) -> None:
    """
    Print a table, or *empty* when it has no rows. The first column is never cut or wrapped, and none is left out.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, no_wrap=number == 0, overflow="fold")
    longest = 0
    for row in rows:
        table.add_row(*row)
        longest = max(longest, row[0].cell_len)
    at_least = longest + (len(columns) - 1) * (_NARROWEST + _GAP)
    console(at_least).print(table if table.row_count else Text(empty))


def print_lines(text: str) -> None:
    """Print *text* of several lines, each as plain text and never wrapped."""
    for line in text.split("\n"):
        sys.stdout.write(safe(line) + "\n")
