"""SQLite's threads: what goes wrong in one job stays there, and closing leaves nothing behind."""

# It reaches into the threads.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from pyarvo.errors import InvalidOption, MemoryClosed, RecordCorrupt
from pyarvo.events.labels import Labels
from pyarvo.memory import Find, Lease, SqliteMachineMemory
from pyarvo.memory.sqlite.worker import Job, Worker, _deliver


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """A file; afterwards no thread of a memory is left."""
    yield tmp_path / "memory.db"
    assert threads_of_memories() == []


def threads_of_memories() -> list[str]:
    """Names of the threads that memories left."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pyarvo")]


def nobody_writes(file: Path) -> bool:
    """Whether a writer that does not wait gets in."""
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    return True


async def test_a_fault_that_is_none_of_sqlites_leaves_no_transaction_open(file: Path) -> None:
    times: list[Any] = [1.0, 2.0]

    def clock() -> float:
        if not times:
            raise ZeroDivisionError("a clock that broke")
        return times.pop(0)

    async with SqliteMachineMemory(file, clock=clock, lock_attempts=1) as memory:
        lease = await memory.acquire("a")
        assert lease is not None
        await memory.commit(lease, {"n": 1}, release=False)
        with pytest.raises(ZeroDivisionError):
            await memory.commit(lease, {"n": 2})
        assert nobody_writes(file)
        times[:] = [3.0]
        assert await memory.commit(lease, {"n": 2}) == 2


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "must return Labels, returned NoneType"),
        (Labels(status=cast("str", 5)), "must return text as status, returned int"),
        (Labels(parent=cast("str", b"p")), "must return text as parent, returned bytes"),
        (Labels(version="\ud800"), "lone surrogate"),
    ],
)
async def test_labels_that_are_none_are_refused_before_anything_is_sent(
    file: Path, returned: Any, message: str
) -> None:
    async with SqliteMachineMemory(file, labels_of=lambda _id, _data: returned) as memory:
        lease = await memory.acquire("a")
        assert lease is not None
        with pytest.raises(InvalidOption, match=message):
            await memory.commit(lease, {"n": 1})
        assert nobody_writes(file)
        assert await memory.read("a") is None


async def test_a_bad_query_does_not_fail_the_reads_beside_it(file: Path) -> None:
    async with SqliteMachineMemory(file) as memory:
        await memory.ping()
        gate = threading.Event()
        waiting = asyncio.create_task(memory._backend._read(lambda _store: gate.wait()))  # type: ignore[attr-defined] - SQLite's
        await asyncio.sleep(0)
        queries = [
            asyncio.create_task(memory.count()),
            asyncio.create_task(memory._backend.count(Find(status="\ud800"))),
            asyncio.create_task(memory.count()),
        ]
        await asyncio.sleep(0)
        gate.set()
        assert await waiting
        one, bad, two = await asyncio.gather(*queries, return_exceptions=True)
        assert (one, two) == (0, 0)
        assert isinstance(bad, UnicodeEncodeError)


async def test_a_call_in_the_same_turn_as_close_is_answered(file: Path) -> None:
    for _ in range(20):
        memory = SqliteMachineMemory(file)
        await memory.ping()
        call = asyncio.create_task(memory.lock("a"))
        closing_it = asyncio.create_task(memory.close())
        answers = await asyncio.wait_for(asyncio.gather(call, closing_it, return_exceptions=True), 5)
        assert answers[0] in (True, False) or isinstance(answers[0], MemoryClosed)
        assert answers[1] is None


async def test_an_acquire_cancelled_just_before_close_leaves_no_lease(file: Path) -> None:
    async with SqliteMachineMemory(file) as first:
        await first.ping()
        for turns in range(6):
            memory = SqliteMachineMemory(file)
            await memory.ping()
            acquiring = asyncio.create_task(memory.acquire("a"))
            for _ in range(turns):
                await asyncio.sleep(0)
            acquiring.cancel()
            await memory.close()
            await asyncio.gather(acquiring, return_exceptions=True)
            lease = await first.acquire("a")
            assert lease is not None
            assert await first.release(lease)


async def test_a_worker_takes_no_work_after_its_end(file: Path) -> None:
    worker: Worker[int] = Worker("pyarvo-test", _double, lambda: None)
    assert await worker.run(2) == 4
    await worker.close()
    await worker.close()
    with pytest.raises(MemoryClosed):
        await worker.run(3)


def _double(jobs: list[Job[int]]) -> None:
    for job in jobs:
        job.result = 2 * job.work


async def test_a_loop_that_closed_meanwhile_does_not_end_the_thread() -> None:
    loop = asyncio.new_event_loop()
    job: Job[int] = Job(1, loop)
    loop.close()
    alive: Job[int] = Job(2, asyncio.get_running_loop())
    alive.result = 5
    _deliver(cast("list[Job[Any]]", [job, alive]))
    assert await alive.future == 5


async def test_calls_of_another_loop_are_answered_or_refused_when_this_one_closes(file: Path) -> None:
    memory = SqliteMachineMemory(file)
    await memory.ping()
    under_way = threading.Event()
    ends: list[BaseException | None] = []

    async def busy() -> None:
        while True:
            lease = await memory.acquire("a")
            under_way.set()
            if lease is not None:
                await memory.commit(lease, {"n": lease.version + 1})

    def other_loop() -> None:
        try:
            asyncio.run(asyncio.wait_for(busy(), 10))
        except BaseException as error:  # noqa: BLE001 - the test looks at it, whatever it is
            ends.append(error)

    thread = threading.Thread(target=other_loop)
    thread.start()
    await asyncio.to_thread(under_way.wait)
    await memory.close()
    await asyncio.to_thread(thread.join)
    assert [type(end) for end in ends] == [MemoryClosed]


async def test_a_lock_keeps_no_record_in_memory(file: Path) -> None:
    async with SqliteMachineMemory(file) as memory:
        assert await memory.lock("a")
        await memory.write("a", {"large": "x" * 100_000})
        assert await memory.unlock("a")
        assert await memory.lock("a")
        cell = memory._callers.find("a")
        assert cell is not None
        assert cell.lease is not None
        assert (cell.lease.version, cell.lease.data) == (1, None)
        await memory.write("a", {"small": True})
        assert await memory.read("a") == {"small": True}


async def test_closing_that_was_cancelled_goes_on_and_closing_again_waits_for_it(file: Path) -> None:
    memory = SqliteMachineMemory(file)
    assert await memory.acquire("a") is not None
    gate = threading.Event()
    reading = asyncio.create_task(memory._backend._read(lambda _store: gate.wait()))  # type: ignore[attr-defined] - SQLite's
    await asyncio.sleep(0)
    closing = asyncio.create_task(memory.close())
    for _ in range(10):
        await asyncio.sleep(0)
    assert memory._closed
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    again = asyncio.create_task(memory.close())
    await asyncio.sleep(0)
    assert not again.done()
    gate.set()
    await again
    assert await reading is True
    assert threads_of_memories() == []


async def test_what_is_old_goes_however_much_it_is(file: Path) -> None:
    now = 1_000_000.0
    async with SqliteMachineMemory(file, clock=lambda: now, tombstone_s=60.0) as memory:
        await asyncio.gather(*(memory.acquire(f"old {n}") for n in range(1_200)))
        now += 10_000.0
        for n in range(3):
            now += 2.0
            assert await memory.acquire(f"new {n}") is not None
        assert await memory.count() == 3


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE instance SET version = 'one' WHERE id = 'a'",
        "UPDATE instance SET until = 'noon' WHERE id = 'a'",
        "UPDATE record SET data = 5 WHERE serial = (SELECT serial FROM instance WHERE id = 'a')",
    ],
)
async def test_what_another_hand_put_into_a_row_is_damage_of_that_instance_alone(
    file: Path, damage: str
) -> None:
    async with SqliteMachineMemory(file, lock_attempts=1) as memory:
        for id in ("a", "b"):
            lease = await memory.acquire(id)
            assert lease is not None
            await memory.commit(lease, {"id": id})
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(damage)
        calls = (memory.acquire("a"), memory.acquire("b"), memory.read("a"), memory.read("b"))
        acquired, neighbour, read, beside = await asyncio.gather(*calls, return_exceptions=True)
        assert (type(acquired), type(read)) == (RecordCorrupt, RecordCorrupt)
        assert isinstance(neighbour, Lease)
        assert beside == {"id": "b"}
        with pytest.raises(RecordCorrupt):
            await memory.get("a")


async def test_a_record_that_was_put_in_as_text_is_read(file: Path) -> None:
    async with SqliteMachineMemory(file) as memory:
        lease = await memory.acquire("a")
        assert lease is not None
        await memory.commit(lease, {"n": 1})
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("""UPDATE record SET data = '{"n":2}'""")
        assert await memory.read("a") == {"n": 2}
