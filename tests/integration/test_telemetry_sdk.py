"""Telemetry as a real SDK sees it: spans and their trace, metrics with units, buckets and labels, and what is never told."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Histogram, InMemoryMetricReader, Metric, Sum
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import SpanKind, StatusCode
from pydantic import BaseModel

from pyarvo import (
    ArvoEvent,
    ArvoOrchestrationSubject,
    HandlerCall,
    LeaseLost,
    MemoryUnavailable,
    Outcome,
    ResumableCall,
    SimpleMachineMemory,
    SqliteMachineMemory,
    Step,
    TransactionViolation,
    WriteConflict,
    create_arvo_contract,
    create_arvo_event,
    create_arvo_event_handler,
    create_arvo_orchestrator,
    create_arvo_orchestrator_contract,
    create_arvo_orchestrator_event_factory,
    create_arvo_resumable,
    emit,
    setup_arvo_machine,
)
from pyarvo.memory import LeasedMemory, MemoryOptions
from pyarvo.memory.decide import Op
from pyarvo.memory.simple import SimpleBackend
from pyarvo.telemetry import names, use_providers

SECRET = "4111-1111-1111-1111"


class Seen:
    """What an SDK was told."""

    def __init__(self, sampler: Any = None) -> None:
        self._spans = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracer_provider = TracerProvider(sampler=sampler)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meter_provider = MeterProvider(metric_readers=[self._reader])

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._spans.get_finished_spans()

    def span(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def metrics(self) -> dict[str, Metric]:
        data = self._reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def counts(self, name: str) -> dict[tuple[Any, ...], int]:
        """Of a counter or a histogram, by the values of its labels in the order of `names.py`."""
        (defined,) = [metric for metric in names.METRICS if metric.name == name]
        metric = self.metrics().get(name)
        found: dict[tuple[Any, ...], int] = {}
        for point in () if metric is None else metric.data.data_points:
            labels = dict(point.attributes or {})
            assert set(labels) <= set(defined.labels)
            key = tuple(labels.get(label) for label in defined.labels)
            found[key] = int(getattr(point, "count", 0) or getattr(point, "value", 0))
        return found


@pytest.fixture
def seen() -> Iterator[Seen]:
    made = Seen()
    use_providers(tracer_provider=made.tracer_provider, meter_provider=made.meter_provider)
    yield made
    use_providers()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteMachineMemory]:
    async with SqliteMachineMemory(tmp_path / "seen.db", lock_attempts=1) as memory:
        yield memory


# --- a small shop ---------------------------------------------------------------------------------------------


class Order(BaseModel):
    card: str


class Paid(BaseModel):
    ok: bool


CHARGE = create_arvo_contract(
    uri="#/shop/charge",
    type="com.shop.charge",
    versions={"1.0.0": {"accepts": Order, "emits": {"evt.shop.charge.success": Paid}}},
)
ORDER = create_arvo_orchestrator_contract(
    uri="#/shop/order", name="shop.order", versions={"1.0.0": {"init": Order, "complete": Paid}}
)
INIT = create_arvo_orchestrator_event_factory(ORDER.version("1.0.0"))
MACHINE = setup_arvo_machine(
    contracts={"self": ORDER.version("1.0.0"), "services": {"charge": CHARGE.version("1.0.0")}}
).create_machine(
    {
        "id": "order",
        "context": lambda event: {"card": event.data["card"]},
        "initial": "paying",
        "output": lambda _context: {"ok": True},
        "states": {
            "paying": {
                "entry": emit(
                    lambda context, _: {"type": "com.shop.charge", "data": {"card": context["card"]}}
                ),
                "on": {"evt.shop.charge.success": {"target": "done"}},
            },
            "done": {"type": "final"},
        },
    }
)


@dataclass
class Shop:
    orchestrator: Any
    service: Any

    def of(self, event: ArvoEvent) -> Any:
        return {each.source: each for each in (self.orchestrator, self.service)}[event.to or ""]


def shop(memory: LeasedMemory, error: Exception | None = None) -> Shop:
    async def charge(call: HandlerCall) -> dict[str, Any]:
        if error is not None:
            raise error
        assert call.event.data["card"] == SECRET
        return {"type": "evt.shop.charge.success", "data": {"ok": True}}

    return Shop(
        create_arvo_orchestrator(memory=memory, executionunits=1, machines=[MACHINE]),
        create_arvo_event_handler(contract=CHARGE, executionunits=1, handler={"1.0.0": charge}),
    )


def init(**fields: Any) -> ArvoEvent:
    return INIT.init(source="com.shop.client", data={"card": SECRET, "parentSubject$$": None}, **fields)


async def run_order(memory: LeasedMemory, first: ArvoEvent) -> list[ArvoEvent]:
    """The whole workflow: init, charge, answer; returns every event in order."""
    here = shop(memory)
    events = [first]
    for event in events:
        if event.to != "com.shop.client":
            events += (await here.of(event).execute(event)).events
    return events


def trace_of(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


# --- spans ----------------------------------------------------------------------------------------------------


async def test_one_trace_goes_through_all_handlers(seen: Seen, sqlite: SqliteMachineMemory) -> None:
    tracer = seen.tracer_provider.get_tracer("client")
    with tracer.start_as_current_span("client"):
        first = init()
    events = await run_order(sqlite, first)
    assert [event.type for event in events] == [
        "arvo.orc.shop.order",
        "com.shop.charge",
        "evt.shop.charge.success",
        "arvo.orc.shop.order.done",
    ]

    steps = [
        seen.span("client"),
        seen.span("Orchestrator<#/shop/order>@<arvo.orc.shop.order>"),
        seen.span("Handler<#/shop/charge>"),
        seen.span("Orchestrator<#/shop/order>@<evt.shop.charge.success>"),
    ]
    assert [span.kind for span in steps[1:]] == [SpanKind.PRODUCER, SpanKind.CONSUMER, SpanKind.PRODUCER]
    assert [event.traceparent for event in events] == [trace_of(span) for span in steps]
    for parent, child in pairwise(steps):
        context = parent.get_span_context()
        assert context is not None
        assert child.parent is not None
        assert (child.parent.trace_id, child.parent.span_id) == (context.trace_id, context.span_id)


async def test_a_step_has_two_spans_and_its_other_calls_are_events(
    seen: Seen, sqlite: SqliteMachineMemory
) -> None:
    await shop(sqlite).orchestrator.execute(init())
    commit, step = seen.spans
    assert (commit.name, commit.kind) == ("commit sqlite", SpanKind.CLIENT)
    assert commit.parent == step.get_span_context()
    attributes = dict(commit.attributes or {})
    assert attributes["db.system.name"] == "sqlite"
    assert attributes["db.operation.name"] == "commit"
    assert attributes["arvo.memory.outcome"] == "committed"
    assert commit.status.status_code is StatusCode.UNSET

    call, emitted = step.events
    assert call.name == "arvo.memory.call"
    told = dict(call.attributes or {})
    assert (told["db.operation.name"], told["arvo.memory.outcome"]) == ("acquire", "acquired")
    assert 0 < float(str(told["arvo.memory.duration"])) < 10
    assert emitted.name == "arvo.event.emitted"
    assert dict(emitted.attributes or {})["cloudevents.event_type"] == "com.shop.charge"


async def test_the_in_process_memory_has_no_spans(seen: Seen) -> None:
    await shop(SimpleMachineMemory()).orchestrator.execute(init())
    (step,) = seen.spans
    assert [event.name for event in step.events] == ["arvo.event.emitted"]


async def test_the_attributes_of_a_step(seen: Seen) -> None:
    event = init(accesscontrol="token of the caller", redirectto="com.shop.other")
    await shop(SimpleMachineMemory()).orchestrator.execute(event)
    (step,) = seen.spans
    assert dict(step.attributes or {}) == {
        "arvo.span.kind": "handler.orchestrator.statemachine",
        "openinference.span.kind": "CHAIN",
        "arvo.handler.source": "arvo.orc.shop.order",
        "arvo.contract.uri": "#/shop/order",
        "arvo.handler.execution.type": "orchestrator",
        "arvo.handler.execution.status": "normal",
        "arvo.handler.execution.outcome": "ran",
        "cloudevents.event_id": event.id,
        "cloudevents.event_source": "com.shop.client",
        "cloudevents.event_spec_version": "1.0",
        "cloudevents.event_subject": event.subject,
        "cloudevents.event_type": "arvo.orc.shop.order",
        "cloudevents.event_time": event.time,
        "cloudevents.event_datacontenttype": event.datacontenttype,
        "cloudevents.event_dataschema": "#/shop/order/1.0.0",
        "cloudevents.arvo.event_redirectto": "com.shop.other",
        "cloudevents.arvo.event_to": "arvo.orc.shop.order",
    }
    scope = step.instrumentation_scope
    assert scope is not None
    assert scope.name == "pyarvo"


async def test_neither_data_nor_access_control_is_told(seen: Seen, sqlite: SqliteMachineMemory) -> None:
    await run_order(sqlite, init(accesscontrol=f"token {SECRET}"))
    assert SECRET not in "".join(span.to_json() for span in seen.spans)


async def test_user_code_runs_inside_of_the_span(seen: Seen) -> None:
    inside: list[str] = []

    async def function(_: ResumableCall) -> None:
        inside.append(trace.get_current_span().get_span_context().span_id.to_bytes(8, "big").hex())
        inside.append(str(create_arvo_event(source="a", type="a.b.c", subject="s", data={}).traceparent))

    resumable = create_arvo_resumable(
        contracts={"self": ORDER, "services": {}},
        memory=SimpleMachineMemory(),
        handler={"1.0.0": function},
    )
    await resumable.execute(init())
    (step,) = seen.spans
    assert step.name == "Resumable<#/shop/order>@<arvo.orc.shop.order>"
    assert inside == [trace_of(step).split("-")[2], trace_of(step)]
    assert trace.get_current_span() is trace.INVALID_SPAN, "it is left afterwards"


async def test_failures_are_errors_on_the_span(seen: Seen) -> None:
    failing = shop(SimpleMachineMemory(), ValueError("no such card"))
    (charge,) = (await failing.orchestrator.execute(init())).events
    assert (await failing.service.execute(charge)).outcome is Outcome.FAILED
    with pytest.raises(TransactionViolation):
        memory = Broken("acquire")
        await shop(memory).orchestrator.execute(init())
    failed, broken = seen.spans[1:]
    for span, error_type in ((failed, "ValueError"), (broken, "LOCK_MACHINE_MEMORY_FAILURE")):
        assert span.status.status_code is StatusCode.ERROR
        assert dict(span.attributes or {})["error.type"] == error_type
        assert dict(span.attributes or {})["arvo.handler.execution.status"] == "failure"
    assert [event.name for event in failed.events] == ["exception", "arvo.event.emitted"]


async def test_an_error_that_cannot_say_its_message_is_one_on_the_span_too(seen: Seen) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise AttributeError("detail")

    failing = shop(SimpleMachineMemory(), Mute())
    (charge,) = (await failing.orchestrator.execute(init())).events
    assert (await failing.service.execute(charge)).outcome is Outcome.FAILED
    span = seen.spans[1]
    assert span.status.status_code is StatusCode.ERROR
    assert str(dict(span.attributes or {})["error.type"]).endswith("Mute")
    assert [event.name for event in span.events] == ["exception", "arvo.event.emitted"]


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_an_execution_that_is_dropped_is_told_and_leaves_no_span_behind(
    seen: Seen, caplog: pytest.LogCaptureFixture, elsewhere: bool
) -> None:
    async def charge(call: HandlerCall) -> None:
        del call
        await asyncio.get_running_loop().create_future()

    handler = create_arvo_event_handler(contract=CHARGE, executionunits=1, handler={"1.0.0": charge})
    event = create_arvo_event(
        source="com.shop.client",
        type=CHARGE.type,
        subject="order-1",
        dataschema=CHARGE.version("1.0.0").dataschema,
        data={"card": SECRET},
    )
    execution = handler.execute(event)
    execution.send(None)
    if elsewhere:  # as the garbage collector does it
        copy_context().run(execution.close)
    else:
        execution.close()
    assert seen.counts("arvo.step.duration") == {("com.shop.charge", "error", "GeneratorExit"): 1}
    assert seen.spans[0].status.status_code is StatusCode.ERROR
    assert caplog.records == []
    if not elsewhere:
        assert not trace.get_current_span().get_span_context().is_valid


async def test_calls_outside_of_a_handler_have_spans_of_their_own(
    seen: Seen, sqlite: SqliteMachineMemory
) -> None:
    lease = await sqlite.acquire("one")
    assert lease is not None
    assert await sqlite.acquire("one") is None
    await sqlite.commit(lease, {"a": 1})
    await sqlite.read("one")
    await sqlite.get("one")
    await sqlite.count()
    await sqlite.get("nobody")
    assert [span.name for span in seen.spans] == [
        "acquire sqlite",
        "acquire sqlite",
        "commit sqlite",
        "read sqlite",
        "get sqlite",
        "count sqlite",
        "get sqlite",
    ]
    outcomes = [dict(span.attributes or {})["arvo.memory.outcome"] for span in seen.spans]
    assert outcomes == ["acquired", "denied", "committed", "found", *["answered"] * 3]


async def test_what_is_not_sampled_stays_so_down_the_line() -> None:
    dropped = Seen(ParentBased(ALWAYS_OFF))
    use_providers(tracer_provider=dropped.tracer_provider)
    try:
        events = await run_order(SimpleMachineMemory(), init())
        assert not dropped.spans
        assert [event.traceparent is None for event in events] == [True, False, False, False]
        assert [int(str(event.traceparent)[-2:], 16) & 1 for event in events[1:]] == [0, 0, 0]
        assert len({str(event.traceparent)[:35] for event in events[1:]}) == 1, (
            "one decision for the whole trace"
        )
        sampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        never = Seen(ALWAYS_OFF)
        use_providers(tracer_provider=never.tracer_provider)
        (charge,) = (await shop(SimpleMachineMemory()).orchestrator.execute(init(traceparent=sampled))).events
        assert charge.traceparent == sampled, "a trace goes on past a handler that does not record it"
    finally:
        use_providers()


async def test_tracestate_is_carried_on(seen: Seen) -> None:
    sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    (charge,) = (
        await shop(SimpleMachineMemory()).orchestrator.execute(init(traceparent=sent, tracestate="a=1,b=2"))
    ).events
    (step,) = seen.spans
    assert charge.traceparent == trace_of(step)
    assert charge.tracestate == "a=1,b=2"
    assert step.parent is not None
    assert f"{step.parent.span_id:016x}" == "b7ad6b7169203331"


async def test_a_header_that_is_none_does_not_hurt(seen: Seen) -> None:
    (charge,) = (await shop(SimpleMachineMemory()).orchestrator.execute(init(traceparent="garbage"))).events
    (step,) = seen.spans
    assert step.parent is None
    assert charge.traceparent == trace_of(step)


async def test_an_event_is_made_with_the_active_trace_unless_it_has_its_own(seen: Seen) -> None:
    def made(traceparent: str | None = None) -> ArvoEvent:
        return create_arvo_event(source="a", type="a.b.c", subject="s", data={}, traceparent=traceparent)

    assert made().traceparent is None
    own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with seen.tracer_provider.get_tracer("client").start_as_current_span("client"):
        inside = made()
        assert made(traceparent=own).traceparent == own
    assert inside.traceparent == trace_of(seen.span("client"))


# --- metrics --------------------------------------------------------------------------------------------------


class Broken(LeasedMemory):
    """In process, but one verb finds no store."""

    def __init__(self, verb: str) -> None:
        class Backend(SimpleBackend):
            async def execute(self, ops: Sequence[Op]) -> Any:
                if type(ops[0]).__name__.lower() == verb:
                    raise MemoryUnavailable("gone")
                return await super().execute(ops)

        options = MemoryOptions()
        super().__init__(Backend(options), options)


async def everything(seen: Seen, memory: LeasedMemory) -> None:
    """Make every metric say something."""
    first = init()
    await run_order(memory, first)
    assert (await shop(memory).orchestrator.execute(first)).outcome is Outcome.REPLAYED
    lease = await memory.acquire("one")
    assert lease is not None
    assert await memory.acquire("one") is None
    await memory.commit(lease, {"a": 1}, release=False)
    lease.version = 7
    with pytest.raises(WriteConflict):
        await memory.commit(lease, {"a": 2})
    assert await memory.release(lease)
    with pytest.raises(LeaseLost):
        await memory.renew(lease)
    for verb in ("acquire", "read"):
        with pytest.raises(MemoryUnavailable):
            await getattr(Broken(verb), verb)("one")
    assert seen.metrics()


async def test_every_metric_has_its_unit_kind_and_buckets(seen: Seen, sqlite: SqliteMachineMemory) -> None:
    await everything(seen, sqlite)
    found = seen.metrics()
    assert set(found) == {metric.name for metric in names.METRICS}
    for defined in names.METRICS:
        metric = found[defined.name]
        assert (metric.unit, metric.description) == (defined.unit, defined.description)
        if defined.kind is names.Kind.COUNTER:
            assert isinstance(metric.data, Sum)
            assert metric.data.is_monotonic
        else:
            assert isinstance(metric.data, Histogram)
            assert all(tuple(point.explicit_bounds) == defined.buckets for point in metric.data.data_points)
    assert names.OPERATION_DURATION.buckets == (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)


async def test_what_the_metrics_count(seen: Seen, sqlite: SqliteMachineMemory) -> None:
    await everything(seen, sqlite)
    assert seen.counts("arvo.memory.lock.acquisitions") == {
        ("sqlite", "acquired"): 3,
        ("sqlite", "denied"): 1,
        ("memory", "error"): 1,
    }
    assert seen.counts("arvo.memory.lock.wait.duration") == seen.counts("arvo.memory.lock.acquisitions")
    assert seen.counts("arvo.memory.lock.hold.duration") == {("sqlite",): 3}
    assert seen.counts("arvo.memory.lock.lost") == {("sqlite",): 1, ("memory",): 0}
    assert seen.counts("arvo.memory.write.conflicts") == {("sqlite",): 1, ("memory",): 0}
    assert seen.counts("arvo.memory.retries") == {("acquire",): 2, ("read",): 2}
    assert seen.counts("arvo.memory.record.size") == {("sqlite",): 3}
    assert seen.counts("db.client.operation.duration") == {
        ("sqlite", "acquire", None): 5,
        ("sqlite", "commit", None): 4,
        ("sqlite", "release", None): 1,
        ("sqlite", "renew", None): 1,
    }
    assert seen.counts("arvo.memory.batch.size") == {("sqlite",): 11}
    assert seen.counts("arvo.step.duration") == {
        ("arvo.orc.shop.order", "ran", None): 2,
        ("com.shop.charge", "ran", None): 1,
        ("arvo.orc.shop.order", "replayed", None): 1,
    }
    assert seen.counts("arvo.step.replays") == {("arvo.orc.shop.order",): 1}


@pytest.mark.parametrize("rare", ["arvo.memory.lock.lost", "arvo.memory.write.conflicts"])
async def test_what_is_rare_is_0_before_it_is_1(seen: Seen, rare: str) -> None:
    """Prometheus sees no increase in a series whose first value is 1: the alert on the first one would be silent."""
    memory = SimpleMachineMemory()
    assert seen.counts(rare) == {}
    lease = await memory.acquire("one")
    assert lease is not None
    assert seen.counts(rare) == {("memory",): 0}
    lease.version = 7
    with pytest.raises(WriteConflict):
        await memory.commit(lease, {})
    await memory.acquire("one")
    await memory.force_release("one", reason="test")
    with pytest.raises(LeaseLost):
        await memory.renew(lease)
    assert seen.counts(rare) == {("memory",): 1}


async def test_every_way_in_which_a_step_ends_is_told(seen: Seen, sqlite: SqliteMachineMemory) -> None:
    here, broken = shop(sqlite).orchestrator, shop(SimpleMachineMemory(), ValueError("no")).service

    async def ends(handler: Any, event: ArvoEvent) -> str:
        try:
            return (await handler.execute(event)).outcome.value
        except TransactionViolation as error:
            return error.cause.value

    def answer(request: ArvoEvent, *, subject: str | None = None, id: str | None = None) -> ArvoEvent:
        return create_arvo_event(
            source=CHARGE.type,
            type="evt.shop.charge.success",
            subject=subject or request.subject,
            dataschema=CHARGE.version("1.0.0").dataschema,
            data={"ok": True},
            to=here.source,
            parentid=request.id,
            id=id,
        )

    first, gone, taken = init(), init(), init()
    (request,) = (await here.execute(first)).events
    await here.execute(gone)
    assert await sqlite.delete(gone.subject)
    assert await sqlite.acquire(taken.subject)
    foreign = ArvoOrchestrationSubject.new(
        orchestrator="arvo.orc.shop.other", version="1.0.0", initiator="com.shop.client"
    )
    told = [
        await ends(here, first),
        await ends(here, init(id="again", subject=first.subject)),
        await ends(here, answer(request)),
        await ends(here, answer(request, id="late")),
        await ends(here, answer(request, subject=foreign)),
        await ends(here, answer(init())),
        await ends(here, answer(gone)),
        await ends(here, taken),
        await ends(broken, request),
    ]
    assert told == [
        "replayed",
        "replayed",
        "ran",
        "instance_done",
        "foreign",
        "unknown_instance",
        "deleted",
        "LOCK_UNACQUIRED",
        "failed",
    ]
    assert seen.counts("arvo.step.duration") == {
        ("arvo.orc.shop.order", "ran", None): 3,
        ("arvo.orc.shop.order", "replayed", None): 2,
        ("arvo.orc.shop.order", "instance_done", None): 1,
        ("arvo.orc.shop.order", "foreign", None): 1,
        ("arvo.orc.shop.order", "unknown_instance", None): 1,
        ("arvo.orc.shop.order", "deleted", None): 1,
        ("arvo.orc.shop.order", "error", "LOCK_UNACQUIRED"): 1,
        ("com.shop.charge", "failed", "ValueError"): 1,
    }
    steps = [span for span in seen.spans if names.EXECUTION_OUTCOME in (span.attributes or {})]
    assert [
        (dict(span.attributes or {})[names.EXECUTION_OUTCOME], dict(span.attributes or {}).get("error.type"))
        for span in steps
        if span.status.status_code is not StatusCode.UNSET
    ] == [("error", "LOCK_UNACQUIRED"), ("failed", "ValueError")]
    within = [span.parent.span_id for span in seen.spans if span.parent is not None and span not in steps]
    assert len(within) == len(set(within)) == 3, "one call in each step that ran, its commit"


@pytest.mark.parametrize("end", ["commit", "renew"])
async def test_a_lease_that_was_lost_was_held_until_its_holder_knew(seen: Seen, end: str) -> None:
    memory = SimpleMachineMemory()
    lease = await memory.acquire("one")
    assert lease is not None
    assert await memory.force_release("one", reason="test")
    for _ in range(2):
        with pytest.raises(LeaseLost):
            await (memory.commit(lease, {}) if end == "commit" else memory.renew(lease))
    assert not await memory.release(lease)
    assert seen.counts("arvo.memory.lock.hold.duration") == {("memory",): 1}


async def test_a_commit_that_is_repeated_ends_the_lease_once(seen: Seen) -> None:
    memory = SimpleMachineMemory()
    lease = await memory.acquire("one")
    assert lease is not None
    for _ in range(2):
        assert await memory.commit(lease, {"a": 1}) == 1
        lease.version = 0  # as of a holder that does not know the outcome
    assert seen.counts("arvo.memory.lock.hold.duration") == {("memory",): 1}


async def test_calls_that_wait_together_are_one_round_trip(seen: Seen, sqlite: SqliteMachineMemory) -> None:
    leases = await asyncio.gather(*(sqlite.acquire(f"instance-{n}") for n in range(20)))
    held = [lease for lease in leases if lease is not None]
    assert len(held) == 20
    await asyncio.gather(sqlite.release(held[0]), *(sqlite.commit(lease, {"n": 1}) for lease in held[1:]))
    assert seen.counts("db.client.operation.duration") == {
        ("sqlite", "BATCH acquire", None): 1,
        ("sqlite", "BATCH", None): 1,
    }
    batches = seen.metrics()["arvo.memory.batch.size"].data
    assert isinstance(batches, Histogram)
    assert [(point.count, point.sum) for point in batches.data_points] == [(2, 40)]
    assert seen.counts("arvo.memory.lock.acquisitions") == {("sqlite", "acquired"): 20}


async def test_a_failed_round_trip_names_its_error(seen: Seen, tmp_path: Path) -> None:
    async with SqliteMachineMemory(tmp_path / "missing" / "file.db") as memory:
        with pytest.raises(MemoryUnavailable):
            await memory.acquire("one")
    counted = seen.counts("db.client.operation.duration")
    assert list(counted) == [("sqlite", "acquire", "MemoryUnavailable")]
    assert seen.spans[0].status.status_code is StatusCode.ERROR


async def test_labels_hold_no_ids_and_no_secrets(seen: Seen, sqlite: SqliteMachineMemory) -> None:
    await everything(seen, sqlite)
    for n in range(30):
        await run_order(sqlite, init(id=f"order-{n}", accesscontrol=SECRET))
    values = [
        (metric.name, label, value)
        for metric in seen.metrics().values()
        for point in metric.data.data_points
        for label, value in dict(point.attributes or {}).items()
    ]
    allowed = {label for metric in names.METRICS for label in metric.labels}
    assert {label for _, label, _ in values} <= allowed
    assert len(values) < 60, "as many after 30 orders as after one"
    plain = re.compile(r"[A-Za-z][A-Za-z_. ]{0,40}")
    assert [each for each in values if not plain.fullmatch(str(each[2]))] == []
    assert not any(ArvoOrchestrationSubject.is_valid(str(value)) for _, _, value in values)


async def test_a_memory_of_four_verbs_can_be_measured_by_its_steps(seen: Seen) -> None:
    records: dict[str, Any] = {}

    class Plain:
        async def read(self, id: str) -> Any:
            return records.get(id)

        async def write(self, id: str, data: Any) -> None:
            records[id] = data

        async def lock(self, id: str) -> bool:
            return bool(id)

        async def unlock(self, id: str) -> bool:
            return bool(id)

    handler = create_arvo_orchestrator(memory=Plain(), executionunits=1, machines=[MACHINE])
    assert (await handler.execute(init())).outcome is Outcome.RAN
    assert seen.counts("arvo.step.duration") == {("arvo.orc.shop.order", "ran", None): 1}


async def test_under_load_distributions_are_sampled_and_counters_are_not(seen: Seen) -> None:
    memory = SimpleMachineMemory()
    for n in range(3_000):
        lease = await memory.acquire(f"instance-{n}")
        assert lease is not None
        await memory.commit(lease, {"n": n}, step=Step(f"key-{n}"))
    assert seen.counts("arvo.memory.lock.acquisitions") == {("memory", "acquired"): 3_000}
    (sizes,) = seen.counts("arvo.memory.record.size").values()
    assert 100 <= sizes < 3_000


# --- providers ------------------------------------------------------------------------------------------------

_LATE = """
import asyncio, sys
import pyarvo
from pyarvo import SimpleMachineMemory, telemetry
assert not [name for name in sys.modules if name.startswith("opentelemetry")], "nothing is loaded before it is needed"

async def use(memory):
    lease = await memory.acquire("one")
    await memory.release(lease)

async def main():
    memory = SimpleMachineMemory()
    await use(memory)
    assert not [name for name in sys.modules if name.startswith("opentelemetry")]
    from opentelemetry import metrics, trace
    await use(memory)
    assert telemetry.active() is None
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
    assert not telemetry.active().traces
    trace.set_tracer_provider(TracerProvider())
    assert telemetry.active().traces
    await use(memory)
    found = {
        metric.name: metric.data.data_points[0].value
        for metric in reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
        if metric.name == "arvo.memory.lock.acquisitions"
    }
    print(found)

asyncio.run(main())
"""


def run_python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "", **environment},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_global_providers_are_found_whenever_they_are_set() -> None:
    assert run_python(_LATE) == "{'arvo.memory.lock.acquisitions': 1}\n"


def test_providers_that_the_environment_names_are_loaded() -> None:
    code = "from pyarvo.telemetry import active\nprint(active().traces, active().meters is not None)"
    sdk = {
        "OTEL_PYTHON_TRACER_PROVIDER": "sdk_tracer_provider",
        "OTEL_PYTHON_METER_PROVIDER": "sdk_meter_provider",
    }
    assert run_python(code, **sdk) == "True True\n"


@pytest.mark.parametrize("disabled", ["true", "false"])
def test_an_sdk_that_is_disabled_records_nothing(disabled: str) -> None:
    code = (
        "from opentelemetry import metrics, trace\n"
        "from opentelemetry.sdk.metrics import MeterProvider\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "trace.set_tracer_provider(TracerProvider()); metrics.set_meter_provider(MeterProvider())\n"
        "from pyarvo.telemetry import active\nprint(active() is None)"
    )
    assert run_python(code, OTEL_SDK_DISABLED=disabled) == f"{disabled == 'true'}\n"
