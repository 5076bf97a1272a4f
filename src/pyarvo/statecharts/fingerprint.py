"""The hash of a definition: whether two machines are the same without comparing code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from hashlib import sha256
from typing import Any, cast, get_args

from pyarvo.statecharts.actions import ActionData
from pyarvo.statecharts.guards import GuardData

__all__ = ["definition_hash", "definition_json"]


def definition_hash(config: Mapping[str, Any]) -> str:
    """
    SHA-256, in hexadecimal, of a definition as JSON.

    Key order is kept, because the order of states and transitions means something. A callable stands as its qualified
    name: two lambdas of one function are the same, and a changed body is not seen.
    """
    text = json.dumps(definition_json(config), separators=(",", ":"), ensure_ascii=True)
    return sha256(text.encode()).hexdigest()


def definition_json(value: Any) -> Any:
    """*value* as JSON: callables become `{"$callable": name}`, data actions and guards `{"$kind": ..., ...}`."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, Mapping):
        return {str(key): definition_json(one) for key, one in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [definition_json(one) for one in cast("list[Any]", value)]
    if isinstance(value, (*get_args(ActionData), *get_args(GuardData))):
        members = {field.name: definition_json(getattr(value, field.name)) for field in fields(value)}
        return {"$kind": type(value).__name__, **members}
    named: object = value if callable(value) and hasattr(value, "__qualname__") else value.__class__
    return {"$callable": f"{getattr(named, '__module__', '')}.{getattr(named, '__qualname__', '')}"}
