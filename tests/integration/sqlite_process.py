"""What a process of the tests does: `python sqlite_process.py ROLE ...`. It answers in lines, and obeys lines."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from pyarvo.errors import ArvoError
from pyarvo.memory import Lease, LeasedMemory, SqliteMachineMemory, Step


def say(*words: object) -> None:
    line = " ".join(map(str, words))
    # In one write, also where output is not buffered: who is killed has said a whole line or nothing of it.
    print(f"{line}\n", end="", flush=True)


def told() -> str:
    """The next order; at the end of the orders this process ends."""
    line = sys.stdin.readline()
    if not line:
        raise SystemExit(0)
    return line.strip()


async def granted(memory: LeasedMemory, id: str, ttl_s: float | None = None) -> Lease:
    while True:
        lease = await memory.acquire(id, ttl_s=ttl_s)
        if lease is not None:
            return lease


async def outcome(work: Coroutine[Any, Any, object]) -> str:
    try:
        return f"ok {await work}"
    except ArvoError as error:
        return f"{type(error).__name__} {error}"


async def create(path: str) -> None:
    """Race to create one instance."""
    say("ready")
    told()
    async with SqliteMachineMemory(path) as memory:
        lease = await memory.acquire("a")
        if lease is None:
            say("denied")
        elif lease.version:
            say("late")
        else:
            say(await outcome(memory.commit(lease, {"by": os.getpid()})))


async def count(path: str, times: str) -> None:
    """Count up, many times."""
    async with SqliteMachineMemory(path) as memory:
        for _ in range(int(times)):
            lease = await granted(memory, "counter")
            n = 0 if lease.data is None else lease.data["n"]
            await memory.commit(lease, {"n": n + 1})
    say("done")


async def hold(path: str) -> None:
    """Take a lease of a second, then commit when told to."""
    async with SqliteMachineMemory(path) as memory:
        lease = await granted(memory, "a", ttl_s=1.0)
        say("held", lease.fence)
        told()
        say(await outcome(memory.commit(lease, {"by": "the first"})))
        say(await outcome(memory.renew(lease)))
        say(await outcome(memory.release(lease)))


async def write(path: str) -> None:
    """Write without an end, several instances at once; say each version that was acknowledged."""
    async with SqliteMachineMemory(path) as memory:

        async def run(id: str) -> None:
            version = 0
            while True:
                lease = await granted(memory, id)
                assert lease.version >= version
                n = lease.version + 1
                record = {"n": n, "padding": f"{n}," * 500}
                step = Step(f"event {n}", ({"n": n, "padding": f"{n};" * 500},))
                version = await memory.commit(lease, record, step=step)
                say(id, version)

        await asyncio.gather(*(run(f"i{n}") for n in range(4)))


async def open_each() -> None:
    """Open every file named, and lock an instance in it."""
    say("ready")
    while True:
        async with SqliteMachineMemory(told()) as memory:
            say(await outcome(memory.acquire(str(os.getpid()))))


async def fill(path: str, limit: str) -> None:
    """Write until files may not grow any more, then once more with room."""
    async with SqliteMachineMemory(path) as memory:
        lease = await granted(memory, "a")
        version = 0
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
        while True:
            try:
                version = await memory.commit(lease, {"n": version + 1, "pad": "x" * 50_000}, release=False)
            except ArvoError as error:
                say(f"{type(error).__name__} {error}")
                break
        say(version)
        say(await outcome(memory.read("a")) == f"ok {{'n': {version}, 'pad': '{'x' * 50_000}'}}")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        say(await outcome(memory.commit(lease, {"n": "room again"})))


async def create_full(path: str, limit: str) -> None:
    """Make a file where there is no room for one."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    async with SqliteMachineMemory(path, deadline_s=0.5) as memory:
        say(await outcome(memory.acquire("a")))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        say(await outcome(memory.acquire("a")))


async def unprivileged(path: str) -> None:
    """Use a file as somebody who may do nothing."""
    if os.getuid() == 0:  # whom rights do not bind
        os.setgroups([])
        os.setgid(65_534)
        os.setuid(65_534)
    async with SqliteMachineMemory(path, deadline_s=0.5) as memory:
        say(await outcome(memory.read("a")))
        say(await outcome(memory.acquire("a")))


def fork(path: str) -> None:
    """Use a memory in a child that was forked from its owner, and again in the owner."""
    memory = SqliteMachineMemory(path)
    lease = asyncio.run(granted(memory, "a"))
    child = os.fork()
    if child == 0:
        say(asyncio.run(outcome(memory.read("a"))))
        say(asyncio.run(outcome(memory.commit(lease, {"by": "child"}))))
        say(asyncio.run(outcome(memory.lock("b"))))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    say(asyncio.run(outcome(memory.commit(lease, {"by": "parent"}))))
    asyncio.run(memory.close())


ROLES: dict[str, Callable[..., Any]] = {
    role.__name__: role
    for role in (create, count, hold, write, open_each, fill, create_full, unprivileged, fork)
}

if __name__ == "__main__":
    started = ROLES[sys.argv[1]](*sys.argv[2:])
    if started is not None:
        asyncio.run(started)
