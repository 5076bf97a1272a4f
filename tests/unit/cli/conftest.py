"""A store with one instance of every situation, and a way to run commands on it."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pyarvo.cli import app
from pyarvo.events import ArvoOrchestrationSubject
from pyarvo.memory import SqliteMachineMemory, Step

ORDER = "arvo.orc.shop.order"
PARCEL = "arvo.orc.shop.parcel"
HOSTILE = (
    "[red]order[/red] [link=https://evil.test]x[/link]",
    "order \x1b[31mred\x1b[0m \x1b]0;title\x07",
    "two\nlines\tand \x9b31m C1 \x7f DEL",
    "right-to-left \u202e txt.exe",
    "-starts-with-a-dash-0001",
)


def subject(name: str, n: int, **more: Any) -> str:
    return ArvoOrchestrationSubject.new(
        orchestrator=name, version="1.0.0", initiator="com.shop.web", execution_id=f"00000000-{n:04}", **more
    )


def event(id: str, type: str, source: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "type": type, "source": source, "to": type, "data": {}, "domain": None, **more}


def record(id: str, **more: Any) -> dict[str, Any]:
    """As a machine's orchestrator writes it."""
    return {
        "executionStatus": "normal",
        "initEventId": "init-1",
        "subject": id,
        "parentSubject": None,
        "status": "active",
        "value": "start",
        "state": {"status": "active", "value": "start", "context": {}},
        "events": {"consumed": {}, "produced": []},
        **more,
    }


def step(source: str, id: str, *produced: dict[str, Any]) -> Step:
    return Step(json.dumps([source, id], separators=(",", ":")), tuple(produced))


@dataclass
class Shop:
    """The store, and the ids of what is in it."""

    path: Path
    ids: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def run(self, *words: str, **options: Any) -> Any:
        """Run `pyarvo --memory URL ...` in process."""
        return CliRunner().invoke(app, ["--memory", self.url, *words], **options)

    def json(self, *words: str) -> Any:
        """Run a command that must succeed, with `-o json`: its answer."""
        result = self.run(*words, "-o", "json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    def process(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `python -m pyarvo ...` as a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "pyarvo", *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **options,
        )


async def commit(memory: SqliteMachineMemory, id: str, data: dict[str, Any], by: Step | None = None) -> None:
    lease = await memory.acquire(id)
    assert lease is not None
    await memory.commit(lease, data, step=by)


async def hold(memory: SqliteMachineMemory, id: str, ttl_s: float = 3_600.0) -> None:
    assert await memory.acquire(id, ttl_s=ttl_s) is not None


async def fill(path: Path) -> dict[str, str]:
    """Make the store; the ids by what they show."""
    holder = f"{socket.gethostname()}:{2**22 + 1}"  # above any process id
    async with SqliteMachineMemory(path, history=5, holder=holder) as memory:
        order = await _family(memory)
        ids = {"order": order, **(await _situations(memory))}
        for id in HOSTILE:
            await commit(memory, id, {"note": f"plain {id}"})
    return {**ids, "parcel": subject(PARCEL, 2), "old_parcel": subject(PARCEL, 3)}


async def _family(memory: SqliteMachineMemory) -> str:
    """An order that waits for one parcel and for a payment; another parcel is done."""
    order = subject(ORDER, 1)
    pay = event("pay-1", "com.pay.charge", ORDER, subject=order)
    parcels = [
        event(f"parcel-{n}", PARCEL, ORDER, subject=subject(PARCEL, n), parentid="init-1") for n in (2, 3)
    ]
    init = event("init-1", ORDER, "com.shop.web", subject=order)
    done = event("done-3", f"{PARCEL}.done", PARCEL, subject=order, parentid="parcel-3")
    events = {"consumed": init, "produced": [pay, *parcels]}
    await commit(
        memory,
        order,
        record(order, events=events, value={"ship": "wait", "pay": "wait"}),
        step("com.shop.web", "init-1", pay, *parcels),
    )
    events = {"consumed": done, "produced": list[Any]()}
    value = {"ship": "one", "pay": "wait"}
    await commit(memory, order, record(order, events=events, value=value), step(PARCEL, "done-3"))
    for n, status in ((2, "active"), (3, "done")):
        child = subject(PARCEL, n)
        init = event(f"parcel-{n}", PARCEL, ORDER, subject=child)
        data = record(child, parentSubject=order, status=status, events={"consumed": init, "produced": []})
        await commit(memory, child, data, step(ORDER, f"parcel-{n}"))
    return order


async def _situations(memory: SqliteMachineMemory) -> dict[str, str]:
    names = ("failed", "held", "fresh", "deleted", "resumable", "orphan")
    ids = {name: subject(ORDER, 10 + n) for n, name in enumerate(names)}
    error = {
        "errorName": "CardRefused",
        "errorMessage": "no [bold]money[/bold]\x1b[2J",
        "errorStack": "at a\nat b",
    }
    failure = record(ids["failed"], executionStatus="failure", error=error)
    await commit(memory, ids["failed"], failure, step("com.pay.charge", "answer-9"))
    await commit(memory, ids["held"], record(ids["held"]), step("com.shop.web", "init-2"))
    await hold(memory, ids["held"])
    await hold(memory, ids["fresh"])
    await commit(memory, ids["deleted"], record(ids["deleted"]), step("com.shop.web", "init-3"))
    await memory.delete(ids["deleted"])
    ask = event("ask-1", "com.human.approve", ORDER, subject=ids["resumable"], domain="human.desk")
    told = event("ask-0", "com.stock.reserve", ORDER, subject=ids["resumable"])
    events = {
        "consumed": event("init-4", ORDER, "com.shop.web"),
        "expected": {
            "ask-0": [event("got-0", "evt.stock.reserve.success", "com.stock.reserve")],
            "ask-1": [],
        },
        "produced": [told, ask],
    }
    resumable = record(ids["resumable"], events=events)
    resumable["state$$"] = {"seen": 1}
    for key in ("value", "state"):
        del resumable[key]
    await commit(memory, ids["resumable"], resumable, step("com.shop.web", "init-4", told, ask))
    elsewhere = record(ids["orphan"], parentSubject="a parent in another store")
    await commit(memory, ids["orphan"], elsewhere, step("com.shop.web", "init-5"))
    return ids


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No memory of the developer's, and the width of a pipe."""
    for name in ("PYARVO_MEMORY_URL", "COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """For tests that only read."""
    path = tmp_path_factory.mktemp("cli") / "shop.db"
    return Shop(path, asyncio.run(fill(path)))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """For tests that change it."""
    path = tmp_path / "shop.db"
    return Shop(path, asyncio.run(fill(path)))
