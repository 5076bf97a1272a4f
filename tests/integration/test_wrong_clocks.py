"""Processes whose clocks are wrong by an hour: leases are judged by the store's clock, and no write is lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import pytest
from tests.servers.nats import nats_url
from tests.servers.postgres import new_schema, postgres_url
from tests.servers.redis import redis_url

from pyarvo.memory import open_memory

SCRIPT = Path(__file__).with_name("clock_process.py")
HOUR_S = 3_600
WITHIN_S = 20.0

Ask = Callable[[str], str]


@pytest.fixture
def start() -> Iterator[Callable[[int, str], Ask]]:
    """Starts a process whose clock is so many seconds off, at a URL; gives a function that asks it."""
    started: list[subprocess.Popen[str]] = []

    def start(offset_s: int, url: str) -> Ask:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(offset_s), url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)

        def ask(order: str) -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            print(order, file=process.stdin, flush=True)
            return process.stdout.readline().strip()

        return ask

    yield start
    for process in started:
        process.communicate(timeout=WITHIN_S)


@pytest.fixture(params=["redis", "postgres", "nats"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "redis":
        with redis_url(tmp_path) as url:
            yield f"{url}?prefix={new_schema()}"
    elif request.param == "nats":
        with nats_url(tmp_path) as url:
            yield f"{url}/{new_schema()}"
    else:
        yield f"{postgres_url()}?schema={new_schema()}"


async def test_a_servers_clock_judges_whatever_the_processes_say(
    start: Callable[[int, str], Ask], url: str
) -> None:
    ahead, behind = start(HOUR_S, url), start(-HOUR_S, url)
    async with open_memory(url, lock_attempts=1) as memory:
        for version, (holder, other) in enumerate([(ahead, behind), (behind, ahead)], 1):
            assert holder("acquire 60") == f"held {version}"
            assert other("acquire 60") == "denied"
            assert await memory.acquire("a") is None
            assert holder(f"commit {version}") == f"ok {version}"
        assert behind("acquire 1") == "held 3"
        until = monotonic() + WITHIN_S
        while (lease := await memory.acquire("a")) is None:
            assert monotonic() < until
        assert behind("commit 3") == "LeaseLost"
        assert await memory.commit(lease, {"n": 4}) == 3
        assert [step.version for step in await memory.journal("a")] == [1, 2, 3]


async def test_on_one_file_a_lease_may_end_early_and_no_write_is_lost(
    start: Callable[[int, str], Ask], tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/clocks.db"
    ahead, behind = start(HOUR_S, url), start(-HOUR_S, url)
    assert ahead("acquire 60") == "held 1"
    assert behind("acquire 60") == "held 2"  # granted in its future: over
    assert ahead("commit 1") == "LeaseLost"
    assert ahead("acquire 60") == "held 3"  # ended an hour ago: over
    assert behind("commit 2") == "LeaseLost"
    assert ahead("commit 3") == "ok 1"
    assert behind("acquire 60") == "held 4"
    assert behind("commit 4") == "ok 2"
    async with open_memory(url) as memory:
        assert await memory.read("a") == {"n": 4}
        assert [step.version for step in await memory.journal("a")] == [1, 2]
