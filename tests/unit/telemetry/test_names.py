"""The names themselves: what the conventions ask, and labels that cannot grow."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyarvo.handlers import Outcome
from pyarvo.telemetry import names
from pyarvo.telemetry.names import METRICS, HandlerKind, Kind, Metric

LABELS = {"db.system.name", "db.operation.name", "error.type", "outcome", "handler"}


def test_the_metrics_that_are_promised() -> None:
    assert {(metric.name, metric.unit) for metric in METRICS} == {
        ("db.client.operation.duration", "s"),
        ("arvo.memory.lock.acquisitions", "{acquisition}"),
        ("arvo.memory.lock.wait.duration", "s"),
        ("arvo.memory.lock.hold.duration", "s"),
        ("arvo.memory.lock.lost", "{lease}"),
        ("arvo.memory.write.conflicts", "{conflict}"),
        ("arvo.memory.retries", "{retry}"),
        ("arvo.memory.record.size", "By"),
        ("arvo.memory.batch.size", "{operation}"),
        ("arvo.step.duration", "s"),
        ("arvo.step.replays", "{step}"),
    }


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_labels_are_few_and_buckets_go_up(metric: Metric) -> None:
    assert set(metric.labels) <= LABELS
    assert (metric.kind is Kind.HISTOGRAM) == bool(metric.buckets)
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert metric.description.endswith(".")


def test_a_step_that_raised_is_told_from_every_outcome() -> None:
    assert names.FAILED_EXECUTION not in set(Outcome)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (HandlerKind.HANDLER, "Handler<#/a>"),
        (HandlerKind.ORCHESTRATOR, "Orchestrator<#/a>@<com.a.b>"),
        (HandlerKind.RESUMABLE, "Resumable<#/a>@<com.a.b>"),
    ],
)
def test_spans_of_handlers(kind: HandlerKind, name: str) -> None:
    assert names.handler_span(kind, "#/a", "com.a.b") == name
    assert kind in names.SPAN_KINDS


def test_neither_data_nor_access_control_has_an_attribute() -> None:
    fields = {field for field, _ in names.ATTRIBUTES_OF_EVENTS}
    assert not fields & {"data", "accesscontrol", "extensions"}


def test_the_page_lists_every_metric_with_its_labels() -> None:
    page = (Path(__file__).parents[3] / "docs" / "telemetry.md").read_text()
    for metric in METRICS:
        (line,) = [line for line in page.splitlines() if line.startswith(f"| `{metric.name}` |")]
        cells = [cell.strip() for cell in line.split("|")]
        assert cells[2].startswith(metric.kind.value)
        assert [label for label in metric.labels if f"`{label}`" not in cells[3]] == []
        assert metric.unit.startswith("{") or cells[2].endswith(metric.unit)
