"""What a codec is, and the codec that an option names."""

from __future__ import annotations

import re
from typing import Final, NamedTuple, Protocol, runtime_checkable

from pyarvo.errors import InvalidOption

__all__ = ["Codec", "Where", "codec_of"]

_ZSTD: Final = re.compile(r"zstd(?::([0-9]{1,9}))?")


class Where(NamedTuple):
    """
    The place of some bytes in the store.

    Attributes:
        id: The instance.

        version: Of the record, or of the step.

        event_key: Of the step whose produced events the bytes are; None = they are a record.
    """

    id: str
    version: int
    event_key: str | None = None


@runtime_checkable
class Codec(Protocol):
    """Turns JSON bytes into the bytes at rest, and back."""

    def encode(self, plain: bytes, where: Where) -> bytes:
        """
        The bytes at rest.

        Args:
            plain: JSON, starting with `{` or `[`.

            where: Where they will stand.
        """
        ...

    def decode(self, stored: bytes, where: Where, *, limit: int) -> bytes:
        """
        The JSON bytes.

        Args:
            stored: As they were found.

            where: Where they were found.

            limit: Most bytes that may come out.

        Raises:
            RecordCorrupt: They are none that `encode` made for that place, or more than *limit* would come out.
        """
        ...

    def digest(self, plain: bytes) -> bytes:
        """
        What stands in the store for the digest of a write, by which a repeat recognises itself.

        Args:
            plain: Digest of the JSON bytes, 16 bytes.

        Returns:
            16 bytes, the same for the same *plain*.
        """
        ...


def codec_of(value: object) -> Codec | None:
    """
    The codec that the option `codec` names.

    Args:
        value: A codec; or its name, as in a URL: "json", "zstd", "zstd:4096" (compress above 4,096 bytes), "sealed"
            (keys from the environment).

    Returns:
        None for JSON as it is.

    Raises:
        InvalidOption: It names none, or needs a library that is not installed, or keys that are not there.
    """
    if value is None or value == "json":
        return None
    if isinstance(value, Codec) and not isinstance(value, type):
        return value
    if isinstance(value, str) and (named := _ZSTD.fullmatch(value)):
        from pyarvo.memory.codecs.zstd import Zstd

        return Zstd(above=int(named[1])) if named[1] else Zstd()
    if value == "sealed":
        from pyarvo.memory.codecs.keys import KeyRing
        from pyarvo.memory.codecs.sealed import Sealed

        return Sealed(KeyRing.from_environment())
    # What was given is not shown: somebody may have tried to give a key.
    raise InvalidOption(
        "codec", "must be json, zstd, zstd:BYTES, sealed, or a codec; keys never stand in a URL"
    )
