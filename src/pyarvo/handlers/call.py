"""What user functions are called with, and the check that they can be."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar, cast

import msgspec

from pyarvo.contracts import ArvoContract, VersionedArvoContract
from pyarvo.errors import ConfigViolation
from pyarvo.handlers.received import ReceivedEvent

__all__ = [
    "CallContracts",
    "CallDomain",
    "HandlerCall",
    "LazyMapping",
    "ResumableCall",
    "check_contract",
    "check_functions",
]

V = TypeVar("V")


class CallDomain(msgspec.Struct, frozen=True):
    """
    Domains that user code may want to know.

    Attributes:
        event: Domain of the consumed event.

        self: Domain of the handler's own contract.
    """

    event: str | None
    self: str | None


class CallContracts(msgspec.Struct, frozen=True):
    """
    Contracts of the version that runs.

    Attributes:
        self: The resumable's own.

        services: Those of its services, by the names they were given.
    """

    self: VersionedArvoContract
    services: Mapping[str, VersionedArvoContract]


class HandlerCall(msgspec.Struct, frozen=True):
    """
    What a stateless handler's function is called with.

    Attributes:
        event: The consumed event: `.data` checked, defaults applied; `.parsed` the pydantic model.

        source: Source of the handler.

        contract: The version of the contract that the event is of.

        domain: Domains of the event and of the contract.
    """

    event: ReceivedEvent
    source: str
    contract: VersionedArvoContract
    domain: CallDomain


class ResumableCall(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a resumable's function is called with. All of it is the function's own: changing it changes no record.

    Attributes:
        input: The init event, when that is what came; else None.

        service: The answer of a service, when that is what came; else None.

        context: What the function returned as context last; None at first.

        metadata: The whole record as it was; None at first.

        collected_events: The answers that came so far, this one among them, by event type in the order of the
            requests. Answers to requests of this workflow, each once.

        domain: Domains of the event and of the contract.

        contracts: Contracts of the version that runs.
    """

    input: ReceivedEvent | None
    service: ReceivedEvent | None
    context: dict[str, Any] | None
    metadata: Mapping[str, Any] | None
    collected_events: Mapping[str, list[ReceivedEvent]]
    domain: CallDomain
    contracts: CallContracts


class LazyMapping(Mapping[str, V]):
    """A mapping that is made when somebody looks into it."""

    def __init__(self, make: Callable[[], Mapping[str, V]]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> Mapping[str, V]:
        return self._make()

    def __getitem__(self, key: str) -> V:
        return self._made[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)

    def __repr__(self) -> str:
        return repr(self._made)


def check_contract(contract: object, option: str) -> None:
    """
    Check that *contract* is a whole contract, not one version of it.

    Raises:
        ConfigViolation: It is not.
    """
    if not isinstance(contract, ArvoContract):
        raise ConfigViolation(f"{option}: must be a contract with all its versions")


def check_functions(handler: object, contract: ArvoContract) -> None:
    """
    Check that there is at least one function, and that each is async and belongs to a version.

    Raises:
        ConfigViolation: One is not, or there is none.
    """
    if not isinstance(handler, Mapping) or not handler:
        raise ConfigViolation("handler: must map versions to async functions, at least one")
    for version, function in cast("Mapping[object, object]", handler).items():
        if version not in contract.versions:
            raise ConfigViolation(f"handler: {contract.type} has no version {version!r}")
        called = getattr(type(function), "__call__", None)  # noqa: B004 - an object may have an async __call__
        if not (inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)):
            raise ConfigViolation(f"handler: the function of version {version} must be async")
