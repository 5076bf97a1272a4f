"""Callers that wait for a lease: what they hold while they wait."""

from __future__ import annotations

import asyncio
from time import monotonic

from pyarvo.testing.conformance.bench import Bench
from pyarvo.testing.conformance.clause import Kind, clause

__all__: list[str] = []

_PROMPT_S = 0.25
_ROUNDS = 3


@clause(
    "base.waiting.01",
    "locks that wait for their turn hold no connection: a read of another instance passes them by",
    Kind.CONCURRENT,
    alone=True,
)
async def waiting_locks(bench: Bench) -> None:
    holder, memory = bench.several(2)
    hot = bench.id("hot")
    await bench.locked(holder, hot)
    await memory.read(bench.id("free"))  # so that what is timed begins with a connection that is made
    took = 0.0
    for _ in range(_ROUNDS):  # a busy machine may stall one of them
        denied = [asyncio.create_task(memory.lock(hot)) for _ in range(16)]
        await asyncio.sleep(0.02)
        began = monotonic()
        await memory.read(bench.id("free"))
        took = monotonic() - began
        bench.equal(await asyncio.gather(*denied), [False] * 16, "locks of the instance that is held")
        if took < _PROMPT_S:
            return
    bench.holds(
        took < _PROMPT_S, f"a read took {took:.2f} s each time sixteen locks of another instance waited"
    )
