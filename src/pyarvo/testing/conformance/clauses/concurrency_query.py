"""Concurrency of what people and tools do to a store."""

from __future__ import annotations

import asyncio

from pyarvo.errors import LeaseLost, NotApplied
from pyarvo.memory import Find, Lease
from pyarvo.testing.conformance.bench import Bench, PromiseBroken
from pyarvo.testing.conformance.clause import Kind, clause

__all__: list[str] = []


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

    await bench.together([reads, changes])
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

    await bench.together([writes, looks])
