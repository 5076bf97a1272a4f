"""From `--memory URL` to a memory that can be asked."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from msgspec import Struct

from pyarvo.cli.exits import Exit, Stop, redacted
from pyarvo.errors import UnsupportedByBackend
from pyarvo.memory import open_memory
from pyarvo.memory.queries import QueryLevel
from pyarvo.memory.urls import is_built_in

__all__ = ["MEMORY_VARIABLE", "Session", "hint_at_place", "opened"]

MEMORY_VARIABLE: Final = "PYARVO_MEMORY_URL"

_QUERIES: Final = (
    "get",
    "instances",
    "each",
    "count",
    "children",
    "ancestors",
    "journal",
    "earlier",
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
            Stop: No memory was named.
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
        Stop: No memory was named.
        StoreMissing: By what is asked: there is none at that place, and none may be made.
    """
    if not url:
        raise Stop(Exit.USAGE, f"which memory? Say --memory URL before the command, or set {MEMORY_VARIABLE}")
    hint_at_place(url)
    # A memory of a third party may not know the option; ours may not make by a look what a worker then meets.
    may = {"create": may_make} if is_built_in(url) else {}
    try:
        memory = open_memory(url, **may)
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


def hint_at_place(url: str) -> None:
    """Say on stderr what a person may not know of the memory at *url*."""
    if url.partition("://")[0].lower() == "memory":
        print(  # noqa: T201 - a hint for people, beside the answer
            "pyarvo: memory:// lives inside one process; from here it is empty", file=sys.stderr
        )
