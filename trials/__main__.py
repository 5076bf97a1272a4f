"""
Trials of the lease protocol: `python -m trials [--size ci|medium|full] [--only PART ...] [--on STORE ...]`.

Every part is bounded in number and in time. Histories and the table (`summary.md`, `summary.json`) are written to the
folder (`--out`); the status is 1 when anything was not as it must be.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from trials.backends import BACKENDS, opened
from trials.events import event_trials
from trials.freeze import freeze_trials, judge_freezes
from trials.results import Results, table
from trials.seeds import hole_trials, seed_trials

PARTS = ("freeze", "events", "seeds", "holes")


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
    folder = _emptied(out / f"freeze-{name}")
    with TemporaryDirectory(prefix="trials-") as place, opened(name, Path(place)) as store:
        asyncio.run(freeze_trials(store, size.freezes, folder))
    return judge_freezes(folder)


def event_row(name: str, size: Size, out: Path) -> dict[str, Any]:
    """Events on one store."""
    folder = _emptied(out / f"events-{name}")
    with TemporaryDirectory(prefix="trials-") as place, opened(name, Path(place)) as store:
        return asyncio.run(event_trials(store, size.workflows, folder, within_s=size.events_s))


def _emptied(folder: Path) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def hole_row(out: Path) -> dict[str, Any]:
    """Every protocol with a hole; the seeds that find them are written to `holes.json`."""
    holes = hole_trials()
    (out / "holes.json").write_text(json.dumps(holes, indent=1) + "\n")
    found = sum(hole["seed"] is not None for hole in holes.values())
    return {"good": found == len(holes), "holes": len(holes), "found": found}


def run(size: Size, parts: list[str], backends: list[str], out: Path) -> Iterator[dict[str, Any]]:
    """All trials asked for; a row of the table for each."""
    wanted = [(part, name) for name in backends for part in ("freeze", "events") if part in parts]
    wanted += [(part, "simulation") for part in ("seeds", "holes") if part in parts]
    for part, name in wanted:
        started = time.monotonic()
        match part:
            case "freeze":
                row = freeze_row(name, size, out)
            case "events":
                row = event_row(name, size, out)
            case "seeds":
                row = seed_trials(out, size.seeds, size.seeds_s)
            case _:
                row = hole_row(out)
        yield {"trial": part, "on": name, **row, "seconds": round(time.monotonic() - started, 1)}


def main(arguments: list[str]) -> int:
    """Make the trials that the arguments ask for."""
    parser = argparse.ArgumentParser(
        prog="python -m trials", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--on", nargs="+", choices=BACKENDS, default=list(BACKENDS))
    parser.add_argument("--out", type=Path, default=Path("out/trials"))
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    results, rows = Results(given.out), list[dict[str, Any]]()
    for row in run(SIZES[given.size], given.only, given.on, given.out):
        command = f"python -m trials --size {given.size} --only {row['trial']}"
        if row["on"] in BACKENDS:
            command += f" --on {row['on']}"
        rows.append({**row, "command": command})
        results.add(rows[-1])
        sys.stdout.write(f"{json.dumps(rows[-1])}\n")
        sys.stdout.flush()
    sys.stdout.write(table(rows))
    return 0 if all(row["good"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
