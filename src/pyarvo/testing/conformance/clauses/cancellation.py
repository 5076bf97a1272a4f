"""Cancellation: a caller that goes away at any moment leaves nothing half done."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from pyarvo.memory import Step
from pyarvo.testing.conformance.bench import SHORT_S, Bench, same_again
from pyarvo.testing.conformance.clause import Kind, clause

__all__: list[str] = []

_MOST: Final = 30


async def _everywhere(bench: Bench, cut: Callable[[str, int], Awaitable[bool]]) -> AsyncIterator[str]:
    """An id for each suspension there is: *cut* cancels there and says whether it was reached."""
    for at in range(_MOST):
        id = bench.id(f"a{at}")
        reached = await cut(id, at)
        yield id
        if not reached:
            return


@clause("base.cancellation.01", "a read, cancelled at any suspension, harms no later read", Kind.FAULT)
async def read(bench: Bench) -> None:
    memory = bench.open()
    written = bench.id("written")
    await bench.put(memory, written, {"n": 1})

    async def cut(_: str, at: int) -> bool:
        return await bench.cancelled(lambda: memory.read(written), at)

    async for _ in _everywhere(bench, cut):
        bench.equal(await memory.read(written), {"n": 1}, "the record after a cancelled read")


@clause(
    "base.cancellation.02",
    "a write, cancelled at any suspension, is whole or not at all, and never comes later",
    Kind.FAULT,
)
async def write(bench: Bench) -> None:
    memory, other = bench.several(2)

    async def cut(id: str, at: int) -> bool:
        await bench.locked(memory, id)
        await memory.write(id, {"n": 0})
        return await bench.cancelled(lambda: memory.write(id, {"n": 1, "filling": "x" * 20_000}), at)

    ids = [id async for id in _everywhere(bench, cut)]
    for id in ids:
        await memory.unlock(id)
        await bench.until_locked(other, id, within_s=3.0)
        record = await other.read(id)
        bench.holds(
            record in ({"n": 0}, {"n": 1, "filling": "x" * 20_000}),
            f"the record is neither the old nor the new one: {bench.history.shown(record)}",
        )
        await other.write(id, {"n": 2})
    for id in ids:
        bench.equal(await memory.read(id), {"n": 2}, "the record of the successor")


@clause(
    "base.cancellation.03", "a lock, cancelled at any suspension, costs others its TTL at most", Kind.FAULT
)
async def lock(bench: Bench) -> None:
    memory, other = bench.open(lease_ttl_s=SHORT_S), bench.open()

    async def cut(id: str, at: int) -> bool:
        return await bench.cancelled(lambda: memory.lock(id), at)

    ids = [id async for id in _everywhere(bench, cut)]
    await bench.pass_s()
    for id in ids:
        bench.equal(await other.lock(id), expected=True, what="lock once the TTL of a cancelled one is over")
        await other.write(id, {"n": 1})


@clause(
    "base.cancellation.04",
    "an unlock, cancelled at any suspension, frees nobody else's lease, and the TTL does the rest",
    Kind.FAULT,
)
async def unlock(bench: Bench) -> None:
    memory, other, third = bench.open(lease_ttl_s=SHORT_S), bench.open(), bench.open()

    async def cut(id: str, at: int) -> bool:
        await bench.locked(memory, id)
        return await bench.cancelled(lambda: memory.unlock(id), at)

    ids = [id async for id in _everywhere(bench, cut)]
    await bench.pass_s()
    for id in ids:
        bench.equal(await other.lock(id), expected=True, what="lock once the TTL is over")
        await memory.unlock(id)
        bench.equal(await third.lock(id), expected=False, what="lock while the successor holds it")


@clause(
    "leased.cancellation.01",
    "an acquire, cancelled at any suspension, gives back what it was granted",
    Kind.FAULT,
)
async def acquire(bench: Bench) -> None:
    memory, other = bench.several(2)

    async def cut(id: str, at: int) -> bool:
        answers: list[object] = []

        async def acquires() -> None:
            lease = await memory.acquire(id)
            answers.append(lease)
            if lease is not None:
                await memory.release(lease)

        return await bench.cancelled(acquires, at)

    async for id in _everywhere(bench, cut):
        lease = await bench.until_held(other, id, within_s=5.0)
        await other.release(lease)


@clause(
    "leased.cancellation.02",
    "a commit, cancelled at any suspension, is whole or not at all; made again, it is applied once",
    Kind.FAULT,
)
async def commit(bench: Bench) -> None:
    memory, other = bench.several(2)
    step = Step("k", ({"id": "1"},))

    async def cut(id: str, at: int) -> bool:
        lease = await bench.held(memory, id)
        repeat = same_again(lease)
        reached = await bench.cancelled(lambda: memory.commit(lease, {"n": 1}, step=step), at)
        record = await other.read(id)
        bench.holds(record in (None, {"n": 1}), f"half a record: {bench.history.shown(record)}")
        bench.equal(await memory.commit(repeat, {"n": 1}, step=step), 1, "the version of the repeat")
        return reached

    async for id in _everywhere(bench, cut):
        after = await bench.held(other, id)
        bench.equal((after.version, after.data), (1, {"n": 1}), "version and record")


@clause(
    "leased.cancellation.03",
    "a renewal, cancelled at any suspension, neither ends nor shortens the lease",
    Kind.FAULT,
)
async def renew(bench: Bench) -> None:
    memory, other = bench.several(2)

    async def cut(id: str, at: int) -> bool:
        lease = await bench.held(memory, id)
        reached = await bench.cancelled(lambda: memory.renew(lease, ttl_s=SHORT_S), at)
        bench.equal(await other.acquire(id), None, "acquire while the holder holds it")
        bench.equal(await memory.commit(lease, {"n": 1}), 1, "the version of the holder's commit")
        return reached

    async for id in _everywhere(bench, cut):
        bench.equal(await other.read(id), {"n": 1}, "the record")


@clause(
    "leased.cancellation.04", "a release, cancelled once it has begun, still gives the lease up", Kind.FAULT
)
async def release(bench: Bench) -> None:
    memory, other = bench.several(2)

    async def cut(id: str, at: int) -> bool:
        lease = await bench.held(memory, id)
        return await bench.cancelled(lambda: memory.release(lease), at)

    async for id in _everywhere(bench, cut):
        await bench.until_held(other, id, within_s=5.0)
