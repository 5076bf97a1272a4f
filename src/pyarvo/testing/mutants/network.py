"""Memories that lie about the network: what is silent, late, slow or cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pyarvo.errors import MemoryFault, MemoryUnavailable, WriteOutcomeUnknown
from pyarvo.memory import Lease, LeasedMemory, Step
from pyarvo.memory.backend import Backend
from pyarvo.memory.decide import Op, Outcome, Read
from pyarvo.testing.mutants.mutant import memory, wrapper
from pyarvo.testing.mutants.wrapper import Wrapper

__all__: list[str] = []

_SERVERS = ("redis",)
_PROMPT_S = 0.01


@memory
class WriteFaultIsSwallowed(LeasedMemory):
    """Logs the fault of a write and goes on: the caller thinks that it is stored."""

    async def _commit(
        self, lease: Lease, data: Mapping[str, Any], step: Step | None, *, release: bool, operation: str
    ) -> int:
        try:
            return await super()._commit(lease, data, step, release=release, operation=operation)
        except (MemoryUnavailable, WriteOutcomeUnknown):
            return lease.version


@memory
class Impatient(LeasedMemory):
    """Gives the store ten milliseconds: what is slow counts as away."""

    stores: ClassVar = _SERVERS

    async def _ask(self, op: Op, within_s: float, operation: str) -> Outcome:
        return await super()._ask(op, min(within_s, _PROMPT_S), operation)


@memory
class GivesUpForGood(LeasedMemory):
    """Refuses every call after the first one that the store did not answer: it never connects again."""

    stores: ClassVar = _SERVERS
    _gave_up: bool = False

    async def _ask(self, op: Op, within_s: float, operation: str) -> Outcome:
        if self._gave_up:
            raise MemoryUnavailable("the connection was lost")
        try:
            return await super()._ask(op, within_s, operation)
        except (MemoryUnavailable, WriteOutcomeUnknown):
            self._gave_up = True
            raise


@wrapper
class LateAnswerIsTheNext(Wrapper):
    """Takes the answer that came too late for that of the next question, and so on: its connection is used again."""

    stores: ClassVar = _SERVERS

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self._owed: Op | None = None

    async def answer(self, op: Op) -> Outcome:
        if not isinstance(op, Read):
            return await self.ask(op)
        if self._owed is not None:
            asked, self._owed = self._owed, op
            return await self.ask(asked)
        try:
            return await self.ask(op)
        except MemoryFault:
            self._owed = op
            raise
