"""
One workflow under random schedules: events overtake one another, come twice and at once, and results are lost before they
are published. Every schedule ends with the same events and the same effects.

The workflow is a parallel machine that asks a service, a child orchestration and a resumable, which fans out.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydantic import BaseModel

import pyarvo
from pyarvo import ArvoEvent, Outcome, assign, emit


class Number(BaseModel):
    x: int


SERVICE = pyarvo.create_simple_arvo_contract(
    uri="#/add", type="calc.add", versions={"1.0.0": {"accepts": Number, "emits": Number}}
)
ADDED = "evt.calc.add.success"


def orchestrator_contract(name: str) -> pyarvo.ArvoContract:
    return pyarvo.create_arvo_orchestrator_contract(
        uri=f"#/{name}", name=name, versions={"1.0.0": {"init": Number, "complete": Number}}
    )


PARENT, CHILD, FAN = (orchestrator_contract(name) for name in ("parent", "child", "fan"))


def total(context: Any, event: Any) -> int:
    return context["total"] + event.data["x"]


def output(context: Any) -> dict[str, Any]:
    return {"x": context["total"]}


def asks(type: str, answer: str, x: int) -> Any:
    """A region that asks once, and is done when the answer came."""
    asking = {
        "entry": emit({"type": type, "data": {"x": x}}),
        "on": {answer: {"target": "done", "actions": assign({"total": total})}},
    }
    return {"initial": "asking", "states": {"asking": asking, "done": {"type": "final"}}}


def machine(
    contract: pyarvo.ArvoContract, config: Any, **services: pyarvo.ArvoContract
) -> pyarvo.ArvoMachine:
    versions = {name: service.version("1.0.0") for name, service in services.items()}
    setup = pyarvo.setup_arvo_machine(contracts={"self": contract.version("1.0.0"), "services": versions})
    return setup.create_machine({"context": {"total": 0}, "output": output, **config})


PARENT_MACHINE = machine(
    PARENT,
    {
        "type": "parallel",
        "states": {
            "a": asks("com.calc.add", ADDED, 0),
            "b": asks("arvo.orc.child", "arvo.orc.child.done", 1),
            "c": asks("arvo.orc.fan", "arvo.orc.fan.done", 2),
        },
    },
    add=SERVICE,
    child=CHILD,
    fan=FAN,
)
CHILD_MACHINE = machine(CHILD, asks("com.calc.add", ADDED, 10), add=SERVICE)


async def fan_out(call: pyarvo.ResumableCall) -> pyarvo.ResumableResult:
    if call.input:
        return {"services": [{"type": "com.calc.add", "data": {"x": x}} for x in range(4)]}
    answers = call.collected_events.get(ADDED, [])
    return {"output": {"x": sum(answer.data["x"] for answer in answers)}} if len(answers) == 4 else {}


async def add(call: pyarvo.HandlerCall) -> dict[str, Any]:
    return {"type": ADDED, "data": {"x": call.event.data["x"] + 1}}


class Schedule:
    """Delivers events in an order, and with faults, that a seed decides."""

    def __init__(self, memory: Any, seed: int) -> None:
        self.random = Random(seed)
        handlers: Any = (
            pyarvo.create_arvo_orchestrator(memory=memory, executionunits=1, machines=[PARENT_MACHINE]),
            pyarvo.create_arvo_orchestrator(memory=memory, executionunits=1, machines=[CHILD_MACHINE]),
            pyarvo.create_arvo_resumable(
                contracts={"self": FAN, "services": {"add": SERVICE.version("1.0.0")}},
                memory=memory,
                handler={"1.0.0": fan_out},
            ),
            pyarvo.create_arvo_event_handler(contract=SERVICE, executionunits=1, handler={"1.0.0": add}),
        )
        self.handlers = {handler.source: handler for handler in handlers}
        self.waiting: list[ArvoEvent] = []
        self.seen: dict[str, ArvoEvent] = {}
        self.deliveries = 0

    def chance(self, percent: int) -> bool:
        return self.random.randrange(100) < percent

    def next(self) -> list[ArvoEvent]:
        """One event, or several at once, the same one twice among them."""
        batch = [self.waiting.pop(self.random.randrange(len(self.waiting)))]
        if self.waiting and self.chance(40):
            batch.append(self.waiting.pop(self.random.randrange(len(self.waiting))))
        return [*batch, batch[0]] if self.chance(30) else batch

    async def run(self, init: ArvoEvent) -> None:
        self.waiting.append(init)
        while self.waiting:
            batch = self.next()
            self.deliveries += len(batch)
            assert self.deliveries < 5_000
            await asyncio.gather(*map(self.deliver, batch))

    async def deliver(self, event: ArvoEvent) -> None:
        try:
            result = await self.handlers[event.to].execute(event)
        except pyarvo.TransactionViolation:
            self.waiting.append(event)
            return
        if result.outcome is Outcome.UNKNOWN_INSTANCE or self.chance(25):  # lost before they were published
            self.waiting.append(event)
            return
        for emitted in result.events:
            self.seen[emitted.id] = emitted
            if emitted.to in self.handlers:
                self.waiting.append(emitted)
        if self.chance(20):
            self.waiting.append(event)


@pytest.mark.parametrize("seed", range(30))
async def test_every_schedule_ends_alike(seed: int, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/wf.db" if seed % 5 == 0 else "memory://"
    init = pyarvo.create_arvo_orchestrator_event_factory(PARENT.version("1.0.0")).init(
        source="com.test.client", data={"parentSubject$$": None, "x": 0}
    )
    async with pyarvo.open_memory(url, lock_attempts=1) as memory:
        schedule = Schedule(memory, seed)
        await schedule.run(init)
        record = await memory.read(init.subject)
        assert (record or {})["status"] == "done"
    assert Counter((event.type, event.data["x"]) for event in schedule.seen.values()) == {
        ("com.calc.add", 0): 2,
        ("com.calc.add", 1): 1,
        ("com.calc.add", 2): 1,
        ("com.calc.add", 3): 1,
        ("com.calc.add", 10): 1,
        (ADDED, 1): 2,
        (ADDED, 2): 1,
        (ADDED, 3): 1,
        (ADDED, 4): 1,
        (ADDED, 11): 1,
        ("arvo.orc.child", 1): 1,
        ("arvo.orc.child.done", 11): 1,
        ("arvo.orc.fan", 2): 1,
        ("arvo.orc.fan.done", 10): 1,
        ("arvo.orc.parent.done", 22): 1,
    }
