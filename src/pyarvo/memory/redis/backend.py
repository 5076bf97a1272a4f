"""Operations to script calls, batch by batch; one route to the servers for each event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from threading import Lock
from typing import ClassVar, Final, cast

from pyarvo.errors import ForeignStore, MemoryFault, SchemaTooNew, StoreMissing
from pyarvo.memory.backend import Batches, Find, Image, Stored
from pyarvo.memory.decide import Committed, JournalEntry, Op, Outcome, Read
from pyarvo.memory.loops import forget_ended, run_there
from pyarvo.memory.options import MemoryOptions
from pyarvo.memory.redis.answers import outcome_of
from pyarvo.memory.redis.queries import Queries
from pyarvo.memory.redis.routes import Route, Wait, unavailable
from pyarvo.memory.redis.scripts import Command, Scripts
from pyarvo.memory.redis.wire import pack
from pyarvo.memory.retry import ATTEMPT_S

__all__ = ["RedisBackend"]

SCHEMA_VERSION: Final = 1


class _Reach:
    """A route, and what keeps it: an async generator, which the loop closes when it ends."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self.checked = False
        self._keeper = self._keep()
        self._kept = False

    async def hold(self) -> None:
        if not self._kept:
            self._kept = True
            await anext(self._keeper)

    async def close(self) -> None:
        await self._keeper.aclose()

    async def _keep(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self.route.close()


class RedisBackend:
    """
    Redis or Valkey.

    Args:
        open_route: Makes the way to the servers, for the running loop.

        prefix: Of every key.

        options: See `MemoryOptions`.

        wait: What is asked of replicas; None = nothing.
    """

    name: ClassVar[str] = "redis"
    immediate: ClassVar[bool] = False
    batches: ClassVar[Batches] = Batches(max_ops=32, max_in_flight=8)
    page: ClassVar[int] = 50_000
    takes_hashed_keys: ClassVar[bool] = False
    most_bodies: ClassVar[int | None] = None

    def __init__(
        self, open_route: Callable[[], Route], prefix: str, options: MemoryOptions, wait: Wait | None
    ) -> None:
        self._open_route = open_route
        self._scripts = Scripts(prefix, options)
        self._mark = f"{prefix}:schema".encode()
        self._prefix = prefix
        self._deadline_s = options.deadline_s
        self._create = options.create
        self._wait = wait
        self._reaches: dict[asyncio.AbstractEventLoop, _Reach] = {}
        self._mutex = Lock()

    async def execute(self, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        reading = all(type(op) is Read for op in ops)
        within_s = min(ATTEMPT_S, self._deadline_s) if reading else self._deadline_s
        route = await self._route(within_s)
        commands = [self._scripts.command(op) for op in ops]
        wait = None if reading else self._wait
        results = await route.run(commands, within_s, question=reading, wait=wait)
        return [
            result if isinstance(result, MemoryFault) else outcome_of(op, result)
            for op, result in zip(ops, results, strict=True)
        ]

    async def get(self, id: str) -> Stored | None:
        return await (await self._queries()).get(id)

    async def find(self, what: Find, *, before: int | None, limit: int) -> Sequence[Stored]:
        return await (await self._queries()).find(what, before, limit)

    async def count(self, what: Find) -> int:
        return await (await self._queries()).count(what)

    async def journal(self, id: str, *, after: int, limit: int) -> Sequence[JournalEntry]:
        return await (await self._queries()).journal(id, after, limit)

    async def history(self, id: str) -> Sequence[tuple[int, bytes]]:
        return await (await self._queries()).history(id)

    async def put(self, image: Image) -> bool:
        """See `Importing`."""
        route = await self._route(self._deadline_s)
        (result,) = await route.run([self._scripts.put(image)], self._deadline_s, wait=self._wait)
        op = Read(image.stored.id)
        outcome = result if isinstance(result, MemoryFault) else outcome_of(op, result)
        if isinstance(outcome, MemoryFault):
            raise outcome
        return isinstance(outcome, Committed)

    async def ping(self) -> None:
        await (await self._queries()).ping()

    async def close(self) -> None:
        """Close what was opened, on every loop that still runs."""
        here = asyncio.get_running_loop()
        with self._mutex:
            reaches = list(self._reaches.items())
            self._reaches.clear()
        for loop, reach in reaches:
            if loop is here:
                await reach.close()
            elif loop.is_running():
                await run_there(reach.close(), loop, self._deadline_s)

    async def _queries(self) -> Queries:
        return Queries(await self._route(self._deadline_s), self._scripts, self._prefix, self._deadline_s)

    async def _route(self, within_s: float) -> Route:
        """The running loop's way to the servers, once it is known that they hold nothing newer."""
        loop = asyncio.get_running_loop()
        reach = self._reaches.get(loop) or self._reach(loop)
        if not reach.checked:
            await reach.hold()
            await self._check_schema(reach.route, within_s)
            reach.checked = True
        return reach.route

    def _reach(self, loop: asyncio.AbstractEventLoop) -> _Reach:
        reach = _Reach(self._open_route())
        with self._mutex:
            forget_ended(self._reaches)
            self._reaches[loop] = reach
        return reach

    async def _check_schema(self, route: Route, within_s: float) -> None:
        marks = [pack(b"GET", self._mark)]
        if self._create:
            marks.insert(0, pack(b"SET", self._mark, b"%d" % SCHEMA_VERSION, b"NX"))
        results = await route.run([Command(self._mark, (mark,)) for mark in marks], within_s)
        for result in results:
            if isinstance(result, MemoryFault):
                raise unavailable(result)
        mark = cast("bytes | None", results[-1])
        if mark is None:
            raise StoreMissing(
                f"there is no memory with the prefix {self._prefix!r}; it is made by the first handler that uses it, "
                "or by `pyarvo migrate`"
            )
        if not mark.isdigit():
            raise ForeignStore(
                f"the key {self._mark.decode()!r} is not pyarvo's; choose another prefix or database"
            )
        if int(mark) > SCHEMA_VERSION:
            raise SchemaTooNew(
                f"the store has schema {int(mark)}, this pyarvo knows {SCHEMA_VERSION}; upgrade pyarvo"
            )
