"""From `--memory URL` to a memory that can be asked."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import unquote

from msgspec import Struct

from pyarvo.cli.exits import Exit, Stop, redacted
from pyarvo.errors import UnsupportedByBackend
from pyarvo.memory import open_memory
from pyarvo.memory.queries import QueryLevel

__all__ = ["MEMORY_VARIABLE", "Session", "check_place", "opened"]

MEMORY_VARIABLE: Final = "PYARVO_MEMORY_URL"

_QUERIES: Final = (
    "get",
    "instances",
    "each",
    "count",
    "children",
    "ancestors",
    "journal",
    "history",
    "delete",
    "force_release",
)

T = TypeVar("T")


class Session(Struct, frozen=True, kw_only=True):
    """
    Which memory a command works on.

    Attributes:
        url: Of the memory; None when nobody named one.

        typed: Whether it was typed, rather than taken from the environment.
    """

    url: str | None
    typed: bool

    @property
    def to_repeat(self) -> str | None:
        """The URL that a further command has to be given; None when the environment has it, or it holds a secret."""
        if self.url is None or not self.typed or redacted(self.url) != self.url:
            return None
        return self.url

    def ask(self, work: Callable[[QueryLevel], Awaitable[T]], *, may_make: bool = False) -> T:
        """
        Open the memory, do *work* with it, close it.

        Args:
            work: What to do.

            may_make: Whether a memory is made where there is none yet.

        Raises:
            Stop: No memory was named, or there is none at that place.
            ArvoError: What the memory raises.
        """

        async def run() -> T:
            async with opened(self.url, may_make=may_make) as memory:
                return await work(memory)

        return asyncio.run(run())


@asynccontextmanager
async def opened(url: str | None, *, may_make: bool = False) -> AsyncGenerator[QueryLevel]:
    """
    The memory at *url*, closed in the end.

    Raises:
        Stop: No memory was named, or there is none at that place and none may be made.
    """
    if not url:
        raise Stop(Exit.USAGE, f"which memory? Say --memory URL before the command, or set {MEMORY_VARIABLE}")
    check_place(url, may_make=may_make)
    try:
        memory = open_memory(url)
    except ImportError as error:
        raise Stop(Exit.FAILED, f"the memory of {redacted(url)} cannot be loaded: {error}") from error
    missing = [name for name in _QUERIES if not hasattr(memory, name)]
    if missing:
        raise UnsupportedByBackend(
            f"{type(memory).__name__} has no query level (it lacks {', '.join(missing)}): handlers can use it, "
            "these commands cannot"
        )
    async with memory:
        yield memory


def check_place(url: str, *, may_make: bool = False) -> None:
    """
    Looking at a memory must not make one.

    Raises:
        Stop: There is none, and none may be made.
    """
    scheme, _, rest = url.partition("?")[0].partition("://")
    if scheme.lower() == "memory":
        print(  # noqa: T201 - a hint for people, beside the answer
            "pyarvo: memory:// lives inside one process; from here it is empty", file=sys.stderr
        )
    if scheme.lower() != "sqlite" or may_make:
        return
    path = Path(unquote(rest.partition("/")[2]))
    if not path.name:
        return  # `open_memory` says what is wrong with it
    try:
        if path.is_dir():
            raise Stop(Exit.FAILED, f"{path} is a directory, not a memory")
        there = path.is_file() and path.stat().st_size > 0
    except OSError as error:
        raise Stop(Exit.FAILED, f"{path} cannot be looked at: {error.strerror}") from error
    if not there:
        raise Stop(
            Exit.FAILED,
            f"there is no memory at {path}; it is made by the first handler that uses it, or by `pyarvo migrate`",
        )
