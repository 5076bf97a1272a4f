"""What tools are told of a lease that is renewed just then, by another process as it were."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from pyarvo.memory import Find, LeasedMemory, SqliteMachineMemory


async def _got(memory: LeasedMemory) -> int:
    found = await memory.get("a")
    assert found is not None
    return int(found.held)


async def _listed(memory: LeasedMemory) -> int:
    return len((await memory.instances(Find(held=True))).items)


async def _counted(memory: LeasedMemory) -> int:
    return await memory.count(Find(held=True))


@pytest.mark.parametrize("look", [_got, _listed, _counted])
async def test_a_lease_renewed_while_it_is_looked_at_is_held(
    look: Callable[[LeasedMemory], Awaitable[int]], tmp_path: Path
) -> None:
    loop = asyncio.get_running_loop()
    times = iter([1_000.0, 1_001.0])
    async with SqliteMachineMemory(tmp_path / "a.db", clock=lambda: next(times)) as holder:
        lease = await holder.acquire("a")
        assert lease is not None

        def between() -> float:
            """The clock of whoever looks, read just before the lease is renewed."""
            asyncio.run_coroutine_threadsafe(holder.renew(lease), loop).result()
            return 1_000.5

        async with SqliteMachineMemory(tmp_path / "a.db", clock=between) as tool:
            assert await look(tool) == 1
