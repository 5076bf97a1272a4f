"""A bucket on a NATS server as a place."""

# It damages stores from inside.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from uuid import uuid4

from msgspec.structs import replace

from pyarvo.memory import MemoryOptions
from pyarvo.memory.backend import Backend
from pyarvo.memory.nats import _bucket
from pyarvo.memory.nats.address import address_of
from pyarvo.memory.nats.backend import NatsBackend
from pyarvo.memory.nats.entry import HEADER
from pyarvo.memory.nats.link import Ask

from .place import Place

__all__ = ["NatsPlace"]


class NatsPlace(Place):
    """
    A bucket of its own.

    Args:
        directory: For nothing.

        url: Of the servers.

        replicas: On how many of them the bucket is.
    """

    def __init__(self, directory: Path, url: str, replicas: int = 1) -> None:
        super().__init__("nats", directory)
        self._address, _ = address_of(url, credentials=None, tls=False)
        self._bucket = _bucket(f"place-{uuid4().hex}", replicas, "memory")

    def _backend(self, options: MemoryOptions) -> Backend:
        return NatsBackend(self._address, None, self._bucket, options, clock=self.clock)

    def damage(self, id: str, raw: bytes) -> None:
        with ThreadPoolExecutor(1) as threads:
            threads.submit(asyncio.run, self._damage(id, raw)).result()

    async def _damage(self, id: str, raw: bytes) -> None:
        backend = NatsBackend(self._address, None, self._bucket, MemoryOptions(), clock=self.clock)
        store = await backend._store()
        entry = (await store.load(id, monotonic() + 5)).entry
        assert entry is not None
        header, payload = replace(entry, row=replace(entry.row, data=raw)).encode()
        await store.link.ask(Ask(store.bucket.keys.entry(id), payload, {HEADER: header}), 5)
        await backend.close()
