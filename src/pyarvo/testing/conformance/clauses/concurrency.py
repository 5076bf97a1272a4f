"""Concurrency: many callers at once, and what they may never see."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any, Final

from pyarvo.testing.conformance.bench import PATIENCE_S, SHORT_S, STORM_S, Bench
from pyarvo.testing.conformance.clause import Kind, clause
from pyarvo.testing.conformance.watched import Watched

__all__: list[str] = []

_CONTENDERS: Final = 8
_TURNS: Final = 400
_LONGEST_WAIT: Final = 5
"""In means."""


async def _adds(bench: Bench, memory: Watched, id: str, times: int) -> int:
    """Add one to the counter, that many times or as often as there is time for; how often."""
    until = monotonic() + STORM_S
    for done in range(times):
        if monotonic() > until:
            return done
        await bench.until_locked(memory, id, within_s=PATIENCE_S)
        record = await memory.read(id)
        await memory.write(id, {"n": (record or {"n": 0})["n"] + 1})
        await memory.unlock(id)  # its answer is another clause's: a busy store may give it late
    return times


@clause("base.concurrency.01", "of many who lock at once exactly one is told True", Kind.CONCURRENT)
async def one_of_many(bench: Bench) -> None:
    memories = bench.several(8)
    for turn in range(5):
        id = bench.id(f"a{turn}")
        answers = await bench.race([lambda m=m, id=id: m.lock(id) for m in memories])
        bench.equal(sorted(answers, key=repr), [False] * 7 + [True], "the answers to eight locks")


@clause(
    "base.concurrency.02", "of many locks through one memory object exactly one is told True", Kind.CONCURRENT
)
async def one_of_many_inside(bench: Bench) -> None:
    memory = bench.open()
    for turn in range(5):
        id = bench.id(f"a{turn}")
        answers = await bench.race([lambda id=id: memory.lock(id) for _ in range(8)])
        bench.equal(sorted(answers, key=repr), [False] * 7 + [True], "the answers to eight locks")


@clause(
    "base.concurrency.03",
    "a counter that eight callers raise, up to 100 times each, loses no update",
    Kind.CONCURRENT,
)
async def counter(bench: Bench) -> None:
    id = bench.id()
    memories = bench.several(8)
    added = await bench.together([lambda m=m: _adds(bench, m, id, 100) for m in memories])
    bench.equal(await memories[0].read(id), {"n": sum(added)}, "the counter")


@clause(
    "base.concurrency.04", "no two callers are ever between lock and unlock at the same time", Kind.CONCURRENT
)
async def exclusion(bench: Bench) -> None:
    id = bench.id()
    inside: list[int] = []

    async def works(n: int, memory: Watched) -> None:
        for _ in range(4):
            await bench.until_locked(memory, id)
            inside.append(n)
            await asyncio.sleep(0)
            bench.equal(inside, [n], "callers that hold the lease")
            inside.pop()
            await memory.unlock(id)

    memories = bench.several(6)
    await bench.together([lambda n=n, m=m: works(n, m) for n, m in enumerate(memories)])


@clause(
    "base.concurrency.05",
    "of many who create an instance at once exactly one finds it absent",
    Kind.CONCURRENT,
)
async def creators(bench: Bench) -> None:
    id = bench.id()
    created: list[int] = []

    async def creates(n: int, memory: Watched) -> None:
        await bench.until_locked(memory, id)
        if await memory.read(id) is None:
            created.append(n)
            await memory.write(id, {"by": n})
        await memory.unlock(id)

    memories = bench.several(8)
    await bench.together([lambda n=n, m=m: creates(n, m) for n, m in enumerate(memories)])
    bench.equal(len(created), 1, "callers that found the instance absent")
    bench.equal(await memories[0].read(id), {"by": created[0]}, "the record")


@clause(
    "base.concurrency.06", "of many who lock once a lease ran out exactly one is told True", Kind.CONCURRENT
)
async def successors(bench: Bench) -> None:
    id = bench.id()
    await bench.locked(bench.open(lease_ttl_s=SHORT_S), id)
    await bench.pass_s()
    answers = await bench.race([lambda m=m: m.lock(id) for m in bench.several(8)])
    bench.equal(sorted(answers, key=repr), [False] * 7 + [True], "the answers to eight locks")


@clause(
    "base.concurrency.07",
    "a former holder and its successor write at once: only the successor's stays",
    Kind.CONCURRENT,
)
async def split_brain(bench: Bench) -> None:
    stale, successor = bench.open(lease_ttl_s=SHORT_S), bench.open()
    ids = [bench.id(f"a{n}") for n in range(4)]
    for id in ids:
        await bench.locked(stale, id)
    await bench.pass_s()
    for id in ids:
        await bench.locked(successor, id)
    for id in ids:
        # Not through `race`: each acts on the lease that it took here.
        first, second = await asyncio.gather(
            stale.write(id, {"by": "stale"}), successor.write(id, {"by": "successor"}), return_exceptions=True
        )
        bench.holds(isinstance(first, Exception), "a write by the former holder was not refused")
        bench.equal(second, None, "the write of the successor")
        bench.equal(await successor.read(id), {"by": "successor"}, "the record")


@clause(
    "base.concurrency.08",
    "a reader never sees half a record, nor an older one after a newer",
    Kind.CONCURRENT,
)
async def readers(bench: Bench) -> None:
    writer, *others = bench.several(4)
    id = bench.id()
    done = False

    async def writes() -> None:
        nonlocal done
        try:
            await bench.locked(writer, id)
            for n in range(1, 41):
                await writer.write(id, {"first": n, "filling": "x" * (n % 7) * 3_000, "last": n})
        finally:
            done = True

    async def reads(memory: Watched) -> None:
        newest = 0
        while not done:
            record = await memory.read(id)
            if record is not None:
                bench.equal(record["first"], record["last"], "beginning and end of one record")
                bench.holds(record["first"] >= newest, f"{record['first']} was read after {newest}")
                newest = record["first"]
            await asyncio.sleep(0)

    works: list[Any] = [writes, *(lambda m=m: reads(m) for m in others)]
    await bench.together(works)


@clause(
    "base.concurrency.09",
    "a write that was answered is seen by every read that begins after it",
    Kind.CONCURRENT,
)
async def seen_at_once(bench: Bench) -> None:
    writer, *others = bench.several(4)
    id = bench.id()
    await bench.locked(writer, id)
    for n in range(15):
        await writer.write(id, {"n": n})
        for record in await bench.race([lambda m=m: m.read(id) for m in others]):
            bench.equal(record, {"n": n}, "a read that began after the write was answered")


@clause(
    "base.concurrency.10", "what many write to many instances at once lands each in its own", Kind.CONCURRENT
)
async def no_mixing(bench: Bench) -> None:
    memories = bench.several(4)
    ids = [bench.id(f"a{n}") for n in range(40)]

    async def works(n: int) -> None:
        await bench.put(memories[n % 4], ids[n], {"n": n, "filling": str(n) * 200})

    await bench.together([lambda n=n: works(n) for n in range(40)])
    for n, id in enumerate(ids):
        bench.equal(await memories[(n + 1) % 4].read(id), {"n": n, "filling": str(n) * 200}, "the record")


@clause(
    "base.concurrency.11",
    "callers of one instance do not wait for the leases of others",
    Kind.CONCURRENT,
    alone=True,
)
async def independent(bench: Bench) -> None:
    holder, waiting, working = bench.several(3)
    held = [bench.id(f"held{n}") for n in range(8)]
    for id in held:
        await bench.locked(holder, id)
    denied = [asyncio.create_task(waiting.lock(id)) for id in held]
    began = monotonic()
    for n in range(8):
        await bench.put(working, bench.id(f"free{n}"), {"n": n})
    took = monotonic() - began
    bench.equal(await asyncio.gather(*denied), [False] * 8, "locks of instances that are held")
    bench.holds(took < 4.0, f"eight steps took {took:.1f} s while others waited for other instances")


@clause(
    "base.concurrency.12",
    "one memory object serves its other callers while some are denied",
    Kind.CONCURRENT,
    alone=True,
)
async def shared_object(bench: Bench) -> None:
    holder, memory = bench.several(2)
    hot = bench.id("hot")
    await bench.locked(holder, hot)
    denied = [asyncio.create_task(memory.lock(hot)) for _ in range(12)]
    began = monotonic()
    for n in range(5):
        await bench.put(memory, bench.id(f"free{n}"), {"n": n})
    took = monotonic() - began
    bench.equal(await asyncio.gather(*denied), [False] * 12, "locks of the instance that is held")
    bench.holds(took < 4.0, f"five steps took {took:.1f} s beside twelve denied locks")


@clause(
    "base.concurrency.13",
    "eight who contend for one instance share 400 turns: none waits five times as long as all do in the mean",
    Kind.CONCURRENT,
)
async def turns(bench: Bench) -> None:
    id = bench.id()
    took: list[int] = []  # whose turn each was
    changed = asyncio.Condition()

    async def contends(n: int, memory: Watched) -> None:
        while len(took) < _TURNS:
            await bench.until_locked(memory, id, within_s=PATIENCE_S)
            async with changed:
                took.append(n)
                turn = len(took)
                changed.notify_all()
            await memory.unlock(id)
            # Whoever had a turn asks again when half of the others had one. So what is compared is how the memory
            # chooses among those who ask: not who was quick to come again, nor how fast store and machine are.
            again = min(turn + _CONTENDERS // 2, _TURNS)
            async with changed:
                await changed.wait_for(lambda again=again: len(took) >= again)
            await asyncio.sleep(bench.random.uniform(0.0, 0.02))

    memories = bench.several(_CONTENDERS)
    for memory in memories:
        await memory.read(id)  # so that no turn is missed for the opening of a connection
    works = [lambda n=n, m=m: contends(n, m) for n, m in enumerate(memories)]
    await bench.together(works)
    # They all wait all the time: who waits five times as long has a fifth of the turns.
    shares = [took.count(n) for n in range(_CONTENDERS)]
    bench.holds(
        min(shares) * _LONGEST_WAIT >= _TURNS / _CONTENDERS,
        f"of {_TURNS} turns the contenders had {', '.join(map(str, shares))}",
    )


@clause(
    "base.concurrency.14",
    "unlock and the lock of another at once leave one holder or none, and no stuck lease",
    Kind.CONCURRENT,
)
async def handover(bench: Bench) -> None:
    first, second, third = bench.several(3)
    for n in range(8):
        id = bench.id(f"a{n}")
        await bench.locked(first, id)
        unlocked, locked = await asyncio.gather(first.unlock(id), second.lock(id))
        bench.holds(unlocked or locked, "unlock by the holder was False, and nobody had locked")
        bench.equal(await third.lock(id), expected=not locked, what="lock by a third")


@clause("base.concurrency.15", "many who unlock what they do not hold never free it", Kind.CONCURRENT)
async def foreign_unlocks(bench: Bench) -> None:
    holder, *others = bench.several(6)
    id = bench.id()
    await bench.locked(holder, id)
    answers = await bench.race([lambda m=m: m.unlock(id) for m in others])
    bench.equal(answers, [False] * 5, "unlocks by callers that hold nothing")
    bench.equal(await others[0].lock(id), expected=False, what="lock while the holder holds it")


@clause(
    "base.concurrency.16",
    "many writers without a lease change nothing beside the holder's writes",
    Kind.CONCURRENT,
)
async def foreign_writes(bench: Bench) -> None:
    holder, *others = bench.several(5)
    id = bench.id()
    await bench.locked(holder, id)
    await holder.write(id, {"by": "holder"})
    for answer in await bench.race([lambda m=m: m.write(id, {"by": "other"}) for m in others]):
        bench.holds(isinstance(answer, Exception), "a write by a caller without a lease was not refused")
    bench.equal(await holder.read(id), {"by": "holder"}, "the record")


@clause(
    "base.concurrency.17",
    "a counter that four callers raise through one memory object loses no update",
    Kind.CONCURRENT,
)
async def counter_inside(bench: Bench) -> None:
    id = bench.id()
    memory = bench.open()
    await bench.together([lambda: _adds(bench, memory, id, 10) for _ in range(4)])
    bench.equal(await memory.read(id), {"n": 40}, "the counter")


@clause(
    "base.concurrency.18",
    "a former holder does not write with the lease of its successor in the same memory object",
    Kind.CONCURRENT,
    Kind.OWNERSHIP,
)
async def takeover_inside(bench: Bench) -> None:
    memory = bench.open(lease_ttl_s=SHORT_S)
    id = bench.id()
    locked, taken = asyncio.Event(), asyncio.Event()

    async def former() -> None:
        await bench.locked(memory, id)
        locked.set()
        await taken.wait()
        await bench.refused(memory.write(id, {"by": "former"}), Exception, "a write by the former holder")

    async def successor() -> None:
        await locked.wait()
        await bench.pass_s()
        try:
            await bench.locked(memory, id)
        finally:
            taken.set()

    await bench.together([former, successor])
    bench.equal(await memory.read(id), None, "the record after a refused write")


@clause(
    "base.concurrency.19",
    "whoever reads an instance while it is created sees nothing, or all of it",
    Kind.CONCURRENT,
)
async def created_whole(bench: Bench) -> None:
    writer, reader = bench.several(2)
    record = {"first": 1, "filling": "x" * 50_000, "last": 1}
    for n in range(6):
        id = bench.id(f"a{n}")
        await bench.locked(writer, id)
        _, *seen = await asyncio.gather(writer.write(id, record), *(reader.read(id) for _ in range(4)))
        for each in seen:
            bench.holds(each in (None, record), f"half a record: {bench.history.shown(each)}")


@clause(
    "base.concurrency.20",
    "two who lock thirty instances at once share them: one holder each",
    Kind.CONCURRENT,
)
async def shared_out(bench: Bench) -> None:
    first, second = bench.several(2)
    ids = [bench.id(f"a{n}") for n in range(30)]
    answers = await bench.together([lambda m=m, id=id: m.lock(id) for id in ids for m in (first, second)])
    for n in range(30):
        pair = sorted(answers[2 * n : 2 * n + 2])
        bench.equal(pair, [False, True], f"the answers to two locks of instance {n}")
