"""Machines for Arvo: a definition together with the contracts of its orchestrator and of the services it calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypedDict, cast

from pydantic import BaseModel, ValidationError

from pyarvo.contracts import VersionedArvoContract
from pyarvo.contracts.contract import is_model
from pyarvo.errors import InvalidContext, InvalidMachine
from pyarvo.statecharts.compile import Machine
from pyarvo.statecharts.definition import at
from pyarvo.statecharts.diagram import to_dot, to_mermaid, to_text
from pyarvo.statecharts.fingerprint import definition_hash
from pyarvo.statecharts.forms import ActionForm, GuardForm, MachineForm

__all__ = ["ArvoMachine", "ArvoMachineSetup", "MachineContracts", "SetupContracts", "setup_arvo_machine"]


class SetupContracts(TypedDict):
    """
    Contracts as they are given to `setup_arvo_machine`.

    Attributes:
        self: A version of the orchestrator's own contract.

        services: Versions of the contracts of the services, by names of your choice.
    """

    self: VersionedArvoContract
    services: Mapping[str, VersionedArvoContract]


@dataclass(frozen=True, slots=True)
class MachineContracts:
    """
    The contracts of a machine.

    Attributes:
        self: The orchestrator's own: what starts it and what it completes with.

        services: Those of the services it calls, by the names that the set-up gave them; read-only.
    """

    self: VersionedArvoContract
    services: Mapping[str, VersionedArvoContract]


@dataclass(frozen=True, eq=False)
class ArvoMachine:
    """
    A machine that an orchestrator can run.

    Attributes:
        machine: The compiled definition, for `step`.

        contracts: Its contracts.

        definition_hash: SHA-256 of the definition, in hexadecimal; see `pyarvo.statecharts.fingerprint`.
    """

    machine: Machine
    contracts: MachineContracts
    definition_hash: str

    @property
    def id(self) -> str:
        """`id` of the definition, or else the source."""
        return self.machine.id

    @property
    def version(self) -> str:
        """Version of its own contract."""
        return self.contracts.self.version

    @property
    def source(self) -> str:
        """Type of the event that starts it; the `source` of all that it emits."""
        return self.contracts.self.type

    @cached_property
    def requires_resource_locking(self) -> bool:
        """Whether two answers can arrive at once: it has a parallel state, or a service with several answers."""
        parallel = any(state.declared_parallel for state in self.machine.states)
        return parallel or any(len(service.emits) > 1 for service in self.contracts.services.values())

    def to_mermaid(self, snapshot: Mapping[str, Any] | None = None) -> str:
        """The machine as a Mermaid state diagram; the active states of *snapshot* are marked."""
        return to_mermaid(self.machine, snapshot)

    def to_dot(self, snapshot: Mapping[str, Any] | None = None) -> str:
        """The machine as a Graphviz graph; the active states of *snapshot* are marked."""
        return to_dot(self.machine, snapshot)

    def to_text(self, snapshot: Mapping[str, Any] | None = None) -> str:
        """The machine as an indented text; the active states of *snapshot* are marked."""
        return to_text(self.machine, snapshot)


@dataclass(frozen=True, slots=True)
class ArvoMachineSetup:
    """
    What machines of one orchestrator share; `setup_arvo_machine` makes it.

    Attributes:
        contracts: The contracts.

        context: The model of the machines' context; None: any JSON object.

        actions: Actions by name.

        guards: Guards by name.
    """

    contracts: MachineContracts
    context: type[BaseModel] | None = None
    actions: Mapping[str, Any] = field(default_factory=dict[str, Any])
    guards: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def create_machine(self, config: MachineForm | Mapping[str, Any]) -> ArvoMachine:
        """
        Compile a definition.

        Args:
            config: The definition, in the form of XState v5, without `invoke` and `after`. Its `version`, where it has
                one, is that of the orchestrator's contract.

        Raises:
            InvalidMachine: The definition breaks a rule; the error has the path.
        """
        own = self.contracts.self
        named: Any = config
        if isinstance(config, Mapping) and config.get("id") is None:  # pyright: ignore[reportUnnecessaryIsInstance] - foreign
            named = {**config, "id": own.type}
        machine = Machine(
            named,
            actions=self.actions,
            guards=self.guards,
            source=own.type,
            check_context=None if self.context is None else _checked_by(self.context),
        )
        if machine.version not in (None, own.version):
            raise InvalidMachine(
                "version", f"is {machine.version}, but the contract's version is {own.version}"
            )
        if machine.unreachable:
            raise InvalidMachine(machine.unreachable[0], "no transition leads to this state")
        return ArvoMachine(machine, self.contracts, definition_hash(cast("Mapping[str, Any]", config)))


def setup_arvo_machine(
    *,
    contracts: SetupContracts,
    context: type[BaseModel] | None = None,
    actions: Mapping[str, ActionForm] | None = None,
    guards: Mapping[str, GuardForm] | None = None,
    actors: None = None,
    delays: None = None,
) -> ArvoMachineSetup:
    """
    Say what the machines of an orchestrator are made of.

    Args:
        contracts: `self`, a version of the orchestrator's own contract, and `services`, versions of the contracts of the
            services it calls by names of your choice.

        context: A pydantic model that the context must fit at the end of every step. The machine works on the plain JSON
            object, not on the model: nothing is converted and no defaults are filled in.

        actions: Actions by name: callables `(context, event[, params])`, or `assign(...)`, `emit(...)`, ...

        guards: Guards by name: callables `(context, event[, params])`, or `and_(...)`, `state_in(...)`, ...

        actors: Not available; here so that the refusal has words.

        delays: Not available; here so that the refusal has words.

    Returns:
        The set-up; its `create_machine(config)` compiles definitions.

    Raises:
        InvalidMachine: The contracts do not belong together, or a name is reserved.
    """
    if actors is not None:
        raise InvalidMachine("actors", "machines have no actors; call services by emitting events")
    if delays is not None:
        raise InvalidMachine("delays", "machines have no timers")
    if context is not None and not is_model(context):
        raise InvalidMachine("context", "must be a class derived from pydantic's BaseModel")
    for option, named in (("actions", actions), ("guards", guards)):
        if named is not None and not isinstance(named, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - foreign
            raise InvalidMachine(option, f"must map names to {option}")
    own, services = _check_contracts(contracts)
    setup = ArvoMachineSetup(
        MachineContracts(own, MappingProxyType(services)), context, dict(actions or {}), dict(guards or {})
    )
    Machine({}, actions=setup.actions, guards=setup.guards)  # refuses reserved and malformed names at once
    return setup


def _check_contracts(
    contracts: SetupContracts,
) -> tuple[VersionedArvoContract, dict[str, VersionedArvoContract]]:
    if not isinstance(contracts, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - foreign
        raise InvalidMachine("contracts", "must be a mapping with `self` and `services`")
    given = cast("Mapping[str, Any]", contracts)
    for key in given:
        if key not in ("self", "services"):
            raise InvalidMachine(at("contracts", key), "contracts are `self` and `services`")
    own = given.get("self")
    if not isinstance(own, VersionedArvoContract) or not own.is_orchestrator:
        raise InvalidMachine("contracts.self", "must be a version of an orchestrator contract")
    asked: object = given.get("services")
    if asked is not None and not isinstance(asked, Mapping):
        raise InvalidMachine("contracts.services", "must map names to versions of contracts")
    services: dict[str, VersionedArvoContract] = {}
    uris = {own.uri: "self"}
    for name, service in cast("Mapping[str, object]", asked or {}).items():
        path = at("contracts.services", name)
        if not isinstance(service, VersionedArvoContract):
            raise InvalidMachine(path, f"must be a version of a contract, not {type(service).__name__}")
        if service.uri == own.uri:
            raise InvalidMachine(path, f"a machine cannot be its own service: {own.uri}")
        other = uris.setdefault(service.uri, name)
        if other != name:
            raise InvalidMachine(
                path, f"{service.uri} is the service {other!r} already; one version of each contract"
            )
        services[name] = service
    return own, services


def _checked_by(model: type[BaseModel]) -> Callable[[dict[str, Any]], None]:
    def check(context: dict[str, Any]) -> None:
        try:
            model.model_validate(context)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
            path = "context"
            for key in fault["loc"]:
                path = at(path, key)
            # The one message of pydantic's own that quotes the input.
            quotes = fault["type"] == "union_tag_invalid"
            raise InvalidContext(path, "Unknown tag" if quotes else fault["msg"]) from error

    return check
