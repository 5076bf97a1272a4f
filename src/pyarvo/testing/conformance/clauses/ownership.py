"""Ownership: nobody ends, uses or outlives a lease that is another's."""

from __future__ import annotations

from pyarvo.testing.conformance.bench import SHORT_S, Bench
from pyarvo.testing.conformance.clause import clause
from pyarvo.testing.conformance.watched import Watched

__all__: list[str] = []


async def _taken_over(bench: Bench) -> tuple[Watched, Watched, Watched, str]:
    """A holder whose lease ran out, its successor, and a third."""
    id = bench.id()
    stale, (successor, third) = bench.open(lease_ttl_s=SHORT_S), bench.several(2)
    await bench.locked(stale, id)
    await bench.pass_s()
    await bench.locked(successor, id)
    return stale, successor, third, id


@clause(
    "base.ownership.01", "unlock by somebody who holds nothing is False, and the lease stays its holder's"
)
async def foreign_unlock(bench: Bench) -> None:
    holder, other, third = bench.several(3)
    id = bench.id()
    await bench.locked(holder, id)
    bench.equal(await other.unlock(id), expected=False, what="unlock by somebody who holds nothing")
    bench.equal(await third.lock(id), expected=False, what="lock after somebody else's unlock")
    await holder.write(id, {"by": "holder"})


@clause("base.ownership.02", "unlock by a holder whose lease ran out leaves the successor's lease whole")
async def late_unlock(bench: Bench) -> None:
    stale, successor, third, id = await _taken_over(bench)
    bench.equal(await stale.unlock(id), expected=False, what="unlock by the former holder")
    bench.equal(await third.lock(id), expected=False, what="lock while the successor holds it")
    await successor.write(id, {"by": "successor"})


@clause("base.ownership.03", "a write by somebody who never locked is refused, and changes nothing")
async def write_without_lock(bench: Bench) -> None:
    memory, reader = bench.several(2)
    id = bench.id()
    await bench.refused(memory.write(id, {"by": "nobody"}), Exception, "a write without a lease")
    bench.equal(await reader.read(id), None, "the record after a refused write")


@clause("base.ownership.04", "a write while somebody else holds the lease is refused, and changes nothing")
async def write_while_held(bench: Bench) -> None:
    holder, other = bench.several(2)
    id = bench.id()
    await bench.put(holder, id, {"n": 1})
    await bench.locked(holder, id)
    await bench.refused(other.write(id, {"n": 2}), Exception, "a write while another holds the lease")
    bench.equal(await holder.read(id), {"n": 1}, "the record after a refused write")
    await holder.write(id, {"n": 3})


@clause("base.ownership.05", "a write after the caller's own unlock is refused")
async def write_after_unlock(bench: Bench) -> None:
    memory = bench.open()
    id = bench.id()
    await bench.put(memory, id, {"n": 1})
    await bench.refused(memory.write(id, {"n": 2}), Exception, "a write after unlock")
    bench.equal(await memory.read(id), {"n": 1}, "the record after a refused write")


@clause("base.ownership.06", "a write by a holder whose lease was taken over is refused")
async def stale_write(bench: Bench) -> None:
    stale, successor, _, id = await _taken_over(bench)
    await bench.refused(stale.write(id, {"by": "stale"}), Exception, "a write by the former holder")
    bench.equal(await successor.read(id), None, "the record after a refused write")


@clause(
    "base.ownership.07",
    "a former holder is refused also after its successor has unlocked, and after the successor's lease ran out too",
)
async def stale_write_after_successor(bench: Bench) -> None:
    stale, successor, third, id = await _taken_over(bench)
    left, unlocked = bench.id("left"), bench.id("left and unlocked")
    for each in (left, unlocked):
        await bench.locked(stale, each)
    await bench.pass_s()
    brief = bench.open(lease_ttl_s=SHORT_S)
    for each in (left, unlocked):
        await bench.locked(brief, each)
    bench.equal(await successor.unlock(id), expected=True, what="unlock by the successor")
    await bench.refused(stale.write(id, {"by": "stale"}), Exception, "a write by the former holder")
    bench.equal(await third.read(id), None, "the record after a refused write")
    await bench.pass_s()
    what = "once the successor's lease ran out too"
    await bench.refused(stale.write(left, {"by": "stale"}), Exception, f"a write {what}")
    bench.equal(await third.read(left), None, "the record after a refused write")
    bench.equal(await stale.unlock(unlocked), expected=False, what=f"unlock {what}")


@clause("base.ownership.08", "what the successor wrote is never overwritten by the former holder")
async def stale_overwrite(bench: Bench) -> None:
    stale, successor, third, id = await _taken_over(bench)
    await successor.write(id, {"by": "successor"})
    bench.equal(await successor.unlock(id), expected=True, what="unlock by the successor")
    await bench.refused(stale.write(id, {"by": "stale"}), Exception, "a write by the former holder")
    bench.equal(await third.read(id), {"by": "successor"}, "the record after a refused write")


@clause("base.ownership.09", "a successor never sees an error because of what a former holder tries")
async def undisturbed_successor(bench: Bench) -> None:
    stale, successor, _, id = await _taken_over(bench)
    for n in range(3):
        await bench.refused(stale.write(id, {"by": "stale"}), Exception, "a write by the former holder")
        bench.equal(await stale.unlock(id), expected=False, what="unlock by the former holder")
        await successor.write(id, {"n": n})
    bench.equal(await successor.read(id), {"n": 2}, "the record of the successor")
    bench.equal(await successor.unlock(id), expected=True, what="unlock by the successor")


@clause("base.ownership.10", "a caller whose lock was denied can neither write nor unlock")
async def denied_caller(bench: Bench) -> None:
    holder, denied, third = bench.several(3)
    id = bench.id()
    await bench.locked(holder, id)
    bench.equal(await denied.lock(id), expected=False, what="lock while another holds it")
    await bench.refused(denied.write(id, {"by": "denied"}), Exception, "a write by a denied caller")
    bench.equal(await denied.unlock(id), expected=False, what="unlock by a denied caller")
    bench.equal(await third.lock(id), expected=False, what="lock after a denied caller's unlock")


@clause("base.ownership.11", "unlock of one instance leaves the leases of others alone")
async def unlock_of_one(bench: Bench) -> None:
    holder, other = bench.several(2)
    first, second = bench.id("a"), bench.id("ab")
    await bench.locked(holder, first)
    await bench.locked(holder, second)
    bench.equal(await holder.unlock(first), expected=True, what="unlock by the holder")
    bench.equal(await other.lock(second), expected=False, what="lock of an instance that is still held")
    bench.equal(await other.lock(first), expected=True, what="lock of the instance that was unlocked")


@clause(
    "base.ownership.12",
    "a memory that is opened anew, as after a restart, has no part in the old one's lease",
)
async def restarted(bench: Bench) -> None:
    before, after = bench.several(2)
    id = bench.id()
    await bench.put(before, id, {"n": 1})
    await bench.locked(before, id)
    bench.equal(await after.unlock(id), expected=False, what="unlock after a restart")
    await bench.refused(after.write(id, {"n": 2}), Exception, "a write after a restart")
    bench.equal(await after.lock(id), expected=False, what="lock after a restart, while the lease runs")
    bench.equal(await before.read(id), {"n": 1}, "the record")


@clause("base.ownership.13", "a second unlock never ends the lease of whoever has locked in between")
async def unlock_twice(bench: Bench) -> None:
    memory, other, third = bench.several(3)
    id = bench.id()
    await bench.locked(memory, id)
    bench.equal(await memory.unlock(id), expected=True, what="unlock by the holder")
    await bench.locked(other, id)
    bench.equal(await memory.unlock(id), expected=False, what="a second unlock, after another has locked")
    bench.equal(await third.lock(id), expected=False, what="lock while the other holds it")
