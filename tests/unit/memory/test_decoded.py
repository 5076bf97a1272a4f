"""The cache of written records: each is handed out once, for the very bytes it decodes, and there are few."""

from __future__ import annotations

import tracemalloc
from typing import Any

import orjson
import pytest

from pyarvo.memory import SimpleMachineMemory
from pyarvo.memory.codec import encode_record
from pyarvo.memory.decoded import MOST_BYTES, MOST_RECORDS, DecodedRecords

RECORD: dict[str, Any] = {"status": "active", "items": [1, {"two": 2.5}], "nothing": None}
RAW = orjson.dumps(RECORD)


def test_a_copy_is_handed_out_once() -> None:
    cache, copy = DecodedRecords(), orjson.loads(RAW)
    cache.keep("a", RAW, copy)
    assert cache.take("b", RAW) is None
    assert cache.take("a", bytes(bytearray(RAW))) is copy
    assert cache.take("a", RAW) is None


def test_other_bytes_end_a_copy() -> None:
    cache = DecodedRecords()
    cache.keep("a", RAW, RECORD)
    assert cache.take("a", b'{"status":"done"}') is None
    assert cache.take("a", RAW) is None


def test_only_so_many_of_the_latest_are_kept() -> None:
    cache = DecodedRecords()
    for n in range(MOST_RECORDS + 1):
        cache.keep(str(n), RAW, RECORD)
    assert cache.take("0", RAW) is None
    assert cache.take("1", RAW) is RECORD
    assert cache.take(str(MOST_RECORDS), RAW) is RECORD


def test_only_so_many_bytes_are_kept_and_no_record_is_too_long_below_them() -> None:
    cache, half = DecodedRecords(), b"x" * (MOST_BYTES // 2)
    for id in ("a", "b", "c"):
        cache.keep(id, half, RECORD)
    assert cache.take("a", half) is None
    assert cache.take("b", half) is RECORD
    whole = half + half
    cache.keep("whole", whole, RECORD)
    assert cache.take("c", half) is None
    assert cache.take("whole", whole) is RECORD


def test_a_record_over_the_bound_ends_the_copy_before_it_and_no_other() -> None:
    cache, long = DecodedRecords(), b"x" * (MOST_BYTES + 1)
    cache.keep("a", RAW, RECORD)
    cache.keep("b", RAW, RECORD)
    cache.keep("a", long, RECORD)
    assert cache.take("a", long) is None
    assert cache.take("a", RAW) is None
    assert cache.take("b", RAW) is RECORD


def test_room_is_given_back_by_copies_that_are_taken_or_written_over() -> None:
    cache, half = DecodedRecords(), b"x" * (MOST_BYTES // 2)
    for _ in range(5):
        cache.keep("a", half, RECORD)
        cache.keep("taken", half, RECORD)
        assert cache.take("taken", half) is RECORD
    cache.keep("b", half, RECORD)
    assert cache.take("a", half) is RECORD
    assert cache.take("b", half) is RECORD


async def test_what_a_holder_does_to_its_record_reaches_nobody() -> None:
    memory = SimpleMachineMemory()
    first = await memory.acquire("a")
    assert first is not None
    written = {"items": [1]}
    await memory.commit(first, written)
    written["items"].append(2)
    for _ in range(2):  # the first is handed the copy, the second decodes
        lease = await memory.acquire("a")
        assert lease is not None
        assert lease.data is not None
        assert lease.data == {"items": [1]}
        data: dict[str, Any] = lease.data
        data["items"].append(3)
        await memory.release(lease)


@pytest.mark.parametrize("length", [10, 700, 1_500, 9_000])
def test_kept_bytes_take_no_more_room_than_they_say(length: int) -> None:
    record = {"text": "x" * length}
    encode_record(record, limit=100_000)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = [encode_record(record, limit=100_000) for _ in range(100)]
        room = (tracemalloc.get_traced_memory()[0] - before) / len(kept)
    finally:
        tracemalloc.stop()
    assert room < len(kept[0]) + 200
