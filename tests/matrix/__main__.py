"""
Run the backends' suites against Debian's servers, and the unit tests with other Pythons; print a table.

`python -m tests.matrix [ROW ...]`, as root where a package of Debian is missing. Rows: redis, postgres, pgbouncer,
python3.12, python3.13, python3.14. Not in CI. Debian's services are never used: every server is started by the tests,
on a free port, from the package's program.
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
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.matrix.debian import install

ROOT = Path(__file__).parents[2]
SERVED = ("tests/integration", "tests/conformance", "tests/acceptance")
PYTHONS = ("python3.12", "python3.13", "python3.14")


@dataclass(frozen=True)
class Row:
    """
    One line of the table.

    Attributes:
        name: To ask for it.

        what: What is tested.

        program: Says its version.

        tests: Arguments of pytest.

        package: Of Debian; "" for a Python.

        environment: What makes the tests use the program.
    """

    name: str
    what: str
    program: str
    tests: tuple[str, ...]
    package: str = ""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


ROWS = (
    Row(
        "redis",
        "Redis, alone, as a cluster, behind a sentinel",
        "/usr/bin/redis-server",
        (*SERVED, "-k", "redis"),
        "redis-server",
        {"REDIS_SERVER": "/usr/bin/redis-server"},
    ),
    Row(
        "postgres",
        "PostgreSQL",
        "/usr/lib/postgresql/15/bin/postgres",
        (*SERVED, "-k", "postgres"),
        "postgresql-15",
        {"POSTGRES_BIN": "/usr/lib/postgresql/15/bin"},
    ),
    Row(
        "pgbouncer",
        "PgBouncer, pool_mode=transaction, before the wheel's PostgreSQL",
        "/usr/sbin/pgbouncer",
        ("tests/conformance", "-k", "pgbouncer"),
        "pgbouncer",
        {"PGBOUNCER": "/usr/sbin/pgbouncer"},
    ),
    *(Row(name, "unit tests", name, ("tests/unit",)) for name in PYTHONS),
)


@dataclass(frozen=True)
class Result:
    """What a run of pytest came to."""

    row: Row
    version: str
    passed: int
    failed: int
    seconds: float

    @property
    def cells(self) -> tuple[str, ...]:
        ran = (str(self.passed), str(self.failed), f"{self.seconds:.0f}")
        return (self.row.what, self.version, *ran)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("rows", nargs="*", help=f"which; default: {' '.join(row.name for row in ROWS)}")
    given = parser.parse_args()
    chosen = [row for row in ROWS if not given.rows or row.name in given.rows]
    if len(chosen) < len(set(given.rows)):
        parser.error(f"rows are {', '.join(row.name for row in ROWS)}")
    install([row.package for row in chosen if row.package and not Path(row.program).exists()])
    results = [run(row) for row in chosen if row.package or python_of(row.program)]
    print(f"\n{datetime.now(UTC):%Y-%m-%d}, Python {sys.version.split()[0]} where no other is named\n")
    for line in table(results):
        print(line)
    return 1 if any(result.failed or not result.passed for result in results) else 0


def table(results: Sequence[Result]) -> Iterator[str]:
    yield "| tests of | version | passed | failed | seconds |"
    yield "|---|---|---:|---:|---:|"
    for result in results:
        yield f"| {' | '.join(result.cells)} |"


def run(row: Row) -> Result:
    """Run the tests of *row*."""
    with interpreter(row) as python, tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        print(f"--- {row.what}", flush=True)
        began = time.monotonic()
        subprocess.run(
            [
                python,
                "-m",
                "pytest",
                "-q",
                "-n",
                "2",
                "--dist",
                "worksteal",
                f"--junitxml={report}",
                *row.tests,
            ],
            cwd=ROOT,
            env={**os.environ, **row.environment},
            check=False,
        )
        seconds = time.monotonic() - began
        suites = ET.parse(report).getroot().iter("testsuite")
        counted = [
            {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors")} for suite in suites
        ]
        failed = sum(each["failures"] + each["errors"] for each in counted)
        tests = sum(each["tests"] for each in counted)
        program = row.program if row.package else str(python)
        return Result(row, version_of(program), tests - failed, failed, seconds)


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


def version_of(program: str) -> str:
    """As the program says it."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    number = re.search(r"\d+(\.\d+)+", said.stdout + said.stderr)
    return number[0] if number else "?"


if __name__ == "__main__":
    sys.exit(main())
