"""
The protocol, spoken in batches: many commands in one write, their replies with little Python for each.

The driver makes, authenticates and closes connections; only what goes over them is done here, because its path
for one command costs more than the server's work for twenty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias, cast

from msgspec import Struct
from redis.exceptions import RedisError

__all__ = ["Answer", "Connection", "ErrorReply", "Link", "Reply", "pack", "parse"]

_CHUNK: Final = 256 * 1024


class ErrorReply(Struct, frozen=True):
    """
    An error that the server answered a command with.

    Attributes:
        code: Its first word ("NOSCRIPT", "MOVED", "ERR", ...).

        text: All of it.
    """

    code: str
    text: str


Reply: TypeAlias = "bytes | int | None | ErrorReply | list[Reply]"


class Connection(Protocol):
    """What is used of a connection of the driver. It has no public way to its streams."""

    _reader: asyncio.StreamReader | None
    _writer: asyncio.StreamWriter | None

    async def connect(self) -> None: ...

    async def disconnect(self, nowait: bool = False) -> None: ...


class Answer(Struct):
    """
    What came back for a batch.

    Attributes:
        replies: In order; fewer than were asked for when `error` is set.

        error: What ended the exchange early.

        sent: Whether the server may have seen any of it.
    """

    replies: list[Reply]
    error: BaseException | None = None
    sent: bool = True


class _IncompleteReplyError(Exception):
    """The reply goes on behind the bytes that are here; `missing` is a lower bound."""

    def __init__(self, missing: int = 1) -> None:
        super().__init__()
        self.missing = missing


class _ProtocolError(Exception):
    """The other side does not speak the protocol."""


def pack(*arguments: bytes) -> bytes:
    """One command in the form in which it is sent."""
    return b"".join(
        (
            b"*%d\r\n" % len(arguments),
            *[b"$%d\r\n%b\r\n" % (len(argument), argument) for argument in arguments],
        )
    )


def parse(data: bytes, at: int) -> tuple[Reply, int]:
    """The reply that begins at *at*, and where the next one begins."""
    end = data.find(b"\r\n", at)
    if end < 0:
        raise _IncompleteReplyError
    kind, body, after = data[at], data[at + 1 : end], end + 2
    if kind == 0x24:  # $: so many bytes, or none
        size = int(body)
        if size < 0:
            return None, after
        stop = after + size
        if len(data) < stop + 2:
            raise _IncompleteReplyError(stop + 2 - len(data))
        return data[after:stop], stop + 2
    if kind == 0x3A:  # : a number
        return int(body), after
    if kind in b"*>":  # a list; a message that nobody asked for has the form of one
        items: list[Reply] = []
        for _ in range(int(body)):
            item, after = parse(data, after)
            items.append(item)
        return parse(data, after) if kind == 0x3E else (items, after)
    if kind == 0x2B:  # + a word
        return body, after
    if kind == 0x2D:  # - an error
        text = body.decode(errors="replace")
        return ErrorReply(text.partition(" ")[0], text), after
    if kind == 0x5F:  # _ none, in the newer protocol that a client passed in may speak
        return None, after
    raise _ProtocolError(f"a reply begins with {data[at : at + 1]!r}")


class Link:
    """
    The connections to one server, on one event loop. A connection is in nobody's hands between batches.

    Args:
        make: A new, unconnected connection of the driver.
    """

    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()

    async def exchange(self, payload: bytes, count: int, within_s: float) -> Answer:
        """
        Send *payload* and read *count* replies.

        Args:
            payload: Packed commands.

            count: How many replies they have.

            within_s: The longest it may take, connecting included, in seconds.
        """
        answer = Answer([], sent=False)
        connection: Connection | None = None
        try:
            async with asyncio.timeout(within_s):
                connection = self._fresh()
                self._busy.add(connection)
                if not _is_open(connection):
                    await connection.connect()
                await _converse(connection, payload, count, answer)
            self._idle.append(connection)
        except (OSError, EOFError, RedisError, _ProtocolError, ValueError) as error:
            answer.error = error
        finally:
            if connection is not None:
                self._busy.discard(connection)
                if len(answer.replies) < count:
                    _drop(connection)
        return answer

    def _fresh(self) -> Connection:
        """An idle connection that the server has not closed, or a new one."""
        while self._idle:
            connection = self._idle.pop()
            if _is_open(connection):
                return connection
            _drop(connection)
        return cast("Connection", self._make())

    def forget(self) -> None:
        """Let go of the idle connections: the server is not the one it was."""
        while self._idle:
            _drop(self._idle.pop())

    async def close(self) -> None:
        """Close every connection; batches under way end with an error."""
        mine, self._idle, self._busy = [*self._idle, *self._busy], [], set()
        for connection in mine:
            await connection.disconnect()


async def _converse(connection: Connection, payload: bytes, count: int, answer: Answer) -> None:
    """Write, then read the replies into *answer*, as far as they come."""
    reader, writer = connection._reader, connection._writer  # noqa: SLF001 - see Connection
    if reader is None or writer is None:
        raise ConnectionError("the connection was closed")
    answer.sent = True
    writer.write(payload)
    await writer.drain()
    replies = answer.replies
    data, at = b"", 0
    while len(replies) < count:
        try:
            reply, at = parse(data, at)
        except _IncompleteReplyError as more:
            missing = more.missing
            got = await (reader.readexactly(missing) if missing > _CHUNK else reader.read(_CHUNK))
            if not got:
                raise ConnectionError("the server closed the connection") from None
            data, at = data[at:] + got, 0
        else:
            replies.append(reply)
    if at != len(data):
        raise _ProtocolError("the server sent more replies than it was asked for")


def _is_open(connection: Connection) -> bool:
    reader, writer = connection._reader, connection._writer  # noqa: SLF001 - see Connection
    return (
        reader is not None
        and writer is not None
        and not writer.is_closing()
        and not reader.at_eof()
        and reader.exception() is None
    )


def _drop(connection: Connection) -> None:
    """Close at once, without waiting for the other side."""
    writer = connection._writer  # noqa: SLF001 - see Connection
    connection._reader = connection._writer = None  # noqa: SLF001 - else the driver warns of an open connection
    if writer is not None:
        writer.close()
