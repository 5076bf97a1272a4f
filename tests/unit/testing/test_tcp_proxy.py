"""The proxy: what it hands on, what it loses, and that nothing of it is left."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Any

import pytest

from pyarvo.errors import InvalidOption
from pyarvo.testing.faults import TcpProxy


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while True:
            if condition():
                return
            await asyncio.sleep(0)


class Echo:
    """A server that answers every line with the same line, and keeps what it was told."""

    def __init__(self) -> None:
        self.heard = b""
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while line := await reader.readline():
                self.heard += line
                writer.write(line)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def place() -> AsyncGenerator[tuple[Echo, TcpProxy]]:
    before = asyncio.all_tasks()
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    echo.port = server.sockets[0].getsockname()[1]
    try:
        async with TcpProxy(("127.0.0.1", echo.port)) as proxy:
            yield echo, proxy
        assert proxy.connections == 0
    finally:
        server.close()
        await server.wait_closed()
    await until(lambda: not asyncio.all_tasks() - before)  # the server's own see the end of their connections


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, text: str) -> None:
        self.writer.write(text.encode() + b"\n")

    async def hear(self) -> str:
        """The next line, or what was there of it when the connection ended."""
        async with asyncio.timeout(5):
            return (await self.reader.readline()).decode().strip()

    async def ask(self, text: str) -> str:
        self.say(text)
        return await self.hear()

    async def is_reset(self) -> bool:
        try:
            return await self.hear() == ""
        except OSError:
            return True


@asynccontextmanager
async def client(proxy: TcpProxy) -> AsyncGenerator[Client]:
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def test_it_hands_on_both_ways() -> None:
    async with place() as (echo, proxy), client(proxy) as one, client(proxy) as two:
        assert await one.ask("abc") == "abc"
        assert await two.ask("two") == "two"
        assert echo.heard == b"abc\ntwo\n"
        assert (proxy.connections, proxy.sent, proxy.lost) == (2, 8, 0)


async def test_it_closes_a_connection_that_either_side_closes() -> None:
    async with place() as (_, proxy):
        async with client(proxy) as one:
            assert await one.ask("x") == "x"
        await until(lambda: not proxy.connections)


async def test_replies_are_lost_after_so_many_bytes_and_the_connection_cut() -> None:
    async with place() as (echo, proxy), client(proxy) as one:
        proxy.lose_replies(3)
        one.say("abcdef")
        await proxy.until(lambda: proxy.lost)
        assert echo.heard == b"abcdef\n"
        assert proxy.lost == 4
        with suppress(OSError):
            assert (await one.reader.read(100)) in (b"abc", b"")
        proxy.heal()
        async with client(proxy) as two:
            assert await two.ask("again") == "again"


async def test_replies_are_lost_in_silence() -> None:
    async with place() as (echo, proxy), client(proxy) as one:
        proxy.lose_replies(cut=False)
        one.say("lost")
        await proxy.until(lambda: proxy.lost == 5)
        proxy.heal()
        assert await one.ask("kept") == "kept"
        assert echo.heard == b"lost\nkept\n"


async def test_the_reply_to_the_next_request_is_lost_and_not_the_one_before() -> None:
    async with place() as (echo, proxy), client(proxy) as one:
        assert await one.ask("first") == "first"
        proxy.lose_next_reply()
        one.say("second")
        assert await one.is_reset()
        assert echo.heard == b"first\nsecond\n"


async def test_half_open_loses_both_ways_and_keeps_the_connection() -> None:
    async with place() as (echo, proxy), client(proxy) as one:
        assert await one.ask("before") == "before"
        proxy.half_open()
        one.say("void")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await one.reader.readline()
        assert proxy.connections == 1
        proxy.heal()
        assert await one.ask("after") == "after"
        assert echo.heard == b"before\nafter\n"


async def test_a_partition_holds_back_and_healing_lets_go() -> None:
    async with place() as (echo, proxy), client(proxy) as one:
        proxy.partition()
        one.say("held")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await one.reader.readline()
        assert echo.heard == b""
        proxy.heal()
        assert await one.hear() == "held"


async def test_a_reset_breaks_connections_and_welcomes_new_ones() -> None:
    async with place() as (_, proxy), client(proxy) as one:
        assert await one.ask("x") == "x"
        proxy.reset()
        assert await one.is_reset()
        async with client(proxy) as two:
            assert await two.ask("y") == "y"


async def test_a_delay_holds_up_and_keeps_the_order() -> None:
    async with place() as (_, proxy), client(proxy) as one:
        proxy.delay(0.02, jitter_s=0.01)
        began = asyncio.get_running_loop().time()
        assert await one.ask("x") == "x"
        assert asyncio.get_running_loop().time() - began >= 0.04
        one.say("1")
        one.say("2")
        assert [await one.hear(), await one.hear()] == ["1", "2"]


async def test_it_can_be_waited_for() -> None:
    async with place() as (_, proxy):
        waiting = asyncio.create_task(proxy.next_connection())
        await asyncio.sleep(0)
        async with client(proxy) as one:
            await waiting
            one.say("abc")
            await proxy.until(lambda: proxy.seen == b"abc\n")
            with pytest.raises(TimeoutError):
                await proxy.until(lambda: proxy.lost, within_s=0.01)


async def test_closing_it_in_the_middle_of_everything_leaves_nothing() -> None:
    async with place() as (_, proxy), client(proxy) as one, client(proxy) as two:
        assert await one.ask("x") == "x"
        proxy.partition()
        two.say("held")
        proxy.delay(60.0)
        one.say("late")


async def test_a_server_that_is_not_there_looks_like_one() -> None:
    server = await asyncio.start_server(Echo().serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with TcpProxy(port) as proxy, client(proxy) as one:
        assert await one.is_reset()


async def test_who_waits_for_a_silent_server_is_cut_off_when_the_proxy_closes() -> None:
    with ExitStack() as sockets:
        full = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # nobody accepts them, so that whoever comes next is not answered
            filler = sockets.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        async with TcpProxy(full.getsockname()[1]) as proxy:
            before = asyncio.all_tasks()
            reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
            await until(lambda: bool(asyncio.all_tasks() - before))
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                assert await reader.read(1) == b""
        writer.close()


def test_targets() -> None:
    for target in (("localhost", 6379), "localhost:6379", 6379):
        assert TcpProxy(target).port == 0
    wrong_targets: list[Any] = ["localhost", "localhost:redis", ("localhost", None), ("localhost", 1, 2)]
    for target in wrong_targets:
        with pytest.raises(InvalidOption, match="must be host and port"):
            TcpProxy(target)
    for wrong in (lambda: TcpProxy(1).lose_replies(-1), lambda: TcpProxy(1).delay(-1.0)):
        with pytest.raises(InvalidOption):
            wrong()
