"""The declarative orchestrator: state machines, one for each version of its contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyarvo.errors import ConfigViolation
from pyarvo.events import ArvoEvent
from pyarvo.events.event import with_known
from pyarvo.handlers.emission import ErrorData, check_executionunits
from pyarvo.handlers.exchange import Domains, Exchange, orchestration_domains
from pyarvo.handlers.observed import Observed
from pyarvo.handlers.received import validated
from pyarvo.handlers.result import ExecutionResult
from pyarvo.handlers.step import Change, Run, Stepper
from pyarvo.memory.contract import MachineMemory, Record
from pyarvo.memory.options import check_ttl
from pyarvo.statecharts import ArvoMachine, step
from pyarvo.telemetry.names import HandlerKind

__all__ = ["ArvoOrchestrator", "create_arvo_orchestrator"]


class ArvoOrchestrator:
    """
    Runs state machines as workflows; make it with `create_arvo_orchestrator`.

    Attributes:
        source: Type of its init event: events with this `to` are its own.

        domain: Domain of its contract.

        machines: By version.

        executionunits: Cost of an event that names none.

        memory: Where its workflows live.
    """

    def __init__(
        self,
        *,
        memory: MachineMemory,
        executionunits: float,
        machines: Mapping[str, ArvoMachine],
        domains: Domains,
        lease_ttl_s: float | None,
    ) -> None:
        first = next(iter(machines.values()))
        self.source = first.source
        self.domain = first.contracts.self.domain
        self.machines = machines
        self.executionunits = executionunits
        self.memory = memory
        self._observed = Observed(HandlerKind.ORCHESTRATOR, uri=first.contracts.self.uri, source=self.source)
        self._stepper = Stepper(
            source=self.source,
            memory=memory,
            core=_MachineCore(self.source, machines, executionunits, domains),
            lease_ttl_s=lease_ttl_s,
        )

    async def execute(self, event: ArvoEvent, *, attempt: int = 1) -> ExecutionResult:
        """
        Run one step: give *event* to the machine, and commit its new state together with the events it emits.

        Args:
            event: An event on a subject of this orchestrator.

            attempt: Which delivery of the event this is, from 1. While somebody else holds the workflow,
                `retry_after_s` is longer with each, 0.05 to 0.5 seconds.

        Returns:
            The events to publish and the outcome.

        Raises:
            ConfigViolation: No machine, contract or version is set up for the event.
            ContractViolation: The event, an emission or the output does not fit its contract.
            ExecutionViolation: It is not an event of an orchestration.
            TransactionViolation: The step did not happen; deliver the event again.
            ViolationError: The machine's code raised it.
        """
        return await self._observed.execution(event, self._stepper.execute(event, attempt))


class _MachineCore:
    """Steps the machine of the version that the subject names."""

    suspends = False  # a machine's step is one synchronous call of bounded length

    def __init__(
        self, source: str, machines: Mapping[str, ArvoMachine], executionunits: float, domains: Domains
    ) -> None:
        self._source = source
        self._machines = machines
        self._definitions = {
            version: {"sha256": machine.definition_hash, "version": machine.version}
            for version, machine in machines.items()
        }
        self._exchanges = {
            version: Exchange(
                machine.contracts.self,
                machine.contracts.services.values(),
                executionunits=executionunits,
                domains=domains,
            )
            for version, machine in machines.items()
        }

    async def change(self, run: Run) -> Change:
        version = run.subject.orchestrator_version
        machine = self._machines.get(version)
        if machine is None:
            raise ConfigViolation(f"{self._source} has no machine of version {version}")
        exchange = self._exchanges[version]
        data = validated(run.event, exchange.contract_of(run.event))
        event = with_known(run.event, data=data, extensions=dict(run.event.extensions))
        result = step(machine.machine, self._snapshot(run), event)
        outbox = exchange.outbox(run)
        for emission in result.emitted:
            outbox.send(emission)
        snapshot = result.snapshot
        if snapshot["status"] == "done":  # a done workflow takes no more events, so this happens once
            outbox.complete(result.output)
        fields: Record = {
            "status": snapshot["status"],
            "value": snapshot["value"],
            "state": snapshot,
            "machineDefinition": self._definitions[version],
        }
        return Change(outbox.events, fields)

    def _snapshot(self, run: Run) -> Record | None:
        if run.record is None:
            return None
        state = run.record.get("state")
        if state is None:  # which would start the machine anew
            raise ConfigViolation(f"the record of this {self._source} was not written by a machine")
        return state

    def failure_events(self, run: Run, told: ErrorData) -> Sequence[ArvoEvent]:
        outbox = self._exchanges[run.subject.orchestrator_version].outbox(run)
        outbox.fail(told)
        return outbox.events


def create_arvo_orchestrator(
    *,
    memory: MachineMemory,
    executionunits: float,
    machines: Sequence[ArvoMachine],
    default_event_emission_domains: Domains | None = None,
    lease_ttl_s: float | None = None,
) -> ArvoOrchestrator:
    """
    Make an orchestrator of state machines.

    Args:
        memory: Where its workflows live: any object with the four verbs.

        executionunits: Cost of an event that names none: a finite number, an integer within 2**53 - 1.

        machines: At least one, all of the same source, each of another version.

        default_event_emission_domains: `services` ([LOCAL]), `complete` and `system_error`
            ([ORCHESTRATION_CONTEXT]): domains, or symbols of `ArvoDomain`, of events that name none.

        lease_ttl_s: Length of the lease that a step takes, 1.0 to 3,600.0 seconds; None means the memory's default.

    Raises:
        ConfigViolation: There is no machine, or they do not belong together; the memory lacks a verb, or has only the
            four and takes no `lease_ttl_s`; executionunits or domains are invalid.
        InvalidOption: The lease is too short or too long.
    """
    if not isinstance(machines, list | tuple) or not all(isinstance(one, ArvoMachine) for one in machines):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
        raise ConfigViolation("machines: must be a list of what `create_machine` makes")
    if not machines:
        raise ConfigViolation("machines: at least one is needed")
    by_version: dict[str, ArvoMachine] = {}
    for machine in machines:
        if machine.source != machines[0].source:
            raise ConfigViolation(
                f"machines: {machine.source!r} and {machines[0].source!r} need an orchestrator each"
            )
        if machine.version in by_version:
            raise ConfigViolation(f"machines: version {machine.version} is there twice")
        by_version[machine.version] = machine
    return ArvoOrchestrator(
        memory=memory,
        executionunits=check_executionunits(executionunits),
        machines=by_version,
        domains=orchestration_domains(default_event_emission_domains),
        lease_ttl_s=None if lease_ttl_s is None else check_ttl(lease_ttl_s, "lease_ttl_s"),
    )
