"""Virtual processes, a store, a bad network, and what goes wrong in it: everything by one seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from random import Random
from typing import Any, Final

from pyarvo.memory import contract, leased
from pyarvo.memory.leased import LeasedMemory
from pyarvo.memory.options import MemoryOptions
from pyarvo.memory.simple import SimpleBackend
from pyarvo.testing.simulation.loop import Process, VirtualLoop, outside
from pyarvo.testing.simulation.store import Direct, Link, MakeBackend, SimulatedStore
from pyarvo.testing.simulation.watch import Broken

__all__ = ["LIMIT_S", "Worker", "World", "virtual_time"]

LIMIT_S: Final = 400.0
"""Everything is over by then, in virtual seconds, or something hangs."""

_FAULTS_END_S: Final = 30.0
_WORKERS: Final = 3


class Worker:
    """
    A process with a memory of its own.

    Attributes:
        process: What dies and freezes.

        memory: Its way to the store.
    """

    def __init__(self, world: World, name: str, link: Direct | Link, options: MemoryOptions) -> None:
        self.process = Process(name)
        self.context = self.process.context()
        self.link = link
        self.memory = LeasedMemory(link, options)
        self.handlers: dict[str, Any] = {}
        self._world = world

    @property
    def alive(self) -> bool:
        return not self.process.dead

    def start(self, work: Any) -> None:
        """Begin *work* (a coroutine) in this process."""
        self._world.loop.create_task(work, context=self.context.copy())


class World:
    """
    A simulated deployment.

    Args:
        seed: Decides everything.

        make: Makes the store's backend; for wrong ones.

        calm: Nothing goes wrong.

        traced: Whether the store keeps a trace.

        watched: Whether each answer of the store is judged; else only what comes of all of them is.

    Attributes:
        chance: The seed's own.

        loop, store: The parts.

        workers: All that ever lived.

        ttl_s: Of leases.
    """

    def __init__(
        self,
        seed: int,
        *,
        make: MakeBackend = SimpleBackend,
        calm: bool = False,
        traced: bool = False,
        watched: bool = True,
    ) -> None:
        self.seed = seed
        self.calm = calm
        self.chance = Random(seed)
        self.loop = VirtualLoop()
        self.store = SimulatedStore(self.loop, make, traced=traced, watched=watched)
        self.workers: list[Worker] = []
        self.on_spawn: Callable[[Worker], None] = _nothing
        mode = self.chance.randrange(5)
        self._direct = mode == 0
        self.ttl_s = self.chance.choice((1.0, 2.0, 4.0))
        self._options = MemoryOptions(
            lock_attempts=self.chance.choice((1, 1, 2)),
            batching=mode > 2,
            lease_ttl_s=self.ttl_s,
            deadline_s=self.chance.choice((0.5, 5.0)),
            holder="sim",
        )

    # --- processes --------------------------------------------------------------------------------------------

    def spawn(self) -> None:
        """Start another process, whose end may be planned."""
        name = f"p{len(self.workers)}"
        link = Direct(self.store, name) if self._direct else Link(self.store, name, self.chance, self.loop)
        worker = Worker(self, name, link, self._options)
        if isinstance(link, Link):
            link.good = self.calm or not self.faulty
        self.workers.append(worker)
        self._plan_faults(worker)
        self.on_spawn(worker)

    def _plan_faults(self, worker: Worker) -> None:
        if self.calm or not self.faulty:
            return
        process, chance = worker.process, self.chance
        if chance.random() < 0.5:
            process.stops[chance.randrange(1, 250)] = lambda: self._kill(worker)
        for _ in range(chance.randrange(3)):
            process.stops[chance.randrange(1, 200)] = lambda: self._freeze(worker)

    @property
    def faulty(self) -> bool:
        """Whether things still go wrong."""
        return self.loop.time() < _FAULTS_END_S

    def _kill(self, worker: Worker) -> None:
        self.store.note(f"{worker.process.name} is killed")
        worker.process.dead = True
        self.later(self.chance.uniform(0.05, 1.0), self.spawn)

    def _freeze(self, worker: Worker) -> None:
        if worker.process.frozen or not self.faulty:
            return
        self.store.note(f"{worker.process.name} freezes")
        worker.process.frozen = True
        self.later(self.chance.uniform(0.3, 3.0) * self.ttl_s, self._thaw, worker)

    def _thaw(self, worker: Worker) -> None:
        self.store.note(f"{worker.process.name} thaws")
        self.loop.thaw(worker.process)

    def anyone(self) -> Worker | None:
        """A process that lives; it may be frozen."""
        alive = [worker for worker in self.workers if worker.alive]
        return self.chance.choice(alive) if alive else None

    # --- time -------------------------------------------------------------------------------------------------

    def later(self, delay_s: float, callback: Callable[..., object], *args: Any) -> Any:
        """Call *callback* in so many seconds, outside all processes."""
        return self.loop.call_later(delay_s, callback, *args, context=outside())

    def _plan_clock(self) -> None:
        for _ in range(self.chance.choice((0, 0, 1, 2))):
            skew_s = self.chance.choice((-3_600.0, -2.0, 2.0, 3_600.0))
            self.later(self.chance.uniform(0.0, 3.0), self._set_clock, skew_s)

    def _set_clock(self, skew_s: float) -> None:
        self.store.note(f"the store's clock is set {skew_s:+g} s")
        self.store.skew_s += skew_s

    def _calm_down(self) -> None:
        for worker in self.workers:
            worker.process.stops.clear()
            if isinstance(worker.link, Link):
                worker.link.good = True

    # --- the run ----------------------------------------------------------------------------------------------

    def run(self, begin: Callable[[], None], done: Callable[[], bool], check: Callable[[], None]) -> None:
        """
        Run it from beginning to end, and check it.

        Raises:
            Broken: Something that must hold did not.
        """
        with virtual_time(self.loop, self.seed), self.loop.running():
            try:
                for _ in range(_WORKERS):
                    self.spawn()
                if not self.calm:
                    self._plan_clock()
                    self.later(_FAULTS_END_S, self._calm_down)
                begin()
                self.loop.run(lambda: self.store.broken is not None or done(), LIMIT_S)
                if self.store.broken is not None:
                    raise self.store.broken
                if not done():
                    raise Broken("when faults stop, everything comes to its end")
                check()
            finally:
                for worker in self.workers:
                    if isinstance(worker.link, Link):
                        worker.link.cut = True
                self.loop.bury([worker.process for worker in self.workers])
            if self.loop.complaints:
                raise Broken(f"no error goes unseen: {self.loop.complaints[:3]}")


@contextmanager
def virtual_time(loop: VirtualLoop, seed: int) -> Generator[None]:
    """Let memories count on the loop's clock, and let all jitter come from *seed*, for as long as the block runs."""
    before, own = random.getstate(), (contract.monotonic, leased.monotonic)
    random.seed(seed)
    contract.monotonic = leased.monotonic = loop.time
    try:
        yield
    finally:
        contract.monotonic, leased.monotonic = own
        random.setstate(before)


def _nothing(worker: Worker) -> None:
    del worker
