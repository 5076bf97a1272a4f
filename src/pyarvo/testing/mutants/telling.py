"""Memories that keep every promise, and tell telemetry something else."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from opentelemetry import trace

from pyarvo.memory.backend import Backend
from pyarvo.memory.contract import Lease, Step
from pyarvo.memory.decide import Conflict, Lost, Outcome
from pyarvo.memory.leased import LeasedMemory
from pyarvo.memory.options import MemoryOptions
from pyarvo.memory.signals import Signals
from pyarvo.telemetry import names
from pyarvo.testing.mutants.mutant import memory

if TYPE_CHECKING:
    from pyarvo.telemetry.meters import Meters
    from pyarvo.telemetry.recorder import Recorder

__all__: list[str] = []


class _Lying(LeasedMemory):
    """A memory with other signals; what it tells does not depend on the store."""

    stores: ClassVar = ("memory",)
    signals: ClassVar[type[Signals]] = Signals

    def __init__(self, backend: Backend, options: MemoryOptions) -> None:
        super().__init__(backend, options)
        self._signals = self.signals(backend.name)


@memory
class HoldsAreNotTold(_Lying):
    """Does not measure how long leases are held."""

    class signals(Signals):  # noqa: N801 - the attribute of the class above
        def given_up(self, on: Recorder, lease: Lease) -> None:
            """Nothing is told."""


@memory
class DenialsAreErrors(_Lying):
    """Counts a lease that somebody else holds as a fault of the store."""

    class signals(Signals):  # noqa: N801
        async def acquisition(
            self, meters: Meters, asking: Coroutine[Any, Any, Lease | None]
        ) -> Lease | None:
            lease = await asking
            if lease is None:
                meters.count(names.LOCK_ACQUISITIONS, self._system, names.Acquisition.ERROR.value)
                return None

            async def answered() -> Lease:
                return lease

            return await super().acquisition(meters, answered())


@memory
class LostLeasesAreConflicts(_Lying):
    """Counts a write of a lost lease as one on another version."""

    class signals(Signals):  # noqa: N801
        def refused(self, outcome: Outcome) -> None:
            super().refused(Conflict(0, 0) if isinstance(outcome, Lost) else outcome)


@memory
class SizesInKibibytes(_Lying):
    """Tells the sizes of records in another unit than it says."""

    class signals(Signals):  # noqa: N801
        def committed(self, on: Recorder, size: int) -> None:
            super().committed(on, size // 1_024)


@memory
class InstancesAreLabels(_Lying):
    """Labels what it measures with the instance: one more time series for every workflow."""

    class signals(Signals):  # noqa: N801
        def given_up(self, on: Recorder, lease: Lease) -> None:
            if on.meters is not None:
                on.meters.hold.record(monotonic() - lease.sent_at, {**self._labels, "instance": lease.id})


@memory
class RecordsInSpans(_Lying):
    """Puts what is written into the span that runs, for whoever looks at traces."""

    async def commit(
        self, lease: Lease, data: Mapping[str, Any], *, step: Step | None = None, release: bool = True
    ) -> int:
        trace.get_current_span().set_attribute("arvo.record", repr(data))
        return await super().commit(lease, data, step=step, release=release)
