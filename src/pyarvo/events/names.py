"""The rules of event types and domains, and the plain text of names, which events, subjects and contracts share."""

from __future__ import annotations

import re
from typing import TypeVar

from pyarvo.events.short_cache import cached_if_short

__all__ = ["DOMAIN_RULE", "TYPE_RULE", "is_domain", "is_type_name", "plain_text"]

T = TypeVar("T")

TYPE_RULE = "must be at least three segments of lower-case letters and digits, joined by dots"
DOMAIN_RULE = "must be lower-case letters, digits and dots, at least one"

_TYPE = re.compile(r"[a-z0-9]+(?:\.[a-z0-9]+){2,}")
_DOMAIN = re.compile(r"[a-z0-9.]+")


@cached_if_short(4096)
def is_type_name(text: str) -> bool:
    """Whether *text* may be an event type: three or more segments such as `com.order.create`."""
    return _TYPE.fullmatch(text) is not None


@cached_if_short(1024)
def is_domain(text: str) -> bool:
    """Whether *text* may be a domain, such as `human.review`."""
    return _DOMAIN.fullmatch(text) is not None


def plain_text(value: T) -> T | str:
    """Return *value*, a member of a `StrEnum` as its text: type checkers take it for text, events hold plain text."""
    return str.__str__(value) if isinstance(value, str) else value
