"""Simulated callers of a memory who do all that the contract allows, with leases that they should have forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from itertools import count
from typing import Any, Final

from pyarvo.errors import ArvoError, EventConsumed
from pyarvo.memory.codec import decode_record
from pyarvo.memory.contract import Lease, Step
from pyarvo.testing.simulation.watch import Broken
from pyarvo.testing.simulation.world import Worker, World

__all__ = ["Clerks"]

_IDS: Final = ("a", "b")
_KEYS: Final = tuple(f'["s","{n}"]' for n in range(12))
_CALLS: Final = 14


class Clerks:
    """
    Callers in a world.

    Args:
        world: Where.

    Attributes:
        acknowledged: What each version was acknowledged as, by id and version.
    """

    def __init__(self, world: World) -> None:
        self.acknowledged: dict[tuple[str, int], dict[str, Any]] = {}
        self._world = world
        self._busy = 0
        self._numbers = count()
        world.on_spawn = self._equip

    def run(self) -> None:
        """
        Let all clerks do their work, and check what came of it.

        Raises:
            Broken: Something that must hold did not.
        """
        self._world.run(lambda: None, self._over, self._check)

    def _over(self) -> bool:
        return not any(worker.alive and worker.handlers["busy"] for worker in self._world.workers)

    def _equip(self, worker: Worker) -> None:
        worker.handlers["busy"] = 2
        for _ in range(2):
            worker.start(self._work(worker))

    async def _work(self, worker: Worker) -> None:
        chance, leases = self._world.chance, list[Lease]()
        for _ in range(_CALLS):
            longest_s = 1.5 * self._world.ttl_s if chance.random() < 0.15 else 0.1
            await asyncio.sleep(chance.uniform(0.0, longest_s))
            if not leases or chance.random() < 0.35:
                lease = await self._acquired(worker)
                leases += [lease] if lease is not None else []
                continue
            lease = chance.choice(leases[-3:])
            await self._use(worker, lease)
        worker.handlers["busy"] -= 1

    async def _acquired(self, worker: Worker) -> Lease | None:
        chance = self._world.chance
        key = chance.choice(_KEYS) if chance.random() < 0.6 else None
        try:
            return await worker.memory.acquire(chance.choice(_IDS), event_key=key)
        except ArvoError:
            return None

    async def _use(self, worker: Worker, lease: Lease) -> None:
        chance, memory = self._world.chance, worker.memory
        kind = chance.random()
        if kind < 0.4:
            await self._commit(worker, lease)
        elif kind < 0.6:  # two at once of what may be done once
            await asyncio.gather(self._commit(worker, lease), self._commit(worker, lease))
        elif kind < 0.75:
            await _allowed_to_fail(memory.renew(lease, ttl_s=chance.choice((None, 1.0, 8.0))))
        elif kind < 0.9:
            await _allowed_to_fail(memory.release(lease))
        else:
            await _allowed_to_fail(memory.read(lease.id))

    async def _commit(self, worker: Worker, lease: Lease) -> None:
        chance = self._world.chance
        record = {"n": next(self._numbers), "by": worker.process.name}
        step = Step(chance.choice(_KEYS), ({"of": record["n"]},)) if chance.random() < 0.7 else None
        release = chance.random() < 0.5
        for _ in range(
            chance.choice((1, 1, 2))
        ):  # the second time a repeat, where nobody else used the lease
            try:
                version = await worker.memory.commit(lease, record, step=step, release=release)
            except EventConsumed as consumed:
                if step is None or consumed.step.event_key != step.event_key:
                    raise Broken("a refusal names the step of the event") from consumed
                return
            except ArvoError:
                continue
            known = self.acknowledged.setdefault((lease.id, version), record)
            if known is not record:
                self._world.store.broken = Broken("no version is acknowledged to two commits")
            return

    def _check(self) -> None:
        for id in self._world.store.watch.accounts:
            stored = self._world.store.stored(id)
            version = 0 if stored is None else stored.row.version
            if any(known == id and made > version for known, made in self.acknowledged):
                raise Broken("every version that was acknowledged is there")
            if [step.version for step in self._world.store.journal(id)] != list(range(1, version + 1)):
                raise Broken("the journal has one entry for each version")
            latest = self.acknowledged.get((id, version))
            data = None if stored is None else stored.row.data
            if latest is not None and (data is None or decode_record(data) != latest):
                raise Broken("the record is the one that was committed last")


async def _allowed_to_fail(call: Awaitable[object]) -> None:
    try:
        await call
    except ArvoError:
        return
