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
    if kind == 0x2A:  # *: a list
        items: list[Reply] = []
        for _ in range(int(body)):
            item, after = parse(data, after)
            items.append(item)
        return items, after
    if kind == 0x3E:  # >: a message that nobody asked for, in the form of a list; the reply is behind it
        for _ in range(int(body)):
            _, after = parse(data, after)
        return parse(data, after)
    if kind == 0x2B:  # + a word
        return body, after
    if kind == 0x2D:  # - an error
        text = body.decode(errors="replace")
        return ErrorReply(text.partition(" ")[0], text), after
    if kind == 0x5F:  # _ none, in the newer protocol that a client passed in may speak
        return None, after
    raise _ProtocolError(f"a reply begins with {data[at : at + 1]!r}")


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
        self._data, self._at = b"", 0
        self._under_way = 0
        self._broken = False

    def is_open(self) -> bool:
        """Whether it can be written to, as far as one can see from here."""
        streams_open = not (self._writer.is_closing() or self._reader.at_eof() or self._reader.exception())
        return streams_open and not self._broken

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
        while len(replies) < count:
            try:
                reply, self._at = parse(self._data, self._at)
            except _IncompleteReplyError as more:
                await self._receive(more.missing)
            else:
                replies.append(reply)
        self._under_way -= 1
        if self._under_way == 0 and self._at != len(self._data):
            raise _ProtocolError("the server sent more replies than it was asked for")

    async def _receive(self, missing: int) -> None:
        reader = self._reader
        got = await (reader.readexactly(missing) if missing > _CHUNK else reader.read(_CHUNK))
        if not got:
            raise ConnectionError("the server closed the connection")
        self._data, self._at = self._data[self._at :] + got, 0


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
