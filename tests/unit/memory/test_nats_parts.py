"""The parts of the NATS backend that need no server: keys, entries, the clock, options, faults."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import nats.errors
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pyarvo.errors import InvalidOption, MemoryUnavailable, RecordCorrupt, SchemaTooNew, WriteOutcomeUnknown
from pyarvo.events.labels import Labels
from pyarvo.memory import open_memory
from pyarvo.memory.decide import Acquire, Commit, Row
from pyarvo.memory.nats import NatsMachineMemory, open_nats
from pyarvo.memory.nats.address import Address, address_of
from pyarvo.memory.nats.cache import Cache, Seen
from pyarvo.memory.nats.clock import ServerClock
from pyarvo.memory.nats.entry import Entry, new_entry
from pyarvo.memory.nats.faults import ApiError, Silence, connect_fault, is_conflict, read_fault, write_fault
from pyarvo.memory.nats.keys import Keys, id_of, key_of

# --- keys -------------------------------------------------------------------------------------------------------


@given(st.text(min_size=1, max_size=600))
def test_a_key_is_one_token_that_nats_allows(id: str) -> None:
    assert re.fullmatch(r"=?[A-Za-z0-9_-]+", key_of(id))


@given(st.text(min_size=1, max_size=100))
def test_a_short_id_is_read_from_its_key(id: str) -> None:
    assert id_of(Keys("b").entry(id)) == id


def test_ids_over_512_bytes_are_hashed() -> None:
    assert id_of(f"$KV.b.i.{key_of('x' * 512)}") == "x" * 512
    assert id_of(f"$KV.b.i.{key_of('x' * 513)}") is None
    assert key_of("ä" * 257) != key_of("ä" * 258)
    assert len(key_of("x" * 4_096)) == 65


def test_an_ids_key_is_never_anothers_hash() -> None:
    hashed = key_of("x" * 600)
    assert hashed.startswith("=")
    assert key_of(hashed) != hashed


# --- entries ----------------------------------------------------------------------------------------------------

COMMIT = Commit("a", "token", 0, b'{"n":1}', b"d" * 16, Labels(status="active"), '["s","1"]', b'[{"n":1}]')
ROW = Row(1, 3, "token", "host:1", 10.5, 0.0, None, "a\r\nnote: ä", b'{"n":1}')


def written() -> Entry:
    return new_entry("a", 7, 1_700_000_000.25).written(ROW, COMMIT, 1_700_000_001.75)


def test_an_entry_comes_back_as_it_went() -> None:
    entry = written()
    header, payload = entry.encode()
    assert not {"\r", "\n"} & set(header)
    assert Entry.decode("a", 12, header, payload) == replace(entry, serial=12)
    assert (entry.life, entry.created_at, entry.updated_at) == (7, 1_700_000_000.25, 1_700_000_001.75)


def test_no_record_and_an_empty_one_are_told_apart() -> None:
    for data in (None, b""):
        header, payload = replace(written(), row=replace(ROW, data=data)).encode()
        assert Entry.decode("a", 1, header, payload).row.data == data


@pytest.mark.parametrize("cut", [1, 10, 27, 28, 40])
def test_a_payload_of_another_length_is_corrupt(cut: int) -> None:
    header, payload = written().encode()
    for wrong in (payload[:-cut], payload + b"x" * cut):
        with pytest.raises(RecordCorrupt):
            Entry.decode("a", 1, header, wrong)


@pytest.mark.parametrize("header", [None, b"", b"{}", b"[]", b"[1,2]", b'"text"', b"\xff", b"nonsense"])
def test_a_header_that_makes_no_sense_is_corrupt(header: bytes | None) -> None:
    with pytest.raises(RecordCorrupt):
        Entry.decode("a", 1, header, b"")


def test_negative_lengths_are_corrupt() -> None:
    header, payload = written().encode()
    size = len(written().last)
    assert header.endswith(f",7,{size},0]")
    for wrong in (",-28,0]", f",{size},-7]"):
        with pytest.raises(RecordCorrupt):
            Entry.decode("a", 1, header.removesuffix(f",{size},0]") + wrong, payload[: 7 + 28 - 28])
        with pytest.raises(RecordCorrupt):
            Entry.decode("a", 1, header.removesuffix(f",{size},0]") + wrong, payload)


def test_an_entry_of_another_instance_is_corrupt() -> None:
    with pytest.raises(RecordCorrupt, match="another"):
        Entry.decode("b", 1, *written().encode())


def test_an_entry_of_a_later_schema_is_left_alone() -> None:
    header, payload = written().encode()
    assert header.startswith("[1,")
    with pytest.raises(SchemaTooNew):
        Entry.decode("a", 1, header.replace("[1,", "[2,", 1), payload)


def test_fields_that_a_later_version_appends_are_passed_over() -> None:
    header, payload = written().encode()
    assert Entry.decode("a", 1, header[:-1] + ',"later"]', payload).row == ROW


def test_the_journal_recognises_event_keys_and_repeats() -> None:
    entry = written()
    seen = entry.row_for(Acquire("a", "other", 1.0, '["s","1"]')).consumed
    assert seen is not None
    assert (seen.version, seen.produced, seen.at) == (1, b'[{"n":1}]', 1_700_000_001.75)
    assert entry.row_for(Acquire("a", "other", 1.0, '["s","2"]')) == ROW
    repeat = entry.row_for(COMMIT).written
    assert repeat is not None
    assert (repeat.token, repeat.digest) == (COMMIT.token, COMMIT.digest)
    for other in (
        replace(COMMIT, token="other"),
        replace(COMMIT, digest=b"e" * 16),
        replace(COMMIT, expected=1),
    ):
        assert entry.row_for(other).written is None


def test_an_event_key_is_found_only_where_a_slot_begins() -> None:
    entry = written()
    for n in range(2, 40):
        commit = replace(COMMIT, expected=n - 1, event_key=f"k{n}")
        entry = entry.written(replace(ROW, version=n), commit, 1_700_000_000.0 + n)
    shifted = replace(entry, slots=entry.slots[1:] + b"x")
    for n in range(2, 40):
        consumed = entry.row_for(Acquire("a", "t", 1.0, f"k{n}")).consumed
        assert consumed is not None
        assert consumed.version == n
        assert shifted.row_for(Acquire("a", "t", 1.0, f"k{n}")).consumed is None


# --- the clock --------------------------------------------------------------------------------------------------


def test_the_clock_is_off_by_half_a_round_trip_at_most() -> None:
    clock = ServerClock()
    assert not clock.is_fresh(0.0)
    clock.sample(1_000.0, sent_at=5.0, received_at=5.2)  # stamped anywhere between
    assert 1_000.0 <= clock.now(5.2) <= 1_000.2
    assert clock.now(5.2) == pytest.approx(1_000.1)
    assert clock.is_fresh(15.1)
    assert not clock.is_fresh(15.3)


def test_a_slow_sample_does_not_spoil_a_good_one() -> None:
    clock = ServerClock()
    clock.sample(1_000.0, sent_at=5.0, received_at=5.001)
    before = clock.now(6.0)
    clock.sample(1_001.9, sent_at=6.0, received_at=8.0)
    assert clock.now(6.0) == pytest.approx(before, abs=0.002)


def test_a_server_clock_that_was_set_is_followed_at_once() -> None:
    for step in (-3_600.0, 3_600.0):
        clock = ServerClock()
        clock.sample(1_000_000.0, sent_at=5.0, received_at=5.002)
        clock.sample(1_000_001.0 + step, sent_at=6.0, received_at=6.002)
        assert clock.now(6.0) == pytest.approx(1_000_001.0 + step, abs=0.002)


# --- the cache --------------------------------------------------------------------------------------------------


def test_the_cache_is_bounded_and_forgets_what_was_not_used() -> None:
    cache = Cache()
    large = replace(written(), row=replace(ROW, data=b"x" * 1024 * 1024))
    for n in range(15):
        cache.put(f"{n}", Seen(n, large))
        assert cache.get("0") is not None
    cache.put("15", Seen(15, large))
    assert cache.get("0") is not None
    assert cache.get("1") is None
    cache.put("huge", Seen(16, replace(large, row=replace(ROW, data=b"x" * 17 * 1024 * 1024))))
    assert cache.get("huge") is None
    cache.put("a", Seen(17, large))
    cache.drop("a")
    assert cache.get("a") is None


@pytest.mark.parametrize("part", ["last", "older", "slots"])
def test_the_cache_counts_all_that_an_entry_holds(part: str) -> None:
    cache = Cache()
    for n in range(17):
        cache.put(f"{n}", Seen(n, replace(written(), **{part: b"x" * 1024 * 1024})))
    assert cache.get("0") is None


# --- options ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "wanted", "bucket"),
    [
        ("nats://localhost", Address(servers=("localhost:4222",)), ""),
        ("nats://a:1,b:2/flows", Address(servers=("a:1", "b:2")), "flows"),
        ("nats://u:p%40s%2Fs@h/x/", Address(servers=("h:4222",), user="u", password="p@s/s"), "x"),
        ("nats://secret@h", Address(servers=("h:4222",), token="secret"), ""),
        ("nats://[::1]:99", Address(servers=("[::1]:99",)), ""),
        ("nats://[::1]", Address(servers=("[::1]:4222",)), ""),
    ],
)
def test_urls(url: str, wanted: Address, bucket: str) -> None:
    assert address_of(url, credentials=None, tls=False) == (wanted, bucket)


@pytest.mark.parametrize(
    "url",
    [
        "nats://",
        "nats:///b",
        "nats://h:0",
        "nats://h:65536",
        "nats://h:x",
        "nats://@h",
        "nats://a,,b",
        "redis://h",
    ],
)
def test_bad_urls_are_refused(url: str) -> None:
    with pytest.raises(InvalidOption, match="url"):
        NatsMachineMemory(url)


def test_a_bad_url_is_not_repeated() -> None:
    with pytest.raises(InvalidOption) as caught:
        NatsMachineMemory("nats://user:s3cret@host:port")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("bucket", "a.b"),
        ("bucket", ""),
        ("bucket", "x" * 129),
        ("bucket", 7),
        ("replicas", 2),
        ("replicas", "x"),
        ("storage", "disk"),
        ("credentials", ""),
        ("tls", "yes"),
        ("tls", []),
        ("lease_ttl_s", 0.5),
        ("nonsense", 1),
    ],
)
def test_bad_options_are_refused(option: str, value: Any) -> None:
    with pytest.raises(InvalidOption) as caught:
        open_nats("nats://localhost", **{option: value})
    assert caught.value.option == option


def test_options_stand_in_the_url_too() -> None:
    memory = open_memory("nats://localhost/flows?replicas=3&storage=memory&tls=false&lease_ttl_s=5")
    assert isinstance(memory, NatsMachineMemory)


def test_a_bucket_is_named_once() -> None:
    with pytest.raises(InvalidOption, match="bucket"):
        NatsMachineMemory("nats://localhost/a", bucket="b")
    with pytest.raises(InvalidOption, match="bucket"):
        NatsMachineMemory("nats://localhost/a.b")
    NatsMachineMemory("nats://localhost/a", bucket="a")


def test_either_a_url_or_a_client() -> None:
    with pytest.raises(InvalidOption, match="not both"):
        NatsMachineMemory()  # type: ignore[call-overload] - what callers without a type checker may write


# --- faults -----------------------------------------------------------------------------------------------------


def test_only_a_sent_write_may_be_unknown() -> None:
    assert isinstance(write_fault(Silence.TIMED_OUT), WriteOutcomeUnknown)
    assert isinstance(write_fault(Silence.DISCONNECTED), WriteOutcomeUnknown)
    for why in (Silence.NOT_SENT, Silence.NO_RESPONDERS, ApiError(503, 10008, "unavailable")):
        fault = write_fault(why)
        assert isinstance(fault, MemoryUnavailable)
        assert fault.transient
    for why in Silence:
        assert isinstance(read_fault(why), MemoryUnavailable)


def test_a_full_bucket_is_no_transient_fault() -> None:
    fault = write_fault(ApiError(400, 10077, "maximum bytes exceeded"))
    assert isinstance(fault, MemoryUnavailable)
    assert not fault.transient
    assert "full" in str(fault)


def test_conflicts() -> None:
    assert is_conflict(ApiError(400, 10071, "wrong last sequence: 1"))
    assert is_conflict(ApiError(400, 10164, "wrong last sequence"))
    assert not is_conflict(ApiError(404, 10037, "no message found"))


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (nats.errors.NoServersError(), True),
        (ConnectionRefusedError(111, "refused"), True),
        (TimeoutError(), True),
        (nats.errors.AuthorizationError(), False),
        (nats.errors.Error("nats: 'Authorization Violation'"), False),
    ],
)
def test_connecting(error: BaseException, transient: bool) -> None:
    fault = connect_fault(error, "nats://h:1")
    assert isinstance(fault, MemoryUnavailable)
    assert fault.transient == transient
    assert fault.__cause__ is error
    assert "nats://h:1" in str(fault)


# --- the driver -------------------------------------------------------------------------------------------------


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_driver_is_imported_for_nats_only() -> None:
    code = "import sys, pyarvo, pyarvo.memory; print('nats' in sys.modules, 'nats.aio' in sys.modules)"
    assert run_python(code).split() == ["False", "False"]


def test_a_missing_driver_is_named_with_its_extra() -> None:
    code = (
        "import sys; sys.modules['nats'] = None\n"
        "from pyarvo.memory import open_memory\n"
        "try: open_memory('nats://localhost')\n"
        "except ImportError as error: print(error)"
    )
    assert "pip install 'pyarvo[nats]'" in run_python(code)
