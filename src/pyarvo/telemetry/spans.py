"""
Spans: one for a handler's step, one for the call of a memory that does I/O; and the headers that carry a trace on.

A step makes two spans at most: its own and its commit's. The other calls of the memory are events of the step's
span. Imported only where something records.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from time import perf_counter
from typing import Any, Final, Protocol, TypeVar

from opentelemetry import context, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from pyarvo.telemetry import names
from pyarvo.telemetry.names import HandlerKind

__all__ = [
    "WITH_SPANS",
    "Carrier",
    "Headers",
    "StepSpan",
    "as_event",
    "as_span",
    "attributes_of_call",
    "current_span",
    "current_step",
    "emitted_headers",
    "headers_of",
    "tell_error",
]

Headers = tuple[str | None, str | None]
"""`traceparent` and `tracestate`."""

R = TypeVar("R")

_step: ContextVar[Span | None] = ContextVar("pyarvo.step", default=None)
_PROPAGATOR: Final = TraceContextTextMapPropagator()
_KINDS: Final = {
    HandlerKind.HANDLER: SpanKind.CONSUMER,
    HandlerKind.ORCHESTRATOR: SpanKind.PRODUCER,
    HandlerKind.RESUMABLE: SpanKind.PRODUCER,
}
WITH_SPANS: Final = frozenset({"commit", "write"})
"""Calls of a memory that have a span also inside of a step."""


class Carrier(Protocol):
    """An event, as far as spans need to know it."""

    @property
    def type(self) -> str: ...
    @property
    def traceparent(self) -> str | None: ...
    @property
    def tracestate(self) -> str | None: ...


class StepSpan:
    """
    The span of one execution of a handler: begins when made, is the current one until `end`.

    Args:
        tracer: Makes it.

        kind: Of the handler.

        uri: Of the handler's contract.

        source: Of the handler.

        event: The consumed event; its trace goes on. Without one, the trace that is active here.
    """

    __slots__ = ("_before", "_outer", "_span")

    def __init__(self, tracer: Tracer, kind: HandlerKind, *, uri: str, source: str, event: Carrier) -> None:
        parent = context.get_current()
        if event.traceparent is not None:
            carrier = {"traceparent": event.traceparent}
            if event.tracestate is not None:
                carrier["tracestate"] = event.tracestate
            parent = _PROPAGATOR.extract(carrier, parent)
        span = tracer.start_span(names.handler_span(kind, uri, event.type), context=parent, kind=_KINDS[kind])
        if span.is_recording():
            span.set_attributes(
                {
                    names.SPAN_KIND: names.SPAN_KINDS[kind],
                    names.OPENINFERENCE_KIND: "CHAIN",
                    names.HANDLER_SOURCE: source,
                    names.CONTRACT_URI: uri,
                    names.EXECUTION_TYPE: kind.value,
                    **_attributes_of(event),
                }
            )
        self._span = span
        self._before = context.attach(trace.set_span_in_context(span, parent))
        self._outer = _step.set(span)

    def leave(self) -> None:
        """Make the span that was current before the current one again."""
        try:
            _step.reset(self._outer)
        except ValueError:  # a coroutine that was dropped is closed from some other context
            return
        context.detach(self._before)

    def end(self, outcome: str, emitted: tuple[Any, ...], error_type: str | None) -> None:
        """
        End it.

        Args:
            outcome: How the execution ended.

            emitted: The events it produced.

            error_type: Class of the error that ended it, or the workflow on record; None when none did.
        """
        span = self._span
        if span.is_recording():
            span.set_attributes(
                {
                    names.EXECUTION_OUTCOME: outcome,
                    names.EXECUTION_STATUS: "normal" if error_type is None else "failure",
                }
            )
            for event in emitted:
                span.add_event(names.EVENT_EMITTED, _attributes_of(event))
            if error_type is not None:
                span.set_attribute(names.ERROR_TYPE, error_type)
                span.set_status(Status(StatusCode.ERROR))
        span.end()


def tell_error(error: BaseException) -> None:
    """Lay an error of user code, which ended the workflow on record, beside the current step."""
    span = _step.get()
    if span is not None and span.is_recording():
        try:
            span.record_exception(error)
        except Exception as fault:  # noqa: BLE001 - the class is a user's, its text may be what fails
            span.record_exception(fault)


def emitted_headers(consumed: Headers) -> Headers:
    """
    The headers of an event that the current step emits: its span's where that records, else the consumed event's.

    A trace that begins here and is not sampled says so in its header, so that no other part of it is sampled.
    """
    span = _step.get()
    if span is None or (consumed[0] is not None and not span.is_recording()):
        return consumed
    headers = headers_of(span)
    return consumed if headers[0] is None else headers


def headers_of(span: Span) -> Headers:
    """The W3C headers that make *span* the parent of what receives them."""
    about = span.get_span_context()
    if not about.is_valid:
        return None, None
    state = about.trace_state.to_header() if about.trace_state else None
    return f"00-{about.trace_id:032x}-{about.span_id:016x}-{int(about.trace_flags):02x}", state or None


def current_step() -> Span | None:
    """The span of the handler's step that runs here; None outside of one."""
    return _step.get()


def current_span() -> Span | None:
    """The span that is active here; None when none is."""
    span = trace.get_current_span()
    return span if span.get_span_context().is_valid else None


def attributes_of_call(system: str, operation: str, id: str | None) -> dict[str, str | float]:
    """What is told of every call of a memory."""
    attributes: dict[str, str | float] = {names.DB_SYSTEM: system, names.DB_OPERATION: operation}
    if id is not None:
        attributes[names.MEMORY_ID] = id
    return attributes


async def as_span(
    tracer: Tracer, attributes: dict[str, str | float], call: Awaitable[R], told: Callable[[R], str]
) -> R:
    """Await *call* with a span of its own, a child of the current one."""
    name = names.memory_span(str(attributes[names.DB_OPERATION]), str(attributes[names.DB_SYSTEM]))
    span = tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
    try:
        answer = await call
    except BaseException as error:
        span.set_attribute(names.ERROR_TYPE, type(error).__qualname__)
        span.set_status(Status(StatusCode.ERROR))
        raise
    else:
        span.set_attribute(names.MEMORY_OUTCOME, told(answer))
        return answer
    finally:
        span.end()


async def as_event(
    step: Span, attributes: dict[str, str | float], call: Awaitable[R], told: Callable[[R], str]
) -> R:
    """Await *call*, told as an event of the step that it is part of."""
    begun = perf_counter()
    try:
        answer = await call
    except BaseException as error:
        attributes[names.ERROR_TYPE] = type(error).__qualname__
        raise
    else:
        attributes[names.MEMORY_OUTCOME] = told(answer)
        return answer
    finally:
        if step.is_recording():  # it may have ended, where user code went on behind its back
            attributes[names.MEMORY_DURATION] = perf_counter() - begun
            step.add_event(names.EVENT_MEMORY_CALL, attributes)


def _attributes_of(event: object) -> dict[str, str | float]:
    told: dict[str, str | float] = {}
    for field, attribute in names.ATTRIBUTES_OF_EVENTS:
        value = getattr(event, field)
        if value is not None:
            told[attribute] = value
    return told
