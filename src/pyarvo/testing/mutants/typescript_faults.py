"""Every fault that is known of the TypeScript memories: the clause that finds it, or why the kit cannot express it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FAULTS", "KnownFault"]


@dataclass(frozen=True, slots=True)
class KnownFault:
    """
    One fault.

    Attributes:
        memory: Class in `typescript.py` that has it.

        fault: In words.

        clause: Id of the clause that finds it; "" where none can.

        says: What that clause then says; or why none can find it.
    """

    memory: str
    fault: str
    clause: str
    says: str


_S, _C, _P = "TypeScriptSimple", "TypeScriptConcurrent", "TypeScriptPostgres"
_OPERATIONS = "no verb shows it: "

FAULTS: tuple[KnownFault, ...] = (
    KnownFault(
        _S, "a lock has no TTL", "base.lease.03", "lock once the TTL of the last lease is over: False"
    ),
    KnownFault(
        _S, "unlock asks for no owner", "base.ownership.01", "unlock by somebody who holds nothing: True"
    ),
    KnownFault(
        _S, "a write is tied to no lock", "base.ownership.03", "a write without a lease was not refused"
    ),
    KnownFault(_S, "a write is tied to no version or owner", "base.ownership.04", "was not refused"),
    KnownFault(_S, "the copy on write is shallow", "base.roundtrip.12", "after the writer changed its dict"),
    KnownFault(_S, "read returns the live object", "base.roundtrip.13", "after a reader changed what it got"),
    KnownFault(_S, "what JSON cannot hold is kept as it is", "base.roundtrip.16", "was not refused"),
    KnownFault(
        _C,
        "M1: unlock asks for no owner; a late one frees the successor's lock",
        "base.ownership.02",
        "True, not False",
    ),
    KnownFault(
        _C,
        "M2: no fence and no version; a stale holder writes over newer state",
        "base.ownership.08",
        "was not refused",
    ),
    KnownFault(
        _C,
        "M3: cleanup deletes the mutex under its holder: two holders",
        "",
        "the four verbs have no cleanup; `delete_is_never_refused` is the same fault of a memory that has delete",
    ),
    KnownFault(
        _C,
        "M4: the TTL goes by the wall clock",
        "",
        "the kit cannot set the clock of the machine; tests/conformance does so with clocks that tests turn (C4)",
    ),
    KnownFault(
        _C,
        "M5: lock returns a promise that is not awaited, so that its catch never fires",
        "",
        "a slip of the language without effect on any answer",
    ),
    KnownFault(_C, "M6: the map of locks never shrinks", "", _OPERATIONS + "it costs memory over weeks"),
    KnownFault(
        _C,
        "M7: no fairness",
        "",
        "who waits longest is not promised; `base.concurrency.13` asks only that everybody gets a turn",
    ),
    KnownFault(
        _C,
        "M8: retries stop after 475 ms, then the event fails",
        "",
        "it is what the contract asks of lock: a short bounded wait; the handler decides what becomes of the event",
    ),
    KnownFault(_C, "M9: a test of it ignores the answer of lock", "", "a fault of a test, not of the memory"),
    KnownFault(
        _P,
        "W1: the lock has no owner, unlock is an unconditional DELETE",
        "base.ownership.02",
        "True, not False",
    ),
    KnownFault(
        _P, "W2: no fence: a former holder's write is applied", "base.ownership.06", "was not refused"
    ),
    KnownFault(
        _P,
        "W3: no renewal: a handler that takes longer than the TTL runs unprotected",
        "",
        "the four verbs have no renewal; the level `leased` is not offered, and the report says so",
    ),
    KnownFault(
        _P,
        "W4: a record is written as an INSERT over an existing row",
        "base.lease.09",
        "duplicate key value violates unique constraint",
    ),
    KnownFault(
        _P, "W5: ids are VARCHAR(255)", "base.keys.05", "value too long for type character varying(255)"
    ),
    KnownFault(
        _P,
        "W6: TIMESTAMP without a time zone: clients of other time zones disagree about a lock",
        "",
        "a session's time zone is no option of a memory; the contract asks for the store's clock (C4)",
    ),
    KnownFault(_P, "W7: a lock that waits keeps its pooled connection", "base.waiting.01", "sixteen locks"),
    KnownFault(
        _P,
        "W8: an error of an idle connection ends the process",
        "",
        "it needs a server that is killed; tests/integration does so on our backends",
    ),
    KnownFault(
        _P,
        "W9: a stored error serialises to {}",
        "",
        "a fault of the handlers, which hand the memory an object; ours refuses one (`base.roundtrip.16`)",
    ),
    KnownFault(
        _P,
        "W10: the version rides in the user's record",
        "base.roundtrip.01",
        "__postgres_version_counter_data_$$__",
    ),
    KnownFault(
        _P,
        "W11: cleanup takes the caller's live lock and leaves no tombstone",
        "",
        "the four verbs have no cleanup; `NoTombstone` and `DeletesLeased` are the same faults of one with delete",
    ),
    KnownFault(_P, "W12: rows of expired locks stay", "", _OPERATIONS + "it costs room on disk"),
    KnownFault(
        _P,
        "W13: tables of one name in other schemas are mistaken for its own",
        "",
        "a matter of migrations, which no verb shows",
    ),
    KnownFault(
        _P,
        "W14: user and password are not escaped in the URL of a migration",
        "",
        "a matter of URLs; tests/integration holds ours",
    ),
    KnownFault(
        _P,
        "W15: read is not retried",
        "",
        "faults go between memory and store at the level `backend` only: `backend.faults.01`, by `ReadIsNotRetried`;"
        " a memory of four verbs shows them behind the TCP proxy of `pyarvo.testing.faults`",
    ),
    KnownFault(_P, "W16: JSONB refuses a NUL", "base.roundtrip.04", "unsupported Unicode escape sequence"),
    KnownFault(
        _P, "W17: the README names an option that the code does not have", "", "a fault of its documentation"
    ),
    KnownFault(
        _P,
        "W18: a holder that crashed blocks its instance for the whole TTL",
        "",
        "it is what a lease is; the contract asks for an end (`base.lease.03`), not for an early one",
    ),
)
"""In the order of their names; M of the concurrent memory, W of the PostgreSQL memory."""
