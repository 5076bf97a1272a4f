"""`pyarvo doctor` on files, and what the command makes of findings."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pyarvo.cli import app
from pyarvo.errors import MemoryUnavailable, StoreMissing
from pyarvo.memory import SqliteMachineMemory
from pyarvo.memory.doctor import Finding, breaks, examine, fine, unknown


def doctor(*words: str) -> Any:
    return CliRunner().invoke(app, ["doctor", *words])


def findings(url: str) -> dict[str, dict[str, Any]]:
    return {one["setting"]: one for one in json.loads(doctor(url, "-o", "json").stdout)["findings"]}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"

    async def write() -> None:
        async with SqliteMachineMemory(path) as memory:
            for n in range(50):
                lease = await memory.acquire(f"instance-{n}")
                assert lease is not None
                await memory.commit(lease, {"padding": "x" * 3_000})

    asyncio.run(write())
    return path


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever file system the tests run on."""
    place_on(monkeypatch, "ext4")


def place_on(monkeypatch: pytest.MonkeyPatch, kind: str | None) -> None:
    def kind_of_mount(path: str) -> str | None:
        return kind

    monkeypatch.setattr("pyarvo.memory.sqlite.doctor._kind_of_mount", kind_of_mount)


@pytest.mark.usefixtures("on_disk")
def test_a_healthy_file(store: Path) -> None:
    result = doctor(f"sqlite:///{store}")
    assert result.exit_code == 0, result.stdout
    assert "6 fine" in result.stdout
    found = findings(f"sqlite:///{store}")
    assert {name: one["value"] for name, one in found.items() if name != "version"} == {
        "file system": "ext4",
        "synchronous": "full",
        "schema version": "1",
        "journal_mode": "wal",
        "quick_check": "ok",
    }


@pytest.mark.usefixtures("on_disk")
def test_a_journal_that_is_no_wal(store: Path) -> None:
    with sqlite3.connect(store) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    found = findings(f"sqlite:///{store}")["journal_mode"]
    assert (found["value"], found["verdict"]) == ("delete", "breaks")
    assert "journal_mode = WAL" in found["fix"]
    assert doctor(f"sqlite:///{store}").exit_code == 1
    with sqlite3.connect(store) as connection:  # looking changed nothing
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()


@pytest.mark.usefixtures("on_disk")
def test_a_weaker_synchronous_in_the_url(store: Path) -> None:
    found = findings(f"sqlite:///{store}?synchronous=normal")["synchronous"]
    assert (found["value"], found["verdict"]) == ("normal", "breaks")
    assert "power cut" in found["reason"]


@pytest.mark.usefixtures("on_disk")
def test_a_damaged_page(store: Path) -> None:
    with sqlite3.connect(store) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'record'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with store.open("r+b") as file:
        file.seek((page - 1) * size + 8)
        file.write(b"\xff" * 64)
    result = doctor(f"sqlite:///{store}", "-o", "json")
    assert result.exit_code == 1
    (found,) = [one for one in json.loads(result.stdout)["findings"] if one["setting"] == "quick_check"]
    assert found["verdict"] == "breaks"


@pytest.mark.usefixtures("on_disk")
def test_a_newer_schema(store: Path) -> None:
    with sqlite3.connect(store) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    found = findings(f"sqlite:///{store}")["schema version"]
    assert (found["value"], found["verdict"], found["fix"]) == ("99", "breaks", "upgrade pyarvo")


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        ("nfs4", "breaks"),
        ("cifs", "breaks"),
        ("fuse.sshfs", "breaks"),
        ("tmpfs", "breaks"),
        ("xfs", "fine"),
        (None, "unknown"),
    ],
)
def test_the_file_system(
    store: Path, monkeypatch: pytest.MonkeyPatch, kind: str | None, verdict: str
) -> None:
    place_on(monkeypatch, kind)
    assert findings(f"sqlite:///{store}")["file system"]["verdict"] == verdict


def test_an_old_sqlite(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyarvo.memory.sqlite.doctor.OLDEST_SQLITE", (99, 0, 0))
    assert findings(f"sqlite:///{store}")["version"]["verdict"] == "breaks"


def test_the_mount_of_a_path_is_found() -> None:
    from pyarvo.memory.sqlite.doctor import _kind_of_mount  # pyright: ignore[reportPrivateUsage] - see the name

    assert _kind_of_mount("/proc/self/status") == "proc"
    assert _kind_of_mount("/sys/kernel") == "sysfs"


def test_what_is_no_memory(tmp_path: Path) -> None:
    assert doctor(f"sqlite:///{tmp_path}/none.db").exit_code == 1
    with sqlite3.connect(tmp_path / "foreign.db") as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    result = doctor(f"sqlite:///{tmp_path}/foreign.db")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "something else" in result.stderr
    (tmp_path / "noise.db").write_bytes(b"noise" * 1_000)
    result = doctor(f"sqlite:///{tmp_path}/noise.db")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no database" in result.stderr


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d" * 200] * 3)  # longer than SQLite takes, not than the system does
    deep.mkdir(parents=True)
    (deep / "store.db").write_bytes(b"noise")
    result = doctor(f"sqlite:///{deep}/store.db")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "unable to open database file" in result.stderr
    with pytest.raises((MemoryUnavailable, StoreMissing), match=r"cannot be read|there is no memory"):
        asyncio.run(examine(f"sqlite:///{tmp_path}/{'d' * 300}.db"))


def test_memory_is_for_tests_only() -> None:
    result = doctor("memory://", "-o", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["findings"][0]["verdict"] == "breaks"


def test_usage() -> None:
    assert doctor().exit_code == 2
    assert doctor("nowhere://x").exit_code == 1


def test_unknown_is_told_and_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Finding] = [
        fine("version", 7),
        unknown("fsync", None, "may not be read", "look at redis.conf"),
    ]

    async def examine(url: str) -> list[Finding]:
        return told

    monkeypatch.setattr("pyarvo.cli.doctor.examine", examine)
    result = doctor("redis://user:secret@host/0")
    assert result.exit_code == 0
    assert "may not be read. Fix: look at redis.conf" in result.stdout
    assert "1 fine, 1 unknown" in result.stdout
    told.append(breaks("maxmemory-policy", "allkeys-lru", "[red]evicts\x1b", "noeviction"))
    result = doctor("redis://user:secret@host/0", "-o", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["url"] == "redis://user:***@host/0"
    assert "[red]evicts\\x1b" in doctor("redis://host/0").stdout


@pytest.mark.parametrize("command", ["doctor", "conformance"])
@pytest.mark.parametrize("scheme", ["postgresql", "redis"])
def test_of_a_url_that_is_none_no_piece_of_the_password_is_said(command: str, scheme: str) -> None:
    result = CliRunner().invoke(app, [command, "--memory", f"{scheme}://me:s3c/ret@127.0.0.1:1/db"])
    assert result.exit_code == 2
    assert "s3c" not in result.output
    assert result.stderr.startswith("pyarvo: option 'url'")


def test_a_file_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    badge = tmp_path / "absent" / "badge.svg"
    words = ["conformance", "memory://", "--only", "base.absent.01", "--badge", str(badge)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert "passed" in result.stdout
    assert result.stderr.splitlines() == [f"pyarvo: [Errno 2] No such file or directory: {str(badge)!r}"]
