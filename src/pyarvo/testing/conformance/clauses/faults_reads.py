"""Faults of the store, in reads, locks and releases: asked again where that is harmless, and never mixed up."""

from __future__ import annotations

import asyncio
from time import monotonic

from pyarvo.errors import MemoryFault, MemoryUnavailable
from pyarvo.testing.conformance import faults
from pyarvo.testing.conformance.bench import SHORT_S, Bench
from pyarvo.testing.conformance.clause import Kind, clause

__all__: list[str] = []


@clause("backend.faults.01", "a read that fails for the moment is asked again, up to three times", Kind.FAULT)
async def read_again(bench: Bench) -> None:
    id = bench.id()
    await bench.put(bench.open(), id, {"n": 1})
    memory = await bench.faulty(faults.away, faults.vanished)
    bench.equal(await memory.read(id), {"n": 1}, "the record")
    bench.equal(bench.sent(memory), ["Read"] * 3, "what the store was asked")


@clause(
    "backend.faults.02",
    "a read of a store that stays away is MemoryUnavailable after three tries",
    Kind.FAULT,
)
async def read_gives_up(bench: Bench) -> None:
    memory = await bench.faulty(*[faults.away] * 5)
    await bench.refused(memory.read(bench.id()), MemoryUnavailable, "read of a store that is away")
    bench.equal(bench.sent(memory), ["Read"] * 3, "what the store was asked")


@clause("backend.faults.03", "a read that the store refuses for good is not asked again", Kind.FAULT)
async def read_forbidden(bench: Bench) -> None:
    memory = await bench.faulty(faults.forbidden)
    await bench.refused(memory.read(bench.id()), MemoryUnavailable, "read without permission")
    bench.equal(bench.sent(memory), ["Read"], "what the store was asked")


@clause(
    "backend.faults.04",
    "a read that is never answered is MemoryUnavailable in about a second",
    Kind.FAULT,
    alone=True,
)
async def read_hangs(bench: Bench) -> None:
    memory = await bench.faulty(*[faults.hangs] * 3, deadline_s=0.2)
    began = monotonic()
    await bench.refused(memory.read(bench.id()), MemoryUnavailable, "a read that is never answered")
    took = monotonic() - began
    bench.holds(took < 2.0, f"it took {took:.2f} s")


@clause("backend.faults.05", "a lock that the store could not decide raises, and is never False", Kind.FAULT)
async def lock_away(bench: Bench) -> None:
    id = bench.id()
    memory = await bench.faulty(*[faults.away] * 3, lock_attempts=3)
    error = await bench.refused(memory.lock(id), MemoryUnavailable, "lock of a store that is away")
    bench.equal((error.id, error.operation), (id, "lock"), "id and operation of the error")
    bench.equal(await memory.lock(id), expected=True, what="lock once the store is back")


@clause("backend.faults.06", "an acquire that the store refuses for good is not asked again", Kind.FAULT)
async def acquire_forbidden(bench: Bench) -> None:
    memory = await bench.faulty(faults.forbidden, lock_attempts=3)
    await bench.refused(memory.acquire(bench.id()), MemoryUnavailable, "acquire without permission")
    bench.equal(bench.sent(memory)[:1], ["Acquire"], "what the store was asked first")
    bench.equal(bench.sent(memory).count("Acquire"), 1, "how often the store was asked")


@clause("backend.faults.07", "a lock whose answer was lost is asked again, and granted once", Kind.FAULT)
async def lock_lost(bench: Bench) -> None:
    id = bench.id()
    memory = await bench.faulty(faults.lost, lock_attempts=3)
    bench.equal(await memory.lock(id), expected=True, what="lock whose first answer was lost")
    bench.equal(await bench.open().lock(id), expected=False, what="lock by another")
    await memory.write(id, {"n": 1})
    bench.equal(await memory.unlock(id), expected=True, what="unlock by the holder")
    bench.equal((await bench.held(bench.open(), id)).fence, 2, "the next fence: one lease was granted")


@clause(
    "backend.faults.08",
    "an acquire whose answers are all lost raises, and leaves no lease behind",
    Kind.FAULT,
)
async def acquire_lost(bench: Bench) -> None:
    id = bench.id()
    memory = await bench.faulty(*[faults.lost] * 3, lock_attempts=3)
    await bench.refused(memory.acquire(id), MemoryUnavailable, "an acquire whose answers are lost")
    await memory.close()
    await bench.until_held(bench.open(), id, within_s=3.0)


@clause(
    "backend.faults.09", "an acquire that is never answered raises at its deadline", Kind.FAULT, alone=True
)
async def acquire_hangs(bench: Bench) -> None:
    memory = await bench.faulty(*[faults.hangs] * 3, lock_attempts=3, deadline_s=0.3)
    began = monotonic()
    await bench.refused(memory.acquire(bench.id()), MemoryUnavailable, "an acquire that is never answered")
    took = monotonic() - began
    bench.holds(took < 1.5, f"it took {took:.2f} s of a deadline of 0.3 s")


@clause("backend.faults.10", "a lease whose answer comes after the deadline is given back", Kind.FAULT)
async def acquire_late(bench: Bench) -> None:
    id, gate = bench.id(), asyncio.Event()
    memory = await bench.faulty(faults.waits(gate), deadline_s=0.2)
    await bench.refused(memory.acquire(id), MemoryFault, "an acquire that is answered too late")
    gate.set()
    await memory.close()
    await bench.until_held(bench.open(), id, within_s=3.0)


@clause("backend.faults.11", "unlock never raises for the store: after a few tries it is False", Kind.FAULT)
async def unlock_away(bench: Bench) -> None:
    id = bench.id()
    memory = await bench.faulty(faults.passes, *[faults.away] * 3)
    await bench.locked(memory, id)
    bench.equal(await memory.unlock(id), expected=False, what="unlock of a store that is away")
    bench.equal(bench.sent(memory), ["Acquire"] + ["Release"] * 3, "what the store was asked")


@clause("backend.faults.12", "an unlock whose answer was lost is asked again, and then True", Kind.FAULT)
async def unlock_lost(bench: Bench) -> None:
    id = bench.id()
    memory = await bench.faulty(faults.passes, faults.lost)
    await bench.locked(memory, id)
    bench.equal(await memory.unlock(id), expected=True, what="unlock whose first answer was lost")
    await bench.locked(bench.open(), id)


@clause("backend.faults.13", "a lease that could not be given back ends by its TTL", Kind.FAULT)
async def release_away(bench: Bench) -> None:
    memory = await bench.faulty(faults.passes, *[faults.away] * 3)
    lease = await bench.held(memory, bench.id(), ttl_s=SHORT_S)
    bench.equal(await memory.release(lease), expected=False, what="release of a store that is away")
    await bench.pass_s()
    await bench.held(bench.open(), lease.id)


@clause("backend.faults.14", "a renewal whose answer was lost is asked again, and counts", Kind.FAULT)
async def renew_lost(bench: Bench) -> None:
    memory = await bench.faulty(faults.passes, faults.lost)
    lease = await bench.held(memory, bench.id(), ttl_s=SHORT_S)
    await memory.renew(lease, ttl_s=30.0)
    bench.equal(bench.sent(memory), ["Acquire", "Renew", "Renew"], "what the store was asked")
    await bench.pass_s()
    bench.equal(await bench.open().acquire(lease.id), None, "acquire of the renewed lease")


@clause(
    "backend.faults.15",
    "a renewal of a store that is away raises, and the lease runs on as it was",
    Kind.FAULT,
)
async def renew_away(bench: Bench) -> None:
    memory = await bench.faulty(faults.passes, *[faults.away] * 3)
    lease = await bench.held(memory, bench.id())
    await bench.refused(memory.renew(lease), MemoryUnavailable, "renewal of a store that is away")
    bench.equal(lease.held, expected=True, what="`held` after a renewal that failed")
    bench.equal(await memory.commit(lease, {"n": 1}), 1, "the version")
