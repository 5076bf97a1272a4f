"""Faults in front of a memory and of a store: what is applied, what is said, and that a seed repeats them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from pyarvo.errors import InvalidOption, LeaseLost, MemoryUnavailable, WriteOutcomeUnknown
from pyarvo.memory import Lease, LeasedMachineMemory, LeasedMemory, MemoryOptions, SimpleMachineMemory, Step
from pyarvo.memory.adapted import leased
from pyarvo.memory.contract import Record
from pyarvo.memory.simple import SimpleBackend
from pyarvo.testing.faults import Fault, FaultKind, FaultyBackend, FaultyMemory, RandomPlan, Script

K = FaultKind


class FourVerbs:
    """A memory as a user would write it."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.locked: set[str] = set()

    async def read(self, id: str) -> Record | None:
        return self.records.get(id)

    async def write(self, id: str, data: Record) -> None:
        self.records[id] = data

    async def lock(self, id: str) -> bool:
        granted = id not in self.locked
        self.locked.add(id)
        return granted

    async def unlock(self, id: str) -> bool:
        self.locked.discard(id)
        return True


def faulty(faults: dict[str, list[Fault | FaultKind | None]]) -> LeasedMachineMemory:
    return leased(FaultyMemory(SimpleMachineMemory(lock_attempts=1), Script(faults)))


async def granted(memory: LeasedMachineMemory, id: str = "a", **options: Any) -> Lease:
    lease = await memory.acquire(id, **options)
    assert lease is not None
    return lease


def test_it_has_leases_exactly_when_the_memory_has_them() -> None:
    assert isinstance(FaultyMemory(SimpleMachineMemory(), Script({})), LeasedMachineMemory)
    assert not isinstance(FaultyMemory(FourVerbs(), Script({})), LeasedMachineMemory)


async def test_without_a_fault_everything_goes_through() -> None:
    memory = FaultyMemory(SimpleMachineMemory(), Script({}))
    assert await memory.lock("a")
    await memory.write("a", {"n": 1})
    assert await memory.read("a") == {"n": 1}
    assert await memory.unlock("a")
    with_leases = leased(memory)
    lease = await granted(with_leases, event_key='["s","1"]', ttl_s=7.0)
    assert (lease.version, lease.ttl_s) == (1, 7.0)
    await with_leases.renew(lease, ttl_s=9.0)
    assert await with_leases.commit(lease, {"n": 2}, step=Step('["s","1"]'), release=False) == 2
    assert await with_leases.release(lease)
    assert [step.event_key for step in await memory.journal("a")][-1] == '["s","1"]'
    assert memory.injected == []


APPLIED = {
    K.ERROR_BEFORE: False,
    K.TIME_OUT: False,
    K.CANCEL_BEFORE: False,
    K.ERROR_AFTER: True,
    K.REPLY_LOST: True,
    K.CANCEL_AFTER: True,
    K.SLOW: True,
}


def said(kind: FaultKind, verb: str) -> type[BaseException] | None:
    """What a verb that reports faults raises."""
    if kind in (K.CANCEL_BEFORE, K.CANCEL_AFTER):
        return asyncio.CancelledError
    if kind is K.SLOW:
        return None
    writes = verb in ("write", "commit") and kind is not K.ERROR_BEFORE
    return WriteOutcomeUnknown if writes else MemoryUnavailable


async def outcome(work: Coroutine[Any, Any, Any]) -> Any:
    """What *work* returns, or the type of what it raises."""
    try:
        return await asyncio.create_task(work)
    except (MemoryUnavailable, WriteOutcomeUnknown) as fault:
        return type(fault) if fault.id == "a" else fault
    except asyncio.CancelledError:
        return asyncio.CancelledError


@pytest.mark.parametrize("kind", FaultKind)
async def test_a_spoiled_write_is_applied_or_not_as_its_kind_says(kind: FaultKind) -> None:
    inner = FourVerbs()
    memory = FaultyMemory(inner, Script({"write": [kind]}))
    assert await outcome(memory.write("a", {"n": 1})) is said(kind, "write")
    assert ("a" in inner.records) is APPLIED[kind]
    assert [(one.verb, one.id, one.fault.kind) for one in memory.injected] == [("write", "a", kind)]


@pytest.mark.parametrize("kind", FaultKind)
async def test_a_spoiled_lock_is_applied_or_not_and_never_looks_denied(kind: FaultKind) -> None:
    inner = FourVerbs()
    answer = await outcome(FaultyMemory(inner, Script({"lock": [kind]})).lock("a"))
    assert answer is (said(kind, "lock") or True)
    assert ("a" in inner.locked) is APPLIED[kind]


@pytest.mark.parametrize("kind", FaultKind)
async def test_a_spoiled_unlock_is_false_and_never_raises_a_fault(kind: FaultKind) -> None:
    inner = FourVerbs()
    memory = FaultyMemory(inner, Script({"unlock": [kind]}))
    assert await memory.lock("a")
    answer = await outcome(memory.unlock("a"))
    is_cancelled = said(kind, "unlock") is asyncio.CancelledError
    assert answer is (asyncio.CancelledError if is_cancelled else kind is K.SLOW)
    assert ("a" not in inner.locked) is APPLIED[kind]


@pytest.mark.parametrize("kind", FaultKind)
async def test_a_spoiled_read_says_unavailable_and_never_unknown(kind: FaultKind) -> None:
    inner = FourVerbs()
    inner.records["a"] = {"n": 1}
    answer = await outcome(FaultyMemory(inner, Script({"read": [kind]})).read("a"))
    assert answer == (said(kind, "read") or {"n": 1})


@pytest.mark.parametrize("kind", FaultKind)
async def test_spoiled_leases(kind: FaultKind) -> None:
    memory = faulty({"acquire": [kind], "renew": [kind], "commit": [kind], "release": [kind]})
    acquired = await outcome(memory.acquire("a"))
    if kind is K.SLOW:
        lease: Lease = acquired
    else:
        assert acquired is said(kind, "acquire")
        if APPLIED[kind]:
            assert await memory.acquire("a") is None  # somebody who never heard of it holds it
            return
        lease = await granted(memory)
    assert await outcome(memory.renew(lease)) is said(kind, "renew")
    committed = await outcome(memory.commit(lease, {"n": 1}, release=False))
    assert committed == (said(kind, "commit") or 1)
    assert await memory.read("a") == ({"n": 1} if APPLIED[kind] else None)
    await outcome(memory.release(lease))
    assert (await memory.acquire("a") is not None) is APPLIED[kind]


async def test_an_unknown_commit_is_settled_by_committing_the_same_again() -> None:
    memory = faulty({"commit": [K.REPLY_LOST]})
    lease = await granted(memory)
    with pytest.raises(WriteOutcomeUnknown, match="no answer"):
        await memory.commit(lease, {"n": 1})
    assert await memory.commit(lease, {"n": 1}) == 1


async def test_an_error_of_the_users_own_comes_out_of_every_verb() -> None:
    own = OSError("disk on fire")
    memory = FaultyMemory(FourVerbs(), Script({"unlock": [None, Fault(K.ERROR_AFTER, error=own)]}))
    assert await memory.lock("a")
    assert await memory.unlock("a")
    with pytest.raises(OSError, match="disk on fire"):
        await memory.unlock("a")


async def test_a_script_says_what_of_it_did_not_happen() -> None:
    script = Script({"read": [None, K.SLOW, None], "write": [K.SLOW]})
    memory = FaultyMemory(FourVerbs(), script)
    assert script.left == {"read": 1, "write": 1}
    for _ in range(3):
        await memory.read("a")
    await memory.write("a", {})
    assert script.left == {}


def played(plan: RandomPlan, verbs: str) -> list[tuple[FaultKind, float] | None]:
    faults = [plan.next(verb, "a") for verb in verbs.split()]
    return [None if fault is None else (fault.kind, fault.delay_s) for fault in faults]


def test_a_seed_repeats_its_faults_whatever_the_other_verbs_do() -> None:
    alone = played(RandomPlan(7, rate=0.5, longest_s=2.0), "commit " * 40)
    mixed = played(RandomPlan(7, rate=0.5, longest_s=2.0), "read commit " * 40)[1::2]
    assert alone == mixed
    assert alone != played(RandomPlan(8, rate=0.5, longest_s=2.0), "commit " * 40)
    happened = [one for one in alone if one is not None]
    assert 10 < len(happened) < 30
    assert all(0.0 <= delay_s <= 2.0 for _, delay_s in happened)
    assert not {kind for kind, _ in happened} & {K.CANCEL_BEFORE, K.CANCEL_AFTER}


def test_a_plan_keeps_to_its_verbs_and_its_number() -> None:
    plan = RandomPlan(1, rate=1.0, kinds=[K.SLOW], verbs=["lock"], most=2)
    assert [one is not None for one in played(plan, "read lock lock read lock")] == [
        False,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"rate": 1.5}, "rate"),
        ({"kinds": []}, "kinds"),
        ({"longest_s": -1.0}, "longest_s"),
        ({"verbs": ["erase"]}, "verbs"),
        ({"most": -1}, "most"),
        ({"kinds": ["lost"]}, "kind"),
    ],
)
def test_a_plan_refuses_what_it_cannot_do(options: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        RandomPlan(1, **options)
    assert caught.value.option == named


def test_scripts_and_faults_refuse_what_they_cannot_do() -> None:
    with pytest.raises(InvalidOption, match="'erase' is none"):
        Script({"erase": []})
    with pytest.raises(InvalidOption, match="delay_s"):
        Fault(K.SLOW, -1.0)
    with pytest.raises(InvalidOption, match="of commit must be a list"):
        Script({"commit": cast("Any", K.SLOW)})
    with pytest.raises(InvalidOption, match=r"must be one of error_before, .* is 'lost'"):
        Script({"commit": [cast("Any", "lost")]})


async def test_a_kind_may_be_given_by_its_name() -> None:
    inner = FourVerbs()
    memory = FaultyMemory(inner, Script({"write": [Fault(cast("Any", "reply_lost"))]}))
    with pytest.raises(WriteOutcomeUnknown):
        await memory.write("a", {"n": 1})
    assert "a" in inner.records


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if APPLIED[kind] and kind is not K.SLOW])
async def test_a_refusal_is_an_answer_too_and_is_not_heard(kind: FaultKind) -> None:
    inner = SimpleMachineMemory(lock_attempts=1)
    memory = leased(FaultyMemory(inner, Script({"commit": [kind]})))
    lease = await granted(memory)
    await inner.force_release("a", reason="test")
    assert await outcome(memory.commit(lease, {"n": 1})) is said(kind, "commit")
    with pytest.raises(LeaseLost):
        await memory.commit(lease, {"n": 1})


# --- in front of the store ------------------------------------------------------------------------------------


def over_store(faults: dict[str, list[Fault | FaultKind | None]]) -> tuple[LeasedMemory, FaultyBackend]:
    options = MemoryOptions(lock_attempts=1, deadline_s=0.2)
    store = FaultyBackend(SimpleBackend(options), Script(faults))
    return LeasedMemory(store, options), store


def kinds_of(store: FaultyBackend) -> list[str]:
    return [type(op).__name__ for op in store.asked]


async def test_the_memory_above_a_faulty_store_reads_again() -> None:
    memory, store = over_store({"read": [K.ERROR_BEFORE, K.REPLY_LOST]})
    async with memory:
        assert await memory.read("a") is None
    assert kinds_of(store) == ["Read", "Read", "Read"]
    assert [one.fault.kind for one in store.injected] == [K.ERROR_BEFORE, K.REPLY_LOST]


async def test_a_store_that_may_have_written_makes_the_outcome_unknown() -> None:
    memory, _ = over_store({"commit": [K.ERROR_AFTER, None, K.ERROR_BEFORE]})
    async with memory:
        lease = await granted(memory)
        with pytest.raises(WriteOutcomeUnknown) as unknown:
            await memory.commit(lease, {"n": 1}, release=False)
        assert (unknown.value.id, unknown.value.operation) == ("a", "commit")
        assert await memory.commit(lease, {"n": 1}, release=False) == 1
        with pytest.raises(MemoryUnavailable):
            await memory.commit(lease, {"n": 2})
        assert await memory.read("a") == {"n": 1}


async def test_a_lease_that_nobody_heard_of_is_given_back() -> None:
    memory, store = over_store({"acquire": [K.REPLY_LOST]})
    async with memory:
        with pytest.raises(MemoryUnavailable):
            await memory.acquire("a")
    assert kinds_of(store) == ["Acquire", "Release"]


async def test_a_slow_store_meets_the_deadline_of_the_memory() -> None:
    memory, _ = over_store({"commit": [Fault(K.SLOW, 5.0)]})
    async with memory:
        lease = await granted(memory)
        with pytest.raises(WriteOutcomeUnknown, match=r"within 0\.2 s"):
            await memory.commit(lease, {"n": 1})
