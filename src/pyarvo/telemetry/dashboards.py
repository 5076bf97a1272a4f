"""
The Grafana dashboard and the Prometheus alert rules, made of `names.py`: `python -m pyarvo.telemetry.dashboards DIR`.

Names are those that OpenTelemetry's Prometheus exporters make: dots become underscores, the unit and `_total` are
added. Of the bounded histograms (see `meters.py`) only distributions are shown; rates are the counters'.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pyarvo.telemetry import names
from pyarvo.telemetry.names import Kind, Metric

__all__ = ["ALERTS", "PANELS", "Alert", "Panel", "alert_rules", "dashboard", "prometheus_name", "write"]

DASHBOARD_FILE: Final = "pyarvo-grafana.json"
ALERTS_FILE: Final = "pyarvo-alerts.yml"

_UNITS: Final = {"s": "_seconds", "By": "_bytes"}
_WINDOW: Final = "$__rate_interval"


def prometheus_name(metric: Metric) -> str:
    """The name of a metric in Prometheus; a histogram's ends with `_bucket`, `_count` and `_sum` there."""
    name = metric.name.replace(".", "_") + _UNITS.get(metric.unit, "")
    return f"{name}_total" if metric.kind is Kind.COUNTER else name


def _label(name: str) -> str:
    return name.replace(".", "_")


def _by(labels: tuple[str, ...]) -> str:
    return ", ".join(_label(label) for label in labels)


@dataclass(frozen=True, slots=True)
class _Query:
    """PromQL and the text beside its line."""

    promql: str
    legend: str


def _rate(metric: Metric, *labels: str, where: str = "") -> _Query:
    counted = prometheus_name(metric) + ("_count" if metric.kind is Kind.HISTOGRAM else "")
    legend = " ".join(f"{{{{{_label(label)}}}}}" for label in labels)
    return _Query(f"sum by ({_by(labels)}) (rate({counted}{where}[{_WINDOW}]))", legend)


def _quantile(metric: Metric, share: float, *labels: str, window: str = _WINDOW) -> _Query:
    by = _by((*labels, "le"))
    promql = f"histogram_quantile({share}, sum by ({by}) (rate({prometheus_name(metric)}_bucket[{window}])))"
    legend = " ".join([f"p{share * 100:g}", *(f"{{{{{_label(label)}}}}}" for label in labels)])
    return _Query(promql, legend)


def _share(metric: Metric, where: str, *labels: str, window: str) -> str:
    """Which share of what *metric* counts is *where*; nothing to compare where nothing was counted."""
    counted = prometheus_name(metric) + ("_count" if metric.kind is Kind.HISTOGRAM else "")
    by = f"sum by ({_by(labels)})"
    return f"{by} (rate({counted}{where}[{window}])) / {by} (rate({counted}[{window}]))"


@dataclass(frozen=True, slots=True)
class Panel:
    """
    One graph.

    Attributes:
        title: What it answers.

        metric: What it shows.

        unit: In Grafana's words.

        queries: Its lines.
    """

    title: str
    metric: Metric
    unit: str
    queries: tuple[_Query, ...]


def _distribution(title: str, metric: Metric, unit: str, *labels: str) -> Panel:
    return Panel(title, metric, unit, tuple(_quantile(metric, share, *labels) for share in (0.5, 0.99)))


PANELS: Final = (
    (
        "Steps",
        (
            Panel(
                "Steps by handler and outcome",
                names.STEP_DURATION,
                "ops",
                (_rate(names.STEP_DURATION, names.HANDLER, names.OUTCOME),),
            ),
            _distribution("Duration of a step", names.STEP_DURATION, "s", names.HANDLER),
            Panel(
                "Steps that raised, by error",
                names.STEP_DURATION,
                "ops",
                (
                    _rate(
                        names.STEP_DURATION,
                        names.HANDLER,
                        names.ERROR_TYPE,
                        where=f'{{{names.OUTCOME}="error"}}',
                    ),
                ),
            ),
            Panel(
                "Redelivered events, answered from the journal",
                names.STEP_REPLAYS,
                "ops",
                (_rate(names.STEP_REPLAYS, names.HANDLER),),
            ),
        ),
    ),
    (
        "Leases",
        (
            Panel(
                "Leases asked for",
                names.LOCK_ACQUISITIONS,
                "ops",
                (_rate(names.LOCK_ACQUISITIONS, names.DB_SYSTEM, names.OUTCOME),),
            ),
            _distribution("Waiting for a lease", names.WAIT_DURATION, "s", names.OUTCOME),
            _distribution("Holding a lease", names.HOLD_DURATION, "s", names.DB_SYSTEM),
            Panel("Leases lost", names.LOCK_LOST, "ops", (_rate(names.LOCK_LOST, names.DB_SYSTEM),)),
            Panel(
                "Write conflicts",
                names.WRITE_CONFLICTS,
                "ops",
                (_rate(names.WRITE_CONFLICTS, names.DB_SYSTEM),),
            ),
        ),
    ),
    (
        "Store",
        (
            _distribution("Round trips", names.OPERATION_DURATION, "s", names.DB_SYSTEM, names.DB_OPERATION),
            Panel(
                "Failed round trips, by error",
                names.OPERATION_DURATION,
                "ops",
                (
                    _rate(
                        names.OPERATION_DURATION,
                        names.DB_SYSTEM,
                        names.ERROR_TYPE,
                        where=f'{{{_label(names.ERROR_TYPE)}!=""}}',
                    ),
                ),
            ),
            Panel("Calls made once more", names.RETRIES, "ops", (_rate(names.RETRIES, names.DB_OPERATION),)),
            _distribution("Operations in a round trip", names.BATCH_SIZE, "short", names.DB_SYSTEM),
            _distribution("Size of a record at rest", names.RECORD_SIZE, "bytes", names.DB_SYSTEM),
        ),
    ),
)
"""Rows of the dashboard."""


@dataclass(frozen=True, slots=True)
class Alert:
    """
    One rule.

    Attributes:
        name: In Prometheus.

        metric: What it watches.

        promql: True = something is wrong.

        minutes: For how long it must be.

        severity: "warning" or "critical".

        summary: What is wrong.

        advice: What to look at.
    """

    name: str
    metric: Metric
    promql: str
    minutes: int
    severity: str
    summary: str
    advice: str


ALERTS: Final = (
    Alert(
        "PyarvoStoreFails",
        names.OPERATION_DURATION,
        _share(names.OPERATION_DURATION, '{error_type!=""}', names.DB_SYSTEM, window="5m") + " > 0.05",
        5,
        "critical",
        "More than 5 % of the round trips to {{ $labels.db_system_name }} fail",
        "`pyarvo doctor` against the store; the errors are in the panel of failed round trips",
    ),
    Alert(
        "PyarvoStoreSlow",
        names.OPERATION_DURATION,
        _quantile(names.OPERATION_DURATION, 0.99, names.DB_SYSTEM, window="10m").promql + " > 0.5",
        10,
        "warning",
        "1 % of the round trips to {{ $labels.db_system_name }} take longer than 0.5 s",
        "Load, disk and network of the store; reads are given up after 0.3 s an attempt",
    ),
    Alert(
        "PyarvoStepsFail",
        names.STEP_DURATION,
        _share(
            names.STEP_DURATION,
            '{outcome=~"failed|error", error_type!="LOCK_UNACQUIRED"}',
            names.HANDLER,
            window="10m",
        )
        + " > 0.05",
        10,
        "critical",
        "More than 5 % of the steps of {{ $labels.handler }} fail, contention apart",
        "Steps that raised, by error; `pyarvo instances list --status failure`",
    ),
    Alert(
        "PyarvoContention",
        names.LOCK_ACQUISITIONS,
        _share(names.LOCK_ACQUISITIONS, '{outcome="denied"}', names.DB_SYSTEM, window="15m") + " > 0.2",
        15,
        "warning",
        "More than 20 % of the leases asked for are denied",
        "`pyarvo locks list`: many events of one instance at once, or a holder that is stuck",
    ),
    Alert(
        "PyarvoLeaseLost",
        names.LOCK_LOST,
        f"sum by ({_by((names.DB_SYSTEM,))}) (increase({prometheus_name(names.LOCK_LOST)}[15m])) > 0",
        0,
        "warning",
        "A lease was lost: its holder was slower than the lease is long",
        "Longer leases (`lease_ttl_s`), or what froze the process. No data was harmed: the fence held",
    ),
    Alert(
        "PyarvoWriteConflict",
        names.WRITE_CONFLICTS,
        f"sum by ({_by((names.DB_SYSTEM,))}) (increase({prometheus_name(names.WRITE_CONFLICTS)}[15m])) > 0",
        0,
        "warning",
        "A write stood on another version than the stored one",
        "A lease that was used twice at the same moment; handlers never do",
    ),
    Alert(
        "PyarvoLongHolds",
        names.HOLD_DURATION,
        _quantile(names.HOLD_DURATION, 0.99, names.DB_SYSTEM, window="10m").promql + " > 20",
        10,
        "warning",
        "1 % of the leases are held for longer than 20 s; the default lease is 30 s long",
        "Slow user code inside of resumables: long work belongs into services",
    ),
    Alert(
        "PyarvoRetries",
        names.RETRIES,
        f"sum by ({_by((names.DB_OPERATION,))}) (rate({prometheus_name(names.RETRIES)}[10m])) > 1",
        10,
        "warning",
        "More than one {{ $labels.db_operation_name }} a second is made once more",
        "Short faults of the store, or leases that somebody else holds",
    ),
    Alert(
        "PyarvoRedelivery",
        names.STEP_REPLAYS,
        f"sum by ({_label(names.HANDLER)}) (rate({prometheus_name(names.STEP_REPLAYS)}[15m])) / "
        f"sum by ({_label(names.HANDLER)}) (rate({prometheus_name(names.STEP_DURATION)}_count[15m])) > 0.1",
        15,
        "warning",
        "More than 10 % of the events of {{ $labels.handler }} are delivered again",
        "The broker's acknowledgements and its visibility time-out",
    ),
    Alert(
        "PyarvoLargeRecords",
        names.RECORD_SIZE,
        _quantile(names.RECORD_SIZE, 0.99, names.DB_SYSTEM, window="1h").promql + " > 1048576",
        60,
        "warning",
        "1 % of the records are larger than 1 MiB",
        "Keep payloads elsewhere and their place in the record; the limit is 8 MiB (`record_limit`)",
    ),
)
"""The rules."""


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it; it asks for the Prometheus data source."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in PANELS:
        panels.append(_row(len(panels) + 1, title, top))
        top += 1
        for n, panel in enumerate(row):
            panels.append(_panel(len(panels) + 1, panel, x=12 * (n % 2), y=top + 8 * (n // 2)))
        top += 8 * ((len(row) + 1) // 2)
    return {
        "title": "pyarvo",
        "uid": "pyarvo",
        "tags": ["pyarvo"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}
            ]
        },
        "panels": panels,
    }


def _row(id: int, title: str, y: int) -> dict[str, Any]:
    return {
        "id": id,
        "type": "row",
        "title": title,
        "collapsed": False,
        "panels": [],
        "gridPos": {"h": 1, "w": 24, "x": 0, "y": y},
    }


def _panel(id: int, panel: Panel, *, x: int, y: int) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "id": id,
        "type": "timeseries",
        "title": panel.title,
        "description": f"{panel.metric.description} ({panel.metric.name})",
        "datasource": source,
        "gridPos": {"h": 8, "w": 12, "x": x, "y": y},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {
                "refId": chr(ord("A") + n),
                "datasource": source,
                "expr": query.promql,
                "legendFormat": query.legend,
            }
            for n, query in enumerate(panel.queries)
        ],
    }


def alert_rules() -> str:
    """The rule file as Prometheus loads it."""
    lines = ["groups:", "  - name: pyarvo", "    rules:"]
    for alert in ALERTS:
        lines += [
            f"      - alert: {alert.name}",
            f"        expr: {json.dumps(alert.promql)}",
            f"        for: {alert.minutes}m",
            "        labels:",
            f"          severity: {alert.severity}",
            "        annotations:",
            f"          summary: {json.dumps(alert.summary)}",
            f"          description: {json.dumps(alert.advice)}",
        ]
    return "\n".join([*lines, ""])


def write(directory: Path) -> None:
    """Write both files."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / DASHBOARD_FILE).write_text(json.dumps(dashboard(), indent=2) + "\n", encoding="utf-8")
    (directory / ALERTS_FILE).write_text(alert_rules(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "dashboards"))
