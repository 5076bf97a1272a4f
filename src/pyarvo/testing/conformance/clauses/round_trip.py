"""Round trip: a record comes back as it went in, or is refused."""

from __future__ import annotations

import math
import unicodedata
from typing import Any

from pyarvo.testing.conformance.bench import Bench
from pyarvo.testing.conformance.clause import clause

__all__: list[str] = []


async def _comes_back(bench: Bench, *records: dict[str, Any]) -> None:
    """Each record, written by one memory, is read as it was by another."""
    writer, reader = bench.several(2)
    for n, record in enumerate(records):
        id = bench.id(f"r{n}")
        await bench.put(writer, id, record)
        bench.equal(await reader.read(id), record, "the record that came back")


async def _is_refused(bench: Bench, *records: Any) -> None:
    """None of the values is written; what was there stays."""
    memory, reader = bench.several(2)
    id = bench.id()
    await bench.locked(memory, id)
    await memory.write(id, {"n": 1})
    for record in records:
        shown = bench.history.shown(record)
        await bench.refused(memory.write(id, record), Exception, f"a write of {shown}")
        bench.equal(await reader.read(id), {"n": 1}, f"the record after {shown} was refused")
    await memory.write(id, {"n": 2})


def _nested(levels: int) -> dict[str, Any]:
    value: Any = 1
    for level in range(levels - 1):
        value = [value] if level % 2 else {"d": value}
    return {"d": value}


@clause("base.roundtrip.01", "every JSON type comes back as it went in")
async def types(bench: Bench) -> None:
    await _comes_back(
        bench,
        {"t": True, "f": False, "n": None, "s": "", "l": [], "o": {}, "i": 0, "x": 0.5, "m": [{"a": [1]}]},
    )


@clause("base.roundtrip.02", "the order of keys is kept")
async def key_order(bench: Bench) -> None:
    await _comes_back(bench, {"z": 1, "a": {"y": 1, "b": 2}, "m": 3})


@clause("base.roundtrip.03", "keys may be empty, blank, dotted, quoted, or hold a NUL")
async def odd_keys(bench: Bench) -> None:
    await _comes_back(bench, {"": 1, " ": 2, "\0": 3, "a.b": 4, "$": 5, '"': 6, "\\": 7, "$set": 8, "__v": 9})


@clause("base.roundtrip.04", "any Unicode text comes back unchanged: NUL, controls, emoji, line separators")
async def unicode_text(bench: Bench) -> None:
    await _comes_back(
        bench, {"t": "é\u0301 \U0001f980 \u2028\u2029 \ufeff \0 \x1f \x7f \u202e", "ключ": "鍵"}
    )


@clause("base.roundtrip.05", "composed and decomposed letters stay apart")
async def forms(bench: Bench) -> None:
    nfc, nfd = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")
    await _comes_back(bench, {nfc: nfd, nfd: nfc})


@clause("base.roundtrip.06", "integers of 64 bits are exact")
async def integers(bench: Bench) -> None:
    await _comes_back(bench, {"min": -(2**63), "max": 2**63 - 1, "js": 2**53 + 1, "zero": 0})


@clause("base.roundtrip.07", "floats are exact, and 1.0 stays a float")
async def floats(bench: Bench) -> None:
    await _comes_back(bench, {"a": 5e-324, "b": 1.7976931348623157e308, "c": 1 / 3, "d": 1.0, "e": -0.0})


@clause("base.roundtrip.08", "objects and lists may be nested 200 deep")
async def depth(bench: Bench) -> None:
    await _comes_back(bench, _nested(200))


@clause("base.roundtrip.09", "a record may have half a megabyte")
async def large(bench: Bench) -> None:
    await _comes_back(bench, {"text": "x" * 400_000, "list": list(range(15_000))})


@clause("base.roundtrip.10", "text that looks like something else stays text")
async def lookalikes(bench: Bench) -> None:
    await _comes_back(bench, {"a": ["null", "true", "1", "1.0", "{}", "[]", "2020-01-01T00:00:00Z", "NaN"]})


@clause("base.roundtrip.11", "a record replaces the one before as a whole")
async def replaced(bench: Bench) -> None:
    memory, reader = bench.several(2)
    id = bench.id()
    await bench.locked(memory, id)
    records: tuple[dict[str, Any], ...] = (
        {"a": 1, "b": {"c": [1, 2, 3]}, "long": "x" * 5_000},
        {"b": {}},
        {},
        {"a": None},
    )
    for record in records:
        await memory.write(id, record)
        bench.equal(await reader.read(id), record, "the record that came back")


@clause("base.roundtrip.12", "changing a dict after it was written changes nothing in the store")
async def written_is_copied(bench: Bench) -> None:
    memory = bench.open()
    id, record = bench.id(), {"items": [1]}
    await bench.put(memory, id, record)
    record["items"].append(2)
    bench.equal(await memory.read(id), {"items": [1]}, "the record, after the writer changed its dict")


@clause("base.roundtrip.13", "changing what read returned changes nothing in the store")
async def read_is_copied(bench: Bench) -> None:
    memory = bench.open()
    id = bench.id()
    await bench.put(memory, id, {"items": [1]})
    first = await memory.read(id)
    if first is not None:
        first["items"].append(2)
    bench.equal(await memory.read(id), {"items": [1]}, "the record, after a reader changed what it got")


@clause("base.roundtrip.14", "a record that is no object is refused, and changes nothing")
async def no_object(bench: Bench) -> None:
    await _is_refused(bench, ["a list"], "text", None, 7, b"{}")


@clause("base.roundtrip.15", "NaN and infinity are refused, and change nothing")
async def not_finite(bench: Bench) -> None:
    await _is_refused(bench, {"a": math.nan}, {"a": [{"b": math.inf}]}, {"a": -math.inf})


@clause(
    "base.roundtrip.16",
    "bytes, sets, exceptions and other objects are refused, never turned into something else",
)
async def not_json(bench: Bench) -> None:
    await _is_refused(
        bench, {"a": b"x"}, {"a": {1}}, {"a": 1j}, {"error": ValueError("lost as {}")}, {"a": object()}
    )


@clause("base.roundtrip.17", "keys that are no text are refused, never turned into text")
async def keys_are_text(bench: Bench) -> None:
    await _is_refused(bench, {"a": {1: 2}}, {None: 1}, {"a": [{True: 1}]})


@clause("base.roundtrip.18", "lone surrogates, which UTF-8 cannot carry, are refused")
async def surrogates(bench: Bench) -> None:
    await _is_refused(bench, {"a": "\ud800"}, {"a": {"\udfff": 1}})


@clause("base.roundtrip.19", "a record that holds itself is refused, and ends in no endless loop")
async def cycles(bench: Bench) -> None:
    cycle: dict[str, Any] = {"list": []}
    cycle["list"].append(cycle)
    await _is_refused(bench, cycle)


@clause("base.roundtrip.20", "fifty records of random shape come back as they went in")
async def random_records(bench: Bench) -> None:
    def value(depth: int) -> Any:
        kind = bench.random.randrange(8 if depth else 6)
        if kind < 6:
            text = "".join(chr(bench.random.choice((0, 9, 34, 92, 65, 233, 0x1F980))) for _ in range(5))
            return (None, True, bench.random.randint(-(2**63), 2**63 - 1), bench.random.random(), text, -1)[
                kind
            ]
        if kind == 6:
            return [value(depth - 1) for _ in range(bench.random.randrange(4))]
        return {f"k{n}": value(depth - 1) for n in range(bench.random.randrange(4))}

    writer, reader = bench.several(2)
    id = bench.id()
    await bench.locked(writer, id)
    for _ in range(50):
        record = {"value": value(4)}
        await writer.write(id, record)
        bench.equal(await reader.read(id), record, "the record that came back")
