"""Contracts: what a handler accepts and emits, version by version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypedDict, cast

from pydantic import BaseModel

from pyarvo.contracts.version import ORCHESTRATOR_CONTRACT, EventSchema, VersionedArvoContract
from pyarvo.errors import InvalidContract
from pyarvo.events.dataschema import WILDCARD_VERSION, is_version, version_key
from pyarvo.events.names import DOMAIN_RULE, TYPE_RULE, is_domain, is_type_name, plain_text
from pyarvo.events.uri import is_uri

__all__ = [
    "RESERVED_PREFIX",
    "ArvoContract",
    "ContractVersion",
    "SimpleContractVersion",
    "build_contract",
    "check_metadata",
    "check_versions",
    "create_arvo_contract",
    "create_simple_arvo_contract",
    "is_model",
    "is_text",
]

RESERVED_PREFIX = "arvo.orc"
"""Types that begin like this are reserved for orchestrators. It has no dot at its end: `arvo.orchid.x` is reserved too."""


class ContractVersion(TypedDict):
    """One version, as `create_arvo_contract` takes it."""

    accepts: type[BaseModel]
    emits: Mapping[str, type[BaseModel]]


class SimpleContractVersion(TypedDict):
    """One version, as `create_simple_arvo_contract` takes it."""

    accepts: type[BaseModel]
    emits: type[BaseModel]


@dataclass(frozen=True, kw_only=True, eq=False)
class ArvoContract:
    """
    What a handler accepts and emits. Versions are isolated: they need have nothing in common.

    Attributes:
        uri: Encoded URI, not empty; names the contract.

        type: Event type that the handler accepts.

        versions: The versions, read-only, as they were given.

        description: For people.

        metadata: Anything, read-only.

        domain: Domain of the contract, or None.
    """

    uri: str
    type: str
    versions: Mapping[str, VersionedArvoContract]
    description: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    domain: str | None = None

    @cached_property
    def system_error(self) -> EventSchema:
        """The system error event, the same in every version."""
        return next(iter(self.versions.values())).system_error

    @cached_property
    def is_orchestrator(self) -> bool:
        """Whether `create_arvo_orchestrator_contract` made it."""
        return self.metadata.get("contractType") == ORCHESTRATOR_CONTRACT

    def version(self, version: str) -> VersionedArvoContract:
        """
        Look up one version.

        Args:
            version: A version, or "latest" or "any" (the highest), or "oldest".

        Raises:
            InvalidContract: There is no such version.
        """
        if version in ("latest", "any"):
            return self.versions[max(self.versions, key=version_key)]
        if version == "oldest":
            return self.versions[min(self.versions, key=version_key)]
        found = self.versions.get(version) if isinstance(version, str) else None  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
        if found is None:
            known = ", ".join(self.versions)
            raise InvalidContract("versions", f"{self.uri} has no version {version!r}, but {known}")
        return found

    def to_json_schema(self) -> dict[str, Any]:
        """Return the contract as JSON, its models as JSON Schema."""
        shared = ("uri", "description")
        return {
            "uri": self.uri,
            "domain": self.domain,
            "description": self.description,
            "metadata": dict(self.metadata),
            "versions": [
                {key: value for key, value in version.to_json_schema().items() if key not in shared}
                for version in self.versions.values()
            ],
        }


def create_arvo_contract(
    *,
    uri: str,
    type: str,
    versions: Mapping[str, ContractVersion],
    description: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    domain: str | None = None,
) -> ArvoContract:
    """
    Make a contract.

    Args:
        uri: Encoded URI, not empty.

        type: Event type that the handler accepts: three segments or more, not beginning with `arvo.orc`.

        versions: At least one, by version number; "0.0.0" is reserved. `accepts` is a model, `emits` maps event
            types, under the same rule as *type*, to models.

        description: For people.

        metadata: Anything.

        domain: Lower-case letters, digits, dots.

    Raises:
        InvalidContract: A part breaks its rule.
    """
    _refuse_reserved("type", type)
    if check_metadata(metadata).get("contractType") == ORCHESTRATOR_CONTRACT:
        raise InvalidContract(
            "metadata.contractType",
            f"{ORCHESTRATOR_CONTRACT!r} is set by create_arvo_orchestrator_contract only",
        )
    check_versions(versions, "accepts", "emits")
    for version, parts in versions.items():
        if not isinstance(parts["emits"], Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
            raise InvalidContract(f"versions.{version}.emits", "must map event types to models")
        for emit in parts["emits"]:
            _refuse_reserved(f"versions.{version}.emits.{emit}", emit)
    return build_contract(
        uri=uri, type=type, versions=versions, description=description, metadata=metadata, domain=domain
    )


def create_simple_arvo_contract(
    *,
    uri: str,
    type: str,
    versions: Mapping[str, SimpleContractVersion],
    description: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    domain: str | None = None,
) -> ArvoContract:
    """
    Make a contract of one answer: it accepts `com.<type>` and emits `evt.<type>.success`.

    Args:
        uri: Encoded URI, not empty.

        type: Two segments or more.

        versions: At least one, by version number: models for `accepts` and `emits`.

        description: For people.

        metadata: Anything; `contractType` and `rootType` are added.

        domain: Lower-case letters, digits, dots.

    Raises:
        InvalidContract: A part breaks its rule.
    """
    if not is_text(type):
        raise InvalidContract("type", f"{type!r} {TYPE_RULE}")
    type = plain_text(type)
    check_versions(versions, "accepts", "emits")
    return create_arvo_contract(
        uri=uri,
        type=f"com.{type}",
        versions={
            version: {"accepts": parts["accepts"], "emits": {f"evt.{type}.success": parts["emits"]}}
            for version, parts in versions.items()
        },
        description=description,
        metadata={**check_metadata(metadata), "contractType": "SimpleArvoContract", "rootType": type},
        domain=domain,
    )


def check_versions(versions: object, *parts: str) -> None:
    """
    Check the shape in which versions are given: mappings that hold *parts*, by version.

    Raises:
        InvalidContract: They have another shape.
    """
    if not isinstance(versions, Mapping):
        raise InvalidContract("versions", "must map versions to their parts")
    for version, given in cast("Mapping[object, object]", versions).items():
        if not isinstance(version, str):
            raise InvalidContract("versions", f"{version!r} must be a version of the form 1.2.3")
        if not isinstance(given, Mapping):
            raise InvalidContract(f"versions.{version}", f"must be a mapping with {' and '.join(parts)}")
        for part in parts:
            if part not in given:
                raise InvalidContract(f"versions.{version}.{part}", "is missing")


def check_metadata(metadata: object) -> dict[str, Any]:
    """
    A copy of *metadata*; empty for None.

    Raises:
        InvalidContract: It is not a mapping whose keys are text.
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping) or not all(map(is_text, cast("Mapping[object, object]", metadata))):
        raise InvalidContract("metadata", "must be a mapping whose keys are text")
    return dict(cast("Mapping[str, Any]", metadata))


def is_text(value: object) -> bool:
    """Whether *value* is text: callers are not all typed."""
    return isinstance(value, str)


def build_contract(
    *,
    uri: str,
    type: str,
    versions: Mapping[str, ContractVersion],
    description: str | None,
    metadata: Mapping[str, Any] | None,
    domain: str | None,
) -> ArvoContract:
    """
    Check the rules that every kind of contract shares, and make it.

    Raises:
        InvalidContract: A part breaks its rule.
    """
    if not (is_text(uri) and uri and is_uri(uri)):
        raise InvalidContract("uri", "must be an encoded URI, not empty")
    if domain is not None and not (is_text(domain) and is_domain(domain)):
        raise InvalidContract("domain", DOMAIN_RULE)
    if not (is_text(type) and is_type_name(type)):
        raise InvalidContract("type", f"{type!r} {TYPE_RULE}")
    if description is not None and not is_text(description):
        raise InvalidContract("description", "must be text")
    if not versions:
        raise InvalidContract("versions", "must hold at least one")
    uri, type, domain = plain_text(uri), plain_text(type), plain_text(domain)
    frozen = MappingProxyType(check_metadata(metadata))
    built: dict[str, VersionedArvoContract] = {}
    for given, parts in versions.items():
        _check_version(given, parts)
        version = plain_text(given)
        built[version] = VersionedArvoContract(
            uri=uri,
            version=version,
            accepts=EventSchema(type, parts["accepts"]),
            emits=MappingProxyType({plain_text(emit): model for emit, model in parts["emits"].items()}),
            description=description,
            metadata=frozen,
            domain=domain,
        )
    return ArvoContract(
        uri=uri,
        type=type,
        versions=MappingProxyType(built),
        description=description,
        metadata=frozen,
        domain=domain,
    )


def _check_version(version: str, parts: ContractVersion) -> None:
    if not is_version(version):
        raise InvalidContract("versions", f"{version!r} must be a version of the form 1.2.3")
    if version == WILDCARD_VERSION:
        raise InvalidContract(
            "versions", f"{WILDCARD_VERSION} means any version and cannot be a version of its own"
        )
    _check_model(f"versions.{version}.accepts", parts["accepts"])
    for emit, model in parts["emits"].items():
        field = f"versions.{version}.emits.{emit}"
        if not (is_text(emit) and is_type_name(emit)):
            raise InvalidContract(field, TYPE_RULE)
        _check_model(field, model)


def is_model(model: object) -> bool:
    """Whether *model* is a pydantic model class; BaseModel itself is none, pydantic makes nothing of it."""
    return isinstance(model, type) and issubclass(model, BaseModel) and model is not BaseModel


def _check_model(field: str, model: object) -> None:
    if not is_model(model):
        raise InvalidContract(field, "must be a class derived from pydantic's BaseModel")


def _refuse_reserved(field: str, type: str) -> None:
    if is_text(type) and type.startswith(RESERVED_PREFIX):
        raise InvalidContract(
            field, f"{type!r} begins with {RESERVED_PREFIX!r}; use create_arvo_orchestrator_contract"
        )
