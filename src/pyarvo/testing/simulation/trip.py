"""
The workflow of simulations and trials: whatever order its answers come in, it sends the same events with the same ids.

A machine (`trip`) asks a service, then a resumable (`fan`). The resumable asks the service three things at once, asks
once more for each answer, and ends when all six answers are there. So several events of one instance are under way at
the same moment, and a lost update would show in its sum.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any, Final, cast

from pydantic import BaseModel

from pyarvo.brokers.delivery import EventHandler
from pyarvo.contracts import (
    PARENT_SUBJECT,
    create_arvo_orchestrator_contract,
    create_arvo_orchestrator_event_factory,
    create_simple_arvo_contract,
)
from pyarvo.events import ArvoEvent, ArvoOrchestrationSubject
from pyarvo.handlers import (
    HandlerCall,
    ReceivedEvent,
    ResumableCall,
    create_arvo_event_handler,
    create_arvo_orchestrator,
    create_arvo_resumable,
)
from pyarvo.memory.contract import MachineMemory
from pyarvo.statecharts import ArvoMachine, assign, emit, setup_arvo_machine

__all__ = ["EVENTS", "facts", "first_event", "make_handlers"]

EVENTS: Final = 18
"""How many events one workflow consumes and produces, its first and its last included."""

_WIDTH: Final = 3
_CLIENT: Final = "com.test.client"


class _Number(BaseModel):
    x: int


_TRIP = create_arvo_orchestrator_contract(
    uri="#/sim/trip", name="sim.trip", versions={"1.0.0": {"init": _Number, "complete": _Number}}
)
_FAN = create_arvo_orchestrator_contract(
    uri="#/sim/fan", name="sim.fan", versions={"1.0.0": {"init": _Number, "complete": _Number}}
)
_ADD = create_simple_arvo_contract(
    uri="#/sim/add", type="sim.add", versions={"1.0.0": {"accepts": _Number, "emits": _Number}}
)
_ADDED: Final = "evt.sim.add.success"

Pause = Callable[[], Awaitable[None]]
Effect = Callable[[ArvoEvent], None]


def first_event(n: int) -> ArvoEvent:
    """The event that starts workflow number *n*: the same one each time."""
    subject = ArvoOrchestrationSubject.new(
        orchestrator=_TRIP.type, version="1.0.0", initiator=_CLIENT, execution_id=f"trip-{n}"
    )
    return create_arvo_orchestrator_event_factory(_TRIP.version("1.0.0")).init(
        source=_CLIENT, subject=subject, id=f"init-{n}", data={PARENT_SUBJECT: None, "x": n}
    )


def facts(event: ArvoEvent) -> tuple[object, ...]:
    """All of an event that is the same however often it is made: all but its time."""
    return (event.type, event.source, event.subject, event.to, event.parentid, repr(event.data))


def _x_of_init(init: Any) -> dict[str, Any]:
    return {"x": init.data["x"]}


def _x_of(context: Any) -> dict[str, Any]:
    return {"x": context["x"]}


@cache
def _machine() -> ArvoMachine:
    setup = setup_arvo_machine(
        contracts={
            "self": _TRIP.version("1.0.0"),
            "services": {"add": _ADD.version("1.0.0"), "fan": _FAN.version("1.0.0")},
        }
    )

    def asks(type: str, answer: str, then: str) -> dict[str, Any]:
        return {
            "entry": emit(lambda context, _: {"type": type, "data": {"x": context["x"]}}),
            "on": {answer: {"target": then, "actions": assign({"x": lambda _, event: event.data["x"]})}},
        }

    return setup.create_machine(
        {
            "context": _x_of_init,
            "initial": "adding",
            "states": {
                "adding": asks("com.sim.add", _ADDED, "fanning"),
                "fanning": asks(_FAN.type, "arvo.orc.sim.fan.done", "done"),
                "done": {"type": "final"},
            },
            "output": _x_of,
        }
    )


async def _fan(call: ResumableCall) -> Mapping[str, Any]:
    if call.input is not None:
        x = call.input.data["x"]
        asked = [{"type": "com.sim.add", "data": {"x": 10 * x + n}} for n in range(_WIDTH)]
        return {"context": {"x": x, "count": 0, "sum": 0}, "services": asked}
    before, x = cast("dict[str, Any]", call.context), cast("ReceivedEvent", call.service).data["x"]
    after = {**before, "count": before["count"] + 1, "sum": before["sum"] + x}
    if after["count"] == 2 * _WIDTH:
        # By name: which answer comes last is chance, and the id must not be.
        return {"context": after, "output": {"x": after["sum"], "__id": f"fan-{before['x']}"}}
    if x < 1_000_000:
        again = {"type": "com.sim.add", "data": {"x": x + 1_000_000}}
        return {"context": after, "services": [again]}
    return {"context": after}


def make_handlers(
    memory: MachineMemory, *, pause: Pause, effect: Effect, lease_ttl_s: float | None = None
) -> dict[str, EventHandler]:
    """
    Make the handlers of one process, by source.

    Args:
        memory: Where its workflows live.

        pause: Awaited in the resumable and the service: user code that takes its time.

        effect: Called with each request that the service works off; it may be called again for the same one.

        lease_ttl_s: Of the steps; None means the memory's default.
    """

    async def fan(call: ResumableCall) -> Mapping[str, Any]:
        await pause()
        return await _fan(call)

    async def add(call: HandlerCall) -> Mapping[str, Any]:
        await pause()
        effect(call.event)
        return {"type": _ADDED, "data": {"x": call.event.data["x"] + 1}}

    handlers: tuple[EventHandler, ...] = (
        create_arvo_orchestrator(
            memory=memory, executionunits=0, machines=[_machine()], lease_ttl_s=lease_ttl_s
        ),
        create_arvo_resumable(
            contracts={"self": _FAN, "services": {"add": _ADD.version("1.0.0")}},
            memory=memory,
            handler={"1.0.0": fan},
            lease_ttl_s=lease_ttl_s,
        ),
        create_arvo_event_handler(contract=_ADD, executionunits=0, handler={"1.0.0": add}),
    )
    return {handler.source: handler for handler in handlers}
