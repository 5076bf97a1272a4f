"""The simulation in number: seeds from where the last run ended, until a number or a time is reached."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from pyarvo.testing.simulation import run_seed
from pyarvo.testing.simulation.mutants import MUTANTS
from pyarvo.testing.simulation.run import seed_that_finds

__all__ = ["hole_trials", "seed_trials"]

_CHUNK = 200
_WITHIN = 2_000


def seed_trials(
    folder: Path, seeds: int, seconds: float, *, processes: int = os.cpu_count() or 1
) -> dict[str, Any]:
    """
    Simulate seeds that no earlier run into *folder* simulated, up to seed number *seeds*, for so long at most.

    A seed that breaks a promise is kept in `seeds.json` with the promise, and the others go on.
    """
    place = folder / "seeds.json"
    so_far: dict[str, Any] = {"done": 0, "cpu_s": 0.0, "broken": {}}
    if place.exists():
        so_far |= json.loads(place.read_text())
    until = time.monotonic() + seconds
    with ProcessPoolExecutor(processes) as pool:
        while so_far["done"] < seeds and time.monotonic() < until:
            for done, cpu_s, broken in pool.map(_simulated, _chunks(so_far["done"], seeds, processes)):
                so_far["done"] += done
                so_far["cpu_s"] += cpu_s
                so_far["broken"] |= broken
            place.write_text(json.dumps(so_far))
    row = {
        "good": not so_far["broken"],
        "seeds": so_far["done"],
        "promises_broken": len(so_far["broken"]),
        "cpu_seconds": round(so_far["cpu_s"]),
        "seeds_a_cpu_second": round(so_far["done"] / max(so_far["cpu_s"], 1e-9)),
    }
    return {**row, "broken_by_seeds": ", ".join(so_far["broken"])} if so_far["broken"] else row


def _chunks(first: int, last: int, count: int) -> Iterator[range]:
    for start in range(first, min(last, first + count * _CHUNK), _CHUNK):
        yield range(start, min(last, start + _CHUNK))


def _simulated(seeds: range) -> tuple[int, float, dict[str, str]]:
    """How many were simulated, the CPU time of it, and what they broke, by seed."""
    began = time.process_time()
    verdicts = [run_seed(seed) for seed in seeds]
    broken = {str(verdict.seed): verdict.broken for verdict in verdicts if verdict.broken}
    return len(verdicts), time.process_time() - began, broken


def hole_trials() -> dict[str, Any]:
    """For each protocol with a hole, the seed that finds it: with every answer judged, and by what came of it alone."""
    found: dict[str, Any] = {}
    for name in MUTANTS:
        judged = seed_that_finds(name, range(_WITHIN))
        blind = seed_that_finds(name, range(_WITHIN // 10), watched=False)
        found[name] = {
            "seed": judged.seed if judged else None,
            "promise": judged.broken if judged else None,
            "by_results_alone": blind.seed if blind else None,
        }
    return found
