"""Ids beside the names that a store gives its own keys, and events beside those that are no longer kept."""

from __future__ import annotations

from typing import Final

from pyarvo.memory import Step
from pyarvo.testing.conformance.bench import Bench
from pyarvo.testing.conformance.clause import clause

__all__: list[str] = []

_OWN: Final = (
    ":lock",
    ":record",
    ":data",
    ":meta",
    ":journal",
    ":lease",
    ":version",
    "/lock",
    ".lock",
    "#lock",
)


@clause("base.neighbours.01", "ids that end as a store's own keys do are instances of their own")
async def own_keys(bench: Bench) -> None:
    memory = bench.open()
    plain = bench.id("a")
    await bench.locked(memory, plain)
    for n, ending in enumerate(_OWN):
        await bench.put(memory, bench.id("a") + ending, {"n": n})
    await memory.write(plain, {"plain": True})
    bench.equal(await memory.unlock(plain), expected=True, what="unlock by the holder")
    bench.equal(await memory.read(plain), {"plain": True}, "the record of the plain id")
    for n, ending in enumerate(_OWN):
        bench.equal(
            await memory.read(bench.id("a") + ending), {"n": n}, f"the record of the id with {ending}"
        )


@clause(
    "leased.neighbours.01",
    "an event that another instance consumed is granted the lease, and consumed here too",
)
async def event_of_another(bench: Bench) -> None:
    memory = bench.open()
    for name in ("a", "b"):
        lease = await bench.held(memory, bench.id(name), event_key='["s","1"]')
        await memory.commit(lease, {"of": name}, step=Step('["s","1"]', ({"of": name},)))
    again = await memory.acquire(bench.id("b"), event_key='["s","1"]')
    replay = None if again is None else again.replay
    bench.equal(
        None if replay is None else replay.produced, ({"of": "b"},), "the events of the second instance"
    )


@clause(
    "backend.neighbours.01",
    "an event stays consumed when the events it produced are no longer kept; as many earlier records as were asked for"
    " are, newest first, until the instance is deleted",
)
async def old_steps(bench: Bench) -> None:
    memory = bench.open(journal=2, history=2)
    id = bench.id()
    for n in range(5):
        lease = await bench.held(memory, id)
        await memory.commit(lease, {"n": n}, step=Step(f'["s","{n}"]', ({"n": n},)))
    for n in range(5):
        lease = await memory.acquire(id, event_key=f'["s","{n}"]')
        bench.holds(
            lease is not None and lease.replay is not None, f"event {n} of 5 was granted a lease again"
        )
    bench.equal(await memory.history(id), ((4, {"n": 3}), (3, {"n": 2})), "the earlier records of five")
    await memory.delete(id)
    await memory.commit(await bench.held(memory, id), {"n": "anew"})
    bench.equal(await memory.history(id), (), "the earlier records of an instance that was created anew")


@clause("base.neighbours.02", "ids that a URL, a form or a shell would rewrite are taken as they are")
async def rewritten(bench: Bench) -> None:
    memory = bench.open()
    ids = [
        bench.id(name)
        for name in ("a+b", "a b", "a%20b", "a%2Bb", "a%2520b", "a&amp;b", "a&b", "a\\b", "a//b", "a/b")
    ]
    for n, id in enumerate(ids):
        await bench.put(memory, id, {"n": n})
    for n, id in enumerate(ids):
        bench.equal(await memory.read(id), {"n": n}, f"the record of {id!r}")
