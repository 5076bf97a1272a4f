"""What records: the tracer and the instruments of the providers that are set up. Imported once there are some."""

from __future__ import annotations

from importlib.metadata import version
from typing import NamedTuple
from weakref import WeakKeyDictionary

from opentelemetry import metrics, trace

from pyarvo.telemetry.meters import Meters
from pyarvo.telemetry.names import SCOPE

__all__ = ["Recorder", "recorder"]


class Recorder(NamedTuple):
    """
    Where telemetry goes; at least one of the two is there.

    Attributes:
        tracer: For spans.

        meters: For metrics.
    """

    tracer: trace.Tracer | None
    meters: Meters | None


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
