"""The trials in small: real processes that are stopped and killed, judged by what they wrote down; and lies are found."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from pyarvo.testing.history import Call, load_calls, save_calls
from pyarvo.testing.simulation.mutants import MUTANTS
from trials.__main__ import Size, event_row, freeze_row
from trials.backends import BACKENDS
from trials.document import with_tables
from trials.freeze import judge_freezes
from trials.judging import calls_file, judge
from trials.notes import noted
from trials.results import Results, table
from trials.seeds import seed_trials

SMALL = Size(freezes=30, workflows=112, seeds=60, seeds_s=30.0, events_s=100.0)


@pytest.mark.parametrize("store", BACKENDS)
def test_a_frozen_holder_is_refused_and_its_successor_sees_nothing(store: str, tmp_path: Path) -> None:
    row = freeze_row(store, SMALL, tmp_path)
    assert row["good"], row
    assert row["counted"] == row["stale_refused"] == row["instances"] == row["instances_explained"] == 30
    folder = tmp_path / f"freeze-{store}"
    assert row["calls"] == sum(len(load_calls(path)) for path in folder.glob("calls-*.jsonl")) >= 30 * 8
    assert "every answer is explained" in (folder / "verdict.txt").read_text()


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_two_thousand_events_end_as_they_would_without_faults(store: str, tmp_path: Path) -> None:
    row = event_row(store, SMALL, tmp_path)
    assert row["good"], row
    assert row["events"] > 2_000
    assert row["doubled"] > 0.3 * row["events"]
    assert row["replayed"] > 0
    assert row["instances"] == row["instances_explained"] == 2 * 112
    folder = tmp_path / f"events-{store}"
    assert len(noted(folder, "process died")) == row["processes_killed"] > 0
    assert_lies_are_found(folder, "worker-*")


# --- histories that were tampered with --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of eight freezes on SQLite."""
    out = tmp_path_factory.mktemp("trials")
    assert freeze_row("sqlite", SMALL._replace(freezes=8), out)["good"]
    return out / "freeze-sqlite"


def copied(folder: Path, to: Path) -> Path:
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


def tampered(path: Path, which: Callable[[Call], bool], change: Callable[[Call], Call]) -> Call:
    """Change the first such call of a file, and give it back as it was."""
    calls = load_calls(path)
    n = next(n for n, call in enumerate(calls) if which(call))
    changed = [*calls[:n], change(calls[n]), *calls[n + 1 :]]
    save_calls(changed, path)
    return calls[n]


def applied(call: Call) -> bool:
    return call.verb == "commit" and call.outcome == "done"


def doubled(call: Call) -> Call:
    """As if it had made a version that was there already."""
    assert call.version is not None
    return replace(call, version=call.version - 1)


def assert_lies_are_found(folder: Path, name: str) -> None:
    """A doubled version, in the history of an instance with more than one."""
    calls = [call for path in sorted(folder.glob(calls_file(folder, name).name)) for call in load_calls(path)]
    lie = next(call for call in calls if applied(call) and (call.version or 0) > 2)
    for path in folder.glob(calls_file(folder, name).name):
        if lie in load_calls(path):
            tampered(path, lambda call: call == lie, doubled)
    (violation,) = judge(folder).verdict.violations
    assert violation.id == lie.id
    assert lie.id in (folder / "verdict.txt").read_text()
    assert "class=bad" in (folder / "history.html").read_text()


def test_files_that_nobody_changed_are_judged_the_same_again(frozen: Path) -> None:
    row = judge_freezes(frozen)
    assert row["good"]
    assert (row["asked"], row["counted"], row["instances_explained"]) == (8, 8, 8)
    assert not (frozen / "history.html").exists()


def test_a_stale_commit_that_is_said_to_be_applied_is_found(frozen: Path, tmp_path: Path) -> None:
    folder = copied(frozen, tmp_path)
    stale = tampered(
        calls_file(folder, "first"),
        lambda call: call.verb == "commit",
        lambda call: replace(call, outcome="done", version=1),
    )
    assert stale.outcome == "lost"
    row = judge_freezes(folder)
    assert not row["good"]
    assert (row["stale_refused"], row["stale_applied"], row["instances_explained"]) == (7, 1, 7)
    (violation,) = judge(folder).verdict.violations
    assert violation.id == stale.id
    assert {call.number for call in violation.calls} >= {stale.number}


def test_a_doubled_version_is_found(frozen: Path, tmp_path: Path) -> None:
    folder = copied(frozen, tmp_path)
    lie = tampered(calls_file(folder, "successor"), lambda call: applied(call) and call.version == 2, doubled)
    row = judge_freezes(folder)
    assert not row["good"]
    assert (row["successor_errors"], row["instances_explained"]) == (1, 7)
    assert [violation.id for violation in judge(folder).verdict.violations] == [lie.id]


LATE: dict[str, Callable[[Call, float], Call]] = {
    "the successor's commit ended after the thaw": lambda call, thawed: replace(call, ended=thawed + 0.001),
    "the successor's commit was not answered": lambda call, _: replace(call, ended=None, outcome="unknown"),
}


@pytest.mark.parametrize("name", LATE)
def test_a_freeze_counts_only_when_the_successor_committed_during_it(
    name: str, frozen: Path, tmp_path: Path
) -> None:
    folder = copied(frozen, tmp_path)
    thawed = noted(folder, "thawed")[0]["t"]
    tampered(calls_file(folder, "successor"), applied, lambda call: LATE[name](call, thawed))
    row = judge_freezes(folder)
    assert not row["good"]
    assert (row["asked"], row["counted"], row["stale_refused"]) == (8, 7, 7)


def test_a_freeze_counts_only_when_the_first_tried_after_it(frozen: Path, tmp_path: Path) -> None:
    folder = copied(frozen, tmp_path)
    stopped = noted(folder, "stopped")[0]["t"]
    tampered(
        calls_file(folder, "first"),
        lambda call: call.verb == "commit",
        lambda call: replace(call, began=stopped - 0.001),
    )
    assert judge_freezes(folder)["counted"] == 7


# --- seeds and tables -------------------------------------------------------------------------------------------


def test_seeds_go_on_where_they_ended(tmp_path: Path) -> None:
    assert seed_trials(tmp_path, 30, 30.0)["seeds"] == 30
    kept = json.loads((tmp_path / "seeds.json").read_text())
    assert kept["done"] == 30
    row = seed_trials(tmp_path, 60, 30.0)
    assert (row["seeds"], row["promises_broken"]) == (60, 0)
    assert json.loads((tmp_path / "seeds.json").read_text())["cpu_s"] > kept["cpu_s"] > 0.0
    assert seed_trials(tmp_path, 90, 0.0)["seeds"] == 60


def test_a_broken_promise_is_kept_and_the_other_seeds_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def simulated(chunk: range) -> tuple[int, float, dict[str, str]]:
        return len(chunk), 1.0, {"7": "a promise"} if 7 in chunk else {}

    monkeypatch.setattr("trials.seeds._simulated", simulated)
    monkeypatch.setattr("trials.seeds.ProcessPoolExecutor", ThreadPoolExecutor)
    row = seed_trials(tmp_path, 1_000, 30.0, processes=1)
    assert (row["good"], row["seeds"], row["promises_broken"], row["broken_by_seeds"]) == (
        False,
        1_000,
        1,
        "7",
    )
    assert seed_trials(tmp_path, 1_000, 30.0, processes=1) == row


def test_the_table_shows_what_failed() -> None:
    rows: list[dict[str, Any]] = [
        {"trial": "freeze", "on": "x", "good": False, "seconds": 1.0, "stale_applied": 2_000, "same": False}
    ]
    assert table(rows).splitlines()[2] == "| freeze | x | **no** | 1.0 | stale applied 2,000, same **no** |"


def test_a_later_row_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    for seconds, on in ((1.0, "x"), (2.0, "y"), (3.0, "x")):
        Results(tmp_path).add({"trial": "freeze", "on": on, "good": True, "seconds": seconds})
    rows = Results(tmp_path).rows
    assert [(row["on"], row["seconds"]) for row in rows] == [("y", 2.0), ("x", 3.0)]
    assert (tmp_path / "summary.md").read_text() == table(rows)


def test_the_page_shows_the_rows_that_the_runs_wrote() -> None:
    docs = Path(__file__).parents[3] / "docs"
    facts, page = json.loads((docs / "trials.json").read_text()), (docs / "trials.md").read_text()
    assert with_tables(page, facts) == page, "docs/trials.md is behind: python -m trials.document out/trials"
    shown = {(row["trial"], row["on"]) for row in facts["rows"]}
    assert shown >= {(trial, store) for trial in ("freeze", "events") for store in BACKENDS}
    assert f"{facts['rows'][0]['calls']:,}" in page
    assert set(facts["holes"]) == set(MUTANTS)
    assert all(hole["seed"] is not None for hole in facts["holes"].values())
