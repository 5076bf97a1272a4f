"""Telemetry: what a user's OpenTelemetry SDK hears of a memory: names, outcomes, units, few labels, no secrets."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from pyarvo.errors import NotApplied
from pyarvo.memory import Step
from pyarvo.telemetry import names
from pyarvo.testing.conformance.bench import Bench, same_again
from pyarvo.testing.conformance.clause import clause
from pyarvo.testing.conformance.listening import Heard, listening
from pyarvo.testing.conformance.watched import Watched

__all__: list[str] = []

_SYSTEM: Final = names.DB_SYSTEM
_KNOWN: Final = {metric.name: metric for metric in names.METRICS}
_TOLD: Final = {
    names.LOCK_ACQUISITIONS.name,
    names.WAIT_DURATION.name,
    names.HOLD_DURATION.name,
    names.LOCK_LOST.name,
    names.WRITE_CONFLICTS.name,
    names.RECORD_SIZE.name,
}
"""What every memory has to tell; those that do I/O also measure their round trips."""


async def _life(bench: Bench, memory: Watched, other: Watched, id: str, **data: Any) -> str:
    """One of everything: two leases granted, one denied, one replay, a lost lease, a conflict; the first token."""
    lease = await bench.held(memory, id, event_key="k")
    await other.acquire(id)
    stale = same_again(lease)
    stale.version = 7
    await bench.refused(memory.commit(stale, data), NotApplied, "a commit on another version")
    await memory.commit(lease, data, step=Step("k", ({"event": data},)))
    await bench.refused(
        memory.commit(same_again(lease), {"late": data}), NotApplied, "a commit after release"
    )
    await memory.acquire(id, event_key="k")
    second = await bench.held(memory, id)
    await memory.release(second)
    return lease.token


def _outcomes(heard: Heard) -> dict[str, float]:
    found: dict[str, float] = {}
    for labels, count, _ in heard.points(names.LOCK_ACQUISITIONS.name):
        outcome = str(labels.get(names.OUTCOME))
        found[outcome] = found.get(outcome, 0) + count
    return dict(sorted(found.items()))


def _total(heard: Heard, metric: names.Metric) -> float:
    return sum(count for _, count, _ in heard.points(metric.name))


@clause(
    "leased.telemetry.01",
    "metrics have the names, kinds, units and buckets that are written down",
    alone=True,
)
async def metrics(bench: Bench) -> None:
    async with listening() as heard:
        await _life(bench, bench.fresh(), bench.fresh(), bench.id(), n=1)
        found = heard.metrics()
        calls = [span for span in heard.spans if _SYSTEM in (span.attributes or {})]
    wanted = {*_TOLD, *([names.OPERATION_DURATION.name] if calls else [])}
    bench.equal(sorted(wanted - set(found)), [], "metrics that were not told")
    strange = {name for name in found if name.startswith("arvo.")} - set(_KNOWN)
    bench.equal(sorted(strange), [], "metrics that are not written down")
    for name in sorted(set(found) & set(_KNOWN)):
        metric, known = found[name], _KNOWN[name]
        data: Any = metric.data
        bench.equal(metric.unit, known.unit, f"the unit of {name}")
        if known.kind is names.Kind.COUNTER:
            bench.holds(getattr(data, "is_monotonic", False), f"{name} is no counter")
        else:
            bounds = [tuple(getattr(point, "explicit_bounds", ())) for point in data.data_points]
            bench.equal(set(bounds), {known.buckets}, f"the buckets of {name}")
    for span in calls:
        told = span.attributes or {}
        expected = f"{told.get(names.DB_OPERATION)} {told.get(_SYSTEM)}"
        bench.equal(span.name, expected, "the name of the span of a call")


@clause(
    "leased.telemetry.02",
    "leases that are asked for are counted by how that ended; a replay is none",
    alone=True,
)
async def outcomes(bench: Bench) -> None:
    async with listening() as heard:
        await _life(bench, bench.fresh(), bench.fresh(), bench.id(), n=1)
        bench.equal(_outcomes(heard), {"acquired": 2, "denied": 1}, "leases asked for")


@clause(
    "leased.telemetry.03",
    "a write of a lost lease, and one on another version, are counted each as what it is",
    alone=True,
)
async def refusals(bench: Bench) -> None:
    async with listening() as heard:
        memory, other = bench.fresh(), bench.fresh()
        await memory.commit(await bench.held(memory, bench.id("calm")), {"n": 1})
        bench.equal(_total(heard, names.LOCK_LOST), 0, "leases lost, when none was")
        bench.equal(_total(heard, names.WRITE_CONFLICTS), 0, "conflicts, when there was none")
        await _life(bench, memory, other, bench.id(), n=1)
        bench.equal(_total(heard, names.LOCK_LOST), 1, "leases lost")
        bench.equal(_total(heard, names.WRITE_CONFLICTS), 1, "conflicts")


@clause("leased.telemetry.04", "times are told in seconds, and sizes in bytes", alone=True)
async def units(bench: Bench) -> None:
    size, held_s = 20_000, 0.3
    text = "".join(chr(bench.random.randrange(32, 127)) for _ in range(size))
    async with listening() as heard:
        memory = bench.fresh()
        lease = await bench.held(memory, bench.id())
        await asyncio.sleep(held_s)
        await memory.commit(lease, {"text": text})
        for metric, low, high in (
            (names.HOLD_DURATION, held_s * 0.9, 30.0),
            (names.WAIT_DURATION, 0.0, 30.0),
            (names.RECORD_SIZE, size / 2, size * 4.0),
        ):
            total = sum(total for _, _, total in heard.points(metric.name))
            bench.holds(low <= total <= high, f"{metric.name} is {total:g} {metric.unit}")


@clause(
    "leased.telemetry.05",
    "labels are few: more instances make no more of them, and none names one",
    alone=True,
)
async def labels(bench: Bench) -> None:
    async with listening() as heard:
        memory, other = bench.fresh(), bench.fresh()

        async def told(first: int, last: int) -> dict[str, int]:
            for n in range(first, last):
                await _life(bench, memory, other, bench.id(f"a{n}"), n=n)
            return {name: len(heard.points(name)) for name in sorted(heard.metrics())}

        few = await told(0, 2)
        bench.equal(await told(2, 8), few, "sets of labels, with four times as many instances")
        for name in sorted(set(few) & set(_KNOWN)):
            for found, _, _ in heard.points(name):
                bench.equal(
                    sorted(set(found) - set(_KNOWN[name].labels)), [], f"labels of {name} not written down"
                )


@clause("leased.telemetry.06", "nothing that is told holds a record, an event or a token", alone=True)
async def secrets(bench: Bench) -> None:
    card = "4111-1111-1111-1111"
    async with listening() as heard:
        token = await _life(bench, bench.fresh(), bench.fresh(), bench.id(), card=card)
        metrics = repr(heard.metrics())
    spans = "".join(span.to_json() for span in heard.spans)
    bench.holds(spans, "the span that the calls were made in did not end")
    for secret, what in ((card, "the record"), (token, "the token")):
        bench.holds(secret not in metrics, f"a metric shows {what}")
        bench.holds(secret not in spans, f"a span shows {what}")
