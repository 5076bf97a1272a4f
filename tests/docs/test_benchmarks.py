"""The page of benchmarks shows the rows that the run wrote."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.document import with_table

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_shows_the_rows_of_the_run() -> None:
    run, page = json.loads((DOCS / "benchmarks.json").read_text()), (DOCS / "benchmarks.md").read_text()
    assert with_table(page, run) == page, (
        "docs/benchmarks.md is behind: python -m benchmarks.document out/bench.json"
    )
    for what in (
        "orchestration",
        "SQLite",
        "Redis",
        "PostgreSQL",
        "NATS",
        "telemetry",
        "instances",
        "step 1,000",
    ):
        assert any(what in row["what"] or what in row["against"] for row in run["rows"]), what
