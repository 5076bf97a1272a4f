import json
import math
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyarvo.events.json_text import (
    MAX_DEPTH,
    MAX_INTEGER,
    NOT_JSON,
    PLAIN,
    WITH_FLOATS,
    classify,
    find_fault,
    is_json,
    js_integers,
    js_number,
)

NUMBERS: Any = json.loads((Path(__file__).parents[2] / "vectors" / "numbers.json").read_text())


def test_numbers_print_as_javascript_prints_them() -> None:
    wrong: list[tuple[float, str, str]] = []
    for bits, text in NUMBERS:
        number = struct.unpack(">d", bytes.fromhex(bits))[0]
        if js_number(number) != text:
            wrong.append((number, js_number(number), text))
    assert len(NUMBERS) > 200
    assert wrong == []


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (1e21, "1e+21"),
        (1e20, "1" + "0" * 20),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (-1.5e-7, "-1.5e-7"),
        (5e-324, "5e-324"),
        (1e16, "1" + "0" * 16),
    ],
)
def test_numbers_where_the_languages_differ(number: Any, text: Any) -> None:
    assert js_number(number) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_printed_numbers_read_back_the_same(number: Any) -> None:
    assert float(js_number(number)) == number


def nested(depth: Any) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_depth_is_bounded() -> None:
    assert classify(nested(MAX_DEPTH)) == PLAIN
    assert find_fault(nested(MAX_DEPTH), "data") is None
    assert classify(nested(MAX_DEPTH + 1)) == NOT_JSON
    path, rule = find_fault(nested(MAX_DEPTH + 1), "data") or ("", "")
    assert path.startswith("data[0][0]")
    assert "200" in rule


def test_a_cycle_is_refused() -> None:
    value: dict[str, Any] = {}
    value["self"] = value
    assert classify(value) == NOT_JSON
    fault = find_fault(value, "data")
    assert fault is not None
    assert "nested" in fault[1]


# Few characters, with half of a surrogate pair among them.
ALPHABET = "a\n\x00é😀\ud800"

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(ALPHABET)
    | st.binary()
    | st.datetimes()
    | st.uuids()
    | st.tuples(st.integers())
    | st.decimals()
    | st.sets(st.integers()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(ALPHABET) | st.integers() | st.none(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(ALPHABET), anything))
def test_the_quick_pass_and_the_search_agree(value: Any) -> None:
    fault = find_fault(value, "data")
    assert (classify(value) == NOT_JSON) == (fault is not None)
    if fault is None:
        assert json.loads(json.dumps(value)) == value


written = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(ALPHABET),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(ALPHABET), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(ALPHABET), written))
@example({"a": MAX_INTEGER, "b": -MAX_INTEGER})
@example({"a": MAX_INTEGER + 1})
@example({"a": -MAX_INTEGER - 1})
@example({"a": None, "b": math.nan})
@example({"null": "null", "a": -0.0})
def test_what_has_the_types_of_json_is_found_out_natively(value: Any) -> None:
    assert is_json(value) == (classify(value) != NOT_JSON)


@pytest.mark.parametrize("beside", [0, 300])
@pytest.mark.parametrize("depth", [MAX_DEPTH - 1, MAX_DEPTH])
def test_depth_is_bounded_natively_too(depth: int, beside: int) -> None:
    value: dict[str, Any] = {"a": nested(depth), "b": [[]] * beside}
    assert is_json(value) == (depth < MAX_DEPTH)
    assert bool(classify(value)) == (depth < MAX_DEPTH)


def test_floats_are_noticed_at_any_depth() -> None:
    assert classify({"a": [{"b": 1}]}) == PLAIN
    assert classify({"a": [{"b": 1.5}, 1]}) == WITH_FLOATS


def test_integers_that_only_doubles_print_become_doubles() -> None:
    read = {"a": [10**20, 12345678901234567891, MAX_INTEGER, 7], "b": True}
    assert [type(item) for item in js_integers(read)["a"]] == [float, int, int, int]
    assert js_integers(read) == read
