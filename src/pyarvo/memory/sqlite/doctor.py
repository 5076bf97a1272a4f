"""Settings of a SQLite file, and of the file system it lies on."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from pyarvo.errors import ForeignStore
from pyarvo.memory.doctor import Finding, breaks, fine, unknown
from pyarvo.memory.sqlite.connection import APPLICATION_ID, OLDEST_SQLITE, SCHEMA_VERSION, check_there
from pyarvo.memory.sqlite.faults import DRIVER_ERRORS, fault_of

__all__ = ["examine"]

_WAIT_S: Final = 2.0
_MOST_FAULTS: Final = 5

# The shared memory beside a WAL file, and the locks of SQLite, need one kernel for all processes.
_NETWORK: Final = frozenset(
    "nfs nfs4 cifs smb3 smbfs 9p afs ceph lustre glusterfs gfs2 ocfs2 beegfs vboxsf prl_fs davfs virtiofs".split()
)
_NETWORK_FUSE: Final = "fuse."
_LOCAL_FUSE: Final = frozenset({"fuse.ext4", "fuse.ntfs", "fuse.exfat", "fuse.fuse-overlayfs"})
_IN_RAM: Final = frozenset({"tmpfs", "ramfs"})


async def examine(url: str, options: Mapping[str, str]) -> Sequence[Finding]:
    """
    See `pyarvo.memory.doctor.examine`.

    Raises:
        StoreMissing: There is no such file, or nothing in it.
        MemoryUnavailable: It cannot be opened.
        ForeignStore: It is a database of something else.
    """
    path = unquote(url.partition("://")[2].partition("/")[2])
    return await asyncio.to_thread(lambda: list(_findings(path, options)))


def _findings(path: str, options: Mapping[str, str]) -> Iterator[Finding]:
    check_there(path)
    yield _sqlite_version()
    yield _file_system(path)
    yield _synchronous(options.get("synchronous", "full"))
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=rw", uri=True, timeout=_WAIT_S)) as connection:
            yield from _of_file(connection, path)
    except DRIVER_ERRORS as error:
        raise fault_of(error, path) from error


def _of_file(connection: sqlite3.Connection, path: str) -> Iterator[Finding]:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID:
        raise ForeignStore(f"{path} is a database of something else")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        reason = f"this pyarvo knows {SCHEMA_VERSION} and leaves the file alone"
        yield breaks("schema version", version, reason, "upgrade pyarvo")
    else:
        yield fine("schema version", version)
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if mode == "wal":
        yield fine("journal_mode", mode)
    else:
        reason = "readers and writers of other processes shut one another out (C12)"
        yield breaks("journal_mode", mode, reason, "PRAGMA journal_mode = WAL, with every process stopped")
    faults = [str(row[0]) for row in connection.execute(f"PRAGMA quick_check({_MOST_FAULTS})")]
    if faults == ["ok"]:
        yield fine("quick_check", "ok")
    else:
        reason = "the file is damaged: records may be lost or wrong"
        fix = "stop the workers, keep the file, and restore a backup, or try sqlite3's .recover"
        yield breaks("quick_check", "; ".join(faults), reason, fix)


def _sqlite_version() -> Finding:
    needed = ".".join(map(str, OLDEST_SQLITE[:2]))
    if sqlite3.sqlite_version_info >= OLDEST_SQLITE:
        return fine("version", sqlite3.sqlite_version)
    reason = f"{needed} or newer is needed; a memory refuses to open"
    return breaks("version", sqlite3.sqlite_version, reason, "use a Python with a newer SQLite")


def _synchronous(value: str) -> Finding:
    """A setting of each connection, so it is what the URL says."""
    if value == "full":
        return fine("synchronous", value)
    reason = "an acknowledged write survives the death of a process, but may be lost with a power cut"
    return breaks("synchronous", value, reason, "leave ?synchronous=normal out of the URL")


def _file_system(path: str) -> Finding:
    kind = _kind_of_mount(path)
    if kind is None:
        reason = "the kind of file system cannot be told on this system"
        return unknown("file system", None, reason, "make sure that it is a local disk, not NFS or SMB")
    if kind in _NETWORK or (kind.startswith(_NETWORK_FUSE) and kind not in _LOCAL_FUSE):
        reason = "its locks and shared memory do not reach over machines: two holders may both write, the file breaks"
        return breaks("file system", kind, reason, "put the file on a local disk, or choose a server")
    if kind in _IN_RAM:
        return breaks("file system", kind, "it is in memory, and lost with the machine", "use a disk")
    return fine("file system", kind)


def _kind_of_mount(path: str) -> str | None:
    """The file system under *path* as Linux names it; None where nobody says."""
    if not sys.platform.startswith("linux"):
        return None
    place = os.path.realpath(path)
    best, kind = "", None
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        point = left.split(" ")[4].replace("\\040", " ").replace("\\134", "\\")
        inside = point in ("/", place) or place.startswith(f"{point}/")
        if inside and len(point) >= len(best):
            best, kind = point, right.split(" ")[0]
    return kind
