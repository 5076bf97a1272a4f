"""Mutants held to clauses, many at once: most of the time of a clause is spent waiting for a lease to end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from pyarvo.testing.conformance import Factory, validate
from pyarvo.testing.mutants import InFile, InMemory, Mutant, MutantStore, OnServer, honest

__all__ = ["Stores", "Trial", "is_red", "killers", "trials"]

_files = count()


@dataclass(frozen=True, slots=True)
class Stores:
    """
    Where trials take place.

    Attributes:
        directory: For files.

        redis: URL of a server.
    """

    directory: Path
    redis: str

    def new(self, kind: str) -> MutantStore:
        """An empty store."""
        if kind == "sqlite":
            return InFile(self.directory / f"{next(_files)}.db")
        return OnServer(self.redis) if kind == "redis" else InMemory()


@dataclass(frozen=True, slots=True)
class Trial:
    """One mutant over one kind of store."""

    mutant: Mutant
    kind: str

    def __str__(self) -> str:
        return f"{self.mutant.name}-{self.kind}"


def trials(mutants: Iterable[Mutant]) -> list[Trial]:
    """Every mutant over every store it exists on."""
    return [Trial(mutant, kind) for mutant in mutants for kind in mutant.stores]


async def killers(factory: Factory, only: Collection[str] | None, seed: int) -> frozenset[str]:
    """The clauses that *factory*'s memories fail."""
    report = await validate(factory, only=only, seed=seed)
    return frozenset(each.id for each in report.clauses if each.outcome == "failed")


async def is_red(trial: Trial, stores: Stores, seeds: Sequence[int]) -> dict[int, frozenset[str]]:
    """Which of the clauses named for the mutant find it, seed by seed."""
    runs = [killers(trial.mutant.open(stores.new(trial.kind)), trial.mutant.killed_by, seed) for seed in seeds]
    return dict(zip(seeds, await asyncio.gather(*runs), strict=True))


async def found_by_all(chosen: Sequence[Trial], stores: Stores, seed: int, at_once: int) -> dict[str, frozenset[str]]:
    """Which of all clauses find each mutant."""
    logging.getLogger("pyarvo").setLevel(logging.ERROR)
    slots = asyncio.Semaphore(at_once)

    async def one(trial: Trial) -> frozenset[str]:
        async with slots:
            return await killers(trial.mutant.open(stores.new(trial.kind)), None, seed)

    found = await asyncio.gather(*[one(trial) for trial in chosen])
    return dict(zip(map(str, chosen), found, strict=True))


__all__ += ["found_by_all", "honest"]
