"""The TypeScript system in a process of its own, asked one line at a time."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["Node", "Refused"]


class Refused(Exception):
    """What the TypeScript system threw."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name


class Node:
    """
    A process that runs `run.mjs`; a context manager.

    Args:
        directory: Where `node_modules` is.
    """

    def __init__(self, directory: Path) -> None:
        script = Path(__file__).with_name("run.mjs").resolve()
        self._process = subprocess.Popen(  # noqa: S603 - a script of this folder, by the node on the path
            ["node", str(script)],  # noqa: S607 - as make found it
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def ask(self, **asked: Any) -> list[str]:
        """
        Ask, as `run.mjs` says, and return the wire texts of the events.

        Raises:
            Refused: It threw.
        """
        assert self._process.stdin is not None  # noqa: S101 - it is piped
        assert self._process.stdout is not None  # noqa: S101 - it is piped
        self._process.stdin.write(f"{json.dumps(asked)}\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise Refused(*answer["error"])
        return answer["events"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()
