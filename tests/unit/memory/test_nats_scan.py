"""A list from NATS, cancelled at the very moment a message arrives."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from pyarvo.memory.nats.scan import _next  # pyright: ignore[reportPrivateUsage] - no server hits that moment at will


class Connected:
    is_connected = True


@pytest.mark.parametrize("turns", range(5))
async def test_a_cancellation_is_not_lost_beside_a_message(turns: int) -> None:
    arrived: asyncio.Queue[Any] = asyncio.Queue()
    waiting = asyncio.create_task(_next(cast("Any", Connected()), arrived))
    await asyncio.sleep(0)
    arrived.put_nowait("message")
    for _ in range(turns):
        await asyncio.sleep(0)
    was_under_way = waiting.cancel()
    await asyncio.wait((waiting,))
    assert waiting.cancelled() == was_under_way
