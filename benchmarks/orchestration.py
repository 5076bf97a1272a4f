"""A whole orchestration in memory, and one step of the in-process memory, against the conventional ways."""

from __future__ import annotations

import copy
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from pydantic import BaseModel

from benchmarks import sketch
from benchmarks.crowd import record_of
from benchmarks.turns import Row, Work, compare
from pyarvo.contracts import (
    create_arvo_contract,
    create_arvo_orchestrator_contract,
    create_arvo_orchestrator_event_factory,
)
from pyarvo.events import ArvoEvent
from pyarvo.handlers import (
    HandlerCall,
    ResumableCall,
    create_arvo_event_handler,
    create_arvo_orchestrator,
    create_arvo_resumable,
)
from pyarvo.memory import SimpleMachineMemory, Step
from pyarvo.statecharts import assign, emit, setup_arvo_machine


class Item(BaseModel):
    sku: str
    count: int
    price: float
    in_stock: bool


class Amount(BaseModel):
    n: int
    note: str = ""
    items: list[Item] = []


def _service(name: str) -> Any:
    version = {"accepts": Amount, "emits": {f"evt.bench.{name}.success": Amount}}
    return create_arvo_contract(uri=f"#/bench/{name}", type=f"com.bench.{name}", versions={"1.0.0": version})


_SERVICES = {name: _service(name) for name in ("one", "two", "three")}
_SELF = create_arvo_orchestrator_contract(
    uri="#/bench/orc", name="bench", versions={"1.0.0": {"init": Amount, "complete": Amount}}
)
_CONTRACTS: Any = {
    "self": _SELF,
    "services": {name: contract.version("1.0.0") for name, contract in _SERVICES.items()},
}
_INIT: Any = create_arvo_orchestrator_event_factory(_SELF.version("1.0.0"))


def _state(name: str, then: str) -> dict[str, Any]:
    return {
        "entry": emit(lambda context, _event: {"type": f"com.bench.{name}", "data": context}),
        "on": {
            f"evt.bench.{name}.success": {
                "target": then,
                "actions": assign({"n": lambda _context, event: event.data["n"] + 1}),
            }
        },
    }


_MACHINE = setup_arvo_machine(contracts={**_CONTRACTS, "self": _SELF.version("1.0.0")}).create_machine(
    {
        "id": "bench",
        "context": lambda event: {"n": event.data["n"], "items": event.data["items"]},
        "output": lambda context: context,
        "initial": "one",
        "states": {
            "one": _state("one", "two"),
            "two": _state("two", "three"),
            "three": _state("three", "done"),
            "done": {"type": "final"},
        },
    }
)


_NEXT = {
    "arvo.orc.bench": "com.bench.one",
    "evt.bench.one.success": "com.bench.two",
    "evt.bench.two.success": "com.bench.three",
}


async def _resume(call: ResumableCall) -> dict[str, Any]:
    event: Any = call.input or call.service
    if call.context is None:
        context = {"n": event.data["n"], "items": event.data["items"]}
    else:
        context = {**call.context, "n": event.data["n"] + 1}
    if event.type not in _NEXT:
        return {"context": context, "output": context}
    return {"context": context, "services": [{"type": _NEXT[event.type], "data": context}]}


def by_machine() -> dict[str, Any]:
    """The handlers by their address, a state machine among them."""
    memory = SimpleMachineMemory()
    return _handlers(create_arvo_orchestrator(memory=memory, executionunits=0.1, machines=[_MACHINE]))


def by_resumable() -> dict[str, Any]:
    """The same, with a function in the place of the machine."""
    memory, handler = SimpleMachineMemory(), {"1.0.0": _resume}
    return _handlers(
        create_arvo_resumable(contracts=_CONTRACTS, memory=memory, executionunits=0.1, handler=handler)
    )


def _handlers(orchestrator: Any) -> dict[str, Any]:
    def serving(name: str) -> Callable[[HandlerCall], Awaitable[dict[str, Any]]]:
        async def serve(call: HandlerCall) -> dict[str, Any]:
            data = {**call.event.data, "n": call.event.data["n"] + 1}
            return {"type": f"evt.bench.{name}.success", "data": data}

        return serve

    made = [
        orchestrator,
        *(
            create_arvo_event_handler(contract=contract, executionunits=0.1, handler={"1.0.0": serving(name)})
            for name, contract in _SERVICES.items()
        ),
    ]
    return {handler.source: handler for handler in made}


async def orchestrate(handlers: dict[str, Any], items: list[Any]) -> ArvoEvent:
    data = {"parentSubject$$": None, "n": 1, "items": items}
    waiting = deque([_INIT.init(source="com.bench.client", data=data)])
    while True:
        event = waiting.popleft()
        if event.to == "com.bench.client":
            return event
        waiting.extend((await handlers[event.to].execute(event)).events)


def repeated(way: Callable[[], Awaitable[object]], times: int) -> Work:
    async def work() -> list[float]:
        spent: list[float] = []
        for _ in range(times):
            started = time.perf_counter()
            await way()
            spent.append(time.perf_counter() - started)
        return spent

    return work


async def run(*, quick: bool) -> list[Row]:
    times, rounds = (150, 3) if quick else (600, 7)
    handlers = by_machine()
    theirs = sketch.Memory()
    rows: list[Row] = []
    for what, items, target in (("", [], 2.5), (", 2,000 B in each event", record_of(2_000)["items"], None)):
        last = await orchestrate(handlers, items)
        assert last.data == {"n": 7, "note": "", "items": items}, last.data
        assert (await sketch.orchestrate(theirs, items)).data == {**last.data, "n": 8}
        rows.append(
            await compare(
                f"whole orchestration in memory: 7 executions, 8 events, 4 memory steps{what}",
                repeated(partial(orchestrate, handlers, items), times),
                "the conventional sketch (benchmarks/sketch.py)",
                repeated(partial(sketch.orchestrate, theirs, items), times),
                target=target,
                rounds=rounds,
            )
        )
    rows.append(
        await compare(
            "the sketch, to see that it is not slow for other reasons",
            repeated(partial(sketch.orchestrate, theirs, []), times),
            "the sum of its parts",
            repeated(partial(sketch.parts, theirs), times),
            target=0.8,
            rounds=rounds,
        )
    )
    return [*rows, await _memory_step(times * 2, rounds)]


async def _memory_step(times: int, rounds: int) -> Row:
    memory, record, turn = SimpleMachineMemory(), record_of(2_000), itertools.count()

    async def ours() -> None:
        key = ["bench", str(next(turn))]
        lease = await memory.acquire("instance", event_key=key)
        assert lease is not None
        await memory.commit(lease, record, step=Step(key))  # type: ignore[arg-type]

    kept: dict[str, object] = {}

    async def deep() -> None:
        copy.deepcopy(kept.get("instance"))
        kept["instance"] = copy.deepcopy(record)

    return await compare(
        "in-process memory step with codec, 2,000 B",
        repeated(ours, times),
        "copy.deepcopy in and out, nothing else",
        repeated(deep, times),
        target=5.0,
        rounds=rounds,
    )
