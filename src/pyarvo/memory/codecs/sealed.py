"""
Authenticated encryption of records at rest: nobody reads, changes, moves or swaps them in the store unnoticed.

    tag, 1 byte · length of the key id, 1 byte · key id · nonce, 12 bytes · ciphertext with its 16 bytes of proof

Authenticated together with it: tag, key id, instance id, version, and the event key where the bytes are those of a
step. So bytes open only in the place for which they were sealed.
"""

from __future__ import annotations

import hmac
import os
from enum import StrEnum
from typing import Any, Final

from pyarvo.errors import InvalidOption, RecordCorrupt
from pyarvo.memory.codecs.codec import Where
from pyarvo.memory.codecs.keys import KeyRing
from pyarvo.memory.codecs.zstd import TAG as COMPRESSED
from pyarvo.memory.codecs.zstd import Zstd

__all__ = ["Cipher", "Sealed"]

_NONCE_BYTES: Final = 12
_PROOF_BYTES: Final = 16
_DIGEST_BYTES: Final = 16


class Cipher(StrEnum):
    """What seals."""

    AES_256_GCM = "aes-256-gcm"
    CHACHA20_POLY1305 = "chacha20-poly1305"


_TAGS: Final = {Cipher.AES_256_GCM: b"\x02", Cipher.CHACHA20_POLY1305: b"\x03"}
_CIPHERS: Final = {tag: cipher for cipher, tag in _TAGS.items()}


class Sealed:
    """
    Seals every record and every step's produced events.

    What is not sealed is refused as corrupt: nobody can slip plain text under a memory that seals. Both ciphers
    open, whichever seals.

    Args:
        keys: The key ring. A key should seal at most 2**32 times (2,000 million steps): rotate before.

        cipher: "aes-256-gcm" (default), or "chacha20-poly1305" for machines without AES instructions.

        compress: Compresses before sealing; None = not. The size of what is sealed can be seen: leave it out where
            an attacker may write part of a record and watch its size.

        accept_unsealed: Also read what is not sealed yet; for the time in which a store of plain records is sealed,
            record by record at each commit. While it is set, whoever writes to the store can write plain records.

    Raises:
        InvalidOption: An option is invalid, or the library is not installed.
    """

    __slots__ = ("_accept_unsealed", "_boxes", "_compress", "_digest_key", "_head", "_keys", "_tag")

    def __init__(
        self,
        keys: KeyRing,
        *,
        cipher: Cipher | str = Cipher.AES_256_GCM,
        compress: Zstd | None = None,
        accept_unsealed: bool = False,
    ) -> None:
        if not isinstance(keys, KeyRing):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
            raise InvalidOption("keys", "must be a KeyRing")
        if cipher not in list(Cipher):
            raise InvalidOption("cipher", f"must be {' or '.join(Cipher)}")
        made = _library()
        self._boxes = {
            (tag, id): made[each](key) for each, tag in _TAGS.items() for id, key in keys.keys.items()
        }
        self._keys = keys
        self._tag = _TAGS[Cipher(cipher)]
        name = keys.current.encode()
        self._head = self._tag + bytes((len(name),)) + name
        self._digest_key = hmac.digest(keys.keys[keys.current], b"pyarvo: digests of writes", "sha256")
        self._compress = compress
        self._accept_unsealed = accept_unsealed

    def encode(self, plain: bytes, where: Where) -> bytes:
        """See `Codec.encode`."""
        if self._compress is not None:
            plain = self._compress.encode(plain, where)
        nonce = os.urandom(_NONCE_BYTES)
        box = self._boxes[self._tag, self._keys.current]
        return self._head + nonce + box.encrypt(nonce, plain, _bound(self._head, where))

    def decode(self, stored: bytes, where: Where, *, limit: int) -> bytes:
        """See `Codec.decode`."""
        if stored[:1] not in _CIPHERS:
            if not self._accept_unsealed:
                raise RecordCorrupt("the stored bytes are not sealed, and this memory reads sealed ones only")
            return self._expanded(stored, where, limit)
        head_end = 2 + (stored[1] if len(stored) > 1 else 0)
        nonce_end = head_end + _NONCE_BYTES
        if len(stored) < nonce_end + _PROOF_BYTES:
            raise RecordCorrupt("the sealed bytes are cut short")
        head = stored[:head_end]
        id = head[2:].decode("ascii", "replace")
        box = self._boxes.get((stored[:1], id))
        if box is None:
            raise RecordCorrupt(f"sealed with the key {id[:64]!r}, which the key ring lacks")
        try:
            plain: bytes = box.decrypt(stored[head_end:nonce_end], stored[nonce_end:], _bound(head, where))
        except _invalid_tag() as exc:
            raise RecordCorrupt(
                "the sealed bytes do not open: changed, moved from another place, or sealed with another key"
            ) from exc
        return self._expanded(plain, where, limit)

    def digest(self, plain: bytes) -> bytes:
        """See `Codec.digest`: keyed, so that nobody can try guesses of a record against it."""
        return hmac.digest(self._digest_key, plain, "sha256")[:_DIGEST_BYTES]

    def _expanded(self, inner: bytes, where: Where, limit: int) -> bytes:
        if inner[:1] != COMPRESSED:
            return inner
        return (self._compress or Zstd()).decode(inner, where, limit=limit)

    def __repr__(self) -> str:
        return f"<Sealed by {_CIPHERS[self._tag]}, {self._keys!r}>"


def _bound(head: bytes, where: Where) -> bytes:
    """What is authenticated beside the bytes; every part of variable length has its length before it, or is last."""
    id = where.id.encode()
    fixed = b"pyarvo" + head + where.version.to_bytes(8, "big") + len(id).to_bytes(4, "big") + id
    return fixed + (b"record" if where.event_key is None else b"step" + where.event_key.encode())


def _library() -> dict[Cipher, Any]:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
    except ImportError as exc:
        raise InvalidOption("codec", "sealing needs a library: pip install 'pyarvo[crypto]'") from exc
    return {Cipher.AES_256_GCM: AESGCM, Cipher.CHACHA20_POLY1305: ChaCha20Poly1305}


def _invalid_tag() -> type[Exception]:
    from cryptography.exceptions import InvalidTag

    return InvalidTag
