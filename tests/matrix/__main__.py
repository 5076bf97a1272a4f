"""
Run the backends' suites against other servers than those of the tests' wheels, and the tests with other Pythons; print
a table.

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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.matrix.debian import install
from tests.matrix.rows import ROWS, Row
from tests.matrix.sources import ROOT, Debian, Here, Python, Suite
from tests.matrix.suites import Machine, machine


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
        return (self.row.what, self.version, self.row.source.place, self.python, *ran)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("rows", nargs="*", help=f"which; default: {' '.join(row.name for row in ROWS)}")
    given = parser.parse_args()
    chosen = [row for row in ROWS if not given.rows or row.name in given.rows]
    if len(chosen) < len(set(given.rows)):
        parser.error(f"rows are {', '.join(row.name for row in ROWS)}")
    install(_missing(chosen))
    results = [run(row, row.source) for row in chosen if not isinstance(row.source, Suite) and _is_there(row)]
    apart = [row.source for row in chosen if isinstance(row.source, Suite)]
    for suite in dict.fromkeys(source.suite for source in apart):
        results.extend(run_in(suite, chosen))
    print(f"\n{datetime.now(UTC):%Y-%m-%d}\n")
    for line in table(results):
        print(line)
    return 1 if any(result.failed or not result.passed for result in results) else 0


def _missing(rows: Sequence[Row]) -> list[str]:
    """The packages of this machine's Debian that *rows* need and that are not installed."""
    sources = [row.source for row in rows]
    missing = [
        each.package for each in sources if isinstance(each, Debian) and not Path(each.program).exists()
    ]
    if any(isinstance(each, Suite) for each in sources) and not shutil.which("debootstrap"):
        missing.append("debootstrap")
    return missing


def _is_there(row: Row) -> bool:
    return not isinstance(row.source, Python) or row.source.path is not None


def table(results: Sequence[Result]) -> Iterator[str]:
    yield "| tests of | version | from | Python | passed | failed | seconds |"
    yield "|---|---|---|---|---:|---:|---:|"
    for result in results:
        yield f"| {' | '.join(result.cells)} |"


def run(row: Row, source: Here) -> Result:
    """Run the tests of *row* on this machine."""
    with source.ready() as ready:

        def pytest(arguments: Sequence[str], report: Path) -> None:
            command = [ready.python, "-m", "pytest", f"--junitxml={report}", *arguments]
            environment = {**os.environ, **row.environment(ready.program)}
            subprocess.run(command, cwd=ROOT, env=environment, check=False)

        return judged(row, version_of(said(ready.program)), version_of(said(ready.python)), pytest)


def run_in(suite: str, rows: Sequence[Row]) -> list[Result]:
    """Run those of *rows* that are of *suite*, in a folder with that."""
    own = [(row, row.source) for row in rows if isinstance(row.source, Suite) and row.source.suite == suite]
    (python,) = {source.python for _, source in own}
    with machine(suite, python, [source.package for _, source in own], ROOT) as made:
        return [_run_in(made, row, source) for row, source in own]


def _run_in(made: Machine, row: Row, source: Suite) -> Result:
    def pytest(arguments: Sequence[str], report: Path) -> None:
        made.pytest(arguments, row.environment(source.program), report)

    program, python = (
        version_of(made.run([each, "--version"], check=True)) for each in (source.program, source.python)
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


def said(program: str) -> str:
    """What it says of its version."""
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout


def version_of(said: str) -> str:
    """The first number in it."""
    number = re.search(r"\d+(\.\d+)+", said)
    return number[0] if number else "?"


if __name__ == "__main__":
    sys.exit(main())
