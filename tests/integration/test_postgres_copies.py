"""Whole instances from another store."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.servers.postgres import new_schema, postgres_url

from pyarvo.memory import SimpleMachineMemory, Step
from pyarvo.memory.backend import Image
from pyarvo.memory.copying import Fate, copy
from pyarvo.memory.postgres import PostgresMachineMemory


async def written(memory: SimpleMachineMemory, id: str) -> None:
    for n in range(4):
        lease = await memory.acquire(id)
        assert lease is not None
        step = Step(f'["s","{n}"]', ({"n": n},)) if n != 2 else None
        await memory.commit(lease, {"status": "active", "n": n}, step=step)


def comparable(image: Image) -> Image:
    """Without what a copy does not keep, and times as a server has them, in microseconds."""
    stored = image.stored
    row = replace(stored.row, granted_at=round(stored.row.granted_at, 5))
    if row.deleted_at is not None:
        row = replace(row, deleted_at=round(row.deleted_at, 5))
    times = {"created_at": round(stored.created_at, 5), "updated_at": round(stored.updated_at, 5)}
    return Image(
        replace(stored, row=row, now=0.0, serial=0, **times),
        tuple(replace(entry, at=round(entry.at, 5)) for entry in image.journal),
        image.history,
    )


@pytest.mark.parametrize("deleted", [False, True])
async def test_an_instance_of_another_store_is_kept_whole(deleted: bool) -> None:
    source = SimpleMachineMemory(history=3, clock=lambda: 1_700_000_000.25)
    await written(source, "x\0")
    if deleted:
        await source.delete("x\0")
    image = await source.image("x\0")
    assert image is not None
    async with PostgresMachineMemory(postgres_url(), schema=new_schema(), history=3) as memory:
        assert await memory.put(image)
        assert not await memory.put(image)
        there = await memory.image("x\0")
        assert there is not None
        assert comparable(there) == comparable(image)
        lease = await memory.acquire("x\0", event_key='["s","1"]')
        assert lease is not None
        assert (lease.replay is None) == deleted
        assert lease.fence == (6 if deleted else 4)


async def test_a_copy_goes_there_and_back_and_may_be_repeated() -> None:
    source, back = SimpleMachineMemory(), SimpleMachineMemory()
    for n in range(5):
        await written(source, f"i{n}")
    await source.delete("i3")
    async with PostgresMachineMemory(postgres_url(), schema=new_schema()) as memory:
        assert {done.fate async for done in copy(source, memory)} == {Fate.COPIED}
        assert {done.fate async for done in copy(source, memory)} == {Fate.SAME}
        assert {done.fate async for done in copy(memory, back)} == {Fate.COPIED}
        assert [found.id async for found in memory.each()] == [found.id async for found in source.each()]
