import datetime as dt
import decimal
import json
import uuid
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyarvo.errors import InvalidEvent
from pyarvo.events import ARVO_CONTENT_TYPE, ArvoEvent, create_arvo_event
from pyarvo.events.json_text import in_js_order

VECTORS: Any = json.loads((Path(__file__).parents[2] / "vectors" / "events.json").read_text())
NUMBERS: Any = json.loads((Path(__file__).parents[2] / "vectors" / "numbers.json").read_text())

WIRE_ORDER = (
    *("id", "source", "specversion", "type", "subject", "datacontenttype", "dataschema", "data", "time"),
    *("to", "accesscontrol", "redirectto", "executionunits", "traceparent", "tracestate", "parentid"),
    "domain",
)

# Written by an agent of the TypeScript system.
FOREIGN = (
    '{"id":"08c41521","source":"arvo.orc.agent.simple","specversion":"1.0","type":"arvo.orc.agent.simple.done",'
    '"subject":"eJw9jtEK","datacontenttype":"application/cloudevents+json;charset=UTF-8;profile=arvo",'
    '"dataschema":"#/org/amas/agent/simple/1.0.0","data":{"1":null,'
    '"2":"\\u0001\\b\\f\\n\\r\\t\\"\\\\/\x7f\u2028é😀","z":1,"a":[0.1,1e+21,1e-7,100000000000000000000,0]},"time":"2025-12-13T20:03:48.808+00:00",'
    '"to":"test.test.test","accesscontrol":null,"redirectto":"arvo.orc.agent.simple","executionunits":61.5,'
    '"traceparent":null,"tracestate":null,"parentid":"a b%é","domain":null}'
)


WIRE: dict[str, Any] = {**json.loads(FOREIGN), "data": {"a": 1}}

# Few characters, but all kinds that are written differently: hypothesis builds a table of Unicode otherwise.
ALPHABET = 'aZ1 ."\\/%;+=\b\n\x00\x1f\x7fé\u2028日😀'


def event(**changes: Any) -> ArvoEvent:
    fields: dict[str, Any] = {
        "source": "com.a.b",
        "type": "com.order.create",
        "subject": "s",
        "data": {},
        "id": "i",
    }
    return create_arvo_event(**{**fields, **changes})


def event_of(**changes: Any) -> ArvoEvent:
    fields: dict[str, Any] = {**WIRE, **changes}
    return ArvoEvent(**fields)


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: compact(vector["input"])[90:160])
def test_reference_vectors(vector: Any) -> None:
    if not vector["accepted"]:
        with pytest.raises(InvalidEvent):
            create_arvo_event(**vector["input"])
        return
    made = create_arvo_event(**vector["input"])
    assert made.to_json() == compact(vector["json"])
    assert made.to_dict() == vector["json"]
    assert ArvoEvent.from_json(made.to_json()) == made
    assert ArvoEvent.from_dict(vector["json"]) == made
    assert made.extensions == vector["input"]["extensions"]


def test_foreign_text_round_trips_byte_for_byte() -> None:
    read = ArvoEvent.from_json(FOREIGN)
    assert read.to_json() == FOREIGN
    assert ArvoEvent.from_json(FOREIGN.encode()) == read
    assert list(read.data) == ["1", "2", "z", "a"]


@pytest.mark.parametrize("text", [text for _, text in NUMBERS[:80]])
def test_every_number_of_javascript_round_trips(text: Any) -> None:
    wire = FOREIGN.replace("61.5", text).replace("[0.1,", f"[{text},")
    assert ArvoEvent.from_json(wire).to_json() == wire


@pytest.mark.parametrize("number", ["9007199254740993", "12345678901234567891", "1" + "0" * 30, "1" * 400])
def test_integers_that_javascript_would_change_are_refused(number: Any) -> None:
    with pytest.raises(InvalidEvent, match=r"2\^53 - 1"):
        ArvoEvent.from_json(FOREIGN.replace("[0.1,", f"[{number},"))


def test_depth_is_checked_also_where_integers_are_big() -> None:
    deep = f"[{'[' * 700}{']' * 700}]"
    with pytest.raises(InvalidEvent):
        ArvoEvent.from_json(FOREIGN.replace("[0.1,", f"[100000000000000000000,{deep},"))
    fine = f"[{'[' * 190}1{']' * 190}]"
    wire = FOREIGN.replace("[0.1,", f"[100000000000000000000,{fine},0.5,")
    assert ArvoEvent.from_json(wire).to_json() == wire


def test_paths_in_messages_are_short() -> None:
    with pytest.raises(InvalidEvent) as caught:
        event(data={"k" * 10_000: {"l" * 10_000: float("nan")}})
    assert caught.value.field == f"data.{'k' * 40}.{'l' * 40}"
    with pytest.raises(InvalidEvent) as caught:
        event(extensions={"K" * 10_000: 1})
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "{", '{"a":1}x', "[" * 100_000, b"\xff", "\ud800", FOREIGN.replace("0.1", "1e999")],
)
def test_text_that_is_no_event_is_refused(text: Any) -> None:
    with pytest.raises(InvalidEvent):
        ArvoEvent.from_json(text)


@pytest.mark.parametrize("given_", [None, 5, [], {}, object()])
def test_what_is_no_text_is_no_event(given_: Any) -> None:
    with pytest.raises(InvalidEvent, match="text or bytes"):
        ArvoEvent.from_json(given_)


@pytest.mark.parametrize("given_", [None, 5, [], "text"])
def test_what_is_no_mapping_is_no_event(given_: Any) -> None:
    with pytest.raises(InvalidEvent, match="mapping"):
        ArvoEvent.from_dict(given_)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"type": None}, "type"),
        ({"to": 5}, "to"),
        ({"extensions": 5}, "extensions"),
        ({"extensions": [("a", 1)]}, "extensions"),
    ],
)
def test_a_field_of_another_kind_is_named(fields: Any, field: str) -> None:
    with pytest.raises(InvalidEvent) as caught:
        event(**fields)
    assert caught.value.field == field


def test_half_of_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(InvalidEvent):
        ArvoEvent.from_json(FOREIGN.replace("\\u0001", "\\ud800"))
    with pytest.raises(InvalidEvent, match=r"data\.a.*surrogate"):
        event(data={"a": "\ud800"})
    with pytest.raises(InvalidEvent, match="accesscontrol"):
        event(accesscontrol="\ud800")
    with pytest.raises(InvalidEvent, match="source"):
        event(source="\ud800")


@pytest.mark.parametrize("field", sorted(set(WIRE_ORDER[:9]) - {"dataschema"}))
def test_a_missing_field_is_named(field: Any) -> None:
    wire = json.loads(FOREIGN)
    del wire[field]
    with pytest.raises(InvalidEvent) as caught:
        ArvoEvent.from_dict(wire)
    assert caught.value.field == field


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(ALPHABET),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc01é\n"), inner, max_size=4),
    max_leaves=10,
)
texts = st.text(ALPHABET, min_size=1)


@given(
    data=st.dictionaries(st.text("abc01é\n"), json_values, max_size=5),
    id=texts,
    subject=texts,
    accesscontrol=st.none() | texts,
    parentid=st.none() | texts,
    executionunits=st.none() | st.integers(0, 9) | st.floats(0, 1e25),
    extensions=st.dictionaries(
        st.text("abc019", min_size=1),
        st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-1, 1e20) | texts,
    ),
)
def test_any_event_round_trips(**fields: Any) -> None:
    made = event(**fields)
    text = made.to_json()
    read = ArvoEvent.from_json(text)
    assert read == made
    assert read.to_json() == text
    assert list(json.loads(text)["data"]) == in_js_order(made.data)
    assert ArvoEvent.from_dict(made.to_dict()) == made


def test_wire_order_with_custom_extensions() -> None:
    made = event(extensions={"zone": "z", "10": 1, "alpha": None, "2": True, "007": 0.5})
    # JavaScript lists array indexes first; "007" is none.
    assert list(made.to_dict()) == ["2", "10", *WIRE_ORDER[:9], "zone", "alpha", "007", *WIRE_ORDER[9:]]
    assert made.to_json() == compact(made.to_dict())
    assert ArvoEvent.from_json(made.to_json()) == made


def test_keys_of_data_stand_where_javascript_puts_them() -> None:
    text = event(
        data={"b": {"b": 1, "10": [{"x": 1, "9": 0.5, "01": 0}], "9": 2}, "1.5": 0, "4294967295": 0, "0": 0}
    ).to_json()
    # Array indexes first, in numeric order; "01", "1.5" and 2^32 - 1 are none.
    data = '{"0":0,"b":{"9":2,"10":[{"9":0.5,"x":1,"01":0}],"b":1},"1.5":0,"4294967295":0}'
    assert f'"data":{data},' in text
    assert ArvoEvent.from_json(text).to_json() == text


def test_keys_and_texts_that_only_look_like_array_indexes_stay() -> None:
    data = {"b": '{"1":2}', '"1': 1, "a": "1", "\\1": ":"}
    assert f'"data":{compact(data)},' in event(data=data).to_json()


def test_extensions_that_are_named_like_a_field_of_the_class() -> None:
    made = event(extensions={"extensions": 1})
    assert ArvoEvent.from_json(made.to_json()).extensions == {"extensions": 1}


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (float("nan"), "data.a"),
        (float("inf"), "data.a"),
        (2**53, "data.a"),
        (-(2**53), "data.a"),
        (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "data.a"),
        (uuid.UUID(int=1), "data.a"),
        ((1, 2), "data.a"),
        (decimal.Decimal(1), "data.a"),
        (b"x", "data.a"),
        ({1, 2}, "data.a"),
        (msgspec.Raw(b"1"), "data.a"),
        ([0, {"b": [1, object()]}], "data.a[1].b[1]"),
        ({1: 2}, "data.a"),
        ({None: 2}, "data.a"),
    ],
)
def test_data_holds_only_json(value: Any, path: Any) -> None:
    with pytest.raises(InvalidEvent) as caught:
        event(data={"a": value})
    assert caught.value.field == path
    made = event(data={"a": 1})
    made.data["a"] = value
    with pytest.raises(InvalidEvent, match="data"):
        made.to_json()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""),
        ("id", 1),
        ("source", "a b"),
        ("source", None),
        ("specversion", "1.1"),
        ("type", "com.order"),
        ("type", "com.order.Create"),
        ("type", "com.order.create\n"),
        ("type", 5),
        ("subject", ""),
        ("subject", "a%2Fb"),
        ("datacontenttype", "text/plain"),
        ("datacontenttype", None),
        ("dataschema", ""),
        ("dataschema", "é"),
        ("data", []),
        ("data", None),
        ("time", "2026-02-30T00:00:00Z"),
        ("time", "2026-01-01T24:00:00Z"),
        ("time", "2026-01-01T00:00:00"),
        ("time", "2026-01-01 00:00:00Z"),
        ("time", "2026-01-01T00:00:00.Z"),
        ("time", "2026-01-01T00:00:00Z\n"),
        ("time", "2026-W01-1T00:00:00Z"),
        ("time", "2026-01-01T00:00:00+24:00"),
        ("time", "2026-01-01T00:00:00+05"),
        ("time", "2026-01-01T00:00.5Z"),
        ("time", 0),
        ("to", None),
        ("to", ""),
        ("accesscontrol", ""),
        ("redirectto", "[x]"),
        ("executionunits", "1"),
        ("executionunits", True),
        ("executionunits", float("nan")),
        ("executionunits", 2**60),
        ("traceparent", ""),
        ("tracestate", 1),
        ("parentid", ""),
        ("domain", "a b"),
        ("domain", ""),
        ("domain", "a\n"),
        ("extensions", []),
        ("extensions", [("a", 1)]),
    ],
)
def test_the_class_checks_every_field(field: Any, value: Any) -> None:
    with pytest.raises(InvalidEvent) as caught:
        event_of(**{field: value})
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("extensions", "field"),
    [
        ({"to": "x"}, "to"),
        ({"A": 1}, "A"),
        ({"a-b": 1}, "a-b"),
        ({"a": {}}, "a"),
        ({"a": []}, "a"),
        ({"": 1}, ""),
        ({"a": float("nan")}, "a"),
        ({"a": 2**53}, "a"),
        ({"a": b""}, "a"),
        ({"id": "x"}, "id"),
    ],
)
def test_custom_extensions_are_checked(extensions: Any, field: Any) -> None:
    with pytest.raises(InvalidEvent) as caught:
        event(extensions=extensions)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "time",
    ["2026-01-02T03:04Z", "2026-01-02T03:04+05:30", "2026-01-02T03:04:05+0530", "2026-01-02T03:04:05.6-0800"],
)
def test_times_that_the_typescript_system_takes_come_back_as_they_are(time: str) -> None:
    assert ArvoEvent.from_json(event_of(time=time).to_json()).time == time


def test_the_class_encodes_nothing() -> None:
    assert event_of(parentid="a b%é").parentid == "a b%é"
    with pytest.raises(InvalidEvent, match="source"):
        event_of(source="é")


def test_to_may_be_null_with_another_content_type() -> None:
    wire = {**WIRE, "to": None, "datacontenttype": "application/json; charset=utf-8"}
    assert ArvoEvent.from_dict(wire).to is None
    with pytest.raises(InvalidEvent, match="'to'"):
        ArvoEvent.from_dict({**wire, "datacontenttype": ARVO_CONTENT_TYPE})


def test_an_event_is_immutable() -> None:
    with pytest.raises(AttributeError):
        event().id = "other"  # pyright: ignore[reportAttributeAccessIssue] -- the point of the test


def test_defaults() -> None:
    made = create_arvo_event(source="com.a.b", type="com.order.create", subject="a b", data={"a": 1})
    assert uuid.UUID(made.id).version == 4
    assert made.to == "com.order.create"
    assert made.subject == "a%20b"
    moment = dt.datetime.fromisoformat(made.time)
    assert abs((dt.datetime.now(dt.UTC) - moment).total_seconds()) < 60
    assert made.time.endswith("+00:00")
    assert made.datacontenttype == ARVO_CONTENT_TYPE
    assert [made.dataschema, made.domain, made.parentid, made.extensions] == [None, None, None, {}]


def test_uri_fields_are_encoded_again_and_parentid_too() -> None:
    made = event(source="a%20b", to="t o", redirectto="r é", parentid="p 1", dataschema="#/ä%20/1.0.0")
    assert made.source == "a%2520b"
    assert made.to == "t%20o"
    assert made.redirectto == "r%20%C3%A9"
    assert made.parentid == "p%201"
    assert made.dataschema == "#/%C3%A4%2520/1.0.0"


def test_members_of_an_enumeration_are_their_text() -> None:
    class Name(StrEnum):
        NAME = "com.a.b"

    fields = ("source", "type", "subject", "to", "redirectto", "parentid", "domain", "dataschema", "id")
    made = event(**dict.fromkeys(fields, Name.NAME)).to_dict()
    assert [(type(made[name]), made[name]) for name in fields] == [(str, "com.a.b")] * len(fields)


def test_extensions_are_copied() -> None:
    given_ = {"tenant": "acme"}
    made = event(extensions=given_)
    given_["tenant"] = "other"
    assert made.extensions == {"tenant": "acme"}


def test_true_utc_whatever_the_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Australia/Sydney")
    time.tzset()
    try:
        moment = dt.datetime.fromisoformat(event().time)
        assert abs(moment.timestamp() - time.time()) < 60
    finally:
        monkeypatch.undo()
        time.tzset()
