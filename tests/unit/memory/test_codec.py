"""Ids, event keys, records, produced events and digests, as bytes and back."""

from __future__ import annotations

import json
from collections import OrderedDict
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyarvo.errors import InvalidRecord, RecordCorrupt, RecordTooLarge
from pyarvo.memory import Step
from pyarvo.memory.codec import (
    check_event_key,
    check_id,
    decode_produced,
    decode_record,
    digest_of,
    encode_produced,
    encode_record,
)

LIMIT = 1_000_000
fixed = settings(derandomize=True, deadline=None, max_examples=200)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
records = st.dictionaries(texts, values, max_size=6)


@fixed
@given(records)
def test_every_json_object_comes_back_exactly(record: dict[str, Any]) -> None:
    raw = encode_record(record, limit=LIMIT)
    assert raw[:1] == b"{"
    assert repr(decode_record(raw)) == repr(record)
    assert json.loads(raw) == record


@fixed
@given(st.binary(max_size=60))
def test_any_bytes_decode_to_an_object_or_are_corrupt(raw: bytes) -> None:
    try:
        assert isinstance(decode_record(raw), dict)
    except RecordCorrupt:
        assert not _is_object(raw)
    else:
        assert _is_object(raw)


def _is_object(raw: bytes) -> bool:
    try:
        return raw[:1] == b"{" and isinstance(json.loads(raw), dict)
    except ValueError:
        return False


@fixed
@given(records, st.integers(1, 30))
def test_a_flipped_or_missing_byte_never_becomes_nothing(record: dict[str, Any], cut: int) -> None:
    raw = encode_record(record, limit=LIMIT)
    for damaged in (raw[: -1 - cut % len(raw)], raw[1:], b"\0" * len(raw)):
        with pytest.raises(RecordCorrupt):
            decode_record(damaged)


def test_mappings_are_objects_and_the_callers_is_left_alone() -> None:
    record = {"b": [1, {"c": 2}], "a": None}
    for same in (record, OrderedDict(record), MappingProxyType(record)):
        assert encode_record(same, limit=LIMIT) == b'{"b":[1,{"c":2}],"a":null}'
    assert record == {"b": [1, {"c": 2}], "a": None}


def test_the_limit_counts_bytes_of_records_and_of_produced_events() -> None:
    assert encode_record({"t": "é"}, limit=10) == '{"t":"é"}'.encode()
    with pytest.raises(RecordTooLarge) as caught:
        encode_record({"t": "é"}, limit=9)
    assert (caught.value.size, caught.value.limit) == (10, 9)
    with pytest.raises(RecordTooLarge):
        encode_produced(Step("k", ({"t": "é"},)), limit=11)


def test_produced_events_are_objects() -> None:
    step = Step("k", ({"id": "1"}, {"id": "2", "data": None}))
    assert decode_produced(encode_produced(step, limit=LIMIT)) == step.produced
    assert decode_produced(None) == ()
    refused: list[tuple[Any, str]] = [
        (("text",), "$step.produced[0]"),
        (({}, None), "$step.produced[1]"),
        (({}, {"a": {"b": float("nan")}}), "$step.produced[1].a.b"),
        (None, "$step.produced"),
        (5, "$step.produced"),
    ]
    for bad, path in refused:
        with pytest.raises(InvalidRecord) as caught:
            encode_produced(Step("k", bad), limit=LIMIT)
        assert caught.value.path == path
    for raw in (b"", b"[", b"{}", b"null", b"\xff"):
        with pytest.raises(RecordCorrupt):
            decode_produced(raw)


def test_events_that_the_record_holds_are_taken_as_the_record_was() -> None:
    events = ({"id": "1", "data": {"n": 1.5, "none": None}},)
    for produced in (events, ({"id": "2"},), ()):
        record = decode_record(encode_record({"events": {"produced": list(produced)}}, limit=LIMIT))
        assert decode_produced(encode_produced(Step("k", events), limit=LIMIT, record=record)) == events
    nan = Step("k", ({"n": float("nan")},))
    for events_of_record in ({"produced": [{"n": None}]}, {"produced": None}, {}, None, [1]):
        with pytest.raises(InvalidRecord, match=r"\$step\.produced\[0\]\.n"):
            encode_produced(nan, limit=LIMIT, record={"events": events_of_record})


@pytest.mark.parametrize(
    "character", [chr(n) for n in range(128)] + ["\x80", "é", "\u2028", "\ufeff", "\U0010ffff"]
)
def test_every_character_may_stand_in_an_id(character: str) -> None:
    for id in (character, f"a{character}b", character * (4_096 // len(character.encode()))):
        check_id(id)


@pytest.mark.parametrize(
    ("id", "reason"),
    [
        ("", "is empty"),
        ("x" * 4_097, "4,097 UTF-8 bytes, the limit is 4,096"),
        ("é" * 2_049, "4,098 UTF-8 bytes"),
        ("a\ud800", "lone surrogate"),
        (None, "must be text, is NoneType"),
        (b"a", "must be text, is bytes"),
        (["a"], "must be text, is list"),
    ],
)
def test_what_is_no_id(id: Any, reason: str) -> None:
    for _ in range(2):  # a refusal is not remembered as an answer
        with pytest.raises(InvalidRecord, match=reason) as caught:
            check_id(id)
        assert caught.value.path == "id"


@pytest.mark.parametrize(
    ("key", "canonical"),
    [
        ("plain", "plain"),
        ('["s","1"]', '["s","1"]'),
        (' [ "s" , "1" ] ', '["s","1"]'),
        (["s", "1"], '["s","1"]'),
        (("s", "1"), '["s","1"]'),
        (["é", '"'], '["é","\\""]'),
        ('["\\u00e9"]', '["é"]'),
        ('{"a":1}', '{"a":1}'),
        ("[1", "[1"),
        ("[" * 4_000, "[" * 4_000),
        ("[" * 300 + "]" * 300, "[" * 300 + "]" * 300),
        ("[100000000000000000000000001]", "[100000000000000000000000001]"),
        ('["\\ud800"]', '["\\ud800"]'),
    ],
)
def test_event_keys_have_one_spelling(key: Any, canonical: str) -> None:
    assert check_event_key(key) == canonical


@pytest.mark.parametrize(
    "key",
    [
        "",
        [],
        (),
        ["s", ""],
        ["s", 1],
        ["s", None],
        [["s"]],
        ["\ud800"],
        "k" * 8_193,
        ["k" * 8_190],
        5,
        None,
        {"s": "1"},
    ],
)
def test_what_is_no_event_key(key: Any) -> None:
    with pytest.raises(InvalidRecord, match="event_key"):
        check_event_key(key)


@fixed
@given(
    st.tuples(
        st.binary(max_size=8), st.none() | st.text("k1", max_size=4), st.none() | st.binary(max_size=8)
    ),
    st.tuples(
        st.binary(max_size=8), st.none() | st.text("k1", max_size=4), st.none() | st.binary(max_size=8)
    ),
)
def test_a_digest_tells_writes_apart(
    one: tuple[bytes, str | None, bytes | None], two: tuple[bytes, str | None, bytes | None]
) -> None:
    plain = [(data, key or "", produced or b"") for data, key, produced in (one, two)]
    assert (digest_of(*one) == digest_of(*two)) == (plain[0] == plain[1])
    assert len(digest_of(*one)) == 16


def test_a_key_that_is_a_kind_of_text_is_refused_with_its_path() -> None:
    class Word(StrEnum):
        YES = "yes"

    with pytest.raises(InvalidRecord) as caught:
        encode_record({"items": [{"n": {Word.YES: 1}}]}, limit=1_024)
    assert caught.value.path == "$.items[0].n"
