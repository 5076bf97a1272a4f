"""Run and settle: one commit a step, replays, and what goes wrong in user code, seen through a resumable."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from pyarvo.errors import (
    ConfigViolation,
    ContractViolation,
    EventConsumed,
    ExecutionViolation,
    LeaseLost,
    MemoryUnavailable,
    TransactionCause,
    TransactionViolation,
    ViolationError,
    WriteConflict,
    WriteOutcomeUnknown,
)
from pyarvo.events import ArvoEvent, event_key
from pyarvo.handlers import ArvoResumable, Outcome, ResumableCall, ResumableResult, create_arvo_resumable
from pyarvo.memory import SimpleMachineMemory, Step

# --- run and settle ------------------------------------------------------------------------------------------------


async def test_a_step_costs_two_round_trips(handler: ArvoResumable, memory: Any, world: Any) -> None:
    result = await handler.execute(world.init())
    assert result.outcome is Outcome.RAN
    assert memory.calls == ["acquire", "commit"]


async def test_the_record_holds_the_last_step(handler: ArvoResumable, memory: Any, world: Any) -> None:
    event = world.init()
    (request,) = (await handler.execute(event)).events
    assert await memory.read(world.subject()) == {
        "executionStatus": "normal",
        "initEventId": "init-1",
        "subject": world.subject(),
        "parentSubject": None,
        "status": "active",
        "state$$": {"n": 3},
        "events": {
            "expected": {request.id: []},
            "consumed": event.to_dict(),
            "produced": [request.to_dict()],
        },
    }
    (step,) = await memory.inner.journal(world.subject())
    assert step.event_key == event_key(event)
    assert step.produced == (request.to_dict(),)


async def test_a_redelivered_event_gets_the_same_events_and_runs_nothing(
    handler: ArvoResumable, memory: Any, job: Any, world: Any
) -> None:
    first = await handler.execute(world.init())
    before = await memory.read(world.subject())
    again = await handler.execute(world.init())
    assert again.outcome is Outcome.REPLAYED
    assert [event.to_json() for event in again.events] == [event.to_json() for event in first.events]
    assert job.runs == 1
    assert await memory.read(world.subject()) == before


async def test_an_old_event_is_replayed_also_when_the_workflow_is_done(
    handler: ArvoResumable, job: Any, world: Any
) -> None:
    first = await handler.execute(world.init())
    done = await handler.execute(world.answer(4, to=first.events[0]))
    assert [event.type for event in done.events] == ["arvo.orc.job.done"]
    assert (await handler.execute(world.init())).events == first.events
    assert (await handler.execute(world.answer(4, to=first.events[0]))).events == done.events
    late = await handler.execute(world.answer(5, to=first.events[0]))
    assert (late.events, late.outcome) == ((), Outcome.INSTANCE_DONE)
    assert job.runs == 2


async def test_a_second_init_under_another_id_changes_nothing(
    handler: ArvoResumable, memory: Any, job: Any, world: Any
) -> None:
    await handler.execute(world.init())
    before = await memory.read(world.subject())
    result = await handler.execute(world.init(9, id="init-2", parent=world.subject("other")))
    assert (result.events, result.outcome) == ((), Outcome.REPLAYED)
    assert await memory.read(world.subject()) == before
    assert job.runs == 1
    assert await memory.is_free(world.subject())


async def test_of_two_deliveries_at_once_one_runs(
    handler: ArvoResumable, memory: Any, job: Any, world: Any
) -> None:
    memory.pauses = True
    one, two = await asyncio.gather(
        handler.execute(world.init()), handler.execute(world.init()), return_exceptions=True
    )
    ran, denied = (one, two) if not isinstance(one, BaseException) else (two, one)
    assert not isinstance(ran, BaseException)
    assert ran.outcome is Outcome.RAN
    assert isinstance(denied, TransactionViolation)
    assert denied.cause is TransactionCause.LOCK_UNACQUIRED
    assert (await handler.execute(world.init())).events == ran.events
    assert job.runs == 1


async def test_a_crash_between_commit_and_publish_loses_nothing(
    handler: ArvoResumable, memory: Any, job: Any, world: Any
) -> None:
    memory.faults["commit after"] = WriteOutcomeUnknown("reply lost", id="x", operation="commit")
    with pytest.raises(TransactionViolation) as violation:
        await handler.execute(world.init())
    assert violation.value.cause is TransactionCause.WRITE_MACHINE_MEMORY_FAILURE
    memory.faults.clear()
    again = await handler.execute(world.init())
    assert again.outcome is Outcome.REPLAYED
    assert [event.type for event in again.events] == ["com.calc.add"]
    assert job.runs == 1


async def test_an_event_that_another_consumed_meanwhile_is_replayed(
    handler: ArvoResumable, memory: Any, world: Any
) -> None:
    produced = world.request(7).to_dict()
    memory.faults["commit"] = EventConsumed(
        Step("key", (produced,), 3), id=world.subject(), operation="commit"
    )
    result = await handler.execute(world.init())
    assert result.outcome is Outcome.REPLAYED
    assert [event.to_dict() for event in result.events] == [produced]
    assert await memory.is_free(world.subject())


@pytest.mark.parametrize(
    "fault",
    [
        LeaseLost("taken", id="x", operation="commit"),
        WriteConflict(1, 2, id="x", operation="commit"),
        MemoryUnavailable("gone", id="x", operation="commit"),
        ConnectionError("a foreign memory"),
    ],
)
async def test_a_commit_that_did_not_happen_emits_nothing(
    handler: ArvoResumable, memory: Any, job: Any, world: Any, fault: Exception
) -> None:
    memory.faults["commit"] = fault
    with pytest.raises(TransactionViolation) as violation:
        await handler.execute(world.init())
    assert violation.value.cause is TransactionCause.WRITE_MACHINE_MEMORY_FAILURE
    assert violation.value.__cause__ is fault
    assert memory.calls == ["acquire", "commit", "release"]
    memory.faults.clear()
    assert (await handler.execute(world.init())).outcome is Outcome.RAN
    assert job.runs == 2


async def test_a_rerun_makes_the_same_ids(handler: ArvoResumable, memory: Any, world: Any) -> None:
    memory.faults["commit"] = MemoryUnavailable("gone", id="x", operation="commit")
    with pytest.raises(TransactionViolation):
        await handler.execute(world.init())
    memory.faults.clear()
    (first,) = (await handler.execute(world.init())).events
    (other,) = (await handler.execute(world.init(subject=world.subject("exec-2")))).events
    assert first.id == _derived(world.init(), "com.calc.add", None, 0)
    assert other.id != first.id


def _derived(consumed: ArvoEvent, type: str, domain: str | None, n: int) -> str:
    """The published rule, told a second time."""
    import json
    import uuid

    namespace = uuid.uuid5(uuid.NAMESPACE_URL, "urn:pyarvo:event-id")
    parts = ["arvo.orc.job", consumed.subject, consumed.source, consumed.id, type, domain, n]
    return str(uuid.uuid5(namespace, json.dumps(parts)))


async def test_a_release_that_fails_hides_nothing(
    handler: ArvoResumable, memory: Any, world: Any, caplog: pytest.LogCaptureFixture
) -> None:
    memory.faults["release"] = ConnectionError("gone too")
    result = await handler.execute(world.answer(1))
    assert result.outcome is Outcome.UNKNOWN_INSTANCE
    assert "its TTL ends it" in caplog.text


# --- what goes wrong in user code ----------------------------------------------------------------------------------


class OwnRule(ViolationError):
    def __init__(self) -> None:
        super().__init__("OwnRule", "not on a Sunday")


@pytest.mark.parametrize(
    "error", [ContractViolation("no"), ConfigViolation("no"), ExecutionViolation("no"), OwnRule()]
)
async def test_a_violation_is_raised_and_nothing_is_written(
    handler: ArvoResumable, memory: Any, job: Any, world: Any, error: ViolationError
) -> None:
    job.error = error
    with pytest.raises(type(error)) as raised:
        await handler.execute(world.init())
    assert raised.value is error
    assert memory.calls == ["acquire", "release"]
    assert await memory.read(world.subject()) is None
    assert await memory.is_free(world.subject())
    job.error = None
    assert (await handler.execute(world.init())).outcome is Outcome.RAN


async def test_any_other_error_is_a_failure_on_record(
    handler: ArvoResumable, memory: Any, job: Any, world: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # a test report cannot carry the half pair of the logged message
    parent = world.subject("parent")
    (request,) = (await handler.execute(world.init(parent=parent, accesscontrol="role:x"))).events
    good = await memory.read(world.subject())
    job.error = ValueError("half of a pair \ud800")
    failing = world.answer(4, to=request, accesscontrol="role:y", traceparent="00-a", tracestate="k=v")
    result = await handler.execute(failing)
    (told,) = result.events
    assert result.outcome is Outcome.FAILED
    assert told.to_dict() == {
        "id": _derived(failing, "sys.arvo.orc.job.error", None, 0),
        "source": "arvo.orc.job",
        "specversion": "1.0",
        "type": "sys.arvo.orc.job.error",
        "subject": parent,
        "datacontenttype": told.datacontenttype,
        "dataschema": "#/orc/job/0.0.0",
        "data": {
            "errorName": "ValueError",
            "errorMessage": "half of a pair \\ud800",
            "errorStack": told.data["errorStack"],
        },
        "time": told.time,
        "to": "com.test.client",
        "accesscontrol": "role:y",
        "redirectto": None,
        "executionunits": 4,
        "traceparent": "00-a",
        "tracestate": "k=v",
        "parentid": "init-1",
        "domain": None,
    }
    assert "Traceback" in told.data["errorStack"]
    record = await memory.read(world.subject())
    assert record == {
        **good,
        "executionStatus": "failure",
        "error": told.data,
        "events": {
            "expected": {request.id: []},
            "consumed": failing.to_dict(),
            "produced": [told.to_dict()],
        },
    }
    assert record["state$$"] == {"n": 3}


async def test_a_failed_workflow_replays_its_failure_and_takes_nothing_else(
    handler: ArvoResumable, memory: Any, job: Any, world: Any
) -> None:
    job.error = ValueError("boom")
    first = await handler.execute(world.init())
    again = await handler.execute(world.init())
    assert again.outcome is Outcome.REPLAYED
    assert [event.to_json() for event in again.events] == [event.to_json() for event in first.events]
    job.error = None
    late = await handler.execute(world.answer(1))
    assert (late.events, late.outcome) == ((), Outcome.INSTANCE_FAILED)
    assert job.runs == 1
    record = await memory.read(world.subject())
    assert record["initEventId"] == "init-1"
    assert record["parentSubject"] is None
    assert await memory.is_free(world.subject())


@pytest.mark.parametrize("when", ["commit", "commit after"])
async def test_a_failure_that_is_not_on_record_is_not_told(
    handler: ArvoResumable, memory: Any, job: Any, world: Any, when: str
) -> None:
    job.error = ValueError("boom")
    memory.faults[when] = WriteOutcomeUnknown("lost", id="x", operation="commit")
    with pytest.raises(TransactionViolation) as violation:
        await handler.execute(world.init())
    assert violation.value.cause is TransactionCause.WRITE_MACHINE_MEMORY_FAILURE
    memory.faults.clear()
    settled = await handler.execute(world.init())
    assert [event.type for event in settled.events] == ["sys.arvo.orc.job.error"]


@pytest.mark.parametrize("operation", ["acquire", "commit"])
async def test_what_a_store_cancelled_itself_is_delivered_again(
    handler: ArvoResumable, memory: Any, world: Any, operation: str
) -> None:
    memory.faults[operation] = asyncio.CancelledError()
    with pytest.raises(TransactionViolation) as violation:
        await handler.execute(world.init())
    assert violation.value.__cause__ is memory.faults.pop(operation)
    assert (await handler.execute(world.init())).outcome is Outcome.RAN


async def test_an_error_that_cannot_say_its_message_is_a_failure_all_the_same(
    handler: ArvoResumable, memory: Any, job: Any, world: Any
) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise AttributeError("detail")

    job.error = Mute()
    result = await handler.execute(world.init())
    assert result.outcome is Outcome.FAILED
    assert result.events[0].data["errorMessage"] == "<no message: Mute.__str__ raised AttributeError>"
    assert (await memory.read(world.subject()))["error"] == result.events[0].data


async def test_an_error_with_a_long_message_is_kept_in_short(
    handler: ArvoResumable, memory: Any, job: Any, world: Any
) -> None:
    job.error = ValueError(f"first words {'x' * 4_000_000} last words")
    result = await handler.execute(world.init())
    assert result.outcome is Outcome.FAILED
    message, stack = (result.events[0].data[field] for field in ("errorMessage", "errorStack"))
    assert len(message) <= 8_000
    assert message.startswith("first words x")
    assert message.endswith("x last words")
    assert "characters left out" in message
    assert len(stack) <= 32_000
    assert stack.startswith("Traceback")
    assert (await memory.read(world.subject()))["error"] == result.events[0].data


async def test_what_ends_the_program_is_no_failure_of_the_workflow(
    handler: ArvoResumable, memory: Any, job: Any, world: Any
) -> None:
    class Stop(BaseException):
        pass

    job.error = Stop()
    with pytest.raises(Stop):
        await handler.execute(world.init())
    assert await memory.read(world.subject()) is None
    assert await memory.is_free(world.subject())


# --- what no memory can keep -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("context", "error"),
    [({"sum": float("nan")}, "InvalidRecord"), ({"text": "x" * 30_000}, "RecordTooLarge")],
    ids=["not JSON", "too large"],
)
async def test_what_no_memory_can_keep_fails_the_workflow_on_record(
    world: Any, context: dict[str, Any], error: str
) -> None:
    async def careless(call: ResumableCall) -> ResumableResult:
        return {"context": context, "services": [{"type": "com.calc.add", "data": {"a": 1}}]}

    memory = SimpleMachineMemory(record_limit=20_000)
    handler = create_arvo_resumable(
        contracts=world.contracts, memory=memory, handler={"1.0.0": careless}, executionunits=4
    )
    # A lean failure record still fits: its events are those of the failure only.
    result = await handler.execute(world.init())
    assert (result.outcome, [event.type for event in result.events]) == (
        Outcome.FAILED,
        ["sys.arvo.orc.job.error"],
    )
    record = await memory.read(world.subject())
    assert record is not None
    assert (record["executionStatus"], record["error"]["errorName"]) == ("failure", error)
    assert (await handler.execute(world.init())).events == result.events
