"""Memory objects on the way to their store: whose process they are in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyarvo.errors import MemoryClosed
from pyarvo.memory import SqliteMachineMemory


async def test_a_fork_that_python_was_not_told_of_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SqliteMachineMemory(tmp_path / "memory.db") as memory:
        lease = await memory.acquire("a")
        assert lease is not None
        with monkeypatch.context() as child:
            child.setattr(os, "getpid", lambda: -1)  # as after a fork in C, which runs no hooks
            for asked in (memory.read("a"), memory.acquire("b"), memory.commit(lease, {})):
                with pytest.raises(MemoryClosed, match="before a fork"):
                    await asked
        assert await memory.commit(lease, {}) == 1
