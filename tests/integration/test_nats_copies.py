"""Copies between buckets: what one knows only by its hash, and what a message cannot hold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.servers.nats import NatsServer, running

from pyarvo.memory import LeasedMemory, SimpleMachineMemory, Step, open_memory
from pyarvo.memory.copying import Copied, Fate, copy


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with running(tmp_path_factory.mktemp("nats-copies")) as running_one:
        yield running_one


def step(n: int) -> Step:
    return Step(f'["src","{n}"]', ({"id": f"out-{n}"},))


async def write(memory: LeasedMemory, id: str, *steps: Step) -> None:
    for n, one in enumerate(steps, 1):
        lease = await memory.acquire(id)
        assert lease is not None
        await memory.commit(lease, {"n": n}, step=one)


async def copied(source: LeasedMemory, target: LeasedMemory) -> dict[str, Copied]:
    return {one.id: one async for one in copy(source, target)}


async def test_hashed_keys_of_old_steps_go_along(server: NatsServer) -> None:
    async with (
        open_memory(f"{server.url}/old", storage="memory", history=3) as old,
        open_memory(f"{server.url}/new", storage="memory", history=2) as new,
    ):
        await write(old, "long", *(step(n) for n in range(1, 400)))
        assert (await copied(old, new))["long"].fate is Fate.COPIED
        assert (await copied(old, new))["long"].fate is Fate.SAME
        for n, produced in ((1, ()), (200, ()), (300, step(300).produced), (399, step(399).produced)):
            lease = await new.acquire("long", event_key=step(n).event_key)
            assert lease is not None
            assert lease.replay is not None
            assert (lease.replay.version, lease.replay.produced) == (n, produced)
        assert [version for version, _ in await new.history("long")] == [398, 397]
        assert await new.delete("long")
        assert await new.journal("long") == ()


async def test_a_record_larger_than_a_message_is_refused_and_the_rest_copied(server: NatsServer) -> None:
    source = SimpleMachineMemory()
    await write(source, "small", step(1))
    lease = await source.acquire("large")
    assert lease is not None
    await source.commit(lease, {"text": "x" * 2_000_000})
    async with open_memory(f"{server.url}/sizes", storage="memory") as target:
        result = await copied(source, target)
        assert result["small"].fate is Fate.COPIED
        assert result["large"].fate is Fate.REFUSED
        assert "limit" in result["large"].reason
        assert await target.get("large") is None


async def test_a_smaller_journal_of_the_destination(server: NatsServer) -> None:
    source = SimpleMachineMemory()
    await write(source, "a", *(step(n) for n in range(1, 9)))
    async with open_memory(f"{server.url}/short", storage="memory", journal=3) as target:
        assert (await copied(source, target))["a"].fate is Fate.COPIED
        assert [bool(one.produced) for one in await target.journal("a")] == [False] * 5 + [True] * 3
