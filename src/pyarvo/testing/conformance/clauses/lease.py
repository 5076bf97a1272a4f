"""Leases: granted to one, for a limited time, by the store's clock."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

from pyarvo.errors import InvalidOption, LeaseLost
from pyarvo.testing.conformance.bench import SHORT_S, Bench
from pyarvo.testing.conformance.clause import Kind, clause
from pyarvo.testing.conformance.watched import Watched

__all__: list[str] = []


@clause("base.lease.01", "lock is True for one caller, and False for the next")
async def one_holder(bench: Bench) -> None:
    memory, other = bench.several(2)
    id = bench.id()
    bench.equal(await memory.lock(id), expected=True, what="lock of an instance that nobody holds")
    bench.equal(await other.lock(id), expected=False, what="lock of an instance that is held")


@clause(
    "base.lease.02", "lock is not re-entrant: its holder, asking again, is told False, and still holds it"
)
async def not_reentrant(bench: Bench) -> None:
    memory, other = bench.several(2)
    id = bench.id()
    await bench.locked(memory, id)
    bench.equal(await memory.lock(id), expected=False, what="lock by its own holder")
    await memory.write(id, {"still": "mine"})
    bench.equal(await memory.unlock(id), expected=True, what="unlock by the holder")
    bench.equal(await other.lock(id), expected=True, what="lock after the unlock")


@clause("base.lease.03", "a lease ends by itself after its TTL")
async def ends(bench: Bench) -> None:
    memory, other = bench.open(lease_ttl_s=SHORT_S), bench.open()
    id = bench.id()
    await bench.locked(memory, id)
    await bench.pass_s()
    bench.equal(await other.lock(id), expected=True, what="lock once the TTL of the last lease is over")


@clause("base.lease.04", "a lease does not end before its TTL")
async def lasts(bench: Bench) -> None:
    # No whole seconds: some stores cut the rest off.
    memory, other = bench.open(lease_ttl_s=1.9), bench.open()
    id = bench.id()
    await memory.read(
        id
    )  # so that the time of the lease, which is taken from here, holds no opening of connections
    await other.read(id)
    began = monotonic()
    await bench.locked(memory, id)
    while monotonic() - began < 1.4:
        granted = await other.lock(id)
        if monotonic() - began < 1.9:
            bench.equal(granted, expected=False, what="lock before the TTL of 1.9 s is over")
        await asyncio.sleep(0.2)


@clause(
    "base.lease.05", "every lease has an end: a memory without a TTL, or with one out of bounds, is refused"
)
async def bounded(bench: Bench) -> None:
    wrong: tuple[Any, ...] = (0, -1, 0.5, 3_601, float("inf"), float("nan"), None, "long")
    for ttl_s in wrong:
        try:
            bench.fresh(lease_ttl_s=ttl_s)
        except (ValueError, TypeError):
            continue
        bench.holds(condition=False, otherwise=f"a memory with lease_ttl_s={ttl_s!r} was opened")


@clause("base.lease.06", "unlock by the holder is True, and ends the lease at once")
async def unlock_ends(bench: Bench) -> None:
    memory, other = bench.several(2)
    id = bench.id()
    await bench.locked(memory, id)
    bench.equal(await memory.unlock(id), expected=True, what="unlock by the holder")
    bench.equal(await other.lock(id), expected=True, what="lock after the unlock")


@clause("base.lease.07", "unlock of an instance that nobody locked is False")
async def unlock_of_none(bench: Bench) -> None:
    bench.equal(await bench.open().unlock(bench.id()), expected=False, what="unlock without a lock")


@clause("base.lease.08", "a denied lock changes nothing for the holder")
async def denial(bench: Bench) -> None:
    memory, other = bench.several(2)
    id = bench.id()
    await bench.locked(memory, id)
    for n in range(2):
        bench.equal(await other.lock(id), expected=False, what="lock of an instance that is held")
        await memory.write(id, {"n": n})
    bench.equal(await memory.unlock(id), expected=True, what="unlock by the holder")


@clause("base.lease.09", "a lease may be taken again and again, also by the same caller")
async def again(bench: Bench) -> None:
    memories = bench.several(2)
    id = bench.id()
    for n in range(6):
        await bench.put(memories[n % 2 if n < 4 else 0], id, {"n": n})
    bench.equal(await memories[1].read(id), {"n": 5}, "the record")


@clause("base.lease.10", "neither denials nor reads nor its holder's writes prolong a lease")
async def nothing_prolongs(bench: Bench) -> None:
    memory, other = bench.open(lease_ttl_s=SHORT_S), bench.open(lease_ttl_s=30.0)
    used = bench.open(lease_ttl_s=2 * SHORT_S)
    read, written = bench.id("read"), bench.id("written")
    for each in (read, written):
        await bench.locked(used, each)
    await bench.pass_s(SHORT_S)
    await used.write(written, {"n": 1})
    await other.read(read)
    await bench.pass_s(SHORT_S)
    bench.equal(
        await other.lock(written), expected=True, what="lock 2 s after one for 2 s, whose holder wrote"
    )
    bench.equal(await other.lock(read), expected=True, what="lock 2 s after one for 2 s, while others read")
    id = bench.id()
    await bench.locked(memory, id)
    began = monotonic()
    granted = False
    while not granted and monotonic() - began < SHORT_S + 2.0:
        granted = await other.lock(id)
    bench.holds(granted, "a lease of 1 s, asked for all the time, had not ended after 3 s")


@clause("base.lease.11", "a caller whose lease ran out may lock anew, and then write")
async def anew(bench: Bench) -> None:
    memory, other = bench.open(lease_ttl_s=SHORT_S), bench.open()
    id = bench.id()
    await bench.locked(memory, id)
    await bench.pass_s()
    await bench.locked(memory, id)
    await memory.write(id, {"n": 1})
    bench.equal(await memory.unlock(id), expected=True, what="unlock by the holder")
    bench.equal(await other.lock(id), expected=True, what="lock after the unlock")


@clause(
    "base.lease.12", "a lock that is denied answers within a second and a half: no long polling", alone=True
)
async def quick_denial(bench: Bench) -> None:
    memory, other = bench.several(2)
    id = bench.id()
    await bench.locked(memory, id)
    began = monotonic()
    bench.equal(await other.lock(id), expected=False, what="lock of an instance that is held")
    took = monotonic() - began
    bench.holds(took < 1.5, f"the denial took {took:.2f} s")


# --- leases as handles ------------------------------------------------------------------------------------------


async def _late(bench: Bench) -> tuple[Watched, Any]:
    memory = bench.open()
    lease = await bench.held(memory, bench.id(), ttl_s=SHORT_S)
    await bench.pass_s()
    return memory, lease


@clause("leased.lease.01", "a holder whose TTL passed, and whose lease nobody took, may still commit")
async def late_commit(bench: Bench) -> None:
    memory, lease = await _late(bench)
    bench.equal(await memory.commit(lease, {"n": 1}), 1, "the version of a late commit")


@clause(
    "leased.lease.02",
    "a holder whose TTL passed, and whose lease nobody took, may renew it under the same fence",
)
async def late_renewal(bench: Bench) -> None:
    memory, lease = await _late(bench)
    await memory.renew(lease, ttl_s=30.0)
    bench.equal(await bench.open().acquire(lease.id), None, "acquire after a late renewal")
    await memory.commit(lease, {"n": 1})
    after = await bench.held(memory, lease.id)
    bench.equal(after.fence, lease.fence + 1, "the next fence")


@clause("leased.lease.03", "a renewal counts from now")
async def renewal(bench: Bench) -> None:
    memory, other = bench.several(2)
    lease = await bench.held(memory, bench.id(), ttl_s=SHORT_S)
    await memory.renew(lease, ttl_s=30.0)
    brief = await bench.held(memory, bench.id("brief"), ttl_s=SHORT_S)
    for _ in range(3):
        await memory.renew(brief, ttl_s=SHORT_S)
    await bench.pass_s()
    await bench.held(other, brief.id)
    bench.equal(await other.acquire(lease.id), None, "acquire of a renewed lease, after its first TTL")
    bench.equal(await memory.commit(lease, {"n": 1}), 1, "the version")


@clause("leased.lease.04", "a renewal never shortens a lease")
async def never_shortens(bench: Bench) -> None:
    memory, other = bench.several(2)
    lease = await bench.held(memory, bench.id(), ttl_s=30.0)
    await memory.renew(lease, ttl_s=SHORT_S)
    bench.holds(
        lease.expires_in_s > 20.0, f"expires_in_s is {lease.expires_in_s:.1f} after a shorter renewal"
    )
    await bench.pass_s()
    bench.equal(await other.acquire(lease.id), None, "acquire, a second after a renewal for one second")


@clause("leased.lease.05", "renewing a lease that was released raises LeaseLost, and brings it not back")
async def renew_released(bench: Bench) -> None:
    memory, other = bench.several(2)
    lease = await bench.held(memory, bench.id())
    bench.equal(await memory.release(lease), expected=True, what="release by the holder")
    await bench.refused(memory.renew(lease), LeaseLost, "a renewal after release")
    await bench.held(other, lease.id)


@clause("leased.lease.06", "a TTL out of bounds is refused, and nothing is taken")
async def ttl_bounds(bench: Bench) -> None:
    memory, other = bench.several(2)
    id = bench.id()
    wrong: tuple[Any, ...] = (0, -1, 0.5, 3_601, float("inf"), float("nan"), "long")
    for ttl_s in wrong:
        await bench.refused(memory.acquire(id, ttl_s=ttl_s), InvalidOption, f"a lease of {ttl_s!r} s")
    lease = await bench.held(other, id)
    for ttl_s in wrong:
        await bench.refused(other.renew(lease, ttl_s=ttl_s), InvalidOption, f"a renewal for {ttl_s!r} s")


@clause("leased.lease.07", "the TTL of one acquire is its own, and the memory's by default")
async def own_ttl(bench: Bench) -> None:
    memory, other = bench.open(lease_ttl_s=5.0), bench.open()
    lease = await bench.held(memory, bench.id("a"))
    bench.equal(lease.ttl_s, 5.0, "the TTL by default")
    short = await bench.held(memory, bench.id("b"), ttl_s=SHORT_S)
    bench.equal(short.ttl_s, SHORT_S, "the TTL that was asked for")
    await bench.pass_s()
    await bench.held(other, short.id)
    bench.equal(await other.acquire(lease.id), None, "acquire of the longer lease")


@clause(
    "leased.lease.08", "expires_in_s is never more than the store grants, and 0 once the lease was given up"
)
async def expires_in(bench: Bench) -> None:
    memory = bench.open()
    lease = await bench.held(memory, bench.id(), ttl_s=10.0)
    bench.holds(8.0 < lease.expires_in_s <= 10.0, f"expires_in_s is {lease.expires_in_s} of 10 s")
    await memory.renew(lease, ttl_s=100.0)
    bench.holds(98.0 < lease.expires_in_s <= 100.0, f"expires_in_s is {lease.expires_in_s} of 100 s")
    await memory.release(lease)
    bench.equal(lease.expires_in_s, 0.0, "expires_in_s after release")


@clause("leased.lease.09", "a commit that keeps the lease keeps it, and one that releases ends it")
async def keeps(bench: Bench) -> None:
    memory, other = bench.several(2)
    lease = await bench.held(memory, bench.id())
    await memory.commit(lease, {"n": 1}, release=False)
    bench.equal(
        (lease.held, await other.acquire(lease.id)), (True, None), "after a commit that keeps the lease"
    )
    await memory.commit(lease, {"n": 2})
    bench.equal(lease.held, expected=False, what="`held` after a commit that releases")
    bench.equal((await bench.held(other, lease.id)).data, {"n": 2}, "the record under the next lease")


@clause(
    "leased.lease.10", "of many who ask at once for a lease that ran out exactly one gets it", Kind.CONCURRENT
)
async def one_successor(bench: Bench) -> None:
    memory = bench.open()
    id = bench.id()
    old = await bench.held(memory, id, ttl_s=SHORT_S)
    await bench.pass_s()
    others = bench.several(6)
    leases = await bench.race([lambda m=m: m.acquire(id) for m in others])
    won = [lease for lease in leases if lease is not None]
    bench.equal(len(won), 1, "leases granted")
    bench.equal([getattr(lease, "fence", None) for lease in won], [old.fence + 1], "the fence of the winner")
