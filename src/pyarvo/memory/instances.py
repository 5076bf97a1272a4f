"""What people and tools see of an instance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pyarvo.memory.contract import Record

__all__ = ["FINISHED", "Instance", "Page"]

FINISHED: Final = frozenset({"done", "failure", "error", "stopped"})
"""The statuses of an instance that will never write again. Any other, and none, counts as live work."""


@dataclass(frozen=True, slots=True)
class Instance:
    """
    One instance with its metadata. All times are the store's clock.

    Attributes:
        id: The event subject.

        version: Of the record; 0 = none.

        fence: Of the latest grant.

        held: Whether a lease runs now.

        lapsed: Whether the latest lease ran out and was never given back: its holder died or froze in mid-step, or is
            late. Nothing needs to be released, the next lease takes over.

        holder: Label of the latest holder; "" when there was none.

        held_since: When the lease was granted or last renewed, in seconds since the epoch; None when no lease runs.

        expires_in_s: Seconds until the lease ends; None when no lease runs.

        orchestrator, orchestrator_version, status, parent: The labels; None when the record has none.

        created_at, updated_at: Seconds since the epoch.

        deleted_at: None unless this is a tombstone.

        note: Why the lease was last released by force; "".

        data: The record; None when there is none, and in lists.
    """

    id: str
    version: int
    fence: int
    held: bool
    lapsed: bool
    holder: str
    held_since: float | None
    expires_in_s: float | None
    orchestrator: str | None
    orchestrator_version: str | None
    status: str | None
    parent: str | None
    created_at: float
    updated_at: float
    deleted_at: float | None
    note: str
    data: Record | None


@dataclass(frozen=True, slots=True)
class Page:
    """
    Some instances, newest first.

    Attributes:
        items: At most `limit` of them.

        cursor: Give it to the next call for the next page; None on the last.
    """

    items: tuple[Instance, ...]
    cursor: str | None
