"""The scripts in `examples/` run as they are, and say what they promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def output_of(script: str, folder: Path) -> list[str]:
    ran = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ran.stderr == ""
    return ran.stdout.splitlines()


def test_quickstart(tmp_path: Path) -> None:
    assert output_of("quickstart.py", tmp_path) == ["Hello, Ada!"]
    assert output_of("quickstart.py", tmp_path) == ["Hello, Ada!"]


def test_four_verbs(tmp_path: Path) -> None:
    assert output_of("four_verbs.py", tmp_path) == [
        "ran {'total': 6}",
        "replayed {'total': 6}",
        "1 record, 0 held",
    ]


def test_every_example_is_tested() -> None:
    tested = {"quickstart.py", "four_verbs.py"}
    tested |= {"own_memory.py"}  # in tests/conformance_kit/test_own_memory.py
    assert {script.name for script in EXAMPLES.glob("*.py")} == tested
