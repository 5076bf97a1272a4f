"""Backends that lie about leases: who holds one, for how long, and what the fence says."""

from __future__ import annotations

import asyncio
from hashlib import blake2b
from typing import ClassVar, Final

from msgspec.structs import replace

from pyarvo.errors import MemoryUnavailable
from pyarvo.memory.backend import Backend
from pyarvo.memory.decide import (
    Acquire,
    Acquired,
    Commit,
    Committed,
    Denied,
    Lost,
    Op,
    Outcome,
    Release,
    Released,
    Renew,
    Renewed,
)
from pyarvo.testing.mutants.mutant import wrapper
from pyarvo.testing.mutants.wrapper import Wrapper

__all__: list[str] = []

_YEARS_S: Final = 3.0e8
_DEFAULT_S: Final = 30.0


@wrapper
class LeaseNeverEnds(Wrapper):
    """Grants every lease for ten years: a holder that died blocks its workflow."""

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Acquire | Renew):
            op = replace(op, ttl_s=_YEARS_S)
        return await self.ask(op)


@wrapper
class LeaseEndsEarly(Wrapper):
    """Ends every lease at a tenth of its time, while the holder counts on all of it."""

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Acquire | Renew):
            op = replace(op, ttl_s=op.ttl_s / 10)
        return await self.ask(op)


@wrapper
class LeasesOfWholeSeconds(Wrapper):
    """Cuts the fraction of a second off every lease, as EXPIRE does."""

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Acquire | Renew):
            op = replace(op, ttl_s=float(int(op.ttl_s)))
        return await self.ask(op)


@wrapper
class TtlOfTheCallerIgnored(Wrapper):
    """Gives every lease 30 seconds, whatever was asked for."""

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Acquire | Renew):
            op = replace(op, ttl_s=_DEFAULT_S)
        return await self.ask(op)


@wrapper
class FenceStands(Wrapper):
    """Says the fence 1 at every grant."""

    async def answer(self, op: Op) -> Outcome:
        outcome = await self.ask(op)
        return replace(outcome, fence=1) if isinstance(outcome, Acquired) else outcome


@wrapper
class FenceOfTheProcess(Wrapper):
    """Counts fences in each process by itself: two processes hand out the same ones."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self._fences: dict[str, int] = {}

    async def answer(self, op: Op) -> Outcome:
        outcome = await self.ask(op)
        if not isinstance(outcome, Acquired):
            return outcome
        fence = self._fences[op.id] = self._fences.get(op.id, 0) + 1
        return replace(outcome, fence=fence)


@wrapper
class AnyoneReleases(Wrapper):
    """Ends whatever lease there is, whoever asks: the late unlock of a former holder frees its successor's."""

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Release):
            op = replace(op, token=(await self.row(op.id)).token)
        return await self.ask(op)


@wrapper
class ReleaseIsAlwaysTrue(Wrapper):
    """Tells a stranger that the lease is over for certain."""

    async def answer(self, op: Op) -> Outcome:
        outcome = await self.ask(op)
        return Released(ours=True) if isinstance(outcome, Released) else outcome


@wrapper
class ReleaseDoesNothing(Wrapper):
    """Leaves every lease to its TTL and says that it is over."""

    async def answer(self, op: Op) -> Outcome:
        return Released(ours=True) if isinstance(op, Release) else await self.ask(op)


@wrapper
class AnyoneCommits(Wrapper):
    """Checks the version and not the token: a stale holder with the right version wins."""

    async def answer(self, op: Op) -> Outcome:
        outcome = await self.ask(op)
        if isinstance(op, Commit) and isinstance(outcome, Lost):
            row = await self.row(op.id)
            return await self.ask(replace(op, token=row.token))
        return outcome


@wrapper
class LateCommitRefused(Wrapper):
    """Refuses a holder whose TTL passed although nobody took its lease."""

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Commit):
            stored = await self.inner.get(op.id)
            if stored is not None and stored.now >= stored.row.until:
                return Lost()
        return await self.ask(op)


@wrapper
class LateRenewalRefused(Wrapper):
    """Refuses to renew once the TTL passed although nobody took the lease."""

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Renew):
            stored = await self.inner.get(op.id)
            if stored is not None and stored.now >= stored.row.until:
                return Lost()
        return await self.ask(op)


@wrapper
class LostRenewalSucceeds(Wrapper):
    """Says that a lost lease was renewed."""

    async def answer(self, op: Op) -> Outcome:
        outcome = await self.ask(op)
        return Renewed(_YEARS_S) if isinstance(op, Renew) and isinstance(outcome, Lost) else outcome


@wrapper
class RenewalDoesNothing(Wrapper):
    """Says that the lease runs on, and lets it end."""

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Renew):
            row = await self.row(op.id)
            if row.token == op.token and row.until:
                return Renewed(row.until)
        return await self.ask(op)


@wrapper
class RenewalsAddUp(Wrapper):
    """Counts a renewal from the end of the lease: who renews often, and dies, holds it for long."""

    async def answer(self, op: Op) -> Outcome:
        stored = await self.inner.get(op.id) if isinstance(op, Renew) else None
        if isinstance(op, Renew) and stored is not None:
            op = replace(op, ttl_s=op.ttl_s + max(0.0, stored.row.until - stored.now))
        return await self.ask(op)


@wrapper
class DeniedIsRaised(Wrapper):
    """Raises a fault of the store where somebody else holds the lease."""

    async def answer(self, op: Op) -> Outcome:
        outcome = await self.ask(op)
        if isinstance(op, Acquire) and isinstance(outcome, Denied):
            raise MemoryUnavailable("somebody else holds the lease", transient=False)
        return outcome


@wrapper
class EveryoneIsGranted(Wrapper):
    """Grants a lease that somebody else holds, without taking it away."""

    async def answer(self, op: Op) -> Outcome:
        outcome = await self.ask(op)
        if isinstance(op, Acquire) and isinstance(outcome, Denied):
            row = await self.row(op.id)
            return Acquired(row.fence + 1, row.version, row.data, row.deleted_at)
        return outcome


@wrapper
class LeaseOfTheProcess(Wrapper):
    """Names the process in the token, not the caller: two tasks of one process hold the lease together."""

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Acquire | Commit | Renew | Release):
            op = replace(op, token=blake2b(b"host:4711", digest_size=16).hexdigest())
        outcome = await self.ask(op)
        if isinstance(op, Acquire) and isinstance(outcome, Denied) and not (await self.row(op.id)).until:
            # It gave the lease up and comes again under its name.
            return await self.ask(replace(op, token=op.token[::-1]))
        return outcome


@wrapper
class CommitKeepsTheLease(Wrapper):
    """Leaves the lease standing after a commit that releases."""

    async def answer(self, op: Op) -> Outcome:
        return await self.ask(replace(op, release=False) if isinstance(op, Commit) else op)


@wrapper
class CommitEndsTheLease(Wrapper):
    """Ends the lease with the first commit, also where the caller keeps it."""

    async def answer(self, op: Op) -> Outcome:
        return await self.ask(replace(op, release=True) if isinstance(op, Commit) else op)


@wrapper
class RightsOutliveRelease(Wrapper):
    """Applies a commit that arrives after the release of its lease, as long as nobody took it."""

    _taken: ClassVar[str] = "0" * 32

    async def answer(self, op: Op) -> Outcome:
        outcome = await self.ask(op)
        if not (isinstance(op, Commit) and isinstance(outcome, Lost)):
            return outcome
        row = await self.row(op.id)
        if row.token != op.token or row.until:
            return outcome
        await self.ask(Acquire(op.id, self._taken, 30.0))
        late = await self.ask(replace(op, token=self._taken, release=True))
        return late if isinstance(late, Committed) else outcome


@wrapper
class WaitsForStrangers(Wrapper):
    """Holds one mutex for all ids while it waits for a lease, as a pool that is too small does."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.immediate = False
        self.batches = (1, 64)
        self._mutex = asyncio.Lock()

    async def answer(self, op: Op) -> Outcome:
        async with self._mutex:
            outcome = await self.ask(op)
            if isinstance(outcome, Denied):
                await asyncio.sleep(0.15)
        return outcome
