"""A machine memory over LMDB, in one file: four verbs that keep their promises."""

import asyncio
import json
import logging
import os
import secrets
import time
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from functools import cache
from hashlib import sha256
from typing import Any

import lmdb

from pyarvo.errors import LeaseLost, MemoryClosed
from pyarvo.memory.codec import check_id, decode_record, encode_record
from pyarvo.memory.options import check_ttl

LIMIT = 8 * 1024 * 1024  # bytes of a record

log = logging.getLogger(__name__)


class Grant:
    """One call of `lock`, and the token that the store knows it by once it is granted."""

    def __init__(self, memory: "LmdbMemory", id: str) -> None:
        self.memory = memory
        self.id = id
        self.token = ""


# The verbs carry no token: it rides in the context of the caller, so that two callers that share one memory object
# are still two.
grants: ContextVar[tuple[Grant, ...]] = ContextVar("grants", default=())


@cache
def opened(path: str) -> tuple[Any, Any, Any]:
    """Environment, records and leases: LMDB wants them opened once in a process, however many memory objects there are."""
    env = lmdb.open(path, max_dbs=2, map_size=2**30)
    return env, env.open_db(b"records"), env.open_db(b"leases")


class LmdbMemory:
    """
    Records and leases in an LMDB environment, for several processes of one host.

    Args:
        path: Of its directory.

        lease_ttl_s: When a lease ends that nobody gives back, 1.0 to 3,600.0 seconds.
    """

    def __init__(self, path: str | os.PathLike[str], *, lease_ttl_s: float = 30.0) -> None:
        self.ttl_s = check_ttl(lease_ttl_s, "lease_ttl_s")
        self.env, self.records, self.leases = opened(os.path.realpath(path))
        self.pid = os.getpid()

    async def read(self, id: str) -> dict[str, Any] | None:
        check_id(id)
        return await self._asked(self._read, id)

    async def write(self, id: str, data: dict[str, Any]) -> None:
        check_id(id)
        raw = encode_record(data, limit=LIMIT)
        if not await self._asked(self._write, id, self._grant(id).token, raw):
            raise LeaseLost("this caller holds no lease", id=id, operation="write")

    def lock(self, id: str) -> Coroutine[Any, Any, bool]:
        # No `async def`: the caller's context is marked when it calls, in whatever task the answer is awaited.
        check_id(id)
        grant = Grant(self, id)
        grants.set((*(each for each in grants.get() if each.token), grant))
        return self._granted(grant)

    async def unlock(self, id: str) -> bool:
        check_id(id)
        grant = self._grant(id)
        token, grant.token = grant.token, ""
        try:
            return await self._asked(self._unlock, id, token)
        except lmdb.Error as error:
            log.warning("unlock of %r: %s; the lease ends by its TTL", id[:48], error)
            return False

    # --- whose lock it is ---

    async def _granted(self, grant: Grant) -> bool:
        token = secrets.token_hex(16)
        granted = await self._asked(self._lock, grant.id, token)
        grant.token = token if granted else ""
        return granted

    def _grant(self, id: str) -> Grant:
        """The caller's latest lease of *id*; one without a token where it has none."""
        mine = [each for each in grants.get() if each.memory is self and each.id == id and each.token]
        return mine[-1] if mine else Grant(self, id)

    # --- in the store: each is one transaction ---

    async def _asked(self, work: Callable[..., Any], *arguments: Any) -> Any:
        if os.getpid() != self.pid:  # a forked child has its parent's leases in the context
            raise MemoryClosed("this memory was opened before a fork; open another in the child")
        return await asyncio.to_thread(work, *arguments)

    def _read(self, id: str) -> dict[str, Any] | None:
        with self.env.begin(self.records) as transaction:
            raw = transaction.get(key_of(id))
        return None if raw is None else decode_record(raw)

    def _write(self, id: str, token: str, raw: bytes) -> bool:
        with self.env.begin(write=True) as transaction:
            lease = transaction.get(key_of(id), db=self.leases)
            if lease is None or json.loads(lease)["token"] != token:
                return False
            return transaction.put(key_of(id), raw, db=self.records)

    def _lock(self, id: str, token: str) -> bool:
        with self.env.begin(self.leases, write=True) as transaction:
            now = time.time()
            lease = json.loads(transaction.get(key_of(id), b"null"))
            if lease is not None and lease["since"] <= now < lease["until"]:
                return False
            lease = {"id": id, "token": token, "since": now, "until": now + self.ttl_s}
            return transaction.put(key_of(id), json.dumps(lease).encode())

    def _unlock(self, id: str, token: str) -> bool:
        with self.env.begin(self.leases, write=True) as transaction:
            lease = transaction.get(key_of(id))
            if lease is None or json.loads(lease)["token"] != token:
                return False
            return transaction.delete(key_of(id))


def key_of(id: str) -> bytes:
    """LMDB takes keys of 511 bytes, ids have up to 4,096."""
    return sha256(id.encode()).digest()
