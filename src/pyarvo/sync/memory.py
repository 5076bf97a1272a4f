"""A memory whose verbs are plain calls."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from pyarvo.memory import Find, Instance, Lease, LeasedMemory, Page, Record, Step
from pyarvo.memory import open_memory as open_asynchronous
from pyarvo.memory.arguments import MAX_PAGE
from pyarvo.sync.portal import run

__all__ = ["SyncMemory", "open_memory"]


class SyncMemory:
    """
    A memory for code without an event loop. Any number of threads may use one object.

    Every method does what the one of the same name does in `LeasedMachineMemory` and `QueryLevel`, and raises the
    same errors; inside a running event loop each raises `CalledInLoop` and does nothing. `lock` marks the calling
    context, so that later calls of the same thread find the lease again.

    It is its own context manager. After a fork the child must open its own.

    Args:
        memory: What to call. It is closed with this object.

    Attributes:
        asynchronous: The same memory, for handlers and brokers.
    """

    def __init__(self, memory: LeasedMemory) -> None:
        self.asynchronous = memory
        self._pid = os.getpid()

    # --- the four verbs ---------------------------------------------------------------------------------------

    def read(self, id: str) -> Record | None:
        return run(self.asynchronous.read, id)

    def write(self, id: str, data: Record) -> None:
        run(self.asynchronous.write, id, data)

    def lock(self, id: str) -> bool:
        return run(self.asynchronous.lock, id)

    def unlock(self, id: str) -> bool:
        return run(self.asynchronous.unlock, id)

    # --- leases -----------------------------------------------------------------------------------------------

    def acquire(
        self, id: str, *, event_key: Sequence[str] | str | None = None, ttl_s: float | None = None
    ) -> Lease | None:
        return run(self.asynchronous.acquire, id, event_key=event_key, ttl_s=ttl_s)

    def commit(
        self, lease: Lease, data: Mapping[str, Any], *, step: Step | None = None, release: bool = True
    ) -> int:
        return run(self.asynchronous.commit, lease, data, step=step, release=release)

    def renew(self, lease: Lease, *, ttl_s: float | None = None) -> None:
        run(self.asynchronous.renew, lease, ttl_s=ttl_s)

    def release(self, lease: Lease) -> bool:
        return run(self.asynchronous.release, lease)

    # --- queries ----------------------------------------------------------------------------------------------

    def get(self, id: str) -> Instance | None:
        return run(self.asynchronous.get, id)

    def instances(self, what: Find | None = None, *, limit: int = 50, cursor: str | None = None) -> Page:
        return run(self.asynchronous.instances, what, limit=limit, cursor=cursor)

    def each(self, what: Find | None = None) -> Iterator[Instance]:
        instances = self.asynchronous.each(what)
        while some := run(_some, instances):
            yield from some

    def count(self, what: Find | None = None) -> int:
        return run(self.asynchronous.count, what)

    def children(self, id: str) -> tuple[Instance, ...]:
        return run(self.asynchronous.children, id)

    def ancestors(self, id: str) -> tuple[Instance, ...]:
        return run(self.asynchronous.ancestors, id)

    def journal(self, id: str, *, after: int = 0, limit: int = 100) -> tuple[Step, ...]:
        return run(self.asynchronous.journal, id, after=after, limit=limit)

    def history(self, id: str) -> tuple[tuple[int, Record], ...]:
        return run(self.asynchronous.history, id)

    def delete(self, id: str, *, force: bool = False) -> bool:
        return run(self.asynchronous.delete, id, force=force)

    def force_release(self, id: str, *, reason: str) -> bool:
        return run(self.asynchronous.force_release, id, reason=reason)

    def purge(self, *, older_than_s: float, dry_run: bool = False) -> tuple[str, ...]:
        return run(self.asynchronous.purge, older_than_s=older_than_s, dry_run=dry_run)

    # --- life cycle -------------------------------------------------------------------------------------------

    def ping(self) -> None:
        run(self.asynchronous.ping)

    def close(self) -> None:
        """Close what was opened; nothing in a forked child, where it is the parent's."""
        if os.getpid() == self._pid:
            run(self.asynchronous.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _some(instances: AsyncIterator[Instance]) -> list[Instance]:
    """The next instances, at most `MAX_PAGE`, so that not each of them changes threads; empty at the end."""
    some: list[Instance] = []
    async for instance in instances:
        some.append(instance)
        if len(some) == MAX_PAGE:
            break
    return some


def open_memory(url: str, **options: Any) -> SyncMemory:
    """
    The memory that *url* names, as plain calls. Returns at once; it connects at first use.

    Args:
        url: As for `pyarvo.open_memory`.

        options: See `MemoryOptions`; they win over the URL's.

    Raises:
        InvalidOption: The URL, its scheme or an option is not understood.
    """
    return SyncMemory(open_asynchronous(url, **options))
