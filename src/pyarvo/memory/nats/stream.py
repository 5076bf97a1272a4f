"""Single messages of the bucket: the newest of a subject, what became of one that was sent, and purging."""

from __future__ import annotations

from time import monotonic
from typing import Any, Final

import msgspec
from msgspec import Struct

from pyarvo.memory.nats.bucket import Bucket
from pyarvo.memory.nats.entry import HEADER
from pyarvo.memory.nats.faults import NO_MESSAGE, ApiError, Silence, is_conflict, read_fault, write_fault
from pyarvo.memory.nats.link import Answer, Ask, Link, decode_answer

__all__ = ["Message", "Stream", "is_stored", "revision_of"]

_HEADER_LINE: Final = f"\r\n{HEADER}:".encode()


class Message(Struct, frozen=True):
    """A stored message."""

    subject: str = ""
    seq: int = 0
    hdrs: bytes = b""
    data: bytes = b""

    @property
    def header(self) -> bytes | None:
        """Our header; None when there is none."""
        start = self.hdrs.find(_HEADER_LINE)
        if start < 0:
            return None
        start += len(_HEADER_LINE)
        return self.hdrs[start : self.hdrs.find(b"\r\n", start)]


class _Got(Struct, frozen=True):
    message: Message | None = None
    error: ApiError | None = None


class _Ack(Struct, frozen=True):
    seq: int = 0
    error: ApiError | None = None


_GOT: Final = msgspec.json.Decoder(_Got)
_ACK: Final = msgspec.json.Decoder(_Ack)


class Stream:
    """
    The stream of a bucket over one link.

    Args:
        link: The connection.

        bucket: Checked whenever the link connects.
    """

    def __init__(self, link: Link, bucket: Bucket) -> None:
        self._link = link
        self._bucket = bucket

    async def newest(self, subject: str, until: float) -> Message | None:
        """
        The newest message of *subject*, from the stream's leader; None when there is none.

        Args:
            subject: One of the bucket's.

            until: When to give up, by the monotonic clock.

        Raises:
            MemoryUnavailable: The server could not be asked.
        """
        question = Ask(self._bucket.get_subject, b'{"last_by_subj":"%s"}' % subject.encode())
        await self._link.connected()
        answer = await self._link.inquire(question, max(0.0, until - monotonic()))
        if isinstance(answer, Silence):
            raise read_fault(answer)
        got = decode_answer(_GOT, answer)
        if got.message is None and got.error is not None and got.error.err_code != NO_MESSAGE:
            raise read_fault(got.error)
        return got.message

    async def purge(self, subjects: str, within_s: float, *, before: int = 0) -> None:
        """
        Remove the messages of *subjects* for good.

        Args:
            subjects: One, or a pattern.

            within_s: Longest wait for the answer.

            before: Only those with a sequence under it; 0 = all.
        """
        request: dict[str, Any] = {"filter": subjects, **({"seq": before} if before else {})}
        answer = await self._link.ask(Ask(self._bucket.purge_subject, msgspec.json.encode(request)), within_s)
        if isinstance(answer, Silence):
            raise read_fault(answer)
        ack = decode_answer(_ACK, answer)
        if ack.error is not None:
            raise read_fault(ack.error)


def revision_of(answer: Answer) -> int | None:
    """
    Under which revision a message was stored; None when another one than it expected was there.

    Raises:
        MemoryFault: It is not stored, or nobody knows.
    """
    if isinstance(answer, Silence):
        raise write_fault(answer)
    ack = decode_answer(_ACK, answer)
    if ack.error is None:
        return ack.seq
    if is_conflict(ack.error):
        return None
    raise write_fault(ack.error)


def is_stored(answer: Answer) -> bool:
    """Whether a message is known to be stored."""
    if isinstance(answer, Silence):
        return False
    ack = decode_answer(_ACK, answer)
    return ack.error is None and ack.seq > 0
