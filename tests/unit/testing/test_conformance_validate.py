"""The kit itself: what it finds in wrong memories, how it tells it, and that it leaves nothing out."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from contextvars import Context
from typing import Any

import pytest

from pyarvo.errors import InvalidOption
from pyarvo.memory import LeasedMemory, MachineMemory, SimpleMachineMemory
from pyarvo.telemetry import active, names
from pyarvo.testing.conformance import Factory, Level, Outcome, Report, validate
from pyarvo.testing.conformance.listening import listening
from pyarvo.testing.conformance.stores import by_way_of, server_of, shared_simple


class Careless:
    """Four verbs as most people write them first: no owner, no end, no check."""

    def __init__(self, records: dict[str, Any], held: set[str]) -> None:
        self._records = records
        self._held = held

    async def read(self, id: str) -> Any:
        return self._records.get(id)

    async def write(self, id: str, data: Any) -> None:
        self._records[id] = data

    async def lock(self, id: str) -> bool:
        if id in self._held:
            return False
        self._held.add(id)
        return True

    async def unlock(self, id: str) -> bool:
        self._held.discard(id)
        return True


def careless(kind: type[Careless] = Careless) -> Factory:
    records: dict[str, Any] = {}
    held: set[str] = set()

    def factory(**_: Any) -> MachineMemory:
        return kind(records, held)

    return factory


class FourVerbs:
    """A right memory, of which only the four verbs are seen."""

    def __init__(self, memory: LeasedMemory) -> None:
        self.read, self.write = memory.read, memory.write
        self.lock, self.unlock = memory.lock, memory.unlock


def four_verbs() -> Factory:
    simple: Any = shared_simple()

    def factory(**options: Any) -> MachineMemory:
        return FourVerbs(simple(**options))

    return factory


def failed(report: Report) -> set[str]:
    return {each.id for each in report.failures}


async def test_a_right_memory_of_four_verbs_keeps_the_base_level() -> None:
    report = await validate(four_verbs())
    assert report.offered == (Level.BASE,)
    assert failed(report) == set()
    assert report.counted(Outcome.PASSED) == len(report.clauses) > 80


async def test_a_careless_memory_is_red_where_it_is_wrong_and_green_where_it_is_right() -> None:
    report = await validate(
        careless(), only=["base.ownership.*", "base.lease.*", "base.roundtrip.*", "base.absent.*"]
    )
    assert not report.ok
    assert failed(report) >= {
        "base.ownership.01",  # anybody unlocks
        "base.ownership.03",  # anybody writes
        "base.ownership.05",
        "base.ownership.10",
        "base.lease.03",  # no lease ends
        "base.lease.05",
        "base.lease.07",
        "base.roundtrip.12",  # the caller's dict is the record
        "base.roundtrip.13",
        "base.roundtrip.14",
        "base.roundtrip.16",
    }
    assert failed(report).isdisjoint(
        {"base.lease.01", "base.lease.06", "base.absent.01", "base.roundtrip.01"}
    )


async def test_a_failure_says_the_promise_what_was_seen_and_the_calls_that_led_to_it() -> None:
    (result,) = (await validate(careless(), only="base.ownership.01")).clauses
    assert (result.outcome, result.level, result.family) == (Outcome.FAILED, Level.BASE, "ownership")
    assert result.title.startswith("unlock by somebody who holds nothing is False")
    assert result.reason == "unlock by somebody who holds nothing: True, not False"
    assert [line.split("ms  ")[1] for line in result.history] == [
        "m1.lock('a') -> True",
        "m2.unlock('a') -> True",
    ]


async def test_what_is_declared_and_missing_fails() -> None:
    report = await validate(four_verbs(), levels=["base", "leased"], only=["base.lease.01", "leased.cas.*"])
    assert not report.ok
    missing = [each for each in report.clauses if each.outcome is Outcome.MISSING]
    assert [each.id for each in missing] == [each.id for each in report.clauses if each.level is Level.LEASED]
    assert len(missing) >= 8
    assert report.counted(Outcome.PASSED) == 1


async def test_without_the_address_of_its_server_the_network_is_missing() -> None:
    report = await validate(four_verbs(), levels=["base", "network"], only=["base.lease.01", "network.*"])
    missing = [each for each in report.clauses if each.outcome is Outcome.MISSING]
    assert len(missing) == len(report.clauses) - 1 >= 12
    assert {each.reason for each in missing} == {
        "the memory declares network and lacks the address of its server"
    }


async def test_without_an_sdk_that_hears_it_telemetry_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyarvo.testing.conformance.running.can_listen", lambda: False)
    report = await validate(shared_simple(), only=["base.lease.01", "leased.telemetry.*"])
    missing = [each for each in report.clauses if each.outcome is Outcome.MISSING]
    assert len(missing) == len(report.clauses) - 1 == 6
    assert {each.reason for each in missing} == {"nobody can hear what is told: pip install 'pyarvo[kit]'"}


async def test_what_the_kit_listens_with_is_heard_by_nobody_else() -> None:
    memory = SimpleMachineMemory()
    async with listening() as heard:
        lease = await memory.acquire("a")
        assert lease is not None
        await asyncio.create_task(memory.release(lease), context=Context())
        assert names.LOCK_ACQUISITIONS.name in heard.metrics()
        assert names.HOLD_DURATION.name not in heard.metrics()
    assert active() is None


async def test_an_address_that_is_given_and_not_declared_fails() -> None:
    report = await validate(four_verbs(), levels=["base"], server="127.0.0.1:1")
    assert "network.declared" in failed(report)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("redis://:secret@cache/0?prefix=x", "cache:6379"),
        ("postgresql://me:secret@db.example:6000/shop", "db.example:6000"),
        ("nats://[::1]", "[::1]:4222"),
        ("postgresql://one,two/shop", None),
        ("postgresql://db/shop?sslmode=require", None),
        ("rediss://cache", None),
        ("redis+cluster://cache", None),
        ("sqlite:///a.db", None),
        ("memory://", None),
    ],
)
def test_where_the_server_of_a_url_is(url: str, server: str | None) -> None:
    assert server_of(url) == server
    if server is not None:
        moved = by_way_of(url, "127.0.0.1:7")
        assert server_of(moved) == "127.0.0.1:7"
        assert moved.partition("127.0.0.1:7")[0] == url[: url.rfind("@") + 1 or url.find("://") + 3]
        assert by_way_of(url, None) == url


async def test_what_is_offered_and_not_declared_fails() -> None:
    class Quick(Careless):
        async def acquire(self, *_: Any, **__: Any) -> None: ...
        async def commit(self, *_: Any, **__: Any) -> None: ...
        async def renew(self, *_: Any, **__: Any) -> None: ...
        async def release(self, *_: Any, **__: Any) -> None: ...

    report = await validate(careless(Quick), levels=["base"])
    assert "leased.declared" in failed(report)


@pytest.mark.parametrize(
    ("levels", "only"),
    [(["best"], None), (None, "base.nothing.*"), (None, ["base.lease.01", "x"]), ([], None)],
)
async def test_what_there_is_not_is_refused(levels: list[str] | None, only: Any) -> None:
    with pytest.raises(InvalidOption):
        await validate(careless(), levels=levels, only=only)


async def test_an_object_that_is_no_memory_is_refused() -> None:
    nothing: Any = object
    with pytest.raises(InvalidOption, match="read, write, lock and unlock"):
        await validate(nothing)


async def test_a_memory_that_raises_is_told_and_stops_nothing() -> None:
    class Raising(Careless):
        async def read(self, id: str) -> Any:
            raise RuntimeError("no disk")

    report = await validate(careless(Raising), only=["base.absent.01", "base.lease.01"])
    absent, lease = report.clauses
    assert (absent.outcome, lease.outcome) == (Outcome.FAILED, Outcome.PASSED)
    assert "RuntimeError where none may be raised: no disk" in absent.reason


async def test_the_report_in_every_form() -> None:
    report = await validate(careless(), only=["base.ownership.01", "base.lease.01"])
    told = json.loads(report.to_json())
    assert told["counts"] == {"passed": 1, "failed": 1, "missing": 0}
    assert [(each["id"], each["level"], each["outcome"]) for each in told["clauses"]] == [
        ("base.lease.01", "base", "passed"),
        ("base.ownership.01", "base", "failed"),
    ]
    text = report.to_text()
    assert "FAILED base.ownership.01: unlock by somebody" in text
    assert "m2.unlock('a') -> True" in text
    assert text.endswith(report.summary)
    assert report.summary.startswith("Careless: 1 passed, 1 failed (base; ")
    assert "| base | ownership | 1 | 0 |" in report.to_markdown()
    assert "m2.unlock('a') -> True" in report.to_markdown()
    assert ET.fromstring(report.to_badge()).attrib["aria-label"] == "machine memory: 1 broken"
    green = await validate(careless(), only="base.lease.01")
    assert ET.fromstring(green.to_badge()).attrib["aria-label"] == "machine memory: base"


def test_the_kit_needs_no_pytest_and_no_driver() -> None:
    code = (
        "import sys, pyarvo.testing.conformance as kit\n"
        "assert kit.all_clauses()\n"
        "print([name for name in ('pytest', 'redis', 'asyncpg', 'nats') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
