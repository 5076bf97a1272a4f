"""
Every error of the package, in one tree.

    ArvoError
    ├── InvalidEvent (ValueError)            a field of an event breaks a rule
    ├── InvalidSubject (ValueError)          a string is not an orchestration subject, or its content breaks a rule
    ├── InvalidContract (ValueError)         a contract breaks a rule when it is made
    ├── InvalidOption (ValueError)           an option or a URL is out of bounds or unknown
    ├── InvalidContext (ValueError)          a machine's context is not JSON, or not what its model says; has `path`
    ├── EndlessLoop                          a machine does not come to rest; has `limit`, `cycle`
    ├── BrokerClosed                         the broker takes no more events
    ├── CalledInLoop (RuntimeError)          a synchronous call where an event loop runs
    ├── MemoryFault                          has `id` and `operation`
    │   ├── InvalidRecord (ValueError)       id or record refused before any I/O; has `path`
    │   ├── RecordTooLarge (ValueError)      over the limit, before any I/O; has `size`, `limit`
    │   ├── RecordCorrupt                    stored bytes do not decode
    │   ├── MemoryUnavailable                the store could not be asked; nothing was applied
    │   ├── WriteOutcomeUnknown              applied or not, the store did not say; ask the same again
    │   ├── ForeignStore                     the store holds something else; it is left alone
    │   ├── MemoryClosed                     used after close, or in a forked child
    │   ├── UnsupportedByBackend             a level this memory lacks
    │   ├── SchemaTooNew                     the store was written by a newer version
    │   ├── StoreMissing                     nobody has made the store yet, and this memory may not
    │   └── NotApplied                       nothing was written:
    │       ├── LeaseLost                    the lease was released, or somebody has held it since
    │       ├── WriteConflict                another version than the one last read; `expected`, `actual`
    │       └── EventConsumed                the event key has a step already; has `step`
    └── ViolationError                       has `type`, `metadata`
        ├── ContractViolation                data does not fit the contract
        ├── ConfigViolation                  a handler or machine is not set up for this
        │   ├── InvalidMachine               a machine definition breaks a rule; has `path`
        │   └── InvalidSnapshot              a snapshot is not one of this machine; has `path`
        ├── ExecutionViolation               the event cannot be executed as it is
        └── TransactionViolation             the step did not happen; deliver the event again; has `cause`

A driver's own error is always the `__cause__`. Messages never hold record contents, tokens or passwords.
"""

from __future__ import annotations

from copy import copy
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyarvo.memory.contract import Step

__all__ = [
    "ArvoError",
    "BrokerClosed",
    "CalledInLoop",
    "ConfigViolation",
    "ContractViolation",
    "EndlessLoop",
    "EventConsumed",
    "ExecutionViolation",
    "ForeignStore",
    "InvalidContext",
    "InvalidContract",
    "InvalidEvent",
    "InvalidMachine",
    "InvalidOption",
    "InvalidRecord",
    "InvalidSnapshot",
    "InvalidSubject",
    "LeaseLost",
    "MemoryClosed",
    "MemoryFault",
    "MemoryUnavailable",
    "NotApplied",
    "RecordCorrupt",
    "RecordTooLarge",
    "SchemaTooNew",
    "StoreMissing",
    "TransactionCause",
    "TransactionViolation",
    "UnsupportedByBackend",
    "ViolationError",
    "WriteConflict",
    "WriteOutcomeUnknown",
    "is_violation_error",
]


class ArvoError(Exception):
    """Root of every error that pyarvo raises on purpose. Can be copied and pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, dict(self.__dict__))


class InvalidEvent(ArvoError, ValueError):
    """
    A field of an event breaks a rule of CloudEvents or of Arvo.

    Attributes:
        field: Name of the field on the wire, with the path inside it where there is one ("data.items[2]").

        rule: The rule in words.
    """

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"event field {field!r}: {rule}")
        self.field = field
        self.rule = rule


class InvalidSubject(ArvoError, ValueError):
    """
    A string is not an orchestration subject, or its content breaks a rule.

    Attributes:
        field: Path inside the content ("execution.id"), "subject" for the string as a whole, or the event's field
            ("source") that a subject was to be made of.

        rule: The rule in words.
    """

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"orchestration subject, {field}: {rule}")
        self.field = field
        self.rule = rule


class InvalidContract(ArvoError, ValueError):
    """
    A contract breaks a rule when it is made or looked up.

    Attributes:
        field: Which part ("uri", "versions.1.0.0.emits.evt.x.y").

        rule: The rule in words.
    """

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"contract, {field}: {rule}")
        self.field = field
        self.rule = rule


class InvalidOption(ArvoError, ValueError):
    """
    An option or a URL is unknown or out of its bounds.

    Attributes:
        option: Its name.

        rule: The rule in words.
    """

    def __init__(self, option: str, rule: str) -> None:
        super().__init__(f"option {option!r}: {rule}")
        self.option = option
        self.rule = rule


class InvalidContext(ArvoError, ValueError):
    """
    The context of a machine is not JSON, or does not fit the machine's model.

    Attributes:
        path: Where in it ("context.items[2]").

        reason: What is wrong there.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"machine, {path}: {reason}")
        self.path = path
        self.reason = reason


class EndlessLoop(ArvoError):
    """
    A machine did not come to rest: eventless transitions or raised events lead in a circle.

    Attributes:
        machine: Id of the machine.

        limit: The bound of microsteps in one step.

        cycle: The states that follow one another, the first of them again at the end.
    """

    def __init__(self, machine: str, limit: int, cycle: str) -> None:
        super().__init__(
            f"machine {machine!r} is not at rest after {limit:,} microsteps; it goes round: {cycle}"
        )
        self.machine = machine
        self.limit = limit
        self.cycle = cycle


class BrokerClosed(ArvoError):
    """The broker was closed: the event was not accepted, or what it led to was not finished."""


class CalledInLoop(ArvoError, RuntimeError):
    """A call of `pyarvo.sync` was made in a thread that runs an event loop, which it would stop. Nothing was done."""


class MemoryFault(ArvoError):
    """
    Base of everything a memory raises.

    Attributes:
        id: The instance, or None when the fault is of the store as a whole.

        operation: The verb that failed ("acquire", "commit", "read", ...).
    """

    def __init__(self, message: str, *, id: str | None = None, operation: str | None = None) -> None:
        super().__init__(message)
        self.id = id
        self.operation = operation

    def about(self, id: str | None, operation: str) -> Self:
        """A copy that names instance and operation; what is named already stays."""
        named = copy(self)
        named.id = self.id if self.id is not None else id
        named.operation = self.operation or operation
        named.__cause__ = self.__cause__
        return named

    def __str__(self) -> str:
        where = f"{self.operation or 'memory'}{f' of {_short(self.id)}' if self.id is not None else ''}"
        return f"{where}: {self.args[0]}"


class InvalidRecord(MemoryFault, ValueError):
    """
    An id or a record was refused before any I/O; nothing changed.

    Attributes:
        path: Where in the record ("$.items[3].price"), or "id".
    """

    def __init__(
        self, path: str, reason: str, *, id: str | None = None, operation: str | None = None
    ) -> None:
        super().__init__(f"{path}: {reason}", id=id, operation=operation)
        self.path = path


class RecordTooLarge(MemoryFault, ValueError):
    """
    The record is over the size limit; refused before any I/O.

    Attributes:
        size: Encoded size in bytes.

        limit: The memory's limit in bytes (option `record_limit`).
    """

    def __init__(self, size: int, limit: int, *, id: str | None = None, operation: str | None = None) -> None:
        super().__init__(
            f"the record has {size:,} bytes, the limit is {limit:,}; store large payloads elsewhere, "
            "or raise `record_limit`",
            id=id,
            operation=operation,
        )
        self.size = size
        self.limit = limit


class RecordCorrupt(MemoryFault):
    """Stored bytes do not decode. They are left as they are, for somebody to look at."""


class MemoryUnavailable(MemoryFault):
    """
    The store could not be asked. Nothing was applied; the same call may be made again.

    Attributes:
        transient: False when asking again soon cannot help: permission, a full disk, a wrong setting.
    """

    def __init__(
        self, message: str, *, transient: bool = True, id: str | None = None, operation: str | None = None
    ) -> None:
        super().__init__(message, id=id, operation=operation)
        self.transient = transient


class ForeignStore(MemoryFault):
    """The store holds something that pyarvo did not write; it is left alone."""


class WriteOutcomeUnknown(MemoryFault):
    """
    The store did not say whether it applied the write.

    Asking the same thing again (same lease, same data, same step) settles it: an applied write recognises
    itself and returns its version.
    """


class MemoryClosed(MemoryFault):
    """The memory was used after `close()`, or in a process forked from the one that made it."""


class UnsupportedByBackend(MemoryFault):
    """This memory does not offer that level of the contract (a memory of four verbs has no fence)."""


class SchemaTooNew(MemoryFault):
    """The store was written by a newer version of pyarvo; this one leaves it alone."""


class StoreMissing(MemoryFault):
    """
    Nobody has made the store yet, and this memory may not (`create=False`), so that a typing error makes none.

    A memory that may make it does so at first use; so does `pyarvo migrate`.
    """


class NotApplied(MemoryFault):
    """Base of the refusals: nothing was written, and the reason is known."""


class LeaseLost(NotApplied):
    """The lease was released, or somebody else has held it since. Acquire anew and read before writing."""


class WriteConflict(NotApplied):
    """
    The record has another version than the one this caller last read or wrote.

    Attributes:
        expected: The version the caller stood on; 0 = no record.

        actual: The version in the store.
    """

    def __init__(
        self, expected: int, actual: int, *, id: str | None = None, operation: str | None = None
    ) -> None:
        super().__init__(
            f"version {actual} is stored, the write stands on {expected}", id=id, operation=operation
        )
        self.expected = expected
        self.actual = actual


class EventConsumed(NotApplied):
    """
    The event key has a step already: the event took effect before.

    Attributes:
        step: That step; its `produced` are the events to hand on again.
    """

    def __init__(self, step: Step, *, id: str | None = None, operation: str | None = None) -> None:
        super().__init__(f"the event was consumed at version {step.version}", id=id, operation=operation)
        self.step = step


class ViolationError(ArvoError):
    """
    Base of the violations: the step did not happen, nothing was written.

    Attributes:
        type: "Contract", "Config", "Execution", "OrchestratorTransaction", or a user's own.

        metadata: Anything JSON that helps the reader; None when there is nothing.
    """

    def __init__(self, type: str, message: str, *, metadata: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"ViolationError<{type}> {message}")
        self.type = type
        self.metadata = None if metadata is None else dict(metadata)

    @property
    def name(self) -> str:
        """The name that the TypeScript system gives this error."""
        return f"ViolationError<{self.type}>"


class ContractViolation(ViolationError):
    """Data of an event, in or out, does not fit its contract. Delivering it again changes nothing."""

    def __init__(self, message: str, *, metadata: Mapping[str, Any] | None = None) -> None:
        super().__init__("Contract", message, metadata=metadata)


class ConfigViolation(ViolationError):
    """No handler, machine or version is set up for this event, or a definition breaks a rule."""

    def __init__(self, message: str, *, metadata: Mapping[str, Any] | None = None) -> None:
        super().__init__("Config", message, metadata=metadata)


class InvalidMachine(ConfigViolation):
    """
    A machine definition breaks a rule.

    Attributes:
        path: Where in the definition ("states.pay.on['evt.pay.done'][0].target").
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"machine definition, {path}: {reason}", metadata={"path": path})
        self.path = path


class InvalidSnapshot(ConfigViolation):
    """
    A snapshot is not one of this machine: the definition changed under a running instance, or the record is foreign.

    Attributes:
        path: Where in the snapshot ("value.pay.card").
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"machine snapshot, {path}: {reason}", metadata={"path": path})
        self.path = path


class ExecutionViolation(ViolationError):
    """The event cannot be executed as it is: no subject, a bad parent subject, a caller's own rule."""

    def __init__(self, message: str, *, metadata: Mapping[str, Any] | None = None) -> None:
        super().__init__("Execution", message, metadata=metadata)


class TransactionCause(StrEnum):
    """Why a step did not happen; the values are the TypeScript system's, and LEASE_LOST."""

    READ_MACHINE_MEMORY_FAILURE = "READ_MACHINE_MEMORY_FAILURE"
    LOCK_MACHINE_MEMORY_FAILURE = "LOCK_MACHINE_MEMORY_FAILURE"
    WRITE_MACHINE_MEMORY_FAILURE = "WRITE_MACHINE_MEMORY_FAILURE"
    LOCK_UNACQUIRED = "LOCK_UNACQUIRED"
    INVALID_SUBJECT = "INVALID_SUBJECT"
    LEASE_LOST = "LEASE_LOST"


class TransactionViolation(ViolationError):
    """
    The step did not happen, or nobody can say whether it did: deliver the event again.

    Attributes:
        cause: One of `TransactionCause`.

        retry_after_s: When to deliver again, in seconds, finite, 0.0 or more; None where no time is better than
            another.

    Raises:
        InvalidOption: `retry_after_s` is none: whoever delivers again would wait for ever, or could not wait.
    """

    def __init__(
        self,
        cause: TransactionCause,
        message: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        if retry_after_s is not None and not _is_wait(retry_after_s):
            raise InvalidOption(
                "retry_after_s", f"must be seconds, finite, 0.0 or more, is {retry_after_s!r}"
            )
        self.cause = TransactionCause(cause)
        super().__init__("OrchestratorTransaction", f"[{self.cause.value}] {message}", metadata=metadata)
        self.retry_after_s = retry_after_s


def is_violation_error(error: object) -> bool:
    """Whether *error* is a violation, ours or a user's."""
    return isinstance(error, ViolationError)


def _is_wait(seconds: object) -> bool:
    return isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds < inf


def _rebuild(cls: type[ArvoError], args: tuple[Any, ...], state: dict[str, Any]) -> ArvoError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


def _short(id: str, keep: int = 48) -> str:
    return repr(id if len(id) <= keep else f"{id[:keep]}...")
