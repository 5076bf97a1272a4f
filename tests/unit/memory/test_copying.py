"""Copying: what the comparison sees, and what becomes of an instance in every case."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest
from msgspec.structs import replace

from pyarvo.errors import MemoryUnavailable, RecordCorrupt, UnsupportedByBackend
from pyarvo.events.labels import Labels
from pyarvo.memory import LeasedMemory, MemoryOptions, SimpleMachineMemory, Step
from pyarvo.memory.backend import Backend, Image, Stored, hashed, is_hashed
from pyarvo.memory.copying import Copied, Fate, copy, fingerprint
from pyarvo.memory.decide import JournalEntry, Row
from pyarvo.memory.simple import SimpleBackend

ENTRY = JournalEntry(2, '["s","2"]', "t", b"d", b"[]", 5.0)
IMAGE = Image(
    Stored("a", Row(version=2, fence=3, data=b"{}"), Labels(status="done"), 1.0, 2.0, 9.0, 1),
    (JournalEntry(1, '["s","1"]', "t", b"d", b'[{"id":"e"}]', 4.0), ENTRY),
    (),
)


def with_row(**changes: Any) -> Image:
    return replace(IMAGE, stored=replace(IMAGE.stored, row=replace(IMAGE.stored.row, **changes)))


def with_first(**changes: Any) -> Image:
    return replace(IMAGE, journal=(replace(IMAGE.journal[0], **changes), ENTRY))


@pytest.mark.parametrize(
    "other",
    [
        with_row(version=3),
        with_row(data=b"{ }"),
        with_row(data=None),
        with_row(note="n"),
        with_row(deleted_at=7.0),
        replace(IMAGE, stored=replace(IMAGE.stored, id="b")),
        replace(IMAGE, stored=replace(IMAGE.stored, labels=Labels(parent="done"))),
        with_first(version=3),
        with_first(event_key='["s","9"]'),
        with_first(event_key=None),
        with_first(produced=b"[]"),
        with_first(produced=None),
        replace(IMAGE, journal=IMAGE.journal[1:]),
    ],
)
def test_the_comparison_sees_every_difference(other: Image) -> None:
    assert fingerprint(other) != fingerprint(IMAGE)


@pytest.mark.parametrize(
    "other",
    [
        with_row(fence=9, holder="h", token="t", granted_at=8.0, until=8.5),
        with_first(token="", digest=b"", at=0.0),
        with_first(event_key=hashed('["s","1"]')),
        replace(IMAGE, stored=replace(IMAGE.stored, created_at=0.0, updated_at=0.0, serial=7)),
    ],
)
def test_the_comparison_overlooks_what_stores_keep_in_their_own_way(other: Image) -> None:
    assert fingerprint(other) == fingerprint(IMAGE)


def test_only_so_many_bodies_count() -> None:
    other = with_first(produced=None)
    assert fingerprint(other, 1) == fingerprint(IMAGE, 1)
    assert fingerprint(other, 2) != fingerprint(IMAGE, 2)
    plain = with_first(event_key=None, produced=None)
    without = replace(IMAGE, journal=IMAGE.journal[1:])
    assert fingerprint(plain, 1) == fingerprint(without, 1)


def test_hashes_of_event_keys() -> None:
    key = '["s","1"]'
    assert is_hashed(hashed(key))
    assert hashed(hashed(key)) == hashed(key)
    assert not is_hashed(key)
    assert not is_hashed("blake2b:short")
    assert not is_hashed(None)


# ----------------------------------------------------------------------------------------------------- fates


class Odd:
    """A backend with one odd method."""

    def __init__(
        self, backend: SimpleBackend, name: str, instead: Callable[..., Coroutine[Any, Any, Any]]
    ) -> None:
        self._backend = backend
        self._odd = {name: instead}

    def __getattr__(self, name: str) -> Any:
        return self._odd.get(name) or getattr(self._backend, name)


def odd(name: str, instead: Callable[..., Coroutine[Any, Any, Any]], backend: SimpleBackend) -> LeasedMemory:
    return LeasedMemory(cast("Backend", Odd(backend, name, instead)), MemoryOptions())


async def filled(*ids: str) -> SimpleMachineMemory:
    memory = SimpleMachineMemory()
    for id in ids:
        lease = await memory.acquire(id)
        assert lease is not None
        await memory.commit(lease, {"n": 1}, step=Step('["s","1"]', ({"id": "e"},)))
    return memory


async def fates(source: LeasedMemory, target: LeasedMemory) -> dict[str, Copied]:
    return {one.id: one async for one in copy(source, target)}


async def test_a_store_that_loses_events_is_found_out() -> None:
    backend = SimpleBackend(MemoryOptions())

    async def put(image: Image) -> bool:
        return await backend.put(
            replace(image, journal=tuple(replace(step, produced=None) for step in image.journal))
        )

    result = await fates(await filled("a"), odd("put", put, backend))
    assert result["a"].fate is Fate.DAMAGED
    assert not result["a"].is_there


async def test_a_fence_that_went_back_is_found_out() -> None:
    backend = SimpleBackend(MemoryOptions())

    async def put(image: Image) -> bool:
        row = replace(image.stored.row, fence=0)
        return await backend.put(replace(image, stored=replace(image.stored, row=row)))

    assert (await fates(await filled("a"), odd("put", put, backend)))["a"].fate is Fate.DAMAGED


async def test_a_source_that_goes_on_is_found_out() -> None:
    source = await filled("a", "b")
    backend = SimpleBackend(MemoryOptions())

    async def put(image: Image) -> bool:
        if image.stored.id == "a":
            lease = await source.acquire("a")
            assert lease is not None
            await source.commit(lease, {"n": 2})
        return await backend.put(image)

    result = await fates(source, odd("put", put, backend))
    assert {id: one.fate for id, one in result.items()} == {"a": Fate.CHANGED, "b": Fate.COPIED}


async def test_an_instance_that_cannot_be_read_does_not_stop_the_others() -> None:
    backend = SimpleBackend(MemoryOptions())
    target = LeasedMemory(backend, MemoryOptions())
    await fates(await filled("a", "b", "c"), target)

    async def get(id: str) -> Stored | None:
        if id == "a":
            raise RecordCorrupt("the row lacks a field")
        return None if id == "b" else await backend.get(id)

    result = await fates(odd("get", get, backend), SimpleMachineMemory())
    assert {id: one.fate for id, one in result.items()} == {"a": Fate.DAMAGED, "c": Fate.COPIED}
    assert "lacks a field" in result["a"].reason


async def test_an_instance_that_never_rests_is_no_image() -> None:
    memory = await filled("a")
    backend = SimpleBackend(MemoryOptions())
    await fates(memory, LeasedMemory(backend, MemoryOptions()))
    reads = 0

    async def get(id: str) -> Stored | None:
        nonlocal reads
        reads += 1
        stored = await backend.get(id)
        assert stored is not None
        return replace(stored, row=replace(stored.row, until=float(reads)))

    with pytest.raises(MemoryUnavailable, match="kept changing"):
        await odd("get", get, backend).image("a")
    assert reads == 6


async def test_a_backend_that_takes_no_copies_says_so_before_anything_is_read() -> None:
    class Plain:
        name = "plain"
        immediate = True

    target = LeasedMemory(cast("Backend", Plain()), MemoryOptions())
    with pytest.raises(UnsupportedByBackend, match="plain takes no copies"):
        await fates(await filled("a"), target)
    with pytest.raises(UnsupportedByBackend):
        await target.put(IMAGE)


async def test_an_unknown_id_has_no_image() -> None:
    assert await SimpleMachineMemory().image("nobody") is None
