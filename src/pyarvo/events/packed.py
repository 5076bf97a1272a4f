"""Text packed into one word: base64 of zlib. Subjects and Arvo-managed ids are written so."""

from __future__ import annotations

import re
import zlib
from binascii import a2b_base64, b2a_base64
from enum import Enum

__all__ = ["Unpackable", "pack", "unpack"]

# zlib and gzip headers are told apart by themselves.
_ZLIB_OR_GZIP = zlib.MAX_WBITS | 32

# zlib's defaults for level 6 clear a quarter of a megabyte for every text. What is short compresses to the very
# same bytes with a window and tables of its own size; the header says 32 KiB all the same.
_SHORT = 1024
_SHORT_WINDOW = -12  # 4 KiB, raw
_SHORT_TABLES = 5
_HEADER = b"\x78\x9c"

_FROM_URL_SAFE = str.maketrans("-_", "+/")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]+")


class Unpackable(Enum):
    """Why a text does not unpack."""

    NOT_PACKED = "is not base64 of zlib data"
    TOO_LARGE = "inflates to more than is allowed"


def pack(raw: bytes) -> str:
    """Return *raw* compressed (zlib, level 6) in standard base64."""
    return b2a_base64(_compress(raw), newline=False).decode()


def _compress(raw: bytes) -> bytes:
    if len(raw) > _SHORT:
        return zlib.compress(raw, 6)
    deflate = zlib.compressobj(6, zlib.DEFLATED, _SHORT_WINDOW, _SHORT_TABLES)
    return b"".join((_HEADER, deflate.compress(raw), deflate.flush(), zlib.adler32(raw).to_bytes(4, "big")))


def unpack(text: str, limit: int) -> bytes | Unpackable:
    """
    Inflate *text*, never to more than one byte over *limit*.

    Args:
        text: Base64 of zlib or gzip data. Read as leniently as Node.js reads it: the URL-safe alphabet,
            missing padding and foreign characters are fine, "=" ends it.

        limit: Most bytes to give back.

    Returns:
        The bytes, or why there are none.
    """
    stream = zlib.decompressobj(_ZLIB_OR_GZIP)
    try:
        raw = stream.decompress(_decode_base64(text), limit + 1)
    except zlib.error:
        return Unpackable.NOT_PACKED
    if len(raw) > limit:
        return Unpackable.TOO_LARGE
    return raw if stream.eof and not stream.unused_data else Unpackable.NOT_PACKED


def _decode_base64(text: str) -> bytes:
    try:
        return a2b_base64(text, strict_mode=True)
    except ValueError:  # not the standard form, or not base64 at all
        return _decode_leniently(text)


def _decode_leniently(text: str) -> bytes:
    digits = _NOT_BASE64.sub("", text.partition("=")[0].translate(_FROM_URL_SAFE))
    if len(digits) % 4 == 1:  # six bits do not make a byte
        digits = digits[:-1]
    return a2b_base64(digits + "=" * (-len(digits) % 4))
