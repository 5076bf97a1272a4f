"""
What must type-check, and what must not. Checked by `make check`, never run.

A line that must not type-check carries an ignore of exactly that rule; the checker complains about an ignore that
is not needed, so that a type which became too wide turns this file red.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, assert_type

from pydantic import BaseModel

import pyarvo
from pyarvo import Lease, LeasedMachineMemory, MachineMemory, Outcome, Step
from pyarvo.memory import LeasedMemory, Record


class Order(BaseModel):
    amount: int


charge = pyarvo.create_arvo_contract(
    uri="#/shop/charge",
    type="com.shop.charge",
    versions={"1.0.0": {"accepts": Order, "emits": {"evt.shop.charge.success": Order}}},
)
order = pyarvo.create_arvo_orchestrator_contract(
    uri="#/shop/order", name="shop.order", versions={"1.0.0": {"init": Order, "complete": Order}}
)


class MyMemory:
    """A user's own: four verbs, nothing inherited."""

    async def read(self, id: str) -> Record | None:
        return {"id": id}

    async def write(self, id: str, data: Record) -> None: ...

    async def lock(self, id: str) -> bool:
        return bool(id)

    async def unlock(self, id: str) -> bool:
        return bool(id)


class NoMemory:
    async def read(self, id: str) -> Record | None: ...


def memories_fit_the_protocols() -> None:
    verbs: list[MachineMemory] = [
        MyMemory(),
        pyarvo.SimpleMachineMemory(),
        pyarvo.SqliteMachineMemory("x.db"),
    ]
    leases: list[LeasedMachineMemory] = [pyarvo.SimpleMachineMemory(), pyarvo.open_memory("memory://")]
    del verbs, leases
    _none: MachineMemory = NoMemory()  # pyright: ignore[reportAssignmentType]
    _verbs_only: LeasedMachineMemory = MyMemory()  # pyright: ignore[reportAssignmentType]


async def answers_have_types(memory: LeasedMemory) -> None:
    assert_type(await memory.read("a"), Record | None)
    await assert_type(memory.lock("a"), Coroutine[Any, Any, bool])
    assert_type(await memory.unlock("a"), bool)
    lease = await memory.acquire("a", event_key=["source", "id"], ttl_s=5)
    assert_type(lease, Lease | None)
    await memory.commit(lease, {})  # pyright: ignore[reportArgumentType]
    if lease is not None:
        assert_type(await memory.commit(lease, {"n": 1}, step=Step('["source","id"]')), int)
        assert_type(lease.replay, Step | None)
        assert_type(lease.expires_in_s, float)
    await memory.acquire("a", ttl_s="5")  # pyright: ignore[reportArgumentType]
    await memory.write("a", [1])  # pyright: ignore[reportArgumentType]


def options_have_names_and_types() -> None:
    pyarvo.SimpleMachineMemory(lease_ttl_s=5.0, lock_attempts=1, history=2)
    pyarvo.SimpleMachineMemory(lease_ttl="5")  # pyright: ignore[reportCallIssue]
    pyarvo.SqliteMachineMemory("x.db", synchronous="fast")  # pyright: ignore[reportArgumentType]


async def charge_card(call: pyarvo.HandlerCall) -> dict[str, Any]:
    return {"type": "evt.shop.charge.success", "data": {"amount": call.event.data["amount"]}}


async def handlers_take_any_memory() -> None:
    machine = pyarvo.setup_arvo_machine(
        contracts={"self": order.version("1.0.0"), "services": {"charge": charge.version("1.0.0")}}
    ).create_machine({"id": "m", "initial": "a", "states": {"a": {}}})
    handler = pyarvo.create_arvo_orchestrator(memory=MyMemory(), executionunits=0.1, machines=[machine])
    event = pyarvo.create_arvo_event(source="a.b.c", type="a.b.c", subject="s", data={})
    result = await handler.execute(event)
    assert_type(result.events, tuple[pyarvo.ArvoEvent, ...])
    assert_type(result.outcome, Outcome)
    pyarvo.create_arvo_orchestrator(memory=NoMemory(), executionunits=1, machines=[machine])  # pyright: ignore[reportArgumentType]
    pyarvo.create_arvo_event_handler(contract=charge, executionunits=0, handler={"1.0.0": charge_card})
    event.id = "other"  # pyright: ignore[reportAttributeAccessIssue]
