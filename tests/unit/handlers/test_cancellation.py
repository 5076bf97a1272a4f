"""Cancelled callers and lost leases: no half state, and the lease is always given up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pyarvo.errors import (
    ContractViolation,
    LeaseLost,
    MemoryUnavailable,
    TransactionCause,
    TransactionViolation,
)
from pyarvo.handlers import (
    ArvoResumable,
    Outcome,
    ResumableCall,
    ResumableResult,
    create_arvo_event_handler,
    create_arvo_resumable,
)
from pyarvo.testing.clock import VirtualClock


async def job(call: ResumableCall) -> ResumableResult:
    await asyncio.sleep(0)
    if call.input is not None and call.input.data["n"] < 0:
        raise ContractViolation("no negative numbers")
    if call.input is not None and call.input.data["n"] == 0:
        raise ValueError("zero")
    await asyncio.sleep(0)
    return {"services": [{"type": "com.calc.add", "data": {"a": 1}}]}


def resumable(world: Any, memory: Any, function: Any = job) -> ArvoResumable:
    return create_arvo_resumable(contracts=world.contracts, memory=memory, handler={"1.0.0": function})


async def cancelled_after(ticks: int, execution: asyncio.Task[Any]) -> bool:
    """Let the task take some steps, cancel it, and say whether it was cancelled before its end."""
    for _ in range(ticks):
        await asyncio.sleep(0)
    execution.cancel()
    try:
        await execution
    except asyncio.CancelledError:
        return True
    except (ContractViolation, ValueError):
        return False
    return False


@pytest.mark.parametrize(
    ("n", "types"),
    [(1, ["com.calc.add"]), (0, ["sys.arvo.orc.job.error"]), (-1, None)],
    ids=["success", "failure", "violation"],
)
async def test_a_cancellation_at_any_point_leaves_all_or_nothing(
    world: Any, memory: Any, n: int, types: list[str] | None
) -> None:
    memory.pauses = True
    handler = resumable(world, memory)
    for ticks in range(100):
        subject = world.subject(f"exec-{ticks}")
        event = world.init(n, subject=subject)
        cancelled = await cancelled_after(ticks, asyncio.create_task(handler.execute(event)))
        assert len(asyncio.all_tasks()) == 1, "nothing goes on behind a cancelled execution"
        assert await memory.is_free(subject), f"the lease outlived a cancellation after {ticks} steps"
        record = await memory.read(subject)
        steps = await memory.inner.journal(subject)
        assert (record is None) == (len(steps) == 0)
        if types is None:
            assert record is None
        else:
            again = await handler.execute(event)
            assert [event.type for event in again.events] == types
            assert (again.outcome is Outcome.REPLAYED) == (record is not None)
        if not cancelled:
            assert ticks >= 6, "the execution was to suspend more often than this"
            return
    pytest.fail("the execution never ended uncancelled")


async def test_a_cancellation_during_an_early_answer_still_releases(world: Any, memory: Any) -> None:
    memory.pauses = True
    handler = resumable(world, memory)
    for ticks in range(100):
        subject = world.subject(f"exec-{ticks}")
        execution = asyncio.create_task(handler.execute(world.answer(1, subject=subject)))
        cancelled = await cancelled_after(ticks, execution)
        assert len(asyncio.all_tasks()) == 1, "nothing goes on behind a cancelled execution"
        assert await memory.is_free(subject)
        if not cancelled:
            assert ticks >= 3
            return
    pytest.fail("the execution never ended uncancelled")


class Waiting:
    """A function that waits for ever, and says when it began and how it ended."""

    def __init__(self, *, swallows: bool = False, raises: Exception | None = None) -> None:
        self.began = asyncio.Event()
        self.go_on = asyncio.Event()
        self.cancelled = False
        self._swallows = swallows
        self._raises = raises

    async def __call__(self, call: ResumableCall) -> ResumableResult | None:
        self.began.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            if self._raises is not None:
                raise self._raises from None
            if not self._swallows:
                raise
        return {"services": [{"type": "com.calc.add", "data": {"a": 1}}]}


@pytest.fixture
def clock(pyarvo_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    """Virtual time, for leases too as their holder sees them."""
    monkeypatch.setattr("pyarvo.memory.contract.monotonic", lambda: pyarvo_clock.elapsed_s)
    return pyarvo_clock


@pytest.mark.parametrize("ending", ["obeys", "swallows", "raises"])
async def test_a_lost_lease_cancels_the_function_at_once(
    world: Any, memory: Any, clock: VirtualClock, ending: str
) -> None:
    memory.ttl_s = 60.0
    lost = LeaseLost("taken over", id="x", operation="renew")
    memory.faults["renew"] = lost
    function = Waiting(
        swallows=ending == "swallows", raises=OSError("on the way out") if ending == "raises" else None
    )
    with pytest.raises(TransactionViolation) as violation:
        await resumable(world, memory, function).execute(world.init())
    assert violation.value.cause is TransactionCause.LEASE_LOST
    assert violation.value.__cause__ is lost
    assert function.cancelled
    assert memory.calls == ["acquire", "renew", "release"]
    assert clock.elapsed_s == pytest.approx(20.0)  # at the first renewal, not at the end of the lease
    assert await memory.read(world.subject()) is None


async def test_a_step_leaves_no_timer_behind(
    world: Any, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []
    call_later = loop.call_later

    def noting(delay: float, callback: Any, *args: Any) -> asyncio.TimerHandle:
        timers.append(call_later(delay, callback, *args))
        return timers[-1]

    monkeypatch.setattr(loop, "call_later", noting)
    await resumable(world, memory).execute(world.init())
    assert len(timers) == 1
    assert timers[0].cancelled()


async def test_a_lease_that_cannot_be_renewed_in_time_is_lost(
    world: Any, memory: Any, clock: VirtualClock
) -> None:
    memory.ttl_s = 60.0
    memory.faults["renew"] = gone = MemoryUnavailable("gone", id="x", operation="renew")
    function = Waiting()
    with pytest.raises(TransactionViolation) as violation:
        await resumable(world, memory, function).execute(world.init())
    assert violation.value.cause is TransactionCause.LEASE_LOST
    assert violation.value.__cause__ is gone
    assert memory.calls.count("renew") >= 2
    assert memory.calls[-1] == "release"
    assert clock.elapsed_s == pytest.approx(60.0)


async def test_a_renewal_that_hangs_does_not_save_the_lease(
    world: Any, memory: Any, clock: VirtualClock
) -> None:
    memory.ttl_s = 60.0
    hanging = asyncio.Event()

    async def renew(lease: Any, *, ttl_s: float | None = None) -> None:
        await hanging.wait()

    memory.renew = renew
    with pytest.raises(TransactionViolation) as violation:
        await resumable(world, memory, Waiting()).execute(world.init())
    assert violation.value.cause is TransactionCause.LEASE_LOST
    assert clock.elapsed_s == pytest.approx(60.0)
    assert len(asyncio.all_tasks()) == 1, "the renewal is stopped"


async def test_a_renewed_lease_lets_the_function_go_on(world: Any, memory: Any, clock: VirtualClock) -> None:
    memory.ttl_s = 60.0
    function = Waiting()
    execution = asyncio.create_task(resumable(world, memory, function).execute(world.init()))
    await function.began.wait()
    await memory.renewed.wait()
    assert clock.elapsed_s == pytest.approx(20.0)
    function.go_on.set()
    result = await execution
    assert result.outcome is Outcome.RAN
    assert memory.calls[0] == "acquire"
    assert memory.calls[-1] == "commit"
    assert "renew" in memory.calls
    assert len(asyncio.all_tasks()) == 1, "the renewal is stopped before the commit"


async def test_a_renewal_that_is_due_when_the_function_ends_is_not_begun(
    world: Any, memory: Any, clock: VirtualClock
) -> None:
    memory.ttl_s = 60.0

    async def holds_the_loop_up(call: ResumableCall) -> ResumableResult:
        await memory.renewed.wait()
        clock.advance(30.0)
        return {"services": [{"type": "com.calc.add", "data": {"a": 1}}]}

    await resumable(world, memory, holds_the_loop_up).execute(world.init())
    assert memory.calls == ["acquire", "renew", "commit"]
    assert len(asyncio.all_tasks()) == 1


async def test_a_cancellation_while_the_renewal_is_stopped_waits_for_its_end(
    world: Any, memory: Any, clock: VirtualClock
) -> None:
    memory.ttl_s = 60.0
    function = Waiting()
    renewing, stopping, stopped = asyncio.Event(), asyncio.Event(), False

    async def renew(lease: Any, *, ttl_s: float | None = None) -> None:
        nonlocal stopped
        try:
            renewing.set()
            await asyncio.Event().wait()
        finally:
            stopping.set()
            await asyncio.sleep(1.0)
            stopped = True

    memory.renew = renew
    execution = asyncio.create_task(resumable(world, memory, function).execute(world.init()))
    await renewing.wait()
    function.go_on.set()
    await stopping.wait()
    execution.cancel()
    with pytest.raises(asyncio.CancelledError):
        await execution
    assert stopped
    assert memory.calls == ["acquire", "release"]
    assert len(asyncio.all_tasks()) == 1


async def test_the_callers_cancellation_stays_the_callers(world: Any, memory: Any) -> None:
    function = Waiting()
    execution = asyncio.create_task(resumable(world, memory, function).execute(world.init()))
    await function.began.wait()
    execution.cancel()
    with pytest.raises(asyncio.CancelledError):
        await execution
    assert function.cancelled
    assert memory.calls == ["acquire", "release"]
    assert await memory.is_free(world.subject())


async def test_the_functions_own_timeout_is_its_own_error(world: Any, memory: Any) -> None:
    async def slow(call: ResumableCall) -> None:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    result = await resumable(world, memory, slow).execute(world.init())
    assert result.outcome is Outcome.FAILED
    assert result.events[0].data["errorName"] == "TimeoutError"


async def test_a_callers_timeout_is_the_callers(world: Any, memory: Any) -> None:
    function = Waiting()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await resumable(world, memory, function).execute(world.init())
    assert await memory.is_free(world.subject())
    assert await memory.read(world.subject()) is None


async def cancels_itself(call: Any) -> None:
    waiting = asyncio.ensure_future(asyncio.Event().wait())
    waiting.cancel()
    await waiting


async def test_what_the_function_cancelled_itself_is_its_own_error(world: Any, memory: Any) -> None:
    result = await resumable(world, memory, cancels_itself).execute(world.init())
    assert (result.outcome, result.events[0].data["errorName"]) == (Outcome.FAILED, "CancelledError")
    assert await memory.is_free(world.subject())


async def test_so_it_is_in_a_stateless_handler(world: Any) -> None:
    handler = create_arvo_event_handler(
        contract=world.add, executionunits=1, handler={"1.0.0": cancels_itself}
    )
    result = await handler.execute(world.request())
    assert (result.outcome, result.events[0].data["errorName"]) == (Outcome.FAILED, "CancelledError")


async def test_a_stateless_handler_is_cancelled_by_its_caller(world: Any) -> None:
    function = Waiting()
    waiting: Any = function
    handler = create_arvo_event_handler(contract=world.add, executionunits=1, handler={"1.0.0": waiting})
    execution = asyncio.create_task(handler.execute(world.request()))
    await function.began.wait()
    execution.cancel()
    with pytest.raises(asyncio.CancelledError):
        await execution
    assert function.cancelled
