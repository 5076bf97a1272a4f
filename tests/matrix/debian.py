"""Packages of Debian: installed where they are missing, and none of their services started."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["install"]

# Debian asks this program before it starts a service of a package; 101 = no.
_POLICY = Path("/usr/sbin/policy-rc.d")
_SERVICES = {"redis-server": "redis-server", "postgresql-15": "postgresql", "pgbouncer": "pgbouncer"}


def install(packages: Sequence[str]) -> None:
    """Install *packages* with apt; nothing is done when there are none."""
    if not packages:
        return
    if os.geteuid() != 0:
        raise SystemExit(f"missing: {' '.join(packages)}; run this as root, or apt-get install them")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _no_services():
        subprocess.run(["apt-get", "update", "-q"], check=True)
        subprocess.run(
            ["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages],
            check=True,
            env=environment,
        )
    if shutil.which("systemctl"):
        for service in (_SERVICES[package] for package in packages if package in _SERVICES):
            subprocess.run(["systemctl", "disable", "--quiet", service], check=False)


@contextmanager
def _no_services() -> Generator[None]:
    if _POLICY.exists():  # somebody has decided already
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()
