"""What one version of an orchestrator may receive and send: its contracts, applied to the events of a step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from pyarvo.contracts import PARENT_SUBJECT, VersionedArvoContract
from pyarvo.errors import ConfigViolation, ContractViolation, ExecutionViolation, InvalidSubject
from pyarvo.events import ArvoDomain, ArvoEvent, ArvoOrchestrationSubject
from pyarvo.events.dataschema import WILDCARD_VERSION, make_dataschema, parse_dataschema
from pyarvo.handlers.emission import Asked, ErrorData, Outbox, Route, Subject, read_domains, read_emission
from pyarvo.handlers.step import Run

__all__ = ["Domains", "Exchange", "OrchestrationOutbox", "check_services", "orchestration_domains"]

Domains = Mapping[str, Sequence[str | None]]

_OUTPUT_FIELDS = frozenset({"__id", "__domain", "__executionunits"})
"""Keys of an output that describe the completion event and are not data."""


class Exchange:
    """
    The contracts of one version of an orchestrator, indexed by event type once.

    Attributes:
        contract: Its own.

        services: Those that it may ask, by the type of their request.

        routes: Of the requests to services, by type.

        domains: See the option `default_event_emission_domains`.
    """

    __slots__ = ("_executionunits", "_known", "_schemas", "contract", "domains", "routes", "services")

    def __init__(
        self,
        contract: VersionedArvoContract,
        services: Iterable[VersionedArvoContract],
        *,
        executionunits: float,
        domains: Domains,
    ) -> None:
        self.contract = contract
        self.services = {service.type: service for service in services}
        self._executionunits = executionunits
        self.domains = domains
        self.routes = {
            type: self.route(service.dataschema, service.domain, checked=True)
            for type, service in self.services.items()
        }
        self._known: dict[str, VersionedArvoContract] = {}
        for service in self.services.values():
            for type in (*service.emits, service.system_error.type):
                self._known.setdefault(type, service)
        self._known[contract.type] = contract
        self._schemas = {
            type: frozenset({known.dataschema, make_dataschema(known.uri, WILDCARD_VERSION)})
            for type, known in self._known.items()
        }

    def contract_of(self, event: ArvoEvent) -> VersionedArvoContract:
        """
        Find the contract that knows the consumed *event*: the own one for an init event, else a service's.

        Raises:
            ConfigViolation: No contract knows its type.
            ContractViolation: The event names another contract, or another version of it.
        """
        known = self._known.get(event.type)
        if known is not None and event.dataschema in self._schemas[event.type]:
            return known
        metadata = {"type": event.type, "dataschema": event.dataschema, "id": event.id}
        if event.dataschema is None or parse_dataschema(event.dataschema) is None:
            raise ContractViolation("the event's dataschema names no contract and version", metadata=metadata)
        if known is None:
            raise ConfigViolation(
                f"{self.contract.type} {self.contract.version} has no contract for {event.type!r}",
                metadata=metadata,
            )
        raise ContractViolation(
            f"the event is of {event.dataschema}, {known.dataschema} is expected", metadata=metadata
        )

    def contract_of_type(self, type: str) -> VersionedArvoContract | None:
        """Find the contract that knows an event type that may be consumed; None when there is none."""
        return self._known.get(type)

    def route(self, dataschema: str | None, event_domain: str | None, *, checked: bool = False) -> Route:
        """Make the route of what the orchestrator sends; answers come back to it."""
        return Route(dataschema, event_domain, self.contract.type, self.domains["services"], checked)

    def outbox(self, run: Run) -> OrchestrationOutbox:
        """Begin the events of one step."""
        return OrchestrationOutbox(self, run, self._executionunits)


class OrchestrationOutbox(Outbox):
    """The events that an orchestration emits in one step."""

    __slots__ = ("_exchange", "_run")

    def __init__(self, exchange: Exchange, run: Run, executionunits: float) -> None:
        super().__init__(
            exchange.contract,
            consumed=run.event,
            parent_subject=run.parent_subject,
            executionunits=executionunits,
        )
        self._exchange = exchange
        self._run = run

    def send(self, raw: object) -> None:
        """
        Add an event that user code asks for.

        Args:
            raw: An `Emission`.

        Raises:
            ContractViolation: A contract knows its type and the data does not fit.
            ExecutionViolation: The child orchestration's parent subject is not a subject.
            InvalidEvent: A field breaks its rule.
        """
        asked = read_emission(raw)
        if asked.type == self._contract.complete_type:
            self._put_completion(asked, asked.type)
            return
        consumed = self._consumed
        subject: Subject = consumed.subject
        service = self._exchange.services.get(asked.type)
        if service is None:
            data, route = asked.data, self._exchange.route(asked.dataschema, None)
        else:
            route = self._exchange.routes[asked.type]
            if service.is_orchestrator:
                data = service.validate_accepts(_with_parent_subject(asked.data, consumed.subject))
                subject = self._child_subject(service, data[PARENT_SUBJECT], asked)
            else:
                data = service.validate_accepts(asked.data)
        self.put(asked, data, route, subject=subject, parentid=consumed.id, to=asked.type)

    def complete(self, output: object) -> None:
        """
        Add the completion event.

        Args:
            output: Its data; `__id`, `__domain` and `__executionunits` describe the event itself.

        Raises:
            ContractViolation: The output does not fit the contract.
            InvalidEvent: A field breaks its rule.
        """
        complete_type = cast("str", self._contract.complete_type)
        if not isinstance(output, Mapping):
            raise ContractViolation(
                f"the data of {complete_type!r} must be an object, not {type(output).__name__}"
            )
        output = cast("Mapping[str, Any]", output)
        subject = self._run.subject
        asked = read_emission(
            {
                "type": complete_type,
                "data": {key: value for key, value in output.items() if key not in _OUTPUT_FIELDS},
                "to": subject.meta.get("redirectto") or subject.initiator,
                "id": output.get("__id"),
                "domain": output.get("__domain") or self._exchange.domains["complete"],
                "executionunits": output.get("__executionunits"),
            }
        )
        self._put_completion(asked, complete_type)

    def fail(self, told: ErrorData) -> None:
        """Add the system error event that tells the initiator."""
        run = self._run
        self.put_error(
            told,
            subject=run.parent_subject or run.event.subject,
            parentid=run.init_event_id,
            to=run.subject.initiator,
            domains=self._exchange.domains["system_error"],
        )

    def _put_completion(self, asked: Asked, complete_type: str) -> None:
        run = self._run
        contract = self._contract
        self.put(
            asked,
            contract.validate_emit(complete_type, asked.data),
            self._exchange.route(contract.dataschema, contract.domain),
            subject=run.parent_subject or run.event.subject,
            parentid=run.init_event_id,
            to=complete_type,
        )

    def _child_subject(
        self, service: VersionedArvoContract, parent_subject: str | None, asked: Asked
    ) -> Subject:
        meta = {"redirectto": asked.redirectto or self._contract.type}

        def make(domain: str | None, execution_id: str) -> str:
            shape: dict[str, Any] = {
                "orchestrator": service.type,
                "version": service.version,
                "domain": domain,
                "meta": meta,
                "execution_id": execution_id,
            }
            try:
                if parent_subject is None:
                    return ArvoOrchestrationSubject.new(initiator=self._contract.type, **shape)
                return ArvoOrchestrationSubject.from_(subject=parent_subject, **shape)
            except InvalidSubject as error:
                raise ExecutionViolation(
                    f"no subject can be made for the emitted {service.type!r}: is its {PARENT_SUBJECT} a subject?",
                    metadata={"type": service.type},
                ) from error

        return make


def orchestration_domains(given: Domains | None) -> Domains:
    """
    Read the option `default_event_emission_domains` of an orchestrator.

    Raises:
        ConfigViolation: A kind is unknown.
    """
    context = (ArvoDomain.ORCHESTRATION_CONTEXT,)
    return read_domains(
        given, {"services": (ArvoDomain.LOCAL,), "complete": context, "system_error": context}
    )


def check_services(contract_uri: str, services: object) -> None:
    """
    Check that an orchestrator asks each contract in one version, and not itself.

    Raises:
        ConfigViolation: They are not versions of contracts; two share a URI, or one has the orchestrator's own.
    """
    if not isinstance(services, Mapping):
        raise ConfigViolation("services: must map names to versions of contracts")
    uris: list[str] = []
    for name, service in cast("Mapping[object, object]", services).items():
        if not isinstance(service, VersionedArvoContract):
            raise ConfigViolation(f"services: {name!r} must be one version of a contract")
        uris.append(service.uri)
    if len(set(uris)) != len(uris):
        raise ConfigViolation("services: every contract may be there once, in one version")
    if contract_uri in uris:
        raise ConfigViolation("services: an orchestrator cannot be its own service")


def _with_parent_subject(data: Any, own_subject: str) -> Any:
    if isinstance(data, Mapping):
        given = cast("Mapping[str, Any]", data)
        return given if PARENT_SUBJECT in given else {**given, PARENT_SUBJECT: own_subject}
    return data
