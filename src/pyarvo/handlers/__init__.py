"""Handlers: what happens when an event arrives. One step each: `await handler.execute(event)`."""

from pyarvo.handlers.call import CallContracts, CallDomain, HandlerCall, ResumableCall
from pyarvo.handlers.emission import Emission
from pyarvo.handlers.handler import ArvoEventHandler, HandlerFunction, create_arvo_event_handler
from pyarvo.handlers.orchestrator import ArvoOrchestrator, create_arvo_orchestrator
from pyarvo.handlers.received import ReceivedEvent
from pyarvo.handlers.result import ExecutionResult, Outcome
from pyarvo.handlers.resumable import (
    ArvoResumable,
    ResumableContracts,
    ResumableFunction,
    ResumableResult,
    create_arvo_resumable,
)

__all__ = [
    "ArvoEventHandler",
    "ArvoOrchestrator",
    "ArvoResumable",
    "CallContracts",
    "CallDomain",
    "Emission",
    "ExecutionResult",
    "HandlerCall",
    "HandlerFunction",
    "Outcome",
    "ReceivedEvent",
    "ResumableCall",
    "ResumableContracts",
    "ResumableFunction",
    "ResumableResult",
    "create_arvo_event_handler",
    "create_arvo_orchestrator",
    "create_arvo_resumable",
]
