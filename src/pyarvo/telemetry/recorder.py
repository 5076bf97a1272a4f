"""What records: the tracer and the instruments of the providers that are set up. Imported once there are some."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import TypeVar
from weakref import WeakKeyDictionary

from opentelemetry import metrics, trace

from pyarvo.telemetry import spans
from pyarvo.telemetry.allowance import Allowance
from pyarvo.telemetry.meters import Meters
from pyarvo.telemetry.names import SCOPE, HandlerKind
from pyarvo.telemetry.spans import Carrier, Headers, StepSpan

__all__ = ["Recorder", "recorder"]

R = TypeVar("R")


class Recorder:
    """
    Where telemetry goes; whoever has one needs to import nothing of OpenTelemetry.

    Attributes:
        meters: The instruments; None when no metrics are recorded.
    """

    __slots__ = ("_roots", "_tracer", "meters")

    def __init__(self, tracer: trace.Tracer | None, meters: Meters | None) -> None:
        self._tracer = tracer
        self._roots = Allowance()
        self.meters = meters

    @property
    def traces(self) -> bool:
        """Whether spans are recorded."""
        return self._tracer is not None

    def step_span(self, kind: HandlerKind, *, uri: str, source: str, event: Carrier) -> StepSpan | None:
        """Begin the span of a handler's execution; None when no spans are recorded. See `StepSpan`."""
        if self._tracer is None:
            return None
        return StepSpan(self._tracer, kind, uri=uri, source=source, event=event)

    def memory_call(
        self, call: Awaitable[R], told: Callable[[R], str], *, system: str, operation: str, id: str | None
    ) -> Awaitable[R]:
        """
        What to await instead of *call*, the call of a memory that does I/O.

        Args:
            call: The call.

            told: Says in a word what its answer means.

            system: Name of the store.

            operation: The verb.

            id: The instance; None where the call is about many.
        """
        tracer = self._tracer
        if tracer is None:
            return call
        step = spans.current_step()
        parent = spans.current_span() if step is None else step
        if not (self._roots.take() if parent is None else parent.is_recording()):
            return call
        attributes = spans.attributes_of_call(system, operation, id)
        if step is None or operation in spans.WITH_SPANS:
            return spans.as_span(tracer, attributes, call, told)
        return spans.as_event(step, attributes, call, told)

    def emitted_trace(self, consumed: Headers) -> Headers:
        """The headers of an event that the current step emits; see `spans.emitted_headers`."""
        return consumed if self._tracer is None else spans.emitted_headers(consumed)

    def active_trace(self) -> Headers:
        """The headers of the span that is active here; None twice when none is."""
        return spans.headers_of(trace.get_current_span())

    def failure(self, error: BaseException) -> None:
        """Lay an error of user code, which ended the workflow on record, beside the current step."""
        if self._tracer is not None:
            spans.tell_error(error)


# One set of instruments a provider: a second one of the same names would be told nothing.
_instruments: WeakKeyDictionary[metrics.MeterProvider, Meters] = WeakKeyDictionary()


def recorder(tracers: trace.TracerProvider | None, meters: metrics.MeterProvider | None) -> Recorder | None:
    """What records with these providers; None when they are none that record."""
    tracer, instruments = _tracer(tracers), _meters(meters)
    return None if tracer is None and instruments is None else Recorder(tracer, instruments)


def _tracer(provider: trace.TracerProvider | None) -> trace.Tracer | None:
    if provider is None:
        return None
    tracer = provider.get_tracer(SCOPE, version("pyarvo"))
    return None if isinstance(tracer, trace.NoOpTracer | trace.ProxyTracer) else tracer


def _meters(provider: metrics.MeterProvider | None) -> Meters | None:
    if provider is None:
        return None
    instruments = _instruments.get(provider)
    if instruments is None:
        meter = provider.get_meter(SCOPE, version("pyarvo"))
        if isinstance(meter, metrics.NoOpMeter):
            return None
        instruments = _instruments[provider] = Meters(meter)
    return instruments
