"""SQLite with real processes: races, deaths, frozen holders, forks; and one memory of many loops and threads."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic

import pytest
from tests.journals import whole_journal

from pyarvo.memory import Lease, LeasedMemory, SqliteMachineMemory, Step

SCRIPT = Path(__file__).with_name("sqlite_process.py")

Start = Callable[..., "Process"]


class Process:
    """A process of `sqlite_process.py`."""

    def __init__(self, role: str, *args: str) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, str(SCRIPT), role, *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._popen.pid

    def line(self) -> str:
        """The next line it says; "" at its end."""
        assert self._popen.stdout is not None
        return self._popen.stdout.readline().strip()

    def tell(self, order: str) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.write(f"{order}\n")
        self._popen.stdin.flush()

    def end(self) -> int:
        """Wait for its end; its exit code."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.close()
        self._popen.stdout.close()
        return self._popen.wait(20)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGCONT)
            self._popen.kill()
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream is not None and not stream.closed:
                stream.close()
        self._popen.wait(20)

    def freeze(self) -> None:
        """SIGSTOP, and wait until it stands."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts processes; whatever is left of them afterwards is killed."""
    started: list[Process] = []

    def start(role: str, *args: object) -> Process:
        process = Process(role, *map(str, args))
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


async def granted(memory: LeasedMemory, id: str, within_s: float = 5.0) -> Lease:
    """The lease of *id*, asked for again and again until its holder's time is over."""
    until = monotonic() + within_s
    while True:
        lease = await memory.acquire(id)
        if lease is not None:
            return lease
        assert monotonic() < until


def sound(file: Path) -> bool:
    """Whether SQLite finds nothing wrong with the file."""
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_of_eight_processes_that_race_to_create_exactly_one_wins(start: Start, file: Path) -> None:
    racers = [start("create", file) for _ in range(8)]
    assert [racer.line() for racer in racers] == ["ready"] * 8
    for racer in racers:
        racer.tell("go")
    said = [racer.line() for racer in racers]
    assert [word for word in said if word not in ("denied", "late")] == ["ok 1"]
    async with SqliteMachineMemory(file) as memory:
        assert await memory.read("a") == {"by": racers[said.index("ok 1")].pid}


async def test_a_counter_of_four_processes_loses_no_update(start: Start, file: Path) -> None:
    counters = [start("count", file, 50) for _ in range(4)]
    assert [counter.line() for counter in counters] == ["done"] * 4
    async with SqliteMachineMemory(file) as memory:
        found = await memory.get("counter")
        assert found is not None
        assert (found.data, found.version) == ({"n": 200}, 200)
        assert found.fence == 200


async def test_the_lease_of_a_killed_process_is_taken_over_after_its_time(start: Start, file: Path) -> None:
    holder = start("hold", file)
    assert holder.line() == "held 1"
    async with SqliteMachineMemory(file, lock_attempts=1) as memory:
        taken_at = monotonic()
        holder.kill()
        assert await memory.acquire("a") is None
        lease = await granted(memory, "a")
        assert 0.5 < monotonic() - taken_at < 2.0
        assert lease.fence == 2
        assert await memory.commit(lease, {"by": "the second"}) == 1


async def test_a_frozen_process_loses_its_lease_and_its_successor_never_notices(
    start: Start, file: Path
) -> None:
    holder = start("hold", file)
    assert holder.line() == "held 1"
    holder.freeze()
    async with SqliteMachineMemory(file) as memory:
        lease = await granted(memory, "a")
        assert await memory.commit(lease, {"by": "the second"}, release=False) == 1
        holder.thaw()
        holder.tell("go")
        assert holder.line().startswith("LeaseLost")
        assert holder.line().startswith("LeaseLost")
        assert holder.line() == "ok False"
        await memory.renew(lease)
        assert await memory.commit(lease, {"by": "the second", "n": 2}) == 2
        assert await memory.read("a") == {"by": "the second", "n": 2}


async def test_a_process_late_but_not_replaced_may_still_commit(start: Start, file: Path) -> None:
    holder = start("hold", file)
    assert holder.line() == "held 1"
    holder.freeze()
    async with SqliteMachineMemory(file) as memory:
        until = monotonic() + 5
        while True:  # nobody asks for the lease; only its time passes
            found = await memory.get("a")
            assert found is not None
            if not found.held:
                break
            assert monotonic() < until
        holder.thaw()
        holder.tell("go")
        assert holder.line() == "ok 1"
        assert await memory.read("a") == {"by": "the first"}


@pytest.mark.parametrize("acknowledged", [1, 7, 40, 150])
async def test_killed_in_the_middle_no_acknowledged_write_is_lost(
    start: Start, file: Path, acknowledged: int
) -> None:
    writer = start("write", file)
    versions: dict[str, int] = {}
    for _ in range(acknowledged):
        id, version = writer.line().split()
        versions[id] = int(version)
    os.kill(writer.pid, signal.SIGKILL)
    while said := writer.line():  # what it said before it died counts too
        id, version = said.split()
        versions[id] = int(version)
    async with SqliteMachineMemory(file) as memory:
        for id, version in versions.items():
            found = await memory.get(id)
            assert found is not None
            assert found.version in (version, version + 1)  # one more may have been applied, unsaid
            n = found.version
            assert found.data == {"n": n, "padding": f"{n}," * 500}
            journal = await whole_journal(memory, id)
            assert journal == tuple(
                Step(f"event {n}", ({"n": n, "padding": f"{n};" * 500},), n, step.at)
                for n, step in enumerate(journal, 1)
            )
            assert len(journal) == found.version
    assert sound(file)


async def test_processes_that_open_a_new_file_at_once_agree(start: Start, tmp_path: Path) -> None:
    openers = [start("open_each") for _ in range(3)]
    assert [opener.line() for opener in openers] == ["ready"] * 3
    for turn in range(25):
        for opener in openers:
            opener.tell(str(tmp_path / f"{turn}.db"))
        for opener in openers:
            assert opener.line().startswith("ok <Lease of"), turn
    async with SqliteMachineMemory(tmp_path / "0.db") as memory:
        assert await memory.count() == 3


async def test_a_forked_child_is_refused_and_harms_nothing(start: Start, file: Path) -> None:
    forking = start("fork", file)
    for _ in range(3):
        assert forking.line().startswith("MemoryClosed")
    assert forking.line() == "ok 1"
    assert forking.end() == 0
    async with SqliteMachineMemory(file) as memory:
        assert await memory.read("a") == {"by": "parent"}
    assert sound(file)


async def test_one_memory_serves_many_loops_and_threads(file: Path) -> None:
    memory = SqliteMachineMemory(file)

    async def adds(id: str) -> None:
        for _ in range(10):
            lease = await granted(memory, id)
            n = 0 if lease.data is None else lease.data["n"]
            await memory.commit(lease, {"n": n + 1})

    async def works(name: str) -> None:
        await asyncio.gather(adds("shared"), adds("shared"), adds(name))

    def thread(n: int) -> None:
        asyncio.run(works(f"own{n}"))

    threads = [threading.Thread(target=thread, args=(n,)) for n in range(4)]
    for each in threads:
        each.start()
    await adds("shared")
    for each in threads:
        await asyncio.to_thread(each.join)
    assert await memory.read("shared") == {"n": 90}
    for n in range(4):
        assert await memory.read(f"own{n}") == {"n": 10}
    await memory.close()
