"""URI fields of an event: JavaScript's `encodeURI`, and the rule that a field is already encoded by it."""

from __future__ import annotations

import re
from urllib.parse import quote

from pyarvo.events.short_cache import cached_if_short

__all__ = ["encode_uri", "is_uri"]

# What encodeURI leaves alone besides letters and digits. "%" is not among them: it is escaped again.
_UNESCAPED = ";,/?:@&=+$-_.!~*'()#"
# What decodeURI does not decode, so that the text stays the same URI.
_KEPT_ESCAPED = frozenset(";/?:@&=+$,#")

_PLAIN = re.compile(r"[A-Za-z0-9;,/?:@&=+$\-_.!~*'()#]*")
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")


@cached_if_short(4096)
def encode_uri(text: str) -> str:
    """
    Encode *text* as JavaScript's `encodeURI` does: UTF-8, upper-case hex, "%" escaped again.

    Args:
        text: Any text; already encoded text is encoded once more.

    Returns:
        ASCII text.

    Raises:
        UnicodeEncodeError: *text* holds half of a surrogate pair.
    """
    return text if _PLAIN.fullmatch(text) else quote(text, safe=_UNESCAPED)


@cached_if_short(4096)
def is_uri(text: str) -> bool:
    """
    Whether *text* may stand in a URI field: decoding and encoding it again changes nothing.

    The empty text passes; fields that must not be empty say so themselves.
    """
    if _PLAIN.fullmatch(text):
        return True
    decoded = _decode(text)
    return decoded is not None and encode_uri(decoded) == text


def _decode(text: str) -> str | None:
    """Return what JavaScript's `decodeURI` makes of *text*; None where it throws, or text is not ASCII."""
    if not text.isascii() or "%" in _ESCAPES.sub("", text):
        return None
    try:
        return _ESCAPES.sub(_decode_run, text)
    except UnicodeDecodeError:
        return None


def _decode_run(run: re.Match[str]) -> str:
    escapes = run[0]
    decoded = bytes.fromhex(escapes.replace("%", "")).decode()
    if _KEPT_ESCAPED.isdisjoint(decoded):
        return decoded
    # An escape of a kept character is one byte long: put back the very escape that stood there.
    kept: list[str] = []
    at = 0
    for character in decoded:
        width = 3 * len(character.encode())
        kept.append(escapes[at : at + width] if character in _KEPT_ESCAPED else character)
        at += width
    return "".join(kept)
