"""
Measuring in turns: each window of a way stands between two windows of the reference (A B A), so that whatever
else the machine does meets both. Only ratios are meant; single times are printed to be looked at, not compared.

Before each window everything that is there is frozen: else Python's collector walks all that the ways before have
left, in the middle of whichever window is next.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

Work = Callable[[], Awaitable[list[float]]]
"""Does one window of work; returns the seconds of each unit (a step, an orchestration)."""


@dataclass(frozen=True)
class Window:
    """One window: how many units in how much wall-clock and CPU time."""

    units: int
    wall_s: float
    cpu_s: float
    """Of this process."""
    servers_cpu_s: float
    """Of the servers that this process started."""
    written: int
    """Bytes that all of them gave the system to be put on disk."""
    latencies_s: list[float]

    @property
    def rate(self) -> float:
        return self.units / self.wall_s


@dataclass
class Row:
    """A comparison, as it is printed and written."""

    what: str
    against: str
    ratio: float
    target: float | None
    rate: float
    reference_rate: float
    p50_us: float
    p99_us: float
    cpu_us: float
    servers_cpu_us: float
    written: float
    notes: dict[str, float] = field(default_factory=dict)


async def window(work: Work) -> Window:
    gc.collect()
    gc.freeze()
    servers_cpu, written = _spent()
    cpu, wall = time.process_time(), time.perf_counter()
    latencies = await work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    servers_cpu_after, written_after = _spent()
    return Window(
        len(latencies), wall, cpu, servers_cpu_after - servers_cpu, written_after - written, latencies
    )


def _spent() -> tuple[float, int]:
    """CPU time of the processes below this one, in seconds; bytes that they and this one have written."""
    here = psutil.Process()
    cpu_s, written = 0.0, here.io_counters().write_bytes
    for process in here.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            cpu_s += times.user + times.system
            written += process.io_counters().write_bytes
    return cpu_s, written


async def compare(
    what: str, work: Work, against: str, reference: Work, *, target: float | None, rounds: int
) -> Row:
    """The median over *rounds* of rate / mean rate of the reference windows on both sides."""
    await window(work)
    before = await window(reference)
    ratios: list[float] = []
    mine: list[Window] = []
    theirs = [before]
    for _ in range(rounds):
        middle = await window(work)
        after = await window(reference)
        ratios.append(middle.rate / statistics.fmean((before.rate, after.rate)))
        mine.append(middle)
        theirs.append(after)
        before = after
    row = row_of(what, against, statistics.median(ratios), target=target, mine=mine, theirs=theirs)
    show(row)
    return row


def row_of(
    what: str,
    against: str,
    ratio: float,
    *,
    target: float | None,
    mine: list[Window],
    theirs: list[Window],
) -> Row:
    """A comparison by *ratio*, with the medians of its windows."""
    latencies = sorted(latency for each in mine for latency in each.latencies_s)
    return Row(
        what,
        against,
        ratio,
        target,
        statistics.median(each.rate for each in mine),
        statistics.median(each.rate for each in theirs),
        latencies[len(latencies) // 2] * 1e6,
        latencies[int(len(latencies) * 0.99)] * 1e6,
        statistics.median(each.cpu_s / each.units for each in mine) * 1e6,
        statistics.median(each.servers_cpu_s / each.units for each in mine) * 1e6,
        statistics.median(each.written / each.units for each in mine),
        {"p50_us_reference": statistics.median(it for each in theirs for it in each.latencies_s) * 1e6},
    )


def show(row: Row) -> None:
    wanted = (
        ""
        if row.target is None
        else f" (target {row.target:g}x{'' if row.ratio >= row.target else ', MISSED'})"
    )
    print(f"{row.what}\n  against {row.against}: {row.ratio:.2f}x{wanted}")
    print(
        f"  {row.rate:,.0f}/s against {row.reference_rate:,.0f}/s; p50 {row.p50_us:,.0f} us, p99 {row.p99_us:,.0f} us, "
        f"cpu {row.cpu_us:,.0f} us, of servers {row.servers_cpu_us:,.0f} us, to disk {row.written:,.0f} B"
        + "".join(f", {name} {value:,.1f}" for name, value in row.notes.items()),
        flush=True,
    )


def machine() -> dict[str, object]:
    return {
        "command": " ".join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "max_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def write(rows: list[Row], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**machine(), "rows": [asdict(row) for row in rows]}, indent=1))
