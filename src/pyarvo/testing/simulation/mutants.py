"""Protocols with one hole each, which the simulation must find."""

# They change what the shipped code keeps to itself.
# pyright: reportPrivateUsage=false
# ruff: noqa: SLF001

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, Final, cast

from msgspec.structs import replace

from pyarvo.errors import MemoryFault
from pyarvo.handlers import emission
from pyarvo.memory.backend import Backend
from pyarvo.memory.decide import (
    Acquire,
    Acquired,
    Commit,
    Committed,
    JournalEntry,
    Op,
    Outcome,
    Release,
    Renew,
    Renewed,
    Row,
    decide,
)
from pyarvo.memory.options import MemoryOptions
from pyarvo.memory.simple import SimpleBackend
from pyarvo.testing.mutants import rules
from pyarvo.testing.mutants.stores import Change, InMemory, Rule
from pyarvo.testing.simulation.store import MakeBackend

__all__ = ["MUTANTS", "Mutant"]


@dataclass(frozen=True, slots=True)
class Mutant:
    """
    One hole.

    Attributes:
        name: Of the mutant.

        lie: What is wrong, in one sentence.

        make: Makes the store's backend.

        patch: What else is changed while it is simulated.
    """

    name: str
    lie: str
    make: MakeBackend = SimpleBackend
    patch: Callable[[], AbstractContextManager[None]] = nullcontext


def _by_rule(rule: Rule) -> MakeBackend:
    def make(options: MemoryOptions, clock: Callable[[], float]) -> Backend:
        backend: Any = InMemory().backend(options, Change(rule=rule))
        backend._clock = clock
        return backend

    return make


def _replay_is_ignored(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    return decide(replace(row, consumed=None) if type(op) is Acquire else row, op, now)


def _event_key_is_not_unique(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    return decide(replace(row, consumed=None), op, now)


def _set_back_clock_holds(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Looks at the end of a lease alone."""
    if type(op) is Acquire and now < row.granted_at and row.until != 0.0:
        return decide(replace(row, granted_at=now), op, now)
    return decide(row, op, now)


def _commit_leaves_the_rights(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    after, outcome = decide(row, op, now)
    if type(op) is Commit and after is not row and after.until == 0.0:
        after = replace(after, until=now)
    return after, outcome


def _anyone_renews(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    if type(op) is Renew and row.until != 0.0:
        return replace(row, until=max(row.until, now + op.ttl_s)), Renewed(now + op.ttl_s)
    return decide(row, op, now)


def _repeat_is_a_new_write(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    return decide(replace(row, written=None), op, now)


def _grant_shows_an_old_fence(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    after, outcome = decide(row, op, now)
    if isinstance(outcome, Acquired) and after is not row and row.token:
        after, outcome = replace(after, fence=row.fence), replace(outcome, fence=row.fence)
    return after, outcome


def _release_does_nothing(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    after, outcome = decide(row, op, now)
    return (row if type(op) is Release else after), outcome


class _StepApart:
    """Writes the record first; the step follows with the next operation of the instance."""

    immediate: ClassVar[bool] = True
    name: ClassVar[str] = "memory"

    def __init__(self, options: MemoryOptions, clock: Callable[[], float]) -> None:
        self._inner = SimpleBackend(options, clock)
        self._late: dict[str, JournalEntry] = {}

    async def execute(self, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        return [await self._one(op) for op in ops]

    async def _one(self, op: Op) -> Outcome | MemoryFault:
        late = self._late.pop(op.id, None)
        if late is not None and late.event_key is not None:
            entry = self._inner._entries[op.id]
            entry.by_key[late.event_key] = entry.by_version[late.version] = late
        if type(op) is not Commit or op.event_key is None:
            return (await self._inner.execute((op,)))[0]
        (outcome,) = await self._inner.execute((replace(op, event_key=None, produced=None),))
        if isinstance(outcome, Committed):
            made = self._inner._entries[op.id].by_version[outcome.version]
            self._late[op.id] = replace(made, event_key=op.event_key, produced=op.produced)
        return outcome

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _step_apart(options: MemoryOptions, clock: Callable[[], float]) -> Backend:
    return cast("Backend", _StepApart(options, clock))


def _random_id(**_: object) -> str:
    return random.randbytes(16).hex()  # of the seed, so that it fails the same way again


@contextmanager
def _random_ids() -> Generator[None]:
    derived = emission.derived_id
    emission.derived_id = _random_id
    try:
        yield
    finally:
        emission.derived_id = derived


def _rule(name: str, lie: str, rule: Rule) -> Mutant:
    return Mutant(name, lie, _by_rule(rule))


_ALL: Final = (
    _rule("token-not-checked", "Any token commits, renews and releases.", rules.any_token_will_do),
    _rule("version-not-checked", "A commit names its version, nobody looks.", rules.version_is_not_checked),
    _rule("replay-ignored", "A consumed event is given a lease.", _replay_is_ignored),
    _rule("event-key-not-unique", "An event may have two steps.", _event_key_is_not_unique),
    _rule("consumed-at-commit", "A commit does not look at the event's key.", rules.event_is_consumed_twice),
    _rule("release-by-anyone", "A release ends whatever lease there is.", rules.release_ends_any_lease),
    _rule("ttl-ignored", "A lease never ends by itself.", rules.leases_never_end),
    _rule("lock-takes-away", "A lease is granted while another runs.", rules.lock_takes_away),
    _rule("commit-keeps-the-lease", "A commit releases nothing.", rules.commit_keeps_the_lease),
    _rule("rights-after-commit", "A released token may still renew.", _commit_leaves_the_rights),
    _rule("release-does-nothing", "A release is acknowledged and forgotten.", _release_does_nothing),
    _rule("renewal-by-anyone", "A lease is renewed whoever asks.", _anyone_renews),
    _rule("renewal-shortens", "A renewal sets the end, also to an earlier one.", rules.renewal_shortens),
    _rule("fence-stands", "A grant has the fence of the grant before.", _grant_shows_an_old_fence),
    _rule("clock-set-back", "A lease from the future of its clock holds.", _set_back_clock_holds),
    _rule("repeat-not-known", "A repeated commit counts as a new one.", _repeat_is_a_new_write),
    Mutant("ids-random", "Emitted events have random ids.", patch=_random_ids),
    Mutant("step-apart", "The step is written after its record.", _step_apart),
)

MUTANTS: Final = {mutant.name: mutant for mutant in _ALL}
