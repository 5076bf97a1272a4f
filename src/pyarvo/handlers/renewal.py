"""Keeping a lease alive while user code that may suspend is running."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, TypeVar

from pyarvo.errors import LeaseLost, TransactionCause, TransactionViolation
from pyarvo.handlers.cancellation import until_over

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from pyarvo.memory.contract import Lease, LeasedMachineMemory

__all__ = ["while_renewed"]

T = TypeVar("T")

_PER_TTL = 3
"""The lease is renewed this many times in one TTL, so that two renewals may fail before it ends."""


async def while_renewed(memory: LeasedMachineMemory, lease: Lease, work: Awaitable[T]) -> T:
    """
    Await *work* while *lease* is renewed every third of its TTL.

    The renewal is stopped and awaited before this returns, whatever happens. A cancellation by the caller goes
    through *work* and stays the caller's.

    Raises:
        TransactionViolation: LEASE_LOST: the lease was lost, or could not be renewed in time; *work* was
            cancelled.
    """
    if lease.ttl_s == inf:  # a memory of four verbs: nobody can know how long its lock lasts
        return await work
    renewal = _Renewal(memory, lease)
    scope = asyncio.timeout(None)
    try:
        async with scope:
            renewal.start(scope)
            try:
                outcome = await work
            finally:
                await renewal.stop()
    except Exception as error:
        if scope.expired():
            raise _lease_lost(lease) from renewal.fault or error
        raise
    if scope.expired():  # the work swallowed its cancellation
        raise _lease_lost(lease) from renewal.fault
    return outcome


def _lease_lost(lease: Lease) -> TransactionViolation:
    return TransactionViolation(
        TransactionCause.LEASE_LOST,
        "the lease was lost while the handler ran, the handler was cancelled; deliver the event again",
        metadata={"subject": lease.id, "fence": lease.fence},
    )


class _Renewal:
    """One timer; a deadline and a task come with the first renewal, so that work that ends soon pays for neither."""

    __slots__ = ("_lease", "_loop", "_memory", "_scope", "_stopped", "_task", "_timer", "fault")

    def __init__(self, memory: LeasedMachineMemory, lease: Lease) -> None:
        self._memory = memory
        self._lease = lease
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self.fault: Exception | None = None

    def start(self, scope: asyncio.Timeout) -> None:
        self._scope = scope
        lease = self._lease
        self._plan(max(0.0, lease.expires_in_s - lease.ttl_s * (1 - 1 / _PER_TTL)))

    async def stop(self) -> None:
        # First: waiting for the task takes a turn, in which a timer that is due would begin the next renewal.
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await until_over(self._task)

    def _plan(self, delay_s: float) -> None:
        if not self._stopped:
            self._timer = self._loop.call_later(delay_s, self._begin)

    def _begin(self) -> None:
        self._end_at(self._loop.time() + self._lease.expires_in_s)
        self._task = self._loop.create_task(self._renew())

    async def _renew(self) -> None:
        try:
            await self._memory.renew(self._lease)
        except LeaseLost as lost:
            self.fault = lost
            self._end_at(self._loop.time())
        except Exception as fault:  # noqa: BLE001 - any store fault: the lease runs on, the next third asks again
            self.fault = fault
            self._plan(self._lease.ttl_s / _PER_TTL)
        else:
            self.fault = None
            self._end_at(self._loop.time() + self._lease.expires_in_s)
            self._plan(self._lease.ttl_s / _PER_TTL)

    def _end_at(self, deadline: float) -> None:
        # An answer that comes while the work is being cancelled, or after its end, is too late.
        if not self._stopped and not self._scope.expired():
            self._scope.reschedule(deadline)
