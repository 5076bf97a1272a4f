"""Security: what a codec seals is bound to its place, and errors tell no secrets."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any, Final

from pyarvo.errors import ArvoError, RecordCorrupt
from pyarvo.memory import Find
from pyarvo.memory.codecs.codec import Where
from pyarvo.testing.conformance import faults
from pyarvo.testing.conformance.bench import Bench, same_again
from pyarvo.testing.conformance.clause import Kind, clause

__all__: list[str] = []

_TAG: Final = 32
_ATTEMPTS: Final = 8


class _Signed:
    """The simplest codec that notices: a tag over the bytes and the place they stand at."""

    def encode(self, plain: bytes, where: Where) -> bytes:
        return b"S" + self._tag(plain, where) + plain

    def decode(self, stored: bytes, where: Where, *, limit: int) -> bytes:
        tag, plain = stored[1 : 1 + _TAG], stored[1 + _TAG :]
        if stored[:1] != b"S" or len(plain) > limit or not hmac.compare_digest(tag, self._tag(plain, where)):
            raise RecordCorrupt("the bytes were not signed for this place")
        return plain

    def digest(self, plain: bytes) -> bytes:
        return plain

    def _tag(self, plain: bytes, where: Where) -> bytes:
        return hmac.digest(b"kit", repr(tuple(where)).encode() + plain, "sha256")


_SIGNED: Final = _Signed()
"""One for all: memories with equal options are shared."""


async def _refused_after(bench: Bench, change: Callable[[bytes], bytes], what: str) -> None:
    """A sealed record that is changed at rest is corrupt for read and acquire alike."""
    id = bench.id()
    memory = bench.open(codec=_SIGNED)
    await memory.commit(await bench.held(memory, id), {"n": 1, "text": "x" * 50})
    bench.equal(await memory.read(id), {"n": 1, "text": "x" * 50}, "the record that came back")
    # For every attempt: a busy machine may make more than one of them.
    damaged = await bench.faulty(*[faults.swaps(change)] * _ATTEMPTS, codec=_SIGNED)
    await bench.refused(damaged.read(id), RecordCorrupt, f"read of {what}")
    await bench.refused(damaged.acquire(id), RecordCorrupt, f"acquire of {what}")


@clause("backend.security.01", "a sealed record with one bit turned is corrupt", Kind.FAULT)
async def bit_flip(bench: Bench) -> None:
    def turned(raw: bytes) -> bytes:
        at = bench.random.randrange(len(raw))
        return raw[:at] + bytes([raw[at] ^ 1 << bench.random.randrange(8)]) + raw[at + 1 :]

    await _refused_after(bench, turned, "a record with one bit turned")


@clause("backend.security.02", "a sealed record that was cut short is corrupt", Kind.FAULT)
async def truncated(bench: Bench) -> None:
    await _refused_after(bench, lambda raw: raw[:-1], "a record that was cut short")


@clause("backend.security.03", "a plain record where sealed ones are expected is corrupt", Kind.FAULT)
async def downgrade(bench: Bench) -> None:
    await _refused_after(bench, lambda _: b'{"n":1}', "a plain record")


@clause(
    "backend.security.04", "the sealed record of another instance, put in its place, is corrupt", Kind.FAULT
)
async def row_swap(bench: Bench) -> None:
    await _refused_after(bench, lambda _: _SIGNED.encode(b'{"n":1}', Where("another", 1)), "another's record")


@clause(
    "backend.security.05",
    "a sealed record of an earlier version, put in the place of the latest, is corrupt",
    Kind.FAULT,
)
async def rollback(bench: Bench) -> None:
    id = bench.id()
    memory = bench.open(codec=_SIGNED)
    for n in range(2):
        await memory.commit(await bench.held(memory, id), {"n": n})
    earlier = _SIGNED.encode(b'{"n":0}', Where(id, 1))
    damaged = await bench.faulty(*[faults.swaps(lambda _: earlier)] * _ATTEMPTS, codec=_SIGNED)
    await bench.refused(damaged.read(id), RecordCorrupt, "read of an earlier version")


@clause("backend.security.06", "lists find sealed instances by their labels")
async def labels(bench: Bench) -> None:
    memory = bench.open(codec=_SIGNED)
    id, parent = bench.id(), bench.id("parent")
    await memory.commit(await bench.held(memory, id), {"status": "active", "parentSubject": parent})
    page = await memory.instances(Find(parent=parent, status="active"))
    bench.equal([each.id for each in page.items], [id], "what the list found")


@clause("leased.security.01", "errors name instance and operation, and show neither records nor tokens")
async def messages(bench: Bench) -> None:
    memory, other = bench.several(2)
    lease = await bench.held(memory, bench.id())
    forged = same_again(lease)
    forged.token = "5ec7e7" * 5 + "00"
    stale = same_again(lease)
    stale.version = 9
    secret: dict[str, Any] = {"card": "4111-1111"}
    for handle, data in ((forged, secret), (stale, secret), (lease, {**secret, "bad": {1}})):
        error = await bench.refused(other.commit(handle, data), ArvoError, "a commit that cannot be")
        told = f"{error} {error!r}"
        bench.holds("4111" not in told, "the error shows the record")
        bench.holds(handle.token not in told, "the error shows the token")
        bench.equal(getattr(error, "operation", None), "commit", "the operation in the error")
