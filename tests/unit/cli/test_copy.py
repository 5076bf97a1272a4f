"""`pyarvo copy` between files: everything, once, and nothing in silence."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from pyarvo.cli import app
from pyarvo.memory import SqliteMachineMemory


def copy(source: str, target: str, *words: str) -> Any:
    return CliRunner().invoke(app, ["copy", source, target, *words])


def counts(result: Any) -> dict[str, int]:
    return {fate: count for fate, count in json.loads(result.stdout)["counts"].items() if count}


def release_all(shop: Any) -> None:
    for name in ("held", "fresh"):
        assert shop.run("locks", "release", shop.ids[name], "--reason", "copy").exit_code == 0


def test_everything_is_copied_and_a_second_copy_changes_nothing(shop: Any, tmp_path: Path) -> None:
    release_all(shop)
    target = f"sqlite:///{tmp_path}/copy.db"
    result = copy(shop.url, target, "-o", "json")
    assert result.exit_code == 0, result.stdout
    total = counts(result)["copied"]
    assert counts(result) == {"copied": total}
    assert total == len(shop.ids) + 5  # and the hostile ids
    for words in (
        ["list"],
        ["list", "--deleted"],
        ["show", shop.ids["held"]],
        ["history", shop.ids["order"]],
    ):
        here = shop.json("instances", *words)
        there = json.loads(
            CliRunner().invoke(app, ["--memory", target, "instances", *words, "-o", "json"]).stdout
        )
        here.pop("records", None)  # the destination keeps no history
        there.pop("records", None)
        assert here == there
    again = copy(shop.url, target, "-o", "json")
    assert (again.exit_code, counts(again)) == (0, {"same": total})
    assert copy(shop.url, target).stdout == f"{total} same\n"


def test_history_goes_along_where_the_destination_keeps_it(shop: Any, tmp_path: Path) -> None:
    release_all(shop)
    target = f"sqlite:///{tmp_path}/copy.db?history=5"
    assert copy(shop.url, target).exit_code == 0
    words = ["--memory", target, "instances", "history", shop.ids["order"], "-o", "json"]
    there = json.loads(CliRunner().invoke(app, words).stdout)
    assert there == shop.json("instances", "history", shop.ids["order"])
    assert [record["version"] for record in there["records"]] == [1]


def test_a_held_lease_stops_the_copy_before_it_begins(shop: Any, tmp_path: Path) -> None:
    result = copy(shop.url, f"sqlite:///{tmp_path}/copy.db")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "2 leases run" in result.stderr
    assert "--force" in result.stderr
    assert not (tmp_path / "copy.db").exists()


def test_force_copies_what_was_committed_under_a_higher_fence(shop: Any, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path}/copy.db"
    assert copy(shop.url, target, "--force").exit_code == 0
    words = ["--memory", target, "instances", "show", shop.ids["held"], "-o", "json"]
    there = json.loads(CliRunner().invoke(app, words).stdout)
    here = shop.json("instances", "show", shop.ids["held"])
    assert there["record"] == here["record"]
    assert there["instance"]["fence"] == here["instance"]["fence"] + 1
    assert there["instance"]["lease"]["held"] is False
    assert here["instance"]["lease"]["held"] is True


def test_an_instance_that_differs_is_left_alone_and_named(shop: Any, tmp_path: Path) -> None:
    release_all(shop)
    target = tmp_path / "copy.db"
    other = {"of": "another"}

    async def write() -> None:
        async with SqliteMachineMemory(target) as memory:
            lease = await memory.acquire(shop.ids["failed"])
            assert lease is not None
            await memory.commit(lease, other)

    asyncio.run(write())
    result = copy(shop.url, f"sqlite:///{target}", "-o", "json")
    assert result.exit_code == 4
    (problem,) = json.loads(result.stdout)["problems"]
    assert (problem["id"], problem["fate"]) == (shop.ids["failed"], "differs")
    words = ["--memory", f"sqlite:///{target}", "instances", "show", shop.ids["failed"], "-o", "json"]
    assert json.loads(CliRunner().invoke(app, words).stdout)["record"] == other
    text = copy(shop.url, f"sqlite:///{target}").stdout
    assert f"…{shop.ids['failed'][-16:]}" in text
    assert "1 differs" in text


def test_a_copy_that_was_broken_off_goes_on(shop: Any, tmp_path: Path) -> None:
    release_all(shop)
    target = tmp_path / "copy.db"
    assert copy(shop.url, f"sqlite:///{target}").exit_code == 0
    with sqlite3.connect(target) as connection:  # as if the last four had not been reached
        serials = connection.execute("SELECT serial FROM instance ORDER BY serial DESC LIMIT 4").fetchall()
        for table in ("instance", "record", "step"):
            connection.executemany(f"DELETE FROM {table} WHERE serial = ?", serials)
    connection.close()
    result = copy(shop.url, f"sqlite:///{target}", "-o", "json")
    assert result.exit_code == 0
    assert counts(result)["copied"] == 4


def test_a_record_that_does_not_decode_is_copied_as_it_is(shop: Any, tmp_path: Path) -> None:
    release_all(shop)
    with sqlite3.connect(shop.path) as connection:
        serial = connection.execute("SELECT serial FROM instance WHERE id = ?", (shop.ids["orphan"],))
        connection.execute("UPDATE record SET data = x'007f' WHERE serial = ?", serial.fetchone())
    connection.close()
    target = f"sqlite:///{tmp_path}/copy.db"
    result = copy(shop.url, target)
    assert result.exit_code == 0, result.stderr
    shown = CliRunner().invoke(app, ["--memory", target, "instances", "show", shop.ids["orphan"]])
    assert shown.exit_code == 1
    assert "do not decode" in shown.stderr or "corrupt" in shown.stderr


def test_wrong_usage(shop: Any, tmp_path: Path) -> None:
    assert copy(shop.url, shop.url).exit_code == 2
    assert copy(f"sqlite:///{tmp_path}/none.db", f"sqlite:///{tmp_path}/copy.db").exit_code == 1
    assert copy(shop.url, "nowhere://x").exit_code == 2
    assert list(tmp_path.glob("*copy*")) == []
