"""The instruments: counters as plain integers that are read when somebody asks, histograms at a bounded cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import Lock

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation

from pyarvo.telemetry import names
from pyarvo.telemetry.allowance import Allowance
from pyarvo.telemetry.names import Kind, Metric

__all__ = ["Bounded", "Meters"]

Labels = Mapping[str, str]


class Bounded:
    """
    A histogram that takes every measurement up to 100 a second, and that many a second of more.

    One measurement costs an SDK several microseconds, which would be a tenth of a step at full load. Which ones
    are taken depends on the clock alone, so the distribution stays true. Counts do not: rates are the counters'.

    Args:
        histogram: Where they go.
    """

    __slots__ = ("_allowance", "_histogram")

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._allowance = Allowance()

    def record(self, value: float, labels: Labels) -> None:
        """Take one measurement, or leave it."""
        if self._allowance.take():
            self._histogram.record(value, labels)


class Meters:
    """
    The instruments of one meter.

    Attributes:
        round_trip: One measurement a round trip to the store.

        step: One measurement an execution of a handler.

        batch_size, wait, hold, record_size: Bounded, see `Bounded`.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._mutex = Lock()
        self._counts: dict[str, dict[tuple[str, ...], int]] = {}
        self.round_trip = self._histogram(names.OPERATION_DURATION)
        self.batch_size = Bounded(self._histogram(names.BATCH_SIZE))
        self.step = self._histogram(names.STEP_DURATION)
        self.wait = Bounded(self._histogram(names.WAIT_DURATION))
        self.hold = Bounded(self._histogram(names.HOLD_DURATION))
        self.record_size = Bounded(self._histogram(names.RECORD_SIZE))
        for metric in names.METRICS:
            if metric.kind is Kind.COUNTER:
                self._counter(metric)

    def count(self, metric: Metric, *labels: str) -> None:
        """Add one to a counter; the labels are given in the order in which *metric* lists them."""
        counts = self._counts[metric.name]
        with self._mutex:
            if labels not in counts and metric is names.LOCK_ACQUISITIONS:
                self._begin_refusals(labels[0])
            counts[labels] = counts.get(labels, 0) + 1

    def _begin_refusals(self, system: str) -> None:
        """At 0, when a store is first asked for a lease: who watches for an increase must see the first refusal too."""
        for metric in (names.LOCK_LOST, names.WRITE_CONFLICTS):
            self._counts[metric.name].setdefault((system,), 0)

    def _histogram(self, metric: Metric) -> Histogram:
        return self._meter.create_histogram(
            metric.name,
            unit=metric.unit,
            description=metric.description,
            explicit_bucket_boundaries_advisory=metric.buckets,
        )

    def _counter(self, metric: Metric) -> None:
        counts = self._counts[metric.name] = {}

        def observe(options: CallbackOptions) -> Iterable[Observation]:
            del options
            with self._mutex:
                seen = list(counts.items())
            return [
                Observation(count, dict(zip(metric.labels, labels, strict=True))) for labels, count in seen
            ]

        self._meter.create_observable_counter(
            metric.name, [observe], unit=metric.unit, description=metric.description
        )
