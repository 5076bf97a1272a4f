"""
Run the backends' suites against Debian's servers, and the tests with other Pythons; print a table.

`python -m tests.matrix [ROW ...]`, as root where a package of Debian is missing, or a newer suite of it is asked for;
`--help` lists the rows. Not in CI. Debian's services are never used: every server is started by the tests, on a free
port, from the package's program.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.matrix.debian import install
from tests.matrix.rows import ROWS, Row
from tests.matrix.suites import Machine, machine

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Result:
    """What a run of pytest came to."""

    row: Row
    version: str
    python: str
    passed: int
    failed: int
    seconds: float

    @property
    def cells(self) -> tuple[str, ...]:
        ran = (str(self.passed), str(self.failed), f"{self.seconds:.0f}")
        return (self.row.what, self.version, self.row.suite or "this machine's", self.python, *ran)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("rows", nargs="*", help=f"which; default: {' '.join(row.name for row in ROWS)}")
    given = parser.parse_args()
    chosen = [row for row in ROWS if not given.rows or row.name in given.rows]
    if len(chosen) < len(set(given.rows)):
        parser.error(f"rows are {', '.join(row.name for row in ROWS)}")
    here = [row for row in chosen if not row.suite and (row.package or python_of(row.program))]
    needed = [row.package for row in here if row.package and not Path(row.program).exists()]
    if len(here) < len(chosen) and not shutil.which("debootstrap"):
        needed.append("debootstrap")
    install(needed)
    results = [run(row) for row in here]
    for suite in dict.fromkeys(row.suite for row in chosen if row.suite):
        results.extend(run_in(suite, [row for row in chosen if row.suite == suite]))
    print(f"\n{datetime.now(UTC):%Y-%m-%d}\n")
    for line in table(results):
        print(line)
    return 1 if any(result.failed or not result.passed for result in results) else 0


def table(results: Sequence[Result]) -> Iterator[str]:
    yield "| tests of | version | Debian | Python | passed | failed | seconds |"
    yield "|---|---|---|---|---:|---:|---:|"
    for result in results:
        yield f"| {' | '.join(result.cells)} |"


def run(row: Row) -> Result:
    """Run the tests of *row* on this machine."""
    with interpreter(row) as python:

        def pytest(arguments: Sequence[str], report: Path) -> None:
            command = [str(python), "-m", "pytest", f"--junitxml={report}", *arguments]
            subprocess.run(command, cwd=ROOT, env={**os.environ, **row.environment}, check=False)

        program = row.program if row.package else str(python)
        return judged(row, version_of(said(program)), version_of(said(str(python))), pytest)


def run_in(suite: str, rows: Sequence[Row]) -> list[Result]:
    """Run the tests of *rows*, all of *suite*, in a folder with that."""
    (python,) = {row.python for row in rows}
    with machine(suite, python, [row.package for row in rows], ROOT) as made:
        return [_run_in(made, row) for row in rows]


def _run_in(made: Machine, row: Row) -> Result:
    def pytest(arguments: Sequence[str], report: Path) -> None:
        made.pytest(arguments, row.environment, report)

    program, python = (
        version_of(made.run([each, "--version"], check=True)) for each in (row.program, row.python)
    )
    return judged(row, program, python, pytest)


def judged(row: Row, version: str, python: str, pytest: Callable[[Sequence[str], Path], None]) -> Result:
    """What *pytest* came to with the arguments of *row*."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        print(f"--- {row.what}", flush=True)
        began = time.monotonic()
        pytest(["-q", "-n", "2", "--dist", "worksteal", *row.tests], report)
        seconds = time.monotonic() - began
        counted = [
            {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
            for suite in ET.parse(report).getroot().iter("testsuite")
        ]
    failed = sum(each["failures"] + each["errors"] for each in counted)
    passed = sum(each["tests"] - each["skipped"] for each in counted) - failed
    return Result(row, version, python, passed, failed, seconds)


@contextmanager
def interpreter(row: Row) -> Generator[str | Path]:
    """This Python, or the row's own with the package in an environment of its own."""
    if row.package:
        yield sys.executable
        return
    with tempfile.TemporaryDirectory(prefix="pyarvo-matrix-") as folder:
        base = python_of(row.program)
        assert base is not None
        subprocess.run([base, "-m", "venv", folder], check=True)
        python = Path(folder) / "bin" / "python"
        pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--editable", f"{ROOT}[test]"], check=True)
        yield python


def python_of(name: str) -> str | None:
    """The Python of that version, on PATH or of pyenv; None where there is none that runs."""
    versions = Path.home() / ".pyenv" / "versions"
    pyenv = sorted(str(path) for path in versions.glob(f"{name.removeprefix('python')}.*/bin/python"))
    for candidate in (*pyenv, shutil.which(name)):
        if candidate and subprocess.run([candidate, "-V"], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


def said(program: str) -> str:
    """What it says of its version."""
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout


def version_of(said: str) -> str:
    """The first number in it."""
    number = re.search(r"\d+(\.\d+)+", said)
    return number[0] if number else "?"


if __name__ == "__main__":
    sys.exit(main())
