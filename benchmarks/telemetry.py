"""What telemetry costs on SQLite, 64 tasks: without an SDK against code that never looks, with one against none."""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from pydantic import BaseModel

from benchmarks.crowd import One, Record, crowd, record_of
from benchmarks.turns import Row, Work, compare
from pyarvo.contracts import (
    create_arvo_contract,
    create_arvo_event_factory,
    create_arvo_orchestrator_contract,
    create_arvo_orchestrator_event_factory,
)
from pyarvo.errors import MemoryFault
from pyarvo.handlers import create_arvo_orchestrator
from pyarvo.memory import LeasedMemory, SqliteMachineMemory, Step
from pyarvo.memory.decide import Op, Outcome
from pyarvo.statecharts import emit, setup_arvo_machine
from pyarvo.telemetry import use_providers

_crowds = itertools.count()
_TASKS = 64


class Deaf(SqliteMachineMemory):
    """The same memory with the looks taken out of its two calls, but for one of less than 0.1 us."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        for batcher in (self._writes, self._reads):
            batcher._execute = self._backend.execute

    async def _ask(self, op: Op, within_s: float, operation: str) -> Outcome:
        self._check_usable(op.id, operation)
        try:
            return await self._call(op, within_s)
        except MemoryFault as fault:
            raise fault.about(op.id, operation) from fault.__cause__

    def _counted(self, asking: Any) -> Any:
        return asking


class Nowhere(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        del spans
        return SpanExportResult.SUCCESS


class Amount(BaseModel):
    n: int
    note: str


_PAY = create_arvo_contract(
    uri="#/bench/pay",
    type="com.bench.pay",
    versions={"1.0.0": {"accepts": Amount, "emits": {"evt.bench.pay.success": Amount}}},
)
_SELF = create_arvo_orchestrator_contract(
    uri="#/bench/flow", name="bench.flow", versions={"1.0.0": {"init": Amount, "complete": Amount}}
)


def memory_steps(memory: LeasedMemory, record: Record) -> One:
    crowds, events = next(_crowds), itertools.count()

    async def one(task: int, step: int) -> None:
        del step
        key = ["bench", str(next(events))]
        lease = await memory.acquire(f"instance-{crowds}-{task}", event_key=key)
        assert lease is not None
        await memory.commit(lease, record, step=Step(key, ({"type": "bench.step.done"},)))  # type: ignore[arg-type]

    return one


# Asks again at every answer, so that each step is like the one before.
_MACHINE = setup_arvo_machine(
    contracts={"self": _SELF.version("1.0.0"), "services": {"pay": _PAY.version("1.0.0")}}
).create_machine(
    {
        "id": "flow",
        "context": {"note": "n" * 800},
        "initial": "asking",
        "states": {
            "asking": {
                "entry": emit({"type": "com.bench.pay", "data": {"n": 1, "note": ""}}),
                "on": {"evt.bench.pay.success": {"target": "asking", "reenter": True}},
            }
        },
    }
)


def handler_steps(memory: LeasedMemory) -> One:
    """A whole step of a workflow: event in, a transition, one event out, committed."""
    handler = create_arvo_orchestrator(memory=memory, executionunits=1, machines=[_MACHINE])
    starts = create_arvo_orchestrator_event_factory(_SELF.version("1.0.0"))
    answers = create_arvo_event_factory(_PAY.version("1.0.0"))
    subjects: dict[int, str] = {}

    async def one(task: int, step: int) -> None:
        del step
        if task not in subjects:
            event = starts.init(source="com.bench.client", data={"parentSubject$$": None, "n": 1, "note": ""})
            subjects[task] = event.subject
        else:
            event = answers.emits(
                type="evt.bench.pay.success",
                source="com.bench.pay",
                subject=subjects[task],
                to=_SELF.type,
                data={"n": 1, "note": ""},
            )
        assert len((await handler.execute(event)).events) == 1

    return one


def heard(work: Work, traces: TracerProvider, metrics: MeterProvider) -> Work:
    """The same work while an SDK listens."""

    async def listening() -> list[float]:
        use_providers(tracer_provider=traces, meter_provider=metrics)
        try:
            return await work()
        finally:
            use_providers()

    return listening


class Spent:
    """CPU time a step of each window, which the load of a shared machine disturbs less than the clock."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.windows: list[float] = []

    async def __call__(self) -> list[float]:
        begun = time.process_time()
        latencies = await self._work()
        self.windows.append((time.process_time() - begun) / len(latencies))
        return latencies


async def measured(
    what: str, work: Work, against: str, reference: Work, *, target: float, rounds: int
) -> Row:
    mine, theirs = Spent(work), Spent(reference)
    row = await compare(what, mine, against, theirs, target=target, rounds=rounds)
    around = [statistics.fmean(pair) for pair in itertools.pairwise(theirs.windows)]
    ratio = statistics.median(near / own for near, own in zip(around, mine.windows[1:], strict=True))
    row.notes["cpu_ratio"] = ratio
    row.notes["cpu_us_reference"] = statistics.median(theirs.windows) * 1e6
    verdict = "" if ratio >= target else ", MISSED"
    print(
        f"  by CPU time a step: {ratio:.2f}x of {row.notes['cpu_us_reference']:,.0f} us{verdict}", flush=True
    )
    return row


async def run(*, quick: bool) -> list[Row]:
    rounds, steps = (3, 15) if quick else (15, 30)
    traces = TracerProvider(sampler=ParentBased(TraceIdRatioBased(0.01)))
    traces.add_span_processor(BatchSpanProcessor(Nowhere()))
    metrics = MeterProvider(metric_readers=[InMemoryMetricReader()])
    rows: list[Row] = []
    async with AsyncExitStack() as stack:
        stack.callback(traces.shutdown)
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pyarvo-bench-")))
        memory = await stack.enter_async_context(SqliteMachineMemory(directory / "ours.db"))
        deaf = await stack.enter_async_context(Deaf(directory / "deaf.db"))
        record = record_of(2_000)
        ways = {
            "lease and commit": (memory_steps(memory, record), memory_steps(deaf, record)),
            "a whole step of a workflow": (handler_steps(memory), handler_steps(deaf)),
        }
        for what, (plain, without) in ways.items():
            rows.append(
                await measured(
                    f"{what}, SQLite, {_TASKS} tasks, no SDK",
                    crowd(plain, _TASKS, steps),
                    "the same without telemetry",
                    crowd(without, _TASKS, steps),
                    target=0.95,
                    rounds=rounds,
                )
            )
            rows.append(
                await measured(
                    f"{what}, SQLite, {_TASKS} tasks, an SDK with metrics and 1 % of the traces",
                    heard(crowd(plain, _TASKS, steps), traces, metrics),
                    "the same without an SDK",
                    crowd(plain, _TASKS, steps),
                    target=round(1 / 1.15, 2),
                    rounds=rounds,
                )
            )
    return rows
