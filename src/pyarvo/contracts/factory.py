"""Events of a contract: data checked, types and dataschema filled in, a subject made where none is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Required, TypedDict, Unpack

import msgspec
from pydantic import BaseModel

from pyarvo.contracts.contract import is_text
from pyarvo.contracts.orchestrator import PARENT_SUBJECT
from pyarvo.contracts.system_error import create_arvo_error
from pyarvo.contracts.version import VersionedArvoContract
from pyarvo.errors import InvalidContract, InvalidEvent, InvalidSubject
from pyarvo.events.event import ArvoEvent
from pyarvo.events.factory import EventId, create_arvo_event
from pyarvo.events.names import TYPE_RULE, is_type_name
from pyarvo.events.subject import ArvoOrchestrationSubject, parse_subject

__all__ = [
    "ArvoEventFactory",
    "ArvoOrchestratorEventFactory",
    "EventData",
    "EventFields",
    "create_arvo_event_factory",
    "create_arvo_orchestrator_event_factory",
]

EventData = Mapping[str, Any] | BaseModel
"""Data of an event before it is checked: a mapping with the names of the wire, or the contract's model."""


class EventFields(TypedDict, total=False):
    """Fields that every method of a factory takes; their meaning is `create_arvo_event`'s, except `parentid`."""

    source: Required[str]
    id: EventId | None
    time: str | None
    to: str | None
    accesscontrol: str | None
    redirectto: str | None
    executionunits: float | None
    traceparent: str | None
    tracestate: str | None
    parentid: str | None
    domain: str | None
    extensions: Mapping[str, str | float | bool | None] | None


class ArvoEventFactory:
    """
    Makes the events of one contract version. `create_arvo_event_factory` makes it.

    Every method takes `source` and, optionally, `subject` and the other fields of `EventFields`. `parentid` is set
    verbatim. A missing subject is made anew, which needs a *source* of three segments or more: its orchestrator is
    the event's type, its meta holds `redirectto`, its domain is the event's.

    Attributes:
        contract: The contract version.
    """

    def __init__(self, contract: VersionedArvoContract) -> None:
        self.contract = contract

    def accepts(
        self, *, data: EventData, subject: str | None = None, **fields: Unpack[EventFields]
    ) -> ArvoEvent:
        """
        Make the event that the contract's handler accepts.

        Args:
            data: Checked; sent with defaults applied.

            subject: The workflow it belongs to; None makes a new subject.

            **fields: See `EventFields`.

        Raises:
            ContractViolation: *data* does not fit.
            InvalidEvent: A field breaks its rule.
            InvalidSubject: No subject was given and none can be made of the fields.
        """
        contract = self.contract
        return self._event(
            contract.type, contract.validate_accepts(data), contract.dataschema, subject, fields
        )

    def emits(
        self, *, type: str, data: EventData, subject: str | None = None, **fields: Unpack[EventFields]
    ) -> ArvoEvent:
        """
        Make an event that the contract's handler emits.

        Args:
            type: One of the contract's `emits`.

            data: Checked; sent with defaults applied.

            subject: The workflow it belongs to; None makes a new subject.

            **fields: See `EventFields`.

        Raises:
            ContractViolation: *data* does not fit, or the contract has no such event.
            InvalidEvent: A field breaks its rule.
            InvalidSubject: No subject was given and none can be made of the fields.
        """
        contract = self.contract
        if not (is_text(type) and type in contract.emits):
            raise contract.unknown_emit(type)
        return self._event(type, contract.validate_emit(type, data), contract.dataschema, subject, fields)

    def system_error(
        self, *, error: BaseException, subject: str | None = None, **fields: Unpack[EventFields]
    ) -> ArvoEvent:
        """
        Make the event that tells of *error*; its traceback goes along.

        Args:
            error: What went wrong.

            subject: The workflow it belongs to; None makes a new subject.

            **fields: See `EventFields`.

        Raises:
            InvalidEvent: A field breaks its rule.
            InvalidSubject: No subject was given and none can be made of the fields.
        """
        contract = self.contract
        return self._event(
            contract.system_error.type,
            create_arvo_error(error),
            contract.system_error_dataschema,
            subject,
            fields,
        )

    def _event(
        self, type: str, data: dict[str, Any], dataschema: str, subject: str | None, fields: EventFields
    ) -> ArvoEvent:
        if "source" not in fields:
            raise InvalidEvent("source", "is missing")
        if subject is None:
            source, redirectto = fields["source"], fields.get("redirectto")
            if not (is_text(source) and is_type_name(source)):
                # By its name here: the caller gave no initiator.
                rule = f"{TYPE_RULE}: it becomes the initiator of the new subject; or give a subject"
                raise InvalidSubject("source", rule)
            subject = ArvoOrchestrationSubject.new(
                orchestrator=type,
                version=self.contract.version,
                initiator=source,
                domain=fields.get("domain"),
                meta=None if redirectto is None else {"redirectto": redirectto},
            )
        event = create_arvo_event(**fields, subject=subject, type=type, data=data, dataschema=dataschema)
        parentid = fields.get("parentid")
        # What names an id or a contract must be as they are, and not encoded, which create_arvo_event does.
        if (event.parentid, event.dataschema) == (parentid, dataschema):
            return event
        return msgspec.structs.replace(event, parentid=parentid, dataschema=dataschema)


class ArvoOrchestratorEventFactory(ArvoEventFactory):
    """Makes the events of one version of an orchestrator's contract."""

    def init(
        self, *, data: EventData, subject: str | None = None, **fields: Unpack[EventFields]
    ) -> ArvoEvent:
        """
        Make the event that starts the workflow.

        Without a subject: when the data names a parent (`parentSubject$$`), the subject is a child's of it, and
        the completion goes to *redirectto*, else to the parent's own initiator; a root's is made as `accepts` does.

        Args:
            data: Checked; sent with defaults applied.

            subject: The workflow it belongs to; None makes a new subject.

            **fields: See `EventFields`.

        Raises:
            ContractViolation: *data* does not fit.
            InvalidEvent: A field breaks its rule.
            InvalidSubject: The parent's subject does not parse, or none can be made of the fields.
        """
        contract = self.contract
        checked = contract.validate_accepts(data)
        parent = checked.get(PARENT_SUBJECT)
        if subject is None and parent is not None:
            redirectto = fields.get("redirectto")
            subject = ArvoOrchestrationSubject.from_(
                orchestrator=contract.type,
                version=contract.version,
                subject=parent,
                domain=fields.get("domain"),
                meta={"redirectto": parse_subject(parent).initiator if redirectto is None else redirectto},
            )
        return self._event(contract.type, checked, contract.dataschema, subject, fields)

    def complete(
        self, *, data: EventData, subject: str | None = None, **fields: Unpack[EventFields]
    ) -> ArvoEvent:
        """
        Make the event that ends the workflow.

        Args:
            data: Checked; sent with defaults applied.

            subject: The workflow it belongs to; None makes a new subject.

            **fields: See `EventFields`.

        Raises:
            ContractViolation: *data* does not fit.
            InvalidEvent: A field breaks its rule.
            InvalidSubject: No subject was given and none can be made of the fields.
        """
        return self.emits(
            type=self.contract.metadata["completeEventType"], data=data, subject=subject, **fields
        )


def create_arvo_event_factory(contract: VersionedArvoContract) -> ArvoEventFactory:
    """
    Return the factory of the events of *contract*.

    Raises:
        InvalidContract: *contract* is not a version of a contract.
    """
    _check_versioned(contract)
    return ArvoEventFactory(contract)


def create_arvo_orchestrator_event_factory(contract: VersionedArvoContract) -> ArvoOrchestratorEventFactory:
    """
    Return the factory of the events of an orchestrator's contract.

    Raises:
        InvalidContract: *contract* was not made by `create_arvo_orchestrator_contract`.
    """
    _check_versioned(contract)
    if not contract.is_orchestrator:
        raise InvalidContract("metadata.contractType", f"{contract.uri} is not an orchestrator contract")
    return ArvoOrchestratorEventFactory(contract)


def _check_versioned(contract: object) -> None:
    if not isinstance(contract, VersionedArvoContract):
        raise InvalidContract("contract", "must be one version of a contract: contract.version('1.0.0')")
