"""
JSON as JavaScript writes it, so that both systems print the same bytes for the same event.

Strings are msgspec's, which escape exactly what `JSON.stringify` escapes. Numbers need care: JavaScript has
only doubles, prints 1.0 as 1 and 1e21 as 1e+21, and cannot hold every integer beyond 2^53 - 1. So do keys: it lists
those that are array indexes first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import isfinite
from typing import Any, Final, cast

import msgspec
import orjson

__all__ = [
    "BIG_INTEGER",
    "MAX_DEPTH",
    "MAX_INTEGER",
    "NOT_JSON",
    "PLAIN",
    "WITH_FLOATS",
    "classify",
    "encode",
    "find_fault",
    "in_js_order",
    "is_json",
    "js_integers",
    "js_number",
    "js_numbers",
    "js_text",
]

MAX_DEPTH: Final = 200
"""Objects and lists inside one another, the outermost counted."""

MAX_INTEGER: Final = 2**53 - 1
"""The largest integer that JavaScript holds exactly along with its neighbours."""

NOT_JSON: Final = 0
PLAIN: Final = 1
WITH_FLOATS: Final = 2

BIG_INTEGER: Final = f"integers beyond {MAX_INTEGER:,} (2^53 - 1) are not exact in JSON; send them as strings"

# Paths in messages stay short, whatever keys a sender chose.
_KEY_LENGTH = 40
_PATH_LENGTH = 200

_ARRAY_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
_MOST_INDEX = 2**32 - 2
# Such a key in JSON text; inside of a string the quotes are escaped.
_INDEX_KEY = re.compile(rb'"(?:0|[1-9][0-9]{0,9})":')

# orjson goes 254 levels down; what stands in so many lists is refused when it has more than `MAX_DEPTH` itself.
_LEVELS_LEFT: Final = 254 - MAX_DEPTH
_STRICT: Final = orjson.OPT_STRICT_INTEGER | orjson.OPT_PASSTHROUGH_SUBCLASS

encode = msgspec.json.Encoder().encode
"""JSON bytes, compact; right for values without floats (see `js_numbers`)."""


def js_text(value: dict[str, Any], kind: int) -> bytes:
    """
    Return the JSON bytes that JavaScript writes.

    Args:
        value: A JSON object.

        kind: What `classify` says of it.
    """
    text = encode(js_numbers(value) if kind == WITH_FLOATS else value)
    # Objects that have such keys are rare, and a look at the text costs a fraction of a look at every key.
    return text if _INDEX_KEY.search(text) is None else encode(_in_js_order(js_numbers(value)))


def in_js_order(keys: Iterable[str]) -> list[str]:
    """Sort *keys* as JavaScript lists them: array indexes by number, then the others as they come."""
    return sorted(keys, key=lambda key: int(key) if _is_array_index(key) else _MOST_INDEX + 1)


def _in_js_order(value: Any) -> Any:
    if type(value) is dict:
        written = cast("dict[str, Any]", value)
        return {key: _in_js_order(written[key]) for key in in_js_order(written)}
    if type(value) is list:
        return [_in_js_order(item) for item in cast("list[Any]", value)]
    return value


def _is_array_index(key: str) -> bool:
    return _ARRAY_INDEX.fullmatch(key) is not None and int(key) <= _MOST_INDEX


def classify(value: dict[str, Any] | list[Any], depth: int = 1) -> int:
    """
    Look whether *value* is JSON all the way down.

    One pass without bookkeeping, because every event pays for it: `find_fault` says what is wrong.

    Args:
        value: An object or a list.

        depth: How deep it stands, from 1.

    Returns:
        `NOT_JSON`; `PLAIN`, JSON without floats; or `WITH_FLOATS`.
    """
    kind = PLAIN
    items: Iterable[Any]
    if type(value) is dict:
        for key in value:
            if type(key) is not str or not (key.isascii() or _is_unicode(key)):
                return NOT_JSON
        items = value.values()
    else:
        items = cast("list[Any]", value)
    for item in items:
        t = type(item)  # pyright: ignore[reportUnknownVariableType] -- a cast would cost as much as the check
        if t is str:
            if not (item.isascii() or _is_unicode(item)):
                return NOT_JSON
        elif t is int:
            if not -MAX_INTEGER <= item <= MAX_INTEGER:
                return NOT_JSON
        elif t is dict or t is list:
            inner = classify(item, depth + 1) if depth < MAX_DEPTH else NOT_JSON
            if inner != PLAIN:
                if inner == NOT_JSON:
                    return NOT_JSON
                kind = WITH_FLOATS
        elif t is float:
            if not isfinite(item):
                return NOT_JSON
            kind = WITH_FLOATS
        elif t is not bool and item is not None:
            return NOT_JSON
    return kind


def is_json(value: dict[str, Any]) -> bool:
    """
    Whether *value*, which has no other types than those of JSON, is JSON as `classify` finds it, many times as fast.

    Args:
        value: What pydantic wrote for JSON. Left to be found: floats that are not finite, integers beyond
            2^53 - 1, half a surrogate pair, text of a derived type, and too many levels.
    """
    try:
        raw = orjson.dumps(value, option=_STRICT)
        if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
            deep: Any = value
            for _ in range(_LEVELS_LEFT):
                deep = [deep]
            orjson.dumps(deep)
    except orjson.JSONEncodeError:
        return False
    # A float that is not finite is written as null.
    return b"null" not in raw or orjson.loads(raw) == value


def find_fault(value: object, path: str) -> tuple[str, str] | None:
    """
    Find the first place where *value* is not JSON.

    Args:
        value: Anything.

        path: What to call the value itself ("data").

    Returns:
        Path and rule, as ("data.items[2]", "must be finite"); None when all is JSON.
    """
    fault = _search(value, path, 1)
    return None if fault is None else (fault[0][:_PATH_LENGTH], fault[1])


def _search(value: object, path: str, depth: int) -> tuple[str, str] | None:
    if depth > MAX_DEPTH and isinstance(value, dict | list):
        return path, f"is nested more than {MAX_DEPTH} deep"
    if type(value) is dict:
        for key, item in cast("dict[object, object]", value).items():
            if type(key) is not str or not _is_unicode(key):
                return path, f"has a key that is not Unicode text ({type(key).__name__})"
            if fault := _search(item, f"{path}.{key[:_KEY_LENGTH]}", depth + 1):
                return fault
        return None
    if type(value) is list:
        for index, item in enumerate(cast("list[object]", value)):
            if fault := _search(item, f"{path}[{index}]", depth + 1):
                return fault
        return None
    rule = _scalar_fault(value)
    return None if rule is None else (path, rule)


def _scalar_fault(value: object) -> str | None:
    if value is None or type(value) is bool:
        return None
    if type(value) is str:
        return None if _is_unicode(value) else "holds half of a surrogate pair, which is not Unicode text"
    if type(value) is int:
        return None if -MAX_INTEGER <= value <= MAX_INTEGER else BIG_INTEGER
    if type(value) is float:
        return None if isfinite(value) else "must be finite: JSON has no NaN and no infinity"
    return f"must be a JSON type (dict, list, str, int, float, bool, None), not {type(value).__name__}"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def js_number(number: float) -> str:
    """
    Print a finite float by JavaScript's rules.

    Both languages choose the shortest digits that read back the same; they differ in where they put the point.
    """
    if number == 0:
        return "0"
    text = repr(number)
    if "e" not in text:
        return text.removesuffix(".0")
    sign = "-" if number < 0 else ""
    mantissa, exponent = text.removeprefix("-").split("e")
    digits = mantissa.replace(".", "")
    point = int(exponent) + 1  # digits before the decimal point
    if 0 < point <= 21:
        return sign + digits.ljust(point, "0")
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1:+d}"


def js_numbers(value: Any) -> Any:
    """Return a copy of *value* whose floats `encode` prints by JavaScript's rules."""
    if type(value) is dict:
        return {key: js_numbers(item) for key, item in cast("dict[str, Any]", value).items()}
    if type(value) is list:
        return [js_numbers(item) for item in cast("list[Any]", value)]
    if type(value) is float:
        return msgspec.Raw(js_number(value).encode())
    return value


def js_integers(value: Any, depth: int = 0) -> Any:
    """
    Return a copy of *value*, as read from text, in which the integers that only a double prints are floats.

    JavaScript prints the double 1e20 as 100000000000000000000. An integer beyond 2^53 - 1 that no double prints
    so is left as it is, for the check to refuse, and so is what stands too deep.
    """
    if depth > MAX_DEPTH:
        return value
    if type(value) is dict:
        return {key: js_integers(item, depth + 1) for key, item in cast("dict[str, Any]", value).items()}
    if type(value) is list:
        return [js_integers(item, depth + 1) for item in cast("list[Any]", value)]
    if type(value) is int and MAX_INTEGER < abs(value) < 10**21 and js_number(float(value)) == str(value):
        return float(value)
    return value
