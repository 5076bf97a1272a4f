"""
Whether anybody listens: the look that every operation takes once, and that must cost nothing when nobody does.

Nothing of OpenTelemetry is imported until somebody else has. From then on two attributes are read an operation,
until an SDK has set a provider; one that is set at any later moment is found by the next operation.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from pyarvo.telemetry.recorder import Recorder
    from pyarvo.telemetry.spans import Headers

__all__ = ["active", "active_trace", "lent_providers", "use_providers"]

_modules = sys.modules
_environment_asks = any(
    name in os.environ for name in ("OTEL_PYTHON_TRACER_PROVIDER", "OTEL_PYTHON_METER_PROVIDER")
)

# Where providers stand once they are set: modules of the API, or what `use_providers` put in their place.
_traces_at: Any = None
_metrics_at: Any = None
_known: tuple[Any, Any, Recorder | None] = (None, None, None)


def active() -> Recorder | None:
    """What records spans and metrics at this moment; None when nothing does, the usual case."""
    if _traces_at is None:
        if "opentelemetry" not in _modules and not _environment_asks:
            return None
        _find()
        return active()
    traces, metrics = _traces_at._TRACER_PROVIDER, _metrics_at._METER_PROVIDER  # noqa: SLF001 - see `_find`
    if traces is None and metrics is None:
        return None
    if traces is _known[0] and metrics is _known[1]:
        return _known[2]
    return _learn(traces, metrics)


def use_providers(
    *, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
) -> None:
    """
    Tell pyarvo which providers to use instead of OpenTelemetry's global ones.

    Args:
        tracer_provider: For spans; None = no spans.

        meter_provider: For metrics; None = no metrics.

    Without any argument the global providers hold again.
    """
    global _traces_at, _metrics_at  # noqa: PLW0603 - one setting a process, as OpenTelemetry's own
    _traces_at = _metrics_at = None
    if tracer_provider is not None or meter_provider is not None:
        _metrics_at = SimpleNamespace(_METER_PROVIDER=meter_provider)
        _traces_at = SimpleNamespace(_TRACER_PROVIDER=tracer_provider)


class _Lent:
    """Stands in both places of providers: some for the contexts that borrowed them, those of before for all others."""

    def __init__(self, lent: tuple[Any, Any], before: tuple[Any, Any]) -> None:
        self._lent = lent
        self._before = before

    @property
    def _TRACER_PROVIDER(self) -> Any:  # noqa: N802 - as the API calls it
        return (self._lent if _borrowed.get() is self else self._before)[0]

    @property
    def _METER_PROVIDER(self) -> Any:  # noqa: N802 - as the API calls it
        return (self._lent if _borrowed.get() is self else self._before)[1]


_borrowed: ContextVar[_Lent | None] = ContextVar("pyarvo_lent_providers", default=None)


@contextmanager
def lent_providers(tracer_provider: TracerProvider, meter_provider: MeterProvider) -> Generator[None]:
    """
    Use these providers for what runs in the caller's context, until the block ends; everybody else keeps theirs.

    For the conformance kit, which listens to one memory among many. One block at a time, in a process.
    """
    global _traces_at, _metrics_at  # noqa: PLW0603 - one setting a process, as OpenTelemetry's own
    if _traces_at is None:
        _find()
    ours: tuple[Any, Any] = _traces_at, _metrics_at
    before = ours[0]._TRACER_PROVIDER, ours[1]._METER_PROVIDER  # noqa: SLF001 - see `_find`
    lent = _traces_at = _metrics_at = _Lent((tracer_provider, meter_provider), before)
    token = _borrowed.set(lent)
    try:
        yield
    finally:
        _borrowed.reset(token)
        _traces_at, _metrics_at = ours


def active_trace() -> Headers:
    """`traceparent` and `tracestate` of the span that is active here; None twice when none is."""
    on = active()
    return (None, None) if on is None else on.active_trace()


def _find() -> None:
    """Learn where the API, which is there, keeps providers."""
    global _traces_at, _metrics_at  # noqa: PLW0603 - looked up once
    from opentelemetry import metrics, trace
    from opentelemetry.metrics import _internal

    # The API's own getters take 0.7 us to say that there is no provider, because they look into the environment
    # each time. So the variables behind them are read; the getters only where those have other names some day.
    if _environment_asks:  # then the getters load the providers that it names
        trace.get_tracer_provider()
        metrics.get_meter_provider()
    _metrics_at = _internal if hasattr(_internal, "_METER_PROVIDER") else _Asking(metrics.get_meter_provider)
    _traces_at = trace if hasattr(trace, "_TRACER_PROVIDER") else _Asking(trace.get_tracer_provider)


class _Asking:
    """Stands for a module of the API whose provider can only be had by asking."""

    def __init__(self, getter: Any) -> None:
        self._getter = getter

    def __getattr__(self, name: str) -> Any:
        provider = self._getter()
        return None if "Proxy" in type(provider).__name__ else provider


def _learn(traces: Any, metrics: Any) -> Recorder | None:
    global _known  # noqa: PLW0603 - a cache
    from pyarvo.telemetry.recorder import recorder

    found = recorder(traces, metrics)
    _known = (traces, metrics, found)
    return found
