"""SqliteMachineMemory: the embedded default. One file, several processes, nothing to operate."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Unpack, cast, get_args
from urllib.parse import unquote

from pyarvo.errors import InvalidOption
from pyarvo.memory.leased import LeasedMemory
from pyarvo.memory.options import MemoryOptions, OptionFields, check_clock
from pyarvo.memory.sqlite.backend import SqliteBackend
from pyarvo.memory.sqlite.connection import Synchronous

__all__ = ["SqliteMachineMemory", "open_sqlite"]


class SqliteMachineMemory(LeasedMemory):
    """
    A memory in one SQLite file (WAL), made at first use.

    Several processes may work on one file. Not for network file systems. Leases are judged by the host's clock.

    Args:
        path: Of the file; its directory must exist. ":memory:" is refused: use `SimpleMachineMemory`.

        synchronous: "full" (default): an acknowledged write survives a power cut. "normal": it survives the
            death of the process, and may be lost with the machine.

        clock: Seconds since the epoch; for tests. Default: the host's.

        options: See `MemoryOptions`.

    Raises:
        InvalidOption: The path or an option is out of its bounds.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: Synchronous = "full",
        clock: Callable[[], float] = time.time,
        **options: Unpack[OptionFields],
    ) -> None:
        name = _file_name(path)
        if synchronous not in get_args(Synchronous):
            raise InvalidOption("synchronous", f"must be full or normal, is {synchronous!r}")
        check_clock(clock)
        parsed = MemoryOptions.of(options)
        super().__init__(SqliteBackend(name, parsed, synchronous, clock), parsed)


def _file_name(path: object) -> str:
    if not isinstance(path, str | bytes | os.PathLike):
        raise InvalidOption("path", f"must name a file, is {path!r}")
    try:
        name = os.fsdecode(cast("os.PathLike[str]", path))
    except TypeError as exc:  # its `__fspath__` gives something else
        raise InvalidOption("path", f"must name a file, is {path!r}") from exc
    if not name or name == ":memory:" or "\0" in name:
        raise InvalidOption("path", f"must name a file, is {name!r}")
    try:
        os.fsencode(name)
    except UnicodeEncodeError as exc:
        raise InvalidOption("path", "holds a lone surrogate, which no file name has") from exc
    return name


def open_sqlite(url: str, **options: Any) -> SqliteMachineMemory:
    """The factory of `sqlite:///relative.db` and `sqlite:////absolute.db`."""
    host, slash, path = url.partition("://")[2].partition("/")
    if host or not slash or not path:
        raise InvalidOption("url", "sqlite takes a path: sqlite:///relative.db or sqlite:////absolute.db")
    if "path" in options:
        raise InvalidOption("path", "stands in the URL itself: sqlite:///relative.db")
    return SqliteMachineMemory(unquote(path), **options)
