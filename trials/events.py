"""Events in number: doubled, reordered, worked off by processes that are killed, on a server that is killed and cut off."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from pyarvo.events import ArvoEvent
from pyarvo.memory import SimpleMachineMemory, open_memory
from pyarvo.testing.faults import TcpProxy
from pyarvo.testing.history import History
from pyarvo.testing.simulation.trip import EVENTS, facts, first_event, make_handlers
from trials.backends import Store
from trials.judging import calls_file, judge
from trials.notes import Notes

__all__ = ["event_trials"]

_WORKERS = 2
_AT_ONCE = 64
_WORKFLOWS_AT_ONCE = 100
_MOST_COPIES = 3
_DOUBLED = 0.3
_EFFECTS = "effects.txt"
_SUBJECT = 2
"""Where an event's facts have its subject."""
_SOURCES = ("arvo.orc.sim.trip", "arvo.orc.sim.fan", "com.sim.add")

Emitted = dict[str, tuple[object, ...]]


async def without_faults(workflows: int) -> tuple[Emitted, set[str]]:
    """Everything that is emitted, and the ids of all requests worked off, when nothing goes wrong."""
    emitted: Emitted = {}
    effects: set[str] = set()
    memory = SimpleMachineMemory()
    handlers = make_handlers(
        memory, pause=lambda: asyncio.sleep(0), effect=lambda event: effects.add(event.id)
    )
    for n in range(workflows):
        waiting = [first_event(n)]
        while waiting:
            event = waiting.pop(0)
            for made in (await handlers[event.to or ""].execute(event)).events:
                emitted[made.id] = facts(made)
                waiting += [made] if made.to in handlers else []
    return emitted, effects


class _Process:
    """A worker, and what it was given and has not answered."""

    def __init__(self, popen: asyncio.subprocess.Process) -> None:
        self.popen = popen
        self.given: set[int] = set()


class _Broker:
    def __init__(self, store: Store, url: str, workflows: int, folder: Path, notes: Notes) -> None:
        self.emitted: Emitted = {}
        self.deliveries = 0
        self.acknowledged = 0
        self.counts: Counter[str] = Counter()
        self.others: list[str] = []
        self.processes: list[_Process] = []
        self._url = url
        self._folder = folder
        self._numbers = count()
        self._notes = notes
        self._chance = Random(store.name)
        self._inits = [first_event(n) for n in reversed(range(workflows))]
        self._running = 0
        self._events: dict[int, ArvoEvent] = {}
        self._waiting: list[int] = []
        self._sent: Counter[str] = Counter()
        self._readers: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()
        self._error: AssertionError | None = None

    async def run(self, within_s: float) -> None:
        for _ in range(_WORKERS):
            await self.start()
        try:
            async with asyncio.timeout(within_s):
                self.feed()
                await self._over.wait()
            if self._error is not None:
                raise self._error
        finally:
            self._over.set()
            for process in self.processes:
                with suppress(ProcessLookupError):
                    process.popen.kill()
            await asyncio.gather(*self._readers)

    async def start(self) -> None:
        dies_at = self._chance.randrange(50, 400) if self._chance.random() < 0.5 else 0
        calls = calls_file(self._folder, f"worker-{next(self._numbers)}")
        popen = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "trials.process", "work", self._url),
            *(str(self._folder / _EFFECTS), str(calls), str(dies_at)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**24,
        )
        process = _Process(popen)
        self.processes.append(process)
        task = asyncio.create_task(self._read(process))
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)

    async def _read(self, process: _Process) -> None:
        assert process.popen.stdout is not None
        while line := await process.popen.stdout.readline():
            if not line.endswith(b"\n"):
                break  # it died while it spoke
            try:
                self._answered(process, json.loads(line))
            except AssertionError as error:
                self._error = error
                self._over.set()
                return
            self.feed()
        await process.popen.wait()
        self.processes.remove(process)
        if not self._over.is_set():
            self.counts["killed"] += 1
            self._notes.note("process died", status=process.popen.returncode, given=len(process.given))
            self._waiting += process.given
            await self.start()
            self.feed()

    def _answered(self, process: _Process, answer: dict[str, Any]) -> None:
        if "error" in answer:
            raise AssertionError(f"a handler failed: {answer['error']}")
        n = answer["n"]
        process.given.discard(n)
        self.counts[answer["outcome"]] += 1
        if answer["outcome"] in ("again", "unknown_instance"):
            self._waiting.append(n)
            return
        event = self._events.pop(n)
        self.acknowledged += 1
        for each in answer["events"]:
            made = ArvoEvent.from_dict(each)
            told = facts(made)
            if self.emitted.setdefault(made.id, told) != told:
                self.others.append(made.id)
            if made.to in _SOURCES:
                self._publish(made)
            elif self._sent[made.id] == 0:  # the end of a workflow
                self._sent[made.id] += 1
                self._running -= 1
        self._notes.note(
            "answered", n=n, id=event.id, outcome=answer["outcome"], made=[e["id"] for e in answer["events"]]
        )

    def _publish(self, event: ArvoEvent) -> None:
        for _ in range(2 if self._chance.random() < _DOUBLED else 1):
            if self._sent[event.id] < _MOST_COPIES:
                self._sent[event.id] += 1
                self.counts["doubled"] += self._sent[event.id] > 1
                self.deliveries += 1
                self._events[self.deliveries] = event
                self._waiting.append(self.deliveries)

    def feed(self) -> None:
        """Hand out what waits, in any order; or say that all is over."""
        while self._inits and self._running < _WORKFLOWS_AT_ONCE:
            self._running += 1
            self._publish(self._inits.pop())
        for process in self.processes:
            orders: list[dict[str, Any]] = []
            while self._waiting and len(process.given) < _AT_ONCE:
                place = self._chance.randrange(len(self._waiting))
                self._waiting[place], self._waiting[-1] = self._waiting[-1], self._waiting[place]
                n = self._waiting.pop()
                process.given.add(n)
                orders.append({"n": n, "event": self._events[n].to_dict()})
            if orders and process.popen.stdin is not None and not process.popen.stdin.is_closing():
                process.popen.stdin.write(json.dumps(orders).encode() + b"\n")
        if not self._events and not self._inits:
            self._over.set()

    def kill_one(self) -> None:
        """SIGKILL to a worker in the midst of its work."""
        if self.processes:
            with suppress(ProcessLookupError):
                self._chance.choice(self.processes).popen.kill()


async def event_trials(
    store: Store, workflows: int, folder: Path, *, within_s: float = 600.0
) -> dict[str, Any]:
    """
    Run so many workflows of 18 events each through every fault, and compare with a run without any.

    What every process saw of the store is written to *folder*, and judged.

    Raises:
        TimeoutError: It was not over within *within_s* seconds.
    """
    expected, expected_effects = await without_faults(workflows)
    async with AsyncExitStack() as stack:
        notes = stack.enter_context(Notes(folder))
        url, proxy = store.url, None
        if store.restart is not None:
            proxy = await stack.enter_async_context(TcpProxy(store.port))
            url = store.by(proxy.port)
        broker = _Broker(store, url, workflows, folder, notes)
        chaos = asyncio.create_task(_chaos(store, proxy, broker, workflows * EVENTS, notes))
        try:
            await broker.run(within_s)
        finally:
            chaos.cancel()
            await asyncio.gather(chaos, return_exceptions=True)
            if proxy is not None:
                proxy.heal()
    instances = {str(told[_SUBJECT]) for told in expected.values()}
    counts = {
        "events": workflows * EVENTS,
        "deliveries": broker.deliveries,
        "doubled": broker.counts["doubled"],
        "processes_killed": broker.counts["killed"],
        "refused_and_again": broker.counts["again"],
        "replayed": broker.counts["replayed"],
        "faults": broker.counts["faults"],
        "ids_as_without_faults": broker.emitted == expected and not broker.others,
        "effects_as_without_faults": set((folder / _EFFECTS).read_text().split()) == expected_effects,
        "records_done": await _done(store, sorted(instances), folder),
    }
    judged = judge(folder)
    same = counts["ids_as_without_faults"] and counts["effects_as_without_faults"] and counts["records_done"]
    good = same and counts["processes_killed"] > 0 and judged.verdict.is_legal
    return {"good": good, **counts, **judged.counts()}


async def _chaos(store: Store, proxy: TcpProxy | None, broker: _Broker, events: int, notes: Notes) -> None:
    """What goes wrong, each at its share of the work."""

    async def kill() -> None:
        broker.kill_one()

    async def restart() -> None:
        assert store.restart is not None
        await asyncio.to_thread(store.restart)

    async def partition() -> None:
        assert proxy is not None
        proxy.partition()
        await asyncio.sleep(1.5)
        proxy.heal()

    async def lose() -> None:
        assert proxy is not None
        proxy.lose_next_reply()
        await asyncio.sleep(0.3)
        proxy.heal()

    async def reset() -> None:
        assert proxy is not None
        proxy.reset()

    faults: tuple[Callable[[], Awaitable[None]], ...] = (
        (kill, restart, lose, kill, partition, lose, restart, reset) if proxy else (kill, kill, kill, kill)
    )
    for n, fault in enumerate(faults):
        while broker.acknowledged < events * (n + 0.5) / len(faults):
            await asyncio.sleep(0.01)
        notes.note("fault", kind=fault.__name__)
        broker.counts["faults"] += 1
        await fault()


async def _done(store: Store, instances: list[str], folder: Path) -> bool:
    """Whether every record says that it is done; each is read, so that the history shows what was kept."""
    with History(calls_file(folder, "reader")) as history:
        async with history.memory(open_memory(store.url)) as memory:
            statuses = [(await memory.read(id) or {}).get("status") for id in instances]
    return set(statuses) == {"done"}
