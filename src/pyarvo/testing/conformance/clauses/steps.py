"""Idempotence: an event takes effect once, and a repeated write recognises itself."""

from __future__ import annotations

from typing import Any, Final

import orjson

from pyarvo.errors import EventConsumed, LeaseLost, WriteConflict
from pyarvo.memory import Lease, Step
from pyarvo.testing.conformance.bench import SHORT_S, Bench, PromiseBroken, same_again
from pyarvo.testing.conformance.clause import Kind, clause
from pyarvo.testing.conformance.watched import Watched

__all__: list[str] = []

KEY = '["com.shop","evt-1"]'
PRODUCED: tuple[dict[str, Any], ...] = (
    {"id": "p1", "type": "com.pay"},
    {"id": "p2", "data": {"é": [1.5, None]}},
    {
        "type": "com.ship",
        "id": "p3",
        "data": {"z": 1.0, "a": 2**63 - 1, "": "e\u0301 \u00e9 \0 0", "b": [True, "1", {}]},
    },
)
_STEPS: Final = 140
"""More than a memory of four verbs keeps inside its record."""

_LONG: Final = "x" * 1_000


async def _consumed(bench: Bench, memory: Watched) -> str:
    """An instance that consumed the event."""
    id = bench.id()
    await memory.commit(await bench.held(memory, id), {"n": 1}, step=Step(KEY, PRODUCED))
    return id


async def _replayed(bench: Bench, memory: Watched, id: str, key: Any = KEY) -> Lease:
    lease = await memory.acquire(id, event_key=key)
    if lease is None or lease.replay is None:
        raise PromiseBroken(f"acquire with the key of a consumed event: {bench.history.shown(lease)}")
    return lease


@clause("leased.idempotence.01", "a consumed event is answered with its step, and no lease is taken")
async def replay(bench: Bench) -> None:
    memory, other = bench.several(2)
    id = await _consumed(bench, memory)
    lease = await _replayed(bench, other, id)
    step = lease.replay
    if step is not None:
        bench.equal((step.event_key, step.produced, step.version), (KEY, PRODUCED, 1), "the step")
    bench.equal((lease.held, lease.version, lease.data), (False, 1, {"n": 1}), "held, version, data")
    bench.equal((await bench.held(memory, id)).fence, 2, "the next fence")


@clause("leased.idempotence.02", "a consumed event is answered also while another holds the lease")
async def replay_while_held(bench: Bench) -> None:
    memory, other = bench.several(2)
    id = await _consumed(bench, memory)
    holder = await bench.held(memory, id)
    await _replayed(bench, other, id)
    bench.equal(await memory.commit(holder, {"n": 2}), 2, "the version of the holder's commit")


@clause("leased.idempotence.03", "a replay is no lease: it can neither commit, renew nor release")
async def replay_is_no_lease(bench: Bench) -> None:
    memory = bench.open()
    id = await _consumed(bench, memory)
    lease = await _replayed(bench, memory, id)
    await bench.refused(memory.commit(lease, {"n": 2}), LeaseLost, "a commit of a replay")
    await bench.refused(memory.renew(lease), LeaseLost, "a renewal of a replay")
    bench.equal(await memory.release(lease), expected=False, what="release of a replay")
    bench.equal(await memory.read(id), {"n": 1}, "the record")


@clause(
    "leased.idempotence.04",
    "a second commit of one event is EventConsumed with the first step, and changes nothing",
)
async def consumed_once(bench: Bench) -> None:
    memory = bench.open()
    id = await _consumed(bench, memory)
    lease = await bench.held(memory, id)
    error = await bench.refused(
        memory.commit(lease, {"n": 2}, step=Step(KEY, ({"id": "other"},))), EventConsumed, "a second commit"
    )
    bench.equal((error.step.produced, error.step.version), (PRODUCED, 1), "the step in the error")
    bench.equal(await memory.read(id), {"n": 1}, "the record after the refused commit")
    bench.equal(await memory.commit(lease, {"n": 2}, step=Step("another")), 2, "the version of another event")


@clause(
    "leased.idempotence.05",
    "an event consumed long ago is still known: 140 later, its key answers; of the last hundred, with what it produced",
)
async def for_life(bench: Bench) -> None:
    memory = bench.open()
    id = bench.id()
    lease = await bench.held(memory, id)
    for n in range(_STEPS):
        await memory.commit(lease, {"n": n}, step=Step(f"k{n}", ({"n": n},)), release=False)
    await memory.release(lease)
    for n in (0, 1, _STEPS - 100, _STEPS - 40, _STEPS - 1):
        step = (await _replayed(bench, memory, id, f"k{n}")).replay
        bench.equal(getattr(step, "version", None), n + 1, "the version of the step")
        if n >= _STEPS - 100:
            bench.equal(getattr(step, "produced", None), ({"n": n},), f"the events of step {n} of {_STEPS}")
    await bench.refused(
        memory.commit(await bench.held(memory, id), {}, step=Step("k0")),
        EventConsumed,
        "the first event again",
    )


@clause(
    "leased.idempotence.06",
    "an event is source and id: in any spelling the same, and neither alone is enough",
)
async def identity(bench: Bench) -> None:
    memory = bench.open()
    id = await _consumed(bench, memory)
    same: tuple[Any, ...] = (
        KEY,
        ["com.shop", "evt-1"],
        ("com.shop", "evt-1"),
        '[ "com.sh\\u006fp" , "evt-1" ]',
    )
    for key in same:
        await _replayed(bench, memory, id, key)
    others: tuple[Any, ...] = (
        ["com.store", "evt-1"],
        ["com.shop", "evt-2"],
        ["com.shop", "EVT-1"],
        "evt-1",
        ["com.shop,evt-1"],
    )
    for key in others:
        lease = await bench.held(memory, id, event_key=key)
        await memory.release(lease)
    alike = (f"{_LONG}1", f"{_LONG}2", _LONG, "caf\u00e9", "cafe\u0301", "n\0", "n", "n ", "%20")
    for n, name in enumerate(alike):
        lease = await bench.held(memory, id, event_key=["com.shop", name])
        await memory.commit(lease, {"n": n}, step=Step(orjson.dumps(["com.shop", name]).decode()))


@clause("leased.idempotence.07", "two instances may consume the same event")
async def two_instances(bench: Bench) -> None:
    memory = bench.open()
    for name in ("a", "b"):
        lease = await bench.held(memory, bench.id(name), event_key=KEY)
        bench.equal(await memory.commit(lease, {}, step=Step(KEY)), 1, "the version")


@clause(
    "leased.idempotence.08",
    "of two deliveries at the same moment one runs, the other gets its step or is told to wait",
    Kind.CONCURRENT,
)
async def deliveries(bench: Bench) -> None:
    memories = bench.several(4)
    ran: list[int] = []
    id = bench.id()

    async def deliver(n: int, memory: Watched) -> object:
        lease = await memory.acquire(id, event_key=KEY)
        if lease is None or lease.replay is not None:
            return None if lease is None else lease.replay
        ran.append(n)
        await memory.commit(lease, {"by": n}, step=Step(KEY, ({"by": n},)))
        return None

    for answer in await bench.race([lambda n=n, m=m: deliver(n, m) for n, m in enumerate(memories)]):
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, Step):
            bench.equal(answer.produced, ({"by": ran[0]},), "the step handed to a second delivery")
    bench.equal(len(ran), 1, "deliveries that ran")


@clause(
    "leased.idempotence.09", "a late delivery after a takeover is refused, and then answered with the step"
)
async def late_delivery(bench: Bench) -> None:
    memory, other = bench.several(2)
    slow = await bench.held(memory, bench.id(), event_key=KEY, ttl_s=SHORT_S)
    await bench.pass_s()
    quick = await bench.held(other, slow.id, event_key=KEY)
    await other.commit(quick, {"by": "quick"}, step=Step(KEY, PRODUCED))
    await bench.refused(memory.commit(slow, {"by": "slow"}, step=Step(KEY)), LeaseLost, "a late commit")
    lease = await _replayed(bench, memory, slow.id)
    bench.equal(lease.data, {"by": "quick"}, "the record")


@clause("leased.idempotence.10", "a commit sent again recognises itself: same version, one step")
async def again(bench: Bench) -> None:
    memory, other = bench.several(2)
    lease = await bench.held(memory, bench.id())
    repeat = same_again(lease)
    bench.equal(await memory.commit(lease, {"n": 1}, step=Step(KEY, PRODUCED)), 1, "the version")
    bench.equal(
        await other.commit(repeat, {"n": 1}, step=Step(KEY, PRODUCED)), 1, "the version of the repeat"
    )
    after = await bench.held(other, lease.id)
    bench.equal(
        (after.version, after.data, after.fence), (1, {"n": 1}, 2), "version, data and fence afterwards"
    )


@clause("leased.idempotence.11", "a repeat recognises itself also after a successor has written")
async def again_later(bench: Bench) -> None:
    memory, other = bench.several(2)
    for name, step in (("a", Step("k1")), ("without a step", None)):
        lease = await bench.held(memory, bench.id(name))
        repeat = same_again(lease)
        await memory.commit(lease, {"n": 1}, step=step)
        await other.commit(await bench.held(other, lease.id), {"n": 2}, step=Step("k2"))
        bench.equal(await memory.commit(repeat, {"n": 1}, step=step), 1, "the version of the repeat")
        bench.equal(await memory.read(lease.id), {"n": 2}, "the record")


@clause("leased.idempotence.12", "a repeat does not end the lease of a successor")
async def again_while_held(bench: Bench) -> None:
    memory, other = bench.several(2)
    lease = await bench.held(memory, bench.id())
    repeat = same_again(lease)
    await memory.commit(lease, {"n": 1}, step=Step("k1"))
    successor = await bench.held(other, lease.id)
    bench.equal(await memory.commit(repeat, {"n": 1}, step=Step("k1")), 1, "the version of the repeat")
    bench.equal(await memory.acquire(lease.id), None, "acquire while the successor holds it")
    bench.equal(await other.commit(successor, {"n": 2}), 2, "the version of the successor's commit")


@clause(
    "leased.idempotence.13", "another record, event, or step under a used token is no repeat, and is refused"
)
async def no_repeat(bench: Bench) -> None:
    memory = bench.open()
    lease = await bench.held(memory, bench.id())
    repeat = same_again(lease)
    step = Step("k", ({"id": "1"},))
    await memory.commit(lease, {"n": 1}, step=step)
    changed: tuple[tuple[dict[str, Any], Step | None], ...] = (
        ({"n": 2}, step),
        ({"n": 1}, Step("k2", step.produced)),
        ({"n": 1}, Step("k", ({"id": "2"},))),
        ({"n": 1}, None),
    )
    for data, other in changed:
        await bench.refused(
            memory.commit(same_again(repeat), data, step=other), LeaseLost, "what is no repeat"
        )
    bench.equal(await memory.read(lease.id), {"n": 1}, "the record")


@clause("leased.idempotence.14", "the same record under another token is no repeat")
async def another_token(bench: Bench) -> None:
    memory, other = bench.several(2)
    lease = await bench.held(memory, bench.id())
    await memory.commit(lease, {"n": 1})
    second = await bench.held(other, lease.id)
    second.version = 0
    await bench.refused(other.commit(second, {"n": 1}), WriteConflict, "a commit on version 0")


@clause(
    "leased.idempotence.15", "while its lease is held, a token writes the same record twice as two versions"
)
async def same_record_twice(bench: Bench) -> None:
    memory = bench.open()
    lease = await bench.held(memory, bench.id())
    bench.equal(await memory.commit(lease, {"n": 1}, release=False), 1, "the first version")
    bench.equal(await memory.commit(lease, {"n": 1}, release=False), 2, "the second version")


@clause("leased.idempotence.16", "renewal and release may be sent again, until a successor has come")
async def harmless(bench: Bench) -> None:
    memory, other = bench.several(2)
    lease = await bench.held(memory, bench.id())
    for _ in range(2):
        await memory.renew(same_again(lease), ttl_s=30.0)
    for _ in range(2):
        bench.equal(await memory.release(same_again(lease)), expected=True, what="release by the holder")
    await bench.held(other, lease.id)
    bench.equal(
        await memory.release(same_again(lease)), expected=False, what="release once a successor has come"
    )
