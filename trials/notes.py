"""What happened to the processes of a trial: one JSON line for each thing, with the machine's monotonic clock."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Self, TextIO

__all__ = ["Notes", "noted"]

_FILE = "notes.jsonl"


class Notes:
    """
    The file `notes.jsonl` of a trial; a context manager.

    Args:
        folder: Of the trial; it is made.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = (folder / _FILE).open("w", encoding="utf-8")

    def note(self, what: str, **facts: Any) -> None:
        """Write a line; *facts* may bring their own time as `t`."""
        self._file.write(json.dumps({"t": time.monotonic(), "what": what, **facts}) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def noted(folder: Path, what: str) -> list[dict[str, Any]]:
    """The lines of a kind, in order."""
    lines = (json.loads(line) for line in (folder / _FILE).read_text().splitlines())
    return [line for line in lines if line["what"] == what]
