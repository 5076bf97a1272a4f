"""A process that kills itself inside a step, and what its successor finds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pyarvo.errors import InvalidOption
from pyarvo.events import ArvoEvent, ArvoOrchestrationSubject, create_arvo_event
from pyarvo.handlers import ExecutionResult, Outcome
from pyarvo.memory import LeasedMachineMemory, SimpleMachineMemory, SqliteMachineMemory
from pyarvo.memory.adapted import leased
from pyarvo.testing.faults import KillPoint, kill_at

WORKER = Path(__file__).with_name("dying_worker.py")


class Died(BaseException):
    pass


def die() -> None:
    raise Died


def run(path: Path, point: str, subject: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(WORKER), f"sqlite:///{path}?lease_ttl_s=1", point, subject]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("point", KillPoint)
async def test_a_killed_worker_leaves_what_the_point_promises(point: KillPoint, tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    subject = ArvoOrchestrationSubject.new(
        orchestrator="arvo.orc.order", version="1.0.0", initiator="com.test.caller"
    )
    killed = run(path, point, subject)
    assert (killed.returncode, killed.stdout) == (-9, ""), killed.stderr
    async with SqliteMachineMemory(path) as memory:
        steps = [step.event_key for step in await memory.journal(subject)]
    committed = point is KillPoint.AFTER_COMMIT_BEFORE_PUBLISH
    assert steps == (['["com.test.caller","the-init"]'] if committed else [])
    if committed:
        successor = run(path, "-", subject)
        assert successor.stdout.split()[0] == "replayed", successor.stderr
        assert len(successor.stdout.split()) == 2


@pytest.mark.parametrize(
    ("point", "done"),
    [
        ("after_acquire", []),
        ("before_commit", ["acquired"]),
        ("after_commit_before_publish", ["acquired"]),
    ],
)
async def test_points_of_a_leased_memory(point: str, done: list[str]) -> None:
    inner = SimpleMachineMemory(lock_attempts=1)
    memory = leased(kill_at(point, kill=die).memory(inner))
    log: list[str] = []
    with pytest.raises(Died):
        await step(memory, log)
    assert log == done
    assert await inner.read("a") == ({"n": 1} if point.startswith("after_commit") else None)


async def step(memory: LeasedMachineMemory, log: list[str]) -> None:
    lease = await memory.acquire("a")
    assert lease is not None
    log.append("acquired")
    await memory.commit(lease, {"n": 1})
    log.append("committed")


@pytest.mark.parametrize(
    ("point", "verb"),
    [("after_acquire", "lock"), ("before_commit", "write"), ("after_commit_before_publish", "write")],
)
async def test_points_of_the_four_verbs(point: str, verb: str) -> None:
    memory = kill_at(point, kill=die).memory(SimpleMachineMemory())
    if verb == "write":
        assert await memory.lock("a")
        with pytest.raises(Died):
            await memory.write("a", {})
    else:
        with pytest.raises(Died):
            await memory.lock("a")


async def test_only_the_nth_time_of_matching_instances_counts() -> None:
    killer = kill_at("after_acquire", nth=2, matching=lambda id: id != "b", kill=die)
    memory = leased(killer.memory(SimpleMachineMemory(lock_attempts=1)))
    assert await memory.acquire("a")
    assert await memory.acquire("b")
    assert await memory.acquire("a") is None  # denied: nothing was acquired
    with pytest.raises(Died):
        await memory.acquire("c")
    assert killer.left == 0
    assert await memory.acquire("d")


async def test_a_handler_dies_after_it_has_returned() -> None:
    class Handler:
        source = "com.test.it"
        seen = 0

        async def execute(self, event: ArvoEvent) -> ExecutionResult:
            self.seen += 1
            return ExecutionResult((event,), Outcome.RAN)

    handler = Handler()
    dying = kill_at("after_commit_before_publish", kill=die).handler(handler)
    assert dying.source == "com.test.it"
    event = create_arvo_event(source="s", type="com.test.it", subject="a", data={})
    with pytest.raises(Died):
        await dying.execute(event)
    assert handler.seen == 1
    assert (await dying.execute(event)).outcome == Outcome.RAN


def test_points_are_checked() -> None:
    with pytest.raises(InvalidOption, match="after_acquire, before_commit, after_commit_before_publish"):
        kill_at("at_noon")
    with pytest.raises(InvalidOption, match="nth"):
        kill_at("before_commit", nth=0)
    with pytest.raises(InvalidOption, match="wrap the memory"):
        kill_at("before_commit").handler(None)  # pyright: ignore[reportArgumentType] - refused before it is looked at
