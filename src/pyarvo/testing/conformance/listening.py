"""What a memory tells OpenTelemetry, as a user's SDK would hear it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from pyarvo.telemetry.providers import lent_providers

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import Metric
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

__all__ = ["Heard", "can_listen", "listening"]

# Providers are one setting of the process: only one clause listens at a time, also of kits on other loops.
_ear: Final = Lock()


def can_listen() -> bool:
    """Whether OpenTelemetry's SDK is installed."""
    try:
        return (
            find_spec("opentelemetry.sdk.trace") is not None
            and find_spec("opentelemetry.sdk.metrics") is not None
        )
    except ImportError:
        return False


class Heard:
    """
    What was told while the kit listened.

    Args:
        spans: An exporter in memory.

        reader: A reader of metrics in memory.
    """

    def __init__(self, spans: Any, reader: Any) -> None:
        self._spans = spans
        self._reader = reader

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """The spans that have ended."""
        return self._spans.get_finished_spans()

    def metrics(self) -> dict[str, Metric]:
        """The metrics as they stand, by name."""
        data: Any = self._reader.get_metrics_data()
        resources: Any = () if data is None else data.resource_metrics
        return {
            metric.name: metric
            for resource in resources
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self, name: str) -> list[tuple[dict[str, Any], float, float]]:
        """Of each set of labels of a metric: the labels, the count, and the sum; of a counter both are its value."""
        metric = self.metrics().get(name)
        found: list[tuple[dict[str, Any], float, float]] = []
        for point in () if metric is None else metric.data.data_points:
            told: Any = point
            value = getattr(told, "value", None)
            count, total = (told.count, told.sum) if value is None else (value, value)
            found.append((dict(told.attributes or {}), count, total))
        return found


@contextmanager
def _set_in_the_api(tracers: TracerProvider, meters: MeterProvider) -> Generator[None]:
    """
    Let all who ask OpenTelemetry's API get these, until the block ends.

    The API takes global providers once a process and gives none back; so the variables behind it are set.
    """
    from opentelemetry import trace
    from opentelemetry.metrics import _internal

    places: tuple[tuple[Any, str, Any], ...] = (
        (trace, "_TRACER_PROVIDER", tracers),
        (_internal, "_METER_PROVIDER", meters),
    )
    before = [getattr(module, name) for module, name, _ in places]
    for module, name, provider in places:
        setattr(module, name, provider)
    try:
        yield
    finally:
        for (module, name, _), provider in zip(places, before, strict=True):
            setattr(module, name, provider)


@asynccontextmanager
async def listening() -> AsyncGenerator[Heard]:
    """
    Listen to what is told in the block, inside of a span; OpenTelemetry's SDK must be installed.

    Of pyarvo's memories those are heard that the block calls; of others all that ask for tracer and meter in it.
    """
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    while not _ear.acquire(blocking=False):  # noqa: ASYNC110 - other loops wait for it too
        await asyncio.sleep(0.01)
    try:
        exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(exporter))
        meters = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
        with (
            lent_providers(tracers, meters),
            _set_in_the_api(tracers, meters),
            tracers.get_tracer("kit").start_as_current_span("kit"),
        ):
            yield Heard(exporter, reader)
    finally:
        _ear.release()
