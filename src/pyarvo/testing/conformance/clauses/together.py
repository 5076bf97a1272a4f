"""Concurrency of leases as handles: batches, handovers, repeats, several event loops."""

from __future__ import annotations

import asyncio
from collections import Counter
from threading import Thread
from typing import Any

from pyarvo.errors import EventConsumed, LeaseLost, NotApplied, WriteConflict
from pyarvo.memory import Find, Lease, Step
from pyarvo.testing.conformance.bench import SHORT_S, Bench, PromiseBroken, same_again
from pyarvo.testing.conformance.clause import Kind, clause
from pyarvo.testing.conformance.watched import Watched

__all__: list[str] = []


def _raise_first(results: list[Any]) -> None:
    for each in results:
        if isinstance(each, BaseException):
            raise each


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

    _raise_first(await bench.race([lambda n=n: step(n) for n in range(60)]))
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

    _raise_first(await bench.race([renews, asks]))
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
    _raise_first(await bench.race([lambda n=n, k=k: deliver(memories[n % 4], k) for n, k in enumerate(keys)]))
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
        await memory.close()  # while both loops run: each has connections of its own
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

    _raise_first(await bench.race([lambda m=m: works(m) for m in bench.several(2)]))
    bench.equal(seen, [(n + 1, n) for n in range(20)], "fence and version of each holder")


# --- while people tend the store ----------------------------------------------------------------------------------


@clause(
    "query.concurrency.01",
    "a release by force and a commit at once: applied before it, or refused",
    Kind.CONCURRENT,
)
async def forced_or_committed(bench: Bench) -> None:
    memory, other = bench.several(2)
    for n in range(6):
        lease = await bench.held(memory, bench.id(f"a{n}"))
        committed, forced = await asyncio.gather(
            memory.commit(lease, {"n": n}, release=False),
            other.force_release(lease.id, reason="the kit"),
            return_exceptions=True,
        )
        bench.equal(forced, expected=True, what="release by force")
        applied = not isinstance(committed, BaseException)
        bench.holds(applied or isinstance(committed, LeaseLost), f"the commit raised {committed!r}")
        bench.equal(await other.read(lease.id), {"n": n} if applied else None, "the record")
        await bench.refused(
            memory.commit(lease, {"n": "late"}), LeaseLost, "a commit after the release by force"
        )


@clause(
    "query.concurrency.02",
    "a delete and an acquire at once: the lease is refused to one, or is of nothing",
    Kind.CONCURRENT,
)
async def deleted_or_held(bench: Bench) -> None:
    memory, other = bench.several(2)
    for n in range(6):
        id = bench.id(f"a{n}")
        await memory.commit(await bench.held(memory, id), {"n": n})
        deleted, lease = await asyncio.gather(other.delete(id), memory.acquire(id), return_exceptions=True)
        if not isinstance(lease, Lease):
            raise PromiseBroken(f"acquire beside a delete: {lease!r}")
        if isinstance(deleted, LeaseLost):
            bench.equal(lease.data, {"n": n}, "the record of the holder")
            bench.equal(await memory.commit(lease, {"n": "more"}), 2, "the version")
        elif lease.version == 0:
            bench.equal((deleted, lease.data), (True, None), "the delete, and the record of the holder")
        else:
            await bench.refused(memory.commit(lease, {"n": "late"}), NotApplied, "a commit after the delete")


@clause(
    "query.concurrency.03",
    "of many who delete an instance at once exactly one says that there was one",
    Kind.CONCURRENT,
)
async def deleters(bench: Bench) -> None:
    memories = bench.several(5)
    for n in range(4):
        id = bench.id(f"a{n}")
        await memories[0].commit(await bench.held(memories[0], id), {"n": n})
        answers = await bench.race([lambda m=m, id=id: m.delete(id) for m in memories])
        bench.equal(sorted(answers, key=repr), [False] * 4 + [True], "the answers to five deletes")


@clause(
    "query.concurrency.04",
    "pages that are read while instances come and go name none twice, and none that stays is left out",
    Kind.CONCURRENT,
)
async def pages(bench: Bench) -> None:
    memory, other = bench.several(2)
    parent = bench.id("parent")

    async def put(name: str) -> None:
        await other.commit(
            await bench.held(other, bench.id(name)), {"status": "active", "parentSubject": parent}
        )

    staying = {f"stays{n}" for n in range(12)}
    for name in sorted(staying):
        await put(name)
    found: list[str] = []

    async def reads() -> None:
        cursor: str | None = None
        while True:
            page = await memory.instances(Find(parent=parent), limit=3, cursor=cursor)
            found.extend(each.id for each in page.items)
            cursor = page.cursor
            if cursor is None:
                return

    async def changes() -> None:
        for n in range(4):
            await put(f"comes{n}")
            await other.delete(bench.id(f"comes{n}"))

    _raise_first(await bench.race([reads, changes]))
    bench.equal(len(set(found)), len(found), "different instances among those that were listed")
    missing = {bench.id(name) for name in staying} - set(found)
    bench.equal(sorted(missing), [], "instances that were there all the time, and not listed")


@clause(
    "query.concurrency.05",
    "what a person reads of an instance is of one moment: version and record agree",
    Kind.CONCURRENT,
)
async def one_moment(bench: Bench) -> None:
    memory, other = bench.several(2)
    lease = await bench.held(memory, bench.id())
    done = False

    async def writes() -> None:
        nonlocal done
        try:
            for n in range(1, 31):
                await memory.commit(lease, {"version": n}, release=False)
        finally:
            done = True

    async def looks() -> None:
        while not done:
            seen = await other.get(lease.id)
            if seen is not None and seen.data is not None:
                bench.equal(seen.data, {"version": seen.version}, "the record beside its version")
            await asyncio.sleep(0)

    _raise_first(await bench.race([writes, looks]))
