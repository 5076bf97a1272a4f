"""Copies of plain data: checked JSON for contexts, loose for what goes out."""

from __future__ import annotations

from typing import Any, cast

import orjson

from pyarvo.errors import InvalidContext

__all__ = ["copy_context", "copy_plain"]

_DEEPEST = 200
"""Levels of nesting; the limit that memories set for a record."""


def copy_context(value: Any, path: str = "context") -> Any:
    """
    Copy *value* and check that it is JSON: dict with text keys, list, text, integer of 64 bits, bool, None, finite float.

    Of types derived from these the copy has the plain ones: a member of a StrEnum becomes text.

    Args:
        value: The context, or a part of it.

        path: Name of *value* in the error.

    Raises:
        InvalidContext: Something is not JSON; the error has its path.
    """
    try:
        copy = orjson.loads(orjson.dumps(value))
        if copy == value:
            return copy
    except orjson.JSONEncodeError:
        pass
    raise InvalidContext(*_fault(value, path, 0))


def copy_plain(value: Any) -> Any:
    """Copy dicts and lists all the way down; everything else is taken as it is."""
    kind = value.__class__
    if kind is dict:
        return {key: copy_plain(member) for key, member in value.items()}
    if kind is list:
        return [copy_plain(member) for member in value]
    return value


def _fault(value: Any, path: str, depth: int) -> tuple[str, str]:
    if depth > _DEEPEST:
        return path, f"is nested more than {_DEEPEST} levels deep, or contains itself"
    members: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        for key, member in cast("dict[Any, Any]", value).items():
            if type(key) is not str or not _is_json(key):
                return path, f"the key {key!r} is not Unicode text"
            members.append((f"{path}.{key}" if key.isidentifier() else f"{path}[{key!r}]", member))
    elif isinstance(value, list):
        members = [(f"{path}[{index}]", member) for index, member in enumerate(cast("list[Any]", value))]
    for where, member in members:
        if not _is_json(member):
            return _fault(member, where, depth + 1)
    if isinstance(value, dict | list):
        return path, f"is nested more than {_DEEPEST} levels deep"
    if isinstance(value, float):
        return path, f"{value!r} has no JSON form"
    if isinstance(value, int):
        return path, "is an integer of more than 64 bits"
    if isinstance(value, str):
        return path, "holds half of a surrogate pair, which is not Unicode text"
    return path, f"a {type(value).__name__} has no JSON form"


def _is_json(value: Any) -> bool:
    try:
        return bool(orjson.loads(orjson.dumps(value)) == value)
    except orjson.JSONEncodeError:
        return False
