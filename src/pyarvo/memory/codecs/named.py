"""The codec that an option names."""

from __future__ import annotations

import re
from typing import Final

from pyarvo.errors import InvalidOption
from pyarvo.memory.codecs.codec import Codec
from pyarvo.memory.codecs.keys import KeyRing
from pyarvo.memory.codecs.sealed import Sealed
from pyarvo.memory.codecs.zstd import Zstd

__all__ = ["codec_of"]

_ZSTD: Final = re.compile(r"zstd(?::([0-9]{1,9}))?")


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
        return Zstd(above=int(named[1])) if named[1] else Zstd()
    if value == "sealed":
        return Sealed(KeyRing.from_environment())
    # What was given is not shown: somebody may have tried to give a key.
    raise InvalidOption(
        "codec", "must be json, zstd, zstd:BYTES, sealed, or a codec; keys never stand in a URL"
    )
