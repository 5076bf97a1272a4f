"""Many tasks at once, each doing steps on an instance of its own; the records they write."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.turns import Work

Record = dict[str, object]
One = Callable[[int, int], Awaitable[None]]
"""One step: of which task, and the how-manieth."""


def record_of(size: int) -> Record:
    """A record whose JSON has about *size* bytes: some fields, and a list of small objects."""
    items = [
        {"sku": f"sku-{n:06}", "count": n, "price": n * 1.25, "in_stock": True} for n in range(size // 70)
    ]
    return {"executionStatus": "normal", "status": "active", "note": "x" * 60, "items": items}


def at_step(record: Record, step: int) -> dict[str, Any]:
    """The record as it is after that step: a workflow never writes the same again."""
    return {**record, "step": step}


def crowd(one: One, tasks: int, steps: int) -> Work:
    """*tasks* concurrent tasks, each doing *steps* steps on an instance of its own."""
    rounds = itertools.count()

    async def work() -> list[float]:
        turn = next(rounds)

        async def run(task: int) -> list[float]:
            spent: list[float] = []
            for step in range(steps):
                started = time.perf_counter()
                await one(task, turn * steps + step)
                spent.append(time.perf_counter() - started)
            return spent

        done = await asyncio.gather(*(run(task) for task in range(tasks)))
        return [each for spent in done for each in spent]

    return work
