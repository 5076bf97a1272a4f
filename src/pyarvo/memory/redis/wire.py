"""
The protocol, spoken in batches: many commands in one write, their replies with little Python for each.

The driver makes, authenticates and closes connections; only what goes over them is done here, because its path
for one command costs more than the server's work for twenty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from operator import attrgetter
from typing import Final, Protocol, TypeAlias, cast

from msgspec import Struct
from redis.exceptions import RedisError

__all__ = ["Answer", "Connection", "ErrorReply", "Link", "Reply", "pack", "parse"]

_CHUNK: Final = 256 * 1024

_streams_of: Final = attrgetter("_reader", "_writer")


class ErrorReply(Struct, frozen=True):
    """
    An error that the server answered a command with.

    Attributes:
        code: Its first word ("NOSCRIPT", "MOVED", "ERR", ...).

        text: All of it.
    """

    code: str
    text: str


Reply: TypeAlias = "bytes | int | ErrorReply | list[Reply] | None"


class Connection(Protocol):
    """What is used of a connection of the driver."""

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


class _Line:
    """An open connection and its streams, which the driver has no public name for."""

    __slots__ = ("connection", "reader", "writer")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.reader, self.writer = cast(
            "tuple[asyncio.StreamReader, asyncio.StreamWriter]", _streams_of(connection)
        )

    def is_open(self) -> bool:
        return not (self.writer.is_closing() or self.reader.at_eof() or self.reader.exception())

    async def converse(self, payload: bytes, count: int, replies: list[Reply]) -> None:
        """Write, then read into *replies*, as far as they come."""
        self.writer.write(payload)
        await self.writer.drain()
        reader = self.reader
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


class Link:
    """
    The connections to one server, on one event loop. A connection is in nobody's hands between batches.

    Args:
        make: A new, unconnected connection of the driver.
    """

    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make
        self._idle: list[_Line] = []
        self._made: set[Connection] = set()

    async def exchange(self, payload: bytes, count: int, within_s: float) -> Answer:
        """
        Send *payload* and read *count* replies.

        Args:
            payload: Packed commands.

            count: How many replies they have.

            within_s: The longest it may take, connecting included, in seconds.
        """
        answer = Answer([], sent=False)
        line: _Line | None = None
        try:
            async with asyncio.timeout(within_s):
                line = await self._take()
                answer.sent = True
                await line.converse(payload, count, answer.replies)
            self._idle.append(line)
            line = None
        except (OSError, EOFError, RedisError, _ProtocolError, ValueError) as error:
            answer.error = error
        finally:
            if line is not None:
                await self._drop(line.connection)
        return answer

    async def _take(self) -> _Line:
        """An idle connection that the server has not closed, or a new one."""
        while self._idle:
            line = self._idle.pop()
            if line.is_open():
                return line
            await self._drop(line.connection)
        connection = cast("Connection", self._make())
        self._made.add(connection)
        try:
            await connection.connect()
        except BaseException:
            await self._drop(connection)
            raise
        return _Line(connection)

    async def forget(self) -> None:
        """Let go of the idle connections: the server is not the one it was."""
        while self._idle:
            await self._drop(self._idle.pop().connection)

    async def close(self) -> None:
        """Close every connection; batches under way end with an error."""
        self._idle.clear()
        while self._made:
            await self._made.pop().disconnect()

    async def _drop(self, connection: Connection) -> None:
        """Close at once, without waiting for the other side."""
        self._made.discard(connection)
        await connection.disconnect(nowait=True)
