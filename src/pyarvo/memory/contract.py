"""
The contract of Machine Memory: what every memory keeps, in words. The tests hold each numbered clause (C1..C12).

**Words.** An *instance* is one running workflow, named by its id (the event subject). Its *record* is one
JSON object. The record's *version* is 0 while there is none, and every applied write makes it one higher. A
*lease* is the exclusive right to write one instance for a limited time; its *token* is the owner's secret; its
*fence* is a counter of the instance, one higher at every lease that is granted. A *step* is one consumed
event: its key, the events it produced, the version it made. The *journal* is an instance's steps, in order.

**Two levels.** `MachineMemory` is the four verbs; any object that has them works with every handler.
`LeasedMachineMemory` adds the same lease as a handle, so that a step costs two round trips: *acquire* locks and
reads, *commit* writes, journals and unlocks.

**Clauses.**

C1  Token, fence and version are checked in the same atomic operation that writes. Two holders never both succeed.
C2  A holder frozen past its TTL, whose lease was taken over, gets `LeaseLost`; its successor never notices.
C3  A holder whose TTL passed and whose lease nobody took may still commit, and renew under the same fence.
C4  Expiry is judged by the store's clock: over when now >= until, or now < granted_at, the moment of the grant or of
    the last renewal (a clock set back cannot hold a lease for ever). A client's clock never matters.
C5  Renewal never shortens a lease; renewing a lost one raises.
C6  Release and unlock by a former owner leave the successor's lease whole. Release, and a commit that releases,
    end every right of the token.
C7  Delete raises the fence, clears the token, is refused while leased unless forced, and leaves a tombstone.
C8  N racers to create: exactly one wins. Absent is version 0.
C9  A repeat (same token, same expected version, same data and step) recognises itself, also after a successor
    has come. Repeating acquire, renew and release with the same token is harmless.
C10 Cancelling the caller at any suspension leaves no half-written record; a lease whose caller went away is
    released when its answer arrives.
C11 `commit(step=...)` writes record and step atomically; an event key is unique per instance for the instance's
    life. `acquire(event_key=...)` of a consumed event takes no lease: `lease.replay` is the step.
C12 An instance never waits for another's lease; no connection is held between calls.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from time import monotonic
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct

__all__ = ["JSON", "Lease", "LeasedMachineMemory", "MachineMemory", "Record", "Step"]

JSON = dict[str, Any] | list[Any] | str | int | float | bool | None
Record = dict[str, Any]
"""One JSON object. Key order is kept; integers have 64 bits; floats are finite; depth is at most 254."""


class Step(Struct, frozen=True):
    """
    One consumed event of an instance; the same type goes in (`commit`) and comes out (`lease.replay`).

    Attributes:
        event_key: Identity of the consumed event: the JSON array `[source, id]`, as text.

        produced: The events it produced, each a JSON object. Empty for a step older than the last 1,000, whose
            key still answers "consumed".

        version: The version that the step made; 0 until it is committed.

        at: When, in seconds since the epoch by the store's clock; None until it is committed.
    """

    event_key: str
    produced: tuple[Record, ...] = ()
    version: int = 0
    at: float | None = None


@runtime_checkable
class MachineMemory(Protocol):
    """The four verbs. Implement these and every handler works on your store."""

    async def read(self, id: str) -> Record | None:
        """
        The record of *id*; None only when there is none.

        Retried quickly on a transient fault: 3 attempts of at most 300 ms, under 1 s in all.

        Raises:
            InvalidRecord: The id is empty, over 4,096 UTF-8 bytes, or not text.
            MemoryUnavailable: The store could not be asked.
            RecordCorrupt: The stored bytes do not decode.
        """
        ...

    async def write(self, id: str, data: Record) -> None:
        """
        Make *data* the record of *id*, all of it or nothing. One attempt, never retried.

        Raises:
            InvalidRecord, RecordTooLarge: Refused before any I/O.
            LeaseLost: This caller holds no lease of *id*, or its lease has been held by another since.
            MemoryUnavailable: Not applied.
            WriteOutcomeUnknown: Applied or not, the store did not say.
        """
        ...

    def lock(self, id: str) -> Coroutine[Any, Any, bool]:
        """
        Take the lease of *id*: True = held now, False = somebody else holds it.

        Not re-entrant. The lease ends by itself after its TTL.

        Raises:
            MemoryUnavailable: The store could not be asked; denied and failed are never mixed up.
        """
        ...

    async def unlock(self, id: str) -> bool:
        """
        End this caller's lease of *id*, and nobody else's.

        Returns:
            True = over for certain. False = it was not ours, or the store did not answer: the TTL does the rest.
        """
        ...


class Lease(Struct, eq=False):
    """
    The exclusive right to write one instance, as its holder sees it. Memories make these; callers pass them back.

    Attributes:
        id: The instance.

        token: The owner's secret of this acquisition, 128 random bits as 32 hexadecimal digits; "" for a replay.

        fence: Higher than that of any earlier lease of the instance.

        version: The record's version that this holder last read or wrote; 0 = none.

        data: A fresh copy of the record as it was acquired; None when there is none.

        ttl_s: Length of the lease, in seconds.

        replay: The step that consumed `event_key` before; then no lease was taken and `held` is False.

        held: Whether the lease was taken and not yet given up by this holder. Says nothing about its expiry.

        deleted_at: When the instance was deleted, in seconds since the epoch; None when it was not.

        sent_at: When the request that took it was sent, by this process's monotonic clock, in seconds.

        until: When it ends, by the same clock, counted from the moment the request was sent.
    """

    id: str
    token: str
    fence: int
    version: int
    data: Record | None
    ttl_s: float
    sent_at: float
    replay: Step | None = None
    deleted_at: float | None = None
    held: bool = True
    until: float = 0.0

    def __post_init__(self) -> None:
        # Also a copy comes by here, of a lease that may have been given up or renewed.
        self.held = self.held and self.replay is None
        self.until = self.until or self.sent_at + self.ttl_s

    @property
    def expires_in_s(self) -> float:
        """
        Seconds left, never below 0.0.

        Counted on this process's monotonic clock from the moment the request was sent, so that it is never
        more than the store grants.
        """
        return max(0.0, self.until - monotonic()) if self.held else 0.0

    def extend(self, sent_at: float, ttl_s: float) -> None:
        """For memories: a renewal sent at *sent_at* (monotonic seconds) was granted."""
        self.until = max(self.until, sent_at + ttl_s)

    def __repr__(self) -> str:
        state = "replay" if self.replay is not None else "held" if self.held else "given up"
        return f"<Lease of {self.id[:48]!r}: fence {self.fence}, version {self.version}, {state}>"


@runtime_checkable
class LeasedMachineMemory(MachineMemory, Protocol):
    """The lease as a handle: two round trips a step."""

    async def acquire(
        self, id: str, *, event_key: Sequence[str] | str | None = None, ttl_s: float | None = None
    ) -> Lease | None:
        """
        Take the lease of *id* and read its record, in one round trip.

        Args:
            id: Instance id (the event subject), 1 to 4,096 UTF-8 bytes.

            event_key: Identity of the event about to be consumed, `[source, id]` or its JSON text. When the
                instance has consumed it already, no lease is taken and `lease.replay` is the step.

            ttl_s: Lease length in seconds, 1.0 to 3,600.0; None means the memory's default (30.0).
                Counted by the store's clock.

        Returns:
            The lease; None when somebody else holds it.

        Raises:
            InvalidRecord: The id or the event key was refused.
            MemoryUnavailable: The store could not be asked; no lease outlives its TTL.
            RecordCorrupt: The stored bytes do not decode; the lease is released.
        """
        ...

    async def commit(
        self, lease: Lease, data: Mapping[str, Any], *, step: Step | None = None, release: bool = True
    ) -> int:
        """
        Write the record, the step and (by default) the release of the lease, in one atomic operation.

        Args:
            lease: As `acquire` returned it; its `version` is advanced.

            data: The whole new record.

            step: The consumed event and what it produced.

            release: False keeps the lease for another write.

        Returns:
            The new version.

        Raises:
            InvalidRecord, RecordTooLarge: Refused before any I/O.
            LeaseLost, WriteConflict, EventConsumed: Not applied.
            MemoryUnavailable: Not applied.
            WriteOutcomeUnknown: Commit the same again to settle it.
        """
        ...

    async def renew(self, lease: Lease, *, ttl_s: float | None = None) -> None:
        """
        Extend the lease to *ttl_s* from now; never shortens it.

        Raises:
            LeaseLost: It was released, or somebody has held it since.
            MemoryUnavailable: The store could not be asked; the lease runs on as it was.
        """
        ...

    async def release(self, lease: Lease) -> bool:
        """
        End the lease. Never raises for a store fault.

        Returns:
            True = over for certain. False = it was not ours, or the store did not answer.
        """
        ...
