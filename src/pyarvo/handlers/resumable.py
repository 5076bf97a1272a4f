"""The imperative orchestrator: an async function that is called for every event of its workflow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypedDict, cast

from pyarvo.contracts import ArvoContract, VersionedArvoContract
from pyarvo.errors import ConfigViolation, ContractViolation
from pyarvo.events import ArvoEvent
from pyarvo.events.event import REQUIRED_FIELDS
from pyarvo.handlers.call import (
    CallContracts,
    CallDomain,
    LazyMapping,
    ResumableCall,
    check_contract,
    check_functions,
)
from pyarvo.handlers.emission import Emission, ErrorData, check_executionunits
from pyarvo.handlers.exchange import Domains, Exchange, check_services, orchestration_domains
from pyarvo.handlers.observed import Observed
from pyarvo.handlers.received import ReceivedEvent, json_copy, recalled, received
from pyarvo.handlers.result import ExecutionResult
from pyarvo.handlers.step import Change, Run, Stepper
from pyarvo.memory.contract import MachineMemory, Record
from pyarvo.memory.options import check_ttl
from pyarvo.telemetry.names import HandlerKind

__all__ = [
    "ArvoResumable",
    "ResumableContracts",
    "ResumableFunction",
    "ResumableResult",
    "create_arvo_resumable",
]


class ResumableContracts(TypedDict):
    """
    The contracts of a resumable.

    Attributes:
        self: Its own orchestrator contract, with all versions.

        services: Those that it may ask, by any name.
    """

    self: ArvoContract
    services: Mapping[str, VersionedArvoContract]


class ResumableResult(TypedDict, total=False):
    """
    What a resumable's function returns; every part may be left out.

    Attributes:
        context: Replaces the workflow's context; left out, that stays.

        services: Events to send.

        output: Ends the workflow: the data of its completion event.
    """

    context: Mapping[str, Any] | None
    services: Sequence[Emission] | None
    output: Mapping[str, Any] | None


_RESULT_PARTS: dict[str, Any] = {
    "context": (dict, Mapping),
    "services": (list, tuple),
    "output": (dict, Mapping),
}

# A plain mapping is taken too: not everybody annotates what they return.
ResumableFunction = Callable[[ResumableCall], Awaitable[ResumableResult | Mapping[str, object] | None]]


class ArvoResumable:
    """
    Runs an async function as a workflow; make it with `create_arvo_resumable`.

    Attributes:
        source: Type of its init event: events with this `to` are its own.

        domain: Domain of its contract.

        contracts: Its own contract, and its services' by name.

        executionunits: Cost of an event that names none.

        memory: Where its workflows live.
    """

    def __init__(
        self,
        *,
        contracts: ResumableContracts,
        memory: MachineMemory,
        handler: Mapping[str, ResumableFunction],
        executionunits: float,
        domains: Domains,
        lease_ttl_s: float | None,
    ) -> None:
        contract = contracts["self"]
        self.source = contract.type
        self.domain = contract.domain
        self.contracts = contracts
        self.executionunits = executionunits
        self.memory = memory
        self._observed = Observed(HandlerKind.RESUMABLE, uri=contract.uri, source=self.source)
        self._stepper = Stepper(
            source=self.source,
            memory=memory,
            core=_FunctionCore(contracts, handler, executionunits, domains),
            lease_ttl_s=lease_ttl_s,
        )

    async def execute(self, event: ArvoEvent, *, attempt: int = 1) -> ExecutionResult:
        """
        Run one step: call the function for *event*, and commit what it did together with the events it emits.

        While the function runs its lease is renewed every third of the TTL.

        Args:
            event: An event on a subject of this orchestrator.

            attempt: Which delivery of the event this is, from 1. While somebody else holds the workflow,
                `retry_after_s` is longer with each, 0.05 to 0.5 seconds.

        Returns:
            The events to publish and the outcome.

        Raises:
            ConfigViolation: No function, contract or version is set up for the event.
            ContractViolation: The event, an emission or the output does not fit its contract.
            ExecutionViolation: It is not an event of an orchestration.
            TransactionViolation: The step did not happen; deliver the event again.
            ViolationError: The function raised it.
        """
        return await self._observed.execution(event, self._stepper.execute(event, attempt))


class _FunctionCore:
    """Calls the function of the version that the subject names."""

    suspends = True

    def __init__(
        self,
        contracts: ResumableContracts,
        handler: Mapping[str, ResumableFunction],
        executionunits: float,
        domains: Domains,
    ) -> None:
        self._source = contracts["self"].type
        self._functions = dict(handler)
        services = contracts["services"]
        self._contracts = {
            version: CallContracts(contract, services)
            for version, contract in contracts["self"].versions.items()
        }
        self._exchanges = {
            version: Exchange(contract, services.values(), executionunits=executionunits, domains=domains)
            for version, contract in contracts["self"].versions.items()
        }

    async def change(self, run: Run) -> Change:
        version = run.subject.orchestrator_version
        function = self._functions.get(version)
        if function is None:
            raise ConfigViolation(f"{self._source} has no function for version {version}")
        if run.record is not None and not _is_ours(run.record):
            raise ConfigViolation(f"the record of this {self._source} was not written by a resumable")
        exchange = self._exchanges[version]
        contract = exchange.contract_of(run.event)
        event = received(run.event, contract)
        expected = _collect(run.record, event)
        result = _read_result(
            await function(
                ResumableCall(
                    input=event if contract is exchange.contract else None,
                    service=None if contract is exchange.contract else event,
                    context=None if run.record is None else json_copy(run.record.get("state$$")),
                    metadata=_metadata(run.record),
                    collected_events=LazyMapping(lambda: _collected(expected, exchange)),
                    domain=CallDomain(event.domain, exchange.contract.domain),
                    contracts=self._contracts[version],
                )
            )
        )
        return self._change(run, exchange, expected, result)

    def _change(
        self, run: Run, exchange: Exchange, expected: dict[str, list[Record]], result: ResumableResult
    ) -> Change:
        outbox = exchange.outbox(run)
        for emission in result.get("services") or ():
            outbox.send(emission)
        complete_type = exchange.contract.complete_type
        for emitted in outbox.events:
            if emitted.type != complete_type:
                expected.setdefault(emitted.id, [])
        output = result.get("output")
        if output is not None:
            outbox.complete(output)
        given = result.get("context")
        if given is not None:
            context = dict(given)  # from any mapping: a record holds dicts only
        else:
            context = None if run.record is None else run.record.get("state$$")
        fields: Record = {
            "status": "active" if output is None else "done",
            "state$$": context,
            "events": {"expected": expected or None},
        }
        return Change(outbox.events, fields)

    def failure_events(self, run: Run, told: ErrorData) -> Sequence[ArvoEvent]:
        outbox = self._exchanges[run.subject.orchestrator_version].outbox(run)
        outbox.fail(told)
        return outbox.events


def _is_ours(record: Record) -> bool:
    """Whether a resumable wrote *record*, and nobody changed the form of what is read in it."""
    events: Any = record.get("events")
    if not isinstance(record.get("state$$", False), dict | None) or not isinstance(events, dict):
        return False
    expected: Any = cast("Record", events).get("expected") or {}
    return isinstance(expected, dict) and all(
        isinstance(answers, list) and all(_is_answer(answer) for answer in cast("list[Any]", answers))
        for answers in cast("Record", expected).values()
    )


def _is_answer(answer: Any) -> bool:
    """Whether *answer* is an event as its wire fields, so that it can be laid before the function."""
    return isinstance(answer, dict) and answer.keys() >= REQUIRED_FIELDS and isinstance(answer["type"], str)


def _collect(record: Record | None, event: ReceivedEvent) -> dict[str, list[Record]]:
    """Lay *event* beside the request that it answers, once; the record stays as it is."""
    if record is None:
        return {}
    before = cast("dict[str, list[Record]]", record["events"].get("expected") or {})
    answers = None if event.parentid is None else before.get(event.parentid)
    if answers is None or any(
        answer["id"] == event.id and answer["source"] == event.source for answer in answers
    ):
        return dict(before)
    # A copy of the data: the event itself is the function's to change.
    return {
        **before,
        cast("str", event.parentid): [*answers, {**event.to_dict(), "data": json_copy(event.data)}],
    }


def _collected(expected: Mapping[str, list[Record]], exchange: Exchange) -> dict[str, list[ReceivedEvent]]:
    by_type: dict[str, list[ReceivedEvent]] = {}
    for answers in expected.values():
        for answer in answers:
            contract = exchange.contract_of_type(answer["type"])
            if contract is None:
                raise ConfigViolation(f"no contract knows the collected event {answer['type']!r} any longer")
            by_type.setdefault(answer["type"], []).append(recalled(json_copy(answer), contract))
    return by_type


def _metadata(record: Record | None) -> Mapping[str, Any] | None:
    return None if record is None else LazyMapping(lambda: json_copy(record))


def _read_result(result: object) -> ResumableResult:
    if result is None:
        return {}
    if not isinstance(result, Mapping):
        raise ContractViolation(
            f"a resumable's function returns a mapping or None, not {type(result).__name__}"
        )
    parts = cast("Mapping[str, Any]", result)
    for name, value in parts.items():
        kind = _RESULT_PARTS.get(name)
        if kind is None:
            raise ContractViolation(f"a resumable's result: {name!r} is unknown")
        if value is not None and not isinstance(value, kind):
            raise ContractViolation(f"a resumable's result: {name!r} must not be {type(value).__name__}")
    return cast("ResumableResult", parts)


def create_arvo_resumable(
    *,
    contracts: ResumableContracts,
    memory: MachineMemory,
    handler: Mapping[str, ResumableFunction],
    executionunits: float = 0,
    default_event_emission_domains: Domains | None = None,
    lease_ttl_s: float | None = None,
) -> ArvoResumable:
    """
    Make an imperative orchestrator.

    Args:
        contracts: `self`: an orchestrator contract with all its versions; `services`: versions of contracts, by
            any name.

        memory: Where its workflows live: any object with the four verbs.

        handler: An async function by version. It gets a `ResumableCall` and returns a `ResumableResult` or None.

        executionunits: Cost of an event that names none: a finite number, an integer within 2**53 - 1.

        default_event_emission_domains: `services` ([LOCAL]), `complete` and `system_error`
            ([ORCHESTRATION_CONTEXT]): domains, or symbols of `ArvoDomain`, of events that name none.

        lease_ttl_s: Length of the lease that a step takes, 1.0 to 3,600.0 seconds; None means the memory's default.

    Raises:
        ConfigViolation: Its own contract is not an orchestrator's; services repeat a contract; a function is not async
            or belongs to no version; the memory lacks a verb, or has only the four and takes no `lease_ttl_s`;
            executionunits or domains are invalid.
        InvalidOption: The lease is too short or too long.
    """
    if not isinstance(contracts, Mapping) or not {"self", "services"} <= contracts.keys():  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
        raise ConfigViolation("contracts: must be a mapping with `self` and `services`")
    contract = contracts["self"]
    check_contract(contract, "contracts.self")
    if not contract.is_orchestrator:
        raise ConfigViolation(f"contracts.self: {contract.uri} is not an orchestrator contract")
    check_services(contract.uri, contracts["services"])
    check_functions(handler, contract)
    return ArvoResumable(
        contracts=contracts,
        memory=memory,
        handler=handler,
        executionunits=check_executionunits(executionunits),
        domains=orchestration_domains(default_event_emission_domains),
        lease_ttl_s=None if lease_ttl_s is None else check_ttl(lease_ttl_s, "lease_ttl_s"),
    )
