"""`open_memory(url)`: from a URL to a memory. Third parties register in the entry-point group `pyarvo.memory`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlsplit

from pyarvo.errors import InvalidOption
from pyarvo.memory.leased import LeasedMemory

__all__ = ["GROUP", "check_url", "is_built_in", "module_of", "open_memory", "parse_url"]

GROUP: Final = "pyarvo.memory"

# Built in, so that they are found also where the distribution's metadata is not (a zip file, a source tree).
_BUILT_IN: Final = {
    "memory": "pyarvo.memory.simple:open_simple",
    "sqlite": "pyarvo.memory.sqlite:open_sqlite",
    "redis": "pyarvo.memory.redis:open_redis",
    "rediss": "pyarvo.memory.redis:open_redis",
    "redis+sentinel": "pyarvo.memory.redis:open_redis",
    "redis+cluster": "pyarvo.memory.redis:open_redis",
    "postgresql": "pyarvo.memory.postgres:open_postgres",
    "nats": "pyarvo.memory.nats:open_nats",
}

# How the factories call what they are given beside the options.
_NO_OPTIONS: Final = frozenset({"url", "self"})

Factory = Callable[..., LeasedMemory]


def open_memory(url: str, **options: Any) -> LeasedMemory:
    """
    The memory that *url* names. Returns at once; it connects at first use.

    Args:
        url: `memory://`, `sqlite:///relative.db`, `sqlite:////absolute.db`, or the scheme of an installed
            package. Options may follow as `?name=value`.

        options: See `MemoryOptions`; they win over the URL's.

    Returns:
        A memory that is its own async context manager.

    Raises:
        InvalidOption: The URL, its scheme or an option is not understood.
    """
    scheme, query = parse_url(url)
    factory = _factory(scheme)
    return factory(url.partition("?")[0], **{**query, **options})


def check_url(url: str) -> None:
    """
    Refuse what `open_memory` would: for those who ask a store for something else than a memory.

    Raises:
        InvalidOption: The URL, its scheme or an option is not understood.
    """
    open_memory(url)  # holds nothing before its first use


def is_built_in(url: str) -> bool:
    """Whether the memory of *url* is one of pyarvo's own, which take every option of `MemoryOptions`."""
    return url.partition("://")[0].lower() in _BUILT_IN


def module_of(scheme: str) -> str:
    """The module of the memory with the built-in *scheme*."""
    return _BUILT_IN[scheme].partition(":")[0]


def parse_url(url: str) -> tuple[str, dict[str, str]]:
    """
    The scheme of a memory's URL in lower case, and the options that follow as `?name=value`.

    Raises:
        InvalidOption: It is not the URL of a memory.
    """
    if not isinstance(url, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
        raise InvalidOption("url", f"must be text, is {type(url).__name__}")
    scheme, separator, _ = url.partition("://")
    if not separator or not scheme:
        raise InvalidOption("url", f"must be scheme://..., known schemes are {', '.join(_schemes())}")
    try:
        parts = urlsplit(url)
    except ValueError as exc:
        raise InvalidOption("url", f"is not valid: {exc}") from exc
    if parts.fragment:
        raise InvalidOption("url", "has a fragment (#...); write # as %23")
    try:
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as exc:
        raise InvalidOption("url", "has a query that is not name=value&name=value") from exc
    query = dict(pairs)
    if len(query) != len(pairs):
        raise InvalidOption("url", "names an option twice")
    if not query.keys().isdisjoint(_NO_OPTIONS):
        raise InvalidOption("url", f"names among its options one of {', '.join(sorted(_NO_OPTIONS))}")
    return scheme.lower(), query


def _factory(scheme: str) -> Factory:
    if scheme in _BUILT_IN:
        module, _, name = _BUILT_IN[scheme].partition(":")
        return cast("Factory", getattr(import_module(module), name))
    for entry in entry_points(group=GROUP, name=scheme):
        return cast("Factory", entry.load())
    raise InvalidOption("url", f"has the scheme {scheme!r}; known are {', '.join(_schemes())}")


def _schemes() -> list[str]:
    return sorted({*_BUILT_IN, *(entry.name for entry in entry_points(group=GROUP))})
