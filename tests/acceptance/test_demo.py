"""The demo: its input, its count, and the run itself with processes that are killed."""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pyarvo.demo import run as demo_run
from pyarvo.demo.check import check
from pyarvo.demo.contracts import ORDER
from pyarvo.demo.effects import Effects, create_tables
from pyarvo.demo.make_orders import make_lines
from pyarvo.demo.orders import INPUT, fate_of, first_orders, placed_orders, read_lines
from pyarvo.demo.place import Place, sqlite_place
from pyarvo.demo.report import KillReport, Report
from pyarvo.demo.run import DemoFailed, run_demo
from pyarvo.demo.worker import Job, work
from pyarvo.errors import InvalidOption
from pyarvo.events import ArvoOrchestrationSubject, create_arvo_event
from pyarvo.memory import SqliteMachineMemory

# --- the input ---------------------------------------------------------------------------------------------------


def with_plain_subject(line: str) -> Any:
    """The line with its subject unpacked: other builds of zlib pack the same text into other bytes."""
    try:
        event = json.loads(line)
        return {**event, "subject": ArvoOrchestrationSubject.parse(event["subject"])}
    except (ValueError, TypeError):
        return line


def test_the_generator_makes_the_file_again() -> None:
    shipped = INPUT.read_text(encoding="utf-8").splitlines()
    made = list(make_lines())
    assert list(map(with_plain_subject, made)) == list(map(with_plain_subject, shipped))


def test_the_input_is_as_messy_as_life() -> None:
    lines = list(read_lines(INPUT))
    events = [line.event for line in lines if line.event is not None]
    orders = placed_orders(lines)
    assert len(orders) >= 200
    assert {ArvoOrchestrationSubject.parse(subject)["orchestrator"]["version"] for subject in orders} == {
        "1.0.0",
        "2.0.0",
    }
    assert sum(1 for line in lines if line.event is None) >= 5
    copies = Counter((event.source, event.id) for event in events)
    assert sum(1 for count in copies.values() if count > 1) >= 10, "duplicate deliveries"
    firsts = [event.time for event in orders.values()]
    assert sum(1 for one, next in pairwise(firsts) if next < one) >= 10, "out of order"
    subjects_so_far: set[str] = set()
    early = 0
    for event in events:
        early += event.type != ORDER.type and event.subject in orders and event.subject not in subjects_so_far
        subjects_so_far.add(event.subject)
    assert early >= 10, "answers that overtake their order"
    assert set(Counter(fate_of(order).result for order in orders.values())) == {
        "done",
        "rejected",
        "compensated",
        "failed",
    }


def test_a_part_of_the_input_has_every_event_of_its_orders() -> None:
    lines = list(read_lines(INPUT))
    part = first_orders(lines, 30)
    orders = placed_orders(part)
    assert list(orders) == list(placed_orders(lines))[:30]
    for subject in orders:
        whole = [line.number for line in lines if line.event is not None and line.event.subject == subject]
        assert [line.number for line in part if line.event and line.event.subject == subject] == whole


# --- the count ---------------------------------------------------------------------------------------------------


async def make_file(path: Path) -> str:
    async with SqliteMachineMemory(path) as memory:
        await memory.count()
    create_tables(str(path))
    return str(path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Store and input of a run in which nobody was killed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    text = "".join(line.text for line in first_orders(list(read_lines(INPUT)), 40))
    (folder / "input.jsonl").write_text(text, encoding="utf-8")
    job = Job(
        place=sqlite_place(folder / "memory.db"),
        input=str(folder / "input.jsonl"),
        share=0,
        shares=1,
        name="the only one",
    )

    async def run() -> None:
        await make_file(folder / "memory.db")
        await work(job)

    asyncio.run(run())
    return folder / "memory.db", folder / "input.jsonl"


@pytest.fixture
def tampered(undisturbed: tuple[Path, Path], tmp_path: Path) -> Callable[[str], Path]:
    def change(statement: str) -> Path:
        copy = tmp_path / "memory.db"
        shutil.copy(undisturbed[0], copy)
        with closing(sqlite3.connect(copy)) as connection:
            assert connection.execute(statement).rowcount == 1
            connection.commit()
        return copy

    return change


async def test_without_a_kill_everything_is_right_and_the_demo_shows_nothing(
    undisturbed: tuple[Path, Path],
) -> None:
    report = await check(sqlite_place(undisturbed[0]), undisturbed[1])
    assert (report.lost, report.doubled, report.findings) == (0, 0, [])
    assert (report.takeovers, report.kills) == (0, [])
    assert sum(report.orders.values()) == 40
    assert report.orders["unfinished"] == 0
    assert report.orders["failed"] >= 1
    assert report.orders["compensated"] >= 1
    assert report.replays >= 1, "there are duplicates in the input"
    assert len(report.dead_letters) >= 10
    assert not report.is_good


async def test_a_missing_effect_is_lost(
    tampered: Callable[[str], Path], undisturbed: tuple[Path, Path]
) -> None:
    store = tampered("DELETE FROM demo_effect WHERE name = 'A-0001' AND action = 'ship'")
    report = await check(sqlite_place(store), undisturbed[1])
    assert (report.lost, report.doubled) == (1, 0)
    assert report.findings == ["order A-0001: no 'ship'"]


async def test_an_effect_under_another_key_is_doubled(
    tampered: Callable[[str], Path], undisturbed: tuple[Path, Path]
) -> None:
    store = tampered(
        "INSERT INTO demo_effect SELECT 'another', name, action, answer, worker FROM demo_effect "
        "WHERE name = 'A-0001' AND action = 'charge'"
    )
    report = await check(sqlite_place(store), undisturbed[1])
    assert (report.lost, report.doubled) == (0, 1)


async def test_an_effect_that_nobody_ordered_is_too_many(
    tampered: Callable[[str], Path], undisturbed: tuple[Path, Path]
) -> None:
    store = tampered("INSERT INTO demo_effect VALUES ('k', 'A-0001', 'refund', '{}', 'w')")
    report = await check(sqlite_place(store), undisturbed[1])
    assert (report.lost, report.doubled) == (0, 1)


async def test_an_order_without_an_end_is_lost(
    tampered: Callable[[str], Path], undisturbed: tuple[Path, Path]
) -> None:
    subject = next(iter(placed_orders(read_lines(undisturbed[1]))))
    store = tampered(f"UPDATE instance SET status = 'active' WHERE id = '{subject}'")
    report = await check(sqlite_place(store), undisturbed[1])
    assert report.lost == 1
    assert report.orders["unfinished"] == 1


async def test_a_lease_that_nobody_gave_up_is_a_takeover(
    tampered: Callable[[str], Path], undisturbed: tuple[Path, Path]
) -> None:
    subject = next(iter(placed_orders(read_lines(undisturbed[1]))))
    store = tampered(f"UPDATE instance SET fence = fence + 1 WHERE id = '{subject}'")
    assert (await check(sqlite_place(store), undisturbed[1])).takeovers == 1


async def test_an_effect_is_done_once_for_a_key_and_answers_as_the_first_time(tmp_path: Path) -> None:
    path = await make_file(tmp_path / "memory.db")
    request = create_arvo_event(source="com.t.a", type="com.t.b", subject="s", data={}, id="same")
    other = create_arvo_event(source="com.t.a", type="com.t.b", subject="s", data={}, id="other")
    async with Effects(path, "one") as one, Effects(path, "two") as two:
        assert await one.perform("A-1", "charge", request, {"number": 1}) == {"number": 1}
        assert await two.perform("A-1", "charge", request, {"number": 2}) == {"number": 1}
        assert await two.perform("A-1", "charge", other, {"number": 3}) == {"number": 3}
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM demo_effect").fetchone() == (2,)


GOOD: dict[str, Any] = {
    "orders": {},
    "versions": {},
    "events": 1,
    "effects": 1,
    "replays": 1,
    "takeovers": 1,
    "kills": [KillReport("after_commit", "w", "o", settled=True)],
    "lost": 0,
    "doubled": 0,
    "findings": [],
    "dead_letters": [],
}


@pytest.mark.parametrize(
    "bad",
    [
        {"replays": 0},
        {"takeovers": 0},
        {"lost": 1},
        {"doubled": 1},
        {"kills": [KillReport("after_commit", "w", "o", settled=False)]},
    ],
)
def test_each_count_can_make_the_run_bad(bad: dict[str, Any]) -> None:
    assert Report(**GOOD).is_good
    assert not Report(**{**GOOD, **bad}).is_good


# --- the run -----------------------------------------------------------------------------------------------------


def demo(*options: str) -> tuple[int, dict[str, Any], str]:
    ran = subprocess.run(
        [sys.executable, "-c", "from pyarvo.cli import main; main()", "demo", "-o", "json", *options],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    return ran.returncode, json.loads(ran.stdout), ran.stderr


def test_workers_are_killed_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    status, report, told = demo("--memory", f"sqlite:///{tmp_path}/memory.db")
    assert report["findings"] == []
    assert (report["lost"], report["doubled"]) == (0, 0)
    assert report["orders"] == {"done": 185, "rejected": 6, "compensated": 25, "failed": 4, "unfinished": 0}
    assert report["takeovers"] >= 1
    assert report["replays"] >= 1
    assert sorted((kill["point"], kill["settled"]) for kill in report["kills"]) == [
        ("after_acquire", True),
        ("after_commit", True),
    ]
    assert status == 0
    assert "killed with SIGKILL" in told
    with closing(sqlite3.connect(tmp_path / "memory.db")) as connection:
        assert connection.execute("SELECT count(*) FROM demo_effect").fetchone() == (report["effects"],)


def test_without_replay_effects_are_doubled() -> None:
    status, report, _ = demo("--no-replay", "--orders", "40")
    assert report["doubled"] > 0
    assert report["replays"] == 0
    assert len(report["kills"]) == 2
    assert status == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("orders", 19),
        ("orders", 1_000),
        ("workers", 0),
        ("workers", 5),
        ("memory", "memory://"),
        ("memory", "redis://localhost?prefix=mine"),
        ("memory", "postgresql://localhost/db?schema=mine"),
        ("memory", "nats://localhost/mine"),
        ("server", "oracle"),
        ("memory", "sqlite:///"),
        ("memory", "sqlite:///x.db?lease_ttl_s=2"),
    ],
)
def test_options_that_cannot_be_are_refused(option: str, value: Any) -> None:
    with pytest.raises(InvalidOption, match=option):
        run_demo(**{option: value})


def test_a_file_that_exists_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "mine.db"
    file.write_text("precious")
    with pytest.raises(InvalidOption, match="exists"):
        run_demo(memory=f"sqlite:///{file}")
    assert file.read_text() == "precious"


def test_a_worker_that_breaks_ends_the_demo_with_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_arguments(_job: Job) -> list[str]:
        return []

    monkeypatch.setattr(Job, "arguments", no_arguments)
    with pytest.raises(DemoFailed, match=r"worker-1\.1 ended with status 2:(.|\n)*arguments are required"):
        run_demo(workers=1)


def test_workers_that_do_not_come_to_an_end_are_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyarvo.demo.run._DEADLINE_S", 0.2)
    with pytest.raises(DemoFailed, match=r"not done after 0\.2 s"):
        run_demo(orders=20)


def test_the_command_to_look_around_works_whatever_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "odd [red] #%41 dir"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    words = [sys.executable, "-m", "pyarvo", "demo", "--orders", "20", "--keep"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=True)
    (told,) = [line for line in done.stdout.splitlines() if line.startswith("Look around: ")]
    look = [sys.executable, "-m", *shlex.split(told.removeprefix("Look around: "))]
    listed = subprocess.run(look, capture_output=True, text=True, timeout=60, check=True)
    assert listed.stdout.startswith("ID ")
    assert len(listed.stdout.splitlines()) > 20


async def test_a_run_that_fails_leaves_nothing_in_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[Place] = []

    async def remove(place: Place) -> None:
        removed.append(place)

    monkeypatch.setattr(Place, "remove", remove)
    place = Place("redis://host?prefix=x", "effects.db")
    for keep in (True, False):
        with pytest.raises(KeyboardInterrupt):
            async with demo_run.removed(place, keep=keep):
                raise KeyboardInterrupt
    assert removed == [place]
