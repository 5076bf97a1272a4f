"""One version of a contract: what its handler accepts, what it emits, and checked data for both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from pyarvo.contracts.system_error import SystemErrorData
from pyarvo.errors import ContractViolation
from pyarvo.events.dataschema import WILDCARD_VERSION, make_dataschema
from pyarvo.events.json_text import classify, encode, find_fault, is_json

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaMode

__all__ = ["ORCHESTRATOR_CONTRACT", "EventSchema", "VersionedArvoContract"]

ORCHESTRATOR_CONTRACT = "ArvoOrchestratorContract"

_MOST_FAULTS = 50


@dataclass(frozen=True, slots=True)
class EventSchema:
    """
    An event type and the model of its data.

    Attributes:
        type: Event type.

        schema: The pydantic model; data goes in and out by alias.
    """

    type: str
    schema: type[BaseModel]

    def to_json_schema(self, mode: JsonSchemaMode) -> dict[str, Any]:
        """Return type and JSON Schema, of data that comes in ("validation") or goes out ("serialization")."""
        return {"type": self.type, "schema": self.schema.model_json_schema(by_alias=True, mode=mode)}


@dataclass(frozen=True, kw_only=True, eq=False)
class VersionedArvoContract:
    """
    One version of a contract; `ArvoContract.version` gives it.

    Attributes:
        uri: URI of the contract.

        version: This version.

        type: Event type that its handler accepts.

        accepts: That type and the model of its data.

        emits: Event types that the handler emits, and their models.

        description: Of the contract.

        metadata: Of the contract, read-only.

        domain: Of the contract.
    """

    uri: str
    version: str
    accepts: EventSchema
    emits: Mapping[str, type[BaseModel]]
    description: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    domain: str | None = None

    @cached_property
    def type(self) -> str:
        """Event type that the handler accepts."""
        return self.accepts.type

    @cached_property
    def emit_list(self) -> tuple[EventSchema, ...]:
        """`emits`, as a sequence."""
        return tuple(EventSchema(type, schema) for type, schema in self.emits.items())

    @cached_property
    def system_error(self) -> EventSchema:
        """The system error event, the same in every version."""
        return EventSchema(f"sys.{self.type}.error", SystemErrorData)

    @cached_property
    def dataschema(self) -> str:
        """`dataschema` of the events of this version."""
        return make_dataschema(self.uri, self.version)

    @cached_property
    def system_error_dataschema(self) -> str:
        """`dataschema` of the system error event."""
        return make_dataschema(self.uri, WILDCARD_VERSION)

    @cached_property
    def is_orchestrator(self) -> bool:
        """Whether `create_arvo_orchestrator_contract` made it."""
        return self.metadata.get("contractType") == ORCHESTRATOR_CONTRACT

    @cached_property
    def complete_type(self) -> str | None:
        """Event type of the completion; None when this is not an orchestrator contract."""
        return self.metadata["completeEventType"] if self.is_orchestrator else None

    def parse_accepts(self, data: object) -> BaseModel:
        """
        Check data of an incoming event.

        Raises:
            ContractViolation: It does not fit.
        """
        return self._parse(self.accepts.type, self.accepts.schema, data)

    def parse_emit(self, type: str, data: object) -> BaseModel:
        """
        Check data of an outgoing event, the system error among them.

        Args:
            type: Event type.

            data: A mapping, or an instance of the model.

        Raises:
            ContractViolation: It does not fit, or the contract has no such event.
        """
        return self._parse(type, self._emit_schema(type), data)

    def validate_accepts(self, data: object) -> dict[str, Any]:
        """
        Check data of an incoming event and return it as plain JSON, defaults applied.

        Raises:
            ContractViolation: It does not fit.
        """
        accepts = self.accepts
        return self._dump(accepts.type, accepts.schema, data)

    def validate_emit(self, type: str, data: object) -> dict[str, Any]:
        """
        Check data of an outgoing event and return it as plain JSON, defaults applied, unknown keys gone.

        Raises:
            ContractViolation: It does not fit, or the contract has no such event.
        """
        return self._dump(type, self._emit_schema(type), data)

    def read(self, type: str, data: dict[str, Any]) -> tuple[BaseModel, dict[str, Any]]:
        """
        Check data of a consumed event: of the one that the handler accepts, or of one that it emits.

        Returns:
            The model, and the same as plain JSON, defaults applied: one that is made anew each time is the same in both.

        Raises:
            ContractViolation: It does not fit, or the contract has no such event.
        """
        schema = self.accepts.schema if type == self.accepts.type else self._emit_schema(type)
        model = self._parse(type, schema, data)
        return model, self._write(type, schema, model)

    def unknown_emit(self, type: str) -> ContractViolation:
        """Return the error that says this contract does not emit *type*."""
        return ContractViolation(
            f"{self.dataschema} emits no {type!r}; it emits {', '.join(self.emits) or 'nothing'}",
            metadata={"uri": self.uri, "version": self.version, "type": type},
        )

    def to_json_schema(self) -> dict[str, Any]:
        """Return this version as JSON, its models as JSON Schema."""
        return {
            "uri": self.uri,
            "domain": self.domain,
            "description": self.description,
            "version": self.version,
            "accepts": self.accepts.to_json_schema("validation"),
            "systemError": self.system_error.to_json_schema("serialization"),
            "emits": [event.to_json_schema("serialization") for event in self.emit_list],
            "metadata": dict(self.metadata),
        }

    def _emit_schema(self, type: str) -> type[BaseModel]:
        schema = self.emits.get(type)
        if schema is not None:
            return schema
        if type != self.system_error.type:
            raise self.unknown_emit(type)
        return self.system_error.schema

    def _parse(self, type: str, schema: type[BaseModel], data: object) -> BaseModel:
        validator = schema.__pydantic_validator__
        try:  # what model_validate does, without its wrapper: every event pays for it
            return validator.validate_python(data)
        except ValidationError as error:
            refused = error
        # Of Python's own values strict models take no text for a time and no list for a tuple; of JSON, which has
        # neither, they do. What came over the wire is JSON.
        if data.__class__ is dict and classify(cast("dict[str, Any]", data)):
            try:
                return validator.validate_json(encode(data))
            except ValidationError as error:
                refused = error
        raise self._violation(type, _faults(refused)) from refused

    def _dump(self, type: str, schema: type[BaseModel], given: object) -> dict[str, Any]:
        return self._write(type, schema, self._parse(type, schema, given))

    def _write(self, type: str, schema: type[BaseModel], model: BaseModel) -> dict[str, Any]:
        try:
            # The contract's own serializer: an instance of a derived model has fields that the contract has not. Its
            # warnings are errors: an instance that was changed since it was made is not checked anew by pydantic.
            data: object = schema.__pydantic_serializer__.to_python(
                model, mode="json", by_alias=True, warnings="error"
            )
        except PydanticSerializationError as error:
            raise self._violation(type, [{"path": "data", "message": "cannot be written as JSON"}]) from error
        if not isinstance(data, dict):  # a root model, or a serializer of the user's
            raise self._violation(type, [{"path": "data", "message": "must be an object"}])
        data = cast("dict[str, Any]", data)
        if not is_json(data):  # pydantic lets pass what JSON cannot hold: NaN, integers beyond 2^53 - 1
            path, message = find_fault(data, "data") or ("data", "is not JSON")
            raise self._violation(type, [{"path": path, "message": message}])
        return data

    def _violation(self, type: str, faults: list[dict[str, str]]) -> ContractViolation:
        where = ", ".join(fault["path"] for fault in faults[:5])
        return ContractViolation(
            f"the data of {type!r} does not fit {self.dataschema} at {where}",
            metadata={"uri": self.uri, "version": self.version, "type": type, "faults": faults},
        )


def _faults(error: ValidationError) -> list[dict[str, str]]:
    """List path and message of each fault, without the values."""
    return [
        {
            "path": _path(fault["loc"]),
            # The one message of pydantic's own that quotes the input.
            "message": "Unknown tag" if fault["type"] == "union_tag_invalid" else fault["msg"],
        }
        for fault in error.errors(include_url=False, include_context=False, include_input=False)[
            :_MOST_FAULTS
        ]
    ]


def _path(location: tuple[int | str, ...]) -> str:
    return "data" + "".join(f"[{part}]" if isinstance(part, int) else f".{part[:40]}" for part in location)
