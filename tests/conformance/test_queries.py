"""Section 4, the query level: what people and tools ask."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pyarvo.errors import InvalidOption, LeaseLost
from pyarvo.events import ArvoOrchestrationSubject
from pyarvo.memory import Find, LeasedMemory, Step

from .place import KINDS, Place, held


async def put(memory: LeasedMemory, id: str, status: str = "active", parent: str | None = None) -> None:
    """An instance as a handler writes it."""
    record: dict[str, Any] = {"status": status, "parentSubject": parent}
    await memory.commit(await held(memory, id), record)


async def ids(memory: LeasedMemory, **what: Any) -> list[str]:
    """What a list finds; the count must agree."""
    found = [instance.id async for instance in memory.each(Find(**what))]
    assert await memory.count(Find(**what)) == len(found)
    return found


def subject(name: str, version: str = "1.0.0") -> str:
    return ArvoOrchestrationSubject.new(
        orchestrator=f"arvo.orc.{name}", version=version, initiator="com.test.suite"
    )


async def test_q1_get_shows_version_fence_holder_expiry_and_times(place: Place) -> None:
    memory = place.open(holder="worker-7")
    assert await memory.get("a") is None
    created = place.clock.now
    lease = await held(memory, ttl_s=60)
    place.clock.advance(10)
    await memory.commit(lease, {"status": "active"}, release=False)
    place.clock.advance(5)
    found = await memory.get("a")
    assert found is not None
    assert (found.version, found.fence, found.data) == (1, 1, {"status": "active"})
    assert (found.held, found.holder, found.held_since, found.expires_in_s) == (
        True,
        "worker-7",
        created,
        45.0,
    )
    assert (found.created_at, found.updated_at, found.deleted_at) == (created, created + 10, None)
    place.clock.advance(45)
    found = await memory.get("a")
    assert found is not None
    assert (found.held, found.held_since, found.expires_in_s) == (False, None, None)


async def test_q2_lists_narrow_by_orchestrator_version_status_and_parent(place: Place) -> None:
    memory = place.open()
    pay1, pay2, ship = subject("pay"), subject("pay", "2.0.0"), subject("ship")
    await put(memory, pay1, "done")
    await put(memory, pay2, "active", parent=pay1)
    await put(memory, ship, "active", parent=pay1)
    await put(memory, "no subject", "failure")
    assert await ids(memory) == ["no subject", ship, pay2, pay1]
    assert await ids(memory, orchestrator="arvo.orc.pay") == [pay2, pay1]
    assert await ids(memory, orchestrator="arvo.orc.pay", version="2.0.0") == [pay2]
    assert await ids(memory, status="active") == [ship, pay2]
    assert await ids(memory, status="active", orchestrator="arvo.orc.ship") == [ship]
    assert await ids(memory, parent=pay1) == [ship, pay2]
    assert await ids(memory, parent=pay1, version="2.0.0") == [pay2]
    assert await ids(memory, parent=pay1, root=True) == []
    assert await ids(memory, root=True) == ["no subject", pay1]
    assert await ids(memory, root=False) == [ship, pay2]
    assert await ids(memory, orchestrator="arvo.orc.none") == []


async def test_q3_lists_narrow_by_age_lease_and_deletion(place: Place) -> None:
    memory = place.open()
    start = place.clock.now
    for id in ("old", "middle", "young"):
        await put(memory, id)
        place.clock.advance(100)
    assert await ids(memory, updated_before=start + 100) == ["old"]
    assert await ids(memory, updated_after=start + 100) == ["young"]
    assert await ids(memory, updated_before=start + 201, updated_after=start + 99) == ["young", "middle"]
    await held(memory, "middle")
    assert await ids(memory, held=True) == ["middle"]
    assert await ids(memory, held=False) == ["young", "old"]
    assert await memory.delete("old")
    assert await ids(memory) == ["young", "middle"]
    assert await ids(memory, deleted=True) == ["old"]
    place.clock.advance(30)
    assert await ids(memory, held=True) == []


async def test_q4_labels_follow_the_record(place: Place) -> None:
    memory = place.open()
    await put(memory, "a", "active", parent="p")
    await put(memory, "a", "done")
    assert await ids(memory, status="active") == []
    assert await ids(memory, parent="p") == []
    assert await ids(memory, status="done", root=True) == ["a"]


async def test_q5_pages_are_stable_while_instances_come_and_go(place: Place) -> None:
    memory = place.open()
    for n in range(10):
        await put(memory, f"i{n}")
    first = await memory.instances(limit=4)
    assert [found.id for found in first.items] == ["i9", "i8", "i7", "i6"]
    assert all(found.data is None for found in first.items)
    await put(memory, "new")
    await memory.delete("i7")
    await memory.delete("i4")
    await put(memory, "i5", "done")
    second = await memory.instances(limit=4, cursor=first.cursor)
    assert [found.id for found in second.items] == ["i5", "i3", "i2", "i1"]
    third = await memory.instances(limit=4, cursor=second.cursor)
    assert ([found.id for found in third.items], third.cursor) == (["i0"], None)
    exact = await memory.instances(limit=9)
    assert (len(exact.items), exact.cursor) == (9, None)


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "9" * 40, "٣"])
async def test_q6_a_foreign_cursor_is_refused(place: Place, cursor: str) -> None:
    with pytest.raises(InvalidOption, match="cursor"):
        await place.open().instances(cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 1_001])
async def test_q6_a_limit_out_of_bounds_is_refused(place: Place, limit: int) -> None:
    memory = place.open()
    with pytest.raises(InvalidOption, match="limit"):
        await memory.instances(limit=limit)
    with pytest.raises(InvalidOption, match="limit"):
        await memory.journal("a", limit=limit)


async def test_q7_children_and_ancestors(place: Place) -> None:
    memory = place.open()
    await put(memory, "root")
    await put(memory, "left", parent="root")
    await put(memory, "right", parent="root")
    await put(memory, "leaf", parent="left")
    await put(memory, "orphan", parent="elsewhere")
    assert [child.id for child in await memory.children("root")] == ["right", "left"]
    assert [child.id for child in await memory.children("leaf")] == []
    assert [parent.id for parent in await memory.ancestors("leaf")] == ["left", "root"]
    assert await memory.ancestors("root") == ()
    assert await memory.ancestors("orphan") == ()
    assert await memory.ancestors("unknown") == ()


async def test_q7_a_circle_of_parents_ends(place: Place) -> None:
    memory = place.open()
    await put(memory, "a", parent="b")
    await put(memory, "b", parent="a")
    await put(memory, "self", parent="self")
    assert [parent.id for parent in await memory.ancestors("a")] == ["b"]
    assert await memory.ancestors("self") == ()
    assert await memory.purge(older_than_s=0) == ()


async def test_q8_the_journal_is_in_order_and_pages(place: Place) -> None:
    memory = place.open()
    for n in range(5):
        place.clock.advance(1)
        await memory.commit(await held(memory), {"n": n}, step=Step(f"k{n}", ({"n": n},)))
    journal = await memory.journal("a")
    start = place.clock.now - 5
    assert journal == tuple(Step(f"k{n}", ({"n": n},), n + 1, start + n + 1) for n in range(5))
    assert await memory.journal("a", limit=2) == journal[:2]
    assert await memory.journal("a", after=2, limit=2) == journal[2:4]
    assert await memory.journal("a", after=5) == ()
    assert await memory.journal("unknown") == ()


@pytest.mark.parametrize("kept", [0, 1, 2])
async def test_q9_history_keeps_as_many_records_as_asked_for(place: Place, kept: int) -> None:
    memory = place.open(history=kept)
    for n in range(5):
        await memory.commit(await held(memory), {"n": n})
    assert await memory.history("a") == ((4, {"n": 3}), (3, {"n": 2}))[:kept]
    assert await memory.history("unknown") == ()


async def test_q10_force_release_takes_the_lease_and_keeps_the_reason(place: Place) -> None:
    memory, other = place.open(), place.open()
    lease = await held(memory)
    assert await other.force_release("a", reason="worker 7 burnt down") is True
    found = await other.get("a")
    assert found is not None
    assert (found.held, found.note) == (False, "worker 7 burnt down")
    assert found.fence == lease.fence + 1
    with pytest.raises(LeaseLost):
        await memory.commit(lease, {"n": 1})
    with pytest.raises(LeaseLost):
        await memory.renew(lease)
    assert await memory.release(lease) is False
    assert (await held(other)).fence == lease.fence + 2
    assert await other.force_release("b", reason="nobody holds it") is False


@pytest.mark.parametrize("reason", ["", "  ", "\ud800", "x" * 10_000])
async def test_q10_a_reason_must_be_text_that_can_be_kept(place: Place, reason: str) -> None:
    memory = place.open()
    lease = await held(memory)
    with pytest.raises(InvalidOption, match="reason"):
        await memory.force_release("a", reason=reason)
    assert await memory.commit(lease, {}) == 1


async def test_q11_purge_deletes_whole_finished_trees(place: Place) -> None:
    memory = place.open()
    for tree in ("one", "two"):
        await put(memory, tree, "done")
        await put(memory, f"{tree}.child", "error", parent=tree)
        await put(memory, f"{tree}.leaf", "stopped", parent=f"{tree}.child")
    await put(memory, "two.live", "active", parent="two.child")
    await put(memory, "live")
    place.clock.advance(100)
    await put(memory, "young", "done")
    place.clock.advance(50)
    would = await memory.purge(older_than_s=60, dry_run=True)
    assert sorted(would) == ["one", "one.child", "one.leaf"]
    assert await memory.count() == 9
    assert await memory.purge(older_than_s=60) == would
    assert would.index("one.leaf") < would.index("one.child") < would.index("one")
    assert sorted(await ids(memory)) == ["live", "two", "two.child", "two.leaf", "two.live", "young"]
    assert await memory.purge(older_than_s=0) == ("young",)


async def test_q11_purge_takes_finished_trees_whose_parent_is_gone(place: Place) -> None:
    memory = place.open()
    await put(memory, "gone", "done")
    for parent in ("gone", "elsewhere", "live"):
        await put(memory, f"{parent}.child", "done", parent=parent)
        await put(memory, f"{parent}.leaf", "failure", parent=f"{parent}.child")
    await put(memory, "elsewhere.live", parent="elsewhere")
    await put(memory, "elsewhere.live.child", "done", parent="elsewhere.live")
    await put(memory, "live")
    assert await memory.delete("gone")
    place.clock.advance(100)
    await put(memory, "young", "done", parent="elsewhere")
    would = await memory.purge(older_than_s=60, dry_run=True)
    assert sorted(would) == ["elsewhere.child", "elsewhere.leaf", "gone.child", "gone.leaf"]
    assert sorted(await memory.purge(older_than_s=60)) == sorted(would)
    assert sorted(await ids(memory)) == [
        "elsewhere.live",
        "elsewhere.live.child",
        "live",
        "live.child",
        "live.leaf",
        "young",
    ]


async def test_q11_purge_never_touches_leased_work(place: Place) -> None:
    memory = place.open()
    await put(memory, "root", "done")
    await put(memory, "child", "done", parent="root")
    place.clock.advance(100)
    lease = await held(memory, "child")
    assert await memory.purge(older_than_s=60) == ()
    assert await memory.release(lease)
    assert sorted(await memory.purge(older_than_s=60)) == ["child", "root"]


async def test_q11_purge_takes_wide_trees_too(place: Place) -> None:
    memory = place.open()
    await put(memory, "root", "done")
    wide = 1_010 if place.kind in KINDS else 50  # two queries each: long on a network
    await asyncio.gather(*(put(memory, f"child{n}", "done", parent="root") for n in range(wide)))
    assert len(await memory.purge(older_than_s=0, dry_run=True)) == wide + 1


@pytest.mark.parametrize("age", [-1, float("nan")])
async def test_q11_an_age_below_zero_is_refused(place: Place, age: float) -> None:
    with pytest.raises(InvalidOption, match="older_than_s"):
        await place.open().purge(older_than_s=age)
