"""The trials in small, on SQLite: real processes that are stopped and killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trials.__main__ import Size, event_row, freeze_row, table
from trials.seeds import seed_trials

SMALL = Size(freezes=30, workflows=112, seeds=60, seeds_s=30.0, events_s=60.0)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_frozen_holder_is_refused_and_its_successor_sees_nothing(tmp_path: Path) -> None:
    row = freeze_row("sqlite", SMALL, tmp_path)
    assert row["good"], row
    assert row["counted"] == row["stale_refused"] == 30
    trials = [line for line in lines(tmp_path / "freeze-sqlite.jsonl") if line["what"] == "trial"]
    assert len(trials) == 30
    for trial in trials:  # the history shows who was first
        assert trial["stopped"] < trial["committed"] < trial["thawed"] < trial["first"]["at"]
        assert trial["first"]["commit"] == "LeaseLost"
        assert trial["successor_fence"] > trial["first"]["fence"]


def test_two_thousand_events_end_as_they_would_without_faults(tmp_path: Path) -> None:
    row = event_row("sqlite", SMALL, tmp_path)
    assert row["good"], row
    assert row["events"] > 2_000
    assert row["doubled"] > 0.3 * row["events"]
    assert row["replayed"] > 0
    said = lines(tmp_path / "events-sqlite.jsonl")
    assert sum(line["what"] == "process died" for line in said) == row["processes_killed"] > 0


def test_seeds_go_on_where_they_ended(tmp_path: Path) -> None:
    assert seed_trials(tmp_path, 30, 30.0)["seeds"] == 30
    assert json.loads((tmp_path / "seeds.json").read_text()) == {"done": 30}
    assert seed_trials(tmp_path, 60, 30.0)["seeds"] == 60
    assert seed_trials(tmp_path, 60, 0.0)["seeds"] == 60


def test_the_table_shows_what_failed() -> None:
    rows = [{"trial": "freeze", "on": "x", "good": False, "seconds": 1.0, "stale_applied": 2}]
    assert table(rows).splitlines()[2] == "| freeze | x | **no** | 1.0 | stale applied 2 |"
