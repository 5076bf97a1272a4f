"""Memory objects on the way to their store: whose process they are in, and what those hear who wait at the end."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from pyarvo.errors import MemoryClosed, MemoryFault, MemoryUnavailable, WriteOutcomeUnknown
from pyarvo.memory import LeasedMemory, MemoryOptions, SqliteMachineMemory
from pyarvo.memory.backend import Backend
from pyarvo.memory.decide import Acquire, Op, Outcome
from pyarvo.memory.simple import SimpleBackend


class Silent:
    """A store that never answers."""

    name: ClassVar[str] = "silent"
    immediate: ClassVar[bool] = False

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.closed = asyncio.Event()

    async def execute(self, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError(ops)

    async def close(self) -> None:
        self.closed.set()


class Forgetful:
    """Grants leases, and loses the answers to those who ask for one."""

    name: ClassVar[str] = "forgetful"
    immediate: ClassVar[bool] = False

    def __init__(self) -> None:
        self.inner = SimpleBackend(MemoryOptions())
        self.asked = asyncio.Event()
        self.goes_on = asyncio.Event()

    async def execute(self, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        outcomes = await self.inner.execute(ops)
        if isinstance(ops[0], Acquire):
            self.asked.set()
            await self.goes_on.wait()
            raise WriteOutcomeUnknown("the connection was lost")
        return outcomes

    async def until_free(self, id: str) -> None:
        """Wait until the lease of *id* was given back."""
        async with asyncio.timeout(5):
            while (stored := await self.inner.get(id)) is None or stored.row.until != 0.0:  # noqa: ASYNC110 - the store tells nobody
                await asyncio.sleep(0)

    async def close(self) -> None:
        return


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


async def test_who_waits_for_a_silent_store_while_its_memory_is_closed_hears_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    store = Silent()
    memory = LeasedMemory(cast("Backend", store), MemoryOptions(deadline_s=0.2, lock_attempts=1))
    waiting = asyncio.ensure_future(memory.acquire("a"))
    await store.asked.wait()
    await memory.close()
    with pytest.raises(MemoryUnavailable):
        await waiting
    await asyncio.sleep(0)
    gc.collect()
    assert unheard == []
    assert "the lease ends by its TTL" in caplog.text


async def test_who_is_cancelled_while_a_silent_store_holds_up_closing_leaves_nothing_open() -> None:
    store = Silent()
    memory = LeasedMemory(cast("Backend", store), MemoryOptions(deadline_s=0.2, lock_attempts=1))
    waiting = asyncio.ensure_future(memory.acquire("a"))
    await store.asked.wait()

    async def leave() -> None:
        async with memory:
            pass

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(leave(), 0.02)
    assert not store.closed.is_set()
    async with asyncio.timeout(5):
        await store.closed.wait()
        with pytest.raises(MemoryUnavailable):
            await waiting
    await memory.close()


async def test_a_lease_whose_answer_is_lost_after_its_caller_went_away_is_given_back() -> None:
    store = Forgetful()
    async with LeasedMemory(cast("Backend", store), MemoryOptions()) as memory:
        waiting = asyncio.ensure_future(memory.acquire("a"))
        await store.asked.wait()
        waiting.cancel()
        await asyncio.wait([waiting])
        store.goes_on.set()
        await store.until_free("a")


async def test_a_lease_whose_caller_goes_away_before_it_is_asked_for_again_is_given_back() -> None:
    store = Forgetful()
    store.goes_on.set()
    async with LeasedMemory(cast("Backend", store), MemoryOptions()) as memory:
        waiting = asyncio.ensure_future(memory.acquire("a"))
        await store.asked.wait()
        await asyncio.sleep(0.01)  # the pause before the next attempt is 50 ms at least
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        await store.until_free("a")


async def test_closing_in_a_forked_child_leaves_open_what_is_the_parents(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Silent()
    memory = LeasedMemory(cast("Backend", store), MemoryOptions(deadline_s=0.2))
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        await memory.close()
    assert not store.closed.is_set()
    await memory.close()
    assert store.closed.is_set()


async def test_a_ping_that_nobody_answers_is_named(tmp_path: Path) -> None:
    async with SqliteMachineMemory(tmp_path / "missing" / "memory.db") as memory:
        with pytest.raises(MemoryUnavailable) as refused:
            await memory.ping()
    assert refused.value.operation == "ping"


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        *((name, {"id": "a"}) for name in ("get", "children", "ancestors", "journal", "history", "image")),
        *((name, {}) for name in ("instances", "count")),
        ("purge", {"older_than_s": 1}),
    ],
)
async def test_a_fault_names_the_query_that_was_asked(
    tmp_path: Path, operation: str, arguments: dict[str, Any]
) -> None:
    async with SqliteMachineMemory(tmp_path / "missing" / "memory.db") as memory:
        with pytest.raises(MemoryUnavailable) as refused:
            await getattr(memory, operation)(**arguments)
    assert (refused.value.operation, refused.value.id) == (operation, arguments.get("id"))
