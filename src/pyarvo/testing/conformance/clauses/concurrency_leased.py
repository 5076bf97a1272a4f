"""Concurrency of leases as handles: counters, batches, handovers, repeats, several event loops."""

from __future__ import annotations

import asyncio
from collections import Counter
from threading import Thread
from time import monotonic

from pyarvo.errors import EventConsumed, LeaseLost, WriteConflict
from pyarvo.memory import Lease, Step
from pyarvo.testing.conformance.bench import PATIENCE_S, SHORT_S, STORM_S, Bench, same_again
from pyarvo.testing.conformance.clause import Kind, clause
from pyarvo.testing.conformance.watched import Watched

__all__: list[str] = []


@clause(
    "leased.concurrency.01",
    "a counter that eight callers raise through acquire and commit loses no update",
    Kind.CONCURRENT,
)
async def leased_counter(bench: Bench) -> None:
    id = bench.id()

    until = monotonic() + STORM_S

    async def adds(memory: Watched) -> int:
        for done in range(100):
            if monotonic() > until:
                return done
            lease = await bench.until_held(memory, id, within_s=PATIENCE_S)
            await memory.commit(lease, {"n": (lease.data or {"n": 0})["n"] + 1})
        return 100

    memories = bench.several(8)
    added = sum(await bench.together([lambda m=m: adds(m) for m in memories]))
    lease = await bench.held(memories[0], id)
    bench.equal((lease.data, lease.version), ({"n": added}, added), "counter and version")


@clause(
    "leased.concurrency.02",
    "of many who acquire at once exactly one gets the lease, and the fence rises by one",
    Kind.CONCURRENT,
)
async def acquirers(bench: Bench) -> None:
    memories = bench.several(8)
    for turn in range(5):
        id = bench.id(f"a{turn}")
        leases = await bench.race([lambda m=m, id=id: m.acquire(id) for m in memories])
        fences = [getattr(lease, "fence", lease) for lease in leases if lease is not None]
        bench.equal(fences, [1], "the fences of the leases granted")


@clause(
    "leased.concurrency.03",
    "fences of one instance are one after the other, whoever takes it",
    Kind.CONCURRENT,
)
async def fences_in_order(bench: Bench) -> None:
    id = bench.id()
    fences: list[int] = []

    async def takes(memory: Watched) -> None:
        for _ in range(6):
            lease = await bench.until_held(memory, id)
            fences.append(lease.fence)
            await memory.release(lease)

    await bench.together([lambda m=m: takes(m) for m in bench.several(5)])
    bench.equal(fences, list(range(1, 31)), "the fences in the order in which leases were held")


@clause(
    "leased.concurrency.04",
    "a renewal and a takeover at once: the lease is one's or the other's, never both",
    Kind.CONCURRENT,
)
async def renewal_or_takeover(bench: Bench) -> None:
    memory, other = bench.several(2)
    ids = [bench.id(f"a{n}") for n in range(12)]
    leases = [await bench.held(memory, id, ttl_s=SHORT_S) for id in ids]
    await bench.pass_s()
    for n, lease in enumerate(leases):
        if n % 2:
            asked = asyncio.gather(
                memory.renew(lease, ttl_s=30.0), other.acquire(lease.id), return_exceptions=True
            )
            renewed, taken = await asked
        else:
            asked = asyncio.gather(
                other.acquire(lease.id), memory.renew(lease, ttl_s=30.0), return_exceptions=True
            )
            taken, renewed = await asked
        both = renewed is None and taken is not None
        bench.holds(not both, "the lease was renewed, and granted to somebody else")
        neither = renewed is not None and taken is None
        bench.holds(not neither, f"nobody has the lease: {renewed!r}")


@clause(
    "leased.concurrency.05",
    "what many acquire and commit through one memory object lands each in its own",
    Kind.CONCURRENT,
)
async def batches(bench: Bench) -> None:
    memory = bench.open()
    ids = [bench.id(f"a{n}") for n in range(60)]

    async def step(n: int) -> None:
        lease = await bench.held(memory, ids[n])
        bench.equal(lease.id, ids[n], "the id of the lease")
        await memory.commit(lease, {"n": n}, step=Step(f"k{n}", ({"n": n},)))

    await bench.together([lambda n=n: step(n) for n in range(60)])
    for n in (0, 7, 31, 59):
        lease = await memory.acquire(ids[n], event_key=f"k{n}")
        replay = None if lease is None else lease.replay
        bench.equal(None if replay is None else replay.produced, ({"n": n},), "the events of the step")


@clause(
    "leased.concurrency.06", "one refused commit fails none of those that are sent with it", Kind.CONCURRENT
)
async def refused_among_others(bench: Bench) -> None:
    memory = bench.open()
    leases = [await bench.held(memory, bench.id(f"a{n}")) for n in range(20)]
    leases[3].version = 9
    leases[11].token = "f" * 32
    answers = await asyncio.gather(
        *(memory.commit(lease, {"n": n}) for n, lease in enumerate(leases)), return_exceptions=True
    )
    kinds = [type(each).__name__ for each in answers]
    expected = ["int"] * 20
    expected[3], expected[11] = WriteConflict.__name__, LeaseLost.__name__
    bench.equal(kinds, expected, "the answers")


@clause(
    "leased.concurrency.07", "who gets the lease after a commit reads what was committed", Kind.CONCURRENT
)
async def handover(bench: Bench) -> None:
    memory, other = bench.several(2)
    for n in range(8):
        lease = await bench.held(memory, bench.id(f"a{n}"))
        _, taken = await asyncio.gather(
            memory.commit(lease, {"n": n}), bench.until_held(other, lease.id), return_exceptions=True
        )
        if isinstance(taken, BaseException):
            raise taken
        bench.equal((taken.version, taken.data), (1, {"n": n}), "version and data of the next holder")


@clause("leased.concurrency.08", "a holder that renews all the time is never taken over", Kind.CONCURRENT)
async def renewing(bench: Bench) -> None:
    memory, other = bench.several(2)
    lease = await bench.held(memory, bench.id(), ttl_s=5.0)

    async def renews() -> None:
        for _ in range(20):
            await memory.renew(lease)

    async def asks() -> None:
        for _ in range(3):
            bench.equal(await other.acquire(lease.id), None, "acquire of a lease that is renewed")

    await bench.together([renews, asks])
    bench.equal(await memory.commit(lease, {"n": 1}), 1, "the version of the holder's commit")


@clause(
    "leased.concurrency.09",
    "one commit sent several times at once is applied once, and every sending says so",
    Kind.CONCURRENT,
)
async def sent_at_once(bench: Bench) -> None:
    memory, other = bench.several(2)
    lease = await bench.held(memory, bench.id())
    step = Step("k", ({"id": "1"},))
    answers = await bench.race(
        [lambda n=n: (memory, other)[n % 2].commit(same_again(lease), {"n": 1}, step=step) for n in range(6)]
    )
    bench.equal(answers, [1] * 6, "the versions")
    after = await bench.held(other, lease.id)
    bench.equal((after.version, after.fence), (1, lease.fence + 1), "version and fence afterwards")


@clause(
    "leased.concurrency.10",
    "of twenty events, each delivered three times at once, each takes effect once",
    Kind.CONCURRENT,
)
async def events(bench: Bench) -> None:
    id = bench.id()
    memories = bench.several(4)
    ran: Counter[str] = Counter()

    async def deliver(memory: Watched, key: str) -> None:
        while True:
            lease = await bench.until_held(memory, id, event_key=key)
            if lease.replay is not None:
                return
            done = [*(lease.data or {"done": []})["done"], key]
            try:
                await memory.commit(lease, {"done": done}, step=Step(key))
            except EventConsumed:
                await memory.release(lease)
                return
            ran[key] += 1
            return

    keys = [f"k{n}" for n in range(20)] * 3
    bench.random.shuffle(keys)
    await bench.together([lambda n=n, k=k: deliver(memories[n % 4], k) for n, k in enumerate(keys)])
    lease = await bench.held(memories[0], id)
    bench.equal(sorted((lease.data or {})["done"]), sorted(set(keys)), "the effects")
    bench.equal((lease.version, max(ran.values())), (20, 1), "the version, and how often one event ran")


@clause(
    "leased.concurrency.11",
    "former holders commit while their successor does: only its commit is applied",
    Kind.CONCURRENT,
)
async def stale_among_fresh(bench: Bench) -> None:
    memory, other = bench.several(2)
    stale = await bench.held(memory, bench.id(), ttl_s=SHORT_S)
    await bench.pass_s()
    fresh = await bench.held(other, stale.id)
    answers = await bench.race(
        [
            *(lambda n=n: memory.commit(same_again(stale), {"by": n}) for n in range(5)),
            lambda: other.commit(fresh, {"by": "fresh"}),
        ]
    )
    kinds = [type(each).__name__ for each in answers]
    bench.equal(kinds, ["LeaseLost"] * 5 + ["int"], "the answers")
    bench.equal(await memory.read(stale.id), {"by": "fresh"}, "the record")


@clause(
    "leased.concurrency.12",
    "a release and a commit of one token at once: applied before the release, or refused",
    Kind.CONCURRENT,
)
async def release_or_commit(bench: Bench) -> None:
    memory, other = bench.several(2)
    for n in range(8):
        lease = await bench.held(memory, bench.id(f"a{n}"))
        committed, _ = await asyncio.gather(
            memory.commit(same_again(lease), {"n": n}),
            other.release(same_again(lease)),
            return_exceptions=True,
        )
        record = await other.read(lease.id)
        applied = not isinstance(committed, BaseException)
        bench.equal(record, {"n": n} if applied else None, "the record")
        bench.holds(applied or isinstance(committed, LeaseLost), f"the commit raised {committed!r}")
        await bench.held(other, lease.id)


@clause(
    "leased.concurrency.13",
    "of many who acquire from two event loops exactly one gets the lease",
    Kind.CONCURRENT,
)
async def two_loops(bench: Bench) -> None:
    memory = bench.fresh()
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="another event loop")
    thread.start()

    async def ask(id: str) -> list[Lease | None]:
        return await asyncio.gather(*(memory.acquire(id) for _ in range(3)))

    try:
        for n in range(3):
            id = bench.id(f"a{n}")
            there = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(ask(id), loop))
            granted = [lease for lease in (*await ask(id), *await there) if lease is not None]
            bench.equal(len(granted), 1, "leases granted")
            bench.equal(await memory.commit(granted[0], {"n": n}), 1, "the version, committed from this loop")
    finally:
        try:
            await memory.close()  # while both loops run: each has connections of its own
        finally:  # also where that raises: a thread that is left keeps the program from ending
            loop.call_soon_threadsafe(loop.stop)
            await asyncio.to_thread(thread.join)
            loop.close()


@clause(
    "leased.concurrency.14",
    "two who hand one lease to and fro raise version and fence in step",
    Kind.CONCURRENT,
)
async def to_and_fro(bench: Bench) -> None:
    id = bench.id()
    seen: list[tuple[int, int]] = []

    async def works(memory: Watched) -> None:
        for _ in range(10):
            lease = await bench.until_held(memory, id)
            seen.append((lease.fence, lease.version))
            await memory.commit(lease, {"n": lease.fence})

    await bench.together([lambda m=m: works(m) for m in bench.several(2)])
    bench.equal(seen, [(n + 1, n) for n in range(20)], "fence and version of each holder")


# --- while people tend the store ----------------------------------------------------------------------------------
