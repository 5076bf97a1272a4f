"""Reading many entries: lists, counts, sweeps. Through a consumer that is made for the scan and deleted after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from time import monotonic
from typing import Any, Final

import msgspec
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

from pyarvo.errors import MemoryFault, MemoryUnavailable
from pyarvo.memory.backend import Stored
from pyarvo.memory.nats.entry import HEADER, decode_meta, labels_of
from pyarvo.memory.nats.faults import DRIVER_ERRORS, ApiError, Silence, read_fault
from pyarvo.memory.nats.keys import id_of
from pyarvo.memory.nats.link import Ask, Link, decode_answer, end_subscription
from pyarvo.memory.nats.store import Store

__all__ = ["messages", "stored_of"]

_WAIT_S: Final = 5.0
_LOOK_S: Final = 0.25
_BATCH: Final = 512
_PAUSE_S: Final = 0.01
_NO_MORE: Final = "404"
_NOT_YET: Final = "503"
_IDLE_NS: Final = 60_000_000_000


class _Consumer(Struct, frozen=True):
    name: str = ""
    error: ApiError | None = None


_CONSUMER: Final = msgspec.json.Decoder(_Consumer)


async def messages(store: Store, subjects: str, *, headers_only: bool) -> AsyncGenerator[Msg]:
    """
    The newest message of each of *subjects* in the order they were written, as they are while the scan runs.

    A consumer may live on a follower, which hears of a write a little later than the leader that acknowledged it.
    So the leader is asked for the newest first, and the scan goes on until it has come by.

    Raises:
        MemoryUnavailable: The scan could not begin or was broken off.
    """
    link, stream = store.link, store.bucket.stream
    client = await link.connected()
    newest = await _newest(store, subjects)
    if not newest:
        return
    consumer = await _made(link, stream, subjects, headers_only=headers_only)
    arrived: asyncio.Queue[Msg] = asyncio.Queue()
    inbox = client.new_inbox()
    subscription = await _subscribed(client, inbox, arrived)
    seen = 0
    try:
        more = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer.name}"
        while True:
            async for message in _pulled(client, more, inbox, arrived):
                seen = message.metadata.sequence.stream
                yield message
            # Either it has come by, or it was replaced or removed meanwhile.
            if seen >= newest or seen >= (newest := await _newest(store, subjects)):
                break
            await asyncio.sleep(_PAUSE_S)
    finally:
        await end_subscription(subscription)
    # One that is not deleted goes by itself when it is idle; a scan that has all it wanted does not fail for it.
    with suppress(MemoryFault):
        await link.ask(Ask(f"$JS.API.CONSUMER.DELETE.{stream}.{consumer.name}"), _WAIT_S)


async def _newest(store: Store, subjects: str) -> int:
    message = await store.stream.newest(subjects, monotonic() + _WAIT_S)
    return 0 if message is None else message.seq


async def _made(link: Link, stream: str, subjects: str, *, headers_only: bool) -> _Consumer:
    config = {
        "deliver_policy": "last_per_subject",
        "filter_subject": subjects,
        "ack_policy": "none",
        "headers_only": headers_only,
        "mem_storage": True,
        "num_replicas": 1,
        "inactive_threshold": _IDLE_NS,
    }
    request = msgspec.json.encode({"stream_name": stream, "config": config})
    answer = await link.ask(Ask(f"$JS.API.CONSUMER.CREATE.{stream}", request), _WAIT_S)
    if isinstance(answer, Silence):
        raise read_fault(answer)
    consumer = decode_answer(_CONSUMER, answer)
    if consumer.error is not None:
        raise read_fault(consumer.error)
    return consumer


async def _subscribed(client: Any, inbox: str, arrived: asyncio.Queue[Msg]) -> Any:
    try:
        return await client.subscribe(inbox, cb=arrived.put)
    except DRIVER_ERRORS as exc:
        raise MemoryUnavailable("a list could not begin: the connection was lost") from exc


async def _pulled(client: Client, more: str, inbox: str, arrived: asyncio.Queue[Msg]) -> AsyncGenerator[Msg]:
    """All messages that a consumer has now, asked for by the batch."""
    due, until = 0, monotonic() + _WAIT_S
    try:
        while True:
            if not due:
                await client.publish(more, b'{"batch":%d,"no_wait":true}' % _BATCH, inbox)
                due = _BATCH
            message = await _next(client, arrived)
            status = (message.headers or {}).get("Status")
            if status == _NO_MORE:
                return
            if status == _NOT_YET and monotonic() < until:  # a server that has not heard of the consumer yet
                await asyncio.sleep(_PAUSE_S)
                due = 0
                continue
            if status is not None:
                raise MemoryUnavailable(f"a list was broken off: the server says {status}")
            due -= 1
            yield message
    except DRIVER_ERRORS as exc:  # OSError: also TimeoutError
        raise MemoryUnavailable("a list was broken off: no answer in time") from exc


async def _next(client: Client, arrived: asyncio.Queue[Msg]) -> Msg:
    """
    The next message.

    Raises:
        TimeoutError: None came in time, or the connection was lost.
    """
    until = monotonic() + _WAIT_S
    while True:
        try:
            # Not `wait_for`: that of Python 3.11 loses a cancellation that comes together with a message.
            async with asyncio.timeout(_LOOK_S):
                return await arrived.get()
        except TimeoutError:
            if not client.is_connected or monotonic() >= until:
                raise


def stored_of(message: Msg, judged_at: Callable[[float], float]) -> Stored:
    """
    One instance of a list.

    Args:
        message: Its entry.

        judged_at: The server's time at which to judge a lease that was granted at a time.

    Raises:
        RecordCorrupt: The header does not decode.
        SchemaTooNew: A newer pyarvo wrote it.
    """
    try:
        meta = decode_meta((message.headers or {}).get(HEADER))
    except MemoryFault as fault:
        raise fault.about(id_of(message.subject), "list") from fault.__cause__
    serial = meta.serial or message.metadata.sequence.stream
    row = meta.row(None)
    now = judged_at(row.granted_at)
    return Stored(meta.id, row, labels_of(meta), meta.created_at, meta.updated_at, now, serial)
