"""
The table of the kit in README.md: how much there is of it, and how long a run takes.

`python -m tests.conformance_kit.counted --runs 50` runs the kit on the five memories, two stores at a time and the runs on each one
after the other, and writes docs/conformance-runs.json and the table; without `--runs` it writes the table from that file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections import Counter
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final
from uuid import uuid4

from tests.servers.nats import nats_url
from tests.servers.postgres import new_schema, postgres_url
from tests.servers.redis import redis_url

from pyarvo.testing.conformance import Factory, validate
from pyarvo.testing.conformance.clause import Kind, clauses
from pyarvo.testing.conformance.report import Outcome
from pyarvo.testing.conformance.stores import opening, server_of, shared_simple
from pyarvo.testing.mutants import MUTANTS

_ROOT: Final = Path(__file__).parents[2]
RUNS: Final = _ROOT / "docs" / "conformance-runs.json"
README: Final = _ROOT / "README.md"
BLOCK: Final = re.compile(r"<!-- kit: [^>]+ -->\n(.*?)<!-- /kit -->", re.DOTALL)

_AT_ONCE: Final = 2
_STORES: Final = ("memory", "SQLite", "Redis", "PostgreSQL", "NATS")


def block() -> str:
    """What stands between the two marks of README.md."""
    known = clauses()
    kinds = Counter(kind for each in known for kind in each.kinds)
    told = (
        f"{len(known)} clauses ({kinds[Kind.CONCURRENT]} with many callers at once, {kinds[Kind.FAULT]} with faults or "
        f"cancelled\ncallers, {kinds[Kind.OWNERSHIP]} about whose lease it is), held against {len(MUTANTS)} memories that "
        "are wrong on purpose."
    )
    lines = [
        told,
        "",
        "| store | clauses | seconds a run | runs one after the other | without a failure |",
        "|---|---:|---:|---:|---:|",
    ]
    for store, found in json.loads(RUNS.read_text(encoding="utf-8")).items():
        row = (store, found["clauses"], f"{found['seconds']:.0f}", found["runs"], found["green"])
        lines.append(f"| {' | '.join(map(str, row))} |")
    return "\n".join(lines) + "\n"


@contextmanager
def _place(store: str, directory: Path) -> Generator[tuple[Factory, str | None]]:
    """An empty place in a store of that kind, and where its server is."""
    if store == "memory":
        yield shared_simple(), None
    elif store == "SQLite":
        yield opening(f"sqlite:///{directory}/{uuid4().hex}.db", {}), None
    elif store == "Redis":
        with redis_url(directory / "redis") as url:
            yield opening(url, {"prefix": uuid4().hex}), server_of(url)
    elif store == "NATS":
        with nats_url(directory / "nats") as url:
            yield opening(url, {"bucket": f"kit-{uuid4().hex}"}), server_of(url)
    else:
        url = postgres_url()
        yield opening(url, {"schema": new_schema()}), server_of(url)


def _run(store: str, runs: int) -> dict[str, object]:
    seconds: list[float] = []
    green = tried = 0
    for seed in range(runs):
        with TemporaryDirectory() as directory, _place(store, Path(directory)) as (factory, server):
            report = asyncio.run(validate(factory, seed=seed, server=server))
        seconds.append(report.seconds)
        green += report.ok
        tried = len(report.clauses)
        for each in report.clauses:
            if each.outcome is not Outcome.PASSED:
                print(f"{store}, seed {seed}: {each.id} {each.outcome}: {each.reason}", flush=True)
    return {"clauses": tried, "seconds": median(seconds), "runs": runs, "green": green}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance_kit.counted")
    parser.add_argument(
        "--runs", type=int, default=0, help="how often on each store; 0 = keep what was found"
    )
    runs: int = parser.parse_args().runs
    if runs:
        with ProcessPoolExecutor(_AT_ONCE) as pool:
            found = dict(zip(_STORES, pool.map(_run, _STORES, [runs] * len(_STORES)), strict=True))
        RUNS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    match = BLOCK.search(text)
    assert match is not None
    README.write_text(text[: match.start(1)] + block() + text[match.end(1) :], encoding="utf-8")


if __name__ == "__main__":
    main()
