"""The recorder: what is written down, also of killed processes, and that real memories pass the check."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from pyarvo.errors import (
    EventConsumed,
    InvalidOption,
    InvalidRecord,
    LeaseLost,
    MemoryUnavailable,
    WriteConflict,
    WriteOutcomeUnknown,
)
from pyarvo.memory import LeasedMachineMemory, LeasedMemory, MemoryOptions, SimpleMachineMemory, Step
from pyarvo.memory.adapted import leased
from pyarvo.memory.simple import SimpleBackend
from pyarvo.testing.faults import FaultKind, FaultyBackend, FaultyMemory, RandomPlan, Script
from pyarvo.testing.history import History, assert_linearizable, check_calls, load_calls, save_calls

KEY = '["s","1"]'


def summary(history: History) -> list[str]:
    return [f"{call.verb} {call.outcome}" for call in history.calls]


async def test_it_writes_down_what_the_caller_saw() -> None:
    history = History()
    memory = leased(history.memory(SimpleMachineMemory(lock_attempts=1)))
    lease = await memory.acquire("a", event_key=KEY, ttl_s=9.0)
    assert lease is not None
    assert await memory.acquire("a") is None
    await memory.renew(lease)
    await memory.commit(lease, {"n": 1}, step=Step(KEY))
    with pytest.raises(LeaseLost):
        await memory.commit(lease, {"n": 2})
    replay = await memory.acquire("a", event_key=["s", "1"])
    assert replay is not None
    other = await memory.acquire("a")
    assert other is not None
    with pytest.raises(EventConsumed):
        await memory.commit(other, {"n": 2}, step=Step(KEY))
    other.version = 0
    with pytest.raises(WriteConflict):
        await memory.commit(other, {"n": 2})
    with pytest.raises(InvalidRecord):
        await memory.commit(other, {"n": {1, 2}})
    assert await memory.release(other)
    assert not await memory.release(lease)
    assert await memory.read("a") == {"n": 1}
    assert summary(history) == [
        "acquire granted",
        "acquire denied",
        "renew done",
        "commit done",
        "commit lost",
        "acquire replayed",
        "acquire granted",
        "commit consumed",
        "commit conflict",
        "commit refused",
        "release over",
        "release not_over",
        "read found",
    ]
    first, written = history.calls[0], history.calls[3]
    assert (first.fence, first.version, first.found, first.ttl_s, first.event_key) == (1, 0, "", 9.0, KEY)
    assert (written.expected, written.version, written.token) == (0, 1, first.token)
    assert lease.token not in repr(history.calls)
    assert history.calls[-1].found == written.written
    assert_linearizable(history.calls)


async def test_the_four_verbs_know_whose_lock_it_is() -> None:
    history = History(lock_ttl_s=30.0)
    memory = history.memory(SimpleMachineMemory(lock_attempts=1))

    async def work(n: int) -> None:
        if await asyncio.wait_for(memory.lock("a"), 5):
            await memory.write("a", {"n": n})
            await asyncio.sleep(0)
            assert await asyncio.create_task(memory.unlock("a"))

    await asyncio.gather(*(work(n) for n in range(4)))
    await work(9)
    assert not await memory.unlock("b")
    assert await memory.read("a") == {"n": 9}
    assert summary(history).count("lock granted") == 2
    assert summary(history).count("lock denied") == 3
    assert len({call.token for call in history.calls if call.verb == "write"}) == 2
    assert_linearizable(history.calls)


async def test_faults_and_cancellations_leave_the_outcome_open() -> None:
    history = History()
    script = Script(
        {"commit": [FaultKind.ERROR_AFTER], "acquire": [FaultKind.ERROR_BEFORE, None, FaultKind.CANCEL_AFTER]}
    )
    memory = leased(history.memory(FaultyMemory(SimpleMachineMemory(lock_attempts=1), script)))
    with pytest.raises(MemoryUnavailable):
        await memory.acquire("a")
    lease = await memory.acquire("a")
    assert lease is not None
    with pytest.raises(WriteOutcomeUnknown):
        await memory.commit(lease, {"n": 1})
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(memory.acquire("a"))
    assert summary(history) == ["acquire unavailable", "acquire granted", "commit unknown", "acquire unknown"]
    assert_linearizable(history.calls)


async def contend(memory: LeasedMachineMemory, random: Random, steps: int) -> None:
    """Add to a counter, as a worker would that is met by faults."""
    for _ in range(steps):
        try:
            lease = await memory.acquire("counter")
            if lease is None:
                await asyncio.sleep(0)
                continue
            await asyncio.sleep(0)
            count = 0 if lease.data is None else lease.data["n"]
            if random.random() < 0.1:
                continue  # dies, and never gives the lease up
            await memory.commit(lease, {"n": count + 1})
        except (MemoryUnavailable, WriteOutcomeUnknown, LeaseLost):
            with suppress(MemoryUnavailable):
                await memory.read("counter")


async def test_many_workers_with_faults_on_a_right_memory_pass() -> None:
    for seed in range(3):
        options = MemoryOptions(lock_attempts=1, lease_ttl_s=1.0, deadline_s=0.2)
        now = [0.0]

        def clock(now: list[float] = now) -> float:
            now[0] += 0.02
            return now[0]

        store = FaultyBackend(SimpleBackend(options, clock), RandomPlan(seed, rate=0.1))
        history = History(clock=clock)
        async with LeasedMemory(store, options) as inner:
            memory = leased(history.memory(inner))
            await asyncio.gather(*(contend(memory, Random(seed * 10 + n), 25) for n in range(4)))
        assert store.injected
        assert sum(call.outcome == "done" for call in history.calls) > 3
        assert_linearizable(history.calls)


async def test_files_of_several_processes_are_one_history(tmp_path: Path) -> None:
    memory = SimpleMachineMemory(lock_attempts=1)
    paths = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    with History(paths[0]) as one, History(paths[1]) as two:
        for history in (one, two):
            lease = await leased(history.memory(memory)).acquire("a")
            assert (lease is not None) is (history is one)
    assert load_calls(*paths) == [*one.calls, *two.calls]
    assert [call.outcome for call in load_calls(*paths)] == ["granted", "denied"]
    save_calls(load_calls(*paths), tmp_path / "both.jsonl")
    assert load_calls(tmp_path / "both.jsonl") == load_calls(*paths)


async def test_a_file_of_a_killed_process_holds_the_call_it_was_in(tmp_path: Path) -> None:
    path = tmp_path / "killed.jsonl"
    history = History(path)
    await history.memory(SimpleMachineMemory()).read("a")
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 2
    path.write_bytes(lines[0] + lines[1][:20])
    (call,) = load_calls(path)
    assert (call.verb, call.outcome, call.ended) == ("read", "unknown", None)
    assert check_calls([call]).is_legal
    history.close()
    history.close()


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"process": 1}\n')
    with pytest.raises(InvalidOption, match=r"line 1 of .* is no call"):
        load_calls(path)
