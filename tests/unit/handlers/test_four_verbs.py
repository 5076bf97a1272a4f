"""Any object with the four verbs is memory enough for every handler."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from pyarvo.errors import ConfigViolation, TransactionCause, TransactionViolation
from pyarvo.handlers import (
    ArvoOrchestrator,
    ArvoResumable,
    Outcome,
    ResumableCall,
    ResumableResult,
    create_arvo_orchestrator,
    create_arvo_resumable,
)
from pyarvo.statecharts import assign, emit, setup_arvo_machine


class DictMemory:
    """What a user may write on a Sunday."""

    def __init__(self) -> None:
        self.records: dict[str, Any] = {}
        self.locked: set[str] = set()
        self.faults: dict[str, Exception] = {}

    def _check(self, verb: str) -> None:
        if verb in self.faults:
            raise self.faults[verb]

    async def read(self, id: str) -> dict[str, Any] | None:
        self._check("read")
        return copy.deepcopy(self.records.get(id))

    async def write(self, id: str, data: dict[str, Any]) -> None:
        self._check("write")
        self.records[id] = copy.deepcopy(data)

    async def lock(self, id: str) -> bool:
        self._check("lock")
        if id in self.locked:
            return False
        self.locked.add(id)
        return True

    async def unlock(self, id: str) -> bool:
        self.locked.discard(id)
        self._check("unlock")
        return True


def request(context: dict[str, Any]) -> dict[str, Any]:
    return {"type": "com.calc.add", "data": {"a": context["n"]}}


def output(context: dict[str, Any]) -> dict[str, Any]:
    return {"total": context["n"]}


def taken(_context: dict[str, Any], event: Any) -> Any:
    return event.data["result"]


def context_of(init: Any) -> dict[str, Any]:
    return {"n": init.data["n"]}


async def job(call: ResumableCall) -> ResumableResult:
    if call.input is not None:
        return {"services": [{"type": "com.calc.add", "data": {"a": call.input.data["n"]}}]}
    assert call.service is not None
    return {"output": {"total": call.service.data["result"]}}


@pytest.fixture
def dicts() -> DictMemory:
    return DictMemory()


@pytest.fixture(params=["orchestrator", "resumable"])
def handler(
    request: pytest.FixtureRequest, world: Any, dicts: DictMemory
) -> ArvoOrchestrator | ArvoResumable:
    if request.param == "resumable":
        return create_arvo_resumable(contracts=world.contracts, memory=dicts, handler={"1.0.0": job})
    return create_arvo_orchestrator(memory=dicts, executionunits=1, machines=[adding(world)])


def adding(world: Any) -> Any:
    contracts: Any = {"self": world.job.version("1.0.0"), "services": {"add": world.add.version("1.0.0")}}
    return setup_arvo_machine(contracts=contracts).create_machine(
        {
            "context": context_of,
            "output": output,
            "initial": "asking",
            "states": {
                "asking": {
                    "entry": emit(request),
                    "on": {"evt.calc.add.success": {"target": "done", "actions": assign({"n": taken})}},
                },
                "done": {"type": "final"},
            },
        }
    )


async def test_a_workflow_runs_and_replays(handler: Any, dicts: DictMemory, world: Any) -> None:
    first = await handler.execute(world.init())
    (asked,) = first.events
    assert (await handler.execute(world.init())).events == first.events
    (done,) = (await handler.execute(world.answer(9, to=asked))).events
    assert (done.type, done.data) == ("arvo.orc.job.done", {"total": 9})
    assert (await handler.execute(world.init())).outcome is Outcome.REPLAYED
    assert (await handler.execute(world.answer(8, to=asked))).outcome is Outcome.INSTANCE_DONE
    assert (await handler.execute(world.answer(1, subject=world.subject("other")))).outcome is (
        Outcome.UNKNOWN_INSTANCE
    )
    assert dicts.locked == set()


async def test_nothing_is_renewed_that_cannot_be(
    handler: Any, world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    timers: list[float] = []

    def noting(delay: float, *_: Any) -> None:
        timers.append(delay)

    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", noting)
    assert (await handler.execute(world.init())).outcome is Outcome.RAN
    assert timers == []


async def test_a_held_lock_is_denied(handler: Any, dicts: DictMemory, world: Any) -> None:
    dicts.locked.add(world.subject())
    with pytest.raises(TransactionViolation) as violation:
        await handler.execute(world.init())
    assert violation.value.cause is TransactionCause.LOCK_UNACQUIRED
    assert dicts.locked == {world.subject()}


@pytest.mark.parametrize(
    ("verb", "cause"),
    [
        ("lock", TransactionCause.LOCK_MACHINE_MEMORY_FAILURE),
        ("read", TransactionCause.READ_MACHINE_MEMORY_FAILURE),
        ("write", TransactionCause.WRITE_MACHINE_MEMORY_FAILURE),
    ],
)
async def test_whatever_a_verb_raises_has_its_cause(
    handler: Any, dicts: DictMemory, world: Any, verb: str, cause: TransactionCause
) -> None:
    dicts.faults[verb] = fault = OSError("disk full")
    with pytest.raises(TransactionViolation) as violation:
        await handler.execute(world.init())
    assert violation.value.cause is cause
    assert violation.value.__cause__ is not None
    assert violation.value.__cause__.__cause__ is fault
    assert dicts.locked == set()
    assert dicts.records == {}


async def test_an_unlock_that_raises_hides_nothing(handler: Any, dicts: DictMemory, world: Any) -> None:
    dicts.faults["unlock"] = OSError("network")
    result = await handler.execute(world.init())
    assert result.outcome is Outcome.RAN
    assert [event.type for event in result.events] == ["com.calc.add"]


def test_the_length_of_its_leases_is_the_memorys_own(dicts: DictMemory, world: Any) -> None:
    with pytest.raises(ConfigViolation, match="lease_ttl_s"):
        create_arvo_resumable(
            contracts=world.contracts, memory=dicts, handler={"1.0.0": job}, lease_ttl_s=30.0
        )
