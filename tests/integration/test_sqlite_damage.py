"""SQLite files that are damaged, foreign, locked, read-only, or have no room: typed faults, and nothing made worse."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic

import pytest

from pyarvo.errors import (
    ForeignStore,
    MemoryFault,
    MemoryUnavailable,
    RecordCorrupt,
    SchemaTooNew,
    WriteOutcomeUnknown,
)
from pyarvo.memory import SqliteMachineMemory, Step
from pyarvo.memory.sqlite.connection import SCHEMA_VERSION
from pyarvo.memory.sqlite.faults import fault_of

from .test_sqlite_processes import Process, Start, start

__all__ = ["start"]

IDS = [f"a{n}" for n in range(12)]


def record(id: str) -> dict[str, str]:
    return {"id": id, "padding": id * 1_500}


@pytest.fixture
async def file(tmp_path: Path) -> Path:
    """A file of a few dozen pages, closed and whole."""
    path = tmp_path / "memory.db"
    async with SqliteMachineMemory(path) as memory:
        for id in IDS:
            lease = await memory.acquire(id)
            assert lease is not None
            await memory.commit(lease, record(id), step=Step("k", (record(id),)))
    assert not path.with_name("memory.db-wal").exists()
    return path


def content(path: Path) -> bytes:
    return path.read_bytes()


def put(path: Path, raw: bytes | bytearray) -> None:
    path.write_bytes(raw)


async def fault_at(path: Path, id: str = "a0") -> MemoryFault:
    """The fault that reading and writing both meet."""
    async with SqliteMachineMemory(path, deadline_s=0.4, lock_attempts=1) as memory:
        with pytest.raises(MemoryFault) as read:
            await memory.read(id)
        with pytest.raises(MemoryFault) as acquired:
            await memory.acquire(id)
        with pytest.raises(MemoryFault) as pinged:
            await memory.ping()
    assert type(read.value) is type(acquired.value) is type(pinged.value)
    assert (read.value.id, read.value.operation) == (id, "read")
    assert str(path) in str(pinged.value)
    return acquired.value


# --- damage -----------------------------------------------------------------------------------------------------


async def test_a_damaged_header_is_corrupt_and_left_as_it_is(file: Path) -> None:
    raw = bytearray(content(file))
    raw[:60] = os.urandom(60)
    put(file, raw)
    fault = await fault_at(file)
    assert isinstance(fault, RecordCorrupt)
    assert isinstance(fault.__cause__, sqlite3.Error)
    assert content(file) == raw


async def test_damaged_pages_never_make_a_record_absent_or_another(file: Path) -> None:
    whole = content(file)
    page = int.from_bytes(whole[16:18], "big")
    faults = 0
    for number in range(1, len(whole) // page):
        damaged = bytearray(whole)
        damaged[number * page : (number + 1) * page] = b"\xff" * page
        put(file, damaged)
        async with SqliteMachineMemory(file, lock_attempts=1, deadline_s=0.4) as memory:
            for id in IDS:
                try:
                    assert await memory.read(id) == record(id)
                except (RecordCorrupt, MemoryUnavailable):
                    faults += 1
            for id in IDS[:2]:
                try:
                    lease = await memory.acquire(id, event_key="other")
                    assert lease is not None
                    assert (lease.version, lease.data) == (1, record(id))
                    replay = await memory.acquire(id, event_key="k")
                    assert replay is not None
                    assert replay.replay is not None
                    assert replay.replay.produced == (record(id),)
                    assert await memory.commit(lease, {"n": 2}) == 2
                    assert await memory.read(id) == {"n": 2}
                except (RecordCorrupt, MemoryUnavailable):
                    faults += 1
    assert faults > len(IDS)


async def test_a_file_cut_off_is_corrupt(file: Path) -> None:
    whole = content(file)
    put(file, whole[: len(whole) // 2])
    async with SqliteMachineMemory(file, lock_attempts=1, deadline_s=0.4) as memory:
        outcomes = await asyncio.gather(*(memory.read(id) for id in IDS), return_exceptions=True)
    assert any(isinstance(outcome, RecordCorrupt) for outcome in outcomes)
    for id, outcome in zip(IDS, outcomes, strict=True):
        assert outcome == record(id) or isinstance(outcome, RecordCorrupt)


async def test_one_damaged_record_leaves_the_others_whole(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE record SET data = ? WHERE serial = 1", (b'{"id": "a0", "pad',))
        connection.execute("UPDATE record SET data = 'text' WHERE serial = 2")
        connection.execute("UPDATE record SET data = zeroblob(10) WHERE serial = 3")
        connection.execute("UPDATE step SET produced = x'ff' WHERE serial = 4")
    async with SqliteMachineMemory(file) as memory:
        for id in IDS[:3]:
            for ask in (memory.read, memory.acquire, memory.get):
                with pytest.raises(RecordCorrupt) as caught:
                    await ask(id)
                assert caught.value.id == id
        with pytest.raises(RecordCorrupt):
            await memory.journal(IDS[3])
        with pytest.raises(RecordCorrupt):
            await memory.acquire(IDS[3], event_key="k")
        for id in IDS[3:]:
            assert await memory.read(id) == record(id)


# --- not ours ---------------------------------------------------------------------------------------------------


def foreign(path: Path, statement: str) -> bytes:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)
    return content(path)


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE instance (id)", "PRAGMA application_id = 7", "PRAGMA user_version = 1"],
)
async def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "other.db"
    before = foreign(path, statement)
    fault = await fault_at(path)
    assert isinstance(fault, ForeignStore)
    assert "choose another file" in str(fault)
    assert content(path) == before


async def test_a_newer_schema_is_refused_and_left_alone(file: Path) -> None:
    before = foreign(file, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    fault = await fault_at(file)
    assert isinstance(fault, SchemaTooNew)
    assert "upgrade pyarvo" in str(fault)
    assert content(file) == before


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    put(path, b"these are my notes\n" * 100)
    fault = await fault_at(path)
    assert isinstance(fault, RecordCorrupt)
    assert content(path) == b"these are my notes\n" * 100


async def test_an_empty_file_becomes_a_memory(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    put(path, b"")
    async with SqliteMachineMemory(path) as memory:
        assert await memory.lock("a")


async def test_a_directory_and_a_missing_directory_say_what_to_do(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing" / "memory.db"):
        fault = await fault_at(path)
        assert isinstance(fault, MemoryUnavailable)
        assert not fault.transient
        assert "does the directory exist" in str(fault)


# --- locked -----------------------------------------------------------------------------------------------------


async def test_a_locked_file_can_be_read_and_is_written_when_it_is_free(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        async with SqliteMachineMemory(file, deadline_s=1.5, lock_attempts=3) as memory:
            assert await memory.read("a0") == record("a0")
            started = monotonic()
            with pytest.raises(MemoryUnavailable) as caught:
                await memory.acquire("a0")
            assert monotonic() - started < 4.0  # one deadline, not one for each attempt
            assert caught.value.transient
            assert not await memory.unlock("a0")
            waiting = asyncio.create_task(memory.acquire("a0"))
            await asyncio.sleep(0)
            other.execute("ROLLBACK")
            lease = await waiting
            assert lease is not None
            assert await memory.commit(lease, {"n": 2}) == 2


async def test_a_new_file_that_another_holds_is_unavailable_for_the_time_being(tmp_path: Path) -> None:
    path = tmp_path / "held.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        fault = await fault_at(path)
        assert isinstance(fault, MemoryUnavailable)
        assert fault.transient
        other.execute("ROLLBACK")
    async with SqliteMachineMemory(path) as memory:
        assert await memory.lock("a")


# --- no room, no rights -----------------------------------------------------------------------------------------


def test_without_room_nothing_is_lost_and_with_room_it_goes_on(start: Start, tmp_path: Path) -> None:
    filling = start("fill", tmp_path / "memory.db", 1_500_000)
    fault = filling.line()
    assert fault.startswith("MemoryUnavailable commit of 'a'")
    version = int(filling.line())
    assert version > 5
    assert filling.line() == "True"
    assert filling.line() == f"ok {version + 1}"
    assert filling.end() == 0


@pytest.mark.parametrize("room", [0, 4_096, 20_000])
def test_a_new_file_without_room_for_its_schema(start: Start, tmp_path: Path, room: int) -> None:
    creating = start("create_full", tmp_path / "memory.db", room)
    assert creating.line().startswith("MemoryUnavailable acquire of 'a'")
    assert creating.line().startswith("ok <Lease of 'a'")


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that everybody may enter, and nobody else may write to."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    path.chmod(0o755)
    shutil.rmtree(path)


def denied(process: Process) -> None:
    for _ in range(2):
        said = process.line()
        assert said.startswith("MemoryUnavailable"), said
        assert "may this process write there" in said or "read-only" in said, said


@pytest.mark.parametrize("mode", [0o444, 0o000], ids=["readable", "unreadable"])
def test_a_file_without_the_right_to_write_says_so(start: Start, public: Path, file: Path, mode: int) -> None:
    copy = public / "memory.db"
    shutil.copy(file, copy)
    copy.chmod(mode)
    public.chmod(0o555)
    denied(start("unprivileged", copy))
    copy.chmod(0o644)
    assert copy.read_bytes() == file.read_bytes()


def test_a_directory_without_the_right_to_write_says_so(start: Start, public: Path) -> None:
    public.chmod(0o555)
    denied(start("unprivileged", public / "new.db"))
    assert list(public.iterdir()) == []


# --- what the driver's errors mean ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "committing", "kind", "transient"),
    [
        ("SQLITE_BUSY", False, MemoryUnavailable, True),
        ("SQLITE_BUSY_SNAPSHOT", False, MemoryUnavailable, True),
        ("SQLITE_LOCKED", False, MemoryUnavailable, True),
        ("SQLITE_FULL", True, MemoryUnavailable, False),
        ("SQLITE_READONLY", False, MemoryUnavailable, False),
        ("SQLITE_CANTOPEN", False, MemoryUnavailable, False),
        ("SQLITE_IOERR_WRITE", True, MemoryUnavailable, False),
        ("SQLITE_IOERR_FSYNC", False, MemoryUnavailable, False),
        ("SQLITE_IOERR_FSYNC", True, WriteOutcomeUnknown, None),
        ("SQLITE_IOERR", True, WriteOutcomeUnknown, None),
        ("SQLITE_CORRUPT", True, RecordCorrupt, None),
        ("SQLITE_CORRUPT_INDEX", False, RecordCorrupt, None),
        ("SQLITE_NOTADB", False, RecordCorrupt, None),
        ("", False, MemoryUnavailable, False),
    ],
)
def test_a_drivers_error_means(
    name: str, committing: bool, kind: type[MemoryFault], transient: bool | None
) -> None:
    error = sqlite3.OperationalError("what SQLite says")
    error.sqlite_errorname = name
    fault = fault_of(error, "memory.db", committing=committing)
    assert type(fault) is kind
    assert fault.__cause__ is error
    assert getattr(fault, "transient", None) is transient
    assert "memory.db: what SQLite says" in str(fault)


# --- a file that is no longer there, or no longer the same -------------------------------------------------------


def move(path: Path, to: Path) -> None:
    path.rename(to)


def is_there(path: Path) -> bool:
    return path.exists()


@pytest.mark.parametrize("what", ["removed", "replaced"])
async def test_a_file_that_went_away_under_an_open_memory_takes_no_write_and_gives_no_answer(
    file: Path, what: str
) -> None:
    aside, other = file.with_name("aside.db"), file.with_name("other.db")
    shutil.copy(file, other)
    async with SqliteMachineMemory(file, lock_attempts=1) as memory:
        lease = await memory.acquire("a0")
        assert lease is not None
        move(file, aside)
        if what == "replaced":
            move(other, file)
        for call in (
            lambda: memory.commit(lease, {"lost": True}),
            lambda: memory.acquire("a1"),
            lambda: memory.read("a0"),
            lambda: memory.get("a0"),
            memory.ping,
        ):
            with pytest.raises(MemoryUnavailable, match=f"was {what} while it was open") as caught:
                await call()
            assert not caught.value.transient
        assert is_there(file) is (what == "replaced")
        move(aside, file)
        assert await memory.commit(lease, {"kept": True}) == 2
    async with SqliteMachineMemory(file) as memory:
        assert await memory.read("a0") == {"kept": True}


async def test_a_file_that_went_away_before_the_first_write_is_not_made_anew(file: Path) -> None:
    async with SqliteMachineMemory(file, lock_attempts=1) as memory:
        assert await memory.read("a0") == record("a0")
        move(file, file.with_name("aside.db"))
        with pytest.raises(MemoryUnavailable, match="was removed while it was open"):
            await memory.acquire("a0")
    assert not is_there(file)


async def test_a_relative_path_is_the_same_file_wherever_the_process_goes(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    async with SqliteMachineMemory(file.name) as memory:
        monkeypatch.chdir("/")
        assert await memory.read("a0") == record("a0")
        assert await memory.acquire("a0") is not None


# --- text that is none --------------------------------------------------------------------------------------------


async def test_damaged_text_in_the_schema_is_a_typed_fault(file: Path) -> None:
    raw = bytearray(content(file))
    at = raw.index(b"CREATE TABLE")
    raw[at + 3] = (
        0xF1  # in the middle of a word of SQL: SQLite quotes it in its message, which then is no UTF-8
    )
    put(file, raw)
    fault = await fault_at(file)
    assert isinstance(fault, RecordCorrupt)
    assert content(file) == bytes(raw)


async def test_damaged_text_in_a_row_is_a_typed_fault(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE instance SET holder = CAST(x'ff41' AS TEXT)")
        connection.commit()
    async with SqliteMachineMemory(file) as memory:
        with pytest.raises(RecordCorrupt):
            await memory.get("a0")
        with pytest.raises(RecordCorrupt):
            await memory.instances()
