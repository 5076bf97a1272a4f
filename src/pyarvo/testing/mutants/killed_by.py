"""Which clauses must find which mutant: each of them, over every store, with every seed. See `make mutants`."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

__all__ = ["KILLED_BY"]

KILLED_BY: Final = MappingProxyType(
    {
        "LeaseNeverEnds": (
            "base.lease.03",
            "base.lease.10",
        ),
        "LeaseEndsEarly": ("base.lease.04",),
        "LeasesOfWholeSeconds": ("base.lease.04",),
        "RenewalsAddUp": ("leased.lease.03",),
        "KeysFolded": ("leased.idempotence.06",),
        "TtlOfTheCallerIgnored": (
            "backend.faults.13",
            "base.cancellation.03",
            "base.lease.11",
            "leased.lease.07",
        ),
        "FenceStands": (
            "leased.concurrency.03",
            "leased.ownership.07",
            "leased.ownership.08",
        ),
        "FenceOfTheProcess": (
            "backend.faults.07",
            "leased.concurrency.03",
            "leased.idempotence.10",
        ),
        "AnyoneReleases": (
            "leased.idempotence.16",
            "leased.ownership.04",
            "leased.ownership.05",
        ),
        "ReleaseIsAlwaysTrue": (
            "leased.idempotence.16",
            "leased.ownership.04",
        ),
        "ReleaseDoesNothing": (
            "backend.faults.12",
            "base.lease.06",
        ),
        "AnyoneCommits": (
            "base.ownership.09",
            "leased.ownership.01",
            "leased.ownership.10",
        ),
        "LateCommitRefused": (
            "backend.faults.22",
            "leased.cancellation.02",
            "leased.lease.01",
        ),
        "LateRenewalRefused": ("leased.lease.02",),
        "LostRenewalSucceeds": (
            "leased.concurrency.04",
            "leased.idempotence.03",
            "leased.lease.05",
        ),
        "RenewalDoesNothing": (
            "backend.faults.14",
            "leased.lease.03",
        ),
        "DeniedIsRaised": (
            "backend.faults.14",
            "base.lease.02",
            "leased.cas.07",
        ),
        "EveryoneIsGranted": (
            "backend.faults.14",
            "leased.cancellation.03",
            "leased.concurrency.02",
        ),
        "LeaseOfTheProcess": (
            "base.absent.05",
            "base.lease.01",
        ),
        "CommitKeepsTheLease": (
            "leased.absent.01",
            "leased.cas.01",
        ),
        "CommitEndsTheLease": (
            "base.lease.08",
            "leased.cas.01",
            "leased.idempotence.15",
        ),
        "RightsOutliveRelease": (
            "backend.faults.23",
            "leased.ownership.08",
            "leased.ownership.09",
        ),
        "WaitsForStrangers": ("base.waiting.01",),
        "CorruptIsAbsent": ("backend.absent.01",),
        "UnavailableIsAbsent": (
            "backend.absent.03",
            "backend.faults.03",
            "backend.faults.04",
            "network.faults.02",
        ),
        "LockFaultIsDenied": (
            "backend.faults.05",
            "network.faults.08",
        ),
        "LockFaultIsGranted": (
            "backend.faults.05",
            "network.faults.08",
        ),
        "UnlockRaises": (
            "backend.faults.11",
            "backend.faults.12",
            "network.faults.09",
            "network.faults.10",
        ),
        "WriteIsRetried": (
            "backend.faults.16",
            "backend.faults.17",
            "backend.faults.18",
            "backend.faults.26",
            "network.faults.04",
        ),
        "ReadIsNotRetried": (
            "backend.absent.03",
            "backend.faults.02",
            "network.faults.01",
        ),
        "UnknownIsNotApplied": (
            "backend.faults.17",
            "backend.faults.21",
            "backend.faults.24",
        ),
        "ConflictIsSwallowed": (
            "leased.cas.02",
            "leased.cas.04",
            "leased.cas.05",
            "leased.idempotence.14",
        ),
        "LostLeaseIsSwallowed": (
            "leased.idempotence.03",
            "leased.idempotence.13",
            "leased.ownership.02",
            "network.faults.06",
        ),
        "WritesWithoutALock": (
            "base.ownership.03",
            "base.ownership.05",
            "base.ownership.07",
        ),
        "UnlockOfAStrangerIsTrue": (
            "backend.faults.11",
            "base.concurrency.15",
            "base.lease.07",
            "leased.ownership.13",
            "network.faults.10",
        ),
        "UnlockOfAnybody": (
            "backend.faults.11",
            "base.cancellation.04",
            "base.ownership.13",
            "leased.ownership.12",
        ),
        "LockOfTheObject": (
            "backend.faults.05",
            "backend.faults.16",
        ),
        "LockLostUnderWaitFor": ("leased.ownership.14",),
        "CancelledLockStays": ("backend.faults.08",),
        "CancelledUnlockIsDropped": ("leased.cancellation.04",),
        "RecordIsShared": ("base.roundtrip.13",),
        "WriterKeepsTheRecord": (
            "base.roundtrip.12",
            "base.roundtrip.13",
        ),
        "UnfitIsStoredAsText": (
            "backend.faults.27",
            "base.roundtrip.17",
            "leased.cas.08",
        ),
        "NanIsNull": (
            "backend.faults.27",
            "base.roundtrip.15",
        ),
        "LargeRecordsAreCut": ("backend.cas.01",),
        "RefusesLate": (
            "backend.faults.27",
            "base.roundtrip.14",
            "base.roundtrip.18",
            "base.roundtrip.19",
        ),
        "AnyIdWillDo": (
            "backend.faults.27",
            "base.keys.07",
        ),
        "LongIdsAreCut": (
            "backend.faults.27",
            "base.keys.06",
        ),
        "AnyTtlWillDo": ("leased.lease.06",),
        "ExpiryIsHopeful": ("leased.lease.08",),
        "TokensAreCounted": ("leased.ownership.11",),
        "NothingIsForGood": ("backend.faults.06",),
        "DeadlineIsIgnored": ("backend.faults.09",),
        "AnyCursorWillDo": ("query.queries.06",),
        "PurgeTakesTheLiving": ("query.retention.11",),
        "DryRunIsWet": ("query.retention.11",),
        "UsedAfterAFork": ("base.life.04",),
        "ClosedStillWorks": ("backend.life.02",),
        "DeletesLeased": ("query.retention.06",),
        "DeleteIsAlwaysTrue": ("query.retention.07",),
        "NoTombstone": ("query.retention.01",),
        "ForceReleaseOfNobody": ("query.retention.10",),
        "ListMissesTheNewest": (
            "query.queries.10",
            "query.queries.12",
        ),
        "PagesOverlap": ("query.queries.10",),
        "StatusIsIgnored": ("query.queries.11",),
        "ParentIsIgnored": ("query.queries.12",),
        "ListsTombstones": ("query.retention.07",),
        "CountsTombstones": ("query.retention.07",),
        "LabelsStand": ("query.queries.11",),
        "JournalIsBackwards": ("query.queries.08",),
        "HolderIsHidden": ("query.retention.10",),
        "KeysSorted": (
            "base.concurrency.10",
            "base.keys.09",
            "base.roundtrip.02",
            "base.roundtrip.03",
            "base.roundtrip.09",
        ),
        "FloatsRounded": (
            "base.roundtrip.07",
            "base.roundtrip.20",
        ),
        "FloatsToIntegers": ("base.roundtrip.07",),
        "BigIntegersAsFloats": (
            "base.roundtrip.06",
            "base.roundtrip.20",
        ),
        "TextNormalised": ("base.roundtrip.05",),
        "TextCutAtNul": (
            "base.roundtrip.04",
            "base.roundtrip.20",
        ),
        "TextIsGuessed": ("base.roundtrip.10",),
        "NullsDropped": (
            "base.roundtrip.01",
            "base.roundtrip.11",
        ),
        "IdsFolded": (
            "base.absent.06",
            "base.keys.03",
        ),
        "IdsCutAt255": (
            "base.keys.04",
            "base.keys.05",
        ),
        "IdsCutAtNul": ("base.keys.02",),
        "IdsNormalised": ("base.keys.03",),
        "IdsStripped": (
            "base.absent.06",
            "base.keys.02",
        ),
        "IdsDecoded": ("base.neighbours.02",),
        "IdsShareKeys": ("base.neighbours.01",),
        "any_token_will_do": (
            "leased.idempotence.12",
            "leased.ownership.01",
            "leased.ownership.03",
        ),
        "leases_never_end": (
            "backend.faults.13",
            "base.cancellation.03",
        ),
        "fence_is_not_raised": (
            "leased.concurrency.03",
            "leased.ownership.06",
            "leased.ownership.08",
        ),
        "fence_starts_anew": ("query.retention.01",),
        "renewal_shortens": ("leased.lease.04",),
        "lock_takes_away": (
            "backend.faults.14",
            "leased.concurrency.02",
        ),
        "locks_are_reentrant": (
            "backend.faults.14",
            "leased.concurrency.02",
        ),
        "release_ends_any_lease": (
            "leased.idempotence.16",
            "leased.ownership.04",
        ),
        "version_is_not_checked": (
            "leased.cas.03",
            "leased.cas.05",
            "leased.idempotence.14",
        ),
        "absent_is_any_version": ("leased.cas.05",),
        "repeat_is_known_by_its_token": (
            "leased.cas.06",
            "leased.idempotence.13",
        ),
        "repeat_is_forgotten_by_a_successor": (
            "backend.faults.25",
            "leased.idempotence.11",
        ),
        "own_acquire_is_denied": (
            "backend.faults.07",
            "network.faults.07",
        ),
        "event_is_consumed_twice": (
            "leased.idempotence.04",
            "leased.idempotence.05",
        ),
        "delete_leaves_the_rights": ("query.retention.08",),
        "delete_is_never_refused": ("query.retention.06",),
        "force_release_leaves_the_rights": ("query.retention.10",),
        "commit_keeps_the_lease": (
            "leased.absent.01",
            "leased.cas.01",
        ),
        "late_holder_is_refused": (
            "backend.faults.20",
            "leased.cancellation.02",
            "leased.lease.01",
        ),
        "delete_of_the_unwritten_does_nothing": ("query.retention.09",),
        "first_record_stays": (
            "base.concurrency.03",
            "leased.concurrency.01",
            "leased.lease.09",
        ),
        "step_of_another_instance": ("leased.neighbours.01",),
        "step_of_another_is_written": ("leased.idempotence.07",),
        "old_steps_are_dropped": ("backend.neighbours.01",),
        "events_of_a_step_are_lost": ("leased.idempotence.08",),
        "children_of_everybody": ("query.queries.12",),
        "oldest_first": ("query.queries.10",),
        "labels_are_not_stored": ("query.queries.11",),
        "tombstone_keeps_the_record": ("query.retention.01",),
        "lease_key_expires": (
            "leased.lease.01",
            "leased.lease.10",
        ),
        "consumed_event_takes_the_lease": (
            "leased.idempotence.02",
            "leased.idempotence.06",
        ),
        "journal_outlives_delete": ("query.retention.01",),
        "TypeScriptSimple": (
            "base.lease.03",
            "base.ownership.01",
            "base.ownership.03",
            "base.ownership.04",
            "base.roundtrip.12",
            "base.roundtrip.13",
            "base.roundtrip.16",
        ),
        "TypeScriptConcurrent": (
            "base.ownership.02",
            "base.ownership.08",
        ),
        "TypeScriptPostgres": (
            "base.keys.05",
            "base.lease.09",
            "base.ownership.02",
            "base.ownership.06",
            "base.roundtrip.01",
            "base.roundtrip.04",
            "base.waiting.01",
        ),
        "SomeHardlyGetATurn": ("base.concurrency.13",),
        "LockWaitsForLong": ("base.lease.12",),
        "LockDoesNotAskTwice": (
            "base.concurrency.01",
            "base.concurrency.02",
            "base.concurrency.04",
            "base.concurrency.06",
        ),
        "OneLockForAll": ("base.concurrency.11",),
        "FieldsOneByOne": (
            "base.cancellation.02",
            "base.concurrency.08",
        ),
        "EmptyBeforeWrite": ("base.cancellation.02",),
        "WritesNeedNoLock": (
            "base.concurrency.07",
            "base.concurrency.16",
            "base.ownership.03",
            "base.ownership.10",
            "base.ownership.12",
        ),
        "AbsentIsEmpty": ("base.absent.01",),
        "LockMakesARecord": ("base.absent.02",),
        "LocksOfTheObject": (
            "base.concurrency.12",
            "base.concurrency.14",
            "base.keys.01",
            "base.keys.08",
            "base.lease.04",
            "base.ownership.11",
        ),
        "RecordsOfTheObject": (
            "base.absent.03",
            "base.roundtrip.08",
        ),
        "LockGetsItsEndLater": ("base.cancellation.03",),
        "CancelledWriteIsHalf": (
            "base.cancellation.02",
            "base.concurrency.08",
        ),
        "PickledRecords": (
            "base.roundtrip.15",
            "base.roundtrip.16",
        ),
        "StaleVersionAccepted": (
            "leased.cas.05",
            "leased.idempotence.14",
        ),
        "LastWriterWins": (
            "leased.cas.05",
            "leased.idempotence.13",
        ),
        "StepApart": (
            "backend.faults.19",
            "leased.cancellation.02",
        ),
        "StepIsForgotten": (
            "leased.idempotence.03",
            "leased.idempotence.08",
            "leased.idempotence.09",
        ),
        "VersionStands": (
            "leased.cas.01",
            "leased.idempotence.15",
        ),
        "CommitIsNotStored": (
            "backend.absent.01",
            "backend.absent.02",
            "backend.faults.01",
            "network.faults.12",
        ),
        "RepeatIsAConflict": (
            "backend.faults.17",
            "leased.cancellation.02",
        ),
        "RepeatIsDoubled": (
            "leased.cancellation.02",
            "leased.idempotence.15",
        ),
        "EventKeyNotUnique": (
            "leased.idempotence.04",
            "leased.idempotence.05",
        ),
        "KeyOfTheIdAlone": (
            "leased.idempotence.01",
            "leased.idempotence.06",
        ),
        "ConsumedIsRunAgain": (
            "leased.idempotence.03",
            "leased.idempotence.08",
        ),
        "ReplayTakesTheLease": (
            "leased.idempotence.05",
            "leased.idempotence.06",
        ),
        "ReplayNeedsTheLease": (
            "backend.faults.19",
            "backend.faults.21",
        ),
        "EventsOfAReplayForgotten": (
            "leased.idempotence.04",
            "leased.idempotence.08",
        ),
        "JournalOfTheProcess": (
            "backend.faults.19",
            "leased.idempotence.08",
        ),
        "DeletedComesBack": ("query.retention.08",),
        "EmptyIsAbsent": (
            "base.absent.03",
            "leased.absent.01",
        ),
        "LockedIsAbsent": (
            "base.absent.04",
            "base.concurrency.05",
            "base.concurrency.16",
            "leased.cas.07",
        ),
        "RecordsMerged": ("base.roundtrip.11",),
        "TornWrite": (
            "backend.cas.01",
            "backend.faults.15",
        ),
        "WriteBehind": (
            "backend.absent.01",
            "backend.faults.01",
            "base.cancellation.01",
        ),
        "ReadsFromACache": (
            "base.concurrency.09",
            "base.lease.09",
        ),
        "LateAnswerIsTheNext": ("network.faults.03",),
        "WriteFaultIsSwallowed": (
            "backend.faults.16",
            "backend.faults.17",
            "network.faults.05",
        ),
        "Impatient": ("network.faults.11",),
        "GivesUpForGood": (
            "network.faults.02",
            "network.faults.05",
        ),
        "HoldsAreNotTold": ("leased.telemetry.01",),
        "DenialsAreErrors": ("leased.telemetry.02",),
        "LostLeasesAreConflicts": ("leased.telemetry.03",),
        "SizesInKibibytes": ("leased.telemetry.04",),
        "InstancesAreLabels": ("leased.telemetry.05",),
        "RecordsInSpans": ("leased.telemetry.06",),
    }
)
