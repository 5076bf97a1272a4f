"""Simulated workflows: an at-least-once broker that doubles and reorders, workers that die, and a count at the end."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from functools import cache
from typing import Any, Final

from pyarvo.errors import TransactionViolation
from pyarvo.events import ArvoEvent
from pyarvo.handlers import Outcome
from pyarvo.memory.codec import decode_record
from pyarvo.testing.simulation.trip import facts, first_event, make_handlers
from pyarvo.testing.simulation.watch import Broken
from pyarvo.testing.simulation.world import Worker, World

__all__ = ["Workflows"]

_MOST_COPIES: Final = 3


class Workflows:
    """
    Workflows under the shipped handlers, in a world.

    Args:
        world: Where.

        count: How many at once.

    Attributes:
        emitted: All that was published, by id.

        effects: Ids of the requests that the service worked off.
    """

    def __init__(self, world: World, count: int = 1) -> None:
        self.emitted: dict[str, tuple[object, ...]] = {}
        self.effects: set[str] = set()
        self._world = world
        self._count = count
        self._open: dict[int, tuple[ArvoEvent, int]] = {}
        self._sent: Counter[str] = Counter()
        self._deliveries = 0
        world.on_spawn = self._equip

    def prepare(self) -> None:
        """Run once without faults, and keep what that came to: before anything is patched."""
        _without_faults(self._count)

    def run(self) -> None:
        """
        Run all workflows to their end and compare them with a run without faults.

        Raises:
            Broken: Something that must hold did not.
        """
        expected = None if self._world.calm else _without_faults(self._count)
        self._world.run(self._begin, lambda: not self._open, lambda: self._check(expected))

    def _equip(self, worker: Worker) -> None:
        worker.handlers = make_handlers(
            worker.memory, pause=self._pause, effect=lambda event: self.effects.add(event.id)
        )

    async def _pause(self) -> None:
        kind = 0.0 if self._world.calm else self._world.chance.random()
        if kind > 0.8:
            longest_s = 2.5 * self._world.ttl_s if kind > 0.97 else 0.05
            await asyncio.sleep(self._world.chance.uniform(0.0, longest_s))

    # --- the broker -------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        for n in range(self._count):
            self._send(first_event(n))

    def _send(self, event: ArvoEvent) -> None:
        chance, copies = self._world.chance, 1
        if not self._world.calm and chance.random() < 0.3:
            copies = 2
        for _ in range(copies):
            if self._sent[event.id] == _MOST_COPIES:  # one of them is acknowledged, or will be
                return
            self._sent[event.id] += 1
            self._deliveries += 1
            self._open[self._deliveries] = event, 1
            self._hand_soon(self._deliveries)

    def _hand_soon(self, n: int) -> None:
        late = not self._world.calm and self._world.chance.random() < 0.1
        self._world.later(self._world.chance.uniform(0.0, 1.0 if late else 0.01), self._hand, n)

    def _hand(self, n: int) -> None:
        if n not in self._open:
            return
        event, attempt = self._open[n]
        worker = self._world.anyone()
        if worker is not None:
            worker.start(self._work(worker, n, event, attempt))
        # Not acknowledged by then: somebody else gets it, whether the first one still works on it or not.
        patience_s = self._world.chance.uniform(2.0, 12.0)
        self._world.later(patience_s if worker else 0.1, self._again, n, attempt)

    def _again(self, n: int, attempt: int) -> None:
        if n in self._open and self._open[n][1] == attempt:
            self._open[n] = self._open[n][0], attempt + 1
            self._hand_soon(n)

    async def _work(self, worker: Worker, n: int, event: ArvoEvent, attempt: int) -> None:
        handler = worker.handlers[event.to or ""]
        try:
            if handler.source == "com.sim.add":
                result = await handler.execute(event)
            else:
                result = await handler.execute(event, attempt=attempt)
        except TransactionViolation:
            self._again(n, attempt)
            return
        if result.outcome is Outcome.UNKNOWN_INSTANCE:
            self._again(n, attempt)
            return
        for produced in result.events:
            await asyncio.sleep(0)
            self._publish(produced, worker.handlers)
        await asyncio.sleep(0)
        self._open.pop(n, None)

    def _publish(self, event: ArvoEvent, handlers: dict[str, Any]) -> None:
        told = facts(event)
        if self.emitted.setdefault(event.id, told) != told:
            self._world.store.broken = Broken("an event that is published again is the same event")
        if event.to in handlers:
            self._send(event)

    # --- the count --------------------------------------------------------------------------------------------

    def _check(self, expected: tuple[set[Any], set[str]] | None) -> None:
        if expected is not None:
            _same("events", set(self.emitted.items()), expected[0])
            _same("effects", self.effects, expected[1])
        for id in self._world.store.watch.accounts:
            stored = self._world.store.stored(id)
            steps = self._world.store.journal(id)
            if stored is None or stored.row.data is None:
                raise Broken("every workflow has a record")
            if [step.version for step in steps] != list(range(1, stored.row.version + 1)):
                raise Broken("the journal has one step for each version")
            if len({step.event_key for step in steps}) != len(steps):
                raise Broken("every step has an event of its own")
            record = decode_record(stored.row.data)
            consumed = record["events"]["consumed"]
            if steps[-1].event_key != json.dumps([consumed["source"], consumed["id"]], separators=(",", ":")):
                raise Broken("the record stands where the last step left it")
            if record["status"] != "done" or record["executionStatus"] != "normal":
                raise Broken("every workflow is done")


def _same(what: str, actual: set[Any], expected: set[Any]) -> None:
    if actual != expected:
        more, fewer = len(actual - expected), len(expected - actual)
        raise Broken(
            f"{what} are those of the run without faults: {more} too many, {fewer} of {len(expected)} missing"
        )


@cache
def _without_faults(count: int) -> tuple[set[Any], set[str]]:
    calm = Workflows(World(0, calm=True), count)
    calm.run()
    return set(calm.emitted.items()), calm.effects
