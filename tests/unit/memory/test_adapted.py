"""A user's memory of four verbs seen as leases: what it gains, what stays missing, and how its errors come out."""

from __future__ import annotations

import asyncio
import copy
import math
from typing import Any

import pytest

from pyarvo.errors import (
    EventConsumed,
    InvalidRecord,
    LeaseLost,
    MemoryUnavailable,
    RecordCorrupt,
    RecordTooLarge,
    UnsupportedByBackend,
    WriteConflict,
    WriteOutcomeUnknown,
)
from pyarvo.memory import Lease, LeasedMachineMemory, MachineMemory, SimpleMachineMemory, Step
from pyarvo.memory.adapted import KEPT_STEPS, RESERVED, FourVerbLeases, has_verbs, leased
from pyarvo.testing.clock import VirtualClock


class Dictionary:
    """What a user writes in ten lines."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self.locked: set[str] = set()
        self.calls: list[str] = []
        self.faults: dict[str, Exception] = {}

    def _called(self, verb: str) -> None:
        self.calls.append(verb)
        if verb in self.faults:
            raise self.faults[verb]

    async def read(self, id: str) -> dict[str, Any] | None:
        self._called("read")
        return copy.deepcopy(self.records.get(id))

    async def write(self, id: str, data: dict[str, Any]) -> None:
        self._called("write")
        self.records[id] = copy.deepcopy(data)

    async def lock(self, id: str) -> bool:
        self._called("lock")
        if id in self.locked:
            return False
        self.locked.add(id)
        return True

    async def unlock(self, id: str) -> bool:
        self._called("unlock")
        self.locked.discard(id)
        return True


@pytest.fixture
def store() -> Dictionary:
    return Dictionary()


@pytest.fixture
def memory(store: Dictionary) -> LeasedMachineMemory:
    return leased(store)


async def held(memory: LeasedMachineMemory, **options: Any) -> Lease:
    lease = await memory.acquire("a", **options)
    assert lease is not None
    assert lease.held
    return lease


async def test_a_memory_that_has_leases_is_left_as_it_is(store: Dictionary) -> None:
    simple = SimpleMachineMemory()
    assert leased(simple) is simple
    adapted = leased(store)
    assert isinstance(adapted, FourVerbLeases)
    assert isinstance(adapted, LeasedMachineMemory)
    assert leased(adapted) is adapted
    assert isinstance(store, MachineMemory)
    await simple.close()


async def test_acquire_and_commit_are_the_four_verbs(memory: LeasedMachineMemory, store: Dictionary) -> None:
    lease = await held(memory)
    assert (lease.version, lease.data, lease.fence, lease.ttl_s) == (0, None, 0, math.inf)
    assert await memory.commit(lease, {"n": 1}) == 1
    assert store.calls == ["lock", "read", "write", "unlock"]
    assert not lease.held
    again = await held(memory)
    assert (again.version, again.data) == (1, {"n": 1})
    assert await memory.read("a") == {"n": 1}
    assert set(store.records["a"]) == {"n", RESERVED}


async def test_a_lock_that_somebody_holds_is_denied(memory: LeasedMachineMemory, store: Dictionary) -> None:
    store.locked.add("a")
    assert await memory.acquire("a") is None
    assert await memory.acquire("a", event_key="k") is None
    assert "unlock" not in store.calls


async def test_steps_are_remembered_and_replayed(memory: LeasedMachineMemory, store: Dictionary) -> None:
    step = Step('["s", "1"]', ({"id": "p"},))
    assert await memory.commit(await held(memory), {"n": 1}, step=step) == 1
    for _ in range(2):
        replay = await memory.acquire("a", event_key=["s", "1"])
        assert replay is not None
        assert replay.replay is not None
        assert (replay.replay.event_key, replay.replay.produced, replay.replay.version) == (
            '["s","1"]',
            ({"id": "p"},),
            1,
        )
        assert (replay.held, replay.data) == (False, {"n": 1})
        assert store.locked == set()
        with pytest.raises(LeaseLost):
            await memory.commit(replay, {"n": 2})
        assert await memory.release(replay) is False
        store.locked.add("a")  # also while another holds the lock
        assert (await memory.acquire("a", event_key='["s","1"]')) is not None
        assert store.locked == {"a"}
        store.locked.clear()


async def test_an_event_is_consumed_once(memory: LeasedMachineMemory) -> None:
    await memory.commit(await held(memory), {"n": 1}, step=Step("k", ({"id": "p"},)))
    lease = await held(memory)
    with pytest.raises(EventConsumed) as caught:
        await memory.commit(lease, {"n": 2}, step=Step("k"))
    assert caught.value.step.produced == ({"id": "p"},)
    assert await memory.commit(lease, {"n": 2}, step=Step("k2")) == 2


async def test_the_last_128_steps_are_kept(memory: LeasedMachineMemory, store: Dictionary) -> None:
    lease = await held(memory)
    for n in range(KEPT_STEPS + 2):
        await memory.commit(lease, {"n": n}, step=Step(f"k{n}"), release=False)
    assert lease.version == KEPT_STEPS + 2
    assert len(store.records["a"][RESERVED]["steps"]) == KEPT_STEPS
    assert await memory.release(lease)
    assert (await held(memory, event_key="k1")).version == KEPT_STEPS + 2
    await memory.unlock("a")
    replay = await memory.acquire("a", event_key="k2")
    assert replay is not None
    assert replay.replay is not None


async def test_steps_that_make_a_record_too_large_lose_their_events_the_oldest_first(
    memory: LeasedMachineMemory,
) -> None:
    event = {"text": "x" * 1_000_000}
    lease = await held(memory)
    for n in range(20):
        await memory.commit(lease, {"n": n}, step=Step(f"k{n}", (event,)), release=False)
    assert await memory.release(lease)
    replayed: list[bool] = []
    for n in range(20):
        again = await memory.acquire("a", event_key=f"k{n}")
        assert again is not None
        assert again.replay is not None
        replayed.append(again.replay.produced == (event,))
    assert replayed[-3:] == [True] * 3
    assert replayed == sorted(replayed)


async def test_a_record_that_is_too_large_by_itself_is_refused(
    memory: LeasedMachineMemory, store: Dictionary
) -> None:
    lease = await held(memory)
    await memory.commit(lease, {"n": 1}, step=Step("k1", ({"id": "p"},)), release=False)
    before = store.records["a"]
    with pytest.raises(RecordTooLarge):
        await memory.commit(lease, {"text": "x" * 9_000_000}, step=Step("k2", ({"id": "q"},)))
    assert store.records["a"] == before


async def test_a_record_written_by_hand_has_version_one(
    memory: LeasedMachineMemory, store: Dictionary
) -> None:
    store.records["a"] = {"old": True}
    lease = await held(memory)
    assert (lease.version, lease.data) == (1, {"old": True})
    assert await memory.commit(lease, {"old": False}) == 2


async def test_the_verbs_hide_and_keep_what_rides_along(memory: LeasedMachineMemory) -> None:
    await memory.commit(await held(memory), {"n": 1}, step=Step("k"))
    assert await memory.lock("a")
    await memory.write("a", {"n": 2})
    assert await memory.read("a") == {"n": 2}
    assert await memory.unlock("a")
    replay = await memory.acquire("a", event_key="k")
    assert replay is not None
    assert replay.replay is not None
    assert replay.version == 2


@pytest.mark.parametrize(
    "rider", [7, [], {}, {"version": 1}, {"version": "x", "steps": []}, {"version": 1, "steps": [1]}]
)
async def test_a_damaged_rider_is_corrupt_and_the_lock_is_given_back(
    memory: LeasedMachineMemory, store: Dictionary, rider: Any
) -> None:
    store.records["a"] = {"n": 1, RESERVED: rider}
    with pytest.raises(RecordCorrupt):
        await memory.acquire("a")
    assert store.locked == set()
    with pytest.raises(RecordCorrupt):
        await memory.read("a")


@pytest.mark.parametrize("verb", ["read", "lock", "write"])
async def test_what_the_memory_raises_comes_out_named_and_as_cause(
    memory: LeasedMachineMemory, store: Dictionary, verb: str
) -> None:
    error = ConnectionError("cable")
    kind = WriteOutcomeUnknown if verb == "write" else MemoryUnavailable
    lease = await held(memory) if verb == "write" else None
    store.faults[verb] = error
    with pytest.raises(kind) as caught:
        await (memory.acquire("a") if lease is None else memory.commit(lease, {"n": 1}))
    assert caught.value.__cause__ is error
    assert (caught.value.id, caught.value.operation) == ("a", verb)
    if verb == "read":
        assert store.locked == set()
    if lease is not None:  # asking the same again settles it
        store.faults.clear()
        assert await memory.commit(lease, {"n": 1}) == 1


async def test_faults_of_the_contract_pass_as_they_are(
    memory: LeasedMachineMemory, store: Dictionary
) -> None:
    for verb in ("read", "lock"):
        store.faults = {verb: RecordCorrupt("bad")}
        with pytest.raises(RecordCorrupt, match="bad"):
            await memory.acquire("a")
        store.locked.clear()
    store.faults = {}
    lease = await held(memory)
    store.faults = {"write": WriteConflict(1, 2)}
    with pytest.raises(WriteConflict):
        await memory.commit(lease, {})


async def test_an_unlock_that_raises_is_tolerated(
    memory: LeasedMachineMemory, store: Dictionary, caplog: pytest.LogCaptureFixture
) -> None:
    lease = await held(memory)
    store.faults["unlock"] = ConnectionError("cable")
    assert await memory.commit(lease, {"n": 1}) == 1
    assert "cable" in caplog.text
    assert await memory.unlock("a") is False
    lease = Lease("a", token="t", fence=0, version=0, data=None, ttl_s=1.0, sent_at=0.0)
    with pytest.raises(LeaseLost, match="none of this memory's"):
        await memory.commit(lease, {})


async def test_an_unlock_that_hangs_is_given_up(
    memory: LeasedMachineMemory,
    store: Dictionary,
    pyarvo_clock: VirtualClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def hang(id: str) -> bool:
        await asyncio.Event().wait()
        return True

    lease = await held(memory)
    store.unlock = hang
    assert not await memory.release(lease)
    assert pyarvo_clock.elapsed_s == pytest.approx(5.0)
    assert "TimeoutError" in caplog.text


async def test_what_four_verbs_cannot_give_is_refused(memory: LeasedMachineMemory, store: Dictionary) -> None:
    lease = await held(memory)
    with pytest.raises(UnsupportedByBackend):
        await memory.renew(lease)
    with pytest.raises(UnsupportedByBackend):
        await memory.acquire("b", ttl_s=30)
    assert await memory.release(lease) is True
    assert await memory.release(lease) is False
    with pytest.raises(LeaseLost):
        await memory.commit(lease, {})
    assert store.records == {}


async def test_bad_ids_records_and_steps_are_refused_before_anything_is_written(
    memory: LeasedMachineMemory, store: Dictionary
) -> None:
    for id in ("", "x" * 5_000, "\ud800"):
        with pytest.raises(InvalidRecord):
            await memory.acquire(id)
    with pytest.raises(InvalidRecord) as refused:
        await memory.acquire("a", event_key="")
    assert (refused.value.id, refused.value.operation) == ("a", "acquire")
    lease = await held(memory)
    for data, step in (({"n": math.nan}, None), ({}, Step("")), ({}, Step("k", ({"n": {1}},)))):
        with pytest.raises(InvalidRecord) as refused:
            await memory.commit(lease, data, step=step)
        assert (refused.value.id, refused.value.operation) == ("a", "commit")
    with pytest.raises(InvalidRecord) as refused:
        await memory.write("a", {"n": {1}})
    assert (refused.value.id, refused.value.operation) == ("a", "write")
    assert store.records == {}
    assert lease.held


@pytest.mark.parametrize("verb", ["read", "lock", "unlock", "write"])
async def test_the_verbs_refuse_bad_ids_and_records_too(
    memory: LeasedMachineMemory, store: Dictionary, verb: str
) -> None:
    with pytest.raises(InvalidRecord):
        await (memory.write("", {}) if verb == "write" else getattr(memory, verb)(""))
    if verb == "write":
        with pytest.raises(InvalidRecord):
            await memory.write("a", {"n": math.nan})
    assert store.calls == []


class PassesOn:
    """A wrapper as people write it: what it does not know it hands on."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def test_what_a_wrapper_hands_on_counts() -> None:
    wrapper: Any = PassesOn(SimpleMachineMemory())
    assert has_verbs(wrapper)
    assert leased(wrapper) is wrapper
    nothing: Any = PassesOn(object())
    assert not has_verbs(nothing)
