"""Retention: what people and tools take out of a store, and what that leaves of it."""

from __future__ import annotations

from pyarvo.errors import InvalidOption, LeaseLost
from pyarvo.memory import Find, Step
from pyarvo.testing.conformance.bench import SHORT_S, Bench, same_again
from pyarvo.testing.conformance.clause import clause
from pyarvo.testing.conformance.clauses.queries import put

__all__: list[str] = []


@clause(
    "query.retention.01",
    "delete raises the fence; an instance that is created anew after it begins at version 1, with an empty journal,"
    " among the living; until then every holder is told of the deletion",
)
async def created_anew(bench: Bench) -> None:
    memory = bench.open()
    id = bench.id()
    for n in range(3):
        await memory.commit(await bench.held(memory, id), {"n": n}, step=Step(f"k{n}"))
    bench.equal(await memory.delete(id), expected=True, what="delete of a record")
    declined = await bench.held(memory, id)
    bench.holds(declined.deleted_at is not None, "the next holder is not told of the deletion")
    await memory.release(declined)
    lease = await bench.held(memory, id, event_key="k1")
    bench.equal((lease.version, lease.data), (0, None), "version and record of the holder after that")
    bench.holds(
        lease.fence > declined.fence > 4,
        f"fences after three leases and a delete: {declined.fence}, {lease.fence}",
    )
    bench.equal(lease.deleted_at, declined.deleted_at, "what the holder after that is told of the deletion")
    bench.equal(await memory.commit(lease, {"new": True}, step=Step("k1")), 1, "the version")
    bench.equal([each.event_key for each in await memory.journal(id)], ["k1"], "the journal")
    anew = await bench.held(memory, id)
    bench.equal(anew.deleted_at, None, "what a holder is told of the deletion, once there is a record again")
    seen = await memory.get(id)
    bench.equal(seen.deleted_at if seen else "", None, "when what was created anew was deleted")


@clause("query.retention.02", "a commit sent again after the deletion brings nothing back")
async def repeat_after_delete(bench: Bench) -> None:
    memory = bench.open()
    lease = await bench.held(memory, bench.id())
    repeat = same_again(lease)
    await memory.commit(lease, {"n": 1}, step=Step("k"))
    await memory.delete(lease.id)
    await bench.refused(
        memory.commit(repeat, {"n": 1}, step=Step("k")), LeaseLost, "a repeat after the deletion"
    )
    bench.equal(await memory.read(lease.id), None, "the record")


@clause(
    "query.retention.03",
    "a lease that ran out does not keep an instance from being deleted; its holder comes too late",
)
async def delete_after_expiry(bench: Bench) -> None:
    memory, other = bench.several(2)
    id = bench.id()
    await memory.commit(await bench.held(memory, id), {"n": 1})
    late = await bench.held(memory, id, ttl_s=SHORT_S)
    await bench.pass_s()
    bench.equal(await other.delete(id), expected=True, what="delete once the lease ran out")
    for version in (0, 1):
        handle = same_again(late)
        handle.version = version
        await bench.refused(memory.commit(handle, {"n": 2}), LeaseLost, f"a late commit on version {version}")
    await bench.refused(memory.renew(same_again(late)), LeaseLost, "a late renewal")
    bench.equal(await memory.read(id), None, "the record")


@clause(
    "query.retention.04",
    "a release by force needs a reason that can be kept, and is False where nobody holds",
)
async def reasons(bench: Bench) -> None:
    memory = bench.open()
    lease = await bench.held(memory, bench.id())
    for reason in ("", "  ", "\ud800", "x" * 10_000):
        await bench.refused(
            memory.force_release(lease.id, reason=reason), InvalidOption, "a reason that is none"
        )
    bench.equal(await memory.commit(lease, {"n": 1}), 1, "the version of the holder's commit")
    free = await memory.force_release(bench.id("free"), reason="nobody holds it")
    bench.equal(free, expected=False, what="release by force where nobody holds")


@clause(
    "query.retention.05",
    "purge keeps what is younger, what is held, and the trees they belong to",
    alone=True,
)
async def purge_keeps(bench: Bench) -> None:
    memory = bench.open()
    root, child = bench.id("root"), bench.id("child")
    await put(bench, memory, root, "done")
    await put(bench, memory, child, "done", parent=root)
    young = set(await memory.purge(older_than_s=3_600.0, dry_run=True))
    bench.equal(sorted({root, child} & young), [], "what an hour-old purge would take of a fresh tree")
    lease = await bench.held(memory, child)
    would = set(await memory.purge(older_than_s=0.0, dry_run=True))
    bench.equal(sorted({root, child} & would), [], "what a purge would take of a tree with a leased member")
    await memory.release(lease)
    would = set(await memory.purge(older_than_s=0.0, dry_run=True))
    bench.equal({root, child} <= would, expected=True, what="whether a purge would take the finished tree")
    await bench.refused(memory.purge(older_than_s=-1.0), InvalidOption, "an age below zero")


@clause("query.retention.06", "delete is refused while somebody holds the lease, and the holder goes on")
async def delete_leased(bench: Bench) -> None:
    memory, tool = bench.several(2)
    id = bench.id()
    lease = await bench.held(memory, id)
    await memory.commit(lease, {"n": 1}, release=False)
    await bench.refused(tool.delete(id), LeaseLost, "delete of a leased instance")
    bench.equal(await memory.commit(lease, {"n": 2}), 2, "the version of the holder's next commit")
    unwritten = await bench.held(memory, bench.id("unwritten"))
    await bench.refused(tool.delete(unwritten.id), LeaseLost, "delete of a leased instance without a record")
    bench.equal(await memory.commit(unwritten, {"n": 1}), 1, "the version of its holder's first commit")


@clause(
    "query.retention.07",
    "delete says whether there was anything; what was deleted is not read, and listed and counted among the deleted"
    " alone",
    alone=True,
)
async def gone(bench: Bench) -> None:
    memory, other = bench.several(2)
    id = bench.id()
    bench.equal(await memory.delete(id), expected=False, what="delete of what never was")
    await put(bench, memory, id)
    before = await memory.count()
    bench.equal(await memory.delete(id), expected=True, what="delete of what is there")
    bench.equal(await other.read(id), None, "the record after delete")
    bench.equal(await other.count(), before - 1, "the count of all after delete")
    listed = (await other.instances(limit=1_000)).items
    bench.holds(id not in [each.id for each in listed], "a deleted instance is listed among the living")
    deleted = (await other.instances(Find(deleted=True), limit=1_000)).items
    bench.holds(id in [each.id for each in deleted], "a deleted instance is not listed among the deleted")
    bench.holds(await other.count(Find(deleted=True)), "a deleted instance is not counted among the deleted")


@clause(
    "query.retention.08", "a delete by force ends the holder's rights: its late commit brings nothing back"
)
async def delete_by_force(bench: Bench) -> None:
    memory, tool = bench.several(2)
    id = bench.id()
    lease = await bench.held(memory, id)
    await memory.commit(lease, {"n": 1}, release=False)
    bench.equal(await tool.delete(id, force=True), expected=True, what="delete by force")
    await bench.refused(memory.commit(lease, {"n": 2}), LeaseLost, "a commit after the delete")
    bench.equal(await tool.read(id), None, "the record after the late commit")


@clause(
    "query.retention.09", "delete of what was leased and never written ends the rights of its late holder"
)
async def delete_unwritten(bench: Bench) -> None:
    memory, tool = bench.several(2)
    id = bench.id()
    lease = await bench.held(memory, id, ttl_s=SHORT_S)
    await bench.pass_s()
    await tool.delete(id)
    await bench.refused(memory.commit(lease, {"n": 1}), LeaseLost, "a commit after the delete")
    bench.equal(await tool.read(id), None, "the record after the late commit")


@clause(
    "query.retention.10",
    "release by force takes the lease, also one that ran out, raises the fence and keeps the reason",
)
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
    kept = await tool.get(id)
    bench.equal(None if kept is None else kept.note, "stuck", "the note while the next holder works")
    late = await bench.held(memory, bench.id("late"), ttl_s=SHORT_S)
    await bench.pass_s()
    freed_late = await tool.force_release(late.id, reason="frozen")
    bench.equal(freed_late, expected=True, what="release by force of a lease that ran out")
    await bench.refused(memory.commit(late, {"n": 1}), LeaseLost, "a late commit after the release by force")


@clause(
    "query.retention.11",
    "purge takes finished trees and no live one, and nothing at all when it runs dry",
    alone=True,
)
async def purge(bench: Bench) -> None:
    memory = bench.open()
    done, live = bench.id("done"), bench.id("live")
    await put(bench, memory, done, "done")
    await put(bench, memory, bench.id("done-child"), "done", parent=done)
    await put(bench, memory, live, "done")
    await put(bench, memory, bench.id("live-child"), "active", parent=live)
    mine = {done, bench.id("done-child"), live, bench.id("live-child")}
    told = await memory.purge(older_than_s=0.0, dry_run=True)
    bench.equal(sorted(mine & {*told}), sorted([done, bench.id("done-child")]), "what purge would take")
    bench.holds(await memory.read(done) is not None, "a dry run deleted an instance")
    purged = await memory.purge(older_than_s=0.0)
    bench.equal(sorted(mine & {*purged}), sorted([done, bench.id("done-child")]), "what purge took")
    bench.equal(await memory.read(done), None, "the record of a purged instance")
    bench.holds(await memory.read(live) is not None, "purge took the parent of live work")
