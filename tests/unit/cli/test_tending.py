"""`pyarvo purge`, `instances diff`, `migrate` and `bench` on a real store."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pyarvo.cli import app
from pyarvo.cli.bench import _percentile  # pyright: ignore[reportPrivateUsage] - a rule of its own
from pyarvo.memory import SqliteMachineMemory


def run(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def write(path: Path, *records: tuple[str, dict[str, Any]], at: float | None = None, **options: Any) -> None:
    """Commit *records* in turn, all at time *at*."""

    async def work() -> None:
        clock = {} if at is None else {"clock": lambda: at}
        async with SqliteMachineMemory(path, **clock, **options) as memory:
            for id, record in records:
                lease = await memory.acquire(id)
                assert lease is not None
                await memory.commit(lease, record)

    asyncio.run(work())


# ----------------------------------------------------------------------------------------------------- purge


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Two old trees, of which one still lives, and a young instance."""
    path = tmp_path / "old.db"
    done, active = {"status": "done"}, {"status": "active"}
    write(
        path,
        ("ended", done),
        ("ended-child", {**done, "parentSubject": "ended"}),
        ("living", done),
        ("living-child", {**active, "parentSubject": "living"}),
        at=1_000_000.0,
    )
    write(path, ("young", done))
    return path


def test_purge_deletes_whole_finished_old_trees(old: Path) -> None:
    url = f"sqlite:///{old}"
    dry = run("--memory", url, "purge", "--older-than", "30d", "--dry-run", "-o", "json")
    assert json.loads(dry.stdout) == {"purged": ["ended-child", "ended"], "count": 2, "dry_run": True}
    text = run("--memory", url, "purge", "--older-than", "30d", "--dry-run").stdout
    assert "2 would be deleted" in text
    text = run("purge", "--older-than", "30d", "--memory", url).stdout
    assert "2 deleted" in text
    listed = json.loads(run("--memory", url, "instances", "list", "-o", "json").stdout)
    assert {it["id"] for it in listed["instances"]} == {"living", "living-child", "young"}
    again = run("--memory", url, "purge", "--older-than", "30d")
    assert (again.exit_code, again.stdout) == (0, "nothing to purge\n")


@pytest.mark.parametrize("age", ["30", "-1d", "soon", ""])
def test_purge_wants_a_length_of_time(old: Path, age: str) -> None:
    result = run("--memory", f"sqlite:///{old}", "purge", "--older-than", age)
    assert result.exit_code == 2
    assert "--older-than" in result.stderr


def test_purge_without_an_age_is_wrong_usage(old: Path) -> None:
    assert run("--memory", f"sqlite:///{old}", "purge").exit_code == 2


# ------------------------------------------------------------------------------------------------------ diff


@pytest.fixture
def kept(tmp_path: Path) -> str:
    path = tmp_path / "kept.db"
    steps: list[dict[str, Any]] = [{"n": 1, "gone": True}, {"n": 2}, {"n": 2, "new": "[red]\x1b"}]
    write(path, *(("one", record) for record in steps), history=2)
    write(path, ("two", {"n": 1}), ("two", {"n": 2}))
    return f"sqlite:///{path}"


def test_diff_of_the_last_two_versions(kept: str) -> None:
    result = run("--memory", kept, "instances", "diff", "one", "-o", "json")
    change = {"path": "$.new", "kind": "added", "before": None, "after": "[red]\x1b"}
    assert json.loads(result.stdout) == {"id": "one", "from": 2, "to": 3, "changes": [change]}
    text = run("--memory", kept, "instances", "diff", "one").stdout
    assert "from version 2 to 3" in text
    assert '+ $.new: "[red]\\u001b"' in text


def test_diff_of_any_two_kept_versions(kept: str) -> None:
    answer = json.loads(run("--memory", kept, "instances", "diff", "one", "--from", "1", "-o", "json").stdout)
    assert [change["path"] for change in answer["changes"]] == ["$.n", "$.new", "$.gone"]
    answer = json.loads(run("--memory", kept, "instances", "diff", "one", "--to", "2", "-o", "json").stdout)
    assert (answer["from"], answer["to"]) == (1, 2)
    text = run("--memory", kept, "instances", "diff", "one", "--from", "3", "--to", "3").stdout
    assert "nothing differs" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("two",), "version 1 is not kept (there is 2): set history=N"),
        (("one", "--to", "9"), "there is no version 9; the latest is 3"),
        (("one", "--to", "1"), "there is no version 0"),
        (("nobody",), "no instance"),
    ],
)
def test_diff_says_what_is_not_there(kept: str, words: tuple[str, ...], message: str) -> None:
    result = run("--memory", kept, "instances", "diff", *words)
    assert (result.exit_code, result.stdout) == (3, "")
    assert message in result.stderr


# --------------------------------------------------------------------------------------------------- migrate


def test_migrate_makes_the_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    assert run("--memory", url, "instances", "list").exit_code == 1
    result = run("migrate", url)
    assert (result.exit_code, result.stdout) == (0, f"{url} has schema 1\n")
    assert run("--memory", url, "instances", "list").stdout == "no instances\n"
    again = json.loads(run("--memory", url, "migrate", "-o", "json").stdout)
    assert again == {"url": url, "migrated": True, "version": 1}


def test_migrate_print_changes_nothing_and_its_sql_makes_the_same(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    result = run("migrate", url, "--print")
    assert result.exit_code == 0
    assert list(tmp_path.iterdir()) == []
    with sqlite3.connect(tmp_path / "new.db") as connection:
        connection.executescript(result.stdout)
    connection.close()
    write(tmp_path / "new.db", ("a", {}))
    assert json.loads(run("--memory", url, "instances", "list", "-o", "json").stdout)["count"] == 1


def test_migrate_prints_the_sql_of_postgres_without_a_server() -> None:
    result = run("migrate", "postgresql://me:secret@nowhere.invalid/db?schema=shop", "--print", "-o", "json")
    answer = json.loads(result.stdout)
    assert 'CREATE TABLE "shop".instance' in answer["sql"]
    assert answer["url"] == "postgresql://me:***@nowhere.invalid/db?schema=shop"


@pytest.mark.parametrize(
    "words", [["redis://localhost/0", "--print"], ["nats://h", "--print"], ["memory://"]]
)
def test_migrate_says_that_there_is_nothing_to_do(words: list[str]) -> None:
    assert run("migrate", *words).stdout == "nothing to migrate: it has no schema\n"
    assert json.loads(run("migrate", *words, "-o", "json").stdout)["migrated"] is False


BAD_URLS = (
    "redis://u:sesame@h:notaport",
    "rediss://u:sesame@h?bad=1",
    "redis://u:sesame@h?wait_s=soon",
    "postgresql://u:sesame@h:0/db",
    "postgresql://u:sesame@h/db?bad=1",
    "nats://u:sesame@h/b?replicas=2",
    "nats://u:sesame@h/b/c?bad=1",
    "sqlite:///x.db?bad=1",
    "memory://?bad=1",
)


@pytest.mark.parametrize("url", BAD_URLS)
@pytest.mark.parametrize("words", [["migrate"], ["migrate", "--print"], ["doctor"]])
def test_a_url_is_checked_as_a_memory_checks_it(words: list[str], url: str) -> None:
    result = run(*words, url)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1].startswith("pyarvo: option ")
    assert "sesame" not in result.stderr


def test_migrate_needs_a_memory() -> None:
    result = run("migrate")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "PYARVO_MEMORY_URL" in result.stderr


# ----------------------------------------------------------------------------------------------------- bench


def test_bench_measures_and_leaves_no_instance(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bench.db"
    write(tmp_path / "bench.db", ("mine", {"n": 1}))
    result = run("bench", url, "--seconds", "0.1", "--tasks", "4", "--size", "300", "-o", "json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert [one["tasks"] for one in answer["rounds"]] == [1, 4]
    for one in answer["rounds"]:
        assert one["steps"] >= one["tasks"]
        assert one["denied"] == 0
        assert one["steps_per_s"] == pytest.approx(one["steps"] / one["seconds"], rel=0.02)
        assert 0 < one["acquire_p50_s"] <= one["acquire_p99_s"]
        assert 0 < one["commit_p50_s"] <= one["commit_p99_s"]
    left = json.loads(run("--memory", url, "instances", "list", "-o", "json").stdout)["instances"]
    assert [it["id"] for it in left] == ["mine"]


def test_bench_for_people(tmp_path: Path) -> None:
    write(tmp_path / "bench.db", ("mine", {}))
    text = run("bench", f"sqlite:///{tmp_path}/bench.db", "--seconds", "0.1", "--tasks", "1").stdout
    assert "STEPS/S" in text
    assert text.count(" ms") == 4  # one task and one task are one round


def test_bench_makes_no_memory(tmp_path: Path) -> None:
    result = run("bench", f"sqlite:///{tmp_path}/none.db")
    assert result.exit_code == 1
    assert "pyarvo migrate" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_percentile_is_a_time_that_was_measured() -> None:
    times = [float(n) for n in range(100, 0, -1)]
    assert (_percentile(times, 50), _percentile(times, 99), _percentile(times, 100)) == (50.0, 99.0, 100.0)
    assert (_percentile([7.0], 50), _percentile([7.0], 99), _percentile([], 50)) == (7.0, 7.0, None)


# ---------------------------------------------------------------------------------------------------- lapsed


def test_explain_says_that_the_last_holder_died(tmp_path: Path) -> None:
    path = tmp_path / "lapsed.db"
    write(path, ("one", {"status": "active"}))

    async def leave() -> None:
        async with SqliteMachineMemory(path, clock=lambda: 1_000_000.0, holder="web-1:4711") as memory:
            assert await memory.acquire("one") is not None

    asyncio.run(leave())
    url = f"sqlite:///{path}"
    text = run("--memory", url, "instances", "explain", "one").stdout
    assert "nobody; last held by web-1:4711, whose lease ran out: it died or froze in mid-step" in text
    lease = json.loads(run("--memory", url, "instances", "show", "one", "-o", "json").stdout)["instance"][
        "lease"
    ]
    assert (lease["held"], lease["lapsed"], lease["last_holder"]) == (False, True, "web-1:4711")
