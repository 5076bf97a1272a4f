"""What a codec is."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

__all__ = ["Codec", "Where"]


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
            RecordCorrupt: `encode` did not make them for that place, or more than *limit* would come out.
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
