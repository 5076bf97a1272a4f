"""The dashboard and the alert rules are those that `names.py` makes, and ask only for what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pyarvo.telemetry import dashboards, names
from pyarvo.telemetry.dashboards import ALERTS, PANELS, prometheus_name
from pyarvo.telemetry.names import METRICS, Kind

SHIPPED = Path(__file__).parents[3] / "dashboards"
QUERIES = [query.promql for _, row in PANELS for panel in row for query in panel.queries] + [
    alert.promql for alert in ALERTS
]
SERIES = {
    prometheus_name(metric) + suffix: metric
    for metric in METRICS
    for suffix in (("",) if metric.kind is Kind.COUNTER else ("_bucket", "_count"))
}


@pytest.mark.parametrize("name", [dashboards.DASHBOARD_FILE, dashboards.ALERTS_FILE])
def test_the_shipped_files_are_the_generated_ones(tmp_path: Path, name: str) -> None:
    dashboards.write(tmp_path)
    assert (tmp_path / name).read_text() == (SHIPPED / name).read_text(), (
        "generate anew: python -m pyarvo.telemetry.dashboards dashboards"
    )


def test_names_in_prometheus() -> None:
    assert prometheus_name(names.OPERATION_DURATION) == "db_client_operation_duration_seconds"
    assert prometheus_name(names.LOCK_ACQUISITIONS) == "arvo_memory_lock_acquisitions_total"
    assert prometheus_name(names.RECORD_SIZE) == "arvo_memory_record_size_bytes"
    assert prometheus_name(names.BATCH_SIZE) == "arvo_memory_batch_size"


def test_every_metric_has_a_panel() -> None:
    shown = {panel.metric for _, row in PANELS for panel in row}
    assert shown == set(METRICS)


@pytest.mark.parametrize("promql", QUERIES)
def test_queries_ask_for_series_and_labels_that_there_are(promql: str) -> None:
    asked = re.findall(r"\b((?:arvo|db_client)_\w+)", promql)
    assert asked
    assert set(asked) <= set(SERIES)
    labels = {label.replace(".", "_") for each in asked for label in SERIES[each].labels} | {"le"}
    for grouped in re.findall(r"by \(([^)]*)\)", promql):
        assert set(grouped.split(", ")) <= labels
    for matchers in re.findall(r"\{([^}]*)\}", promql):
        assert {matcher.split("=")[0].rstrip("!") for matcher in matchers.split(", ")} <= labels
    for opening, closing in ("()", "[]", "{}"):
        assert promql.count(opening) == promql.count(closing)


def test_rates_are_never_taken_of_bounded_histograms() -> None:
    bounded = {names.WAIT_DURATION, names.HOLD_DURATION, names.RECORD_SIZE, names.BATCH_SIZE}
    for promql in QUERIES:
        for metric in bounded:
            assert f"{prometheus_name(metric)}_count" not in promql


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    panels = dashboards.dashboard()["panels"]
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_alert_texts_name_only_labels_that_the_alert_has() -> None:
    assert len({alert.name for alert in ALERTS}) == len(ALERTS)
    for alert in ALERTS:
        grouped = {
            label for group in re.findall(r"by \(([^)]*)\)", alert.promql) for label in group.split(", ")
        }
        assert set(re.findall(r"\$labels\.(\w+)", alert.summary)) <= grouped - {"le"}
        assert alert.severity in {"warning", "critical"}


def test_strings_of_the_rule_file_are_quoted_as_json() -> None:
    for line in dashboards.alert_rules().splitlines():
        key, _, value = line.strip().partition(": ")
        if key in {"expr", "summary", "description"}:
            assert json.loads(value)
