"""What commands say about instances, as data: the JSON answers, which the tables show in part."""

from __future__ import annotations

import json
from datetime import datetime

from msgspec import Struct

from pyarvo.cli.text import utc
from pyarvo.errors import RecordCorrupt
from pyarvo.events.labels import labels
from pyarvo.memory import Instance, Record, Step

__all__ = [
    "EventIdentity",
    "InstanceView",
    "LeaseView",
    "LockView",
    "RecordView",
    "StepView",
    "event_identity",
    "instance_view",
    "kind_of",
    "lease_view",
    "lock_view",
    "record_view",
    "step_view",
]


class LeaseView(Struct, frozen=True, kw_only=True):
    """
    Who holds an instance.

    Attributes:
        held: Whether a lease runs now, by the store's clock.

        lapsed: Whether the latest lease ran out and was never given back.

        holder: Label of the holder, usually `host:pid`; None when nobody holds it.

        since: When the lease was granted or last renewed.

        remaining_s: Seconds until it ends by itself; a holder that is alive renews it.

        last_holder: Label of the latest holder, also after its lease; None when there was none.

        note: Why a lease was last released by force; None when none was.
    """

    held: bool
    lapsed: bool
    holder: str | None
    since: datetime | None
    remaining_s: float | None
    last_holder: str | None
    note: str | None


class LockView(Struct, frozen=True, kw_only=True):
    """A lease that runs; the fields as in `LeaseView` and `InstanceView`."""

    id: str
    holder: str | None
    since: datetime | None
    remaining_s: float
    fence: int
    orchestrator: str | None
    orchestrator_version: str | None
    status: str | None


class InstanceView(Struct, frozen=True, kw_only=True):
    """An instance with its metadata; see `pyarvo.memory.Instance`."""

    id: str
    orchestrator: str | None
    orchestrator_version: str | None
    status: str | None
    parent: str | None
    version: int
    fence: int
    lease: LeaseView
    created_at: datetime | None
    updated_at: datetime | None
    deleted_at: datetime | None


class EventIdentity(Struct, frozen=True):
    """What names an event: both together. The source is None where a key of another kind was given to a step."""

    source: str | None
    id: str


class StepView(Struct, frozen=True, kw_only=True):
    """
    A step of an instance's journal.

    Attributes:
        version: The version that it made.

        at: When, by the store's clock.

        event: The event that it consumed; None for a write without one.

        produced: The events that it produced, whole.
    """

    version: int
    at: datetime | None
    event: EventIdentity | None
    produced: tuple[Record, ...]


class RecordView(Struct, frozen=True):
    """
    An earlier record that is still kept.

    Attributes:
        record: None when it is damaged.

        damage: Why it does not decode; None when it does.
    """

    version: int
    record: Record | None
    damage: str | None = None


def lease_view(instance: Instance) -> LeaseView:
    """Who holds *instance*."""
    return LeaseView(
        held=instance.held,
        lapsed=instance.lapsed,
        holder=instance.holder if instance.held else None,
        since=utc(instance.held_since),
        remaining_s=None if instance.expires_in_s is None else round(instance.expires_in_s, 3),
        last_holder=instance.holder or None,
        note=instance.note or None,
    )


def kind_of(instance: Instance) -> tuple[str | None, str | None]:
    """Orchestrator and version; from the id where there is no record, so that nothing was labelled."""
    if instance.version:
        return instance.orchestrator, instance.orchestrator_version
    said = labels(instance.id, {})
    return said.orchestrator, said.version


def lock_view(instance: Instance) -> LockView:
    """The lease of *instance*, which runs."""
    orchestrator, orchestrator_version = kind_of(instance)
    lease = lease_view(instance)
    return LockView(
        id=instance.id,
        holder=lease.holder,
        since=lease.since,
        remaining_s=lease.remaining_s or 0.0,
        fence=instance.fence,
        orchestrator=orchestrator,
        orchestrator_version=orchestrator_version,
        status=instance.status,
    )


def instance_view(instance: Instance) -> InstanceView:
    """The metadata of *instance*."""
    orchestrator, orchestrator_version = kind_of(instance)
    return InstanceView(
        id=instance.id,
        orchestrator=orchestrator,
        orchestrator_version=orchestrator_version,
        status=instance.status,
        parent=instance.parent,
        version=instance.version,
        fence=instance.fence,
        lease=lease_view(instance),
        created_at=utc(instance.created_at),
        updated_at=utc(instance.updated_at),
        deleted_at=utc(instance.deleted_at),
    )


def event_identity(event_key: str) -> EventIdentity | None:
    """Source and id in the key of a step; None for a write without an event."""
    if not event_key:
        return None
    try:
        parts = json.loads(event_key)
    except (ValueError, RecursionError):  # a key may be any text, also a thousand brackets
        return EventIdentity(None, event_key)
    match parts:
        case [str(source), str(id)]:
            return EventIdentity(source, id)
        case _:
            return EventIdentity(None, event_key)


def record_view(version: int, record: Record | RecordCorrupt) -> RecordView:
    """One earlier record."""
    if isinstance(record, RecordCorrupt):
        return RecordView(version, None, str(record.args[0]))
    return RecordView(version, record)


def step_view(step: Step) -> StepView:
    """One line of a journal."""
    return StepView(
        version=step.version, at=utc(step.at), event=event_identity(step.event_key), produced=step.produced
    )
