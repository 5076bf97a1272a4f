"""A small world for the handlers' tests: one service, one orchestrator contract, a memory that can fail."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pydantic import BaseModel

from pyarvo.contracts import ArvoContract, create_arvo_contract, create_arvo_orchestrator_contract
from pyarvo.events import ARVO_CONTENT_TYPE, ArvoEvent, ArvoOrchestrationSubject, utc_timestamp
from pyarvo.handlers import (
    ArvoResumable,
    ResumableCall,
    ResumableContracts,
    ResumableResult,
    create_arvo_resumable,
)
from pyarvo.memory import Lease, Record, SimpleMachineMemory, Step, contract


class Add(BaseModel):
    a: int
    b: int = 1


class Added(BaseModel):
    result: int


class JobInit(BaseModel):
    n: int
    step: int = 1


class JobDone(BaseModel):
    total: int


WIRE_DEFAULTS = {"specversion": "1.0", "datacontenttype": ARVO_CONTENT_TYPE}


class World:
    """Contracts, and the events that travel between their handlers."""

    add: ArvoContract = create_arvo_contract(
        uri="#/calc/add",
        type="com.calc.add",
        domain="calc.domain",
        versions={"1.0.0": {"accepts": Add, "emits": {"evt.calc.add.success": Added}}},
    )
    job: ArvoContract = create_arvo_orchestrator_contract(
        uri="#/orc/job",
        name="job",
        versions={
            "1.0.0": {"init": JobInit, "complete": JobDone},
            "2.0.0": {"init": JobInit, "complete": JobDone},
        },
    )

    @property
    def contracts(self) -> ResumableContracts:
        return {"self": self.job, "services": {"add": self.add.version("1.0.0")}}

    def subject(self, execution: str = "exec-1", version: str = "1.0.0", **more: Any) -> str:
        return ArvoOrchestrationSubject.new(
            orchestrator="arvo.orc.job",
            version=version,
            initiator="com.test.client",
            execution_id=execution,
            **more,
        )

    def event(self, **fields: Any) -> ArvoEvent:
        return ArvoEvent.from_dict({"time": utc_timestamp(), **WIRE_DEFAULTS, **fields})

    def init(self, n: Any = 3, *, parent: str | None = None, **fields: Any) -> ArvoEvent:
        return self.event(
            **{
                "id": "init-1",
                "source": "com.test.client",
                "type": "arvo.orc.job",
                "subject": self.subject(),
                "data": {"parentSubject$$": parent, "n": n},
                "dataschema": "#/orc/job/1.0.0",
                "to": "arvo.orc.job",
                **fields,
            }
        )

    def answer(self, result: Any, *, to: ArvoEvent | None = None, **fields: Any) -> ArvoEvent:
        return self.event(
            **{
                "id": f"answer-{result}",
                "source": "com.calc.add",
                "type": "evt.calc.add.success",
                "subject": self.subject(),
                "data": {"result": result},
                "dataschema": "#/calc/add/1.0.0",
                "to": "arvo.orc.job",
                "parentid": None if to is None else to.id,
                **fields,
            }
        )

    def request(self, a: Any = 1, **fields: Any) -> ArvoEvent:
        return self.event(
            **{
                "id": "request-1",
                "source": "com.test.client",
                "type": "com.calc.add",
                "subject": self.subject(),
                "data": {"a": a},
                "dataschema": "#/calc/add/1.0.0",
                "to": "com.calc.add",
                **fields,
            }
        )


@pytest.fixture
def world() -> World:
    return World()


class FaultyMemory:
    """
    A leased memory around a whole one.

    `faults` names operations and what they raise; "commit after" raises once the commit was applied. `calls` lists
    what was asked. With `pauses`, every call suspends before and after it takes effect. `ttl_s` is the length of the
    leases as their holder sees it.
    """

    def __init__(self) -> None:
        self.inner = SimpleMachineMemory(lock_attempts=1)
        self.faults: dict[str, BaseException] = {}
        self.calls: list[str] = []
        self.pauses = False
        self.ttl_s: float | None = None
        self.renewed = asyncio.Event()

    async def _begin(self, operation: str) -> None:
        self.calls.append(operation)
        await self._pause()
        if operation in self.faults:
            raise self.faults[operation]

    async def _pause(self) -> None:
        if self.pauses:
            await asyncio.sleep(0)

    async def acquire(
        self, id: str, *, event_key: Sequence[str] | str | None = None, ttl_s: float | None = None
    ) -> Lease | None:
        await self._begin("acquire")
        lease = await self.inner.acquire(id, event_key=event_key, ttl_s=ttl_s)
        try:
            await self._pause()
        except asyncio.CancelledError:  # C10
            if lease is not None:
                await self.inner.release(lease)
            raise
        if lease is not None and self.ttl_s is not None:
            lease = self._shortened(lease)
        return lease

    def _shortened(self, lease: Lease) -> Lease:
        assert self.ttl_s is not None
        return Lease(
            lease.id,
            token=lease.token,
            fence=lease.fence,
            version=lease.version,
            data=lease.data,
            ttl_s=self.ttl_s,
            sent_at=contract.monotonic(),  # virtual, where the test's time is
        )

    async def commit(
        self, lease: Lease, data: Mapping[str, Any], *, step: Step | None = None, release: bool = True
    ) -> int:
        await self._begin("commit")
        version = await self.inner.commit(lease, data, step=step, release=release)
        await self._pause()
        if "commit after" in self.faults:
            raise self.faults["commit after"]
        return version

    async def renew(self, lease: Lease, *, ttl_s: float | None = None) -> None:
        await self._begin("renew")
        await self.inner.renew(lease, ttl_s=5.0)
        self.renewed.set()

    async def release(self, lease: Lease) -> bool:
        await self._begin("release")
        await self._pause()
        released = await self.inner.release(lease)
        await self._pause()
        return released

    async def read(self, id: str) -> Record | None:
        return await self.inner.read(id)

    async def write(self, id: str, data: Record) -> None:
        await self.inner.write(id, data)

    async def lock(self, id: str) -> bool:
        return await self.inner.lock(id)

    async def unlock(self, id: str) -> bool:
        return await self.inner.unlock(id)

    async def is_free(self, id: str) -> bool:
        """Whether somebody may take the lease now; it is given back."""
        lease = await self.inner.acquire(id)
        if lease is not None:
            await self.inner.release(lease)
        return lease is not None


@pytest.fixture
def memory() -> FaultyMemory:
    return FaultyMemory()


class Job:
    """Asks for one addition and completes with its result. Counts how often it ran."""

    def __init__(self) -> None:
        self.runs = 0
        self.error: BaseException | None = None

    async def __call__(self, call: ResumableCall) -> ResumableResult:
        self.runs += 1
        if self.error is not None:
            raise self.error
        if call.input is not None:
            n = call.input.data["n"]
            return {
                "context": {"n": n},
                "services": [{"type": "com.calc.add", "data": {"a": n}}],
            }
        assert call.service is not None
        return {"output": {"total": call.service.data["result"]}}


@pytest.fixture
def job() -> Job:
    return Job()


@pytest.fixture
def handler(world: World, memory: FaultyMemory, job: Job) -> ArvoResumable:
    return create_arvo_resumable(
        contracts=world.contracts, memory=memory, handler={"1.0.0": job}, executionunits=4
    )
