"""Finding out whether anybody listens, and the histograms whose cost is bounded."""

# It looks where the API keeps providers, as the code does.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.metrics import Histogram, NoOpMeterProvider, _internal
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NoOpTracerProvider

from pyarvo.telemetry import active, active_trace, allowance, providers, use_providers
from pyarvo.telemetry.meters import Bounded


@pytest.fixture(autouse=True)
def _global_ones_again() -> Iterator[None]:
    use_providers()
    yield
    use_providers()


def test_nobody_listens_without_an_sdk() -> None:
    assert active() is None
    assert active_trace() == (None, None)


def test_the_installed_api_is_read_without_its_slow_getters() -> None:
    assert active() is None
    assert providers._traces_at is trace
    assert providers._metrics_at is _internal


@pytest.mark.parametrize("missing", ["_TRACER_PROVIDER", "_METER_PROVIDER"])
def test_an_api_with_other_names_is_asked(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    module: Any = trace if missing == "_TRACER_PROVIDER" else _internal
    getter = "get_tracer_provider" if missing == "_TRACER_PROVIDER" else "get_meter_provider"
    public: Any = trace if missing == "_TRACER_PROVIDER" else metrics
    proxy = getattr(public, getter)()
    monkeypatch.delattr(module, missing)
    monkeypatch.setattr(public, getter, lambda: proxy)
    assert active() is None, "a proxy is nobody"
    use_providers()
    real = TracerProvider() if missing == "_TRACER_PROVIDER" else MeterProvider()
    monkeypatch.setattr(public, getter, lambda: real)
    found = active()
    assert found is not None
    assert (found.traces) == (missing == "_TRACER_PROVIDER")


def test_providers_can_be_given() -> None:
    use_providers(tracer_provider=TracerProvider())
    found = active()
    assert found is not None
    assert found.traces
    assert found.meters is None
    assert active() is found
    use_providers(meter_provider=MeterProvider())
    other = active()
    assert other is not None
    assert not other.traces
    assert other.meters is not None
    use_providers()
    assert active() is None


def test_one_set_of_instruments_a_provider() -> None:
    provider = MeterProvider()
    use_providers(meter_provider=provider)
    first = active()
    use_providers(meter_provider=provider, tracer_provider=TracerProvider())
    second = active()
    assert first is not None
    assert second is not None
    assert first.meters is second.meters


def test_providers_that_do_nothing_are_nobody() -> None:
    use_providers(tracer_provider=NoOpTracerProvider(), meter_provider=NoOpMeterProvider())
    assert active() is None


class Taken(Histogram):
    def __init__(self) -> None:
        self.values: list[float] = []

    def record(self, amount: float, attributes: Any = None, context: Any = None) -> None:
        self.values.append(amount)


def test_a_bounded_histogram_takes_all_up_to_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(allowance, "monotonic", lambda: now)
    taken = Taken()
    bounded = Bounded(taken)
    for n in range(1_000):
        bounded.record(float(n), {})
    assert len(taken.values) == 100, "a burst"
    now = 100.1
    for n in range(1_000):
        bounded.record(float(n), {})
    assert len(taken.values) == pytest.approx(110, abs=1)
    for second in range(10):
        for tick in range(50):
            now = 101.0 + second + tick / 50
            bounded.record(1.0, {})
    assert len(taken.values) == pytest.approx(610, abs=1), "all of 50 a second"
    now = 10_000.0
    for n in range(1_000):
        bounded.record(float(n), {})
    assert len(taken.values) == pytest.approx(710, abs=1), "what was not used long ago does not add up"
