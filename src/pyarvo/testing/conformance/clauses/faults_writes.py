"""Faults of the store in writes: one attempt, and its outcome is known or said to be unknown."""

from __future__ import annotations

from time import monotonic
from typing import Any

from pyarvo.errors import LeaseLost, MemoryUnavailable, WriteConflict, WriteOutcomeUnknown
from pyarvo.memory import Lease, Step
from pyarvo.testing.conformance import faults
from pyarvo.testing.conformance.bench import Bench
from pyarvo.testing.conformance.clause import Kind, clause
from pyarvo.testing.conformance.watched import Watched

__all__: list[str] = []

STEP = Step("k", ({"id": "1"},))


async def _unknown(bench: Bench, fault: faults.Fault, **options: Any) -> tuple[Watched, Lease]:
    """A commit whose outcome nobody knows."""
    memory = await bench.faulty(faults.passes, fault, deadline_s=0.4)
    lease = await bench.held(memory, bench.id())
    await bench.refused(
        memory.commit(lease, {"n": 1}, step=STEP, **options), WriteOutcomeUnknown, "the commit"
    )
    bench.equal(bench.sent(memory), ["Acquire", "Commit"], "what the store was asked: a write is one attempt")
    bench.equal(lease.version, 0, "the version in the lease")
    return memory, lease


async def _once(bench: Bench, id: str) -> None:
    """The commit was applied once."""
    after = await bench.held(bench.open(), id)
    bench.equal((after.version, after.data), (1, {"n": 1}), "version and record")
    replay = await bench.open().acquire(id, event_key="k")
    bench.holds(replay is not None and replay.replay is not None, "the step is not in the journal")


@clause(
    "backend.faults.16",
    "a write that never reached the store is MemoryUnavailable after one attempt",
    Kind.FAULT,
)
async def write_away(bench: Bench) -> None:
    id = bench.id()
    memory = await bench.faulty(faults.passes, faults.away)
    await bench.locked(memory, id)
    error = await bench.refused(
        memory.write(id, {"n": 1}), MemoryUnavailable, "a write to a store that is away"
    )
    bench.equal((error.id, error.operation), (id, "write"), "id and operation of the error")
    bench.equal(bench.sent(memory), ["Acquire", "Commit"], "what the store was asked")
    bench.equal(await bench.open().read(id), None, "the record")
    await memory.write(id, {"n": 2})
    bench.equal(await memory.unlock(id), expected=True, what="unlock by the holder")


@clause(
    "backend.faults.17", "a write whose answer was lost is WriteOutcomeUnknown after one attempt", Kind.FAULT
)
async def write_lost(bench: Bench) -> None:
    id = bench.id()
    memory = await bench.faulty(faults.passes, faults.lost)
    await bench.locked(memory, id)
    error = await bench.refused(
        memory.write(id, {"n": 1}), WriteOutcomeUnknown, "a write whose answer was lost"
    )
    bench.equal((error.id, error.operation), (id, "write"), "id and operation of the error")
    bench.equal(bench.sent(memory), ["Acquire", "Commit"], "what the store was asked")
    bench.equal(await bench.open().read(id), {"n": 1}, "the record")
    await memory.write(id, {"n": 1})
    await memory.write(id, {"n": 2})
    await memory.unlock(id)
    bench.equal((await bench.held(bench.open(), id)).version, 2, "the version: the repeat was recognised")


@clause(
    "backend.faults.18",
    "a write that is never answered is WriteOutcomeUnknown at the deadline",
    Kind.FAULT,
    alone=True,
)
async def write_hangs(bench: Bench) -> None:
    id = bench.id()
    memory = await bench.faulty(faults.passes, faults.hangs, deadline_s=0.3)
    await bench.locked(memory, id)
    began = monotonic()
    await bench.refused(memory.write(id, {"n": 1}), WriteOutcomeUnknown, "a write that is never answered")
    took = monotonic() - began
    bench.holds(0.2 < took < 1.5, f"it took {took:.2f} s of a deadline of 0.3 s")


@clause(
    "backend.faults.19",
    "a commit that never reached the store is MemoryUnavailable, and may be made again",
    Kind.FAULT,
)
async def commit_away(bench: Bench) -> None:
    memory = await bench.faulty(faults.passes, faults.away)
    lease = await bench.held(memory, bench.id())
    await bench.refused(memory.commit(lease, {"n": 1}, step=STEP), MemoryUnavailable, "the commit")
    bench.equal(bench.sent(memory), ["Acquire", "Commit"], "what the store was asked")
    bench.equal((lease.held, lease.version), (True, 0), "`held` and version")
    bench.equal(await memory.commit(lease, {"n": 1}, step=STEP), 1, "the version")
    await _once(bench, lease.id)


@clause("backend.faults.20", "a commit whose answer was lost, made again, is applied once", Kind.FAULT)
async def commit_lost(bench: Bench) -> None:
    memory, lease = await _unknown(bench, faults.lost)
    bench.equal(await memory.commit(lease, {"n": 1}, step=STEP), 1, "the version of the repeat")
    bench.equal((lease.held, lease.version), (False, 1), "`held` and version")
    await _once(bench, lease.id)


@clause("backend.faults.21", "a commit that was lost on the way, made again, is applied once", Kind.FAULT)
async def commit_vanished(bench: Bench) -> None:
    memory, lease = await _unknown(bench, faults.vanished)
    bench.equal(await bench.open().read(lease.id), None, "the record")
    bench.equal(await memory.commit(lease, {"n": 1}, step=STEP), 1, "the version of the repeat")
    await _once(bench, lease.id)


@clause(
    "backend.faults.22",
    "a commit that was applied and never answered is unknown; made again, it is recognised",
    Kind.FAULT,
)
async def commit_late(bench: Bench) -> None:
    _, lease = await _unknown(bench, faults.late)
    bench.equal(await bench.open().commit(lease, {"n": 1}, step=STEP), 1, "the version of the repeat")
    await _once(bench, lease.id)


@clause(
    "backend.faults.23",
    "after an unknown commit that was applied, another one is no repeat, and is refused",
    Kind.FAULT,
)
async def another_after_lost(bench: Bench) -> None:
    memory, lease = await _unknown(bench, faults.lost)
    await bench.refused(
        memory.commit(lease, {"n": 2}, step=STEP), LeaseLost, "another commit under that token"
    )
    await _once(bench, lease.id)


@clause(
    "backend.faults.24",
    "after an unknown commit that kept its lease, another one is WriteConflict",
    Kind.FAULT,
)
async def conflict_after_lost(bench: Bench) -> None:
    memory, lease = await _unknown(bench, faults.lost, release=False)
    await bench.refused(memory.commit(lease, {"n": 2}), WriteConflict, "a commit on the version before")
    bench.equal(await memory.commit(lease, {"n": 1}, step=STEP), 1, "the version of the repeat")
    await _once(bench, lease.id)


@clause(
    "backend.faults.25",
    "an unknown commit, settled after a successor wrote, leaves the successor's record",
    Kind.FAULT,
)
async def settled_late(bench: Bench) -> None:
    memory, lease = await _unknown(bench, faults.lost)
    other = bench.open()
    await other.commit(await bench.held(other, lease.id), {"n": 2})
    bench.equal(await memory.commit(lease, {"n": 1}, step=STEP), 1, "the version of the repeat")
    bench.equal(await other.read(lease.id), {"n": 2}, "the record")


@clause(
    "backend.faults.26",
    "record, step and release are one write: when its answer is lost, all three are there",
    Kind.FAULT,
)
async def one_write(bench: Bench) -> None:
    _, lease = await _unknown(bench, faults.lost)
    await _once(bench, lease.id)


@clause("backend.faults.27", "a record that is refused costs the store no call", Kind.FAULT)
async def refused_before(bench: Bench) -> None:
    id = bench.id()
    memory = await bench.faulty()
    await bench.locked(memory, id)
    wrong: tuple[Any, ...] = ([], {"a": float("nan")}, {"a": {1}})
    for record in wrong:
        await bench.refused(memory.write(id, record), ValueError, f"a write of {record!r}")
    bad_ids: tuple[Any, ...] = ("", "x" * 4_097, "\ud800", None, 7)
    for bad in bad_ids:
        for verb in (memory.read, memory.lock, memory.unlock, memory.acquire):
            # `lock` may refuse when it is called.
            await bench.refused(_called(verb, bad), ValueError, f"an id of {len(str(bad))} characters")
    bench.equal(bench.sent(memory), ["Acquire"], "what the store was asked")


async def _called(verb: Any, id: Any) -> Any:
    return await verb(id)
