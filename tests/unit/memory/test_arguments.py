"""What callers give beside ids and records: a typed error before any I/O, on every kind of memory."""

from __future__ import annotations

from typing import Any

import pytest

from pyarvo.errors import InvalidOption, InvalidRecord, MemoryClosed
from pyarvo.memory import Find, SimpleMachineMemory, Step
from pyarvo.memory.adapted import FourVerbLeases

NO_LEASES: list[Any] = [None, 5, True, "lease", {"id": "a"}, object()]
NO_STEPS: list[Any] = [5, "step", {"event_key": "k"}, ("k", ()), object()]


def kind(value: object) -> str:
    return type(value).__name__


class Verbs:
    """A user's memory that must not be reached."""

    async def read(self, id: str) -> dict[str, Any] | None:
        raise AssertionError(id)

    async def write(self, id: str, data: dict[str, Any]) -> None:
        raise AssertionError(id)

    async def lock(self, id: str) -> bool:
        raise AssertionError(id)

    async def unlock(self, id: str) -> bool:
        raise AssertionError(id)


@pytest.mark.parametrize("lease", NO_LEASES, ids=kind)
@pytest.mark.parametrize(
    "memory", [SimpleMachineMemory(), FourVerbLeases(Verbs())], ids=["own", "four verbs"]
)
async def test_what_is_no_lease_is_refused(memory: SimpleMachineMemory | FourVerbLeases, lease: Any) -> None:
    for call in (
        lambda: memory.commit(lease, {}),
        lambda: memory.renew(lease),
        lambda: memory.release(lease),
    ):
        with pytest.raises(InvalidRecord, match="must be a Lease") as caught:
            await call()
        assert caught.value.path == "lease"
        assert caught.value.operation in ("commit", "renew", "release")


async def test_a_denied_acquire_that_nobody_looked_at_is_named() -> None:
    async with SimpleMachineMemory(lock_attempts=1) as memory:
        assert await memory.acquire("a")
        denied: Any = await memory.acquire("a")
        with pytest.raises(InvalidRecord, match="somebody else holds it"):
            await memory.commit(denied, {})


@pytest.mark.parametrize("step", NO_STEPS, ids=kind)
async def test_what_is_no_step_is_refused(step: Any) -> None:
    async with SimpleMachineMemory() as memory:
        lease = await memory.acquire("a")
        assert lease
        with pytest.raises(InvalidRecord, match="must be a Step"):
            await memory.commit(lease, {"a": 1}, step=step)
        assert lease.held
        assert await memory.read("a") is None
        assert await memory.commit(lease, {"a": 1}, step=Step("k")) == 1


@pytest.mark.parametrize("what", ["x", 5, {}, [], object()], ids=kind)
async def test_what_is_no_find_is_refused(what: Any) -> None:
    async with SimpleMachineMemory() as memory:
        for query in (lambda: memory.instances(what), lambda: memory.count(what)):
            with pytest.raises(InvalidOption, match="must be a Find"):
                await query()
        with pytest.raises(InvalidOption, match="must be a Find"):
            async for _ in memory.each(what):
                raise AssertionError


WRONG_FIELDS: list[dict[str, Any]] = [
    *({name: 5} for name in ("orchestrator", "version", "status", "parent", "root", "held", "deleted")),
    *({name: b"x"} for name in ("orchestrator", "parent", "updated_before", "updated_after")),
    *({name: "\ud800"} for name in ("orchestrator", "version", "status", "parent")),
    {"deleted": None},
    *({"updated_before": at} for at in ("1", True, float("nan"), float("inf"), 10**400, -(10**12), 10**12)),
]


@pytest.mark.parametrize("fields", WRONG_FIELDS, ids=lambda fields: ascii(fields)[:40])
async def test_a_find_of_wrong_fields_is_refused_and_the_field_named(fields: dict[str, Any]) -> None:
    async with SimpleMachineMemory() as memory:
        with pytest.raises(InvalidOption) as caught:
            await memory.count(Find(**fields))
        assert caught.value.option in fields


@pytest.mark.parametrize("value", ["x", None, 1.5, b"1", True, 0, 1_001, 2**70], ids=repr)
async def test_a_limit_that_is_none_is_refused(value: Any) -> None:
    async with SimpleMachineMemory() as memory:
        for query in (lambda: memory.instances(limit=value), lambda: memory.journal("a", limit=value)):
            with pytest.raises(InvalidOption, match="limit"):
                await query()


@pytest.mark.parametrize("value", [5, b"1", "x", "", "-1", "1" * 19], ids=repr)
async def test_a_cursor_that_is_none_is_refused(value: Any) -> None:
    async with SimpleMachineMemory() as memory:
        with pytest.raises(InvalidOption, match="cursor"):
            await memory.instances(cursor=value)


@pytest.mark.parametrize("value", ["x", None, 1.5, -1, True, 2**63], ids=repr)
async def test_a_journal_after_no_version_is_refused(value: Any) -> None:
    async with SimpleMachineMemory() as memory:
        with pytest.raises(InvalidOption, match="after"):
            await memory.journal("a", after=value)


@pytest.mark.parametrize("value", ["x", None, b"", [], -1, True, float("nan")], ids=repr)
async def test_a_purge_by_no_age_is_refused(value: Any) -> None:
    async with SimpleMachineMemory() as memory:
        with pytest.raises(InvalidOption, match="older_than_s"):
            await memory.purge(older_than_s=value)


@pytest.mark.parametrize("value", [10**400, 1e308, float("inf")], ids=["400 digits", "1e308", "inf"])
async def test_nothing_is_as_old_as_an_age_that_no_clock_knows(value: float) -> None:
    async with SimpleMachineMemory() as memory:
        lease = await memory.acquire("a")
        assert lease is not None
        await memory.commit(lease, {"status": "done"})
        assert await memory.purge(older_than_s=value) == ()
        assert await memory.purge(older_than_s=0) == ("a",)


@pytest.mark.parametrize("value", [None, 5, b"why", "", " "], ids=repr)
async def test_a_reason_that_is_none_is_refused(value: Any) -> None:
    async with SimpleMachineMemory() as memory:
        with pytest.raises(InvalidOption, match="reason"):
            await memory.force_release("a", reason=value)


@pytest.mark.parametrize("value", [None, 5, {}], ids=repr)
async def test_an_image_that_is_none_is_refused(value: Any) -> None:
    async with SimpleMachineMemory() as memory:
        with pytest.raises(InvalidRecord, match="must be an Image"):
            await memory.put(value)


@pytest.mark.parametrize("value", ["", None, [], {}, b"a"], ids=repr)
async def test_the_ancestors_of_no_id_are_refused(value: Any) -> None:
    async with SimpleMachineMemory() as memory:
        with pytest.raises(InvalidRecord, match="id"):
            await memory.ancestors(value)


async def test_a_write_after_close_says_so() -> None:
    memory = SimpleMachineMemory()
    await memory.close()
    with pytest.raises(MemoryClosed):
        await memory.write("a", {})
