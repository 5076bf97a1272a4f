"""
Trials of the lease protocol: `python -m trials [--size ci|medium|full] [--on sqlite ...] [--out out/trials]`.

Every part is bounded in number and in time. Histories (`*.jsonl`) and the table (`summary.md`, `summary.json`) are
written to the folder; the status is 1 when anything was not as it must be.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from trials.backends import BACKENDS, opened
from trials.events import event_trials
from trials.freeze import freeze_trials
from trials.history import History
from trials.seeds import mutant_trials, seed_trials


class Size(NamedTuple):
    """How much of everything, and how long at most, in seconds."""

    freezes: int
    workflows: int
    seeds: int
    seeds_s: float
    events_s: float


SIZES = {
    "ci": Size(40, 112, 200, 20.0, 60.0),
    "medium": Size(300, 556, 10_000, 60.0, 180.0),
    "full": Size(1_000, 5_556, 1_000_000, 6 * 3_600.0, 3_600.0),
}


def freeze_row(name: str, size: Size, out: Path) -> dict[str, Any]:
    """Freezing trials on one store."""
    with (
        TemporaryDirectory(prefix="trials-") as place,
        opened(name, Path(place) / "store") as store,
        History(out / f"freeze-{name}.jsonl") as history,
    ):
        counts = asyncio.run(freeze_trials(store, size.freezes, history))
    good = counts["counted"] == counts["stale_refused"] == size.freezes
    return {"good": good and not counts["stale_applied"] + counts["successor_errors"], **counts}


def event_row(name: str, size: Size, out: Path) -> dict[str, Any]:
    """Events on one store."""
    with (
        TemporaryDirectory(prefix="trials-") as place,
        opened(name, Path(place) / "store") as store,
        History(out / f"events-{name}.jsonl") as history,
    ):
        counts = asyncio.run(
            event_trials(store, size.workflows, Path(place), history, within_s=size.events_s)
        )
    same = counts["ids_as_without_faults"] and counts["effects_as_without_faults"]
    return {"good": same and counts["records_done"] and counts["processes_killed"] > 0, **counts}


def run(size: Size, backends: list[str], out: Path) -> list[dict[str, Any]]:
    """All trials; a row of the table for each."""
    rows: list[dict[str, Any]] = []
    for name in backends:
        for kind, trial in (("freeze", freeze_row), ("events", event_row)):
            started = time.monotonic()
            found = trial(name, size, out)
            rows.append({"trial": kind, "on": name, **found, "seconds": round(time.monotonic() - started, 1)})
            sys.stdout.write(f"{json.dumps(rows[-1])}\n")
            sys.stdout.flush()
    started = time.monotonic()
    found = seed_trials(out, size.seeds, size.seeds_s)
    rows.append(
        {
            "trial": "seeds",
            "on": "simulation",
            "good": True,
            **found,
            "seconds": round(time.monotonic() - started, 1),
        }
    )
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = ["| trial | on | as it must be | seconds | what was counted |", "|---|---|---|---|---|"]
    for row in rows:
        rest = {name: value for name, value in row.items() if name not in ("trial", "on", "good", "seconds")}
        counted = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in rest.items())
        good = "yes" if row["good"] else "**no**"
        lines.append(f"| {row['trial']} | {row['on']} | {good} | {row['seconds']} | {counted} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Make the trials that the arguments ask for."""
    parser = argparse.ArgumentParser(
        prog="python -m trials", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--on", nargs="+", choices=BACKENDS, default=list(BACKENDS))
    parser.add_argument("--out", type=Path, default=Path("out/trials"))
    parser.add_argument("--mutants", action="store_true", help="also find every hole of the simulation")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    rows = run(SIZES[given.size], given.on, given.out)
    if given.mutants:
        (given.out / "mutants.json").write_text(json.dumps(mutant_trials(), indent=1))
    (given.out / "summary.json").write_text(json.dumps(rows, indent=1))
    (given.out / "summary.md").write_text(table(rows))
    sys.stdout.write(table(rows))
    return 0 if all(row["good"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
