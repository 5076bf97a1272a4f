"""Codecs: what rests in the store, what opens it, and every way of tampering that must be found."""

# It looks into stores and changes them from inside.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pyarvo.errors import InvalidOption, MemoryFault, RecordCorrupt, WriteOutcomeUnknown
from pyarvo.memory import Find, LeasedMemory, MemoryOptions, Step, open_memory
from pyarvo.memory.codec import digest_of, encode_produced, encode_record
from pyarvo.memory.codecs import KEYS_VARIABLE, Cipher, Codec, KeyRing, Sealed, Where, Zstd
from pyarvo.memory.decide import Commit, Op, Outcome
from pyarvo.memory.simple import SimpleBackend
from pyarvo.memory.sqlite.backend import SqliteBackend

OLD, NEW, STRANGE = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
ONE = KeyRing(current="2025", keys={"2025": OLD})
BOTH = KeyRing(current="2026", keys={"2026": NEW, "2025": OLD})
SECRET = "4111-1111-1111-1111"
RECORD = {"executionStatus": "normal", "status": "active", "card": SECRET, "note": "n" * 3_000}
EVENT = {"type": "com.shop.pay", "data": {"card": SECRET, "note": "e" * 3_000}}
LIMIT = 1024 * 1024


class Shelf:
    """One store of a kind, opened with any options, and changed behind the back of all memories."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.kind = kind
        self.path = directory / "shelf.db"
        self.simple = SimpleBackend(MemoryOptions(history=5))
        self.opened: list[LeasedMemory] = []

    def open(self, codec: Codec | str | None, **options: Any) -> LeasedMemory:
        parsed = MemoryOptions(codec=codec, history=5, **options)
        backend = (
            self.simple
            if self.kind == "memory"
            else SqliteBackend(str(self.path), parsed, "normal", lambda: 1_700_000_000.0)
        )
        self.opened.append(LeasedMemory(backend, parsed))
        return self.opened[-1]

    def sql(self, statement: str, *values: Any) -> list[Any]:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def record(self, id: str) -> bytes:
        if self.kind == "memory":
            return self.simple._entries[id].row.data or b""
        ((raw,),) = self.sql("SELECT data FROM record JOIN instance USING (serial) WHERE id = ?", id)
        return raw

    def set_record(self, id: str, raw: bytes) -> None:
        if self.kind == "memory":
            entry = self.simple._entries[id]
            entry.row = replace(entry.row, data=raw)
        else:
            self.sql(
                "UPDATE record SET data = ? WHERE serial = (SELECT serial FROM instance WHERE id = ?)",
                raw,
                id,
            )

    def set_version(self, id: str, version: int) -> None:
        if self.kind == "memory":
            entry = self.simple._entries[id]
            entry.row = replace(entry.row, version=version)
        else:
            self.sql("UPDATE instance SET version = ? WHERE id = ?", version, id)

    def produced(self, id: str) -> dict[int, bytes]:
        if self.kind == "memory":
            entries = self.simple._entries[id].by_version
            return {version: entry.produced or b"" for version, entry in entries.items()}
        return dict(
            self.sql("SELECT s.version, produced FROM step s JOIN instance USING (serial) WHERE id = ?", id)
        )

    def set_produced(self, id: str, version: int, raw: bytes) -> None:
        if self.kind == "memory":
            entry = self.simple._entries[id]
            changed = replace(entry.by_version[version], produced=raw)
            entry.by_version[version] = changed
            entry.by_key[changed.event_key or ""] = changed
        else:
            self.sql(
                "UPDATE step SET produced = ? WHERE version = ? AND serial = (SELECT serial FROM instance WHERE id = ?)",
                *(raw, version, id),
            )

    def digests(self, id: str) -> list[bytes]:
        if self.kind == "memory":
            return [entry.digest for entry in self.simple._entries[id].by_version.values()]
        return [
            row[0]
            for row in self.sql("SELECT digest FROM step JOIN instance USING (serial) WHERE id = ?", id)
        ]

    async def close(self) -> None:
        for memory in self.opened:
            await memory.close()


@pytest.fixture(params=["memory", "sqlite"])
async def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shelf]:
    made = Shelf(request.param, tmp_path)
    yield made
    await made.close()


async def step(memory: LeasedMemory, id: str, key: str, record: dict[str, Any] | None = None) -> int:
    lease = await memory.acquire(id, event_key=["shop", key])
    assert lease is not None
    return await memory.commit(lease, record or RECORD, step=Step(f'["shop","{key}"]', (EVENT,)))


CODECS: dict[str, Callable[[], Codec | str | None]] = {
    "json": lambda: "json",
    "zstd": Zstd,
    "aes": lambda: Sealed(ONE),
    "chacha": lambda: Sealed(ONE, cipher="chacha20-poly1305"),
    "zstd+aes": lambda: Sealed(ONE, compress=Zstd()),
}
FIRST_BYTES = {"json": b"{[", "zstd": b"\x01", "aes": b"\x02", "chacha": b"\x03", "zstd+aes": b"\x02"}


# --- what rests -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CODECS)
async def test_records_steps_and_history_come_back(shelf: Shelf, name: str) -> None:
    memory = shelf.open(CODECS[name]())
    await step(memory, "one", "a")
    await step(memory, "one", "b", {"status": "active", "n": 2})

    assert await memory.read("one") == {"status": "active", "n": 2}
    lease = await memory.acquire("one")
    assert lease is not None
    assert (lease.data, lease.version) == ({"status": "active", "n": 2}, 2)
    assert await memory.release(lease)
    assert await memory.history("one") == ((1, RECORD),)
    assert [entry.produced for entry in await memory.journal("one")] == [(EVENT,), (EVENT,)]
    replay = await memory.acquire("one", event_key=["shop", "a"])
    assert replay is not None
    assert replay.replay is not None
    assert replay.replay.produced == (EVENT,)
    found = await memory.get("one")
    assert found is not None
    assert found.data == {"status": "active", "n": 2}


@pytest.mark.parametrize("name", CODECS)
async def test_bytes_at_rest_start_with_json_or_a_tag(shelf: Shelf, name: str) -> None:
    await step(shelf.open(CODECS[name]()), "one", "a")
    assert shelf.record("one")[:1] in {bytes((first,)) for first in FIRST_BYTES[name]}
    assert shelf.produced("one")[1][:1] in {bytes((first,)) for first in FIRST_BYTES[name]}
    sealed = b"\x02" in FIRST_BYTES[name] or b"\x03" in FIRST_BYTES[name]
    assert (SECRET.encode() in shelf.record("one")) == (name == "json")
    assert sealed == (name in {"aes", "chacha", "zstd+aes"})


async def test_zstd_leaves_small_records_and_makes_large_ones_smaller(shelf: Shelf) -> None:
    memory = shelf.open("zstd:2000")
    await step(memory, "small", "a", {"note": "n" * 1_000})
    await step(memory, "large", "a", {"note": "n" * 3_000})
    assert shelf.record("small")[:1] == b"{"
    assert shelf.record("large")[:1] == b"\x01"
    assert len(shelf.record("large")) < 200


def test_what_compression_would_make_larger_stays_as_it_is() -> None:
    short = orjson.dumps({"a": 1})
    assert Zstd(above=0).encode(short, Where("one", 1)) == short


async def test_sealed_records_differ_each_time_and_the_file_shows_nothing(tmp_path: Path) -> None:
    shelf = Shelf("sqlite", tmp_path)
    memory = shelf.open(Sealed(ONE))
    await step(memory, "one", "a")
    first = shelf.record("one")
    await step(memory, "one", "b")
    assert shelf.record("one") != first
    await shelf.close()
    stored = _all_bytes(tmp_path)
    assert b"one" in stored
    assert SECRET.encode() not in stored


def _all_bytes(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir())


async def test_labels_are_taken_before_sealing(shelf: Shelf) -> None:
    memory = shelf.open(Sealed(ONE))
    await step(memory, "one", "a")
    page = await memory.instances(Find(status="active"))
    assert [instance.id for instance in page.items] == ["one"]


async def test_the_record_limit_is_that_of_the_json(shelf: Shelf) -> None:
    memory = shelf.open(Sealed(ONE), record_limit=2_048)
    just = {"note": "n" * (2_048 - len('{"note":""}'))}
    lease = await memory.acquire("one")
    assert lease is not None
    await memory.commit(lease, just)
    assert await memory.read("one") == just


# --- repeats (C9) ---------------------------------------------------------------------------------------------


class Deaf(SimpleBackend):
    """Applies commits, and says for the first that it does not know."""

    asked = 0

    async def execute(self, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        outcomes = await super().execute(ops)
        if isinstance(ops[0], Commit):
            self.asked += 1
            if self.asked == 1:
                raise WriteOutcomeUnknown("the answer was lost")
        return outcomes


async def test_a_repeat_recognises_itself_although_it_is_sealed_anew() -> None:
    options = MemoryOptions(codec=Sealed(BOTH))
    backend = Deaf(options)
    async with LeasedMemory(backend, options) as memory:
        lease = await memory.acquire("one")
        assert lease is not None
        with pytest.raises(WriteOutcomeUnknown):
            await memory.commit(lease, RECORD, step=Step('["shop","a"]', (EVENT,)))
        stored = backend._entries["one"].row.data
        assert await memory.commit(lease, RECORD, step=Step('["shop","a"]', (EVENT,))) == 1
        assert backend._entries["one"].row.data is stored
        assert await memory.read("one") == RECORD
    assert backend.asked == 2


async def test_the_stored_digest_is_no_oracle_for_guesses(shelf: Shelf) -> None:
    await step(shelf.open(Sealed(ONE)), "one", "a")
    guess = digest_of(
        encode_record(RECORD, limit=LIMIT),
        '["shop","a"]',
        encode_produced(Step('["shop","a"]', (EVENT,)), limit=LIMIT),
    )
    (stored,) = shelf.digests("one")
    assert stored != guess
    assert stored == Sealed(ONE).digest(guess)
    assert stored != Sealed(BOTH).digest(guess)


# --- keys -----------------------------------------------------------------------------------------------------


async def test_keys_rotate_without_downtime(shelf: Shelf) -> None:
    before = shelf.open(Sealed(ONE))
    prepared = shelf.open(Sealed(KeyRing(current="2025", keys={"2025": OLD, "2026": NEW})))
    after = shelf.open(Sealed(BOTH))
    await step(before, "one", "a")
    assert await after.read("one") == RECORD
    assert b"2025" in shelf.record("one")[:8], "reading seals nothing anew"

    await step(after, "one", "b")
    assert b"2026" in shelf.record("one")[:8], "the next commit does"
    assert await prepared.read("one") == RECORD
    assert [len(entry.produced) for entry in await prepared.journal("one")] == [1, 1]
    with pytest.raises(RecordCorrupt, match="'2026', which the key ring lacks"):
        await before.read("one")


async def test_both_ciphers_open_whichever_seals(shelf: Shelf) -> None:
    await step(shelf.open(Sealed(ONE)), "one", "a")
    other = shelf.open(Sealed(ONE, cipher=Cipher.CHACHA20_POLY1305))
    assert await other.read("one") == RECORD
    await step(other, "one", "b")
    assert shelf.record("one")[:1] == b"\x03"
    assert await shelf.open(Sealed(ONE)).read("one") == RECORD


async def test_a_store_of_plain_records_is_sealed_commit_by_commit(shelf: Shelf) -> None:
    await step(shelf.open("zstd"), "one", "a")
    migrating = shelf.open(Sealed(ONE, accept_unsealed=True))
    assert await migrating.read("one") == RECORD
    await step(migrating, "one", "b")
    assert shelf.record("one")[:1] == b"\x02"
    strict = shelf.open(Sealed(ONE))
    assert await strict.read("one") == RECORD
    with pytest.raises(RecordCorrupt, match="not sealed"):
        await strict.journal("one")


# --- tampering in the store -----------------------------------------------------------------------------------

TAMPERED: dict[str, Callable[[Shelf], None]] = {
    "bit flip": lambda shelf: shelf.set_record(
        "one", shelf.record("one")[:-20] + bytes((shelf.record("one")[-20] ^ 1,)) + shelf.record("one")[-19:]
    ),
    "truncation": lambda shelf: shelf.set_record("one", shelf.record("one")[:-1]),
    "cut to the head": lambda shelf: shelf.set_record("one", shelf.record("one")[:10]),
    "nothing left": lambda shelf: shelf.set_record("one", b""),
    "row swap": lambda shelf: shelf.set_record("one", shelf.record("two")),
    "version swap": lambda shelf: shelf.set_version("one", 1),
    "key id swap": lambda shelf: shelf.set_record("one", shelf.record("one").replace(b"2026", b"2025", 1)),
    "cipher swap": lambda shelf: shelf.set_record("one", b"\x03" + shelf.record("one")[1:]),
    "plain text": lambda shelf: shelf.set_record("one", orjson.dumps(RECORD)),
    "compressed plain text": lambda shelf: shelf.set_record(
        "one", Zstd().encode(orjson.dumps(RECORD), Where("one", 2))
    ),
    "unknown tag": lambda shelf: shelf.set_record("one", b"\x7f" + shelf.record("one")[1:]),
    "a step's events for a record": lambda shelf: shelf.set_record("one", shelf.produced("one")[2]),
}


@pytest.mark.parametrize("how", TAMPERED)
async def test_a_record_that_was_tampered_with_is_corrupt_for_every_reader(shelf: Shelf, how: str) -> None:
    memory = shelf.open(Sealed(BOTH))
    for id in ("one", "two"):
        await step(memory, id, "a")
        await step(memory, id, "b")
    TAMPERED[how](shelf)
    for reading in (memory.read, memory.get, memory.acquire, memory.lock):
        with pytest.raises(RecordCorrupt) as caught:
            await reading("one")
        assert caught.value.id == "one"
        assert SECRET not in str(caught.value)
    await memory.close()
    other = shelf.open(Sealed(BOTH))
    assert await other.read("two") == RECORD
    assert await other.count(Find(held=True)) == 0, "what could not be read is given back"


async def test_a_key_of_the_same_name_does_not_open(shelf: Shelf) -> None:
    await step(shelf.open(Sealed(ONE)), "one", "a")
    with pytest.raises(RecordCorrupt, match="do not open"):
        await shelf.open(Sealed(KeyRing(current="2025", keys={"2025": STRANGE}))).read("one")


def flipped(sealed: bytes) -> bytes:
    return sealed[:-1] + bytes([sealed[-1] ^ 1])


SWAPPED: dict[str, Callable[[Shelf], None]] = {
    "bit flip": lambda shelf: shelf.set_produced("one", 1, flipped(shelf.produced("one")[1])),
    "events of another step": lambda shelf: shelf.set_produced("one", 1, shelf.produced("one")[2]),
    "events of another instance": lambda shelf: shelf.set_produced("one", 1, shelf.produced("two")[1]),
    "plain events": lambda shelf: shelf.set_produced("one", 1, orjson.dumps([EVENT])),
}


@pytest.mark.parametrize("how", SWAPPED)
async def test_events_of_a_step_that_were_tampered_with_are_corrupt(shelf: Shelf, how: str) -> None:
    memory = shelf.open(Sealed(ONE))
    for id in ("one", "two"):
        await step(memory, id, "a")
        await step(memory, id, "b")
    SWAPPED[how](shelf)
    with pytest.raises(RecordCorrupt):
        await memory.journal("one")
    with pytest.raises(RecordCorrupt):
        await memory.acquire("one", event_key=["shop", "a"])
    assert len(await memory.journal("two")) == 2


async def test_a_record_is_not_taken_for_the_events_of_the_step_that_made_it(shelf: Shelf) -> None:
    memory = shelf.open(Sealed(ONE))
    await step(memory, "one", "a")
    shelf.set_produced("one", 1, shelf.record("one"))
    with pytest.raises(RecordCorrupt, match="do not open"):
        await memory.journal("one")


async def test_the_keys_of_events_cannot_change_places(tmp_path: Path) -> None:
    shelf = Shelf("sqlite", tmp_path)
    memory = shelf.open(Sealed(ONE))
    await step(memory, "one", "a")
    shelf.sql("UPDATE step SET event_key = ?", '["shop","b"]')
    with pytest.raises(RecordCorrupt):
        await memory.acquire("one", event_key=["shop", "b"])
    await shelf.close()


def test_the_id_of_the_key_is_bound_too() -> None:
    twice = Sealed(KeyRing(current="a", keys={"a": OLD, "b": OLD}))
    stored = twice.encode(b"{}", Where("one", 1))
    assert twice.decode(stored, Where("one", 1), limit=LIMIT) == b"{}"
    with pytest.raises(RecordCorrupt, match="do not open"):
        twice.decode(stored.replace(b"\x01a", b"\x01b", 1), Where("one", 1), limit=LIMIT)


def test_record_and_step_are_bound_by_what_they_are() -> None:
    sealed = Sealed(ONE)
    for mine, other in (
        (Where("one", 1), Where("one", 1, "")),
        (Where("one", 1, "a"), Where("one", 1, "b")),
        (Where("one", 1, "a"), Where("one", 1)),
        (Where("one", 1), Where("onerecord", 1)),
    ):
        with pytest.raises(RecordCorrupt, match="do not open"):
            sealed.decode(sealed.encode(b"{}", mine), other, limit=LIMIT)


async def test_earlier_records_cannot_change_places(tmp_path: Path) -> None:
    shelf = Shelf("sqlite", tmp_path)
    memory = shelf.open(Sealed(ONE))
    for key in ("a", "b", "c"):
        await step(memory, "one", key)
    assert len(await memory.history("one")) == 2
    shelf.sql("UPDATE history SET data = (SELECT data FROM history WHERE version = 2) WHERE version = 1")
    with pytest.raises(RecordCorrupt):
        await memory.history("one")
    await shelf.close()


@pytest.mark.parametrize("name", ["zstd", "aes"])
async def test_a_memory_without_the_codec_calls_it_corrupt(shelf: Shelf, name: str) -> None:
    await step(shelf.open(CODECS[name]()), "one", "a")
    for other in ("json", "zstd" if name == "aes" else "json"):
        with pytest.raises(RecordCorrupt, match="another codec"):
            await shelf.open(other).read("one")


# --- tampering, any ------------------------------------------------------------------------------------------

JSON_TEXT = st.dictionaries(
    st.text(max_size=8), st.text(max_size=300) | st.integers(-(2**53), 2**53), max_size=6
)
PLACES = st.builds(
    Where,
    st.text(min_size=1, max_size=40),
    st.integers(1, 2**40),
    st.none() | st.text(max_size=20),
)
SEALERS = [Sealed(BOTH), Sealed(BOTH, cipher="chacha20-poly1305"), Sealed(BOTH, compress=Zstd(above=64))]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([*SEALERS, Zstd(above=0)]), JSON_TEXT, PLACES)
def test_whatever_goes_in_comes_out(codec: Codec, record: dict[str, Any], where: Where) -> None:
    plain = orjson.dumps(record)
    assert codec.decode(codec.encode(plain, where), where, limit=LIMIT) == plain


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SEALERS), JSON_TEXT, PLACES, st.data())
def test_no_changed_bit_no_other_place_and_no_part_opens(
    codec: Sealed, record: dict[str, Any], where: Where, data: st.DataObject
) -> None:
    stored = codec.encode(orjson.dumps(record), where)
    bit = data.draw(st.integers(0, len(stored) * 8 - 1), "bit")
    flipped = bytearray(stored)
    flipped[bit // 8] ^= 1 << bit % 8
    length = data.draw(st.integers(0, len(stored) - 1), "length")
    tail = data.draw(st.binary(min_size=1, max_size=20), "tail")
    elsewhere = data.draw(PLACES.filter(lambda other: other != where), "elsewhere")
    for tampered, place in (
        (bytes(flipped), where),
        (stored[:length], where),
        (stored + tail, where),
        (stored, elsewhere),
    ):
        with pytest.raises(RecordCorrupt):
            codec.decode(tampered, place, limit=LIMIT)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", b"\x01", b"\x02", b"\x03", b"\x02\x042026"]))
def test_any_bytes_are_corrupt_or_json_never_another_error(noise: bytes, head: bytes) -> None:
    with pytest.raises(RecordCorrupt):
        SEALERS[0].decode(head + noise, Where("one", 1), limit=LIMIT)


@settings(max_examples=100, deadline=None)
@given(JSON_TEXT.filter(len), st.data())
def test_a_compressed_record_with_a_changed_bit_is_corrupt(
    record: dict[str, Any], data: st.DataObject
) -> None:
    plain = orjson.dumps({**record, "note": "n" * 500})  # the note last, whatever hypothesis calls its keys
    stored = bytearray(Zstd(above=0).encode(plain, Where("one", 1)))
    bit = data.draw(st.integers(8, len(stored) * 8 - 1), "bit")
    stored[bit // 8] ^= 1 << bit % 8
    try:
        opened = Zstd().decode(bytes(stored), Where("one", 1), limit=LIMIT)
    except RecordCorrupt:
        return
    assert opened == plain, "a bit that nobody reads (the frame has spare ones) changes nothing"


# --- decompression -------------------------------------------------------------------------------------------


async def test_what_says_it_becomes_larger_than_the_limit_is_not_decompressed(shelf: Shelf) -> None:
    memory = shelf.open("zstd", record_limit=LIMIT)
    await step(memory, "one", "a")
    bomb = b"\x01" + zstandard.ZstdCompressor().compress(bytes(64 * LIMIT))
    assert len(bomb) < 20_000
    shelf.set_record("one", bomb)
    with pytest.raises(RecordCorrupt, match="67,108,864, the limit is 1,048,576"):
        await memory.read("one")


@pytest.mark.parametrize(
    "frame",
    [
        zstandard.ZstdCompressor(write_content_size=False).compress(b"{}"),
        zstandard.ZstdCompressor().compress(b"{}") + b"more",
        b"",
        b"\x28\xb5\x2f\xfd",
        b"no frame",
    ],
    ids=["no size", "more behind it", "empty", "magic only", "noise"],
)
def test_frames_that_we_do_not_write_are_corrupt(frame: bytes) -> None:
    with pytest.raises(RecordCorrupt):
        Zstd().decode(b"\x01" + frame, Where("one", 1), limit=LIMIT)


def test_a_bomb_under_a_seal_is_not_decompressed_either() -> None:
    class Sly(Zstd):
        def encode(self, plain: bytes, where: Where) -> bytes:
            return b"\x01" + zstandard.ZstdCompressor().compress(plain)

    stored = Sealed(ONE, compress=Sly()).encode(bytes(2 * LIMIT), Where("one", 1))
    with pytest.raises(RecordCorrupt, match="the limit is"):
        Sealed(ONE).decode(stored, Where("one", 1), limit=LIMIT)


# --- options -------------------------------------------------------------------------------------------------


async def test_codecs_have_names_in_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEYS_VARIABLE, f"2026:{b64encode(NEW).decode()},2025:{b64encode(OLD).decode()}")
    path = tmp_path / "named.db"
    async with open_memory(f"sqlite:///{path}?codec=sealed") as memory:
        await step(memory, "one", "a")
    async with open_memory(f"sqlite:///{path}", codec=Sealed(BOTH)) as memory:
        assert await memory.read("one") == RECORD
    async with open_memory("memory://?codec=zstd:100") as memory:
        await step(memory, "one", "a")
        assert await memory.read("one") == RECORD


@pytest.mark.parametrize(
    "value",
    ["gzip", "zstd:", "zstd:-1", "zstd:1e9", "zstd:99999999999", "sealed:" + "k" * 44, "k" * 44, "", 7, Zstd],
    ids=str,
)
def test_what_names_no_codec_is_refused_and_not_shown(value: Any) -> None:
    with pytest.raises(InvalidOption, match="keys never stand in a URL") as caught:
        MemoryOptions(codec=value)
    assert "kkkk" not in str(caught.value)


def test_sealed_without_keys_says_where_they_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEYS_VARIABLE, raising=False)
    with pytest.raises(InvalidOption, match=KEYS_VARIABLE):
        open_memory("memory://?codec=sealed")


@pytest.mark.parametrize(
    "make",
    [
        lambda: KeyRing(current="a", keys={}),
        lambda: KeyRing(current="b", keys={"a": OLD}),
        lambda: KeyRing(current="a", keys={"a": OLD[:31]}),
        lambda: KeyRing(current="a", keys={"a": "x" * 32}),  # type: ignore[dict-item]  # what a user may do
        lambda: KeyRing(current="a:b", keys={"a:b": OLD}),
        lambda: KeyRing(current="ä", keys={"ä": OLD}),
        lambda: KeyRing(current="", keys={"": OLD}),
        lambda: KeyRing(current="k" * 65, keys={"k" * 65: OLD}),
        lambda: KeyRing.from_text(""),
        lambda: KeyRing.from_text("a"),
        lambda: KeyRing.from_text("a:nobase64!"),
        lambda: KeyRing.from_text("a:äää"),
        lambda: KeyRing.from_text(f"a:{b64encode(OLD).decode()},a:{b64encode(NEW).decode()}"),
        lambda: Sealed({"a": OLD}),  # type: ignore[arg-type]  # what a user may do
        lambda: Sealed(ONE, cipher="rot13"),
        lambda: Zstd(above=-1),
        lambda: Zstd(level=20),
    ],
)
def test_bad_keys_and_options_are_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(InvalidOption):
        make()


def test_a_key_given_in_the_place_of_its_id_is_not_shown_whole() -> None:
    secret = b64encode(STRANGE).decode()
    with pytest.raises(InvalidOption) as caught:
        KeyRing.from_text(f"{secret}:")
    assert secret[:10] not in str(caught.value)


def test_nothing_prints_a_key() -> None:
    options = MemoryOptions(codec=Sealed(BOTH))
    for shown in (repr(BOTH), str(BOTH), repr(options.codec), repr(options)):
        assert "2026" in shown
        assert repr(NEW)[2:20] not in shown
        assert NEW.hex()[:8] not in shown


@pytest.mark.parametrize(
    ("library", "make", "extra"),
    [("zstandard", Zstd, "pyarvo\\[zstd\\]"), ("cryptography", lambda: Sealed(ONE), "pyarvo\\[crypto\\]")],
)
def test_a_library_that_is_missing_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, library: str, make: Callable[[], Any], extra: str
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InvalidOption, match=extra):
        make()


def test_the_example_of_the_page_runs_as_it_stands(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "codecs.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    command = [sys.executable, "-W", "error", "-c", example]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "{'card': '4111-1111-1111-1111'}\n"
    assert b"4111" not in _all_bytes(tmp_path)


class Broken:
    """A codec of somebody else's that opens nothing, and says so in its own way."""

    def encode(self, plain: bytes, where: Where) -> bytes:
        del where
        return plain

    def decode(self, stored: bytes, where: Where, *, limit: int) -> bytes:
        raise ZeroDivisionError(stored, where, limit)

    def digest(self, plain: bytes) -> bytes:
        return plain


async def test_a_lease_whose_record_a_codec_fails_to_open_is_given_back() -> None:
    async with open_memory("memory://", codec=Broken()) as memory:
        lease = await memory.acquire("a")
        assert lease is not None
        await memory.commit(lease, {"n": 1})
        for _ in range(2):  # who is denied is told None
            with pytest.raises(ZeroDivisionError):
                await memory.acquire("a")
