"""What a process of the trials does: `python -m trials.process ROLE ...`. It obeys lines of JSON, and answers in such."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pyarvo.brokers.delivery import EventHandler
from pyarvo.errors import ArvoError, TransactionViolation
from pyarvo.events import ArvoEvent
from pyarvo.memory import open_memory
from pyarvo.memory.contract import Lease, LeasedMachineMemory
from pyarvo.testing.faults import kill_at
from pyarvo.testing.history import History
from pyarvo.testing.simulation.trip import make_handlers


def say(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


async def hold(url: str, calls: str) -> None:
    """Take leases of a second on the ids that it is told; when told to go on, do with them all that an owner may."""
    with History(calls) as history:
        async with history.memory(open_memory(url, lease_ttl_s=1.0)) as memory:
            for line in sys.stdin:
                leases = await asyncio.gather(*(memory.acquire(id) for id in json.loads(line)))
                say(done="held" if all(leases) else "denied")
                sys.stdin.readline()  # here it is frozen
                await asyncio.gather(*(use(memory, lease) for lease in leases if lease))
                say(done="used")


async def use(memory: LeasedMachineMemory, lease: Lease) -> None:
    """Commit, renew and release; what each came to is in the history."""
    for doing in (
        memory.commit(lease, {"by": "first"}, release=False),
        memory.renew(lease),
        memory.release(lease),
    ):
        with suppress(ArvoError):
            await doing


async def work(url: str, effects: str, calls: str, dies_at: str) -> None:
    """Work off the events that it is told, many at once, and tell what came of each."""
    with Path(effects).open("a", encoding="utf-8") as file, History(calls) as history:
        async with history.memory(open_memory(url, lease_ttl_s=1.0, lock_attempts=2)) as memory:
            killer = kill_at("after_commit_before_publish", nth=int(dies_at)) if dies_at != "0" else None

            def effect(event: ArvoEvent) -> None:
                file.write(f"{event.id}\n")
                file.flush()

            handlers = make_handlers(
                killer.memory(memory) if killer else memory, pause=lambda: asyncio.sleep(0), effect=effect
            )
            await _obey(handlers)


async def _obey(handlers: Mapping[str, EventHandler]) -> None:
    """Hand every event that comes in to its handler, until nothing more can come."""
    loop = asyncio.get_running_loop()
    busy: set[asyncio.Task[None]] = set()

    def done(task: asyncio.Task[None]) -> None:
        busy.discard(task)
        if task.exception() is not None:  # told, so that nobody waits for its answer
            say(error=repr(task.exception()))

    while line := await loop.run_in_executor(None, sys.stdin.readline):
        for order in json.loads(line):
            event = ArvoEvent.from_dict(order["event"])
            task = loop.create_task(_handle(handlers[event.to or ""], event, order["n"]))
            busy.add(task)
            task.add_done_callback(done)
    await asyncio.gather(*busy)


async def _handle(handler: EventHandler, event: ArvoEvent, n: int) -> None:
    try:
        result = await handler.execute(event)
    except TransactionViolation as fault:
        say(n=n, outcome="again", why=fault.cause.value)
        return
    say(n=n, outcome=str(result.outcome), events=[each.to_dict() for each in result.events])


ROLES: Final[Mapping[str, Callable[..., Awaitable[None]]]] = {"hold": hold, "work": work}

if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(ROLES[sys.argv[1]](*sys.argv[2:]))
