"""What a process of the trials does: `python -m trials.process ROLE ...`. It obeys lines of JSON, and answers in such."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

from pyarvo.errors import ArvoError, TransactionViolation
from pyarvo.events import ArvoEvent
from pyarvo.memory import LeasedMemory, open_memory
from pyarvo.memory.contract import Lease
from pyarvo.testing.faults import kill_at
from pyarvo.testing.simulation.trip import make_handlers


def say(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


async def named(work: Any) -> str:
    try:
        return f"ok {await work}"
    except ArvoError as error:
        return type(error).__name__


async def hold(url: str) -> None:
    """Take leases of a second on the ids that it is told; when told to go on, do with them all that an owner may."""
    async with open_memory(url, lease_ttl_s=1.0) as memory:
        for line in sys.stdin:
            ids: list[str] = json.loads(line)
            leases = await asyncio.gather(*(memory.acquire(id) for id in ids))
            say(held=sum(lease is not None for lease in leases))
            sys.stdin.readline()  # here it is frozen
            say(results=await asyncio.gather(*(use(memory, lease) for lease in leases if lease)))


async def use(memory: LeasedMemory, lease: Lease) -> dict[str, Any]:
    at = time.monotonic()
    commit = await named(memory.commit(lease, {"by": "first"}, release=False))
    renew = await named(memory.renew(lease))
    release = await named(memory.release(lease))
    return {
        "id": lease.id,
        "fence": lease.fence,
        "commit": commit,
        "renew": renew,
        "release": release,
        "at": at,
    }


async def work(url: str, effects: str, dies_at: str) -> None:
    """Work off the events that it is told, many at once, and tell what came of each."""
    loop = asyncio.get_running_loop()
    busy: set[asyncio.Task[None]] = set()
    async with open_memory(url, lease_ttl_s=1.0, lock_attempts=2) as memory:
        with Path(effects).open("a", encoding="utf-8") as file:  # noqa: ASYNC230 - a line at a time, to the page cache
            used = (
                memory
                if dies_at == "0"
                else kill_at("after_commit_before_publish", nth=int(dies_at)).memory(memory)
            )

            def effect(event: ArvoEvent) -> None:
                file.write(f"{event.id}\n")
                file.flush()

            handlers = make_handlers(used, pause=lambda: asyncio.sleep(0), effect=effect)

            async def handle(order: dict[str, Any]) -> None:
                event = ArvoEvent.from_dict(order["event"])
                try:
                    result = await handlers[event.to or ""].execute(event)
                except TransactionViolation as fault:
                    say(n=order["n"], outcome="again", why=fault.cause.value)
                    return
                say(
                    n=order["n"],
                    outcome=str(result.outcome),
                    events=[each.to_dict() for each in result.events],
                )

            def done(task: asyncio.Task[None]) -> None:
                busy.discard(task)
                if task.exception() is not None:  # told, so that nobody waits for its answer
                    say(error=repr(task.exception()))

            while line := await loop.run_in_executor(None, sys.stdin.readline):
                for order in json.loads(line):
                    task = loop.create_task(handle(order))
                    busy.add(task)
                    task.add_done_callback(done)
            await asyncio.gather(*busy)


ROLES = {"hold": hold, "work": work}

if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(ROLES[sys.argv[1]](*sys.argv[2:]))
