"""
The protocol, spoken in batches: many commands in one write, their replies with little Python for each.

The driver makes, authenticates and closes connections, and its parser in C reads replies; only what goes over them is
done here, because its path for one command costs more than the server's work for twenty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from operator import attrgetter
from typing import Final, Protocol, TypeAlias, cast

from hiredis import PushNotification, Reader
from msgspec import Struct
from redis.exceptions import RedisError

__all__ = ["Answer", "Connection", "ErrorReply", "Link", "Replies", "Reply", "pack"]

_CHUNK: Final = 256 * 1024

_streams_of: Final = attrgetter("_reader", "_writer")
_unread_of: Final = attrgetter("_buffer")


class _Nothing(Enum):
    """Nothing whole is there."""

    MORE = "more must come first"


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


def _error_reply(text: str) -> ErrorReply:
    return ErrorReply(text.partition(" ")[0], text)


class Replies:
    """What comes over a connection, in pieces of any size, as replies."""

    def __init__(self) -> None:
        self._reader = Reader(
            protocolError=_ProtocolError,
            replyError=cast("Callable[[str], Exception]", _error_reply),
            notEnoughData=_Nothing.MORE,
        )

    def feed(self, data: bytes) -> None:
        """Add what came."""
        self._reader.feed(data)

    def take(self, count: int, into: list[Reply]) -> bool:
        """Add replies to *into* until it has *count*, or there are no more; whether it has."""
        take = self._reader.gets
        while len(into) < count:
            reply = take()
            if reply is _Nothing.MORE:
                return False
            if type(reply) is not PushNotification:  # nobody asked for such a message
                into.append(reply)
        return True

    @property
    def empty(self) -> bool:
        """Whether nothing is left of what came."""
        return not self._reader.has_data()


class _Line:
    """
    An open connection and its streams, which the driver has no public name for.

    Several exchanges may be under way on it: what is written first is answered first.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._reader, self._writer = cast(
            "tuple[asyncio.StreamReader, asyncio.StreamWriter]", _streams_of(connection)
        )
        self._turn = asyncio.Lock()
        self._replies = Replies()
        self._under_way = 0
        self._broken = False

    def is_open(self) -> bool:
        """Whether it can be written to, as far as one can see from here, and its next reply is to what is asked next."""
        streams_open = not (self._writer.is_closing() or self._reader.at_eof() or self._reader.exception())
        unasked = self._under_way == 0 and _unread_of(self._reader)
        return streams_open and not self._broken and not unasked

    def write(self, payload: bytes) -> None:
        self._under_way += 1
        self._writer.write(payload)

    async def read(self, count: int, replies: list[Reply]) -> None:
        """Read into *replies*, as far as they come, behind those who have written before."""
        try:
            await self._writer.drain()
            async with self._turn:
                await self._read(count, replies)
        except BaseException:
            # Somebody's replies are still to come: whoever reads next would take them for the own ones.
            self._broken = True
            raise

    async def _read(self, count: int, replies: list[Reply]) -> None:
        if self._broken:
            raise ConnectionError("the connection was given up by a call before this one")
        while not self._replies.take(count, replies):
            got = await self._reader.read(_CHUNK)
            if not got:
                raise ConnectionError("the server closed the connection")
            self._replies.feed(got)
        self._under_way -= 1
        if self._under_way == 0 and not self._replies.empty:
            raise _ProtocolError("the server sent more replies than it was asked for")


class Link:
    """
    A connection to one server, on one event loop: made at first use, and anew after a fault.

    Args:
        make: A new, unconnected connection of the driver.
    """

    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make
        self._line: _Line | None = None
        self._connecting = asyncio.Lock()
        self._made: set[Connection] = set()

    async def exchange(self, payload: bytes, count: int, within_s: float) -> Answer:
        """
        Send *payload* and read *count* replies. Exchanges that begin in turn are executed in turn.

        Args:
            payload: Packed commands.

            count: How many replies they have.

            within_s: The longest it may take, connecting included, in seconds.
        """
        answer = Answer([], sent=False)
        line: _Line | None = None
        try:
            async with asyncio.timeout(within_s):
                line = self._line
                if line is None or not line.is_open():
                    line = await self._connected()
                line.write(payload)
                answer.sent = True
                await line.read(count, answer.replies)
            line = None
        except (OSError, EOFError, RedisError, _ProtocolError, ValueError) as error:
            answer.error = error
        finally:
            if line is not None:
                # What others have under way on it ends too: nobody could tell the replies apart any more.
                await self._drop(line)
        return answer

    async def _connected(self) -> _Line:
        async with self._connecting:
            line = self._line
            if line is not None:
                if line.is_open():
                    return line
                await self._drop(line)
            connection = cast("Connection", self._make())
            self._made.add(connection)
            try:
                await connection.connect()
            except BaseException:
                self._made.discard(connection)
                await connection.disconnect(nowait=True)
                raise
            self._line = line = _Line(connection)
            return line

    async def forget(self) -> None:
        """Let go of the connection: the server is not the one it was."""
        if self._line is not None:
            await self._drop(self._line)

    async def close(self) -> None:
        """Close the connection; batches under way end with an error."""
        self._line = None
        while self._made:
            await self._made.pop().disconnect()

    async def _drop(self, line: _Line) -> None:
        """Close at once, without waiting for the other side."""
        if self._line is line:
            self._line = None
        self._made.discard(line.connection)
        await line.connection.disconnect(nowait=True)
