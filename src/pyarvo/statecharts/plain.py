"""Copies of plain data: checked JSON for contexts, loose for what goes out."""

from __future__ import annotations

from math import isfinite
from types import NoneType
from typing import Any, cast

from pyarvo.errors import InvalidContext

__all__ = ["copy_context", "copy_plain"]

_SCALARS = frozenset((str, int, bool, NoneType))
_DEEPEST = 200
"""Levels of nesting; the limit that memories set for a record."""


class _NotJson(Exception):
    """Something in the value is not JSON; the slow search says where."""


def copy_context(value: Any, path: str = "context") -> Any:
    """
    Copy *value* and check that it is JSON: dict with text keys, list, str, int, bool, None, finite float.

    Args:
        value: The context, or a part of it.

        path: Name of *value* in the error.

    Raises:
        InvalidContext: Something is not JSON; the error has its path.
    """
    try:
        return _copy(value)
    except (_NotJson, RecursionError):
        where, reason = _fault(value, path, 0)
    raise InvalidContext(where, reason)


def copy_plain(value: Any) -> Any:
    """Copy dicts and lists all the way down; everything else is taken as it is."""
    kind = value.__class__
    if kind is dict:
        return {key: copy_plain(member) for key, member in value.items()}
    if kind is list:
        return [copy_plain(member) for member in value]
    return value


def _copy(value: Any) -> Any:
    kind = value.__class__
    if kind in _SCALARS:
        return value
    if kind is dict:
        copied: dict[str, Any] = {}
        for key, member in value.items():
            if type(key) is not str:
                raise _NotJson
            copied[key] = member if type(member) in _SCALARS else _copy(member)
        return copied
    if kind is list:
        return [member if type(member) in _SCALARS else _copy(member) for member in value]
    if kind is float and isfinite(value):
        return value
    if isinstance(value, str):  # members of a StrEnum, such as the symbols of ArvoDomain, become plain text
        return str.__str__(value)
    raise _NotJson


def _fault(value: Any, path: str, depth: int) -> tuple[str, str]:
    kind = value.__class__
    if depth > _DEEPEST:
        return path, f"is nested more than {_DEEPEST} levels deep, or contains itself"
    if kind is float:
        return path, f"{value!r} has no JSON form"
    members: list[tuple[str, Any]] = []
    if kind is dict:
        for key, member in cast("dict[Any, Any]", value).items():
            if type(key) is not str:
                return path, f"the key {key!r} is not a text"
            members.append((f"{path}.{key}" if key.isidentifier() else f"{path}[{key!r}]", member))
    elif kind is list:
        members = [(f"{path}[{index}]", member) for index, member in enumerate(value)]
    for where, member in members:
        if not _is_json(member):
            return _fault(member, where, depth + 1)
    return path, f"a {kind.__name__} has no JSON form"


def _is_json(value: Any) -> bool:
    try:
        _copy(value)
    except (_NotJson, RecursionError):
        return False
    return True
