"""What differs between two versions of a record."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final, cast

from msgspec import Struct

__all__ = ["Change", "ChangeKind", "changes"]


class ChangeKind(StrEnum):
    """What happened to a value."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Change(Struct, frozen=True):
    """
    One value that differs.

    Attributes:
        path: Where ("$.items[3].price").

        kind: What happened to it.

        before: None when it was added.

        after: None when it was removed.
    """

    path: str
    kind: ChangeKind
    before: Any
    after: Any


_PLAIN_KEY: Final = re.compile(r"[A-Za-z_$][\w$-]*")


def changes(before: Any, after: Any, path: str = "$") -> Iterator[Change]:
    """The smallest values that differ, in the order of *after*; those that are gone come last at each level."""
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _of_objects(cast("dict[str, Any]", before), cast("dict[str, Any]", after), path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _of_lists(cast("list[Any]", before), cast("list[Any]", after), path)
    elif not _same(cast("object", before), cast("object", after)):
        yield Change(path, ChangeKind.CHANGED, before, after)


def _same(before: object, after: object) -> bool:
    return type(before) is type(after) and before == after  # True and 1 are not the same JSON


def _of_objects(before: dict[str, Any], after: dict[str, Any], path: str) -> Iterator[Change]:
    for key, value in after.items():
        if key in before:
            yield from changes(before[key], value, _member(path, key))
        else:
            yield Change(_member(path, key), ChangeKind.ADDED, None, value)
    for key, value in before.items():
        if key not in after:
            yield Change(_member(path, key), ChangeKind.REMOVED, value, None)


def _member(path: str, key: str) -> str:
    return f"{path}.{key}" if _PLAIN_KEY.fullmatch(key) else f"{path}[{key!r}]"


def _of_lists(before: list[Any], after: list[Any], path: str) -> Iterator[Change]:
    for n, value in enumerate(after):
        if n < len(before):
            yield from changes(before[n], value, f"{path}[{n}]")
        else:
            yield Change(f"{path}[{n}]", ChangeKind.ADDED, None, value)
    for n in range(len(after), len(before)):
        yield Change(f"{path}[{n}]", ChangeKind.REMOVED, before[n], None)
