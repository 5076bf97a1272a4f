"""Copies of written records: each is handed out once, for the very bytes it is the copy of, and there are few."""

from __future__ import annotations

import tracemalloc
from typing import Any

import orjson
import pytest

from pyarvo.memory import SimpleMachineMemory
from pyarvo.memory.codec import encode_record
from pyarvo.memory.copies import MOST_BYTES, MOST_COPIES, Copies

RECORD: dict[str, Any] = {"status": "active", "items": [1, {"two": 2.5}], "nothing": None}
RAW = orjson.dumps(RECORD)


def test_a_copy_is_handed_out_once() -> None:
    copies, copy = Copies(), orjson.loads(RAW)
    copies.keep("a", RAW, copy)
    assert copies.take("b", RAW) is None
    assert copies.take("a", bytes(bytearray(RAW))) is copy
    assert copies.take("a", RAW) is None


def test_other_bytes_end_a_copy() -> None:
    copies = Copies()
    copies.keep("a", RAW, RECORD)
    assert copies.take("a", b'{"status":"done"}') is None
    assert copies.take("a", RAW) is None


def test_only_so_many_of_the_latest_are_kept() -> None:
    copies = Copies()
    for n in range(MOST_COPIES + 1):
        copies.keep(str(n), RAW, RECORD)
    assert copies.take("0", RAW) is None
    assert copies.take("1", RAW) is RECORD
    assert copies.take(str(MOST_COPIES), RAW) is RECORD


def test_only_so_many_bytes_are_kept_and_no_record_is_too_long_below_them() -> None:
    copies, half = Copies(), b"x" * (MOST_BYTES // 2)
    for id in ("a", "b", "c"):
        copies.keep(id, half, RECORD)
    assert copies.take("a", half) is None
    assert copies.take("b", half) is RECORD
    whole = half + half
    copies.keep("whole", whole, RECORD)
    assert copies.take("c", half) is None
    assert copies.take("whole", whole) is RECORD


def test_a_record_over_the_bound_ends_the_copy_before_it_and_no_other() -> None:
    copies, long = Copies(), b"x" * (MOST_BYTES + 1)
    copies.keep("a", RAW, RECORD)
    copies.keep("b", RAW, RECORD)
    copies.keep("a", long, RECORD)
    assert copies.take("a", long) is None
    assert copies.take("a", RAW) is None
    assert copies.take("b", RAW) is RECORD


def test_room_is_given_back_by_copies_that_are_taken_or_written_over() -> None:
    copies, half = Copies(), b"x" * (MOST_BYTES // 2)
    for _ in range(5):
        copies.keep("a", half, RECORD)
        copies.keep("taken", half, RECORD)
        assert copies.take("taken", half) is RECORD
    copies.keep("b", half, RECORD)
    assert copies.take("a", half) is RECORD
    assert copies.take("b", half) is RECORD


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
