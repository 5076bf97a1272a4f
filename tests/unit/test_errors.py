"""The error tree: what violations look like, that errors can be copied and sent, and that the drawn tree is the real one."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from typing import Any

import pytest

from pyarvo import errors
from pyarvo.errors import (
    ArvoError,
    ConfigViolation,
    ContractViolation,
    ExecutionViolation,
    InvalidMachine,
    InvalidOption,
    InvalidSnapshot,
    MemoryFault,
    TransactionCause,
    TransactionViolation,
    ViolationError,
    WriteConflict,
    is_violation_error,
)

CLASSES: dict[str, type[ArvoError]] = {
    name: found
    for name, found in vars(errors).items()
    if inspect.isclass(found) and issubclass(found, ArvoError)
}


@pytest.mark.parametrize(
    ("error", "type"),
    [
        (ContractViolation("m", metadata={"a": 1}), "Contract"),
        (ConfigViolation("m", metadata={"a": 1}), "Config"),
        (ExecutionViolation("m", metadata={"a": 1}), "Execution"),
        (ViolationError("Mine", "m", metadata={"a": 1}), "Mine"),
    ],
)
def test_a_violation_has_type_name_message_and_metadata(error: ViolationError, type: str) -> None:
    assert error.type == type
    assert error.name == f"ViolationError<{type}>"
    assert str(error) == f"ViolationError<{type}> m"
    assert error.metadata == {"a": 1}


def test_a_violation_without_metadata_has_none() -> None:
    assert ContractViolation("m").metadata is None


def test_metadata_is_the_errors_own() -> None:
    given = {"a": 1}
    error = ContractViolation("m", metadata=given)
    given["a"] = 2
    assert error.metadata == {"a": 1}


@pytest.mark.parametrize("cause", list(TransactionCause))
def test_a_transaction_violation_names_its_cause(cause: TransactionCause) -> None:
    error = TransactionViolation(cause, "m", retry_after_s=0.5)
    assert error.type == "OrchestratorTransaction"
    assert error.cause is cause
    assert error.retry_after_s == 0.5
    assert str(error) == f"ViolationError<OrchestratorTransaction> [{cause.value}] m"
    by_text: Any = cause.value
    assert TransactionViolation(by_text, "m").cause is cause


def test_an_unknown_cause_is_refused() -> None:
    cause: Any = "BAD_LUCK"
    with pytest.raises(ValueError, match="BAD_LUCK"):
        TransactionViolation(cause, "m")


@pytest.mark.parametrize("seconds", [-0.1, float("inf"), float("nan"), "1", True])
def test_a_wait_that_nobody_can_keep_is_refused(seconds: Any) -> None:
    with pytest.raises(InvalidOption, match="retry_after_s"):
        TransactionViolation(TransactionCause.LOCK_UNACQUIRED, "held", retry_after_s=seconds)


def test_causes_are_the_typescript_systems_and_one_more() -> None:
    assert [cause.value for cause in TransactionCause] == [
        "READ_MACHINE_MEMORY_FAILURE",
        "LOCK_MACHINE_MEMORY_FAILURE",
        "WRITE_MACHINE_MEMORY_FAILURE",
        "LOCK_UNACQUIRED",
        "INVALID_SUBJECT",
        "LEASE_LOST",
    ]


class Own(ViolationError):
    """A user's violation."""


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (ContractViolation("m"), True),
        (TransactionViolation(TransactionCause.LEASE_LOST, "m"), True),
        (InvalidMachine("states.a", "m"), True),
        (InvalidSnapshot("value", "m"), True),
        (Own("Own", "m"), True),
        (MemoryFault("m"), False),
        (ValueError("m"), False),
        (ContractViolation, False),
        ({"type": "Contract"}, False),
        (None, False),
    ],
)
def test_the_guard_tells_violations_from_all_else(error: object, is_one: bool) -> None:
    assert is_violation_error(error) is is_one


@pytest.mark.parametrize(
    "error",
    [
        InvalidMachine("states.a", "m"),
        TransactionViolation(TransactionCause.LOCK_UNACQUIRED, "m", metadata={"a": 1}, retry_after_s=0.1),
        WriteConflict(1, 2, id="i", operation="commit"),
    ],
)
def test_errors_can_be_copied_and_sent_to_another_process(error: ArvoError) -> None:
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in inspect.cleandoc(errors.__doc__ or "").splitlines():
        match = re.match(r"^([│├└─ ]*)([A-Z]\w+)", line.removeprefix("    "))
        if match is None or match[2] not in CLASSES:
            continue
        depth = len(match[1]) // 4
        del above[depth:]
        if above:
            drawn[match[2]] = above[-1]
        above.append(match[2])
    real = {name: next(base for base in found.__mro__[1:]).__name__ for name, found in CLASSES.items()}
    del real["ArvoError"]
    assert drawn == real
