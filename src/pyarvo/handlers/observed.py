"""What an execution of a handler tells telemetry: its span, its duration, and the trace that goes on from it."""

from __future__ import annotations

from collections.abc import Awaitable
from contextvars import ContextVar
from time import perf_counter
from typing import TYPE_CHECKING

from pyarvo.errors import TransactionViolation
from pyarvo.events import ArvoEvent
from pyarvo.handlers.result import ExecutionResult, Outcome
from pyarvo.telemetry import active, names
from pyarvo.telemetry.names import HandlerKind

if TYPE_CHECKING:
    from pyarvo.telemetry.recorder import Recorder
    from pyarvo.telemetry.spans import Headers, StepSpan

__all__ = ["Observed", "emitted_trace", "tell_failure"]

# Of the user's error that the latest step on record failed with; read where a step has just ended so.
_failed_with: ContextVar[str | None] = ContextVar("pyarvo.failed_with", default=None)


class Observed:
    """
    What one handler tells, where something records.

    Args:
        kind: Of the handler.

        uri: Of its contract.

        source: Of the handler.
    """

    __slots__ = ("_kind", "_labels", "_source", "_uri")

    def __init__(self, kind: HandlerKind, *, uri: str, source: str) -> None:
        self._kind = kind
        self._uri = uri
        self._source = source
        self._labels: dict[tuple[str, str | None], dict[str, str]] = {}

    def execution(self, event: ArvoEvent, work: Awaitable[ExecutionResult]) -> Awaitable[ExecutionResult]:
        """What to await instead of *work*, the execution of *event*: inside of a span where spans are recorded."""
        on = active()
        return work if on is None else self._observe(on, event, work)

    async def _observe(
        self, on: Recorder, event: ArvoEvent, work: Awaitable[ExecutionResult]
    ) -> ExecutionResult:
        if not isinstance(event, ArvoEvent):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
            return await work
        begun = perf_counter()
        span = on.step_span(self._kind, uri=self._uri, source=self._source, event=event)
        try:
            result = await work
        except BaseException as error:
            self._ended(on, span, begun, None, _error_type(error))
            raise
        self._ended(on, span, begun, result, _failed_with.get() if result.outcome is Outcome.FAILED else None)
        return result

    def _ended(
        self,
        on: Recorder,
        span: StepSpan | None,
        begun: float,
        result: ExecutionResult | None,
        error_type: str | None,
    ) -> None:
        outcome = names.FAILED_EXECUTION if result is None else result.outcome.value
        if span is not None:
            span.leave()
            span.end(outcome, () if result is None else result.events, error_type)
        if on.meters is not None:
            on.meters.step.record(perf_counter() - begun, self._labels_of(outcome, error_type))
            if result is not None and result.outcome is Outcome.REPLAYED:
                on.meters.count(names.STEP_REPLAYS, self._source)

    def _labels_of(self, outcome: str, error_type: str | None) -> dict[str, str]:
        labels = self._labels.get((outcome, error_type))
        if labels is None:
            labels = {names.HANDLER: self._source, names.OUTCOME: outcome}
            if error_type is not None:
                labels[names.ERROR_TYPE] = error_type
            self._labels[outcome, error_type] = labels
        return labels


def _error_type(error: BaseException) -> str:
    """The class of the error; of a step that did not happen, why."""
    return error.cause.value if isinstance(error, TransactionViolation) else type(error).__qualname__


def emitted_trace(consumed: ArvoEvent) -> Headers:
    """The trace headers of what the current step emits: its span's where spans are recorded, else the consumed ones."""
    on = active()
    headers = consumed.traceparent, consumed.tracestate
    return headers if on is None else on.emitted_trace(headers)


def tell_failure(error: BaseException) -> None:
    """Lay the error of user code, which the workflow keeps on record, beside the current step."""
    on = active()
    if on is not None:
        _failed_with.set(_error_type(error))
        on.failure(error)
