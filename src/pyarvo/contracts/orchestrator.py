"""Contracts of orchestrators: started by `arvo.orc.<name>`, completed by `arvo.orc.<name>.done`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypedDict

from pydantic import BaseModel, Field, RootModel, create_model

from pyarvo.contracts.contract import (
    RESERVED_PREFIX,
    ArvoContract,
    ContractVersion,
    build_contract,
    check_metadata,
    check_versions,
    is_model,
    is_text,
)
from pyarvo.contracts.version import ORCHESTRATOR_CONTRACT
from pyarvo.errors import InvalidContract
from pyarvo.events.names import DOMAIN_RULE, is_domain, plain_text

__all__ = ["PARENT_SUBJECT", "OrchestratorContractVersion", "create_arvo_orchestrator_contract"]

PARENT_SUBJECT: Final = "parentSubject$$"
"""Key of the parent's subject in the data of an init event; required, null for a root."""


class OrchestratorContractVersion(TypedDict):
    """One version, as `create_arvo_orchestrator_contract` takes it."""

    init: type[BaseModel]
    complete: type[BaseModel]


def create_arvo_orchestrator_contract(
    *,
    uri: str,
    name: str,
    versions: Mapping[str, OrchestratorContractVersion],
    description: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    domain: str | None = None,
) -> ArvoContract:
    """
    Make the contract of an orchestrator.

    Args:
        uri: Encoded URI, not empty.

        name: Lower-case letters, digits, dots; the types are made of it.

        versions: At least one, by version number: models for `init` and `complete`. The init model gets the
            field `parent_subject` with the alias `parentSubject$$`, unless it has that alias already.

        description: For people.

        metadata: Anything; `contractType`, `rootType`, `initEventType` and `completeEventType` are added.

        domain: Lower-case letters, digits, dots.

    Raises:
        InvalidContract: A part breaks its rule.
    """
    if not (is_text(name) and is_domain(name)):
        raise InvalidContract("name", DOMAIN_RULE)
    name = plain_text(name)
    check_versions(versions, "init", "complete")
    init_type = f"{RESERVED_PREFIX}.{name}"
    complete_type = f"{init_type}.done"
    built: dict[str, ContractVersion] = {
        version: {
            "accepts": _with_parent_subject(f"versions.{version}.init", parts["init"]),
            "emits": {complete_type: parts["complete"]},
        }
        for version, parts in versions.items()
    }
    return build_contract(
        uri=uri,
        type=init_type,
        versions=built,
        description=description,
        metadata={
            **check_metadata(metadata),
            "contractType": ORCHESTRATOR_CONTRACT,
            "rootType": name,
            "initEventType": init_type,
            "completeEventType": complete_type,
        },
        domain=domain,
    )


class InitData(BaseModel):
    """What the data of every init event holds; init models that do not derive from it are made to."""

    parent_subject: Annotated[str, Field(min_length=1)] | None = Field(alias=PARENT_SUBJECT)


def _with_parent_subject(where: str, init: type[BaseModel]) -> type[BaseModel]:
    if not is_model(init) or issubclass(init, RootModel):
        raise InvalidContract(where, "must be a class derived from pydantic's BaseModel, with fields")
    if any(field.alias == PARENT_SUBJECT for field in init.model_fields.values()):
        return init
    if "parent_subject" in init.model_fields:
        raise InvalidContract(where, f"its field 'parent_subject' needs the alias {PARENT_SUBJECT!r}")
    return create_model(
        init.__name__, __base__=(init, InitData), __module__=init.__module__, __doc__=init.__doc__
    )
