"""Histories of trials: one JSON line for each thing that happened, with the machine's monotonic clock."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Self, TextIO

__all__ = ["History"]


class History:
    """
    A file of lines; a context manager.

    Args:
        path: Of the file; its directory is made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = path.open("w", encoding="utf-8")

    def note(self, what: str, **facts: Any) -> None:
        """Write a line; *facts* may bring their own time as `t`."""
        self._file.write(json.dumps({"t": time.monotonic(), "what": what, **facts}) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
