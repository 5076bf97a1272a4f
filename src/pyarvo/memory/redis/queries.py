"""
What people and tools ask: one instance, lists, the journal.

There is no index: lists walk all keys with SCAN. They are weakly consistent, as SCAN is: an instance that exists
during the whole walk is found, one that comes or goes meanwhile may be or not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from heapq import heappush, heappushpop
from itertools import chain
from typing import Any, Final, cast

from msgspec.structs import replace

from pyarvo.errors import MemoryFault, RecordCorrupt
from pyarvo.memory.backend import Find, Stored, matches
from pyarvo.memory.decide import JournalEntry
from pyarvo.memory.redis.answers import entry_of, stored_of
from pyarvo.memory.redis.faults import fault_of_answer, fault_of_reply
from pyarvo.memory.redis.routes import Route, Server, unavailable
from pyarvo.memory.redis.scripts import Command, Scripts
from pyarvo.memory.redis.wire import ErrorReply, Reply, pack

__all__ = ["Queries"]

_PAGE: Final = b"1000"
_HASH_DIGITS: Final = 32


class Queries:
    """
    Questions over one route.

    Args:
        route: The way to the servers.

        scripts: Packs what is asked.

        prefix: Of every key.

        within_s: The longest one round trip may take, in seconds.
    """

    def __init__(self, route: Route, scripts: Scripts, prefix: str, within_s: float) -> None:
        self._route = route
        self._scripts = scripts
        self._within_s = within_s
        escaped = "".join(f"\\{sign}" if sign in "*?[]\\^-" else sign for sign in prefix)
        self._pattern = f"{escaped}:{{{'?' * _HASH_DIGITS}}}".encode()

    async def ping(self) -> None:
        for server in await self._route.servers():
            await self._on(server, [pack(b"PING")])

    async def get(self, id: str) -> Stored | None:
        code, *rest = cast("list[Any]", await self._ask(self._scripts.get(id)))
        if code != 1:
            raise RecordCorrupt(f"{rest[0].decode()}; it was left as it is", id=id)
        if not rest:
            return None
        now, data, fields = rest
        return stored_of(id, now, fields, data)

    async def find(self, what: Find, before: int | None, limit: int) -> list[Stored]:
        newest: list[tuple[int, str, Stored]] = []
        chosen: set[str] = set()
        async for stored in self._each():
            if not matches(stored, what) or stored.id in chosen:
                continue
            if before is not None and stored.serial >= before:
                continue
            chosen.add(stored.id)
            item = (stored.serial, stored.id, stored)
            if len(newest) < limit:
                heappush(newest, item)
            else:
                chosen.discard(heappushpop(newest, item)[1])
        return [stored for _, _, stored in sorted(newest, reverse=True)]

    async def count(self, what: Find) -> int:
        return len({stored.serial async for stored in self._each() if matches(stored, what)})

    async def journal(self, id: str, after: int, limit: int) -> list[JournalEntry]:
        keys = self._scripts.keys(id)
        entries: list[JournalEntry] = []
        bodies: dict[int, bytes] = {}
        cursor = b"0"
        while True:
            scan = pack(b"HSCAN", keys.journal, cursor, b"COUNT", _PAGE)
            cursor, fields = cast("tuple[bytes, list[bytes]]", await self._ask(Command(keys.row, (scan,))))
            for name, value in zip(fields[::2], fields[1::2], strict=True):
                kind, rest = name[:1], name[1:]
                try:
                    if kind == b"b":
                        bodies[int(rest)] = value
                    else:
                        entries.append(entry_of(value, rest.decode() if kind == b"e" else None, None))
                except ValueError as exc:
                    raise RecordCorrupt("a journal entry does not decode", id=id) from exc
            if cursor == b"0":
                break
        found = {entry.version: entry for entry in entries if entry.version > after}
        return [replace(found[version], produced=bodies.get(version)) for version in sorted(found)[:limit]]

    async def history(self, id: str) -> list[tuple[int, bytes]]:
        keys = self._scripts.keys(id)
        asked = Command(keys.row, (pack(b"HGETALL", keys.history),))
        fields = _fields(await self._ask(asked))
        kept = {int(version): data for version, data in zip(fields[::2], fields[1::2], strict=True)}
        return sorted(kept.items(), reverse=True)

    async def _each(self) -> AsyncIterator[Stored]:
        """Every instance, without its record; one twice when the server moves its keys meanwhile."""
        for server in await self._route.servers():
            cursor = b"0"
            while True:
                scan = pack(b"SCAN", cursor, b"MATCH", self._pattern, b"COUNT", _PAGE)
                (found,) = await self._on(server, [scan])
                cursor, keys = cast("tuple[bytes, list[bytes]]", found)
                now, rows = await self._rows(server, keys)
                for row in rows:
                    if row:
                        yield stored_of(_id_in(row), now, row, None)
                if cursor == b"0":
                    break

    async def _rows(self, server: Server, keys: Sequence[bytes]) -> tuple[int, list[list[bytes]]]:
        """A moment in microseconds, and the rows before it: a lease renewed just now must not be of the future."""
        if not keys:
            return 0, []
        *rows, clock = await self._on(server, [*[pack(b"HGETALL", key) for key in keys], pack(b"TIME")])
        seconds, micros = cast("list[bytes]", clock)
        return int(seconds) * 1_000_000 + int(micros), [_fields(row) for row in rows]

    async def _ask(self, command: Command) -> Reply:
        (result,) = await self._route.run([command], self._within_s, question=True)
        if isinstance(result, MemoryFault):
            raise unavailable(result)
        return result

    async def _on(self, server: Server, commands: Sequence[bytes]) -> Sequence[Reply]:
        """One round trip to one server."""
        if not commands:
            return ()
        answer = await server.questions.exchange(b"".join(commands), len(commands), self._within_s)
        if answer.error is not None:
            raise unavailable(fault_of_answer(answer))
        for reply in answer.replies:
            if isinstance(reply, ErrorReply):
                raise unavailable(fault_of_reply(reply))
        return answer.replies


def _fields(reply: object) -> list[bytes]:
    """Names and values of a hash in turn; the newer protocol, which a client passed in may speak, pairs them."""
    if isinstance(reply, dict):
        return [*chain.from_iterable(cast("dict[bytes, bytes]", reply).items())]
    return cast("list[bytes]", reply)


def _id_in(fields: Sequence[bytes]) -> str:
    try:
        return fields[fields.index(b"id") + 1].decode()
    except ValueError as exc:
        raise RecordCorrupt(
            "a key with this memory's prefix is not an instance; it was left as it is"
        ) from exc
