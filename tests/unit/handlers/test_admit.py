"""Admit: which events reach user code, seen through a resumable."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from pyarvo.errors import (
    ConfigViolation,
    ContractViolation,
    ExecutionViolation,
    MemoryUnavailable,
    RecordCorrupt,
    TransactionCause,
    TransactionViolation,
)
from pyarvo.handlers import ArvoResumable, Outcome

# --- admit: early answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("thing", [None, {"id": "x"}, "text"])
async def test_what_is_no_event_is_refused(handler: ArvoResumable, memory: Any, thing: Any) -> None:
    with pytest.raises(ExecutionViolation, match="ArvoEvent is expected"):
        await handler.execute(thing)
    assert memory.calls == []


@pytest.mark.parametrize("subject", ["plain", "eJw=", "a" * 5000])
async def test_what_is_no_subject_is_refused_without_io(
    handler: ArvoResumable, memory: Any, world: Any, subject: str
) -> None:
    with pytest.raises(ExecutionViolation, match="not an orchestration subject"):
        await handler.execute(world.init(subject=subject))
    assert memory.calls == []


async def test_a_subject_that_inflates_to_too_much_is_refused(
    handler: ArvoResumable, memory: Any, world: Any
) -> None:
    import base64
    import zlib

    bomb = base64.b64encode(zlib.compress(b'{"a":"' + b"x" * 10_000_000 + b'"}')).decode()
    with pytest.raises(ExecutionViolation) as refused:
        await handler.execute(world.init(subject=bomb))
    assert "64" in str(refused.value.__cause__) or "65" in str(refused.value.__cause__)
    assert memory.calls == []


async def test_a_subject_too_long_for_any_memory_is_refused(
    handler: ArvoResumable, job: Any, world: Any
) -> None:
    import random

    noise = {f"k{n}": str(random.Random(n).random()) for n in range(400)}
    with pytest.raises(ExecutionViolation, match="cannot be kept"):
        await handler.execute(world.init(subject=world.subject(meta=noise)))
    assert job.runs == 0


async def test_anothers_subject_is_foreign_and_costs_no_io(
    handler: ArvoResumable, memory: Any, world: Any
) -> None:
    from pyarvo.events import ArvoOrchestrationSubject

    other = ArvoOrchestrationSubject.new(
        orchestrator="arvo.orc.other", version="1.0.0", initiator="com.test.client"
    )
    result = await handler.execute(world.init(subject=other))
    assert (result.events, result.outcome) == ((), Outcome.FOREIGN)
    assert memory.calls == []


async def test_an_answer_without_instance_is_unknown_and_logged(
    handler: ArvoResumable, memory: Any, job: Any, world: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "pyarvo.handlers"):
        result = await handler.execute(world.answer(1))
    assert (result.events, result.outcome) == ((), Outcome.UNKNOWN_INSTANCE)
    assert "no instance" in caplog.text
    assert job.runs == 0
    assert memory.calls == ["acquire", "release"]
    assert await memory.is_free(world.subject())


async def test_a_deleted_instance_is_not_started_again(
    handler: ArvoResumable, memory: Any, job: Any, world: Any
) -> None:
    await handler.execute(world.init())
    assert await memory.inner.delete(world.subject())
    result = await handler.execute(world.init(id="init-2"))
    assert (result.events, result.outcome) == ((), Outcome.DELETED)
    assert job.runs == 1
    assert await memory.is_free(world.subject())


async def test_a_parent_subject_that_no_event_can_have_is_refused(
    handler: ArvoResumable, memory: Any, world: Any
) -> None:
    with pytest.raises(ExecutionViolation, match=r"parentSubject\$\$"):
        await handler.execute(world.init(parent="not a uri"))
    assert memory.calls == []


# --- admit: the memory ---------------------------------------------------------------------------------------------


async def test_a_denied_lease_says_when_to_try_again(
    handler: ArvoResumable, memory: Any, job: Any, world: Any
) -> None:
    held = await memory.inner.acquire(world.subject())
    assert held is not None
    waits: list[list[float]] = []
    for attempt in (1, 2, 3, 50):
        tries: list[float] = []
        for _ in range(20):
            event = world.init()
            with pytest.raises(TransactionViolation) as denied:
                await handler.execute(event, attempt=attempt)
            assert denied.value.cause is TransactionCause.LOCK_UNACQUIRED
            assert (denied.value.metadata or {})["initiatingEvent"] == event.to_dict()
            assert event.subject not in str(denied.value)
            assert denied.value.retry_after_s is not None
            tries.append(denied.value.retry_after_s)
        waits.append(tries)
    assert all(0.05 <= wait <= 0.1 for wait in waits[0])
    assert all(0.25 <= wait <= 0.5 for wait in waits[3])
    assert sum(waits[0]) < sum(waits[1]) < sum(waits[2])
    assert len(set(waits[0])) > 10
    assert job.runs == 0


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (
            MemoryUnavailable("gone", id="x", operation="acquire"),
            TransactionCause.LOCK_MACHINE_MEMORY_FAILURE,
        ),
        (MemoryUnavailable("gone", id="x", operation="read"), TransactionCause.READ_MACHINE_MEMORY_FAILURE),
        (RecordCorrupt("bad", id="x", operation="acquire"), TransactionCause.READ_MACHINE_MEMORY_FAILURE),
        (ConnectionError("a foreign memory"), TransactionCause.LOCK_MACHINE_MEMORY_FAILURE),
    ],
)
async def test_faults_of_acquire_have_their_cause(
    handler: ArvoResumable, memory: Any, world: Any, fault: Exception, cause: TransactionCause
) -> None:
    memory.faults["acquire"] = fault
    with pytest.raises(TransactionViolation) as violation:
        await handler.execute(world.init())
    assert violation.value.cause is cause
    assert violation.value.__cause__ is fault
    assert violation.value.retry_after_s is None
    assert memory.calls == ["acquire"]


# --- validation of what comes in -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"dataschema": None}, "no contract and version"),
        ({"dataschema": "#/orc/job"}, "no contract and version"),
        ({"dataschema": "#/orc/other/1.0.0"}, "is expected"),
        ({"dataschema": "#/orc/job/2.0.0"}, "is expected"),
        ({"data": {"parentSubject$$": None, "n": "x"}}, "does not fit"),
        ({"data": {"n": 1}}, "does not fit"),
        ({"data": {"parentSubject$$": 7, "n": 1}}, "does not fit"),
    ],
)
async def test_an_init_event_that_does_not_fit_is_refused(
    handler: ArvoResumable, memory: Any, world: Any, changed: dict[str, Any], says: str
) -> None:
    with pytest.raises(ContractViolation, match=says):
        await handler.execute(world.init(**changed))
    assert memory.calls == ["acquire", "release"]
    assert await memory.read(world.subject()) is None
    assert await memory.is_free(world.subject())


async def test_the_wildcard_version_passes(handler: ArvoResumable, world: Any) -> None:
    assert (await handler.execute(world.init(dataschema="#/orc/job/0.0.0"))).outcome is Outcome.RAN


async def test_an_answer_of_a_stranger_is_a_config_violation(
    handler: ArvoResumable, memory: Any, world: Any
) -> None:
    await handler.execute(world.init())
    with pytest.raises(ConfigViolation, match=r"evt\.else\.where\.done"):
        await handler.execute(world.answer(1, type="evt.else.where.done"))
    assert await memory.is_free(world.subject())


async def test_a_version_without_function_is_a_config_violation(
    handler: ArvoResumable, memory: Any, world: Any
) -> None:
    subject = world.subject(version="2.0.0")
    with pytest.raises(ConfigViolation, match=r"2\.0\.0"):
        await handler.execute(world.init(subject=subject, dataschema="#/orc/job/2.0.0"))
    assert await memory.is_free(subject)


# --- records that somebody changed by hand -------------------------------------------------------------------------

NO_TEXT: list[Any] = [True, 0, 1.5, "", [], {}, {"a": 1}]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("initEventId", value) for value in [None, *NO_TEXT]),
        *(("parentSubject", value) for value in ["no uri", *NO_TEXT] if value != ""),
        *(("events", value) for value in [None, *NO_TEXT] if not isinstance(value, dict)),
    ],
)
@pytest.mark.parametrize("error", [None, ValueError("boom")])
async def test_a_record_that_somebody_changed_is_a_config_violation_and_stays(
    handler: ArvoResumable, memory: Any, world: Any, job: Any, field: str, value: Any, error: Any
) -> None:
    (request,) = (await handler.execute(world.init())).events
    lease = await memory.inner.acquire(world.subject())
    changed = {**lease.data, field: value}
    await memory.inner.commit(lease, changed)
    job.error = error
    with pytest.raises(ConfigViolation, match=f"changed by hand: its {field}"):
        await handler.execute(world.answer(1, to=request))
    assert await memory.read(world.subject()) == changed
    assert await memory.is_free(world.subject())
