"""What records: the tracer and the instruments of the providers that are set up. Imported once there are some."""

from __future__ import annotations

from importlib.metadata import version
from typing import NamedTuple

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


def recorder(tracers: trace.TracerProvider | None, meters: metrics.MeterProvider | None) -> Recorder | None:
    """What records with these providers; None when they are none that record."""
    release = version("pyarvo")
    tracer = None if tracers is None else tracers.get_tracer(SCOPE, release)
    if isinstance(tracer, trace.NoOpTracer | trace.ProxyTracer):
        tracer = None
    meter = None if meters is None else meters.get_meter(SCOPE, release)
    if isinstance(meter, metrics.NoOpMeter) or isinstance(meters, metrics.NoOpMeterProvider):
        meter = None
    if tracer is None and meter is None:
        return None
    return Recorder(tracer, None if meter is None else Meters(meter))
