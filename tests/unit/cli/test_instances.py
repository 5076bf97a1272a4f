"""`pyarvo instances` on a real store."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pyarvo.cli import app
from pyarvo.cli.views import EventIdentity, event_identity
from pyarvo.memory import SqliteMachineMemory

# Everything that could move a cursor, change a colour or turn the writing direction; line breaks are structure.
HARMFUL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


def ids_of(answer: Any) -> list[str]:
    return [instance["id"] for instance in answer["instances"]]


# ------------------------------------------------------------------------------------------------------ list


def test_list_names_whole_ids_in_json_newest_first(shelf: Any) -> None:
    answer = shelf.json("instances", "list")
    ids = ids_of(answer)
    assert len(ids) == answer["count"] == 13
    assert ids[0].startswith("-starts")
    assert ids[-1] == shelf.ids["order"]
    order = answer["instances"][-1]
    assert (order["orchestrator"], order["orchestrator_version"], order["status"]) == (
        "arvo.orc.shop.order",
        "1.0.0",
        "active",
    )
    assert datetime.fromisoformat(order["created_at"]).utcoffset() is not None
    assert order["lease"]["held"] is False
    assert answer["cursor"] is None


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--orchestrator", "arvo.orc.shop.parcel"], ["old_parcel", "parcel"]),
        (["--orchestrator", "arvo.orc.shop.parcel", "--status", "done"], ["old_parcel"]),
        (["--status", "failure"], ["failed"]),
        (["--version", "9.9.9"], []),
        (["--older-than", "1h"], []),
        (["--deleted"], ["deleted"]),
    ],
)
def test_list_narrows(shelf: Any, words: list[str], names: list[str]) -> None:
    assert ids_of(shelf.json("instances", "list", *words)) == [shelf.ids[name] for name in names]


def test_list_of_children_takes_an_abbreviated_parent_and_an_unknown_one(shelf: Any) -> None:
    order = shelf.ids["order"]
    children = [shelf.ids["old_parcel"], shelf.ids["parcel"]]
    assert ids_of(shelf.json("instances", "list", "--parent", order)) == children
    assert ids_of(shelf.json("instances", "list", "--parent", order[-16:])) == children
    elsewhere = shelf.json("instances", "list", "--parent", "a parent in another store")
    assert ids_of(elsewhere) == [shelf.ids["orphan"]]


def test_older_than_takes_what_changed_longer_ago(shop: Any) -> None:
    with sqlite3.connect(shop.path) as connection:
        connection.execute(
            "UPDATE instance SET updated_at = updated_at - 7200 WHERE id = ?", [shop.ids["failed"]]
        )
    connection.close()
    assert ids_of(shop.json("instances", "list", "--older-than", "90m")) == [shop.ids["failed"]]
    assert ids_of(shop.json("instances", "list", "--older-than", "3h")) == []
    assert ids_of(shop.json("instances", "list", "--older-than", "999999999w")) == []


def test_pages_follow_one_another(shelf: Any) -> None:
    whole = ids_of(shelf.json("instances", "list"))
    paged: list[str] = []
    cursor: str | None = "first"
    while cursor is not None:
        more = [] if cursor == "first" else ["--cursor", cursor]
        answer = shelf.json("instances", "list", "--limit", "5", *more)
        paged += ids_of(answer)
        cursor = answer["cursor"]
    assert paged == whole
    table = shelf.run("instances", "list", "--limit", "5").stdout
    assert "5 of 13; more: --cursor " in table


def test_every_short_id_of_the_table_names_its_instance(shelf: Any) -> None:
    whole = ids_of(shelf.json("instances", "list", "--orchestrator", "arvo.orc.shop.order"))
    table = shelf.run("instances", "list", "--orchestrator", "arvo.orc.shop.order").stdout.splitlines()[1:]
    assert len(table) == len(whole) == 5
    for line, id in zip(table, whole, strict=True):
        assert shelf.json("instances", "show", line.split()[0])["instance"]["id"] == id


def test_an_instance_that_was_never_written_is_named_by_its_subject(shelf: Any) -> None:
    answer = shelf.json("instances", "show", shelf.ids["fresh"])
    assert answer["instance"]["orchestrator"] == "arvo.orc.shop.order"
    assert answer["instance"]["version"] == 0
    assert answer["record"] is None


@pytest.mark.parametrize(
    "words",
    [
        ["--older-than", "soon"],
        ["--limit", "0"],
        ["--limit", "1001"],
        ["--cursor", "x"],
        ["--colour"],
        ["-o", "yaml"],
    ],
)
def test_wrong_usage_of_list_is_status_2(shelf: Any, words: list[str]) -> None:
    result = shelf.run("instances", "list", *words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr


# ----------------------------------------------------------------------------------------------- hostile ids


@pytest.mark.parametrize("words", [["list"], ["list", "-o", "json"]])
def test_hostile_ids_reach_no_terminal(shelf: Any, words: list[str]) -> None:
    result = shelf.run("instances", *words)
    assert result.exit_code == 0
    assert HARMFUL.search(result.stdout) is None


def hostile_ids(shelf: Any) -> list[str]:
    return [id for id in ids_of(shelf.json("instances", "list")) if "eJ" not in id]


@pytest.mark.parametrize("command", ["show", "explain", "history", "tree"])
def test_hostile_ids_can_be_asked_for(shelf: Any, command: str) -> None:
    ids = hostile_ids(shelf)
    assert len(ids) == 5
    for id in ids:
        result = shelf.run("instances", command, "--", id)
        assert result.exit_code == 0, result.stderr
        assert HARMFUL.search(result.stdout) is None
        result = shelf.run("instances", command, "-o", "json", "--", id)
        assert HARMFUL.search(result.stdout) is None
        answer = json.loads(result.stdout)
        assert answer.get("instance", answer)["id"] == id


def test_markup_in_ids_and_records_is_shown_as_text(shelf: Any) -> None:
    assert "[red]order[/red]" in shelf.run("instances", "show", "[red]order").stdout
    error = shelf.run("instances", "explain", shelf.ids["failed"]).stdout
    assert r"CardRefused: no [bold]money[/bold]\x1b[2J" in error


def test_the_escaped_form_of_an_id_names_it_too(shelf: Any) -> None:
    answer = shelf.json("instances", "show", r"order \x1b[31mred")
    assert answer["instance"]["id"].startswith("order \x1b[31mred")


# ------------------------------------------------------------------------------------------- show and naming


def test_show_prints_metadata_and_record(shelf: Any) -> None:
    text = shelf.run("instances", "show", shelf.ids["held"]).stdout
    assert shelf.ids["held"] in text
    assert '"executionStatus": "normal"' in text
    assert re.search(r"held by +\S+:\d+, granted or renewed \d\d:\d\d:\d\d UTC, 59 min \d+ s left", text)
    answer = shelf.json("instances", "show", shelf.ids["held"])
    assert answer["record"]["subject"] == shelf.ids["held"]
    assert 3_000 < answer["instance"]["lease"]["remaining_s"] <= 3_600


@pytest.mark.parametrize("command", ["show", "history", "tree", "explain"])
def test_an_unknown_instance_is_status_3(shelf: Any, command: str) -> None:
    result = shelf.run("instances", command, "nobody-knows-it", "-o", "json")
    assert result.exit_code == 3
    assert result.stdout == ""
    assert "nobody-knows-it" in result.stderr


def test_a_short_abbreviation_is_not_taken(shelf: Any) -> None:
    result = shelf.run("instances", "show", "IQ=")
    assert result.exit_code == 3
    assert "4 characters" in result.stderr


def test_an_ambiguous_abbreviation_is_status_2_and_names_candidates(shelf: Any) -> None:
    result = shelf.run("instances", "show", "eJwtj")
    assert result.exit_code == 2
    assert "several" in result.stderr
    assert shelf.ids["order"][-16:] in result.stderr or "…" in result.stderr


@pytest.mark.parametrize("id", ["", "x" * 5_000])
def test_what_can_be_no_id_is_status_2(shelf: Any, id: str) -> None:
    assert shelf.run("instances", "show", id).exit_code == 2


def test_a_damaged_record_is_status_1_and_its_lease_can_still_be_released(shop: Any) -> None:
    with sqlite3.connect(shop.path) as connection:
        connection.execute(
            "UPDATE record SET data = x'7b22' WHERE serial = (SELECT serial FROM instance WHERE id = ?)",
            [shop.ids["held"]],
        )
    connection.close()
    for words in (["show"], ["diff"]):
        result = shop.run("instances", *words, shop.ids["held"])
        assert (result.exit_code, result.stdout) == (1, "")
        assert "damaged" in result.stderr
        assert "pyarvo instances explain" in result.stderr
    assert len(ids_of(shop.json("instances", "list"))) == 13
    assert shop.run("locks", "release", shop.ids["held"], "--reason", "damaged").exit_code == 0


def test_of_an_instance_with_a_damaged_record_the_rest_is_shown(shop: Any) -> None:
    with sqlite3.connect(shop.path) as connection:
        connection.execute(
            "UPDATE record SET data = x'7b22' WHERE serial = (SELECT serial FROM instance WHERE id = ?)",
            [shop.ids["order"]],
        )
    connection.close()
    id = shop.ids["order"]
    told = shop.json("instances", "explain", id)
    assert told["situation"] == "damaged"
    assert "JSON" in told["damage"]
    assert told["waits_for"] is None
    assert told["last_step"]["version"] == told["version"]
    assert told["lease"]["last_holder"]
    assert told["children"]["total"] == 2
    assert [advice["argv"][-2:] for advice in told["next"]] == [["json", id], ["delete", id]]
    page = shop.run("instances", "explain", id).stdout
    assert "record      damaged: " in page
    assert page.count("not known: the record is damaged") == 3
    history = shop.json("instances", "history", id)
    assert history["steps"][-1]["version"] == told["version"]
    assert [record["version"] for record in history["records"]] == [1]
    assert shop.json("instances", "tree", id)["root"]["children"]
    child = told["children"]["unfinished"][0]["id"]
    assert shop.json("instances", "explain", child)["parents"][0]["id"] == id


def test_a_damaged_earlier_record_is_named_and_hides_nothing_else(shop: Any) -> None:
    id = shop.ids["order"]
    with sqlite3.connect(shop.path) as connection:
        connection.execute(
            "UPDATE history SET data = x'7b22' WHERE serial = (SELECT serial FROM instance WHERE id = ?)",
            [id],
        )
    connection.close()
    history = shop.json("instances", "history", id)
    assert len(history["steps"]) == 2
    (record,) = history["records"]
    assert (record["version"], record["record"]) == (1, None)
    assert "JSON" in record["damage"]
    page = shop.run("instances", "history", id).stdout
    assert "kept, of versions 1" in page
    assert "Version 1 is damaged: " in page
    told = shop.json("instances", "explain", id)
    assert told["situation"] == "waiting"
    assert not told["diff"]["kept"]
    assert "version 1 is damaged: " in told["diff"]["reason"]
    diff = shop.run("instances", "diff", id)
    assert (diff.exit_code, diff.stdout) == (1, "")
    assert "version 1 is damaged: " in diff.stderr
    assert shop.json("instances", "diff", id, "--from", "2", "--to", "2")["changes"] == []


# --------------------------------------------------------------------------------------------------- history


def test_history_lists_steps_and_kept_records(shelf: Any) -> None:
    answer = shelf.json("instances", "history", shelf.ids["order"])
    first, second = answer["steps"]
    assert first["event"] == {"source": "com.shop.web", "id": "init-1"}
    assert [event["type"] for event in first["produced"]] == [
        "com.pay.charge",
        "arvo.orc.shop.parcel",
        "arvo.orc.shop.parcel",
    ]
    assert (second["version"], second["produced"]) == (2, [])
    assert [(kept["version"], kept["record"]["value"]["ship"]) for kept in answer["records"]] == [(1, "wait")]
    text = shelf.run("instances", "history", shelf.ids["order"]).stdout
    assert "com.pay.charge" in text
    assert "Earlier records: kept, of versions 1" in text


def test_history_by_pages_and_of_writes_without_events(shelf: Any) -> None:
    after = shelf.json("instances", "history", shelf.ids["order"], "--after", "1")
    assert [step["version"] for step in after["steps"]] == [2]
    latest = shelf.json("instances", "history", shelf.ids["order"], "--limit", "1")
    assert [step["version"] for step in latest["steps"]] == [2]
    first = shelf.json("instances", "history", shelf.ids["order"], "--limit", "1", "--after", "0")
    assert [step["version"] for step in first["steps"]] == [1]
    plain = shelf.json("instances", "history", "[red]order")
    assert [step["event"] for step in plain["steps"]] == [None]
    assert "a write without an event" in shelf.run("instances", "history", "[red]order").stdout


# ------------------------------------------------------------------------------------------------------ tree


@pytest.mark.parametrize("asked", ["order", "parcel"])
def test_tree_is_the_whole_family_whoever_is_asked(shelf: Any, asked: str) -> None:
    answer = shelf.json("instances", "tree", shelf.ids[asked])
    assert answer["id"] == shelf.ids[asked]
    assert answer["root"]["instance"]["id"] == shelf.ids["order"]
    children = answer["root"]["children"]
    assert [(child["instance"]["id"], child["instance"]["status"]) for child in children] == [
        (shelf.ids["parcel"], "active"),
        (shelf.ids["old_parcel"], "done"),
    ]
    assert (answer["complete"], answer["missing_parent"]) == (True, None)
    lines = shelf.run("instances", "tree", shelf.ids[asked]).stdout.splitlines()
    (marked,) = [line for line in lines if "this one" in line]
    assert shelf.ids[asked][-16:] in marked


def test_tree_is_cut_at_the_limit_and_says_so(shelf: Any) -> None:
    answer = shelf.json("instances", "tree", shelf.ids["order"], "--limit", "2")
    assert answer["complete"] is False
    assert len(answer["root"]["children"]) == 1
    assert "only the first 2" in shelf.run("instances", "tree", shelf.ids["order"], "--limit", "2").stdout


def test_tree_names_a_parent_that_is_elsewhere(shelf: Any) -> None:
    assert (
        shelf.json("instances", "tree", shelf.ids["orphan"])["missing_parent"] == "a parent in another store"
    )
    assert "is not in this store" in shelf.run("instances", "tree", shelf.ids["orphan"]).stdout


def test_a_circle_of_parents_is_walked_once(shop: Any) -> None:
    with sqlite3.connect(shop.path) as connection:
        pair = (shop.ids["parcel"], shop.ids["order"])
        connection.execute("UPDATE instance SET parent = ? WHERE id = ?", pair)
    connection.close()
    answer = shop.json("instances", "tree", shop.ids["order"])
    seen: list[str] = []
    waiting = [answer["root"]]
    for branch in waiting:
        seen.append(branch["instance"]["id"])
        waiting += branch["children"]
    assert sorted(seen) == sorted(shop.ids[name] for name in ("order", "parcel", "old_parcel"))


# --------------------------------------------------------------------------------------------------- explain


@pytest.mark.parametrize(
    ("name", "situation"),
    [
        ("order", "waiting"),
        ("resumable", "waiting"),
        ("held", "held"),
        ("fresh", "held"),
        ("failed", "failed"),
        ("old_parcel", "done"),
        ("deleted", "deleted"),
        ("orphan", "idle"),
    ],
)
def test_explain_tells_each_situation_on_one_screen(shelf: Any, name: str, situation: str) -> None:
    answer = shelf.json("instances", "explain", shelf.ids[name])
    assert (answer["id"], answer["situation"]) == (shelf.ids[name], situation)
    result = shelf.run("instances", "explain", shelf.ids[name])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) <= 24
    assert situation in lines[0]
    assert any(line.lstrip("next ").startswith("pyarvo ") for line in lines)


def test_explain_says_what_an_order_waits_for_and_what_changed(shelf: Any) -> None:
    answer = shelf.json("instances", "explain", shelf.ids["order"])
    assert [(one["id"], one["child"]) for one in answer["waits_for"]] == [
        ("pay-1", None),
        ("parcel-2", shelf.ids["parcel"]),
    ]
    assert answer["children"] == {
        "total": 2,
        "unfinished": [
            {
                "id": shelf.ids["parcel"],
                "orchestrator": "arvo.orc.shop.parcel",
                "orchestrator_version": "1.0.0",
                "status": "active",
            }
        ],
    }
    assert answer["last_step"]["type"] == "arvo.orc.shop.parcel.done"
    assert answer["state"] == {"ship": "one", "pay": "wait"}
    assert [change["path"] for change in answer["diff"]["changes"]] == ["$.value.ship"]


def test_the_next_command_works_as_typed(shelf: Any) -> None:
    answer = shelf.json("instances", "explain", shelf.ids["order"])
    argv = answer["next"][0]["argv"]
    assert argv[:3] == ["pyarvo", "--memory", shelf.url]
    assert shelf.run(*argv[3:]).exit_code == 0
    text = shelf.run("instances", "explain", shelf.ids["order"]).stdout
    match = re.search(r"pyarvo --memory \S+ instances explain (\S+)", text)
    assert match is not None
    assert shelf.json("instances", "show", match[1])["instance"]["id"] == shelf.ids["parcel"]


async def write(path: Path, *ids: str) -> None:
    async with SqliteMachineMemory(path) as memory:
        for id in ids:
            lease = await memory.acquire(id)
            assert lease is not None
            await memory.commit(lease, {"n": 1})


def test_the_next_command_is_one_line_and_names_one_instance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    path = tmp_path / "m.db"
    asyncio.run(write(path, "order-1-" + "tail" * 10, "order-2-" + "tail" * 10))
    words = ["--memory", f"sqlite:///{path}", "instances", "explain", "order-2"]
    text = CliRunner().invoke(app, words).stdout
    (line,) = [line for line in text.splitlines() if line.startswith("next")]
    argv = shlex.split(line)[2:]
    assert CliRunner().invoke(app, argv).exit_code == 0


def test_a_table_has_all_columns_and_whole_ids_on_a_narrow_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    path = tmp_path / "m.db"
    ids = [f"order-{n}-{'tail' * 20}" for n in (1, 2)]
    asyncio.run(write(path, *ids))
    text = CliRunner().invoke(app, ["--memory", f"sqlite:///{path}", "instances", "list"]).stdout
    assert text.split("\n")[0].split() == "ID ORCHESTRATOR VERSION STATUS STEPS CHANGED LEASE".split()
    assert all(id.removeprefix("order-") in text for id in ids)


def test_a_dead_holder_is_noticed(shelf: Any) -> None:
    answer = shelf.json("instances", "explain", shelf.ids["held"])
    assert answer["next"][0]["argv"][3:5] == ["locks", "release"]
    assert "no longer runs" in answer["next"][0]["why"]


def test_whether_a_holder_elsewhere_lives_is_not_guessed(shop: Any) -> None:
    with sqlite3.connect(shop.path) as connection:
        connection.execute(
            "UPDATE instance SET holder = 'another-host:4194305' WHERE id = ?", [shop.ids["held"]]
        )
    connection.close()
    answer = shop.json("instances", "explain", shop.ids["held"])
    assert answer["lease"]["holder"] == "another-host:4194305"
    assert answer["next"][0]["argv"][3:5] == ["instances", "explain"]


def test_long_answers_are_cut_on_the_page_and_whole_in_json(shop: Any) -> None:
    with sqlite3.connect(shop.path) as connection:
        connection.execute(
            "UPDATE instance SET parent = ? WHERE version > 0 AND id <> ?", [shop.ids["order"]] * 2
        )
    connection.close()
    unfinished = shop.json("instances", "explain", shop.ids["order"])["children"]["unfinished"]
    assert len(unfinished) == 9
    text = shop.run("instances", "explain", shop.ids["order"]).stdout
    assert "and 4 more: -o json" in text
    assert len(text.splitlines()) <= 24


def test_explain_shows_parents(shelf: Any) -> None:
    answer = shelf.json("instances", "explain", shelf.ids["parcel"])
    assert [parent["id"] for parent in answer["parents"]] == [shelf.ids["order"]]
    assert shelf.ids["order"][-16:] in shelf.run("instances", "explain", shelf.ids["parcel"]).stdout


# ---------------------------------------------------------------------------------------------------- delete


def test_delete_leaves_a_tombstone(shop: Any) -> None:
    id = shop.ids["failed"]
    assert shop.json("instances", "delete", "--yes", id[-16:]) == {"id": id, "deleted": True}
    assert id in ids_of(shop.json("instances", "list", "--deleted"))
    assert shop.run("instances", "delete", "--yes", id).exit_code == 3


def test_delete_asks_first_and_refuses_what_is_held(shop: Any) -> None:
    result = shop.run("instances", "delete", shop.ids["failed"])
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert shop.run("instances", "delete", "-y", shop.ids["held"]).exit_code == 4
    assert shop.run("instances", "show", shop.ids["held"]).exit_code == 0
    assert shop.run("instances", "delete", "-y", "--force", shop.ids["held"]).exit_code == 0


# ------------------------------------------------------------------------------------------- which memory


def test_looking_makes_no_memory(shelf: Any, tmp_path: Path) -> None:
    missing = tmp_path / "typo.db"
    for words in (["instances", "list"], ["locks", "list"], ["instances", "explain", "some-id"]):
        result = shelf.run(*words, "--memory", f"sqlite:///{missing}")
        assert result.exit_code == 1
        assert "no memory at" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_stays_empty_and_a_directory_is_refused(shelf: Any, tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    empty.touch()
    assert shelf.run("instances", "list", "--memory", f"sqlite:///{empty}").exit_code == 1
    assert empty.stat().st_size == 0
    assert "directory" in shelf.run("instances", "list", "--memory", f"sqlite:///{tmp_path}").stderr


def test_a_foreign_database_is_left_alone(shelf: Any, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.db"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE mine (x)")
    connection.commit()
    connection.close()
    result = shelf.run("instances", "list", "--memory", f"sqlite:///{foreign}")
    assert result.exit_code == 1
    assert "something else" in result.stderr


@pytest.mark.parametrize(
    "url", ["mongo://me:s3cret@host/db", "no url", "sqlite://", "sqlite:///x?colour=red"]
)
def test_a_memory_that_is_not_understood_is_status_2_without_secrets(shelf: Any, url: str) -> None:
    result = shelf.run("instances", "list", "--memory", url)
    assert result.exit_code == 2
    assert "s3cret" not in result.output


def test_a_url_in_the_wrong_place_is_not_repeated_with_its_password(shelf: Any) -> None:
    result = shelf.run("instances", "list", "redis://me:s3cret@host")
    assert result.exit_code == 2
    assert "s3cret" not in result.output


def test_a_memory_of_this_process_is_empty_and_says_so(shelf: Any) -> None:
    result = shelf.run("instances", "list", "--memory", "memory://", "-o", "json")
    assert json.loads(result.stdout)["instances"] == []
    assert "one process" in result.stderr


class FourVerbs:
    """What a memory without the query level looks like."""


def four_verbs(_url: str, **_options: object) -> FourVerbs:
    return FourVerbs()


def test_a_memory_without_the_query_level_is_refused(shelf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyarvo.cli.opening.open_memory", four_verbs)
    result = shelf.run("instances", "list")
    assert result.exit_code == 1
    assert "FourVerbs has no query level" in result.stderr


def test_a_memory_whose_driver_is_missing(shelf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def opening(url: str) -> object:
        raise ImportError("No module named 'driver'")

    monkeypatch.setattr("pyarvo.cli.opening.open_memory", opening)
    result = shelf.run("instances", "list", "--memory", "other://me:s3cret@host")
    assert result.exit_code == 1
    assert "other://me:***@host cannot be loaded: No module named 'driver'" in result.stderr


# ---------------------------------------------------------------------------------------------------- events


@pytest.mark.parametrize(
    ("key", "source", "id"),
    [
        ('["com.web","1"]', "com.web", "1"),
        ("[1,2]", None, "[1,2]"),
        ("plain", None, "plain"),
        ("[" * 8_000, None, "[" * 8_000),
    ],
)
def test_any_key_of_a_step_names_an_event(key: str, source: str | None, id: str) -> None:
    assert event_identity(key) == EventIdentity(source, id)
