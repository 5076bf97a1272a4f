"""A newer suite of Debian in a folder: its servers and its Python, with the tests run in there."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Machine", "machine"]

_MIRROR = "http://deb.debian.org/debian"
_HERE = "/srv/pyarvo"
_ENVIRONMENT = "/srv/environment"
_PYTHON = f"{_ENVIRONMENT}/bin/python"

# What tests and pip need beside the programs: git and make for the documentation's tests, ps for those of faults.
_ALWAYS = ("ca-certificates", "git", "make", "procps", "python3", "python3-venv")

# Mounts and processes are of namespaces of their own: they are gone when the command ends, whatever ends it.
_APART = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
_MOUNTS = f"""
set -e
root=$1; project=$2; shift 2
mount --make-rprivate /
mount -t proc proc "$root/proc"
for each in /dev /sys; do mount --rbind $each "$root$each"; done
for each in /etc/hosts /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt; do
  touch "$root$each"; mount --bind $each "$root$each"
done
mkdir -p "$root{_HERE}"; mount --bind "$project" "$root{_HERE}"
exec chroot "$root" "$@"
"""


class Machine:
    """
    A folder with a suite in it, and this project with its dependencies.

    Args:
        root: The folder.

        project: Where the project is.
    """

    def __init__(self, root: Path, project: Path) -> None:
        self.root = root
        self._project = project

    def run(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None, *, check: bool = False
    ) -> str:
        """
        Run *command* in there, in the project's directory.

        Args:
            command: With arguments.

            environment: Beside that of this process: pip's settings come by it.

            check: Whether it must end well.

        Returns:
            What it said when it is checked; "" when it speaks to the terminal.
        """
        variables = [f"{name}={value}" for name, value in (environment or {}).items()]
        paths = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR=/tmp", "HOME=/root"]
        inside = ["env", "--chdir", _HERE, "--unset=PYTHONPATH", *paths, *variables, *command]
        mounting = ["sh", "-c", _MOUNTS, "sh", str(self.root), str(self._project)]
        done = subprocess.run(
            [*_APART, *mounting, *inside], stdout=subprocess.PIPE if check else None, text=True, check=check
        )
        return done.stdout or ""

    def pytest(self, arguments: Sequence[str], environment: Mapping[str, str], report: Path) -> None:
        """Run the tests; *report* is their JUnit XML afterwards."""
        inside = self.root / "srv" / "report.xml"
        inside.unlink(missing_ok=True)
        self.run([_PYTHON, "-m", "pytest", "--junitxml=/srv/report.xml", *arguments], environment)
        report.write_bytes(inside.read_bytes())


@contextmanager
def machine(suite: str, python: str, packages: Sequence[str], project: Path) -> Generator[Machine]:
    """
    *suite* with *packages*, and the project in an environment of *python*; needs root and debootstrap.

    Everything lies in one folder under the directory for temporary files, about 1 GB, and goes with it.
    """
    own = [] if python == "python3" else [python, f"{python}-venv"]
    wanted = ",".join(sorted({*_ALWAYS, *own, *packages}))
    script = Path(
        "/usr/share/debootstrap/scripts/sid"
    )  # of every suite since; this machine may not know its name
    with tempfile.TemporaryDirectory(prefix=f"pyarvo-{suite}-") as folder:
        bootstrap = ["debootstrap", "--variant=minbase", f"--include={wanted}"]
        subprocess.run([*bootstrap, suite, folder, _MIRROR, str(script)], check=True)
        Path(folder).chmod(0o755)  # PostgreSQL and PgBouncer run as nobody
        made = Machine(Path(folder), project)
        made.run([f"/usr/bin/{python}", "-m", "venv", _ENVIRONMENT], check=True)
        pip = [_PYTHON, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        made.run([*pip, "install", "--editable", ".[test]"], check=True)
        yield made
