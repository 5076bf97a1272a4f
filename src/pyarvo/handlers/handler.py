"""The stateless handler: one event in, events out, nothing kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

from pyarvo.contracts import ArvoContract, VersionedArvoContract, create_arvo_error
from pyarvo.errors import (
    ConfigViolation,
    ContractViolation,
    ExecutionViolation,
    InvalidEvent,
    ViolationError,
)
from pyarvo.events import ArvoDomain, ArvoEvent, parse_dataschema
from pyarvo.handlers.call import CallDomain, HandlerCall, check_contract, check_functions
from pyarvo.handlers.cancellation import caller_cancelled
from pyarvo.handlers.emission import (
    Emission,
    Outbox,
    Route,
    check_executionunits,
    read_domains,
    read_emission,
)
from pyarvo.handlers.observed import Observed, tell_failure
from pyarvo.handlers.received import received
from pyarvo.handlers.result import ExecutionResult, Outcome
from pyarvo.telemetry.names import HandlerKind

__all__ = ["ArvoEventHandler", "HandlerFunction", "create_arvo_event_handler"]

_LISTS = (list, tuple)
_log = logging.getLogger("pyarvo.handlers")


# A plain mapping is taken too: not everybody annotates what they return.
HandlerFunction = Callable[
    [HandlerCall],
    Awaitable[Emission | Mapping[str, object] | Sequence[Emission | Mapping[str, object]] | None],
]


class ArvoEventHandler:
    """
    Answers events of one contract; make it with `create_arvo_event_handler`.

    Attributes:
        source: Type of the contract: events with this `to` are the handler's.

        domain: Domain of the contract.

        contract: The contract.

        executionunits: Cost of an output that names none.
    """

    def __init__(
        self,
        *,
        contract: ArvoContract,
        executionunits: float,
        handler: Mapping[str, HandlerFunction],
        domains: Sequence[str | None],
        error_domains: Sequence[str | None],
    ) -> None:
        self.source = contract.type
        self.domain = contract.domain
        self.contract = contract
        self.executionunits = executionunits
        self._observed = Observed(HandlerKind.HANDLER, uri=contract.uri, source=self.source)
        self._functions = dict(handler)
        self._by_dataschema = {version.dataschema: version for version in contract.versions.values()}
        self._routes = {
            version.version: Route(version.dataschema, version.domain, None, domains, checked=True)
            for version in contract.versions.values()
        }
        self._error_domains = error_domains

    async def execute(self, event: ArvoEvent) -> ExecutionResult:
        """
        Run the function of the event's version.

        Args:
            event: An event of the contract's type.

        Returns:
            The outputs, or after an error the system error events. Ids that the function does not set are the
            same for the same event, so that a redelivery has no second effect downstream.

        Raises:
            ConfigViolation: The event's type or version is not the contract's.
            ContractViolation: The event or an output does not fit the contract.
            ExecutionViolation: It is not an event.
            ViolationError: The function raised it.
        """
        return await self._observed.execution(event, self._execute(event))

    async def _execute(self, event: ArvoEvent) -> ExecutionResult:
        contract = self._contract_of(event)
        try:
            events = await self._run(event, contract)
        except ViolationError:
            raise
        except asyncio.CancelledError as error:
            if caller_cancelled():
                raise
            return ExecutionResult(self._error_events(event, contract, error), Outcome.FAILED)
        except Exception as error:  # noqa: BLE001 - whatever user code raises is told to the sender
            return ExecutionResult(self._error_events(event, contract, error), Outcome.FAILED)
        return ExecutionResult(events, Outcome.RAN)

    async def _run(self, event: ArvoEvent, contract: VersionedArvoContract) -> tuple[ArvoEvent, ...]:
        call = HandlerCall(
            received(event, contract), self.source, contract, CallDomain(event.domain, self.domain)
        )
        outputs = await self._functions[contract.version](call)
        outbox = self._outbox(event, contract)
        for output in _as_list(outputs):
            self._put(outbox, output, event, contract)
        return tuple(outbox.events)

    def _error_events(
        self, event: ArvoEvent, contract: VersionedArvoContract, error: BaseException
    ) -> tuple[ArvoEvent, ...]:
        tell_failure(error)
        _log.error("%s: user code failed on event %s", self.source, event.id, exc_info=error)
        outbox = self._outbox(event, contract)
        outbox.put_error(
            create_arvo_error(error),
            subject=event.subject,
            parentid=event.id,
            to=event.source,
            domains=self._error_domains,
        )
        return tuple(outbox.events)

    def _outbox(self, event: ArvoEvent, contract: VersionedArvoContract) -> Outbox:
        return Outbox(contract, consumed=event, parent_subject=None, executionunits=self.executionunits)

    def _contract_of(self, event: ArvoEvent) -> VersionedArvoContract:
        if not isinstance(event, ArvoEvent):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
            raise ExecutionViolation(f"an ArvoEvent is expected, not {type(event).__name__}")
        known = self._by_dataschema.get(event.dataschema or "")
        if known is not None and event.type == self.source:
            return known
        metadata = {"type": event.type, "dataschema": event.dataschema, "id": event.id}
        if event.type != self.source:
            raise ConfigViolation(f"{self.source} does not handle {event.type!r}", metadata=metadata)
        schema = None if event.dataschema is None else parse_dataschema(event.dataschema)
        if schema is None:
            _log.warning("%s: event %s names no version, the latest is taken", self.source, event.id)
            return self.contract.version("latest")
        uri, version = schema
        if uri and uri != self.contract.uri:
            raise ContractViolation(
                f"the event is of {uri}, {self.contract.uri} is expected", metadata=metadata
            )
        contract = self.contract.versions.get(version)
        if contract is None:
            raise ConfigViolation(f"{self.source} has no version {version}", metadata=metadata)
        return contract

    def _put(self, outbox: Outbox, output: object, event: ArvoEvent, contract: VersionedArvoContract) -> None:
        try:
            asked = read_emission(output)
            if asked.type not in contract.emits:
                raise contract.unknown_emit(asked.type)
            outbox.put(
                asked,
                contract.validate_emit(asked.type, asked.data),
                self._routes[contract.version],
                subject=event.subject,
                parentid=event.id,
                to=event.redirectto or event.source,
            )
        except InvalidEvent as error:
            raise ContractViolation(
                f"an output of {self.source} cannot be sent: {error}", metadata={"field": error.field}
            ) from error


def create_arvo_event_handler(
    *,
    contract: ArvoContract,
    executionunits: float,
    handler: Mapping[str, HandlerFunction],
    default_event_emission_domains: Mapping[str, Sequence[str | None]] | None = None,
) -> ArvoEventHandler:
    """
    Make a stateless handler.

    Args:
        contract: What it accepts and emits.

        executionunits: Cost of an output that names none: a finite number, an integer within 2**53 - 1.

        handler: An async function for every version of the contract. It gets a `HandlerCall` and returns an
            `Emission`, a list of them, or None.

        default_event_emission_domains: `emits` and `system_error`: domains, or symbols of `ArvoDomain`, of
            outputs that name none. Both are [ORCHESTRATION_CONTEXT] by default.

    Raises:
        ConfigViolation: A version has no function, a function has no version or is not async; the contract is one
            version alone; executionunits or domains are invalid.
    """
    check_contract(contract, "contract")
    check_functions(handler, contract)
    missing = [version for version in contract.versions if version not in handler]
    if missing:
        raise ConfigViolation(f"handler: version {missing[0]} of {contract.type} has no function")
    context = (ArvoDomain.ORCHESTRATION_CONTEXT,)
    domains = read_domains(default_event_emission_domains, {"emits": context, "system_error": context})
    return ArvoEventHandler(
        contract=contract,
        executionunits=check_executionunits(executionunits),
        handler=handler,
        domains=domains["emits"],
        error_domains=domains["system_error"],
    )


def _as_list(outputs: object) -> Sequence[Any]:
    if not outputs:
        return ()
    return cast("Sequence[Any]", outputs) if isinstance(outputs, _LISTS) else (outputs,)
