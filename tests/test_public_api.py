"""The public surface: flat, sorted, light to import, and the names that the documentation promises."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import pyarvo
from pyarvo import brokers, contracts, errors, events, handlers, memory, statecharts

ROOMS = (brokers, contracts, errors, events, handlers, memory, statecharts)

PROMISED = """
ArvoDomain ArvoEvent ArvoEventHandler ArvoOrchestrationSubject ArvoOrchestrator ArvoResumable ContractViolation
ConfigViolation ExecutionViolation TransactionViolation Lease LeasedMachineMemory MachineMemory
SimpleMachineMemory SqliteMachineMemory SimpleEventBroker Step create_arvo_contract create_arvo_event
create_arvo_event_factory create_arvo_event_handler create_arvo_orchestrator create_arvo_orchestrator_contract
create_arvo_orchestrator_event_factory create_arvo_resumable create_simple_arvo_contract open_memory
setup_arvo_machine ArvoError InvalidRecord MemoryUnavailable WriteOutcomeUnknown NotApplied LeaseLost WriteConflict
EventConsumed RecordCorrupt RecordTooLarge MemoryClosed UnsupportedByBackend SchemaTooNew
""".split()


def test_flat_names_are_sorted_and_there() -> None:
    assert pyarvo.__all__ == sorted(pyarvo.__all__)
    assert not [name for name in pyarvo.__all__ if not hasattr(pyarvo, name)]
    assert not set(PROMISED) - set(pyarvo.__all__)


@pytest.mark.parametrize("room", ROOMS, ids=[room.__name__ for room in ROOMS])
def test_each_room_lists_what_it_offers(room: ModuleType) -> None:
    names: list[str] = list(room.__all__)
    assert sorted(names) == sorted(set(names))
    assert not [name for name in names if not hasattr(room, name)]


def test_errors_have_one_root() -> None:
    kinds = [
        getattr(errors, name) for name in errors.__all__ if name[0].isupper() and name != "TransactionCause"
    ]
    assert [kind for kind in kinds if not issubclass(kind, pyarvo.ArvoError)] == []


def test_importing_loads_no_driver_and_no_face() -> None:
    code = "import sys, pyarvo; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {
        "typer",
        "rich",
        "click",
        "redis",
        "asyncpg",
        "nats",
        "cryptography",
        "zstandard",
        "starlette",
        "pytest",
    }
    assert "pyarvo" in loaded
    assert not heavy & set(loaded)


def test_the_package_is_typed_and_has_one_version() -> None:
    from importlib.metadata import version
    from importlib.resources import files

    assert files("pyarvo").joinpath("py.typed").is_file()
    assert pyarvo.__version__ == version("pyarvo")
