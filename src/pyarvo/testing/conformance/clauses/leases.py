"""Ownership and compare-and-swap of leases as handles."""

from __future__ import annotations

import asyncio
from typing import Any

from pyarvo.errors import InvalidRecord, LeaseLost, RecordTooLarge, WriteConflict
from pyarvo.memory import Lease
from pyarvo.testing.conformance.bench import SHORT_S, Bench, same_again
from pyarvo.testing.conformance.clause import Kind, clause
from pyarvo.testing.conformance.watched import Watched

__all__: list[str] = []


async def _taken_over(bench: Bench) -> tuple[Watched, Lease, Watched, Lease]:
    """A holder whose lease ran out, and its successor."""
    memory, other = bench.several(2)
    stale = await bench.held(memory, bench.id(), ttl_s=SHORT_S)
    await bench.pass_s()
    return memory, stale, other, await bench.held(other, stale.id)


@clause("leased.ownership.01", "a commit by a former holder is LeaseLost, also with the right version")
async def stale_commit(bench: Bench) -> None:
    memory, stale, other, fresh = await _taken_over(bench)
    bench.equal((stale.version, fresh.version), (0, 0), "the versions that both read")
    error = await bench.refused(
        memory.commit(stale, {"by": "stale"}), LeaseLost, "a commit by the former holder"
    )
    bench.equal((error.id, error.operation, stale.held), (stale.id, "commit", False), "id, operation, `held`")
    bench.equal(await memory.read(stale.id), None, "the record after a refused commit")
    bench.equal(await other.commit(fresh, {"by": "fresh"}), 1, "the version of the successor's commit")


@clause(
    "leased.ownership.02",
    "a commit by a former holder is refused also after its successor has gone, or its lease ran out too",
)
async def stale_commit_later(bench: Bench) -> None:
    memory, stale, other, fresh = await _taken_over(bench)
    bench.equal(await other.release(fresh), expected=True, what="release by the successor")
    await bench.refused(memory.commit(stale, {"by": "stale"}), LeaseLost, "a commit by the former holder")
    bench.equal(await memory.read(stale.id), None, "the record after a refused commit")
    await _lapsed_too(bench)


async def _lapsed_too(bench: Bench) -> None:
    """The same where the successor's lease ran out: nobody holds one, and the right is still the successor's."""
    memory, other = bench.several(2)
    stale = await bench.held(memory, bench.id("left"), ttl_s=SHORT_S)
    await bench.pass_s()
    fresh = await bench.held(other, stale.id, ttl_s=SHORT_S)
    await bench.pass_s()
    what = "once the successor's lease ran out too"
    await bench.refused(memory.commit(same_again(stale), {"by": "stale"}), LeaseLost, f"a commit {what}")
    await bench.refused(memory.renew(same_again(stale)), LeaseLost, f"a renewal {what}")
    bench.equal(await memory.release(same_again(stale)), expected=False, what=f"release {what}")
    bench.equal(await other.commit(fresh, {"by": "fresh"}), 1, "the version of the successor's late commit")


@clause(
    "leased.ownership.03",
    "a renewal by a former holder raises LeaseLost, and takes nothing from its successor",
)
async def stale_renewal(bench: Bench) -> None:
    memory, stale, other, fresh = await _taken_over(bench)
    error = await bench.refused(memory.renew(stale), LeaseLost, "a renewal by the former holder")
    bench.equal((error.id, error.operation, stale.held), (stale.id, "renew", False), "id, operation, `held`")
    await other.release(fresh)
    await bench.refused(memory.renew(stale), LeaseLost, "a renewal after the successor has gone")
    await bench.held(other, stale.id)


@clause(
    "leased.ownership.04", "a release by a former holder is False, and leaves the successor's lease whole"
)
async def stale_release(bench: Bench) -> None:
    memory, stale, other, fresh = await _taken_over(bench)
    bench.equal(await memory.release(stale), expected=False, what="release by the former holder")
    bench.equal(await bench.open().acquire(stale.id), None, "acquire while the successor holds it")
    bench.equal(await other.commit(fresh, {"n": 1}), 1, "the version of the successor's commit")


@clause("leased.ownership.05", "a successor commits and renews undisturbed by whatever a former holder sends")
async def undisturbed(bench: Bench) -> None:
    memory, stale, other, fresh = await _taken_over(bench)
    for n in range(3):
        await bench.refused(memory.commit(same_again(stale), {"by": "stale"}), LeaseLost, "a stale commit")
        await bench.refused(memory.renew(same_again(stale)), LeaseLost, "a stale renewal")
        bench.equal(await memory.release(same_again(stale)), expected=False, what="a stale release")
        bench.equal(await other.commit(fresh, {"n": n}, release=False), n + 1, "the successor's version")
        await other.renew(fresh)
    bench.equal(await other.read(stale.id), {"n": 2}, "the record")


@clause("leased.ownership.06", "every grant raises the fence by one: after commit, release and expiry alike")
async def fences(bench: Bench) -> None:
    memory, other = bench.several(2)
    id = bench.id()
    first = await bench.held(memory, id)
    await memory.commit(first, {"n": 1})
    second = await bench.held(other, id)
    await other.release(second)
    third = await bench.held(memory, id, ttl_s=SHORT_S)
    await bench.pass_s()
    fourth = await bench.held(other, id)
    bench.equal([lease.fence for lease in (first, second, third, fourth)], [1, 2, 3, 4], "the fences")


@clause("leased.ownership.07", "a denied acquire takes nothing, and raises no fence")
async def denied(bench: Bench) -> None:
    memory, other = bench.several(2)
    lease = await bench.held(memory, bench.id())
    bench.equal(await other.acquire(lease.id), None, "acquire of an instance that is held")
    await memory.release(lease)
    bench.equal((await bench.held(other, lease.id)).fence, lease.fence + 1, "the fence after a denial")


@clause(
    "leased.ownership.08", "release ends every right of its token: commit and renewal after it are refused"
)
async def after_release(bench: Bench) -> None:
    memory = bench.open()
    lease = await bench.held(memory, bench.id())
    bench.equal(await memory.release(lease), expected=True, what="release by the holder")
    await bench.refused(memory.commit(same_again(lease), {"n": 1}), LeaseLost, "a commit after release")
    await bench.refused(memory.renew(same_again(lease)), LeaseLost, "a renewal after release")
    bench.equal(await memory.read(lease.id), None, "the record")
    bench.equal((await bench.held(memory, lease.id)).fence, lease.fence + 1, "the next fence")
    late = await bench.held(memory, bench.id("late"), ttl_s=SHORT_S)
    await bench.pass_s()
    bench.equal(await memory.release(same_again(late)), expected=True, what="release of a lease that ran out")
    await bench.refused(memory.commit(same_again(late), {"n": 1}), LeaseLost, "a commit after a late release")
    await bench.refused(memory.renew(same_again(late)), LeaseLost, "a renewal after a late release")


@clause("leased.ownership.09", "a commit that releases ends every right of its token")
async def after_commit(bench: Bench) -> None:
    memory = bench.open()
    lease = await bench.held(memory, bench.id())
    await memory.commit(lease, {"n": 1})
    await bench.refused(memory.commit(same_again(lease), {"n": 2}), LeaseLost, "a commit after the last one")
    await bench.refused(memory.renew(same_again(lease)), LeaseLost, "a renewal after the last commit")
    bench.equal(await memory.read(lease.id), {"n": 1}, "the record")
    late = await bench.held(memory, bench.id("late"), ttl_s=SHORT_S)
    await bench.pass_s()
    await memory.commit(late, {"n": 1})
    again = same_again(late)
    await bench.refused(memory.commit(again, {"n": 2}), LeaseLost, "a commit after a late one that released")
    await bench.refused(memory.renew(same_again(late)), LeaseLost, "a renewal after a late commit")


@clause("leased.ownership.10", "a handle with another token is nobody's, whatever else it says")
async def forged_handle(bench: Bench) -> None:
    memory, other = bench.several(2)
    lease = await bench.held(memory, bench.id())

    def forged(token: str) -> Lease:
        handle = same_again(lease)
        handle.token = token
        return handle

    token = lease.token
    first, last = ("1" if token[n] == "0" else "0" for n in (0, -1))
    alike = {first + token[1:], token[:-1] + last, token[:16], f"{token}0", f"{token} ", token.swapcase()}
    for wrong in ["0" * 32, *sorted(alike - {token})]:
        await bench.refused(other.commit(forged(wrong), {"n": 0}), LeaseLost, "a commit with another token")
        await bench.refused(other.renew(forged(wrong)), LeaseLost, "a renewal with another token")
        bench.equal(await other.release(forged(wrong)), expected=False, what="release with another token")
    bench.equal(await memory.commit(lease, {"by": "holder"}), 1, "the version of the holder's commit")


@clause("leased.ownership.11", "tokens are 128 random bits, never the same twice, and not shown by repr")
async def tokens(bench: Bench) -> None:
    memory = bench.open()
    leases = [await bench.held(memory, bench.id(f"a{n}")) for n in range(20)]
    bench.equal(len({lease.token for lease in leases}), 20, "different tokens of 20")
    for lease in leases:
        bench.equal(len(bytes.fromhex(lease.token)), 16, "bytes of a token")
        bench.holds(lease.token not in repr(lease), "repr shows the token")


@clause("leased.ownership.12", "a denied caller does not act for the holder that uses the same memory object")
async def denied_beside_holder(bench: Bench) -> None:
    memory = bench.open()
    id = bench.id()
    bench.equal(
        await bench.elsewhere(lambda: memory.lock(id)), expected=True, what="lock by the first caller"
    )
    bench.equal(await memory.lock(id), expected=False, what="lock by the second caller")
    await bench.refused(memory.write(id, {"n": 1}), LeaseLost, "a write by the second caller")
    bench.equal(await memory.unlock(id), expected=False, what="unlock by the second caller")
    bench.equal(await bench.open().lock(id), expected=False, what="lock while the first caller holds it")


@clause(
    "leased.ownership.13", "a caller that unlocked does not act for the next holder in the same memory object"
)
async def unlocked_beside_holder(bench: Bench) -> None:
    memory = bench.open()
    id = bench.id()
    await bench.put(memory, id, {"n": 1})
    bench.equal(
        await bench.elsewhere(lambda: memory.lock(id)), expected=True, what="lock by the second caller"
    )
    await bench.refused(memory.write(id, {"n": 2}), LeaseLost, "a write by the first caller")
    bench.equal(await memory.unlock(id), expected=False, what="unlock by the first caller")
    bench.equal(await bench.open().lock(id), expected=False, what="lock while the second caller holds it")


@clause("leased.ownership.14", "a lock is found again under wait_for, gather, create_task and from a thread")
async def found_again(bench: Bench) -> None:
    memory = bench.open(lease_ttl_s=SHORT_S)
    id = bench.id()
    for _ in range(
        2
    ):  # two grants that ran out and were never given up: only the caller's context tells whose
        bench.equal(
            await bench.elsewhere(lambda: memory.lock(id)), expected=True, what="lock by another caller"
        )
        await bench.pass_s()

    def in_thread(loop: asyncio.AbstractEventLoop) -> bool:
        locked = asyncio.run_coroutine_threadsafe(memory.lock(id), loop).result(5)
        asyncio.run_coroutine_threadsafe(memory.write(id, {"by": "thread"}), loop).result(5)
        return locked and asyncio.run_coroutine_threadsafe(memory.unlock(id), loop).result(5)

    ways: tuple[Any, ...] = (
        lambda: asyncio.wait_for(asyncio.ensure_future(memory.lock(id)), 5),
        lambda: asyncio.gather(memory.lock(id)),
        lambda: asyncio.create_task(memory.lock(id)),
    )
    for n, way in enumerate(ways):
        await way()
        await memory.write(id, {"n": n})
        bench.equal(await memory.unlock(id), expected=True, what=f"unlock after a lock of way {n}")
    held = await asyncio.to_thread(in_thread, asyncio.get_running_loop())
    bench.equal(held, expected=True, what="lock and unlock in a thread")
    bench.equal(await memory.read(id), {"by": "thread"}, "the record")


# --- compare-and-swap ---------------------------------------------------------------------------------------------


@clause("leased.cas.01", "every commit raises the version by exactly one, and says it")
async def versions(bench: Bench) -> None:
    memory, other = bench.several(2)
    lease = await bench.held(memory, bench.id())
    for version in range(1, 4):
        bench.equal(await memory.commit(lease, {"n": version}, release=False), version, "the version")
        bench.equal(lease.version, version, "the version in the lease")
    await memory.commit(lease, {"n": 4})
    bench.equal((await bench.held(other, lease.id)).version, 4, "the version that the next holder reads")


@clause("leased.cas.02", "a commit on an older version is WriteConflict, and says both")
async def older(bench: Bench) -> None:
    await _conflicts(bench, 1, stored=2)


@clause("leased.cas.03", "a commit on a version that is not there yet is WriteConflict")
async def future(bench: Bench) -> None:
    await _conflicts(bench, 7, stored=2)


@clause("leased.cas.04", "a commit that takes a record for absent is WriteConflict")
async def not_absent(bench: Bench) -> None:
    await _conflicts(bench, 0, stored=1)


@clause("leased.cas.05", "a commit on a version of an absent record is WriteConflict")
async def absent(bench: Bench) -> None:
    await _conflicts(bench, 1, stored=0)


async def _conflicts(bench: Bench, wrong: int, *, stored: int) -> None:
    memory, other = bench.several(2)
    id = bench.id()
    for n in range(stored):
        await memory.commit(await bench.held(memory, id), {"n": n + 1})
    lease = await bench.held(memory, id)
    before = await other.read(id)
    lease.version = wrong
    error = await bench.refused(
        memory.commit(lease, {"n": "wrong"}), WriteConflict, f"a commit on version {wrong}"
    )
    bench.equal((error.expected, error.actual, error.id), (wrong, stored, id), "expected, actual, id")
    bench.equal(await other.read(id), before, "the record after a conflict")
    lease.version = stored
    bench.equal(
        await memory.commit(lease, {"n": "right"}), stored + 1, "the version, once it stands on the right one"
    )


@clause(
    "leased.cas.06", "of many commits of one lease at the same moment exactly one is applied", Kind.CONCURRENT
)
async def commits_at_once(bench: Bench) -> None:
    memory, other = bench.several(2)
    lease = await bench.held(memory, bench.id())
    handles = [same_again(lease) for _ in range(12)]
    answers = await bench.race(
        [
            lambda n=n, handle=handle: (memory, other)[n % 2].commit(handle, {"n": n}, release=False)
            for n, handle in enumerate(handles)
        ]
    )
    kinds = sorted(type(answer).__name__ for answer in answers)
    bench.equal(kinds, ["WriteConflict"] * 11 + ["int"], "the answers")
    winner = next(n for n, answer in enumerate(answers) if answer == 1)
    bench.equal(await memory.read(lease.id), {"n": winner}, "the record")


@clause(
    "leased.cas.07",
    "of many who create an instance with leases exactly one commits version 1",
    Kind.CONCURRENT,
)
async def creators(bench: Bench) -> None:
    id = bench.id()

    async def creates(n: int, memory: Watched) -> int:
        lease = await memory.acquire(id)
        if lease is None or lease.version != 0:
            return 0
        return await memory.commit(lease, {"by": n}, release=False)

    memories = bench.several(8)
    answers = await bench.race([lambda n=n, m=m: creates(n, m) for n, m in enumerate(memories)])
    bench.equal(sorted(answers, key=repr), [0] * 7 + [1], "the versions")
    bench.equal(await memories[0].read(id), {"by": answers.index(1)}, "the record")


@clause("leased.cas.08", "a refused record leaves version, lease and store alone, and names the path")
async def refused_record(bench: Bench) -> None:
    memory = bench.open()
    lease = await bench.held(memory, bench.id())
    wrong: tuple[tuple[Any, str], ...] = (
        ([], "$"),
        ({"a": {"b": [0, b"x"]}}, "$.a.b[1]"),
        ({"a": [{"b": float("nan")}]}, "$.a[0].b"),
        ({"a": 2**64}, "$.a"),
        ({"a": {"b": {1}}}, "$.a.b"),
    )
    for record, path in wrong:
        error = await bench.refused(memory.commit(lease, record), InvalidRecord, f"a commit of {record!r}")
        bench.equal((error.path, error.id), (path, lease.id), "path and id of the error")
    bench.equal(lease.held, expected=True, what="`held` after refused records")
    bench.equal(await memory.commit(lease, {"n": 1}), 1, "the version")


@clause(
    "backend.cas.01",
    "a record over the limit is RecordTooLarge, with size and limit, before any call of the store",
)
async def too_large(bench: Bench) -> None:
    memory = await bench.faulty(record_limit=1_024)
    lease = await bench.held(memory, bench.id())
    over = 1_024 - len('{"t":""}') + 1
    error = await bench.refused(
        memory.commit(lease, {"t": "x" * over}), RecordTooLarge, "a commit over the limit"
    )
    bench.equal((error.size, error.limit), (1_025, 1_024), "size and limit")
    bench.equal(bench.sent(memory), ["Acquire"], "what the store was asked")
    bench.equal(
        await memory.commit(lease, {"t": "x" * (over - 1)}), 1, "the version of a record at the limit"
    )
