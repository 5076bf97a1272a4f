"""
The conventional Python way to write the same orchestration, for comparison: pydantic events, json, uuid4, a subject
decoded each time, the OpenTelemetry API around every call. No lease, no fence, no replay, no journal.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
import zlib
from collections import deque
from datetime import UTC, datetime
from typing import Any

from opentelemetry import trace
from pydantic import BaseModel, Field, field_validator

TYPE = r"^[a-z0-9]+(\.[a-z0-9]+)+\.[a-z0-9]+$"

_tracer = trace.get_tracer("sketch")


class Event(BaseModel):
    id: str = Field(min_length=1, default_factory=lambda: str(uuid.uuid4()))
    source: str = Field(min_length=1)
    specversion: str = "1.0"
    type: str = Field(pattern=r"^[a-z0-9.]+$")
    subject: str = Field(min_length=1)
    datacontenttype: str = "application/cloudevents+json;charset=UTF-8;profile=arvo"
    dataschema: str | None = None
    data: dict[str, Any]
    time: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))
    to: str | None = None
    accesscontrol: str | None = None
    redirectto: str | None = None
    executionunits: float | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    parentid: str | None = None
    domain: str | None = None

    @field_validator("data")
    @classmethod
    def _is_json(cls, value: dict[str, Any]) -> dict[str, Any]:
        if json.loads(json.dumps(value)) != value:
            raise ValueError("not JSON")
        return value


class Orchestrator(BaseModel):
    name: str = Field(min_length=1)
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")


class Execution(BaseModel):
    id: str
    initiator: str
    domain: str | None


class Subject(BaseModel):
    orchestrator: Orchestrator
    execution: Execution
    meta: dict[str, str]


class Item(BaseModel):
    sku: str
    count: int
    price: float
    in_stock: bool


class Amount(BaseModel):
    n: int
    note: str = ""
    items: list[Item] = []


def encode_subject(name: str, version: str, initiator: str) -> str:
    content = {
        "orchestrator": {"name": name, "version": version},
        "execution": {"id": str(uuid.uuid4()), "initiator": initiator, "domain": None},
        "meta": {},
    }
    return base64.b64encode(zlib.compress(json.dumps(content, separators=(",", ":")).encode())).decode()


def decode_subject(subject: str) -> Subject:
    return Subject.model_validate(json.loads(zlib.decompress(base64.b64decode(subject))))


class Memory:
    """A dictionary of JSON text and a dictionary of locks."""

    def __init__(self) -> None:
        self.records: dict[str, str] = {}
        self.locks: dict[str, float] = {}

    async def lock(self, id: str) -> bool:
        with _tracer.start_as_current_span("lock"):
            if self.locks.get(id, 0.0) > time.monotonic():
                return False
            self.locks[id] = time.monotonic() + 30
            return True

    async def read(self, id: str) -> dict[str, Any] | None:
        with _tracer.start_as_current_span("read"):
            raw = self.records.get(id)
            return None if raw is None else json.loads(raw)

    async def write(self, id: str, record: dict[str, Any]) -> None:
        with _tracer.start_as_current_span("write"):
            self.records[id] = json.dumps(record)

    async def unlock(self, id: str) -> bool:
        with _tracer.start_as_current_span("unlock"):
            return self.locks.pop(id, None) is not None


STEPS = ("com.bench.one", "com.bench.two", "com.bench.three")


async def execute(memory: Memory, event: Event) -> list[Event]:
    """One step of the orchestrator."""
    with _tracer.start_as_current_span(f"Orchestrator<{event.type}>") as span:
        span.set_attribute("cloudevents.event_id", event.id)
        subject = decode_subject(event.subject)
        await memory.lock(event.subject)
        record = await memory.read(event.subject)
        Amount.model_validate(event.data)
        at = 0 if record is None else record["at"] + 1
        init = event.id if record is None else record["initEventId"]
        last = at == len(STEPS)
        emitted = Event(
            source="arvo.orc.bench",
            type="arvo.orc.bench.done" if last else STEPS[at],
            subject=event.subject,
            dataschema="#/bench/1.0.0",
            data=Amount.model_validate({**event.data, "n": event.data["n"] + 1}).model_dump(by_alias=True),
            to=subject.execution.initiator if last else STEPS[at],
            redirectto="arvo.orc.bench",
            executionunits=0.1,
            parentid=init if last else event.id,
        )
        await memory.write(
            event.subject,
            {
                "executionStatus": "normal",
                "initEventId": init,
                "subject": event.subject,
                "parentSubject": None,
                "status": "done" if last else "active",
                "at": at,
                "context": event.data,
                "events": {"consumed": event.model_dump(), "produced": [emitted.model_dump()]},
            },
        )
        await memory.unlock(event.subject)
        return [emitted]


async def serve(event: Event) -> list[Event]:
    """One of the three services."""
    with _tracer.start_as_current_span(f"Handler<{event.type}>") as span:
        span.set_attribute("cloudevents.event_id", event.id)
        subject = decode_subject(event.subject)
        amount = Amount.model_validate(event.data)
        return [
            Event(
                source=event.type,
                type=event.type.replace("com.", "evt.") + ".success",
                subject=event.subject,
                dataschema="#/bench/1.0.0",
                data=Amount(n=amount.n + 1, items=amount.items).model_dump(by_alias=True),
                to=event.redirectto,
                executionunits=0.1,
                parentid=event.id,
                domain=None if event.domain is None else subject.execution.domain,
            )
        ]


async def orchestrate(memory: Memory, items: list[Any]) -> Event:
    """Eight events, seven executions, four steps of the memory; the last event."""
    subject = encode_subject("arvo.orc.bench", "1.0.0", "com.bench.client")
    waiting = deque(
        [
            Event(
                source="com.bench.client",
                type="arvo.orc.bench",
                subject=subject,
                data={"n": 1, "note": "", "items": items},
                to="arvo.orc.bench",
            )
        ]
    )
    while True:
        event = waiting.popleft()
        if event.to == "com.bench.client":
            return event
        waiting.extend(await (execute(memory, event) if event.to == "arvo.orc.bench" else serve(event)))


async def parts(memory: Memory) -> None:
    """What one orchestration is made of, each part alone: the sketch itself must not cost much more."""
    subject = encode_subject("arvo.orc.bench", "1.0.0", "com.bench.client")
    fields: dict[str, Any] = {
        "source": "arvo.orc.bench",
        "type": "com.bench.one",
        "subject": subject,
        "dataschema": "#/bench/1.0.0",
        "data": {"n": 1, "note": "", "items": []},
        "to": "com.bench.one",
        "redirectto": "arvo.orc.bench",
        "executionunits": 0.1,
        "parentid": "x",
    }
    events = [Event(**fields) for _ in range(8)]
    for _ in range(7):
        with _tracer.start_as_current_span("Handler<x>") as span:
            span.set_attribute("cloudevents.event_id", "x")
            decode_subject(subject)
            Amount.model_validate({"n": 1})
            Amount.model_validate({"n": 1}).model_dump(by_alias=True)
    for event in events[:4]:
        await memory.lock(subject)
        await memory.read(subject)
        record = {
            "subject": subject,
            "at": 1,
            "context": event.data,
            "events": {"consumed": event.model_dump(), "produced": [event.model_dump()]},
        }
        await memory.write(subject, record)
        await memory.unlock(subject)
