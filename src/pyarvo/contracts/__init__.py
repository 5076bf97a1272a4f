"""Contracts: what an event may hold."""

from pyarvo.contracts.contract import (
    ArvoContract,
    ContractVersion,
    SimpleContractVersion,
    create_arvo_contract,
    create_simple_arvo_contract,
)
from pyarvo.contracts.factory import (
    ArvoEventFactory,
    ArvoOrchestratorEventFactory,
    EventData,
    EventFields,
    create_arvo_event_factory,
    create_arvo_orchestrator_event_factory,
)
from pyarvo.contracts.orchestrator import (
    PARENT_SUBJECT,
    OrchestratorContractVersion,
    create_arvo_orchestrator_contract,
)
from pyarvo.contracts.system_error import SystemErrorData, create_arvo_error
from pyarvo.contracts.version import EventSchema, VersionedArvoContract

__all__ = [
    "PARENT_SUBJECT",
    "ArvoContract",
    "ArvoEventFactory",
    "ArvoOrchestratorEventFactory",
    "ContractVersion",
    "EventData",
    "EventFields",
    "EventSchema",
    "OrchestratorContractVersion",
    "SimpleContractVersion",
    "SystemErrorData",
    "VersionedArvoContract",
    "create_arvo_contract",
    "create_arvo_error",
    "create_arvo_event_factory",
    "create_arvo_orchestrator_contract",
    "create_arvo_orchestrator_event_factory",
    "create_simple_arvo_contract",
]
