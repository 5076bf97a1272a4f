"""README.md says of the kit what there is, and what a run of it found."""

from __future__ import annotations

import json

from tests.conformance_kit.counted import BLOCK, README, RUNS, block

from pyarvo.testing.conformance.clause import clauses
from pyarvo.testing.conformance.levels import Level


def test_readme_counts_what_there_is() -> None:
    match = BLOCK.search(README.read_text(encoding="utf-8"))
    assert match is not None
    assert match[1] == block(), "python -m tests.conformance_kit.counted"


def test_the_runs_were_of_these_clauses() -> None:
    known = clauses()
    local = sum(each.level is not Level.NETWORK for each in known)
    counts = {store: found["clauses"] for store, found in json.loads(RUNS.read_text()).items()}
    expected = dict.fromkeys(("memory", "SQLite"), local)
    assert counts == expected | dict.fromkeys(("Redis", "PostgreSQL", "NATS"), len(known))
