"""A TCP proxy in front of a server, for faults of the network and for TLS."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Self

__all__ = ["Proxy"]


class Proxy:
    """
    Forwards both ways, until it is told otherwise; an async context manager.

    Args:
        port: Of the server, on the loopback.

        tls: What it shows to those who connect; None = it speaks no TLS.

    Attributes:
        lose_replies: Whether what the server sends is thrown away, and the connection cut instead.
    """

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._target = port
        self._tls = tls
        self.port = 0
        self.lose_replies = False
        self._made = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def next_connection(self) -> None:
        """Wait until somebody connects."""
        self._made.clear()
        await self._made.wait()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._made.set()
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            there = asyncio.create_task(self._pump(reader, far_writer, losing=False))
            here = asyncio.create_task(self._pump(far_reader, writer, losing=True))
            try:
                await asyncio.wait((there, here), return_when=asyncio.FIRST_COMPLETED)
            finally:
                far_writer.close()
                for pump in (there, here):
                    pump.cancel()
                await asyncio.gather(there, here, return_exceptions=True)
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, losing: bool
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                if losing and self.lose_replies:
                    return
                writer.write(data)
                await writer.drain()
