"""Section 7, what a record may be, and section 1, what an id may be."""

from __future__ import annotations

import math
import unicodedata
from typing import Any

import pytest

from pyarvo.errors import InvalidRecord, RecordTooLarge
from pyarvo.memory import Step

from .place import Place, held

NESTED_OK = 253  # the contract asks for 200; as a produced event it lies in one array more


def nested(levels: int, leaf: Any = None) -> dict[str, Any]:
    """An object of *levels* objects and arrays inside one another."""
    value: Any = leaf
    for level in range(levels - 1):
        value = [value] if level % 2 else {"d": value}
    return {"d": value}


RECORDS: dict[str, dict[str, Any]] = {
    "empty": {},
    "every type": {"t": True, "f": False, "n": None, "s": "", "l": [], "o": {}, "i": 0, "x": 0.5},
    "key order": {"z": 1, "a": 2, "m": 3},
    "empty and odd keys": {"": 1, " ": 2, "\0": 3, "a.b": 4, "$": 5, '"': 6},
    "unicode": {"text": "é\u0301 \U0001f980 \u2028 \ufeff \0 \x1f \x7f \u202e", "ключ": "鍵"},
    "forms": {unicodedata.normalize("NFC", "é"): 1, unicodedata.normalize("NFD", "é"): 2},
    "integers": {"min": -(2**63), "max": 2**63 - 1, "unsigned": 2**64 - 1, "js": 2**53 + 1},
    "floats": {
        "tiny": 5e-324,
        "huge": 1.7976931348623157e308,
        "third": 1 / 3,
        "whole": 1.0,
        "minus": -0.0,
    },
    "depth": nested(NESTED_OK, leaf=1),
    "one megabyte": {"text": "x" * 1_000_000, "list": list(range(10_000))},
    "looks like ours": {"version": 9, "token": "t", "arvo$$memory": {"version": 1}},
}


@pytest.mark.parametrize("name", RECORDS)
async def test_s7_a_record_comes_back_as_it_went_in(place: Place, name: str) -> None:
    memory, record = place.open(), RECORDS[name]
    assert await memory.commit(await held(memory), record, step=Step("k", (record,))) == 1
    lease = await held(place.open())
    back = await memory.read("a")
    assert repr(back) == repr(lease.data) == repr(record)  # also the order of keys, 1.0, and -0.0
    (step,) = await memory.journal("a")
    assert repr(step.produced) == repr((record,))


class Odd:
    """JSON has no such thing."""


def _cycle() -> dict[str, Any]:
    record: dict[str, Any] = {"list": []}
    record["list"].append(record)
    return record


REFUSED: dict[str, tuple[Any, str]] = {
    "a list": ([], "$"),
    "text": ("{}", "$"),
    "nothing": (None, "$"),
    "bytes": ({"a": {"b": [0, b"x"]}}, "$.a.b[1]"),
    "nan": ({"a": math.nan}, "$.a"),
    "infinity": ({"a": [{"b": -math.inf}]}, "$.a[0].b"),
    "65 bits": ({"a": 2**64}, "$.a"),
    "70 bits": ({"a": {"b": 2**70}}, "$.a.b"),
    "65 bits below": ({"a": -(2**63) - 1}, "$.a"),
    "surrogate": ({"a": "ok", "b": ["\ud800"]}, "$.b[0]"),
    "surrogate in a key": ({"a": {"\udfff": 1}}, "$.a"),
    "number as key": ({"a": {1: 2}}, "$.a"),
    "none as key": ({"a": {None: 2}}, "$.a"),
    "set": ({"a": {1}}, "$.a"),
    "tuple": ({"a": (1, 2)}, "$.a"),
    "object": ({"a": Odd()}, "$.a"),
    "complex": ({"a": 1j}, "$.a"),
    "exception": ({"error": ValueError("lost as {} elsewhere")}, "$.error"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_s7_what_json_cannot_hold_is_refused_with_its_path(place: Place, name: str) -> None:
    record, path = REFUSED[name]
    memory = place.open()
    lease = await held(memory)
    with pytest.raises(InvalidRecord) as caught:
        await memory.commit(lease, record)
    assert caught.value.path == path
    assert isinstance(caught.value, ValueError)
    assert await memory.read("a") is None
    assert lease.held


async def test_s7_cycles_and_endless_depth_are_refused_with_a_path(place: Place) -> None:
    memory = place.open()
    lease = await held(memory)
    for record in (_cycle(), nested(255), nested(5_000)):
        with pytest.raises(InvalidRecord, match="nested deeper than 254 levels, or a cycle") as caught:
            await memory.commit(lease, record)
        assert caught.value.path.startswith("$.")
        assert len(str(caught.value)) < 500
    assert await memory.read("a") is None


async def test_s7_the_limit_is_exact_and_eight_mebibytes_by_default(place: Place) -> None:
    memory = place.open()
    lease = await held(memory)
    around = len('{"t":""}')
    with pytest.raises(RecordTooLarge) as caught:
        await memory.commit(lease, {"t": "x" * (8 * 1024 * 1024 - around + 1)})
    assert (caught.value.size, caught.value.limit) == (8 * 1024 * 1024 + 1, 8 * 1024 * 1024)
    assert await memory.commit(lease, {"t": "x" * (8 * 1024 * 1024 - around)}) == 1


IDS: dict[str, str] = {
    "subject": "eJw9zk0KwjAQBeCrlFk3JZP+JdlJXbhxoeABpskEgm1S0ohg8e6mgm4f7+N7G/jsZtAbpPjg1EBgCzqA/kZ6A2cBWjOKIQ+/F=",
    "ascii": "".join(map(chr, range(1, 128))),
    "nul": "a\0b",
    "only nul": "\0",
    "space": " ",
    "wildcards": "{a}.*.>/%_?[b]'\";--",
    "braces": "}{",
    "directory": "../../etc/passwd",
    "nfc": unicodedata.normalize("NFC", "é"),
    "nfd": unicodedata.normalize("NFD", "é"),
    "astral": "\U0001f980" * 100,
    "longest": "x" * 4_096,
    "longest in bytes": "é" * 2_048,
    "case": "Case",
    "other case": "case",
    "trailing space": "case ",
}


async def test_s1_ids_are_opaque_and_never_run_into_one_another(place: Place) -> None:
    memory = place.open()
    for name, id in IDS.items():
        assert await memory.commit(await held(memory, id), {"name": name}) == 1
    other = place.open()
    for name, id in IDS.items():
        assert await other.read(id) == {"name": name}
    listed = await other.instances(limit=100)
    assert sorted(found.id for found in listed.items) == sorted(IDS.values())
