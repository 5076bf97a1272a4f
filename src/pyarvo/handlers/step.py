"""
One step of a workflow: admit, run, settle. Orchestrators and resumables share it and differ only in their core.

    admit    event -> Run, or the answer that ends the execution early; takes the lease and reads the record
    run      core.change(run) -> Change: the events to emit and the core's fields of the record; knows no memory
    settle   record, consumed event and emitted events in one commit, which also ends the lease

Every early exit is an `ExecutionResult`. Whatever happens in between, the lease is committed or released.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from random import uniform
from typing import Any, Protocol

import msgspec

from pyarvo.contracts import PARENT_SUBJECT, create_arvo_error
from pyarvo.errors import (
    ConfigViolation,
    EventConsumed,
    ExecutionViolation,
    InvalidRecord,
    InvalidSubject,
    MemoryFault,
    RecordCorrupt,
    RecordTooLarge,
    TransactionCause,
    TransactionViolation,
    ViolationError,
)
from pyarvo.events import ArvoEvent
from pyarvo.events.ids import event_key
from pyarvo.events.subject import ParsedSubject, parse_subject
from pyarvo.events.uri import is_uri
from pyarvo.handlers.cancellation import caller_cancelled, until_over
from pyarvo.handlers.emission import ErrorData
from pyarvo.handlers.observed import tell_failure
from pyarvo.handlers.renewal import while_renewed
from pyarvo.handlers.result import ExecutionResult, Outcome
from pyarvo.memory.adapted import has_verbs, leased
from pyarvo.memory.contract import Lease, MachineMemory, Record, Step

__all__ = ["Change", "Core", "Run", "Stepper"]

_log = logging.getLogger("pyarvo.handlers")


class Run(msgspec.Struct, frozen=True):
    """
    An event that was admitted: all that its core may know.

    Attributes:
        event: As it was delivered.

        event_key: Its identity for the memory.

        subject: The event's subject, parsed: version and initiator of the workflow.

        record: The workflow's last record; None when this event starts it.

        parent_subject: Subject of the orchestration that started this one; None for a root. Set once.

        init_event_id: Id of the event that started this workflow. Set once.
    """

    event: ArvoEvent
    event_key: str
    subject: ParsedSubject
    record: Record | None
    parent_subject: str | None
    init_event_id: str


class Change(msgspec.Struct, frozen=True):
    """
    What a step does.

    Attributes:
        emitted: The events, in order.

        fields: The core's own fields of the record; `settle` adds those that every record has.

        outcome: `ran` or `failed`.
    """

    emitted: Sequence[ArvoEvent]
    fields: Record
    outcome: Outcome = Outcome.RAN


class Core(Protocol):
    """What differs between the kinds of orchestrator."""

    @property
    def suspends(self) -> bool:
        """Whether `change` may suspend; then the lease is renewed meanwhile."""
        ...

    async def change(self, run: Run) -> Change:
        """Run user code for the event."""
        ...

    def failure_events(self, run: Run, told: ErrorData) -> Sequence[ArvoEvent]:
        """Make the system error events that tell the initiator."""
        ...


class Stepper:
    """Runs the steps of one handler: `execute` is admit, run, settle."""

    __slots__ = ("_core", "_lease_ttl_s", "_memory", "_source")

    def __init__(self, *, source: str, memory: MachineMemory, core: Core, lease_ttl_s: float | None) -> None:
        if not has_verbs(memory):
            raise ConfigViolation("memory: must have the four verbs read, write, lock and unlock")
        self._source = source
        self._memory = leased(memory)
        if lease_ttl_s is not None and self._memory is not memory:
            raise ConfigViolation("lease_ttl_s: a memory of four verbs has its own TTL")
        self._core = core
        self._lease_ttl_s = lease_ttl_s

    async def execute(self, event: ArvoEvent, attempt: int) -> ExecutionResult:
        admitted = await self._admit(event, attempt)
        if isinstance(admitted, ExecutionResult):
            return admitted
        lease, run = admitted
        try:
            _check_record(run)
            change = await self._run(lease, run)
            return await self._settle(lease, run, change)
        except GeneratorExit:  # a coroutine that is closed cannot await: the TTL ends the lease
            raise
        except BaseException:
            await self._give_up(lease)
            raise

    # ------------------------------------------------------------------------------------------------ admit

    async def _admit(self, event: ArvoEvent, attempt: int) -> ExecutionResult | tuple[Lease, Run]:
        subject = _subject_of(event)
        if subject.orchestrator_name != self._source:
            return ExecutionResult((), Outcome.FOREIGN)
        is_init = event.type == self._source
        parent_subject = _parent_of(event) if is_init else None
        key = event_key(event)
        lease = await self._acquire(event, key, attempt)
        if lease.replay is not None:
            return _replayed(lease.replay)
        early = _early_outcome(lease, is_init=is_init)
        if early is not None:
            await self._give_up(lease)
            if early is Outcome.UNKNOWN_INSTANCE:
                _log.warning("%s: no instance for event %s of type %s", self._source, event.id, event.type)
            return ExecutionResult((), early)
        record = lease.data
        if record is None:
            return lease, Run(event, key, subject, None, parent_subject, event.id)
        init_event_id = record.get("initEventId", event.id)
        return lease, Run(event, key, subject, record, record.get("parentSubject"), init_event_id)

    async def _acquire(self, event: ArvoEvent, key: str, attempt: int) -> Lease:
        try:
            lease = await self._memory.acquire(event.subject, event_key=key, ttl_s=self._lease_ttl_s)
        except InvalidRecord as fault:  # the id is too long for any memory: no redelivery helps
            raise ExecutionViolation("the subject or the id of the event cannot be kept") from fault
        except (Exception, asyncio.CancelledError) as fault:
            if _is_callers(fault):
                raise
            raise TransactionViolation(
                _acquire_cause(fault),
                "the machine memory could not be asked; deliver the event again",
                metadata=_redelivery(event),
            ) from fault
        if lease is None:
            raise TransactionViolation(
                TransactionCause.LOCK_UNACQUIRED,
                "another execution holds the workflow; deliver the event again",
                metadata=_redelivery(event),
                retry_after_s=_retry_after_s(attempt),
            )
        return lease

    # -------------------------------------------------------------------------------------------------- run

    async def _run(self, lease: Lease, run: Run) -> Change:
        try:
            work = self._core.change(run)
            return await (while_renewed(self._memory, lease, work) if self._core.suspends else work)
        except ViolationError:
            raise
        except asyncio.CancelledError as error:
            if caller_cancelled():
                raise
            return self._failure(run, error)
        except Exception as error:  # noqa: BLE001 - whatever user code raises ends the workflow, on record
            return self._failure(run, error)

    def _failure(self, run: Run, error: BaseException) -> Change:
        tell_failure(error)
        _log.error("%s: user code failed on event %s", self._source, run.event.id, exc_info=error)
        told = create_arvo_error(error)
        fields = {**(run.record or {}), "executionStatus": "failure", "error": told}
        return Change(self._core.failure_events(run, told), fields, Outcome.FAILED)

    # ----------------------------------------------------------------------------------------------- settle

    async def _settle(self, lease: Lease, run: Run, change: Change) -> ExecutionResult:
        event = run.event
        produced = [emitted.to_dict() for emitted in change.emitted]
        record: Record = {
            "executionStatus": "normal",
            "initEventId": run.init_event_id,
            "subject": event.subject,
            "parentSubject": run.parent_subject,
            **change.fields,
        }
        record["events"] = {
            **record.get("events", {}),
            "consumed": event.to_dict(),
            "produced": produced,
        }
        try:
            await self._memory.commit(lease, record, step=Step(run.event_key, tuple(produced)))
        except EventConsumed as consumed:
            await self._give_up(lease)
            return _replayed(consumed.step)
        except (InvalidRecord, RecordTooLarge) as refused:
            # What user code made can never be kept: no redelivery helps, the workflow fails on record.
            if change.outcome is Outcome.FAILED:
                raise ExecutionViolation(
                    "not even the failure can be stored", metadata=_identity(event)
                ) from refused
            return await self._settle(lease, run, self._failure(run, refused))
        except (Exception, asyncio.CancelledError) as fault:
            if _is_callers(fault):
                raise
            raise TransactionViolation(
                TransactionCause.WRITE_MACHINE_MEMORY_FAILURE,
                "the step was refused, or nobody knows whether it was written; deliver the event again",
                metadata=_redelivery(event),
            ) from fault
        return ExecutionResult(tuple(change.emitted), change.outcome)

    async def _give_up(self, lease: Lease) -> None:
        """Release the lease; a cancellation that comes meanwhile waits until that is over."""
        release = asyncio.ensure_future(self._memory.release(lease))
        try:
            await until_over(release)
        finally:
            if release.done() and not release.cancelled() and (fault := release.exception()) is not None:
                _log.warning("%s: releasing a lease failed, its TTL ends it", self._source, exc_info=fault)


def _subject_of(event: ArvoEvent) -> ParsedSubject:
    if not isinstance(event, ArvoEvent):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
        raise ExecutionViolation(f"an ArvoEvent is expected, not {type(event).__name__}")
    try:
        return parse_subject(event.subject)
    except InvalidSubject as error:
        raise ExecutionViolation(
            "the subject of the event is not an orchestration subject", metadata=_identity(event)
        ) from error


def _parent_of(init: ArvoEvent) -> str | None:
    parent = init.data.get(PARENT_SUBJECT)
    if not isinstance(parent, str) or not parent:
        return None  # validation against the contract says what is wrong with it
    if not is_uri(parent):
        raise ExecutionViolation(
            f"{PARENT_SUBJECT} cannot be the subject of an answer", metadata=_identity(init)
        )
    return parent


def _check_record(run: Run) -> None:
    """Refuse a record in which somebody changed what each step stands on: nothing is made of it."""
    record = run.record
    if record is None:
        return
    parent, init = record.get("parentSubject"), record.get("initEventId", run.init_event_id)
    if parent is not None and not (isinstance(parent, str) and is_uri(parent)):
        wrong = "parentSubject"
    elif not (isinstance(init, str) and init):
        wrong = "initEventId"
    elif not isinstance(record.get("events", {}), dict):
        wrong = "events"
    else:
        return
    raise ConfigViolation(
        f"the record was changed by hand: its {wrong} cannot be used", metadata=_identity(run.event)
    )


def _early_outcome(lease: Lease, *, is_init: bool) -> Outcome | None:
    """Why the event runs nothing; None when it is to run."""
    if lease.deleted_at is not None:
        return Outcome.DELETED
    if lease.data is None:
        return None if is_init else Outcome.UNKNOWN_INSTANCE
    if lease.data.get("executionStatus") == "failure":
        return Outcome.INSTANCE_FAILED
    if lease.data.get("status") == "done":
        return Outcome.INSTANCE_DONE
    # A second init under another id: the workflow was started before, nothing happens again.
    return Outcome.REPLAYED if is_init else None


def _replayed(step: Step) -> ExecutionResult:
    return ExecutionResult(tuple(ArvoEvent.from_dict(event) for event in step.produced), Outcome.REPLAYED)


def _is_callers(fault: BaseException) -> bool:
    """Whether *fault* is the caller's cancellation, and not of a store's driver that cancelled what it waited for."""
    return isinstance(fault, asyncio.CancelledError) and caller_cancelled()


def _acquire_cause(fault: BaseException) -> TransactionCause:
    failed_read = isinstance(fault, RecordCorrupt) or (
        isinstance(fault, MemoryFault) and fault.operation == "read"
    )
    return (
        TransactionCause.READ_MACHINE_MEMORY_FAILURE
        if failed_read
        else TransactionCause.LOCK_MACHINE_MEMORY_FAILURE
    )


def _retry_after_s(attempt: int) -> float:
    """Between 0.05 and 0.5 seconds; twice as long at each further attempt, jittered by half."""
    longest = min(0.5, 0.1 * 2 ** min(attempt - 1, 8))
    return uniform(longest / 2, longest)


def _identity(event: ArvoEvent) -> dict[str, Any]:
    return {"subject": event.subject, "source": event.source, "id": event.id, "type": event.type}


def _redelivery(event: ArvoEvent) -> dict[str, Any]:
    """Metadata of a step that did not happen: the event to deliver again, under the TypeScript system's name."""
    return {**_identity(event), "initiatingEvent": event.to_dict()}
