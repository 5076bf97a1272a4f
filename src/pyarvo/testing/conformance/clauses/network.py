"""Faults of the network between a memory and its server: cut, silent, late, slow, in each verb."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from time import monotonic
from typing import Any, Final

from pyarvo.testing.conformance.bench import SHORT_S, Bench, PromiseBroken
from pyarvo.testing.conformance.clause import Kind, clause
from pyarvo.testing.conformance.watched import Watched
from pyarvo.testing.faults.proxy import TcpProxy

__all__: list[str] = []

_LONGEST_S: Final = 12.0
"""The deadline of a call is 5 s by default; the rest is for a busy machine."""

_ROUNDS: Final = 6
_SLOW_S: Final = 0.02


async def _ended(working: Coroutine[Any, Any, Any], what: str) -> Any:
    """What *working* answers, or the error that it raises; but it must end."""
    task = asyncio.get_running_loop().create_task(working)
    try:
        await asyncio.wait([task], timeout=_LONGEST_S)
        if not task.done():
            raise PromiseBroken(f"{what} had not ended after {_LONGEST_S:.0f} s")
        return task.exception() or task.result()
    finally:
        task.cancel()


async def _raises(bench: Bench, working: Coroutine[Any, Any, Any], what: str) -> None:
    answer = await _ended(working, what)
    bench.holds(isinstance(answer, Exception), f"{what} was answered with {bench.history.shown(answer)}")


async def _reply_lost(proxy: TcpProxy, working: Coroutine[Any, Any, Any], what: str) -> Any:
    """How *working* ends whose next answer is lost with its connection; new connections are as good as ever."""
    before = proxy.lost
    proxy.lose_next_reply()
    task = asyncio.get_running_loop().create_task(_ended(working, what))
    await proxy.until(lambda: proxy.lost > before, within_s=_LONGEST_S)
    proxy.heal()
    return await task


def _back(proxy: TcpProxy) -> None:
    """The network is there again; connections of before are gone."""
    proxy.reset()
    proxy.heal()


async def _again(bench: Bench, ask: Callable[[], Awaitable[object]], expected: object, what: str) -> None:
    """*ask* must answer *expected* some time: a memory finds its server again."""
    until = monotonic() + _LONGEST_S
    while True:
        try:
            return bench.equal(await ask(), expected, what)
        except PromiseBroken:
            raise
        except Exception as error:
            if monotonic() > until:
                raise PromiseBroken(
                    f"{what}: it still raises {error!r}, {_LONGEST_S:.0f} s after the network was there again"
                ) from error


async def _in_the_end(work: Callable[[int], Awaitable[None]], what: str) -> None:
    """*work* must end well in one of several rounds: a busy machine may take longer than a call may take."""
    errors: list[Exception] = []
    for n in range(_ROUNDS):
        try:
            return await work(n)
        except PromiseBroken:
            raise
        except Exception as error:  # noqa: BLE001 - a memory under test may raise anything; the last one is told
            errors.append(error)
    raise PromiseBroken(f"{_ROUNDS} {what} raised: {errors[-1]!r}") from errors[-1]


async def _holder(bench: Bench, **options: Any) -> tuple[Watched, TcpProxy, Watched, str]:
    """Who holds an instance with the record {"n": 0}, the proxy on the way; somebody else; and the id."""
    memory, proxy = await bench.proxied(**options)
    id = bench.id()
    await bench.locked(memory, id)
    await memory.write(id, {"n": 0})
    return memory, proxy, bench.open(), id


# --- read ---------------------------------------------------------------------------------------------------------


@clause(
    "network.faults.01",
    "a read whose answer is lost with its connection is asked again on another",
    Kind.FAULT,
)
async def read_cut(bench: Bench) -> None:
    id = bench.id()
    await bench.put(bench.open(), id, {"n": 1})
    memory, proxy = await bench.proxied()

    async def reads(_: int) -> None:
        answer = await _reply_lost(proxy, memory.read(id), "a read")
        if isinstance(answer, Exception):
            raise answer
        bench.equal(answer, {"n": 1}, "the record")

    await _in_the_end(reads, "reads, each with one lost answer,")


@clause(
    "network.faults.02", "a read of a server that fell silent raises in time, and is never None", Kind.FAULT
)
async def read_silent(bench: Bench) -> None:
    id = bench.id()
    await bench.put(bench.open(), id, {"n": 1})
    memory, proxy = await bench.proxied()
    proxy.half_open()
    await _raises(bench, memory.read(id), "a read of a server that fell silent")
    _back(proxy)
    await _again(bench, lambda: memory.read(id), {"n": 1}, "the record")


@clause(
    "network.faults.03",
    "an answer that comes too late is not taken for the answer to another question",
    Kind.FAULT,
)
async def late_answers(bench: Bench) -> None:
    ids = [bench.id(f"a{n}") for n in range(4)]
    for n, id in enumerate(ids):
        await bench.put(bench.open(), id, {"n": n})
    memory, proxy = await bench.proxied()
    proxy.partition()
    for id in ids:
        await _raises(bench, memory.read(id), "a read of a server that fell silent")
    proxy.heal()
    for _ in range(2):
        for n, id in reversed([*enumerate(ids)]):
            await _again(bench, lambda id=id: memory.read(id), {"n": n}, f"the record of {n}")


# --- write --------------------------------------------------------------------------------------------------------


@clause("network.faults.04", "a write whose answer is lost with its connection is sent once", Kind.FAULT)
async def write_cut(bench: Bench) -> None:
    memory, proxy, other, id = await _holder(bench)
    mark = f"mark-{bench.random.randrange(10**12)}"
    answer = await _reply_lost(proxy, memory.write(id, {"n": mark}), "a write")
    await asyncio.sleep(0.2)  # for a second sending, which would be wrong
    sent = proxy.seen.count(mark.encode())
    bench.holds(sent <= 1, f"the record was sent {sent} times")
    # The answer that was lost may be one to an earlier question of the same write: then it was never sent, or went into
    # a connection that was cut under it.
    kept = await other.read(id)
    if sent and isinstance(answer, Exception) and kept == {"n": 0}:
        return
    applied = {"n": mark if sent or not isinstance(answer, Exception) else 0}
    bench.equal(kept, applied, f"the record, which was sent {sent} times")


@clause(
    "network.faults.05",
    "a write to a server that fell silent raises in time; once that is back, its holder writes on",
    Kind.FAULT,
)
async def write_silent(bench: Bench) -> None:
    memory, proxy, other, id = await _holder(bench)
    proxy.half_open()
    await _raises(bench, memory.write(id, {"n": 1}), "a write to a server that fell silent")
    _back(proxy)
    bench.equal(await other.read(id), {"n": 0}, "the record, after a write that never arrived")
    await _again(bench, lambda: memory.write(id, {"n": 1}), None, "the write, made again")
    bench.equal(await other.read(id), {"n": 1}, "the record")


@clause(
    "network.faults.06",
    "a write that was held up on its way, and arrives after a successor wrote, is refused",
    Kind.FAULT,
    Kind.OWNERSHIP,
)
async def write_late(bench: Bench) -> None:
    memory, proxy, other, id = await _holder(bench, lease_ttl_s=SHORT_S)
    proxy.partition()
    writing = asyncio.create_task(_ended(memory.write(id, {"by": "former"}), "a write that was held up"))
    await bench.pass_s()
    await bench.until_locked(other, id)
    await other.write(id, {"by": "successor"})
    proxy.heal()
    answer = await writing
    bench.holds(isinstance(answer, Exception), "the write that arrived late was not refused")
    bench.equal(await other.read(id), {"by": "successor"}, "the record")
    await other.write(id, {"by": "successor", "n": 2})


# --- lock ---------------------------------------------------------------------------------------------------------


@clause(
    "network.faults.07",
    "a lock whose answer is lost with its connection is True, or raises and costs others its TTL at most",
    Kind.FAULT,
)
async def lock_cut(bench: Bench) -> None:
    memory, proxy = await bench.proxied(lease_ttl_s=SHORT_S)
    id, other = bench.id(), bench.open()
    answer = await _reply_lost(proxy, memory.lock(id), "a lock")
    if not isinstance(answer, Exception):
        bench.equal(answer, expected=True, what="lock of an instance that nobody else holds")
    await bench.pass_s()
    await bench.until_locked(other, id, within_s=5.0)


@clause(
    "network.faults.08",
    "a lock of a server that fell silent raises in time, and is neither True nor False",
    Kind.FAULT,
)
async def lock_silent(bench: Bench) -> None:
    memory, proxy = await bench.proxied()
    id = bench.id()
    proxy.half_open()
    await _raises(bench, memory.lock(id), "a lock of a server that fell silent")
    _back(proxy)
    await _again(bench, lambda: memory.lock(id), expected=True, what="the lock, asked for again")
    await memory.write(id, {"n": 1})


# --- unlock -------------------------------------------------------------------------------------------------------


@clause(
    "network.faults.09",
    "an unlock whose answer is lost with its connection raises nothing, and the lease is over",
    Kind.FAULT,
)
async def unlock_cut(bench: Bench) -> None:
    memory, proxy, other, id = await _holder(bench)
    answer = await _reply_lost(proxy, memory.unlock(id), "an unlock")
    bench.holds(isinstance(answer, bool), f"unlock raised {answer!r}")
    await bench.until_locked(other, id, within_s=5.0)


@clause(
    "network.faults.10",
    "an unlock of a server that fell silent is False in time; the TTL ends the lease",
    Kind.FAULT,
)
async def unlock_silent(bench: Bench) -> None:
    memory, proxy, other, id = await _holder(bench, lease_ttl_s=SHORT_S)
    proxy.half_open()
    answer = await _ended(memory.unlock(id), "an unlock")
    bench.equal(answer, expected=False, what="unlock of a server that fell silent")
    await bench.pass_s()
    await bench.until_locked(other, id, within_s=5.0)


# --- all of them --------------------------------------------------------------------------------------------------


@clause("network.faults.11", "a server that is slow is no server that failed: every verb works", Kind.FAULT)
async def slow(bench: Bench) -> None:
    memory, proxy = await bench.proxied()
    proxy.delay(_SLOW_S)

    async def works(n: int) -> None:
        id = bench.id(f"a{n}")
        await bench.locked(memory, id)
        await memory.write(id, {"n": n})
        bench.equal(await memory.read(id), {"n": n}, "the record")
        if not await memory.unlock(id):
            raise TimeoutError("unlock had no answer in time")

    await _in_the_end(works, "steps over a slow network")


@clause(
    "network.faults.12",
    "connections that are cut under many callers harm none of the records, and the memory goes on",
    Kind.FAULT,
    Kind.CONCURRENT,
)
async def cut_under_load(bench: Bench) -> None:
    memory, proxy = await bench.proxied(lease_ttl_s=SHORT_S)
    done: dict[str, int] = {}

    async def works(id: str) -> None:
        for n in range(1, 9):
            try:
                if await memory.lock(id):
                    await memory.write(id, {"first": n, "filling": "x" * 2_000, "last": n})
                    done[id] = n
                    await memory.unlock(id)
            except Exception:  # noqa: BLE001 - any refusal is as good as another; what was answered must hold
                await asyncio.sleep(0.02)

    async def cuts() -> None:
        for _ in range(4):
            await asyncio.sleep(0.05)
            proxy.reset()

    ids = [bench.id(f"a{n}") for n in range(6)]
    works_of: list[Callable[[], Coroutine[Any, Any, None]]] = [lambda id=id: works(id) for id in ids]
    await bench.together([*works_of, cuts])
    await bench.pass_s()
    for id in ids:
        record = await bench.open().read(id) or {"first": 0, "last": 0}
        bench.equal(record["first"], record["last"], "beginning and end of one record")
        bench.holds(
            record["first"] >= done.get(id, 0), f"{done.get(id)} was written, {record['first']} is there"
        )
        await _again(bench, lambda id=id: memory.lock(id), expected=True, what="lock afterwards")
