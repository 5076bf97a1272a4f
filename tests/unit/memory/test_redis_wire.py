"""The protocol in batches: replies in any pieces, and no caller ever takes another's reply."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio.connection import Connection

from pyarvo.errors import MemoryUnavailable, RecordCorrupt, WriteOutcomeUnknown
from pyarvo.memory.decide import Acquire, Read
from pyarvo.memory.redis.answers import outcome_of
from pyarvo.memory.redis.faults import fault_of_reply
from pyarvo.memory.redis.wire import ErrorReply, Link, Replies, Reply, _ProtocolError, pack

REPLIES: list[tuple[bytes, object]] = [
    (b"$3\r\na\r\n\r\n", b"a\r\n"),
    (b"$0\r\n\r\n", b""),
    (b"$-1\r\n", None),
    (b"_\r\n", None),
    (b":-12\r\n", -12),
    (b"+OK\r\n", b"OK"),
    (b"*0\r\n", []),
    (b"*3\r\n:1\r\n*1\r\n$1\r\nx\r\n$-1\r\n", [1, [b"x"], None]),
    (b"-NOSCRIPT No matching script.\r\n", ErrorReply("NOSCRIPT", "NOSCRIPT No matching script.")),
    (b">2\r\n+invalidate\r\n*1\r\n+k\r\n:7\r\n", 7),
]


def test_packed() -> None:
    assert pack(b"SET", b"k", b"a\r\n") == b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\na\r\n\r\n"


@pytest.mark.parametrize(("raw", "reply"), REPLIES)
def test_a_reply_is_known_only_when_all_of_it_is_there(raw: bytes, reply: object) -> None:
    for cut in range(len(raw)):
        replies, taken = Replies(), list[Reply]()
        replies.feed(b"+before\r\n" + raw[:cut])
        assert not replies.take(2, taken)
        assert taken == [b"before"]
        replies.feed(raw[cut:] + b"+behind\r\n")
        assert replies.take(2, taken)
        assert taken == [b"before", reply]
        assert not replies.empty
        assert replies.take(3, taken)
        assert taken[2:] == [b"behind"]
        assert replies.empty


@pytest.mark.parametrize("raw", [b"HTTP/1.1 400 Bad Request\r\n", b"?1\r\n"])
def test_another_protocol(raw: bytes) -> None:
    replies = Replies()
    replies.feed(raw)
    with pytest.raises(_ProtocolError):
        replies.take(1, [])


# --- connections ------------------------------------------------------------------------------------------------

Behaviour = Callable[[list[bytes], Callable[[bytes], None]], Awaitable[None]]


@asynccontextmanager
async def linked(behaviour: Behaviour) -> AsyncGenerator[tuple[Link, list[int]]]:
    """A link to a server that answers as told; and the number of commands that each connection brought."""
    brought: list[int] = []
    handlers: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())
        brought.append(0)
        number = len(brought) - 1
        requests = Replies()
        try:
            while got := await reader.read(1_000):
                requests.feed(got)
                commands: list[Any] = []
                requests.take(1_000, commands)
                brought[number] += len(commands)
                await behaviour([command[-1] for command in commands], writer.write)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link = Link(lambda: Connection(host="127.0.0.1", port=port, protocol=2, driver_info=None))
    try:
        yield link, brought
    finally:
        await link.close()
        server.close()
        for handler in handlers:
            assert handler is not None
            handler.cancel()
        await asyncio.gather(*[handler for handler in handlers if handler], return_exceptions=True)


def echo(*words: bytes) -> bytes:
    return b"".join(pack(b"ECHO", word) for word in words)


async def echoing(commands: list[bytes], write: Callable[[bytes], None]) -> None:
    for word in commands:
        write(b"$%d\r\n%b\r\n" % (len(word), word))


async def test_exchanges_under_way_at_once_get_their_own_replies_over_one_connection() -> None:
    async with linked(echoing) as (link, brought):
        answers = await asyncio.gather(
            *[link.exchange(echo(b"a%d" % n, b"b%d" % n), 2, 5.0) for n in range(20)]
        )
        assert [answer.replies for answer in answers] == [[b"a%d" % n, b"b%d" % n] for n in range(20)]
        assert brought == [40]


async def test_nobody_reads_the_replies_of_a_call_that_was_given_up() -> None:
    late: list[Callable[[bytes], None]] = []

    async def slow(commands: list[bytes], write: Callable[[bytes], None]) -> None:
        if b"slow" in commands:
            late.append(write)
        else:
            await echoing(commands, write)

    async with linked(slow) as (link, brought):
        first, second = await asyncio.gather(
            link.exchange(echo(b"slow"), 1, 0.05), link.exchange(echo(b"slow"), 1, 5.0)
        )
        assert isinstance(first.error, TimeoutError)
        assert second.error is not None
        assert (first.replies, second.replies, second.sent) == ([], [], True)
        for write in late:
            write(b"$4\r\nslow\r\n")
        third = await link.exchange(echo(b"next"), 1, 5.0)
        assert third.replies == [b"next"]
        assert len(brought) == 2


async def test_a_cancelled_exchange_takes_its_connection_along() -> None:
    async def silent(commands: list[bytes], write: Callable[[bytes], None]) -> None:
        if b"never" not in commands:
            await echoing(commands, write)

    async with linked(silent) as (link, brought):
        never = asyncio.create_task(link.exchange(echo(b"never"), 1, 5.0))
        while not brought or brought[0] == 0:  # noqa: ASYNC110 - until it has arrived
            await asyncio.sleep(0)
        behind = asyncio.create_task(link.exchange(echo(b"behind"), 1, 5.0))
        await asyncio.sleep(0)
        never.cancel()
        with pytest.raises(asyncio.CancelledError):
            await never
        assert (await behind).error is not None
        assert (await link.exchange(echo(b"next"), 1, 5.0)).replies == [b"next"]


async def test_replies_that_nobody_asked_for_end_the_connection() -> None:
    async def chatty(commands: list[bytes], write: Callable[[bytes], None]) -> None:
        await echoing([*commands, b"more"], write)

    async with linked(chatty) as (link, brought):
        answer = await link.exchange(echo(b"a"), 1, 5.0)
        assert isinstance(answer.error, _ProtocolError)
        await link.exchange(echo(b"a"), 1, 5.0)
        assert len(brought) == 2


async def test_what_comes_while_nothing_was_asked_is_not_taken_for_the_next_reply() -> None:
    writers: list[Callable[[bytes], None]] = []

    async def remembered(commands: list[bytes], write: Callable[[bytes], None]) -> None:
        writers.append(write)
        await echoing(commands, write)

    async with linked(remembered) as (link, brought):
        assert (await link.exchange(echo(b"a"), 1, 5.0)).replies == [b"a"]
        writers[0](b"$7\r\nunasked\r\n")
        await asyncio.sleep(0.05)
        assert (await link.exchange(echo(b"b"), 1, 5.0)).replies == [b"b"]
        assert len(brought) == 2


async def test_a_connection_cut_in_the_middle_keeps_the_replies_that_came() -> None:
    async def half(commands: list[bytes], write: Callable[[bytes], None]) -> None:
        await echoing(commands[:1], write)
        raise ConnectionResetError

    async with linked(half) as (link, _):
        answer = await link.exchange(echo(b"a", b"b"), 2, 5.0)
        assert answer.replies == [b"a"]
        assert answer.error is not None
        assert answer.sent


# --- answers and errors -----------------------------------------------------------------------------------------

LONG_AGO = "ERR Error running script (call to f_0123): @user_script:40: @user_script: 40: "


@pytest.mark.parametrize(
    ("text", "kind", "transient"),
    [
        ("LOADING Redis is loading the dataset in memory", MemoryUnavailable, True),
        (
            "READONLY You can't write against a read only replica. script: 01, on @user_script:1.",
            MemoryUnavailable,
            True,
        ),
        (f"{LONG_AGO}-READONLY You can't write against a read only replica.", MemoryUnavailable, True),
        (f"{LONG_AGO}-OOM command not allowed when used memory > 'maxmemory'.", MemoryUnavailable, False),
        ("MISCONF Errors writing to the AOF file: No space left on device", MemoryUnavailable, False),
        ("NOAUTH Authentication required.", MemoryUnavailable, False),
        ("NOPERM this user has no permissions to run the 'evalsha' command", MemoryUnavailable, False),
        (f"{LONG_AGO}WRONGTYPE Operation against a key holding the wrong kind of value", RecordCorrupt, None),
        ("ERR something that nobody has seen before", WriteOutcomeUnknown, None),
    ],
)
def test_what_an_error_of_the_server_means(text: str, kind: type[Exception], transient: bool | None) -> None:
    fault = fault_of_reply(ErrorReply(text.partition(" ")[0], text))
    assert type(fault) is kind
    assert fault.__cause__ is not None
    assert getattr(fault, "transient", None) is transient


@pytest.mark.parametrize("reply", [[], [99], [2, 1], [4, 1, 1, None, b"garbage", None], b"OK", None, 3])
def test_an_answer_that_no_script_gives_is_corrupt(reply: object) -> None:
    assert isinstance(outcome_of(Acquire("x", "t", 1.0), reply), RecordCorrupt)  # pyright: ignore[reportArgumentType]
    assert isinstance(outcome_of(Read("x"), [12]), MemoryUnavailable)
