"""Queries: what people read of a store. Labels keep the clauses apart."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

from pyarvo.errors import InvalidOption
from pyarvo.events import ArvoOrchestrationSubject
from pyarvo.memory import Find, Step
from pyarvo.testing.conformance.bench import SHORT_S, Bench
from pyarvo.testing.conformance.clause import clause
from pyarvo.testing.conformance.watched import Watched

__all__ = ["put"]

_CLOSE_S: Final = 0.1
"""How far two times of one operation may lie apart."""


async def put(
    bench: Bench, memory: Watched, id: str, status: str = "active", parent: str | None = None
) -> None:
    """An instance with these labels; what it had before is replaced."""
    await memory.commit(await bench.held(memory, id), {"status": status, "parentSubject": parent})


async def _found(bench: Bench, memory: Watched, **what: Any) -> list[str]:
    """The short names of what a list finds; the count must agree."""
    page = await memory.instances(Find(**what), limit=100)
    bench.equal(await memory.count(Find(**what)), len(page.items), "the count of what was listed")
    return [bench.history.names.get(each.id, each.id) for each in page.items]


@clause(
    "query.queries.01",
    "a look at an instance says version, fence, holder, expiry, times and record; at an unknown one, None",
)
async def look(bench: Bench) -> None:
    memory, other = bench.several(2)
    id = bench.id()
    bench.equal(await other.get(id), None, "what was never known")
    lease = await bench.held(memory, id, ttl_s=60.0)
    await memory.commit(lease, {"status": "active"}, release=False)
    seen = await other.get(id)
    if seen is None:
        bench.holds(condition=False, otherwise="an instance that was written is not found")
        return
    bench.equal(
        (seen.id, seen.version, seen.fence, seen.held), (id, 1, lease.fence, True), "id, version, fence, held"
    )
    bench.equal((seen.data, seen.deleted_at), ({"status": "active"}, None), "record and deleted_at")
    bench.holds(seen.holder, "no label of the holder")
    bench.holds(50.0 < (seen.expires_in_s or 0.0) <= 60.0, f"expires_in_s is {seen.expires_in_s} of 60 s")
    since = seen.held_since or 0.0
    bench.holds(
        since - _CLOSE_S < seen.created_at <= seen.updated_at + _CLOSE_S,
        f"created {seen.created_at}, updated {seen.updated_at}, and leased for that {since}",
    )
    await bench.pass_s(0.1)
    await memory.commit(lease, {"status": "done"}, step=Step("k"))
    later = await other.get(id)
    written = [each.at or 0.0 for each in await other.journal(id, after=1)]
    if later is None or len(written) != 1:
        bench.holds(condition=False, otherwise=f"of an instance that was written again, {len(written)} steps")
        return
    bench.equal(later.created_at, seen.created_at, "when it was created, after another write")
    bench.holds(
        later.updated_at - seen.updated_at >= 0.1 and abs(later.updated_at - written[0]) < _CLOSE_S,
        f"updated {seen.updated_at}, and {later.updated_at} by a write of {written[0]}",
    )


@clause("query.queries.02", "lists narrow by orchestrator and by its version")
async def by_orchestrator(bench: Bench) -> None:
    memory = bench.open()
    name = f"arvo.orc.k{sha256(bench.id().encode()).hexdigest()[:12]}"

    def subject(version: str) -> str:
        id = ArvoOrchestrationSubject.new(orchestrator=name, version=version, initiator="com.kit.suite")
        bench.history.names[id] = version
        return id

    for version in ("1.0.0", "2.0.0"):
        await put(bench, memory, subject(version))
    bench.equal(await _found(bench, memory, orchestrator=name), ["2.0.0", "1.0.0"], "of this orchestrator")
    bench.equal(await _found(bench, memory, orchestrator=name, version="1.0.0"), ["1.0.0"], "of this version")
    bench.equal(await _found(bench, memory, orchestrator=name + "x"), [], "of another orchestrator")


@clause("query.queries.03", "lists tell roots from children, and held from free")
async def roots_and_held(bench: Bench) -> None:
    memory = bench.open()
    parent = bench.id("parent")
    for name in ("a", "b", "c"):
        await put(bench, memory, bench.id(name), parent=parent)
    await bench.held(memory, bench.id("a"), ttl_s=SHORT_S)
    await bench.pass_s()  # a lease that ran out holds nothing
    bench.equal(await _found(bench, memory, parent=parent, root=False), ["c", "b", "a"], "the children")
    bench.equal(await _found(bench, memory, parent=parent, root=True), [], "children that are roots")
    await bench.held(memory, bench.id("b"))
    bench.equal(await _found(bench, memory, parent=parent, held=True), ["b"], "what is held")
    bench.equal(await _found(bench, memory, parent=parent, held=False), ["c", "a"], "what is free")


@clause("query.queries.04", "lists narrow by age, by the store's clock")
async def by_age(bench: Bench) -> None:
    memory = bench.open()
    parent = bench.id("parent")
    await put(bench, memory, bench.id("old"), parent=parent)
    await bench.pass_s(0.1)
    await put(bench, memory, bench.id("young"), parent=parent)
    young = await memory.get(bench.id("young"))
    at = 0.0 if young is None else young.updated_at - 0.05
    bench.equal(
        await _found(bench, memory, parent=parent, updated_before=at), ["old"], "before the second write"
    )
    bench.equal(await _found(bench, memory, parent=parent, updated_after=at), ["young"], "after it")


@clause("query.queries.05", "lists leave the records out, and a page has no more than was asked for")
async def pages(bench: Bench) -> None:
    memory = bench.open()
    parent = bench.id("parent")
    for n in range(5):
        await put(bench, memory, bench.id(f"a{n}"), parent=parent)
    page = await memory.instances(Find(parent=parent), limit=5)
    bench.equal((len(page.items), page.cursor), (5, None), "a page that holds all, and its cursor")
    bench.equal([each.data for each in page.items], [None] * 5, "the records in a list")
    page = await memory.instances(Find(parent=parent), limit=2)
    bench.equal(len(page.items), 2, "instances on a page of two")
    bench.holds(page.cursor is not None, "the first of three pages has no cursor")


@clause("query.queries.06", "a foreign cursor, and a limit out of bounds, are refused")
async def bounds(bench: Bench) -> None:
    memory = bench.open()
    for cursor in ("", "x", "-1", "1.5", "9" * 40):
        await bench.refused(memory.instances(cursor=cursor), InvalidOption, f"the cursor {cursor!r}")
    for limit in (0, -1, 1_001):
        await bench.refused(memory.instances(limit=limit), InvalidOption, f"a limit of {limit}")
        await bench.refused(memory.journal(bench.id(), limit=limit), InvalidOption, f"a limit of {limit}")


@clause("query.queries.07", "ancestors lead to the root, and a circle of parents ends")
async def ancestors(bench: Bench) -> None:
    memory = bench.open()
    root, left, leaf, one, two = (bench.id(name) for name in ("root", "left", "leaf", "one", "two"))
    await put(bench, memory, root)
    await put(bench, memory, left, parent=root)
    await put(bench, memory, leaf, parent=left)
    await put(bench, memory, one, parent=two)
    await put(bench, memory, two, parent=one)
    bench.equal([each.id for each in await memory.ancestors(leaf)], [left, root], "the ancestors of a leaf")
    bench.equal(await memory.ancestors(root), (), "the ancestors of a root")
    bench.equal([each.id for each in await memory.ancestors(one)], [two], "the ancestors in a circle")


@clause("query.queries.08", "the journal goes on after a version, page by page, with events and versions")
async def journal(bench: Bench) -> None:
    memory = bench.open()
    id = bench.id()
    for n in range(4):
        await memory.commit(await bench.held(memory, id), {"n": n}, step=Step(f"k{n}", ({"n": n},)))
    steps = [(each.event_key, each.produced, each.version) for each in await memory.journal(id)]
    bench.equal(steps, [(f"k{n}", ({"n": n},), n + 1) for n in range(4)], "the journal")
    times = [[each.at for each in await memory.journal(id)] for _ in range(2)]
    bench.equal(times[1], times[0], "when the steps were made, asked again")
    second = [each.version for each in await memory.journal(id, after=1, limit=2)]
    bench.equal(second, [2, 3], "two steps after the first")
    bench.equal(await memory.journal(id, after=4), (), "steps after the last")


@clause("query.queries.09", "a lease that ran out is told apart from one that was given back")
async def lapsed(bench: Bench) -> None:
    memory = bench.open()
    left, returned = bench.id("left"), bench.id("returned")
    await bench.held(memory, left, ttl_s=SHORT_S)
    await memory.release(await bench.held(memory, returned))
    await bench.pass_s()
    for id, expected in ((left, (False, True)), (returned, (False, False))):
        seen = await memory.get(id)
        bench.equal(None if seen is None else (seen.held, seen.lapsed), expected, "held and lapsed")


@clause("query.queries.10", "lists are newest first, and pages neither overlap nor leave anything out")
async def newest_first(bench: Bench) -> None:
    memory = bench.open()
    status = bench.id("status")
    ids = [bench.id(f"a{n}") for n in range(7)]
    for id in ids:
        await put(bench, memory, id, status)
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(7):
        page = await memory.instances(Find(status=status), limit=3, cursor=cursor)
        seen += [each.id for each in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    bench.equal(seen, ids[::-1], "all pages")


@clause("query.queries.11", "an instance is found by the status of its latest record, and by that alone")
async def status_follows(bench: Bench) -> None:
    memory = bench.open()
    before, after = bench.id("before"), bench.id("after")
    await put(bench, memory, bench.id("a"), before)
    await put(bench, memory, bench.id("b"), bench.id("other"))
    bench.equal(await _found(bench, memory, status=before), ["a"], "of the status before")
    await put(bench, memory, bench.id("a"), after)
    bench.equal(await _found(bench, memory, status=before), [], "of the status before, once it has another")
    bench.equal(await _found(bench, memory, status=after), ["a"], "of the status after")


@clause("query.queries.12", "children are those of their parent, and of no other")
async def own_children(bench: Bench) -> None:
    memory = bench.open()
    mine, other = bench.id("parent"), bench.id("stranger")
    await put(bench, memory, bench.id("a"), parent=mine)
    await put(bench, memory, bench.id("b"), parent=mine)
    await put(bench, memory, bench.id("c"), parent=other)
    ids = [bench.id("b"), bench.id("a")]
    bench.equal([each.id for each in await memory.children(mine)], ids, "the children")
