"""The simulation in number: seeds from where the last run ended, until a number or a time is reached."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from pyarvo.testing.simulation import run_seeds
from pyarvo.testing.simulation.mutants import MUTANTS
from pyarvo.testing.simulation.run import seed_that_finds

__all__ = ["mutant_trials", "seed_trials"]

_CHUNK = 500
_WITHIN = 2_000


def seed_trials(folder: Path, seeds: int, seconds: float) -> dict[str, Any]:
    """
    Simulate seeds that no earlier run into *folder* simulated, up to seed number *seeds*, for so long at most.

    Raises:
        SimulationFailed: A promise was broken; the message has the command that replays it.
    """
    place = folder / "seeds.json"
    done: int = json.loads(place.read_text())["done"] if place.exists() else 0
    until = time.monotonic() + seconds
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        while done < seeds and time.monotonic() < until:
            firsts = range(done, min(seeds, done + _CHUNK * (os.cpu_count() or 1)), _CHUNK)
            chunks: list[Future[int]] = [
                pool.submit(run_seeds, range(first, min(seeds, first + _CHUNK))) for first in firsts
            ]
            done += sum(chunk.result() for chunk in as_completed(chunks))
            place.write_text(json.dumps({"done": done}))
    return {"seeds": done, "promises_broken": 0}


def mutant_trials() -> dict[str, Any]:
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
