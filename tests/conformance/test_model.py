"""Two backends, one contract: random sequences of calls are answered alike, and leave the same behind."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pyarvo.errors import ArvoError
from pyarvo.memory import Find, Lease, LeasedMemory, SimpleMachineMemory, SqliteMachineMemory, Step

from .place import Clock, same_again

IDS = ("a", "b")
OPTIONS: dict[str, Any] = {
    "lock_attempts": 1,
    "journal": 3,
    "history": 2,
    "holder": "h",
    "tombstone_s": 3e8,
}

ids = st.sampled_from(IDS)
keys = st.none() | st.sampled_from(["k1", "k2", "k3"])
records: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "n": st.integers(0, 2),
        "status": st.sampled_from(["active", "done"]),
        "parentSubject": st.sampled_from([None, "a"]),
    }
)
callers = st.integers(0, 1)


@dataclass
class Side:
    """One of the two memories, and what it gave out."""

    memory: LeasedMemory
    leases: list[Lease] = field(default_factory=list)
    commits: list[tuple[Lease, dict[str, Any], Step | None, bool]] = field(default_factory=list)
    contexts: tuple[Context, ...] = field(default_factory=lambda: (Context(), Context()))


leased = precondition(lambda self: bool(self.sides[0].leases))


class Twins(RuleBasedStateMachine):
    """Every rule is one call on both memories."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = Clock()
        self.directory = Path(tempfile.mkdtemp())
        simple = SimpleMachineMemory(clock=self.clock, **OPTIONS)
        sqlite = SqliteMachineMemory(
            self.directory / "memory.db", clock=self.clock, synchronous="normal", **OPTIONS
        )
        self.sides = (Side(simple), Side(sqlite))

    def teardown(self) -> None:
        for side in self.sides:
            self.loop.run_until_complete(side.memory.close())
        self.loop.close()
        shutil.rmtree(self.directory)

    def both(self, call: Callable[[Side], Coroutine[Any, Any, Any]], caller: int = 0) -> list[Any]:
        """Do *call* on both sides; what it answers, or the fault, must be the same."""
        answers: list[Any] = []
        for side in self.sides:

            async def work(side: Side = side) -> Any:
                try:
                    return await call(side)
                except ArvoError as fault:
                    return type(fault), str(fault)

            async def run(side: Side = side, work: Any = work) -> Any:
                return await asyncio.get_running_loop().create_task(work(), context=side.contexts[caller])

            answers.append(self.loop.run_until_complete(run()))
        assert _plain(answers[0]) == _plain(answers[1])
        return answers

    # --- leases ---

    @rule(id=ids, key=keys, record=records, release=st.booleans(), late=st.booleans())
    def step(self, id: str, key: str | None, record: dict[str, Any], release: bool, late: bool) -> None:
        """What a handler does: acquire and commit; sometimes its time is over in between."""
        self.acquire(id, key, 1.0)
        if late:
            self.clock.advance(2.0)
        self.commit(0, record, key, release, 0)

    @rule(id=ids, key=keys, ttl=st.sampled_from([1.0, 30.0]))
    def acquire(self, id: str, key: str | None, ttl: float) -> None:
        answers = self.both(lambda side: side.memory.acquire(id, event_key=key, ttl_s=ttl))
        for side, answer in zip(self.sides, answers, strict=True):
            if isinstance(answer, Lease):
                side.leases.append(answer)

    @leased
    @rule(
        which=st.integers(0, 9),
        record=records,
        key=keys,
        release=st.booleans(),
        back=st.sampled_from([0, 0, 0, 1, 2, -1]),
    )
    def commit(self, which: int, record: dict[str, Any], key: str | None, release: bool, back: int) -> None:
        step = None if key is None else Step(key, ({"made by": key},))

        async def call(side: Side) -> Any:
            lease = side.leases[-1 - which % len(side.leases)]
            lease.version = max(0, lease.version - back)
            side.commits.append((same_again(lease), record, step, release))
            answer = await side.memory.commit(lease, record, step=step, release=release)
            return answer, lease.version, lease.held

        self.both(call)

    @precondition(lambda self: bool(self.sides[0].commits))
    @rule(which=st.integers(0, 9))
    def commit_again(self, which: int) -> None:
        """A commit of before, as it was sent then."""

        async def call(side: Side) -> Any:
            lease, record, step, release = side.commits[-1 - which % len(side.commits)]
            return await side.memory.commit(same_again(lease), record, step=step, release=release)

        self.both(call)

    @leased
    @rule(which=st.integers(0, 9), ttl=st.sampled_from([1.0, 30.0]))
    def renew(self, which: int, ttl: float) -> None:
        self.both(lambda side: side.memory.renew(side.leases[-1 - which % len(side.leases)], ttl_s=ttl))

    @leased
    @rule(which=st.integers(0, 9))
    def release(self, which: int) -> None:
        self.both(lambda side: side.memory.release(side.leases[-1 - which % len(side.leases)]))

    # --- verbs, as two callers ---

    @rule(id=ids, caller=callers)
    def lock(self, id: str, caller: int) -> None:
        self.both(lambda side: side.memory.lock(id), caller)

    @rule(id=ids, caller=callers, record=records)
    def write(self, id: str, caller: int, record: dict[str, Any]) -> None:
        self.both(lambda side: side.memory.write(id, record), caller)

    @rule(id=ids, caller=callers)
    def unlock(self, id: str, caller: int) -> None:
        self.both(lambda side: side.memory.unlock(id), caller)

    # --- tending, and time ---

    @rule(id=ids, force=st.booleans())
    def delete(self, id: str, force: bool) -> None:
        self.both(lambda side: side.memory.delete(id, force=force))

    @rule(id=ids)
    def force_release(self, id: str) -> None:
        self.both(lambda side: side.memory.force_release(id, reason="test"))

    @rule(age=st.sampled_from([0.0, 10.0]))
    def purge(self, age: float) -> None:
        self.both(lambda side: side.memory.purge(older_than_s=age))

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 15.0, 30.0, 5_000.0, -1.0, -60.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def alike(self) -> None:
        """What is stored is the same, to every question."""
        for id in IDS:
            self.both(lambda side, id=id: side.memory.read(id))
            self.both(lambda side, id=id: side.memory.get(id))
            self.both(lambda side, id=id: side.memory.journal(id))
            self.both(lambda side, id=id: side.memory.history(id))
            self.both(lambda side, id=id: side.memory.children(id))
        for what in (Find(), Find(deleted=True), Find(held=True), Find(status="done"), Find(root=True)):
            self.both(lambda side, what=what: side.memory.instances(what))
            self.both(lambda side, what=what: side.memory.count(what))


def _plain(answer: Any) -> Any:
    """An answer without what may differ: tokens are random."""
    if isinstance(answer, Lease):
        return (
            answer.id,
            answer.fence,
            answer.version,
            answer.data,
            answer.held,
            answer.replay,
            answer.deleted_at,
        )
    return answer


def test_simple_and_sqlite_answer_alike() -> None:
    run_state_machine_as_test(
        Twins, settings=settings(derandomize=True, deadline=None, max_examples=30, stateful_step_count=40)
    )
