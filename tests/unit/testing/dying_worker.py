"""A process that works one event off and dies at a point that it is told."""

from __future__ import annotations

import asyncio
import sys

from pydantic import BaseModel

import pyarvo as arvo
from pyarvo.testing.faults import kill_at


class Order(BaseModel):
    item: str


order = arvo.create_arvo_orchestrator_contract(
    uri="#/orc/order", name="order", versions={"1.0.0": {"init": Order, "complete": Order}}
)
machine = arvo.setup_arvo_machine(contracts={"self": order.version("1.0.0"), "services": {}}).create_machine(
    {
        "id": "order",
        "initial": "done",
        "context": lambda given: {"item": given["data"]["item"]},
        "states": {"done": {"type": "final"}},
        "output": lambda context: {"item": context["item"]},
    }
)


async def work(path: str, point: str, subject: str) -> None:
    async with arvo.open_memory(path) as memory:
        guarded = memory if point == "-" else kill_at(point).memory(memory)
        handler = arvo.create_arvo_orchestrator(memory=guarded, executionunits=0, machines=[machine])
        init = arvo.create_arvo_event(
            id="the-init",
            source="com.test.caller",
            type="arvo.orc.order",
            subject=subject,
            dataschema="#/orc/order/1.0.0",
            data={"item": "book", "parentSubject$$": None},
        )
        result = await handler.execute(init)
        print(result.outcome, *(event.id for event in result.events))


if __name__ == "__main__":
    asyncio.run(work(*sys.argv[1:]))
