"""Keys for sealing: one current, and the old ones that still open what was sealed with them."""

from __future__ import annotations

import os
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Self

from pyarvo.errors import InvalidOption

__all__ = ["KEYS_VARIABLE", "KeyRing"]

KEYS_VARIABLE: Final = "PYARVO_KEYS"
"""Environment variable with `id:base64,id:base64`; the first is the current key."""

_KEY_BYTES: Final = 32
_MAX_ID: Final = 64


class KeyRing:
    """
    Keys by id. New writes use the current one, reads take any.

    Rotation without downtime: give every process the new key beside the old (current still the old), then make
    it the current one everywhere; drop the old one when nothing is sealed with it any more.

    Args:
        current: Id of the key that new writes use.

        keys: 32 random bytes each. Ids are 1 to 64 printable ASCII characters without `,` and `:`; they are stored
            in clear.

    Raises:
        InvalidOption: A key or an id is invalid, or the current key is missing.
    """

    __slots__ = ("current", "keys")

    def __init__(self, *, current: str, keys: Mapping[str, bytes]) -> None:
        for id, key in keys.items():
            _check(id, key)
        if current not in keys:
            raise InvalidOption("keys", "the current key must be one of them")
        self.current = current
        self.keys = MappingProxyType(dict(keys))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """
        Read `id:base64,id:base64`; the first is the current key.

        Raises:
            InvalidOption: It is not of that form.
        """
        keys: dict[str, bytes] = {}
        for entry in text.split(","):
            id, separator, coded = entry.strip().partition(":")
            try:
                key = b64decode(coded, validate=True)
            except (NotBase64, ValueError) as exc:
                raise InvalidOption("keys", f"the key {_shown(id)} is not base64") from exc
            if not separator or id in keys:
                raise InvalidOption("keys", "must be id:base64,id:base64 with each id once")
            keys[id] = key
        return cls(current=next(iter(keys)), keys=keys)

    @classmethod
    def from_environment(cls, variable: str = KEYS_VARIABLE) -> Self:
        """
        Read the keys from an environment variable.

        Raises:
            InvalidOption: It is not set, or not of the form of `from_text`.
        """
        text = os.environ.get(variable, "")
        if not text:
            raise InvalidOption("codec", f"sealed needs keys in {variable}: id:base64,id:base64")
        return cls.from_text(text)

    def __repr__(self) -> str:
        return f"<KeyRing of {len(self.keys)}, current {self.current!r}>"


def _check(id: object, key: object) -> None:
    if not isinstance(id, str) or not 1 <= len(id) <= _MAX_ID:
        raise InvalidOption("keys", f"an id must be text of 1 to {_MAX_ID} characters")
    if not (id.isascii() and id.isprintable()) or "," in id or ":" in id:
        raise InvalidOption("keys", f"the id {_shown(id)} must be printable ASCII without ',' and ':'")
    if not isinstance(key, bytes) or len(key) != _KEY_BYTES:
        raise InvalidOption("keys", f"the key {_shown(id)} must be {_KEY_BYTES} bytes")


def _shown(id: str) -> str:
    """An id for an error message: short, so that a key given in its place is not spread about."""
    return repr(id if len(id) <= 12 else f"{id[:4]}...")
