import datetime as dt
import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyarvo.errors import InvalidEvent
from pyarvo.events import (
    ID_NAMESPACE,
    ArvoEventId,
    create_arvo_event,
    create_arvo_event_id,
    derived_id,
    event_key,
    new_id,
    parse_arvo_event_id,
    utc_timestamp,
)
from pyarvo.events.packed import pack

PARTS: dict[str, Any] = {
    "handler": "arvo.orc.order",
    "subject": "eJw+",
    "source": "com.shop.web",
    "id": "evt-é",
    "type": "com.pay.charge",
    "domain": None,
    "n": 0,
}


def made_id(id: Any) -> str:
    return create_arvo_event(source="com.a.b", type="com.order.create", subject="s", data={}, id=id).id


def test_derived_ids_follow_the_published_rule() -> None:
    assert uuid.uuid5(uuid.NAMESPACE_URL, "urn:pyarvo:event-id") == ID_NAMESPACE
    assert derived_id(**PARTS) == str(uuid.uuid5(ID_NAMESPACE, json.dumps(list(PARTS.values()))))
    assert derived_id(**PARTS) == "b5a2ebfc-1e42-5830-899e-7e73eaa016ca"


odd_texts = st.text('aé"\\\\\\n\\x00\\x7f\\u2028😀')


@given(odd_texts, odd_texts, st.none() | odd_texts, st.integers(0, 1000))
def test_derived_ids_follow_the_rule_for_any_text(subject: str, id: str, domain: str | None, n: int) -> None:
    parts: dict[str, Any] = {**PARTS, "subject": subject, "id": id, "domain": domain, "n": n}
    assert derived_id(**parts) == str(uuid.uuid5(ID_NAMESPACE, json.dumps(list(parts.values()))))


@pytest.mark.parametrize(("part", "value"), [(key, "x") for key in PARTS if key != "n"] + [("n", 1)])
def test_every_part_of_a_derived_id_counts(part: Any, value: Any) -> None:
    assert derived_id(**{**PARTS, part: value}) != derived_id(**PARTS)


def test_random_ids_are_uuids() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    for id in ids:
        parsed = uuid.UUID(id)
        assert (parsed.version, parsed.variant, str(parsed)) == (4, uuid.RFC_4122, id)


def test_managed_id_of_the_reference() -> None:
    id = create_arvo_event_id("custom-id", uuid="550e8400-e29b-41d4-a716-446655440000")
    assert (
        id
        == "eJyrViotzUxRslIyNTVItTAxMNBNNbJM0jUxTDHRTTQ3NNM1MTEzMzU1AcoYGCjpKJUl5pSmApUnlxaX5OfqArXWAgBOuBIl"
    )
    assert parse_arvo_event_id(id) == ArvoEventId("550e8400-e29b-41d4-a716-446655440000", "custom-id")


@pytest.mark.parametrize(
    "id",
    [
        "",
        "evt-1",
        "32d31d8f-afc3-4d31-bed2-3be0ce088873",
        "AAAA",
        pack(b"[]"),
        pack(b'{"uuid":"x"}'),
        pack(b"\xff"),
    ],
)
def test_other_ids_are_not_managed(id: Any) -> None:
    assert parse_arvo_event_id(id) is None


def test_a_managed_id_of_no_unicode_text_is_refused() -> None:
    with pytest.raises(InvalidEvent, match="Unicode"):
        create_arvo_event_id("\ud800")


def test_a_managed_id_is_inflated_within_bounds() -> None:
    assert parse_arvo_event_id(pack(b'{"uuid":"u","value":"%s"}' % (b"x" * 70_000))) is None


def test_ids_are_made_as_they_were_asked_for() -> None:
    assert made_id(" plain ") == " plain "
    assert made_id({"deduplication": "DEVELOPER_MANAGED", "value": "\ufeff own \n"}) == "own"
    managed = parse_arvo_event_id(made_id({"deduplication": "ARVO_MANAGED", "value": " mine "}))
    assert managed is not None
    assert managed.value == "mine"
    assert uuid.UUID(managed.uuid).version == 4
    for blank in ("", " \u3000\t"):
        assert uuid.UUID(made_id({"deduplication": "DEVELOPER_MANAGED", "value": blank})).version == 4


@pytest.mark.parametrize(
    "id",
    [
        "",
        5,
        {},
        {"value": "x"},
        {"deduplication": "OTHER", "value": "x"},
        {"deduplication": "ARVO_MANAGED"},
        {"deduplication": "ARVO_MANAGED", "value": 5},
    ],
)
def test_other_choices_are_refused(id: Any) -> None:
    with pytest.raises(InvalidEvent, match="'id'"):
        made_id(id)


def test_event_key() -> None:
    event = create_arvo_event(source="com.a.b", type="com.order.create", subject="s", data={}, id='é"1')
    assert event_key(event) == '["com.a.b","é\\"1"]'


def test_timestamp_form() -> None:
    text = utc_timestamp()
    assert len(text) == len("2026-01-02T03:04:05.678+00:00")
    assert dt.datetime.fromisoformat(text).utcoffset() == dt.timedelta(0)


@pytest.mark.parametrize("value", [None, 42, b"a", {"a": 1}, object()])
def test_a_managed_value_that_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(InvalidEvent, match="must be text"):
        create_arvo_event_id(value)


def test_a_managed_value_may_be_of_a_type_of_text() -> None:
    class Order(str):
        __slots__ = ()

    read = parse_arvo_event_id(create_arvo_event_id(Order("order-1")))
    assert read is not None
    assert read.value == "order-1"
