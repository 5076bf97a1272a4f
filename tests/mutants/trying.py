"""Mutants held to clauses, many at once: most of the time of a clause is spent waiting for a lease to end."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from pyarvo.testing.conformance import validate
from pyarvo.testing.mutants import InFile, InMemory, Mutant, MutantStore, OnServer

__all__ = ["SEEDS", "Stores", "Trial", "all_killers", "killers", "missed", "trials"]

SEEDS = range(5)

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
        """An empty store; mutants that bring their own need none."""
        if kind == "sqlite":
            return InFile(self.directory / f"{next(_files)}.db")
        return OnServer(self.redis) if kind == "redis" else InMemory()


@dataclass(frozen=True, slots=True)
class Trial:
    """One mutant over one kind of store."""

    mutant: Mutant
    kind: str

    @property
    def named(self) -> tuple[str, ...]:
        """The clauses that must find it: those of the network where there is one."""
        on_server = self.kind == "redis"
        return tuple(id for id in self.mutant.killed_by if on_server or not id.startswith("network."))

    def __str__(self) -> str:
        return f"{self.mutant.name}-{self.kind}"


def trials(mutants: Iterable[Mutant]) -> list[Trial]:
    """Every mutant over every store it exists on."""
    return [Trial(mutant, kind) for mutant in mutants for kind in mutant.stores]


async def killers(trial: Trial, stores: Stores, only: Collection[str] | None, seed: int) -> frozenset[str]:
    """Which of the clauses *only* (None = all) find the mutant."""
    store = stores.new(trial.kind)
    report = await validate(trial.mutant.open(store), only=only, seed=seed, server=store.server)
    return frozenset(each.id for each in report.clauses if each.outcome == "failed")


async def missed(trial: Trial, stores: Stores, ids: Collection[str], seeds: Iterable[int]) -> set[str]:
    """Which of the clauses *ids* do not find a mutant, each with its seed."""

    async def run(seed: int) -> set[str]:
        found = await killers(trial, stores, ids, seed)
        return {f"{trial} passes {id} with seed {seed}" for id in ids if id not in found}

    return set[str]().union(*await asyncio.gather(*[run(seed) for seed in seeds]))


async def all_killers(
    chosen: Sequence[Trial], stores: Stores, *, seed: int, at_once: int
) -> dict[Trial, frozenset[str]]:
    """Which of all clauses find each mutant."""
    slots = asyncio.Semaphore(at_once)

    async def one(trial: Trial) -> frozenset[str]:
        async with slots:
            return await killers(trial, stores, None, seed)

    return dict(zip(chosen, await asyncio.gather(*map(one, chosen)), strict=True))
