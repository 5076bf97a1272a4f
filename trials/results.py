"""The table of a folder: one row for each trial on each store, kept from run to run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["Results", "table"]

Row = dict[str, Any]


class Results:
    """
    Rows, by trial and store; a later one takes the place of an earlier one.

    Args:
        folder: Where `summary.json` and `summary.md` are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._json = folder / "summary.json"
        self.rows: list[Row] = json.loads(self._json.read_text()) if self._json.exists() else []

    def add(self, row: Row) -> None:
        """Keep *row*, at once."""
        name = _name(row)
        self.rows = [*(other for other in self.rows if _name(other) != name), row]
        self._folder.mkdir(parents=True, exist_ok=True)
        self._json.write_text(json.dumps(self.rows, indent=1) + "\n")
        (self._folder / "summary.md").write_text(table(self.rows))


def _name(row: Row) -> tuple[str, str]:
    return row["trial"], row["on"]


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    lines = ["| trial | on | as it must be | seconds | what was counted |", "|---|---|---|---|---|"]
    for row in rows:
        shown = ("trial", "on", "good", "seconds", "command")
        counted = ", ".join(
            f"{name.replace('_', ' ')} {_said(value)}" for name, value in row.items() if name not in shown
        )
        good = "yes" if row["good"] else "**no**"
        lines.append(f"| {row['trial']} | {row['on']} | {good} | {row['seconds']} | {counted} |")
    return "\n".join(lines) + "\n"


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    return f"{value:,}" if isinstance(value, int) else str(value)
