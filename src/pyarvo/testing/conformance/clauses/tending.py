"""What people and tools do to a store: list, delete, take leases away, purge. Labels keep the clauses apart."""

from __future__ import annotations

from pyarvo.errors import LeaseLost, MemoryClosed
from pyarvo.memory import Find, Step
from pyarvo.testing.conformance.bench import SHORT_S, Bench
from pyarvo.testing.conformance.clause import clause
from pyarvo.testing.conformance.watched import Watched

__all__: list[str] = []


async def _made(bench: Bench, memory: Watched, names: list[str], **labels: str) -> list[str]:
    """Instances with these labels, in the order of *names*; their ids."""
    ids = [bench.id(name) for name in names]
    for id in ids:
        lease = await bench.held(memory, id)
        await memory.commit(lease, dict(labels), step=Step('["s","1"]', ({"of": id},)))
    return ids


@clause("query.tending.01", "lists are newest first, and pages neither overlap nor leave anything out")
async def pages(bench: Bench) -> None:
    memory = bench.open()
    status = bench.id("status")
    ids = await _made(bench, memory, [f"a{n}" for n in range(7)], status=status)
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(7):
        page = await memory.instances(Find(status=status), limit=3, cursor=cursor)
        seen += [each.id for each in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    bench.equal(seen, ids[::-1], "all pages")


@clause("query.tending.02", "an instance is found by the status of its latest record, and by that alone")
async def status_follows(bench: Bench) -> None:
    memory = bench.open()
    before, after = bench.id("before"), bench.id("after")
    (id,) = await _made(bench, memory, ["a"], status=before)
    await _made(bench, memory, ["b"], status=bench.id("other"))
    bench.equal([each.id for each in (await memory.instances(Find(status=before))).items], [id], "the list")
    bench.equal(await memory.count(Find(status=before)), 1, "the count")
    lease = await bench.held(memory, id)
    await memory.commit(lease, {"status": after})
    bench.equal(await memory.count(Find(status=before)), 0, "the count of the status before")
    bench.equal(await memory.count(Find(status=after)), 1, "the count of the status after")


@clause("query.tending.03", "children are those of their parent, and of no other")
async def own_children(bench: Bench) -> None:
    memory = bench.open()
    mine, other = bench.id("parent"), bench.id("stranger")
    ids = await _made(bench, memory, ["a", "b"], parentSubject=mine)
    await _made(bench, memory, ["c"], parentSubject=other)
    bench.equal([each.id for each in await memory.children(mine)], ids[::-1], "the children")


@clause("query.tending.04", "delete is refused while somebody holds the lease, and the holder goes on")
async def delete_leased(bench: Bench) -> None:
    memory, tool = bench.several(2)
    id = bench.id()
    lease = await bench.held(memory, id)
    await memory.commit(lease, {"n": 1}, release=False)
    await bench.refused(tool.delete(id), LeaseLost, "delete of a leased instance")
    bench.equal(await memory.commit(lease, {"n": 2}), 2, "the version of the holder's next commit")


@clause(
    "query.tending.05",
    "a deleted instance leaves a tombstone: told to who acquires it, in no list, with a higher fence",
)
async def tombstone(bench: Bench) -> None:
    memory, other = bench.several(2)
    status = bench.id("status")
    (id,) = await _made(bench, memory, ["a"], status=status)
    before = await bench.held(memory, id)
    await memory.release(before)
    living = await memory.count(Find(status=status))
    bench.equal(await memory.delete(id), expected=True, what="delete of what is there")
    bench.equal(await memory.delete(bench.id("never")), expected=False, what="delete of what never was")
    bench.equal(await other.read(id), None, "the record after delete")
    bench.equal(await other.count(Find(status=status)), living - 1, "the count after delete")
    lease = await other.acquire(id, event_key='["s","1"]')
    if lease is None or not lease.held:
        bench.holds(condition=False, otherwise="the journal of the deleted instance answered its event")
        return
    bench.holds(lease.deleted_at is not None, "the lease does not say that the instance was deleted")
    bench.equal((lease.version, lease.data), (0, None), "version and data of a deleted instance")
    bench.holds(lease.fence > before.fence, f"the fence went from {before.fence} to {lease.fence}")


@clause("query.tending.06", "a delete by force ends the holder's rights: its late commit brings nothing back")
async def delete_by_force(bench: Bench) -> None:
    memory, tool = bench.several(2)
    id = bench.id()
    lease = await bench.held(memory, id)
    await memory.commit(lease, {"n": 1}, release=False)
    bench.equal(await tool.delete(id, force=True), expected=True, what="delete by force")
    await bench.refused(memory.commit(lease, {"n": 2}), LeaseLost, "a commit after the delete")
    bench.equal(await tool.read(id), None, "the record after the late commit")


@clause("query.tending.07", "delete of what was leased and never written ends the rights of its late holder")
async def delete_unwritten(bench: Bench) -> None:
    memory, tool = bench.several(2)
    id = bench.id()
    lease = await bench.held(memory, id, ttl_s=SHORT_S)
    await bench.pass_s()
    await tool.delete(id)
    await bench.refused(memory.commit(lease, {"n": 1}), LeaseLost, "a commit after the delete")
    bench.equal(await tool.read(id), None, "the record after the late commit")


@clause("query.tending.08", "release by force takes the lease, raises the fence and keeps the reason")
async def force_release(bench: Bench) -> None:
    memory, tool = bench.several(2)
    id = bench.id()
    lease = await bench.held(memory, id)
    await memory.commit(lease, {"n": 1}, release=False)
    held = await tool.get(id)
    bench.holds(held is not None and held.held, "get shows a leased instance as free")
    bench.equal(await tool.force_release(id, reason="stuck"), expected=True, what="release by force")
    await bench.refused(memory.commit(lease, {"n": 2}), LeaseLost, "a commit after the release by force")
    freed = await tool.get(id)
    bench.equal(None if freed is None else (freed.held, freed.note), (False, "stuck"), "held and note")
    bench.holds((await bench.held(tool, id)).fence > lease.fence + 1, "the fence was not raised")


@clause("query.tending.09", "the journal is in order, oldest first")
async def journal_order(bench: Bench) -> None:
    memory = bench.open()
    id = bench.id()
    for n in range(4):
        lease = await bench.held(memory, id)
        await memory.commit(lease, {"n": n}, step=Step(f'["s","{n}"]'))
    steps = await memory.journal(id)
    bench.equal([step.version for step in steps], [1, 2, 3, 4], "the versions of the journal")


@clause(
    "query.tending.10",
    "purge takes finished trees and no live one, and nothing at all when it runs dry",
    alone=True,
)
async def purge(bench: Bench) -> None:
    memory = bench.open()
    done, live = bench.id("done"), bench.id("live")
    await _made(bench, memory, ["done"], status="done")
    await _made(bench, memory, ["done-child"], status="done", parentSubject=done)
    await _made(bench, memory, ["live"], status="done")
    await _made(bench, memory, ["live-child"], status="active", parentSubject=live)
    mine = {done, bench.id("done-child"), live, bench.id("live-child")}
    told = await memory.purge(older_than_s=0.0, dry_run=True)
    bench.equal(sorted(mine & {*told}), sorted([done, bench.id("done-child")]), "what purge would take")
    bench.holds(await memory.read(done) is not None, "a dry run deleted an instance")
    purged = await memory.purge(older_than_s=0.0)
    bench.equal(sorted(mine & {*purged}), sorted([done, bench.id("done-child")]), "what purge took")
    bench.equal(await memory.read(done), None, "the record of a purged instance")
    bench.holds(await memory.read(live) is not None, "purge took the parent of live work")


@clause("query.tending.11", "a deleted instance is neither listed nor counted among the living", alone=True)
async def living(bench: Bench) -> None:
    memory = bench.open()
    (id,) = await _made(bench, memory, ["a"])
    before = await memory.count()
    await memory.delete(id)
    bench.equal(await memory.count(), before - 1, "the count of all after delete")
    listed = (await memory.instances(limit=1_000)).items
    bench.holds(id not in [each.id for each in listed], "a deleted instance is listed among the living")


@clause("backend.tending.01", "a closed memory refuses every call")
async def closed(bench: Bench) -> None:
    memory = bench.fresh()
    await bench.put(memory, bench.id(), {"n": 1})
    await memory.close()
    await bench.refused(memory.read(bench.id()), MemoryClosed, "read of a closed memory")
    await bench.refused(memory.acquire(bench.id()), MemoryClosed, "acquire of a closed memory")
