"""Seeds in, verdicts out: `python -m pyarvo.testing.simulation`."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Final

import msgspec

from pyarvo.memory.simple import SimpleBackend
from pyarvo.testing.simulation.clerks import Clerks
from pyarvo.testing.simulation.mutants import MUTANTS
from pyarvo.testing.simulation.watch import Broken
from pyarvo.testing.simulation.workflows import Workflows
from pyarvo.testing.simulation.world import World

__all__ = ["SCENARIOS", "SimulationFailed", "Verdict", "main", "run_seed", "run_seeds", "seed_that_finds"]

SCENARIOS: Final = ("workflows", "clerks")
"""Even seeds simulate workflows under the handlers, odd ones callers of a memory."""


class SimulationFailed(AssertionError):
    """
    A promise was broken under a seed.

    Attributes:
        seed: Which; it breaks it every time.
    """

    def __init__(self, seed: int, mutant: str | None, broken: Broken) -> None:
        wrong = f" --mutant {mutant}" if mutant else ""
        super().__init__(
            f"seed {seed} breaks: {broken}\nreplay: python -m pyarvo.testing.simulation --seed {seed}{wrong} --trace"
        )
        self.seed = seed
        self._made_of = seed, mutant, broken

    def __reduce__(self) -> tuple[type[SimulationFailed], tuple[int, str | None, Broken]]:
        """It comes whole out of a process of a pool."""
        return type(self), self._made_of


class Verdict(msgspec.Struct, frozen=True):
    """
    What a seed came to.

    Attributes:
        seed: The seed.

        scenario: Which one it was.

        digest: Of all that happened at the store; the same seed has the same one.

        seconds: How long it took in virtual time.

        broken: The promise that was broken; "" for none.

        trace: All operations, where they were asked for.
    """

    seed: int
    scenario: str
    digest: str
    seconds: float
    broken: str = ""
    trace: tuple[str, ...] = ()


def run_seed(seed: int, *, mutant: str | None = None, traced: bool = False, watched: bool = True) -> Verdict:
    """
    Simulate one seed.

    Args:
        seed: 0 or more.

        mutant: Name of a wrong protocol of `MUTANTS`; None means the shipped one.

        traced: Whether the verdict has a trace.

        watched: Whether each answer of the store is judged; else only events, effects, journals and ends are.
    """
    wrong = None if mutant is None else MUTANTS[mutant]
    scenario = SCENARIOS[seed % 2]
    with _quiet():
        make = SimpleBackend if wrong is None else wrong.make
        world = World(seed, make=make, traced=traced, watched=watched)
        simulated = Workflows(world) if scenario == "workflows" else Clerks(world)
        if isinstance(simulated, Workflows):
            simulated.prepare()
        broken = ""
        try:
            with nullcontext() if wrong is None else wrong.patch():
                simulated.run()
        except Broken as error:
            broken = str(error)
    return Verdict(
        seed,
        scenario,
        world.store.digest,
        world.loop.time(),
        broken,
        tuple(world.store.trace or ()),
    )


def run_seeds(seeds: Iterable[int], *, until: float | None = None) -> int:
    """
    Simulate seeds one after another.

    Args:
        seeds: Which.

        until: By `time.monotonic`, when to stop; None means at the last seed.

    Returns:
        How many were simulated.

    Raises:
        SimulationFailed: At the first that breaks a promise; its message has the command that replays it.
    """
    done = 0
    for seed in seeds:
        if until is not None and time.monotonic() >= until:
            break
        verdict = run_seed(seed)
        if verdict.broken:
            raise SimulationFailed(seed, None, Broken(verdict.broken))
        done += 1
    return done


def seed_that_finds(mutant: str, seeds: Iterable[int], *, watched: bool = True) -> Verdict | None:
    """The verdict of the first of *seeds* that finds a wrong protocol; None when none does."""
    verdicts: Iterator[Verdict] = (run_seed(seed, mutant=mutant, watched=watched) for seed in seeds)
    return next((verdict for verdict in verdicts if verdict.broken), None)


@contextmanager
def _quiet() -> Generator[None]:
    """Lost leases and lost replies are logged by the thousand, and are what is simulated."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def main(arguments: list[str]) -> int:
    """Simulate what the arguments say; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m pyarvo.testing.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--seeds", type=int, default=1_000, help="so many, from the first on")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="a protocol with a hole")
    parser.add_argument("--trace", action="store_true", help="print every operation at the store")
    given = parser.parse_args(arguments)
    seeds = range(given.first, given.first + given.seeds) if given.seed is None else (given.seed,)
    for seed in seeds:
        verdict = run_seed(seed, mutant=given.mutant, traced=given.trace)
        for line in verdict.trace:
            sys.stdout.write(f"{line}\n")
        if verdict.broken:
            sys.stdout.write(f"{SimulationFailed(seed, given.mutant, Broken(verdict.broken))}\n")
            return 1
    sys.stdout.write(f"{len(seeds)} seeds, no promise broken\n")
    return 0
