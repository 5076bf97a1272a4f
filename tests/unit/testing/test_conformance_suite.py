"""The pytest class: a test a clause, run together, told one by one; and the command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.servers.redis import free_ports

from pyarvo.testing.conformance import Level, all_clauses

TEST = """
import pytest
from pyarvo.testing.conformance import MachineMemoryConformance
from pyarvo.testing.conformance.stores import shared_simple


class FourVerbs:
    def __init__(self, memory):
        self.read, self.write, self.lock = memory.read, memory.write, memory.lock
        self.unlock = {unlock}


class TestMine(MachineMemoryConformance):
    levels = ({level!r},)

    @pytest.fixture
    def memory_factory(self):
        simple = shared_simple()
        return lambda **options: {memory}
"""


def run(directory: Path, source: str, *options: str) -> subprocess.CompletedProcess[str]:
    (directory / "test_mine.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=100)


def test_there_is_a_test_for_every_clause_with_its_id(tmp_path: Path) -> None:
    source = TEST.format(unlock="memory.unlock", level="base", memory="FourVerbs(simple(**options))")
    listed = run(tmp_path, source, "--collect-only").stdout
    for each in all_clauses():
        assert (f"test_clause[{each.id}]" in listed) == (each.level is Level.BASE)


def test_only_what_is_selected_runs_and_a_broken_promise_is_told(tmp_path: Path) -> None:
    # It says False whatever it did.
    unlock = "lambda id: never(memory.unlock(id))"
    source = "async def never(working):\n    await working\n    return False\n" + TEST.format(
        unlock=unlock, level="base", memory="FourVerbs(simple(**options))"
    )
    done = run(tmp_path, source, "-k", "base.lease.06 or base.lease.01 or declares")
    assert "1 failed, 2 passed" in done.stdout
    assert "base.lease.06 failed: unlock by the holder is True, and ends the lease at once" in done.stdout
    assert "unlock by the holder: False, not True" in done.stdout
    assert "m1.unlock('a') -> False" in done.stdout


@pytest.mark.parametrize(
    ("level", "memory"), [("base", "simple(**options)"), ("leased", "FourVerbs(simple(**options))")]
)
def test_levels_are_declared_and_kept(tmp_path: Path, level: str, memory: str) -> None:
    source = TEST.format(unlock="memory.unlock", level=level, memory=memory)
    done = run(tmp_path, source, "-k", "declares or leased.cas.01")
    assert done.returncode == 1
    assert ("declare it in `levels`" if level == "base" else "leased.cas.01 missing") in done.stdout


# --- the command --------------------------------------------------------------------------------------------------


def pyarvo(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pyarvo", "conformance", *words]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=100)


def test_the_command_answers_json_and_leaves_nothing_behind(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/mine.db"
    done = pyarvo(tmp_path, url, "--only", "*.ownership.01", "-o", "json", "--badge", "badge.svg")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["ok"] is True
    assert [each["id"] for each in told["clauses"]] == ["base.ownership.01", "leased.ownership.01"]
    assert [path.name for path in tmp_path.iterdir()] == ["badge.svg"]


def test_the_command_fails_where_a_promise_does(tmp_path: Path) -> None:
    done = pyarvo(tmp_path, "memory://", "--level", "base", "--only", "base.lease.01", "-o", "markdown")
    assert (done.returncode, "| base | lease | 1 | 1 |" in done.stdout) == (0, True)
    done = pyarvo(tmp_path, "memory://", "--level", "base")
    assert done.returncode == 1
    assert "FAILED leased.declared" in done.stdout


@pytest.mark.parametrize(
    "words", [["nothing://x"], ["sqlite:////no/such/place/x.db"], ["memory://", "--only", "x.y"]]
)
def test_the_command_says_what_it_cannot_do(tmp_path: Path, words: list[str]) -> None:
    done = pyarvo(tmp_path, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("pyarvo: ")


def test_the_command_says_at_once_that_the_store_is_away(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    done = pyarvo(tmp_path, f"redis://127.0.0.1:{port}")
    assert (done.returncode, done.stdout) == (1, "")
    assert str(port) in done.stderr
