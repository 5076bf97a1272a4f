"""Wrong rules about rights: tokens that are alike, holders that are late, and what deletion and force leave of them."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from pyarvo.memory.decide import (
    Acquire,
    Commit,
    Delete,
    ForceRelease,
    Op,
    Outcome,
    Release,
    Released,
    Renew,
    Row,
    decide,
    is_held,
)
from pyarvo.testing.mutants.mutant import rule
from pyarvo.testing.mutants.stores import Swap

__all__: list[str] = []

_RIGHT: Final = "return token == owner and ends ~= 0"


@rule(
    Swap("row", _RIGHT, "return string.sub(token, 1, 8) == string.sub(owner, 1, 8) and ends ~= 0"),
    Swap(
        "release", "if token ~= ARGV[2] then", "if string.sub(token, 1, 8) ~= string.sub(ARGV[2], 1, 8) then"
    ),
)
def token_is_known_by_its_beginning(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Compares the first eight characters of a token."""
    if isinstance(op, Commit | Renew | Release) and row.token[:8] == op.token[:8]:
        op = replace(op, token=row.token)
    return decide(row, op, now)


@rule(
    Swap("row", _RIGHT, "return string.lower(token) == string.lower(owner) and ends ~= 0"),
    Swap("release", "if token ~= ARGV[2] then", "if string.lower(token) ~= string.lower(ARGV[2]) then"),
)
def tokens_are_folded(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Makes no difference between upper and lower case in a token, as many collations."""
    if isinstance(op, Commit | Renew | Release) and row.token.lower() == op.token.lower():
        op = replace(op, token=row.token)
    return decide(row, op, now)


@rule(Swap("row", _RIGHT, "return ends ~= 0 and (token == owner or not held())"))
def lapsed_lease_is_anybodys(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Asks for the token only while the lease runs: a former holder writes once its successor's ran out too."""
    if isinstance(op, Commit | Renew) and row.until and not is_held(row, now):
        op = replace(op, token=row.token)
    return decide(row, op, now)


@rule(Swap("release", "if token ~= ARGV[2] then", "if token ~= ARGV[2] and (ends == 0 or held()) then"))
def lapsed_lease_is_given_up_by_anybody(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Ends the rights of a successor whose lease ran out when a former holder releases."""
    if isinstance(op, Release) and row.until and not is_held(row, now):
        op = replace(op, token=row.token)
    return decide(row, op, now)


@rule(
    Swap(
        "release",
        "redis.call('HSET', KEYS[1], 'until', '0')",
        "if held() then redis.call('HSET', KEYS[1], 'until', '0') end",
    )
)
def late_release_leaves_the_rights(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Takes a lease that ran out for one that is over: its holder may still commit after its release."""
    after, outcome = decide(row, op, now)
    return (row, outcome) if isinstance(op, Release) and not is_held(row, now) else (after, outcome)


@rule(
    Swap(
        "commit",
        "'version', made, 'until', release and '0' or whole(ends),",
        "'version', made, 'until', release and held() and '0' or whole(ends),",
    )
)
def late_commit_leaves_the_rights(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Ends with a commit only a lease that runs: who came late may commit once more."""
    after, outcome = decide(row, op, now)
    if isinstance(op, Commit) and after is not row and not is_held(row, now):
        return replace(after, until=row.until), outcome
    return after, outcome


@rule(Swap("delete", "'fence', whole(fence + 1), 'token', ''", "'fence', whole(fence), 'token', ''"))
def delete_leaves_the_fence(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Does not raise the fence when an instance is deleted: the holder of the last lease has the latest one."""
    after, outcome = decide(row, op, now)
    if isinstance(op, Delete) and after is not row:
        return replace(after, fence=row.fence), outcome
    return after, outcome


@rule(
    Swap("commit", "redis.call('HDEL', KEYS[1], 'deleted')", "redis.call('HGET', KEYS[1], 'deleted')"),
    sql=Swap("save_commit", "until = ?, deleted_at = NULL,", "until = ?,"),
)
def created_anew_stays_deleted(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Takes an instance that was created anew for a deleted one."""
    after, outcome = decide(row, op, now)
    if isinstance(op, Commit) and after is not row:
        return replace(after, deleted_at=row.deleted_at), outcome
    return after, outcome


@rule(
    Swap("delete", "if leased and ARGV[2] ~= '1' then", "if leased and ARGV[2] ~= '1' and version > 0 then")
)
def unwritten_is_deleted_at_once(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Deletes an instance without a record although somebody is about to write the first."""
    if isinstance(op, Delete) and row.version == 0:
        op = replace(op, force=True)
    return decide(row, op, now)


@rule(Swap("force_release", "if ends == 0 or fence == 0 then", "if ends == 0 or not held() then"))
def force_release_of_the_late_does_nothing(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Releases by force only a lease that runs: a holder that is late keeps its rights."""
    if isinstance(op, ForceRelease) and not is_held(row, now):
        return row, Released(ours=False)
    return decide(row, op, now)


@rule(Swap("acquire", "'token', owner, 'holder', ARGV[4],", "'token', owner, 'note', '', 'holder', ARGV[4],"))
def next_holder_wipes_the_note(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Forgets why a lease was released by force as soon as somebody takes the next."""
    after, outcome = decide(row, op, now)
    if isinstance(op, Acquire) and after is not row:
        return replace(after, note=""), outcome
    return after, outcome


@rule(
    Swap(
        "commit",
        "'version', made, 'until', release and '0' or whole(ends),",
        "'version', made, 'until', release and '0' or whole(ends + 30000000),",
    )
)
def commit_prolongs(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Gives a holder half a minute more with every write."""
    after, outcome = decide(row, op, now)
    if isinstance(op, Commit) and after is not row and after.until:
        return replace(after, until=row.until + 30.0), outcome
    return after, outcome


@rule()
def plain_repeat_is_forgotten_by_a_successor(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Recognises a repeated commit that has no step only until somebody else takes the lease."""
    if isinstance(op, Commit) and op.event_key is None and row.token != op.token:
        row = replace(row, written=None)
    return decide(row, op, now)
