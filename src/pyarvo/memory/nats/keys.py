"""Which subjects of the bucket an instance has. Everything of one instance can be named from its id alone."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache
from hashlib import blake2b, sha256
from typing import Final

__all__ = ["BLOCK", "Keys", "body_hash", "id_of", "key_of"]

BLOCK: Final = 64
"""Versions in one block of step bodies or earlier records; a whole block is purged with one request."""

_LONGEST_PLAIN: Final = 512


@lru_cache(maxsize=8_192)
def key_of(id: str) -> str:
    """
    *id* as a key that NATS allows: base64url; over 512 bytes "=" and a hash, the id stands in the entry.

    Base64 is written without padding, so no id can be taken for a hash.
    """
    raw = id.encode()
    if len(raw) <= _LONGEST_PLAIN:
        return urlsafe_b64encode(raw).rstrip(b"=").decode()
    return f"={sha256(raw).hexdigest()}"


def id_of(subject: str) -> str | None:
    """The id that the last part of *subject* is the key of; None when that is a hash."""
    key = subject.rpartition(".")[2]
    return None if key.startswith("=") else urlsafe_b64decode(key + "=" * (-len(key) % 4)).decode()


def body_hash(text: str) -> bytes:
    """16 bytes that stand for an event key."""
    return blake2b(text.encode(), digest_size=16).digest()


class Keys:
    """
    The subjects of one bucket.

    Attributes:
        bucket: Its name.

        entries: All entries of instances.

        buried: All marks of instances that a sweep has to look at, in the order they were made.
    """

    __slots__ = ("_base", "bucket", "buried", "entries")

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        self._base = f"$KV.{bucket}."
        self.entries = f"{self._base}i.*"
        self.buried = f"{self._base}z.*"

    def entry(self, id: str) -> str:
        """Record, lease, fence and event keys: the one subject that decides."""
        return f"{self._base}i.{key_of(id)}"

    def body(self, id: str, life: int, version: int) -> str:
        """The step that made *version*."""
        return f"{self._base}s.{key_of(id)}.{life}.{version // BLOCK}.{version}"

    def bodies(self, id: str, life: int | None = None, block: int | None = None) -> str:
        """All steps; or those of one life; or of one block of that."""
        return f"{self._base}s.{key_of(id)}.{_within(life)}{_within(block)}>"

    def earlier(self, id: str, life: int, version: int) -> str:
        """The record of *version*, kept as history."""
        return f"{self._base}h.{key_of(id)}.{life}.{version // BLOCK}.{version}"

    def earliers(self, id: str, life: int | None = None, block: int | None = None) -> str:
        """All earlier records; or those of one life; or of one block of that."""
        return f"{self._base}h.{key_of(id)}.{_within(life)}{_within(block)}>"

    def page(self, id: str, life: int, number: int) -> str:
        """Slots of the entry that were moved to a page."""
        return f"{self._base}k.{key_of(id)}.{life}.{number}"

    def pages(self, id: str, life: int | None = None) -> str:
        """All pages; or those of one life."""
        return f"{self._base}k.{key_of(id)}.{_within(life)}>"

    def child(self, parent: str, id: str) -> str:
        """Says that *id* names *parent* as its parent; an entry is asked before it is believed."""
        return f"{self._base}p.{body_hash(parent).hex()}.{key_of(id)}"

    def children(self, parent: str) -> str:
        """All that may be children of *parent*."""
        return f"{self._base}p.{body_hash(parent).hex()}.*"

    def mark(self, id: str) -> str:
        """Says that a sweep has to look at *id* one day."""
        return f"{self._base}z.{key_of(id)}"


def _within(part: int | None) -> str:
    return "" if part is None else f"{part}."
