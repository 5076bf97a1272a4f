"""
What should stay the same: a step among a million instances against one among a thousand, and the thousandth step of an
instance against its second. Latencies are compared, not rates: the ratio is that of the medians, 1 = no slower.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import psutil

from benchmarks.crowd import One, Record, at_step, crowd, record_of
from benchmarks.turns import Row, Window, Work, row_of, show, window
from pyarvo.memory import LeasedMemory, Step, open_memory
from trials.backends import BACKENDS, opened

FEW = 1_000
MANY = {"sqlite": 1_000_000, "redis": 1_000_000, "postgres": 1_000_000, "nats": 200_000}
TASKS = 64
_FILLERS = 256
_LONG = 1_000


async def _step(memory: LeasedMemory, id: str, record: Record, step: int) -> None:
    key = f'["bench","{step}"]'
    lease = await memory.acquire(id, event_key=key)
    assert lease is not None
    assert lease.replay is None
    await memory.commit(lease, at_step(record, step), step=Step(key, ({"type": "done"},)))


async def _filled(memory: LeasedMemory, instances: int, record: Record) -> None:
    numbers = iter(range(instances))

    async def fill() -> None:
        for n in numbers:
            await _step(memory, f"i{n}", record, 0)

    await asyncio.gather(*(fill() for _ in range(min(_FILLERS, instances))))


def _anywhere(memory: LeasedMemory, instances: int, record: Record) -> One:
    """A step of any of the instances that are this task's."""
    chance, turns = random.Random(1), itertools.count(1)

    async def one(task: int, step: int) -> None:
        del step
        n = chance.randrange(instances // TASKS) * TASKS + task
        await _step(memory, f"i{n}", record, next(turns))

    return one


def _long_lived(memory: LeasedMemory, record: Record) -> One:
    """A step of one instance that has taken a thousand."""
    turns = itertools.count(_LONG)

    async def one(task: int, step: int) -> None:
        del task, step
        await _step(memory, "long", record, next(turns))

    return one


class _Young:
    """The second step of ever new instances; their first one is not measured."""

    def __init__(self, memory: LeasedMemory, record: Record, steps: int) -> None:
        self._memory, self._record, self._steps = memory, record, steps
        self._rounds = itertools.count()

    async def prepare(self) -> None:
        self._turn = next(self._rounds)
        for n in range(self._steps):
            await _step(self._memory, f"young-{self._turn}-{n}", self._record, 0)

    async def one(self, task: int, step: int) -> None:
        del task
        await _step(self._memory, f"young-{self._turn}-{step % self._steps}", self._record, 1)


async def _unprepared() -> None:
    return


async def _compared(
    what: str,
    work: Work,
    against: str,
    reference: Work,
    *,
    target: float,
    rounds: int,
    prepare: Callable[[], Awaitable[None]] = _unprepared,
    notes: dict[str, float] | None = None,
) -> Row:
    """As `compare`, by the median latency."""
    mine: list[Window] = []
    theirs: list[Window] = []
    for n in range(rounds + 1):
        await prepare()
        near, own = await window(reference), await window(work)
        if n:  # the first are to warm up
            theirs.append(near)
            mine.append(own)
    medians = [[statistics.median(each.latencies_s) for each in ways] for ways in (mine, theirs)]
    ratios = [near / own for own, near in zip(*medians, strict=True)]
    row = row_of(what, against, statistics.median(ratios), target=target, mine=mine, theirs=theirs)
    row.notes |= notes or {}
    show(row)
    return row


async def _of_growth(name: str, many: int, record: Record, *, quick: bool) -> Row:
    async with AsyncExitStack() as stack:
        memories: list[LeasedMemory] = []
        for _ in range(2):
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pyarvo-bench-")))
            store = stack.enter_context(opened(name, place))
            memories.append(await stack.enter_async_context(open_memory(store.url)))
        small, large = memories
        await _filled(small, FEW, record)
        before = psutil.Process().memory_info().rss
        await _filled(large, many, record)
        grown = (psutil.Process().memory_info().rss - before) / 2**20
        steps = 10 if quick else 40
        return await _compared(
            f"{name}: a step among {many:,} instances of 2 KB, {TASKS} tasks",
            crowd(_anywhere(large, many, record), TASKS, steps),
            f"among {FEW:,}",
            crowd(_anywhere(small, FEW, record), TASKS, steps),
            target=1 / 1.3,
            rounds=5,
            notes={"process_grew_mib": grown},
        )


async def _of_journal(name: str, record: Record, *, quick: bool) -> Row:
    async with AsyncExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pyarvo-bench-")))
        store = stack.enter_context(opened(name, place))
        memory = await stack.enter_async_context(open_memory(store.url))
        for step in range(_LONG):
            await _step(memory, "long", record, step)
        steps = 30 if quick else 100
        young = _Young(memory, record, steps)
        return await _compared(
            f"{name}: step {_LONG:,} and later of an instance, 1 task",
            crowd(_long_lived(memory, record), 1, steps),
            "its second step",
            crowd(young.one, 1, steps),
            target=1 / 1.2,
            rounds=5,
            prepare=young.prepare,
        )


async def run(*, quick: bool) -> list[Row]:
    record = record_of(2_000)
    rows = [await _of_journal(name, record, quick=quick) for name in BACKENDS]
    for name, many in MANY.items():
        rows.append(await _of_growth(name, many // 20 if quick else many, record, quick=quick))
    return rows
