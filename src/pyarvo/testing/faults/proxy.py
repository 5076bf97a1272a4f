"""A TCP proxy on the loopback, for faults of the network between a client and its server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress
from random import Random
from typing import Any, Final, Self, TypeAlias

from pyarvo.errors import InvalidOption

__all__ = ["TcpProxy"]

_Way: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_CHUNK: Final = 65_536
_LOOPBACK: Final = "127.0.0.1"


class TcpProxy:
    """
    Forwards both ways until it is told otherwise; an async context manager, which leaves no task and no connection.

    What it is told holds for all connections, those there are and those to come, until `heal`.

    Args:
        target: The server: `(host, port)`, "host:port", or a port of the loopback.

        tls: What it shows to those who connect; None = it speaks no TLS. Towards the server it never does.

        seed: Of the jitter of delays.

    Attributes:
        port: Where it listens, on `host`; 0 before it is opened.

        sent: Bytes forwarded to the server so far, in all.

        seen: The latest bytes forwarded to the server, at most 64 KiB.

        lost: How many bytes from the server were thrown away.

    Raises:
        InvalidOption: The target names no host and port.
    """

    host: Final = _LOOPBACK

    def __init__(
        self, target: tuple[str, int] | str | int, *, tls: ssl.SSLContext | None = None, seed: int = 0
    ) -> None:
        self._target = _address(target)
        self._tls = tls
        self._chance = Random(seed)
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()
        self._open = asyncio.Event()
        self._open.set()
        self._made = 0
        self._swallows = False
        self._keeps: int | None = None
        self._cuts = True
        self._armed = False
        self._delay_s = self._jitter_s = 0.0
        self.port = 0
        self.sent = 0
        self.seen = b""
        self.lost = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self.host, 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the door and every connection, and wait until all is over."""
        self._server.close()
        links = list(self._links)
        self.reset()
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)
        for link in links:
            await link.closed()
        await self._server.wait_closed()

    # --- what it is told --------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Forward again; what a partition held back goes out first. Bytes that were thrown away stay lost."""
        self._swallows = self._armed = False
        self._keeps = None
        self._delay_s = self._jitter_s = 0.0
        self._open.set()

    def partition(self) -> None:
        """Hold everything back, both ways; connections stay, as in a network that lost its route."""
        self._open.clear()

    def half_open(self) -> None:
        """Throw everything away, both ways, and keep the connections: the other side died without saying so."""
        self._swallows = True

    def lose_replies(self, after_bytes: int = 0, *, cut: bool = True) -> None:
        """
        Forward requests, and only so many more bytes of replies.

        Args:
            after_bytes: How many bytes of replies still get through, over all connections.

            cut: Whether the connection is reset at the first byte that does not; else it stays, silent.
        """
        if after_bytes < 0:
            raise InvalidOption("after_bytes", f"must be 0 or more, is {after_bytes!r}")
        self._keeps, self._cuts, self._armed = after_bytes, cut, False

    def lose_next_reply(self, *, cut: bool = True) -> None:
        """Lose the reply to the next request, and those after it; replies to earlier requests still get through."""
        self._keeps, self._cuts, self._armed = None, cut, True

    def delay(self, seconds: float, *, jitter_s: float = 0.0) -> None:
        """Hold each piece up for *seconds*, and up to *jitter_s* more; their order stays."""
        if not (seconds >= 0.0 and jitter_s >= 0.0):
            raise InvalidOption("seconds", "must be 0.0 or more, and so the jitter")
        self._delay_s, self._jitter_s = seconds, jitter_s

    def reset(self) -> None:
        """Reset every connection there is, at once; new ones are welcome."""
        for link in list(self._links):
            link.abort()

    # --- what tests wait for ----------------------------------------------------------------------------------

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._links)

    async def next_connection(self, within_s: float = 5.0) -> None:
        """Wait until somebody connects anew; `TimeoutError` after *within_s* seconds."""
        made = self._made
        await self.until(lambda: self._made > made, within_s)

    async def until(self, condition: Callable[[], object], within_s: float = 5.0) -> None:
        """
        Wait until *condition* is true; it is asked whenever something connects, goes through or is lost.

        Raises:
            TimeoutError: *within_s* seconds passed.
        """
        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(lambda: bool(condition()))

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    # --- forwarding -------------------------------------------------------------------------------------------

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._start(self._serve(reader, writer))

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self._target)
        except OSError:  # the server is not there: who connected finds the line cut
            writer.transport.abort()
            return
        except asyncio.CancelledError:  # the proxy is closed meanwhile
            writer.transport.abort()
            raise
        link = _Link(writer, back)
        self._links.add(link)
        self._made += 1
        try:
            await self._tell()
            await self._forward(link, (reader, back), (there, writer))
            await link.closed()
        finally:
            self._links.discard(link)

    async def _forward(self, link: _Link, out: _Way, home: _Way) -> None:
        """Until one side is at its end; then both are closed."""
        pumps = (
            self._start(self._pump(link, *out, replies=False)),
            self._start(self._pump(link, *home, replies=True)),
        )
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            link.close()

    async def _pump(
        self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, replies: bool
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                if self._delay_s or self._jitter_s:
                    await asyncio.sleep(self._delay_s + self._chance.uniform(0.0, self._jitter_s))
                await self._open.wait()
                kept = self._kept(data, replies=replies)
                if kept:
                    writer.write(kept)
                    await writer.drain()
                if not replies:
                    self.sent += len(kept)
                    self.seen = (self.seen + kept)[-_CHUNK:]
                elif len(kept) < len(data):
                    self.lost += len(data) - len(kept)
                    if self._cuts and not self._swallows:
                        link.abort()
                await self._tell()

    def _kept(self, data: bytes, *, replies: bool) -> bytes:
        """What of *data* goes on."""
        if self._swallows:
            return b""
        if not replies:
            if self._armed:
                self._keeps, self._armed = 0, False
            return data
        if self._keeps is None:
            return data
        kept = data[: self._keeps]
        self._keeps -= len(kept)
        return kept


class _Link:
    """A connection of a client, and ours to the server for it."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self._writers = writers

    def abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def close(self) -> None:
        for writer in self._writers:
            writer.close()

    async def closed(self) -> None:
        """Wait until both are closed, and what was to be sent is."""
        for writer in self._writers:
            with suppress(OSError):
                # Shielded: all who wait share one future, which would be cancelled with the first of them.
                await asyncio.shield(writer.wait_closed())


def _address(target: tuple[str, int] | str | int) -> tuple[str, int]:
    if isinstance(target, int):
        return _LOOPBACK, target
    try:
        host, port = target.rpartition(":")[::2] if isinstance(target, str) else target
        number = int(port)
    except (TypeError, ValueError) as exc:
        raise InvalidOption("target", f"must be host and port, is {target!r}") from exc
    if not host:
        raise InvalidOption("target", f"must be host and port, is {target!r}")
    return host.strip("[]"), number
