"""
Every span, metric, attribute, unit and bucket list that pyarvo tells OpenTelemetry, once.

Database names follow OpenTelemetry's stable database conventions, names of events and handlers the TypeScript
system. Labels of metrics are few and of few values: never an id, a subject or anything else that grows with the
work. The dashboard and the alert rules in `dashboards/` are made of this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = [
    "ATTRIBUTES_OF_EVENTS",
    "BATCH_SIZE",
    "HANDLER",
    "HOLD_DURATION",
    "LOCK_ACQUISITIONS",
    "LOCK_LOST",
    "METRICS",
    "OPERATION_DURATION",
    "RECORD_SIZE",
    "RETRIES",
    "SCOPE",
    "STEP_DURATION",
    "STEP_REPLAYS",
    "WAIT_DURATION",
    "WRITE_CONFLICTS",
    "Acquisition",
    "HandlerKind",
    "Kind",
    "Metric",
]

SCOPE: Final = "pyarvo"
"""Name of the tracer and the meter."""

# --- attributes -----------------------------------------------------------------------------------------------

DB_SYSTEM: Final = "db.system.name"
DB_OPERATION: Final = "db.operation.name"
ERROR_TYPE: Final = "error.type"
"""Only on failure: the class of the error; of a step that did not happen, its `TransactionCause`."""

OUTCOME: Final = "outcome"
HANDLER: Final = "handler"
"""The `source` of a handler: the type of its contract."""

SPAN_KIND: Final = "arvo.span.kind"
OPENINFERENCE_KIND: Final = "openinference.span.kind"
HANDLER_SOURCE: Final = "arvo.handler.source"
CONTRACT_URI: Final = "arvo.contract.uri"
EXECUTION_TYPE: Final = "arvo.handler.execution.type"
EXECUTION_STATUS: Final = "arvo.handler.execution.status"
EXECUTION_OUTCOME: Final = "arvo.handler.execution.outcome"
MEMORY_ID: Final = "arvo.memory.id"
MEMORY_OUTCOME: Final = "arvo.memory.outcome"
MEMORY_DURATION: Final = "arvo.memory.duration"

ATTRIBUTES_OF_EVENTS: Final = (
    ("id", "cloudevents.event_id"),
    ("source", "cloudevents.event_source"),
    ("specversion", "cloudevents.event_spec_version"),
    ("subject", "cloudevents.event_subject"),
    ("type", "cloudevents.event_type"),
    ("time", "cloudevents.event_time"),
    ("datacontenttype", "cloudevents.event_datacontenttype"),
    ("dataschema", "cloudevents.event_dataschema"),
    ("redirectto", "cloudevents.arvo.event_redirectto"),
    ("to", "cloudevents.arvo.event_to"),
    ("executionunits", "cloudevents.arvo.event_executionunits"),
    ("parentid", "cloudevents.arvo.event_parentid"),
    ("domain", "cloudevents.arvo.event_domain"),
)
"""Fields of an event and their attributes. `data` and `accesscontrol` are never told."""

# --- spans and their events -----------------------------------------------------------------------------------


class HandlerKind(StrEnum):
    """The kinds of handlers; the value is the attribute `arvo.handler.execution.type`."""

    HANDLER = "handler"
    ORCHESTRATOR = "orchestrator"
    RESUMABLE = "resumable"


SPAN_KINDS: Final = {
    HandlerKind.HANDLER: "handler.simple",
    HandlerKind.ORCHESTRATOR: "handler.orchestrator.statemachine",
    HandlerKind.RESUMABLE: "handler.orchestrator.imperative",
}

EVENT_EMITTED: Final = "arvo.event.emitted"
"""Event of a handler's span: one event that the step produced."""

EVENT_MEMORY_CALL: Final = "arvo.memory.call"
"""Event of a handler's span: a call of the memory beside the commit, which has a span of its own."""


def handler_span(kind: HandlerKind, uri: str, event_type: str) -> str:
    """The name of the span of one execution."""
    match kind:
        case HandlerKind.HANDLER:
            return f"Handler<{uri}>"
        case HandlerKind.ORCHESTRATOR:
            return f"Orchestrator<{uri}>@<{event_type}>"
        case HandlerKind.RESUMABLE:
            return f"Resumable<{uri}>@<{event_type}>"


def memory_span(operation: str, system: str) -> str:
    """The name of the span of one call of a memory."""
    return f"{operation} {system}"


# --- metrics --------------------------------------------------------------------------------------------------


class Kind(StrEnum):
    """Kinds of instruments."""

    COUNTER = "counter"
    HISTOGRAM = "histogram"


class Acquisition(StrEnum):
    """How asking for a lease ended; values of the label `outcome`."""

    ACQUIRED = "acquired"
    DENIED = "denied"
    ERROR = "error"


FAILED_EXECUTION: Final = "error"
"""The label `outcome` of a step that raised; otherwise it is a value of `pyarvo.Outcome`."""


@dataclass(frozen=True, slots=True)
class Metric:
    """
    One instrument.

    Attributes:
        name: As OpenTelemetry knows it.

        kind: Counter or histogram.

        unit: UCUM: "s", "By", or a noun in braces.

        description: One sentence.

        labels: Names of its attributes, in the order in which they are given.

        buckets: Upper bounds of a histogram's buckets, in its unit.
    """

    name: str
    kind: Kind
    unit: str
    description: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()


_DB_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
_STEP_BUCKETS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0)
_HOLD_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 600.0, 3_600.0)
_SIZE_BUCKETS = (256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 8_388_608.0)
_BATCH_BUCKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)

OPERATION_DURATION: Final = Metric(
    "db.client.operation.duration",
    Kind.HISTOGRAM,
    "s",
    "Duration of one round trip to the store.",
    (DB_SYSTEM, DB_OPERATION, ERROR_TYPE),
    _DB_BUCKETS,
)
LOCK_ACQUISITIONS: Final = Metric(
    "arvo.memory.lock.acquisitions",
    Kind.COUNTER,
    "{acquisition}",
    "Leases asked for, by how that ended.",
    (DB_SYSTEM, OUTCOME),
)
WAIT_DURATION: Final = Metric(
    "arvo.memory.lock.wait.duration",
    Kind.HISTOGRAM,
    "s",
    "From asking for a lease to the answer, further attempts included.",
    (DB_SYSTEM, OUTCOME),
    _DB_BUCKETS,
)
HOLD_DURATION: Final = Metric(
    "arvo.memory.lock.hold.duration",
    Kind.HISTOGRAM,
    "s",
    "From asking for a lease that was granted to giving it up, or to learning that it was lost.",
    (DB_SYSTEM,),
    _HOLD_BUCKETS,
)
LOCK_LOST: Final = Metric(
    "arvo.memory.lock.lost",
    Kind.COUNTER,
    "{lease}",
    "Writes and renewals refused because the lease was lost.",
    (DB_SYSTEM,),
)
WRITE_CONFLICTS: Final = Metric(
    "arvo.memory.write.conflicts",
    Kind.COUNTER,
    "{conflict}",
    "Writes refused because another version was stored.",
    (DB_SYSTEM,),
)
RETRIES: Final = Metric(
    "arvo.memory.retries",
    Kind.COUNTER,
    "{retry}",
    "Calls of the store that were made once more.",
    (DB_OPERATION,),
)
RECORD_SIZE: Final = Metric(
    "arvo.memory.record.size",
    Kind.HISTOGRAM,
    "By",
    "Size of a committed record at rest.",
    (DB_SYSTEM,),
    _SIZE_BUCKETS,
)
BATCH_SIZE: Final = Metric(
    "arvo.memory.batch.size",
    Kind.HISTOGRAM,
    "{operation}",
    "Operations that went to the store in one round trip.",
    (DB_SYSTEM,),
    _BATCH_BUCKETS,
)
STEP_DURATION: Final = Metric(
    "arvo.step.duration",
    Kind.HISTOGRAM,
    "s",
    "Duration of one execution of a handler.",
    (HANDLER, OUTCOME, ERROR_TYPE),
    _STEP_BUCKETS,
)
STEP_REPLAYS: Final = Metric(
    "arvo.step.replays",
    Kind.COUNTER,
    "{step}",
    "Events delivered again whose step was answered from the journal.",
    (HANDLER,),
)

METRICS: Final = (
    OPERATION_DURATION,
    LOCK_ACQUISITIONS,
    WAIT_DURATION,
    HOLD_DURATION,
    LOCK_LOST,
    WRITE_CONFLICTS,
    RETRIES,
    RECORD_SIZE,
    BATCH_SIZE,
    STEP_DURATION,
    STEP_REPLAYS,
)
"""All of them."""
