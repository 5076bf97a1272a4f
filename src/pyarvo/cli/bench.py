"""`pyarvo bench URL`: how fast a store takes steps, measured on instances of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from time import monotonic, perf_counter
from typing import Annotated, Any, Final

import typer
from msgspec import Struct

from pyarvo.cli.exits import redacted
from pyarvo.cli.options import MemoryOption, OutputOption, UrlArgument, session, url_of
from pyarvo.cli.output import Output, cell, print_json, print_lines, print_table
from pyarvo.memory import LeasedMemory, Record, Step
from pyarvo.memory.queries import QueryLevel

__all__ = ["Measured", "bench"]

_PREFIX: Final = "pyarvo-bench"


class Measured(Struct, frozen=True, kw_only=True):
    """
    What one round measured.

    Attributes:
        tasks: How many worked at the same time, each on an instance of its own.

        steps: How many were acquired and committed.

        seconds: How long the round took.

        steps_per_s: Both divided.

        denied: Acquires that were refused because somebody held the lease; nobody should.

        acquire_p50_s, acquire_p99_s, commit_p50_s, commit_p99_s: Times of single calls.
    """

    tasks: int
    steps: int
    seconds: float
    steps_per_s: float
    denied: int
    acquire_p50_s: float | None
    acquire_p99_s: float | None
    commit_p50_s: float | None
    commit_p99_s: float | None


def bench(
    context: typer.Context,
    url: UrlArgument = None,
    *,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=60.0, help="Length of each of the two rounds.")
    ] = 3.0,
    tasks: Annotated[int, typer.Option(min=1, max=1_024, help="Tasks of the second round.")] = 64,
    size: Annotated[int, typer.Option(min=100, max=1_000_000, help="Bytes of a record.")] = 2_000,
    output: OutputOption = Output.TABLE,
    memory: MemoryOption = None,
) -> None:
    """
    Take steps for a few seconds (acquire with an event key; commit record, step and release), alone and with many tasks.

    In the store itself, under ids of its own that are deleted in the end; their tombstones stay until they are swept.
    """
    named = url_of(context, url or memory)

    async def work(store: QueryLevel) -> list[Measured]:
        if not isinstance(store, LeasedMemory):
            raise typer.BadParameter("this memory has no leases")
        await store.ping()
        rounds = dict.fromkeys((1, tasks))
        return [await _round(store, count, seconds, size) for count in rounds]

    measured = session(context, url or memory).ask(work)
    if output is Output.JSON:
        print_json({"url": redacted(named), "size": size, "rounds": measured})
    else:
        _print(measured)


async def _round(store: LeasedMemory, tasks: int, seconds: float, size: int) -> Measured:
    ids = [f"{_PREFIX}-{os.urandom(8).hex()}" for _ in range(tasks)]
    taken = _Times()
    record: Record = {"status": "active", "padding": "x" * (size - 40)}
    try:
        began = perf_counter()
        until = monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for id in ids:
                group.create_task(_steps(store, id, record, until, taken))
        took = perf_counter() - began
    except ExceptionGroup as errors:  # the others were cancelled because of the first
        raise errors.exceptions[0] from errors
    finally:
        for id in ids:
            await store.delete(id, force=True)
    return taken.measured(tasks, took)


class _Times:
    """What the tasks of one round note."""

    def __init__(self) -> None:
        self.acquires: list[float] = []
        self.commits: list[float] = []
        self.denied = 0

    def measured(self, tasks: int, took: float) -> Measured:
        return Measured(
            tasks=tasks,
            steps=len(self.commits),
            seconds=round(took, 3),
            steps_per_s=round(len(self.commits) / took, 1),
            denied=self.denied,
            acquire_p50_s=_percentile(self.acquires, 50),
            acquire_p99_s=_percentile(self.acquires, 99),
            commit_p50_s=_percentile(self.commits, 50),
            commit_p99_s=_percentile(self.commits, 99),
        )


async def _steps(store: LeasedMemory, id: str, record: Record, until: float, taken: _Times) -> None:
    """Steps on one instance, one after the other, at least one."""
    produced: tuple[dict[str, Any], ...] = ({"id": "e", "type": "evt.bench.done", "source": _PREFIX},)
    n = 0
    while n == 0 or monotonic() < until:
        n += 1
        key = f'["{_PREFIX}","{n}"]'
        began = perf_counter()
        lease = await store.acquire(id, event_key=key)
        acquired = perf_counter()
        if lease is None:
            taken.denied += 1
            continue
        await store.commit(lease, record, step=Step(key, produced))
        taken.commits.append(perf_counter() - acquired)
        taken.acquires.append(acquired - began)


def _percentile(times: Sequence[float], percent: int) -> float | None:
    """The smallest time that *percent* of all do not exceed; None of none."""
    if not times:
        return None
    return sorted(times)[max(0, -(-len(times) * percent // 100) - 1)]


def _print(rounds: Sequence[Measured]) -> None:
    print_table(
        ["TASKS", "STEPS/S", "ACQUIRE p50", "p99", "COMMIT p50", "p99"],
        (
            [
                cell(it.tasks),
                cell(f"{it.steps_per_s:,.0f}"),
                *(
                    cell(None if time is None else f"{time * 1_000:.2f} ms")
                    for time in (it.acquire_p50_s, it.acquire_p99_s, it.commit_p50_s, it.commit_p99_s)
                ),
            ]
            for it in rounds
        ),
        empty="",
    )
    denied = sum(it.denied for it in rounds)
    if denied:
        print_lines(f"{denied:,} acquires were refused: somebody else held these instances")
