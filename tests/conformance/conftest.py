"""The store of a clause: every clause runs on every backend."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .place import KINDS, Place


@pytest.fixture(params=KINDS)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """An empty store; afterwards neither a task nor a thread is left."""
    place = Place(request.param, tmp_path)
    yield place
    await place.close()
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert left == []
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("pyarvo")] == []
