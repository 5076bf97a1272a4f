"""C10, exhaustively: every verb, cancelled at every suspension, in every way a suspension can be cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

import pytest

from pyarvo.memory import Lease, LeasedMemory, SqliteMachineMemory, Step

Call = Callable[[], Coroutine[Any, Any, Any]]

WAITING, UNDER_WAY, ANSWERED = "while it waits", "when it is under way", "when its answer has come"


class Cancelled:
    """
    Awaits a coroutine and cancels the task that does so at one suspension.

    Args:
        work: The coroutine.

        at: Which suspension, from 0.

        when: `WAITING` cancels what is waited for at once, `UNDER_WAY` three turns of the loop later, when a call has
            been sent; `ANSWERED` lets it end first, and cancels before the task goes on.
    """

    def __init__(self, work: Coroutine[Any, Any, Any], at: int, when: str) -> None:
        self._work = work
        self._at = at
        self._when = when
        self.reached = False

    def __await__(self) -> Generator[Any, Any, Any]:
        task = asyncio.current_task()
        assert task is not None
        steps = self._work.__await__()
        seen = 0

        def cancel(_: object) -> None:
            task.cancel()

        try:
            waited_for: Any = next(steps)
            while True:
                if seen == self._at:
                    self.reached = True
                    if self._when == WAITING or waited_for is None:
                        task.cancel()
                    elif self._when == UNDER_WAY:
                        _in_turns(3, task.cancel)
                    else:
                        waited_for.add_done_callback(cancel)
                seen += 1
                try:
                    answer = yield waited_for
                except BaseException as error:  # noqa: BLE001 - the work gets it, whatever it is
                    waited_for = steps.throw(error)
                else:
                    waited_for = steps.send(answer)
        except StopIteration as end:
            return end.value


def _in_turns(turns: int, work: Callable[[], object]) -> None:
    if turns:
        asyncio.get_running_loop().call_soon(_in_turns, turns - 1, work)
    else:
        work()


async def cancelled_at(call: Call, at: int, when: str) -> bool:
    """Whether *call* has a suspension *at*; then it was cancelled there, and all that it left behind has ended."""

    async def run() -> Any:
        interrupted.append(Cancelled(call(), at, when))
        return await interrupted[0]

    interrupted: list[Cancelled] = []
    (result,) = await asyncio.gather(asyncio.create_task(run()), return_exceptions=True)
    if isinstance(result, asyncio.CancelledError):
        assert interrupted[0].reached
    else:
        assert when == UNDER_WAY or not interrupted[0].reached  # the answer may have been faster
        assert not isinstance(result, BaseException), result
    async with asyncio.timeout(5):
        while left := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(left)
    return interrupted[0].reached


@pytest.fixture(params=[True, False], ids=["batching", "singly"])
async def memory(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LeasedMemory]:
    async with SqliteMachineMemory(
        tmp_path / "memory.db", batching=request.param, lock_attempts=1, synchronous="normal"
    ) as memory:
        yield memory


async def free(memory: LeasedMemory, id: str) -> bool:
    """Whether nobody holds the lease of *id*."""
    lease = await memory.acquire(id)
    return lease is not None and await memory.release(lease)


async def held(memory: LeasedMemory, id: str) -> Lease:
    lease = await memory.acquire(id)
    assert lease is not None
    return lease


When = pytest.mark.parametrize("when", [WAITING, UNDER_WAY, ANSWERED])
Check = Callable[[LeasedMemory, str], Awaitable[Call]]


async def everywhere(memory: LeasedMemory, when: str, prepare: Check, check: Check) -> None:
    """Cancel the call that *prepare* makes at every suspension; each time *check* looks at what is there."""
    await memory.ping()
    for at in range(30):
        id = f"a{at}"
        reached = await cancelled_at(await prepare(memory, id), at, when)
        repeat = await check(memory, id)
        await repeat()
        if not reached:
            assert at > 0, "the call never suspends"
            return
    raise AssertionError("the call does not end")


async def nothing() -> None:
    """Nothing more to do."""


@When
async def test_read(memory: LeasedMemory, when: str) -> None:
    async def prepare(memory: LeasedMemory, id: str) -> Call:
        await memory.commit(await held(memory, id), {"n": 1})
        return lambda: memory.read(id)

    async def check(memory: LeasedMemory, id: str) -> Call:
        assert await memory.read(id) == {"n": 1}
        return nothing

    await everywhere(memory, when, prepare, check)


@When
@pytest.mark.parametrize("verb", ["lock", "acquire"])
async def test_lock_and_acquire(memory: LeasedMemory, when: str, verb: str) -> None:
    granted: set[str] = set()

    async def prepare(memory: LeasedMemory, id: str) -> Call:
        async def call() -> None:
            assert await getattr(memory, verb)(id)
            granted.add(id)

        return call

    async def check(memory: LeasedMemory, id: str) -> Call:
        if id in granted:  # it was not cancelled any more
            assert not await free(memory, id)
        else:
            assert await free(memory, id)
            assert await memory.unlock(id) is False
        assert await memory.read(id) is None
        return nothing

    await everywhere(memory, when, prepare, check)


@When
async def test_write(memory: LeasedMemory, when: str) -> None:
    async def prepare(memory: LeasedMemory, id: str) -> Call:
        assert await memory.lock(id)
        return lambda: memory.write(id, {"n": 1})

    async def check(memory: LeasedMemory, id: str) -> Call:
        found = await memory.get(id)
        assert found is not None
        whole = (found.version, found.data, len(await memory.journal(id)))
        assert whole in ((0, None, 0), (1, {"n": 1}, 1))
        assert found.held

        async def repeat() -> None:
            if found.version == 0:
                await memory.write(id, {"n": 1})
            assert await memory.unlock(id)
            assert await memory.read(id) == {"n": 1}

        return repeat

    await everywhere(memory, when, prepare, check)


@When
@pytest.mark.parametrize("verb", ["unlock", "release"])
async def test_unlock_and_release(memory: LeasedMemory, when: str, verb: str) -> None:
    async def prepare(memory: LeasedMemory, id: str) -> Call:
        if verb == "unlock":
            assert await memory.lock(id)
            return lambda: memory.unlock(id)
        lease = await held(memory, id)
        return lambda: memory.release(lease)

    async def check(memory: LeasedMemory, id: str) -> Call:
        assert await free(memory, id)
        return nothing

    await everywhere(memory, when, prepare, check)


@When
async def test_commit(memory: LeasedMemory, when: str) -> None:
    leases: dict[str, Lease] = {}
    step = Step("k", ({"id": "1"},))

    async def prepare(memory: LeasedMemory, id: str) -> Call:
        leases[id] = await held(memory, id)
        return lambda: memory.commit(leases[id], {"n": 1}, step=step)

    async def check(memory: LeasedMemory, id: str) -> Call:
        found = await memory.get(id)
        assert found is not None
        whole = (found.version, found.data, found.held, len(await memory.journal(id)))
        assert whole in ((0, None, True, 0), (1, {"n": 1}, False, 1))

        async def repeat() -> None:
            leases[id].version = 0
            assert await memory.commit(leases[id], {"n": 1}, step=step) == 1
            assert await free(memory, id)

        return repeat

    await everywhere(memory, when, prepare, check)


@When
async def test_renew(memory: LeasedMemory, when: str) -> None:
    leases: dict[str, Lease] = {}

    async def prepare(memory: LeasedMemory, id: str) -> Call:
        leases[id] = await held(memory, id)
        return lambda: memory.renew(leases[id], ttl_s=60)

    async def check(memory: LeasedMemory, id: str) -> Call:
        found = await memory.get(id)
        assert found is not None
        assert found.expires_in_s is not None
        assert found.expires_in_s > 25
        assert found.fence == leases[id].fence

        async def repeat() -> None:
            await memory.renew(leases[id], ttl_s=60)
            assert await memory.commit(leases[id], {"n": 1}) == 1

        return repeat

    await everywhere(memory, when, prepare, check)


@When
@pytest.mark.parametrize("query", ["get", "count", "instances", "journal", "history", "delete"])
async def test_queries(memory: LeasedMemory, when: str, query: str) -> None:
    async def prepare(memory: LeasedMemory, id: str) -> Call:
        await memory.commit(await held(memory, id), {"n": 1}, step=Step("k"))
        call = getattr(memory, query)
        return call if query in ("count", "instances") else lambda: call(id)

    async def check(memory: LeasedMemory, id: str) -> Call:
        found = await memory.get(id)
        assert found is not None
        assert (found.version, len(await memory.journal(id))) == (
            (0, 0) if query == "delete" and found.deleted_at is not None else (1, 1)
        )
        return nothing

    await everywhere(memory, when, prepare, check)


async def test_many_callers_cancelled_at_once_leave_nothing_behind(memory: LeasedMemory) -> None:
    ids = [f"a{n}" for n in range(200)]
    for turns in range(8):
        acquiring = [asyncio.create_task(memory.acquire(id)) for id in ids]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in acquiring[::2]:
            task.cancel()
        results = await asyncio.gather(*acquiring, return_exceptions=True)
        async with asyncio.timeout(10):
            while left := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(left)
        for result in results:
            assert isinstance(result, Lease | asyncio.CancelledError)
            if isinstance(result, Lease):
                assert await memory.release(result)
        assert all(await asyncio.gather(*(free(memory, id) for id in ids)))
