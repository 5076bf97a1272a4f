"""Life cycle: opening, closing, and what outlives a memory object."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from typing import Any, Final

from pyarvo.errors import MemoryClosed
from pyarvo.testing.conformance import faults
from pyarvo.testing.conformance.bench import Bench
from pyarvo.testing.conformance.clause import Kind, clause
from pyarvo.testing.conformance.forking import in_child
from pyarvo.testing.conformance.watched import Watched

__all__: list[str] = []

_CHILD_S: Final = 20.0


@clause(
    "base.life.01", "records outlive the memory object that wrote them, and others work on when it is closed"
)
async def outlived(bench: Bench) -> None:
    memory, other = bench.fresh(), bench.open()
    id = bench.id()
    await bench.put(memory, id, {"n": 1})
    await memory.close()
    bench.equal(await other.read(id), {"n": 1}, "the record after its writer was closed")
    await bench.put(other, id, {"n": 2})


@clause("base.life.02", "a lease outlives the memory object that took it: closing frees nothing of others")
async def leases_stay(bench: Bench) -> None:
    memory, other, third = bench.fresh(), bench.open(), bench.open()
    id = bench.id()
    await bench.locked(other, id)
    bench.equal(await memory.lock(id), expected=False, what="lock of an instance that is held")
    await memory.close()
    bench.equal(await third.lock(id), expected=False, what="lock after an onlooker was closed")
    await other.write(id, {"n": 1})


@clause(
    "base.life.03",
    "many memory objects may be opened and used for the first time at the same moment",
    Kind.CONCURRENT,
)
async def opened_at_once(bench: Bench) -> None:
    async def first_use(n: int) -> None:
        memory: Watched = bench.fresh()
        await bench.put(memory, bench.id(f"a{n}"), {"n": n})

    await bench.together([lambda n=n: first_use(n) for n in range(4)])
    reader = bench.open()
    for n in range(4):
        bench.equal(await reader.read(bench.id(f"a{n}")), {"n": n}, "the record")


@clause(
    "base.life.04",
    "a memory object from before a fork refuses in the child, or is another caller there; the parent goes on",
    alone=True,
)
async def forked(bench: Bench) -> None:
    if not hasattr(os, "fork"):
        return  # there are no forks
    memory, other = bench.fresh(), bench.open()
    held, free = bench.id("held"), bench.id("free")
    await bench.locked(memory, held)
    await memory.write(held, {"by": "parent"})
    said = await in_child(lambda: _as_child(bench, memory, held, free), within_s=_CHILD_S)
    bench.holds(said is not None, f"the child died, or its calls had not ended after {_CHILD_S:.0f} s")
    bench.holds(said["held"], "the child wrote under the lease that its parent holds")
    bench.equal(await other.read(held), {"by": "parent"}, "the record of the parent")
    if not said["free"]:
        bench.equal(await other.read(free), {"by": "child"}, "the record that the child wrote")
    await memory.write(held, {"by": "parent", "n": 2})
    bench.equal(await memory.unlock(held), expected=True, what="unlock by the parent")
    for n in range(3):
        await bench.put(memory, bench.id(f"a{n}"), {"n": n})
        bench.equal(await other.read(bench.id(f"a{n}")), {"n": n}, "the record")


async def _as_child(bench: Bench, memory: Watched, held: str, free: str) -> dict[str, str]:
    """The errors with which calls are refused; "" for those that are not."""

    async def refusal(working: Coroutine[Any, Any, None]) -> str:
        try:
            await working
        except Exception as error:  # noqa: BLE001 - any refusal is as good as another
            return type(error).__name__
        return ""

    return {
        "held": await refusal(memory.write(held, {"by": "child"})),
        "free": await refusal(bench.put(memory, free, {"by": "child"})),
    }


@clause(
    "backend.life.01",
    "close waits for the writes under way, and may be called twice, and before any use",
    Kind.FAULT,
)
async def close_waits(bench: Bench) -> None:
    gate = asyncio.Event()
    memory = await bench.faulty(faults.passes, faults.waits(gate))
    lease = await bench.held(memory, bench.id())
    committing = asyncio.create_task(memory.commit(lease, {"n": 1}))
    await asyncio.sleep(0.05)
    closing = asyncio.create_task(memory.close())
    await asyncio.sleep(0.05)
    bench.equal(closing.done(), expected=False, what="whether close ended before the write under way")
    gate.set()
    bench.equal(await committing, 1, "the version of the write under way")
    await closing
    await memory.close()
    await bench.fresh().close()
    bench.equal(await bench.open().read(lease.id), {"n": 1}, "the record")


@clause("backend.life.02", "a closed memory refuses every call")
async def closed(bench: Bench) -> None:
    memory = bench.fresh()
    await bench.put(memory, bench.id(), {"n": 1})
    await memory.close()
    await bench.refused(memory.read(bench.id()), MemoryClosed, "read of a closed memory")
    await bench.refused(memory.acquire(bench.id()), MemoryClosed, "acquire of a closed memory")
