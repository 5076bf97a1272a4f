"""Virtual time: thirty days in no time, in the right order; and the broker and the memory in it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest
from pydantic import BaseModel

import pyarvo as arvo
from pyarvo.errors import InvalidOption
from pyarvo.memory.adapted import leased
from pyarvo.testing.clock import VirtualClock
from pyarvo.testing.faults import FaultKind, FaultyMemory, Plan, Script
from pyarvo.testing.history import History
from pyarvo_pytest import MakeBroker

DAY_S = 86_400.0


class Ask(BaseModel):
    question: str


class Answer(BaseModel):
    approved: bool


class Done(BaseModel):
    approved: bool


approval = arvo.create_simple_arvo_contract(
    uri="#/approval", type="approval.get", versions={"1.0.0": {"accepts": Ask, "emits": Answer}}
)
request = arvo.create_arvo_orchestrator_contract(
    uri="#/orc/request", name="request", versions={"1.0.0": {"init": Ask, "complete": Done}}
)
machine = arvo.setup_arvo_machine(
    contracts={"self": request.version("1.0.0"), "services": {"approval": approval.version("1.0.0")}}
).create_machine(
    {
        "id": "request",
        "initial": "asking",
        "context": {"approved": False},
        "states": {
            "asking": {
                "entry": arvo.emit({"type": "com.approval.get", "data": {"question": "may I?"}}),
                "on": {
                    "evt.approval.get.success": {
                        "target": "done",
                        "actions": arvo.assign({"approved": lambda _, event: event.data["approved"]}),
                    }
                },
            },
            "done": {"type": "final"},
        },
        "output": lambda context: {"approved": context["approved"]},
    }
)


async def slow_person(call: arvo.HandlerCall) -> arvo.Emission:
    await asyncio.sleep(30 * DAY_S)
    return {"type": call.contract.emit_list[0].type, "data": {"approved": True}}


async def test_a_workflow_of_thirty_days_takes_less_than_a_second(
    pyarvo_clock: VirtualClock,
    pyarvo_memory: arvo.SimpleMachineMemory,
    pyarvo_broker: MakeBroker,
    pyarvo_history: History,
) -> None:
    began, today = time.perf_counter(), pyarvo_clock()
    memory = pyarvo_history.memory(pyarvo_memory)
    broker = pyarvo_broker(
        [
            arvo.create_arvo_orchestrator(memory=memory, executionunits=0, machines=[machine]),
            arvo.create_arvo_event_handler(
                contract=approval, executionunits=0, handler={"1.0.0": slow_person}
            ),
        ]
    )
    init = arvo.create_arvo_orchestrator_event_factory(request.version("1.0.0")).init(
        source="com.test.caller", data={"question": "may I?", "parentSubject$$": None}
    )
    answer = await broker.resolve(init)
    assert answer is not None
    assert answer.data == {"approved": True}
    assert 30 * DAY_S <= pyarvo_clock() - today < 31 * DAY_S
    assert time.perf_counter() - began < 1.0
    assert [call.outcome for call in pyarvo_history.calls] == ["granted", "done", "granted", "done"]


async def test_timers_fire_in_their_order(pyarvo_clock: VirtualClock) -> None:
    fired: list[str] = []

    async def after(seconds: float, name: str) -> None:
        await asyncio.sleep(seconds)
        fired.append(f"{name} {pyarvo_clock.elapsed_s:.0f}")

    await asyncio.gather(after(7 * DAY_S, "week"), after(60.0, "minute"), after(DAY_S, "day"))
    assert fired == ["minute 60", "day 86400", "week 604800"]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(DAY_S):
            await asyncio.Event().wait()


async def test_leases_end_by_the_clock_of_the_test(
    pyarvo_clock: VirtualClock, pyarvo_memory: arvo.SimpleMachineMemory
) -> None:
    assert await pyarvo_memory.acquire("a", ttl_s=10.0)
    await asyncio.sleep(9.9)
    assert await pyarvo_memory.acquire("a") is None
    pyarvo_clock.advance(0.2)
    assert await pyarvo_memory.acquire("a")


async def test_threads_are_waited_for(pyarvo_clock: VirtualClock) -> None:
    started = threading.Event()

    def work() -> str:
        started.set()
        time.sleep(0.02)
        return "done"

    async with asyncio.timeout(DAY_S):
        assert await asyncio.to_thread(work) == "done"
    assert started.is_set()
    assert pyarvo_clock.elapsed_s == 0.0


def test_a_test_that_is_not_async_runs_what_it_likes(pyarvo_clock: VirtualClock) -> None:
    async def month() -> float:
        await asyncio.sleep(30 * DAY_S)
        return pyarvo_clock.elapsed_s

    assert pyarvo_clock.run(month()) == pytest.approx(30 * DAY_S)
    pyarvo_clock.advance(5.0)
    assert pyarvo_clock.run(month()) == pytest.approx(60 * DAY_S + 5.0)


async def test_real_time_comes_back() -> None:
    loop = asyncio.get_running_loop()
    clock = VirtualClock()
    before = time.monotonic()
    with clock.installed():
        await asyncio.sleep(DAY_S)
        assert loop.time() > before + DAY_S
    assert loop.time() < before + 60.0
    assert "time" not in vars(loop)


async def test_virtual_time_inside_virtual_time_gives_the_outer_one_back(pyarvo_clock: VirtualClock) -> None:
    async def month() -> None:
        await asyncio.sleep(30 * DAY_S)

    await pyarvo_clock.wrapped(month)()
    await asyncio.sleep(30 * DAY_S)
    assert pyarvo_clock.elapsed_s == pytest.approx(60 * DAY_S)


def test_it_needs_a_loop_with_a_selector_and_goes_forward_only() -> None:
    with pytest.raises(RuntimeError), VirtualClock().installed():
        pass
    for seconds in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidOption):
            VirtualClock().advance(seconds)


async def test_faults_in_virtual_time(
    pyarvo_clock: VirtualClock, pyarvo_faults: Callable[[Plan], FaultyMemory]
) -> None:
    memory = leased(pyarvo_faults(Script({"acquire": [FaultKind.ERROR_BEFORE]})))
    with pytest.raises(arvo.MemoryUnavailable):
        await memory.acquire("a")
    assert await memory.acquire("a")
    assert pyarvo_clock.elapsed_s == 0.0
