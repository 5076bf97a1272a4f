"""The protocol as a state machine: hypothesis chooses the calls, the watch of the simulation judges every answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pyarvo.errors import ArvoError, MemoryFault
from pyarvo.memory import LeasedMemory, Step
from pyarvo.memory.contract import Lease
from pyarvo.memory.decide import Op, Outcome
from pyarvo.memory.options import MemoryOptions
from pyarvo.memory.simple import SimpleBackend
from pyarvo.testing.simulation import Broken, Watch
from pyarvo.testing.simulation.mutants import MUTANTS
from pyarvo.testing.simulation.store import MakeBackend, at_once

KEYS = ('["s","1"]', '["s","2"]', '["s","3"]')


class Watched:
    """A backend whose answers are judged as they come."""

    name = "memory"
    immediate = True

    def __init__(self, make: MakeBackend) -> None:
        self.now = 1_700_000_000.0
        self.watch = Watch()
        self.inner = make(MemoryOptions(), lambda: self.now)

    async def execute(self, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        outcomes = await self.inner.execute(ops)
        for op, outcome in zip(ops, outcomes, strict=True):
            assert not isinstance(outcome, MemoryFault)
            self.watch.saw(op, outcome, self.now)
        return outcomes

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


leased = precondition(lambda self: bool(self.leases))


class Protocol(RuleBasedStateMachine):
    make: MakeBackend = SimpleBackend

    def __init__(self) -> None:
        super().__init__()
        self.backend: Any = Watched(type(self).make)
        self.memory = LeasedMemory(self.backend, MemoryOptions(lock_attempts=1, lease_ttl_s=10.0))
        self.leases: list[Lease] = []
        self.commits: list[tuple[Lease, int, dict[str, Any], Step | None, bool]] = []
        self.number = 0

    def call(self, work: Any) -> Any:
        try:
            return at_once(work)
        except ArvoError:
            return None

    @rule(id=st.sampled_from("ab"), key=st.none() | st.sampled_from(KEYS))
    def acquire(self, id: str, key: str | None) -> None:
        lease = self.call(self.memory.acquire(id, event_key=key))
        if lease is not None:
            self.leases.append(lease)

    @leased
    @rule(data=st.data(), key=st.none() | st.sampled_from(KEYS), release=st.booleans())
    def commit(self, data: st.DataObject, key: str | None, release: bool) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        self.number += 1
        record = {"n": self.number}
        step = Step(key) if key else None
        self.commits.append((lease, lease.version, record, step, release))
        self.call(self.memory.commit(lease, record, step=step, release=release))

    @precondition(lambda self: bool(self.commits))
    @rule(data=st.data())
    def commit_again(self, data: st.DataObject) -> None:
        lease, version, record, step, release = data.draw(st.sampled_from(self.commits))
        lease.version = version  # as if its answer had been lost
        if data.draw(st.booleans()):
            self.number += 1
            record, step = {"n": self.number}, None  # ... and the caller had changed its mind
        self.call(self.memory.commit(lease, record, step=step, release=release))

    @leased
    @rule(data=st.data(), ttl_s=st.sampled_from((None, 1.0, 20.0)))
    def renew(self, data: st.DataObject, ttl_s: float | None) -> None:
        self.call(self.memory.renew(data.draw(st.sampled_from(self.leases)), ttl_s=ttl_s))

    @leased
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.call(self.memory.release(data.draw(st.sampled_from(self.leases))))

    @rule(id=st.sampled_from("ab"))
    def read(self, id: str) -> None:
        self.call(self.memory.read(id))

    @rule(seconds=st.sampled_from((0.5, 5.0, 15.0, -15.0, -3_600.0)))
    def pass_time(self, seconds: float) -> None:
        self.backend.now += seconds

    @invariant()
    def the_journal_is_whole(self) -> None:
        for id, account in self.backend.watch.accounts.items():
            steps = at_once(self.backend.inner.journal(id, after=0, limit=1_000))
            assert [step.version for step in steps] == list(range(1, account.version + 1))


OPTIONS: dict[str, Any] = {
    "deadline": None,
    "stateful_step_count": 30,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    "print_blob": False,
}


def test_no_sequence_of_calls_breaks_a_promise() -> None:
    run_state_machine_as_test(Protocol, settings=settings(max_examples=60, derandomize=True, **OPTIONS))


@pytest.mark.parametrize("name", ["token-not-checked", "version-not-checked", "rights-after-commit"])
def test_a_hole_is_found(name: str) -> None:
    holed = type("Holed", (Protocol,), {"make": staticmethod(MUTANTS[name].make)})
    with pytest.raises(Broken):
        run_state_machine_as_test(holed, settings=settings(max_examples=100, derandomize=True, **OPTIONS))
