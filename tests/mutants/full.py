"""Every mutant over every store against every clause, with every seed: `make mutants`. Takes some minutes."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.servers.redis import redis_url

from pyarvo.testing.conformance.clause import clauses
from pyarvo.testing.mutants import MUTANTS

from .trying import SEEDS, Stores, Trial, all_killers, missed, trials

_AT_ONCE = 8


async def _full(stores: Stores) -> bool:
    chosen = trials(MUTANTS)
    found = await all_killers(chosen, stores, seed=0, at_once=_AT_ONCE)
    for trial, ids in found.items():
        print(f"{trial}: {', '.join(sorted(ids)) or 'SURVIVES'}")
    needed = frozenset[str]().union(*found.values())
    idle = [clause.id for clause in clauses() if clause.id not in needed]
    print(f"{len(chosen)} trials; clauses that no mutant turns red: {', '.join(idle) or 'none'}")
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(trial: Trial) -> set[str]:
        async with slots:
            return await missed(trial, stores, trial.named, SEEDS)

    wrong = set[str]().union(*await asyncio.gather(*map(one, chosen)))
    for line in sorted(wrong):
        print(line)
    return not wrong and all(found.values())


def main() -> int:
    logging.disable(logging.CRITICAL)
    with TemporaryDirectory() as name, redis_url(Path(name)) as url:
        return 0 if asyncio.run(_full(Stores(Path(name), url))) else 1


if __name__ == "__main__":
    sys.exit(main())
