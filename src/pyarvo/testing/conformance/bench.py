"""What a clause works with: memories over one store, ids of its own, racers, and words for what must hold."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from contextvars import Context
from random import Random
from time import monotonic
from typing import Any, Final, TypeVar

from pyarvo.memory import Lease, MachineMemory
from pyarvo.testing.conformance.faults import Fault, FaultyBackend
from pyarvo.testing.conformance.watched import History, Watched
from pyarvo.testing.faults.proxy import TcpProxy

__all__ = [
    "PATIENCE_S",
    "SHORT_S",
    "STORM_S",
    "Bench",
    "Factory",
    "PromiseBroken",
    "Shared",
    "same_again",
    "until_answered",
]

R = TypeVar("R")
E = TypeVar("E", bound=BaseException)

SHORT_S: Final = 1.0
"""The shortest TTL there is; it is waited for where time must pass."""

_SLACK_S: Final = 0.15

PATIENCE_S: Final = 35.0
"""Who comes again at once may pass a caller by for long, on a busy machine."""

STORM_S: Final = 15.0
"""How long many go on at once: over a slow store they come less far, which breaks no promise."""

Factory = Callable[..., MachineMemory]
"""
`factory(**options) -> memory`: another memory object over one and the same store.

It takes `lease_ttl_s`; and `server`, where the level network is declared: the "host:port" to connect to, which
leads to the store.
"""


class PromiseBroken(AssertionError):
    """What was promised does not hold; the message says what was seen instead."""


async def until_answered(memory: MachineMemory, id: str, within_s: float = 10.0) -> None:
    """
    Read *id* until the store answers: what it takes to connect and to make tables is no clause's matter.

    Raises:
        Exception: What the last read raised, once *within_s* seconds have passed.
    """
    until = monotonic() + within_s
    while True:
        try:
            await memory.read(id)
        except Exception:
            if monotonic() > until:
                raise
            await asyncio.sleep(0.05)
        else:
            return


class Shared:
    """
    The memories of one run: clauses share them, each with ids of its own, so that connections stay few.

    Args:
        factory: See `Factory`.

        server: Where the store is, "host:port"; None where it is no server, or nobody says.
    """

    def __init__(self, factory: Factory, server: str | None = None) -> None:
        self.server = server
        self._factory = factory
        self._opened: dict[tuple[tuple[tuple[str, Any], ...], int], MachineMemory] = {}

    def memory(self, options: dict[str, Any], number: int) -> MachineMemory:
        """The memory with *options* that is the *number*th of a clause."""
        key = (tuple(sorted(options.items())), number)
        if key not in self._opened:
            self._opened[key] = self._factory(**options)
        return self._opened[key]

    def fresh(self, options: dict[str, Any]) -> MachineMemory:
        """A memory that nobody else has."""
        return self._factory(**options)

    async def close(self) -> str:
        """Close all of them; what the first one raised that could not be, else nothing."""
        raised = ""
        for memory in self._opened.values():
            try:
                await Watched(memory, "", History()).close()
            except Exception as error:  # noqa: BLE001 - a memory under test may raise anything; it is told
                raised = raised or f"{type(error).__name__} where none may be raised: {error}"
        return raised


class Bench:
    """
    The place of one clause.

    Args:
        shared: The memories of the run.

        clause: Its id.

        run: What ids of this run begin with.

        seed: Of everything drawn at random.

    Attributes:
        random: Drawn from the seed and the clause.

        history: Every call that the clause made.
    """

    def __init__(self, shared: Shared, clause: str, run: str, seed: int) -> None:
        self.random = Random(f"{seed} {clause}")
        self.history = History()
        self._shared = shared
        self._prefix = f"{run}/{clause}"
        self._numbers: dict[str, int] = {}
        self._own: list[Watched] = []
        self._faulty: dict[Watched, FaultyBackend] = {}
        self._proxies: list[TcpProxy] = []
        self._count = 0

    # --- memories and ids -------------------------------------------------------------------------------------

    def id(self, name: str = "a") -> str:
        """The id that this clause calls *name*; no other clause has it."""
        id = f"{self._prefix}/{name}"
        self.history.names[id] = name
        return id

    def open(self, **options: Any) -> Watched:
        """Another memory object over the store; shared with other clauses."""
        kind = repr(sorted(options.items()))
        number = self._numbers[kind] = self._numbers.get(kind, -1) + 1
        return self._watched(self._shared.memory(options, number))

    def several(self, count: int, **options: Any) -> list[Watched]:
        """That many memory objects."""
        return [self.open(**options) for _ in range(count)]

    def fresh(self, **options: Any) -> Watched:
        """A memory object of this clause alone, closed in the end."""
        memory = self._watched(self._shared.fresh(options))
        self._own.append(memory)
        return memory

    async def faulty(self, *faults: Fault, **options: Any) -> Watched:
        """
        A memory whose calls to the store go as *faults* say, one after the other; then all go through.

        Only for memories on pyarvo's `Backend`. By default it asks once for a lease. It is connected, so that no
        attempt is spent on a connection that a busy machine opens slowly.
        """
        memory = self.fresh(**{"lock_attempts": 1, **options})
        await until_answered(memory.inner, self.id("connects"))
        inside: dict[str, Any] = memory.inner.__dict__
        self._faulty[memory] = inside["_backend"] = FaultyBackend(inside["_backend"], faults)
        return memory

    def sent(self, memory: Watched) -> list[str]:
        """The kinds of operations that a faulty memory has sent to the store."""
        return [type(op).__name__ for op in self._faulty[memory].sent]

    async def proxied(self, **options: Any) -> tuple[Watched, TcpProxy]:
        """A memory of this clause alone, and the proxy that it reaches its server through, connected."""
        if self._shared.server is None:
            raise RuntimeError("nobody said where the server is")
        proxy = await TcpProxy(self._shared.server).__aenter__()
        self._proxies.append(proxy)
        memory = self.fresh(server=f"{proxy.host}:{proxy.port}", **options)
        await until_answered(memory.inner, self.id("connects"))
        return memory, proxy

    def _watched(self, memory: MachineMemory) -> Watched:
        self._count += 1
        return Watched(memory, f"m{self._count}", self.history)

    async def close(self) -> None:
        for proxy in self._proxies:
            proxy.reset()
            proxy.heal()
        for memory in self._own:
            await memory.close()
        for proxy in self._proxies:
            await proxy.__aexit__()

    # --- time and callers -------------------------------------------------------------------------------------

    async def pass_s(self, seconds: float = SHORT_S) -> None:
        """Wait until a lease of *seconds* that was granted before is over."""
        await asyncio.sleep(seconds + _SLACK_S)

    async def elsewhere(self, work: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """Do *work* as another caller: in a task that inherits nothing."""

        async def called() -> R:
            return await work()

        return await asyncio.get_running_loop().create_task(called(), context=Context())

    async def race(self, works: Sequence[Callable[[], Coroutine[Any, Any, R]]]) -> list[R | BaseException]:
        """Do all *works* at the same moment, each as a caller of its own; what they returned or raised."""
        gate = asyncio.Event()

        async def racer(work: Callable[[], Coroutine[Any, Any, R]]) -> R:
            await gate.wait()
            return await work()

        loop = asyncio.get_running_loop()
        order = list(range(len(works)))
        self.random.shuffle(order)
        tasks = {n: loop.create_task(racer(works[n]), context=Context()) for n in order}
        await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(*(tasks[n] for n in range(len(works))), return_exceptions=True)

    async def together(self, works: Sequence[Callable[[], Coroutine[Any, Any, R]]]) -> list[R]:
        """The same, where none may raise: what they returned."""
        results: list[R] = []
        for each in await self.race(works):
            if isinstance(each, BaseException):
                raise each
            results.append(each)
        return results

    async def until_locked(self, memory: Watched, id: str, within_s: float = 15.0) -> None:
        """Lock *id*, asking again while somebody else holds it."""
        until = monotonic() + within_s
        while not await memory.lock(id):
            if monotonic() > until:
                raise PromiseBroken(
                    f"nobody got the lease within {within_s} s although every holder gave it up"
                )
            await asyncio.sleep(self.random.uniform(0.0, 0.02))

    async def until_held(self, memory: Watched, id: str, within_s: float = 15.0, **options: Any) -> Lease:
        """The lease of *id*, asking again while somebody else holds it."""
        until = monotonic() + within_s
        while (lease := await memory.acquire(id, **options)) is None:
            if monotonic() > until:
                raise PromiseBroken(
                    f"nobody got the lease within {within_s} s although every holder gave it up"
                )
            await asyncio.sleep(self.random.uniform(0.0, 0.02))
        return lease

    async def cancelled(self, work: Callable[[], Coroutine[Any, Any, Any]], at: int) -> bool:
        """Do *work*, cancelled at its suspension number *at*; whether it has so many."""
        cut = _Cut(work, at)

        async def run() -> Any:
            return await cut

        (answer,) = await asyncio.gather(asyncio.create_task(run()), return_exceptions=True)
        if isinstance(answer, BaseException) and not isinstance(answer, asyncio.CancelledError):
            raise answer
        return cut.reached

    # --- what must hold ---------------------------------------------------------------------------------------

    def holds(self, condition: object, otherwise: str) -> None:
        """*condition* must be true; else *otherwise* is what was seen."""
        if not condition:
            raise PromiseBroken(otherwise)

    def equal(self, seen: object, expected: object, what: str) -> None:
        """*seen* must equal *expected*, with the same types inside."""
        if repr(seen) != repr(expected):
            shown = self.history.shown
            raise PromiseBroken(f"{what}: {shown(seen)}, not {shown(expected)}")

    async def refused(self, working: Awaitable[object], kind: type[E], what: str) -> E:
        """*working* must raise *kind*; the error."""
        try:
            answer = await working
        except kind as error:
            return error
        except Exception as error:
            raise PromiseBroken(
                f"{what} raised {type(error).__name__}, not {kind.__name__}: {error}"
            ) from error
        raise PromiseBroken(f"{what} was not refused; it answered {self.history.shown(answer)}")

    async def locked(self, memory: Watched, id: str) -> None:
        """Lock *id*, which nobody holds."""
        self.equal(await memory.lock(id), expected=True, what="lock of an instance that nobody holds")

    async def held(self, memory: Watched, id: str, **options: Any) -> Lease:
        """The lease of *id*, which nobody holds."""
        lease = await memory.acquire(id, **options)
        if lease is None or not lease.held:
            raise PromiseBroken(f"acquire of an instance that nobody holds: {self.history.shown(lease)}")
        return lease

    async def put(self, memory: Watched, id: str, data: Any) -> None:
        """Make *data* the record of *id*, with the four verbs."""
        await self.locked(memory, id)
        await memory.write(id, data)
        self.equal(await memory.unlock(id), expected=True, what="unlock by the holder")


class _Cut:
    """Awaits work and cancels the task that does so when the work is suspended for the *at*th time."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, Any]], at: int) -> None:
        self._work = work
        self._at = at
        self.reached = False

    def __await__(self) -> Generator[Any, Any, Any]:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("to be awaited in a task")
        steps = self._work().__await__()
        seen = 0
        try:
            waited_for: Any = next(steps)
            while True:
                if seen == self._at:
                    self.reached = True
                    asyncio.get_running_loop().call_soon(task.cancel)
                seen += 1
                try:
                    answer = yield waited_for
                except BaseException as error:  # noqa: BLE001 - the work gets it, whatever it is
                    waited_for = steps.throw(error)
                else:
                    waited_for = steps.send(answer)
        except StopIteration as end:
            return end.value


def same_again(lease: Lease) -> Lease:
    """The handle as it is now, for sending the same thing once more."""
    return Lease(
        lease.id,
        token=lease.token,
        fence=lease.fence,
        version=lease.version,
        data=lease.data,
        ttl_s=lease.ttl_s,
        sent_at=lease.sent_at,
    )
