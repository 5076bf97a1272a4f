"""Absent: None means that there is no record, and nothing else does."""

from __future__ import annotations

from pyarvo.errors import MemoryUnavailable, RecordCorrupt
from pyarvo.testing.conformance import faults
from pyarvo.testing.conformance.bench import SHORT_S, Bench
from pyarvo.testing.conformance.clause import Kind, clause

__all__: list[str] = []


@clause("base.absent.01", "read of an instance that was never written is None")
async def never_written(bench: Bench) -> None:
    memory, other = bench.several(2)
    bench.equal(await memory.read(bench.id()), None, "read of what was never written")
    bench.equal(await other.read(bench.id()), None, "read by another memory")


@clause("base.absent.02", "lock and unlock make no record")
async def lock_makes_none(bench: Bench) -> None:
    memory = bench.open()
    id = bench.id()
    await bench.locked(memory, id)
    bench.equal(await memory.read(id), None, "read under a lease, before any write")
    await memory.unlock(id)
    bench.equal(await memory.read(id), None, "read after a lease without a write")


@clause("base.absent.03", "an empty object is a record, not the absence of one")
async def empty_is_there(bench: Bench) -> None:
    memory, other = bench.several(2)
    id = bench.id()
    await bench.put(memory, id, {})
    bench.equal(await memory.read(id), {}, "read of an empty object")
    bench.equal(await other.read(id), {}, "read of an empty object by another memory")


@clause("base.absent.04", "a lease that ran out takes no record with it")
async def expiry_keeps_record(bench: Bench) -> None:
    memory, other = bench.open(lease_ttl_s=SHORT_S), bench.open()
    id = bench.id()
    await bench.locked(memory, id)
    await memory.write(id, {"n": 1})
    await bench.pass_s()
    bench.equal(await other.read(id), {"n": 1}, "the record after its lease ran out")
    await bench.locked(other, id)
    bench.equal(await other.read(id), {"n": 1}, "the record under the next lease")


@clause("base.absent.05", "a record is read without a lease, also while somebody holds one")
async def read_needs_none(bench: Bench) -> None:
    memory, other = bench.several(2)
    id = bench.id()
    await bench.locked(memory, id)
    await memory.write(id, {"n": 1})
    bench.equal(await other.read(id), {"n": 1}, "read while another holds the lease")
    await memory.write(id, {"n": 2})
    bench.equal(await other.read(id), {"n": 2}, "read while another holds the lease")
    bench.equal(await other.lock(id), expected=False, what="lock by the reader")


@clause("base.absent.06", "the record of one instance is never that of another")
async def nobody_elses(bench: Bench) -> None:
    memory = bench.open()
    await bench.put(memory, bench.id("a"), {"of": "a"})
    for name in ("A", "a ", "aa", "a/", "b"):
        bench.equal(await memory.read(bench.id(name)), None, f"read of {name!r}, where only 'a' was written")


@clause("leased.absent.01", "acquire of an absent instance says version 0 and no data")
async def acquire_absent(bench: Bench) -> None:
    memory = bench.open()
    id = bench.id()
    lease = await bench.held(memory, id)
    bench.equal((lease.version, lease.data, lease.deleted_at), (0, None, None), "version, data, deleted_at")
    await memory.commit(lease, {})
    lease = await bench.held(memory, id)
    bench.equal([lease.version, lease.data], [1, dict[str, int]()], "version and data after an empty object")


@clause(
    "backend.absent.01",
    "bytes that do not decode raise RecordCorrupt on read, and are never taken for absence",
    Kind.FAULT,
)
async def corrupt_read(bench: Bench) -> None:
    id = bench.id()
    await bench.put(bench.open(), id, {"n": 1})
    for raw in (b"", b"null", b'{"n": ', b"\x01zstd", b"{\xff}", b"[]"):
        memory = await bench.faulty(*[faults.swaps(lambda _, raw=raw: raw)] * 3)
        error = await bench.refused(memory.read(id), RecordCorrupt, f"read of the bytes {raw!r}")
        bench.equal((error.id, error.operation), (id, "read"), "id and operation of the error")


@clause(
    "backend.absent.02",
    "an acquire that finds corrupt bytes raises RecordCorrupt, and gives its lease back",
    Kind.FAULT,
)
async def corrupt_acquire(bench: Bench) -> None:
    id = bench.id()
    other = bench.open()
    await bench.put(other, id, {"n": 1})
    memory = await bench.faulty(faults.swaps(lambda _: b"{"))
    await bench.refused(memory.acquire(id), RecordCorrupt, "acquire of corrupt bytes")
    await memory.close()
    lease = await bench.until_held(other, id, within_s=3.0)
    bench.equal(lease.data, {"n": 1}, "the record")


@clause(
    "backend.absent.03",
    "a store that cannot be asked raises MemoryUnavailable, and never answers None",
    Kind.FAULT,
)
async def away_is_not_absent(bench: Bench) -> None:
    id = bench.id()
    memory = await bench.faulty(faults.away, faults.away, faults.away)
    error = await bench.refused(memory.read(id), MemoryUnavailable, "read of a store that is away")
    bench.equal((error.id, error.operation), (id, "read"), "id and operation of the error")
    bench.equal(await memory.read(id), None, "read once the store is back")
