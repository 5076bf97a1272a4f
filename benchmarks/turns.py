"""
Measuring in turns: each window of a way stands between two windows of the reference (A B A), so that whatever
else the machine does meets both. Only ratios are meant; single times are printed to be looked at, not compared.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

Work = Callable[[], Awaitable[list[float]]]
"""Does one window of work; returns the seconds of each unit (a step, an orchestration)."""


@dataclass(frozen=True)
class Window:
    """One window: how many units in how much wall-clock and CPU time of this process."""

    units: int
    wall_s: float
    cpu_s: float
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
    notes: dict[str, float] = field(default_factory=dict)


async def window(work: Work) -> Window:
    cpu, wall = time.process_time(), time.perf_counter()
    latencies = await work()
    return Window(len(latencies), time.perf_counter() - wall, time.process_time() - cpu, latencies)


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
    latencies = sorted(latency for each in mine for latency in each.latencies_s)
    row = Row(
        what,
        against,
        statistics.median(ratios),
        target,
        statistics.median(each.rate for each in mine),
        statistics.median(each.rate for each in theirs),
        latencies[len(latencies) // 2] * 1e6,
        latencies[int(len(latencies) * 0.99)] * 1e6,
        statistics.median(each.cpu_s / each.units for each in mine) * 1e6,
    )
    show(row)
    return row


def show(row: Row) -> None:
    wanted = (
        ""
        if row.target is None
        else f" (target {row.target:g}x{'' if row.ratio >= row.target else ', MISSED'})"
    )
    print(f"{row.what}\n  against {row.against}: {row.ratio:.2f}x{wanted}")
    print(
        f"  {row.rate:,.0f}/s against {row.reference_rate:,.0f}/s; p50 {row.p50_us:,.0f} us, p99 {row.p99_us:,.0f} us, "
        f"cpu {row.cpu_us:,.0f} us" + "".join(f", {name} {value:,.1f}" for name, value in row.notes.items()),
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
