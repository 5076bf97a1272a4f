"""Reading many entries: lists, counts, sweeps. Headers only, through a consumer that lives as long as the scan."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import nats.errors
from nats.aio.msg import Msg
from nats.js.api import DeliverPolicy
from nats.js.errors import APIError

from pyarvo.errors import MemoryUnavailable
from pyarvo.memory.backend import Find, Stored
from pyarvo.memory.decide import is_held
from pyarvo.memory.nats.entry import HEADER, decode_meta, labels_of
from pyarvo.memory.nats.faults import ApiError, read_fault
from pyarvo.memory.nats.link import Link

__all__ = ["matches", "messages", "stored_of"]

_WAIT_S: Final = 5.0


@asynccontextmanager
async def _named_faults() -> AsyncGenerator[None]:
    try:
        yield
    except APIError as exc:
        raise read_fault(ApiError(exc.code or 0, exc.err_code or 0, exc.description or "")) from exc
    except (nats.errors.Error, OSError) as exc:
        raise MemoryUnavailable(f"a list was broken off: {type(exc).__name__}") from exc


async def messages(link: Link, stream: str, subjects: str, *, headers_only: bool) -> AsyncGenerator[Msg]:
    """
    The newest message of each of *subjects* in the order they were written, as they are while the scan runs.

    Raises:
        MemoryUnavailable: The scan could not begin or was broken off.
    """
    client: Any = await link.connected()
    async with _named_faults():
        subscription: Any = await client.jetstream(timeout=_WAIT_S).subscribe(
            subjects,
            stream=stream,
            ordered_consumer=True,
            headers_only=headers_only,
            deliver_policy=DeliverPolicy.LAST_PER_SUBJECT,
        )
        try:
            info = await subscription.consumer_info()
            left = bool(info.num_pending or info.delivered.consumer_seq)
            while left:
                message: Msg = await subscription.next_msg(timeout=_WAIT_S)
                left = message.metadata.num_pending > 0
                yield message
        finally:
            if client.is_connected:
                await subscription.unsubscribe()


def stored_of(message: Msg, now: float) -> Stored:
    """
    One instance of a list.

    Raises:
        RecordCorrupt: The header does not decode.
    """
    meta = decode_meta((message.headers or {}).get(HEADER))
    return Stored(
        meta.id, meta.row(None), labels_of(meta), meta.created_at, meta.updated_at, now, meta.serial
    )


def matches(stored: Stored, what: Find) -> bool:
    """Whether *what* finds it."""
    labels = stored.labels
    wanted: tuple[tuple[Any, Any], ...] = (
        (what.orchestrator, labels.orchestrator),
        (what.version, labels.version),
        (what.status, labels.status),
        (what.parent, labels.parent),
        (what.root, labels.parent is None),
        (what.held, is_held(stored.row, stored.now)),
    )
    if any(asked is not None and asked != actual for asked, actual in wanted):
        return False
    if what.deleted != (stored.row.deleted_at is not None):
        return False
    if what.updated_before is not None and stored.updated_at >= what.updated_before:
        return False
    return what.updated_after is None or stored.updated_at > what.updated_after
