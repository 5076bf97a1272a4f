"""Calls that wait together go out together: order, faults, cancelling before and after the sending, deadlines."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import time
from collections.abc import Sequence
from weakref import ref

import pytest

from pyarvo.errors import MemoryFault, MemoryUnavailable, WriteConflict, WriteOutcomeUnknown
from pyarvo.memory.batching import Batcher, Call
from pyarvo.memory.decide import Found, Op, Outcome, Read


class Store:
    """Answers batches when it is let; remembers what it was asked."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.faults: dict[str, BaseException] = {}
        self.orphans: list[str] = []

    async def execute(self, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        self.batches.append([op.id for op in ops])
        await self.gate.wait()
        answers: list[Outcome | MemoryFault] = []
        for n, op in enumerate(ops):
            fault = self.faults.get(op.id)
            if isinstance(fault, MemoryFault):
                answers.append(fault)
            elif fault is not None:
                raise fault
            else:
                answers.append(Found(n, op.id.encode()))
        return answers

    def orphaned(self, op: Op, outcome: Outcome | WriteOutcomeUnknown) -> None:
        assert isinstance(outcome, Found)
        self.orphans.append(op.id)

    def batcher(self, *, max_ops: int = 256, max_in_flight: int = 1) -> Batcher:
        return Batcher(self.execute, self.orphaned, max_ops=max_ops, max_in_flight=max_in_flight)


@pytest.fixture
def store() -> Store:
    return Store()


def submit(batcher: Batcher, *ids: str, within_s: float = 5.0) -> list[Call]:
    return [batcher.submit(Read(id), within_s) for id in ids]


async def answers(calls: Sequence[Call]) -> list[object]:
    results = await asyncio.gather(*(call.future for call in calls), return_exceptions=True)
    return [result.data if isinstance(result, Found) else result for result in results]


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_calls_of_one_turn_go_out_together_in_order(store: Store) -> None:
    calls = submit(store.batcher(), "a", "b", "a", "c")
    assert await answers(calls) == [b"a", b"b", b"a", b"c"]
    assert store.batches == [["a", "b", "a", "c"]]


async def test_calls_made_while_a_batch_is_under_way_form_the_next(store: Store) -> None:
    batcher = store.batcher()
    store.gate.clear()
    first = submit(batcher, "a")
    await turns(3)
    assert [call.sent for call in first] == [True]
    more = submit(batcher, "b")
    await turns(3)
    more += submit(batcher, "c")
    await turns(3)
    assert [call.sent for call in more] == [False, False]
    store.gate.set()
    assert await answers([*first, *more]) == [b"a", b"b", b"c"]
    assert store.batches == [["a"], ["b", "c"]]


async def test_a_lone_call_is_sent_at_the_end_of_its_turn(store: Store) -> None:
    (call,) = submit(store.batcher(), "a")
    await turns(2)
    assert store.batches == [["a"]]
    assert await call.future == Found(0, b"a")


async def test_a_batch_has_at_most_max_ops(store: Store) -> None:
    ids = [f"a{n}" for n in range(7)]
    calls = submit(store.batcher(max_ops=3), *ids)
    assert await answers(calls) == [id.encode() for id in ids]
    assert store.batches == [ids[:3], ids[3:6], ids[6:]]


async def test_without_batching_calls_go_alone_and_at_once(store: Store) -> None:
    store.gate.clear()
    calls = submit(store.batcher(max_ops=1, max_in_flight=64), "a", "b", "c")
    await turns(3)
    assert store.batches == [["a"], ["b"], ["c"]]
    store.gate.set()
    assert await answers(calls) == [b"a", b"b", b"c"]


async def test_many_calls_are_shared_between_the_batches_that_may_be_under_way(store: Store) -> None:
    ids = [f"a{n}" for n in range(200)]
    calls = submit(store.batcher(max_ops=64, max_in_flight=2), *ids[:70])
    assert await answers(calls) == [id.encode() for id in ids[:70]]
    assert [len(batch) for batch in store.batches] == [35, 35]

    store.batches.clear()
    store.gate.clear()
    batcher = store.batcher(max_ops=64, max_in_flight=2)
    calls = submit(batcher, *ids[:20])
    await turns(3)
    calls += submit(batcher, *ids[20:])
    await turns(3)
    assert [len(batch) for batch in store.batches] == [20, 64]
    store.gate.set()
    assert await answers(calls) == [id.encode() for id in ids]
    assert [id for batch in store.batches for id in batch] == ids


async def test_a_call_waits_for_those_of_its_instance_that_are_under_way(store: Store) -> None:
    batcher = store.batcher(max_ops=64, max_in_flight=2)
    store.gate.clear()
    calls = submit(batcher, "a", "b")
    await turns(3)
    calls += submit(batcher, "b", "c", "b", "d")
    await turns(3)
    assert store.batches == [["a", "b"], ["c", "d"]]
    assert [call.sent for call in calls] == [True, True, False, True, False, True]
    store.gate.set()
    assert await answers(calls) == [b"a", b"b", b"b", b"c", b"b", b"d"]
    assert store.batches == [["a", "b"], ["c", "d"], ["b", "b"]]


async def test_one_bad_call_does_not_fail_the_others(store: Store) -> None:
    store.faults["b"] = WriteConflict(1, 2)
    one, bad, two = await answers(submit(store.batcher(), "a", "b", "c"))
    assert (one, two) == (b"a", b"c")
    assert isinstance(bad, WriteConflict)


@pytest.mark.parametrize("fault", [ZeroDivisionError("a bug"), OSError("gone")])
async def test_a_batch_that_fails_as_a_whole_fails_each_call(store: Store, fault: Exception) -> None:
    store.faults["b"] = fault
    assert await answers(submit(store.batcher(), "a", "b")) == [fault, fault]


async def test_a_fault_of_the_whole_is_a_copy_for_each_call(store: Store) -> None:
    async def execute(ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        raise MemoryUnavailable(f"gone, with {len(ops)} calls") from OSError("cable")

    batcher = Batcher(execute, store.orphaned, max_ops=9, max_in_flight=1)
    one, two = await answers(submit(batcher, "a", "b"))
    assert isinstance(one, MemoryUnavailable)
    assert isinstance(two, MemoryUnavailable)
    assert one is not two
    assert isinstance(one.__cause__, OSError)
    assert await answers(submit(store.batcher(), "c")) == [b"c"]


async def test_a_call_cancelled_before_it_is_sent_never_goes_out(store: Store) -> None:
    batcher = store.batcher()
    store.gate.clear()
    first = submit(batcher, "a")
    await turns(3)
    second = submit(batcher, "b", "c")
    second[0].future.cancel()
    store.gate.set()
    assert await answers([*first, second[1]]) == [b"a", b"c"]
    assert store.batches == [["a"], ["c"]]
    assert store.orphans == []


async def test_a_call_cancelled_after_it_was_sent_runs_on_and_its_answer_is_an_orphan(store: Store) -> None:
    store.gate.clear()
    calls = submit(store.batcher(), "a", "b")
    await turns(3)
    calls[0].future.cancel()
    store.gate.set()
    assert await calls[1].future == Found(1, b"b")
    assert store.orphans == ["a"]


async def test_deadlines_are_kept_each_for_itself(store: Store) -> None:
    batcher = store.batcher()
    store.gate.clear()
    late = submit(batcher, "late", within_s=5.0)
    soon = submit(batcher, "soon", within_s=0.02)
    await turns(3)
    unsent = submit(batcher, "unsent", within_s=0.03)
    with pytest.raises(TimeoutError):
        await soon[0].future
    with pytest.raises(TimeoutError):
        await unsent[0].future
    assert (soon[0].sent, unsent[0].sent, late[0].future.done()) == (True, False, False)
    store.gate.set()
    assert await answers(late) == [b"late"]
    assert store.orphans == ["soon"]
    await batcher.drain(1.0)
    assert store.batches == [["late", "soon"]]


async def test_calls_whose_time_ends_together_end_in_the_order_in_which_they_were_made(store: Store) -> None:
    store.gate.clear()
    ended: list[int] = []
    calls = submit(store.batcher(), *map(str, range(200)), within_s=0.0)
    for n in reversed(range(200)):
        calls[n].future.add_done_callback(lambda _, n=n: ended.append(n))
    assert [type(answer) for answer in await answers(calls)] == [TimeoutError] * 200
    assert ended == list(range(200))
    store.gate.set()


async def test_an_answer_that_came_while_the_loop_was_held_up_counts(store: Store) -> None:
    loop = asyncio.get_running_loop()
    store.gate.clear()
    mine, its = socket.socketpair()
    with mine, its:
        loop.add_reader(mine, store.gate.set)
        calls = submit(store.batcher(), "late", within_s=0.2)
        await turns(3)
        its.send(b"the answer")
        time.sleep(0.3)  # noqa: ASYNC251 - it holds the loop up
        assert await answers(calls) == [b"late"]
        loop.remove_reader(mine)


async def test_drain_waits_for_what_waits_and_what_is_under_way(store: Store) -> None:
    batcher = store.batcher(max_ops=1)
    calls = submit(batcher, "a", "b", "c")
    await batcher.drain(5.0)
    assert [call.future.done() for call in calls] == [True] * 3
    await batcher.drain(5.0)


async def test_drain_gives_up_on_a_store_that_is_silent(store: Store) -> None:
    batcher = store.batcher()
    store.gate.clear()
    calls = submit(batcher, "a")
    async with asyncio.timeout(2):
        await batcher.drain(0.05)
    assert calls[0].future.done()
    assert [type(answer) for answer in await answers(calls)] == [WriteOutcomeUnknown]


async def test_drain_also_gives_up_what_waits_for_a_silent_store(store: Store) -> None:
    batcher = store.batcher(max_ops=64, max_in_flight=2)
    store.gate.clear()
    calls = submit(batcher, "a")
    await turns(3)
    calls += submit(batcher, "a")
    async with asyncio.timeout(2):
        await batcher.drain(0.05)
    assert [call.future.done() for call in calls] == [True, True]
    assert [type(answer) for answer in await answers(calls)] == [WriteOutcomeUnknown, MemoryUnavailable]


def test_every_loop_has_a_lane_of_its_own() -> None:
    async def ask(batcher: Batcher, store: Store, id: str) -> object:
        store.gate = asyncio.Event()
        store.gate.set()
        return (await answers(submit(batcher, id)))[0]

    async def make() -> tuple[Batcher, Store]:
        store = Store()
        return store.batcher(), store

    batcher, store = asyncio.run(make())
    for id in ("a", "b", "c"):
        assert asyncio.run(ask(batcher, store, id)) == id.encode()
    assert store.batches == [["a"], ["b"], ["c"]]


def test_a_loop_that_has_ended_is_not_kept() -> None:
    async def make() -> Batcher:
        return Store().batcher()

    batcher = asyncio.run(make())
    ended: list[ref[asyncio.AbstractEventLoop]] = []

    async def ask() -> None:
        ended.append(ref(asyncio.get_running_loop()))
        await answers(submit(batcher, "a"))

    for _ in range(5):
        asyncio.run(ask())
    gc.collect()
    assert [loop() for loop in ended[:-1]] == [None] * 4


def test_a_loop_closed_with_a_batch_under_way_leaves_no_error_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[BaseException | None] = []

    def note(told: sys.UnraisableHookArgs) -> None:
        left.append(told.exc_value)

    monkeypatch.setattr(sys, "unraisablehook", note)

    async def ask() -> None:
        store = Store()
        store.gate.clear()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(answers(submit(store.batcher(), "a"))), 0.01)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(ask())
    loop.close()
    del loop
    gc.collect()
    assert left == []


async def test_an_unknown_outcome_is_each_calls_own(store: Store) -> None:
    store.faults["a"] = WriteOutcomeUnknown("no answer")
    unknown, known = await answers(submit(store.batcher(), "a", "b"))
    assert isinstance(unknown, WriteOutcomeUnknown)
    assert known == b"b"
