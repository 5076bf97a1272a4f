"""Zstandard for records above a size."""

from __future__ import annotations

from threading import local
from typing import Any, Final

from pyarvo.errors import InvalidOption, RecordCorrupt
from pyarvo.memory.codecs.codec import Where
from pyarvo.numeric import is_integer

__all__ = ["TAG", "Zstd"]

TAG: Final = b"\x01"

_MAX_LEVEL: Final = 19


class Zstd:
    """
    Compresses what is larger than *above* bytes, where that makes it smaller. Reads plain JSON too.

    Every frame says how large it becomes and carries a checksum: what says more than the memory's `record_limit`
    is not decompressed, what was damaged is found.

    Args:
        above: Bytes of JSON; 1,024 by default. Less is stored as it is.

        level: 1 (fast) to 19 (small).

    Raises:
        InvalidOption: A number is out of its bounds, or the library is not installed.
    """

    __slots__ = ("_above", "_level", "_own", "_zstd")

    def __init__(self, *, above: int = 1_024, level: int = 3) -> None:
        try:
            import zstandard
        except ImportError as exc:
            raise InvalidOption("codec", "zstd needs a library: pip install 'pyarvo[zstd]'") from exc
        if not is_integer(above) or above < 0:
            raise InvalidOption("above", "must be 0 or more bytes")
        if not is_integer(level) or not 1 <= level <= _MAX_LEVEL:
            raise InvalidOption("level", f"must be 1 to {_MAX_LEVEL}")
        self._zstd: Any = zstandard
        self._above = above
        self._level = level
        self._own = local()  # the library's objects serve one thread each

    def encode(self, plain: bytes, where: Where) -> bytes:  # noqa: ARG002 - the protocol's
        """See `Codec.encode`."""
        if len(plain) <= self._above:
            return plain
        compressor = getattr(self._own, "compressor", None)
        if compressor is None:
            compressor = self._own.compressor = self._zstd.ZstdCompressor(
                level=self._level, write_checksum=True, write_content_size=True
            )
        packed: bytes = TAG + compressor.compress(plain)
        return packed if len(packed) < len(plain) else plain

    def decode(self, stored: bytes, where: Where, *, limit: int) -> bytes:  # noqa: ARG002 - the protocol's
        """See `Codec.decode`."""
        if stored[:1] != TAG:
            return stored
        frame = stored[1:]
        try:
            size = self._zstd.frame_content_size(frame)
            if not 0 <= size <= limit:
                raise RecordCorrupt(
                    "the stored bytes do not say how large they become"
                    if size < 0
                    else f"the stored bytes become {size:,}, the limit is {limit:,}: `record_limit`"
                )
            decompressor = getattr(self._own, "decompressor", None)
            if decompressor is None:
                decompressor = self._own.decompressor = self._zstd.ZstdDecompressor()
            return decompressor.decompress(frame, allow_extra_data=False)
        except self._zstd.ZstdError as exc:
            raise RecordCorrupt("the stored bytes do not decompress") from exc

    def digest(self, plain: bytes) -> bytes:
        """See `Codec.digest`: the digest itself."""
        return plain
