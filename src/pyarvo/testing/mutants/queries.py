"""Backends that lie to people and tools: deletion, lists, journal."""

from __future__ import annotations

from collections.abc import Sequence
from time import time

from msgspec.structs import replace

from pyarvo.memory.backend import Backend, Find, Stored
from pyarvo.memory.decide import (
    Acquired,
    Commit,
    Delete,
    Deleted,
    ForceRelease,
    JournalEntry,
    Op,
    Outcome,
    Released,
)
from pyarvo.testing.mutants.mutant import wrapper
from pyarvo.testing.mutants.wrapper import Wrapper

__all__: list[str] = []


@wrapper
class DeletesLeased(Wrapper):
    """Deletes an instance under the hands of its holder."""

    async def answer(self, op: Op) -> Outcome:
        return await self.ask(replace(op, force=True) if isinstance(op, Delete) else op)


@wrapper
class DeleteIsAlwaysTrue(Wrapper):
    """Says that an instance was deleted which never was."""

    async def answer(self, op: Op) -> Outcome:
        outcome = await self.ask(op)
        return Deleted(existed=True) if isinstance(outcome, Deleted) else outcome


@wrapper
class NoTombstone(Wrapper):
    """Does not tell who takes the lease of a deleted instance that it was deleted."""

    async def answer(self, op: Op) -> Outcome:
        outcome = await self.ask(op)
        return replace(outcome, deleted_at=None) if isinstance(outcome, Acquired) else outcome


@wrapper
class DeletionToldOnce(Wrapper):
    """Tells of a deletion only who takes the lease first: the next one takes the instance for new."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self._told: set[tuple[str, float]] = set()

    async def answer(self, op: Op) -> Outcome:
        outcome = await self.ask(op)
        if not isinstance(outcome, Acquired) or outcome.deleted_at is None:
            return outcome
        told = (op.id, outcome.deleted_at) in self._told
        self._told.add((op.id, outcome.deleted_at))
        return replace(outcome, deleted_at=None) if told else outcome


@wrapper
class ForceReleaseOfNobody(Wrapper):
    """Says that a lease was taken away, and leaves it where it is."""

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, ForceRelease):
            return Released(ours=bool((await self.row(op.id)).until))
        return await self.ask(op)


@wrapper
class ListMissesTheNewest(Wrapper):
    """Leaves the newest instance out of every first page, as a lagging index does."""

    async def find(self, what: Find, *, before: int | None, limit: int) -> Sequence[Stored]:
        if before is not None:
            return await self.inner.find(what, before=before, limit=limit)
        return (await self.inner.find(what, before=None, limit=limit + 1))[1:]


@wrapper
class PagesOverlap(Wrapper):
    """Begins a page with the last instance of the page before."""

    async def find(self, what: Find, *, before: int | None, limit: int) -> Sequence[Stored]:
        return await self.inner.find(what, before=None if before is None else before + 1, limit=limit)


@wrapper
class StatusIsIgnored(Wrapper):
    """Lists and counts every status, whichever was asked for."""

    async def find(self, what: Find, *, before: int | None, limit: int) -> Sequence[Stored]:
        return await self.inner.find(replace(what, status=None), before=before, limit=limit)

    async def count(self, what: Find) -> int:
        return await self.inner.count(replace(what, status=None))


@wrapper
class ParentIsIgnored(Wrapper):
    """Takes every child for a child of whoever asks."""

    async def find(self, what: Find, *, before: int | None, limit: int) -> Sequence[Stored]:
        return await self.inner.find(self._any_parent(what), before=before, limit=limit)

    async def count(self, what: Find) -> int:
        return await self.inner.count(self._any_parent(what))

    def _any_parent(self, what: Find) -> Find:
        return what if what.parent is None else replace(what, parent=None, root=False)


@wrapper
class ListsTombstones(Wrapper):
    """Lists deleted instances among the living."""

    async def find(self, what: Find, *, before: int | None, limit: int) -> Sequence[Stored]:
        living = await self.inner.find(what, before=before, limit=limit)
        if what.deleted:
            return living
        dead = await self.inner.find(replace(what, deleted=True), before=before, limit=limit)
        return sorted([*living, *dead], key=lambda stored: -stored.serial)[:limit]


@wrapper
class CountsTombstones(Wrapper):
    """Counts deleted instances among the living."""

    async def count(self, what: Find) -> int:
        living = await self.inner.count(what)
        return living if what.deleted else living + await self.inner.count(replace(what, deleted=True))


@wrapper
class TombstonesAreHidden(Wrapper):
    """Lists no deleted instances, also where these are asked for."""

    async def find(self, what: Find, *, before: int | None, limit: int) -> Sequence[Stored]:
        return [] if what.deleted else await self.inner.find(what, before=before, limit=limit)


@wrapper
class TombstonesAreNotCounted(Wrapper):
    """Counts no deleted instances, also where these are asked for."""

    async def count(self, what: Find) -> int:
        return 0 if what.deleted else await self.inner.count(what)


@wrapper
class LabelsStand(Wrapper):
    """Keeps the labels of an instance's first record for ever."""

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Commit) and op.expected:
            stored = await self.inner.get(op.id)
            if stored is not None:
                op = replace(op, labels=stored.labels)
        return await self.ask(op)


@wrapper
class JournalIsBackwards(Wrapper):
    """Gives the journal newest first."""

    async def journal(self, id: str, *, after: int, limit: int) -> Sequence[JournalEntry]:
        return list(reversed(await self.inner.journal(id, after=after, limit=limit)))


@wrapper
class HistoryIsBackwards(Wrapper):
    """Gives earlier records oldest first."""

    async def history(self, id: str) -> Sequence[tuple[int, bytes]]:
        return list(reversed(await self.inner.history(id)))


@wrapper
class HistoryIsEmpty(Wrapper):
    """Gives no earlier records, however many were to be kept."""

    async def history(self, id: str) -> Sequence[tuple[int, bytes]]:
        del id
        return []


@wrapper
class CreatedByEveryWrite(Wrapper):
    """Says that an instance was created when it was last written."""

    async def get(self, id: str) -> Stored | None:
        stored = await self.inner.get(id)
        return None if stored is None else replace(stored, created_at=stored.updated_at)


@wrapper
class UpdatedNever(Wrapper):
    """Says that an instance was last written when it was created: live work looks old."""

    async def get(self, id: str) -> Stored | None:
        stored = await self.inner.get(id)
        return None if stored is None else replace(stored, updated_at=stored.created_at)


@wrapper
class TimesInMilliseconds(Wrapper):
    """Tells in milliseconds when an instance was created and written."""

    async def get(self, id: str) -> Stored | None:
        stored = await self.inner.get(id)
        if stored is None:
            return None
        return replace(stored, created_at=stored.created_at * 1e3, updated_at=stored.updated_at * 1e3)


@wrapper
class HolderIsHidden(Wrapper):
    """Shows every instance as free."""

    async def get(self, id: str) -> Stored | None:
        stored = await self.inner.get(id)
        return None if stored is None else replace(stored, row=replace(stored.row, until=0.0))


@wrapper
class LapsedIsHeld(Wrapper):
    """Takes a lease that ran out for one that runs when it lists what is held."""

    async def find(self, what: Find, *, before: int | None, limit: int) -> Sequence[Stored]:
        if what.held is None:
            return await self.inner.find(what, before=before, limit=limit)
        found = await self.inner.find(replace(what, held=None), before=before, limit=limit)
        return [each for each in found if (each.row.until != 0.0) is what.held]

    async def count(self, what: Find) -> int:
        return len(await self.find(what, before=None, limit=1_000))


@wrapper
class StepsAreOfNow(Wrapper):
    """Says of every step that it was made when somebody asked."""

    async def journal(self, id: str, *, after: int, limit: int) -> Sequence[JournalEntry]:
        return [replace(each, at=time()) for each in await self.inner.journal(id, after=after, limit=limit)]


@wrapper
class HistoryOutlivesDelete(Wrapper):
    """Gives the earlier records of an instance that was deleted."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self._before: dict[str, Sequence[tuple[int, bytes]]] = {}

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Delete):
            self._before[op.id] = await self.inner.history(op.id)
        return await self.ask(op)

    async def history(self, id: str) -> Sequence[tuple[int, bytes]]:
        return [*await self.inner.history(id), *self._before.get(id, ())]
