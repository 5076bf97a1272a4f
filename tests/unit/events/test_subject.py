import base64
import gzip
import json
import tracemalloc
import uuid
import zlib
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyarvo.errors import InvalidSubject
from pyarvo.events import ArvoOrchestrationSubject, parse_subject
from pyarvo.events.packed import Unpackable, pack, unpack
from pyarvo.events.subject import INFLATED_LIMIT

VECTORS: Any = json.loads((Path(__file__).parents[2] / "vectors" / "subjects.json").read_text())
CONTENT: dict[str, Any] = VECTORS["accepted"][0]["content"]

MIB = 1024 * 1024


def encode(content: Any) -> str:
    return base64.b64encode(zlib.compress(json.dumps(content).encode())).decode()


@pytest.mark.parametrize(
    "vector", VECTORS["accepted"], ids=lambda vector: vector["content"]["execution"]["id"][:20]
)
def test_accepted(vector: Any) -> None:
    content = vector["content"]
    made = ArvoOrchestrationSubject.create(content)
    assert ArvoOrchestrationSubject.parse(made) == content
    # Byte for byte where this Python has the common zlib; another build may choose other bytes.
    if zlib.ZLIB_RUNTIME_VERSION.replace(".", "").isdigit():
        assert made == vector["subject"]
    assert ArvoOrchestrationSubject.parse(vector["subject"]) == content
    assert ArvoOrchestrationSubject.is_valid(vector["subject"])
    parsed = parse_subject(vector["subject"])
    assert parsed.orchestrator_name == content["orchestrator"]["name"]
    assert parsed.orchestrator_version == content["orchestrator"]["version"]
    assert parsed.execution_id == content["execution"]["id"]
    assert parsed.initiator == content["execution"]["initiator"]
    assert parsed.domain == content["execution"]["domain"]
    assert parsed.meta == content["meta"]


@pytest.mark.parametrize("vector", VECTORS["rejected"], ids=lambda vector: vector["why"])
def test_rejected(vector: Any) -> None:
    with pytest.raises(InvalidSubject) as caught:
        ArvoOrchestrationSubject.create(vector["content"])
    assert caught.value.field != "subject"
    with pytest.raises(InvalidSubject):
        ArvoOrchestrationSubject.parse(vector["subject"])
    assert not ArvoOrchestrationSubject.is_valid(vector["subject"])


@pytest.mark.parametrize("vector", VECTORS["rejectedRaw"], ids=lambda vector: vector["subject"][:12])
def test_rejected_raw(vector: Any) -> None:
    with pytest.raises(InvalidSubject):
        parse_subject(vector["subject"])
    assert not ArvoOrchestrationSubject.is_valid(vector["subject"])


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {**CONTENT, "orchestrator": None},
        {**CONTENT, "orchestrator": {"name": "arvo.orc.x", "version": 1}},
        {**CONTENT, "orchestrator": {"name": "arvo.orc.x", "version": "1.0.0\n"}},
        {**CONTENT, "orchestrator": {"name": "arvo.orc.x", "version": "1.0.\u0663"}},
        {**CONTENT, "execution": {**CONTENT["execution"], "id": 7}},
        {**CONTENT, "execution": {**CONTENT["execution"], "domain": 7}},
        {**CONTENT, "meta": []},
        {**CONTENT, "meta": None},
    ],
)
def test_content_of_other_shapes_is_refused(content: Any) -> None:
    assert not ArvoOrchestrationSubject.is_valid(encode(content))


def test_unknown_keys_and_their_order_are_kept() -> None:
    content: dict[str, Any] = {"meta": {"b": "2", "a": "1"}, "later": [1.0, {"x": None}], **CONTENT}
    content["orchestrator"] = {**content["orchestrator"], "extra": True}
    made = ArvoOrchestrationSubject.create(content)
    assert ArvoOrchestrationSubject.parse(made) == content
    assert list(ArvoOrchestrationSubject.parse(made)) == list(content)
    raw = zlib.decompress(base64.b64decode(made)).decode()
    assert '"later":[1,{"x":null}]' in raw


def test_keys_of_meta_stand_where_javascript_puts_them() -> None:
    made = ArvoOrchestrationSubject.create({**CONTENT, "meta": {"b": "2", "10": "", "9": ""}})
    assert zlib.decompress(base64.b64decode(made)).decode().endswith('"meta":{"9":"","10":"","b":"2"}}')


@pytest.mark.parametrize("subject", [None, 5, b"eJw=", [], {}, object()])
def test_what_is_no_text_is_no_subject(subject: Any) -> None:
    assert not ArvoOrchestrationSubject.is_valid(subject)
    with pytest.raises(InvalidSubject, match="must be text"):
        ArvoOrchestrationSubject.parse(subject)
    with pytest.raises(InvalidSubject, match="must be text"):
        ArvoOrchestrationSubject.from_(orchestrator="arvo.orc.a", version="1.0.0", subject=subject)


@pytest.mark.parametrize("content", [None, 5, "text", []])
def test_content_that_is_no_object_is_refused(content: Any) -> None:
    with pytest.raises(InvalidSubject, match="content"):
        ArvoOrchestrationSubject.create(content)


def test_content_that_is_no_json_is_refused() -> None:
    with pytest.raises(InvalidSubject, match=r"content\.later"):
        ArvoOrchestrationSubject.create({**CONTENT, "later": {1, 2}})
    with pytest.raises(InvalidSubject, match="surrogate"):
        ArvoOrchestrationSubject.create({**CONTENT, "meta": {"a": "\ud800"}})


def test_parse_gives_a_fresh_copy() -> None:
    subject = VECTORS["accepted"][2]["subject"]
    ArvoOrchestrationSubject.parse(subject)["meta"]["redirectto"] = "com.evil.host"
    assert ArvoOrchestrationSubject.parse(subject) == VECTORS["accepted"][2]["content"]
    with pytest.raises(TypeError):
        cast("dict[str, str]", parse_subject(subject).meta)["redirectto"] = "com.evil.host"


def test_base64_is_read_as_node_reads_it() -> None:
    subject = VECTORS["accepted"][3]["subject"]
    assert "+" in subject or "/" in subject
    for lenient in (
        subject.replace("+", "-").replace("/", "_"),
        subject.rstrip("="),
        f" {subject[:9]}\n{subject[9:]}",
        f"{subject[:9]}!é{subject[9:]}",
        subject.rstrip("=") + "=ignored",
    ):
        assert ArvoOrchestrationSubject.parse(lenient) == VECTORS["accepted"][3]["content"]


def test_gzip_is_read_too() -> None:
    packed = base64.b64encode(gzip.compress(json.dumps(CONTENT).encode())).decode()
    assert ArvoOrchestrationSubject.parse(packed) == CONTENT


def test_truncated_and_trailing_bytes_are_refused() -> None:
    raw = zlib.compress(json.dumps(CONTENT).encode())
    for damaged in (raw[:-1], raw[:20], raw + b"\0", raw + raw, raw[:-1] + b"\0"):
        assert not ArvoOrchestrationSubject.is_valid(base64.b64encode(damaged).decode())


def test_inflated_size_is_bounded_to_the_byte() -> None:
    assert unpack(pack(b"x" * 100), 100) == b"x" * 100
    assert unpack(pack(b"x" * 101), 100) is Unpackable.TOO_LARGE
    room = INFLATED_LIMIT - len(json.dumps({**CONTENT, "meta": {"m": ""}}, separators=(",", ":")))
    largest = {**CONTENT, "meta": {"m": "x" * room}}
    subject = ArvoOrchestrationSubject.create(largest)
    assert ArvoOrchestrationSubject.parse(subject) == largest
    assert parse_subject(subject).meta == largest["meta"]
    larger = {**CONTENT, "meta": {"m": "x" * (room + 1)}}
    with pytest.raises(InvalidSubject, match="65,536"):
        ArvoOrchestrationSubject.create(larger)
    with pytest.raises(InvalidSubject, match="inflates to more"):
        parse_subject(
            base64.b64encode(zlib.compress(json.dumps(larger, separators=(",", ":")).encode())).decode()
        )


def test_a_bomb_of_one_gigabyte_costs_no_memory() -> None:
    # After a full flush the compressor starts anew at a byte border, so that one chunk may be repeated.
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    chunk = compressor.compress(b"0" * MIB) + compressor.flush(zlib.Z_FULL_FLUSH)
    raw = b"\x78\x9c" + chunk * 1024
    twice = zlib.decompressobj().decompress(raw[: 2 + 2 * len(chunk)])
    assert twice == b"0" * (2 * MIB)
    bomb = base64.b64encode(raw).decode()
    tracemalloc.start()
    try:
        with pytest.raises(InvalidSubject, match="inflates to more than 65,536 bytes"):
            parse_subject(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * len(bomb) < 16 * MIB


def test_deep_json_is_refused() -> None:
    assert not ArvoOrchestrationSubject.is_valid(pack(b"[" * 60_000))
    assert not ArvoOrchestrationSubject.is_valid(pack(b'{"meta":"\xff"}'))


def test_new() -> None:
    subject = ArvoOrchestrationSubject.new(
        orchestrator="arvo.orc.order", version=None, initiator="com.shop.web"
    )
    content = ArvoOrchestrationSubject.parse(subject)
    assert uuid.UUID(content["execution"].pop("id")).version == 4
    assert content == {
        "orchestrator": {"name": "arvo.orc.order", "version": "0.0.0"},
        "execution": {"initiator": "com.shop.web", "domain": None},
        "meta": {},
    }
    given_ = ArvoOrchestrationSubject.new(
        orchestrator="arvo.orc.order",
        version="2.0.0",
        initiator="com.shop.web",
        domain="eu.west",
        meta={"redirectto": "com.shop.desk"},
        execution_id="e1",
    )
    assert parse_subject(given_).execution_id == "e1"
    assert parse_subject(given_).domain == "eu.west"
    assert parse_subject(given_).meta == {"redirectto": "com.shop.desk"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"orchestrator": "arvo.orc"}, "orchestrator.name"),
        ({"version": "1"}, "orchestrator.version"),
        ({"version": ""}, "orchestrator.version"),
        ({"initiator": "me"}, "execution.initiator"),
        ({"domain": "A"}, "execution.domain"),
        ({"meta": {"a": 1}}, "meta"),
        ({"meta": 5}, "meta"),
        ({"meta": "ab"}, "meta"),
        ({"execution_id": ""}, "execution.id"),
        ({"execution_id": "a;b"}, "execution.id"),
    ],
)
def test_new_names_the_part_that_is_wrong(change: Any, field: Any) -> None:
    parts: dict[str, Any] = {
        "orchestrator": "arvo.orc.order",
        "version": "1.0.0",
        "initiator": "com.shop.web",
    }
    with pytest.raises(InvalidSubject) as caught:
        ArvoOrchestrationSubject.new(**{**parts, **change})
    assert caught.value.field == field


def test_from_inherits_domain_and_meta_of_the_parent() -> None:
    parent = ArvoOrchestrationSubject.new(
        orchestrator="arvo.orc.order",
        version="1.0.0",
        initiator="com.shop.web",
        domain="eu.west",
        meta={"tenant": "acme", "redirectto": "com.shop.desk"},
    )
    child = parse_subject(
        ArvoOrchestrationSubject.from_(
            orchestrator="arvo.orc.payment",
            version="3.0.0",
            subject=parent,
            meta={"redirectto": "arvo.orc.order"},
            execution_id="c1",
        )
    )
    assert child.orchestrator_name == "arvo.orc.payment"
    assert child.orchestrator_version == "3.0.0"
    assert child.initiator == "arvo.orc.order"
    assert child.domain == "eu.west"
    assert child.meta == {"tenant": "acme", "redirectto": "arvo.orc.order"}
    assert child.execution_id == "c1"
    other = ArvoOrchestrationSubject.from_(
        orchestrator="arvo.orc.payment", version=None, subject=parent, domain="us.east"
    )
    assert parse_subject(other).domain == "us.east"
    assert parse_subject(other).execution_id != parse_subject(parent).execution_id
    with pytest.raises(InvalidSubject):
        ArvoOrchestrationSubject.from_(orchestrator="arvo.orc.payment", version=None, subject="nonsense")


names = st.from_regex(r"\A[a-z0-9]+(\.[a-z0-9]+){2,3}\Z")
unicode_text = st.text('aZ1;"\\\n\x00é\u2028日😀')


@given(
    orchestrator=names,
    version=st.from_regex(r"\A[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}\Z"),
    initiator=names,
    domain=st.none() | st.from_regex(r"\A[a-z0-9.]+\Z"),
    meta=st.dictionaries(unicode_text, unicode_text),
    execution_id=unicode_text.filter(lambda id: id and ";" not in id),
)
def test_any_subject_round_trips(**parts: Any) -> None:
    subject = ArvoOrchestrationSubject.new(**parts)
    parsed = parse_subject(subject)
    assert parsed.orchestrator_name == parts["orchestrator"]
    assert parsed.orchestrator_version == parts["version"]
    assert parsed.execution_id == parts["execution_id"]
    assert parsed.initiator == parts["initiator"]
    assert parsed.domain == parts["domain"]
    assert parsed.meta == parts["meta"]
    assert ArvoOrchestrationSubject.create(ArvoOrchestrationSubject.parse(subject)) == subject


@given(st.text("eJyr+/-_= \né\ud800"))
def test_no_text_breaks_the_reader(text: Any) -> None:
    assert not ArvoOrchestrationSubject.is_valid(text)


@pytest.mark.parametrize("length", [1, 700, 880, 900, 1_100, 5_000])
def test_short_and_long_subjects_are_both_common_zlib(length: int) -> None:
    meta = {"text": "".join(chr(97 + n * n % 23) for n in range(length))}
    subject = ArvoOrchestrationSubject.new(
        orchestrator="arvo.orc.order", version="1.0.0", initiator="com.shop.web", meta=meta
    )
    packed = base64.b64decode(subject, validate=True)
    assert packed[:2] == b"\x78\x9c"
    assert json.loads(zlib.decompress(packed))["meta"] == meta
    assert ArvoOrchestrationSubject.parse(subject)["meta"] == meta
