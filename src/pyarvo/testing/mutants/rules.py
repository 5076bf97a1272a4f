"""Wrong rules in place of `decide`, and single changed lines of SQL and Lua."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from pyarvo.memory.decide import (
    Acquire,
    Acquired,
    Commit,
    Committed,
    Conflict,
    Consumed,
    Delete,
    Deleted,
    ForceRelease,
    Lost,
    Op,
    Outcome,
    Release,
    Renew,
    Renewed,
    Row,
    decide,
    is_held,
)
from pyarvo.testing.mutants.mutant import changed, rule
from pyarvo.testing.mutants.stores import Swap

__all__: list[str] = []

_RIGHT: Final = "return token == owner and ends ~= 0"
_HELD: Final = "return granted <= now and now < ends"


@rule(Swap("row", _RIGHT, "return ends ~= 0"))
def any_token_will_do(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Lets every token commit and renew while there is a lease, whoever holds it."""
    if isinstance(op, Commit | Renew) and row.until:
        op = replace(op, token=row.token)
    return decide(row, op, now)


@rule(Swap("row", _HELD, "return ends ~= 0"))
def leases_never_end(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Ignores the TTL: a lease ends only when its holder gives it up."""
    if row.until:
        now = min(now, row.until - 1e-6)
    return decide(row, op, now)


@rule(
    Swap("acquire", "'fence', whole(fence + 1)", "'fence', whole(math.max(fence, 1))"),
    Swap(
        "acquire",
        "if version == 0 then\n    redis.call('PEXPIRE'",
        "fence = math.max(fence, 1) - 1\nif version == 0 then\n    redis.call('PEXPIRE'",
    ),
)
def fence_is_not_raised(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Gives every lease of an instance the same fence."""
    after, outcome = decide(row, op, now)
    if isinstance(outcome, Acquired) and after is not row:
        fence = max(row.fence, 1)
        return replace(after, fence=fence), replace(outcome, fence=fence)
    return after, outcome


@rule(Swap("delete", "'fence', whole(fence + 1)", "'fence', 0"))
def fence_starts_anew(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Begins to count fences from one again when an instance was deleted."""
    after, outcome = decide(row, op, now)
    return (
        (replace(after, fence=0), outcome)
        if isinstance(op, Delete) and after is not row
        else (after, outcome)
    )


@rule(Swap("renew", "later = math.max(ends, later)", "later = now + ARGV[3]"))
def renewal_shortens(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Ends a renewed lease at the new TTL, also where it ran longer."""
    after, outcome = decide(row, op, now)
    if isinstance(op, Renew) and isinstance(outcome, Renewed):
        until = now + op.ttl_s
        return replace(after, until=until), Renewed(until)
    return after, outcome


@rule(Swap("acquire", "if not entry and token ~= owner and held() then", "if false then"))
def lock_takes_away(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Takes the lease from whoever holds it."""
    if isinstance(op, Acquire) and row.consumed is None:
        row = replace(row, until=0.0)
    return decide(row, op, now)


@rule(
    Swap(
        "acquire",
        "if not entry and token ~= owner and held() then",
        "if not entry and token ~= owner and held()"
        " and redis.call('HGET', KEYS[1], 'holder') ~= ARGV[4] then",
    ),
)
def locks_are_reentrant(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Grants the lease again to everybody in the process that holds it."""
    if isinstance(op, Acquire) and row.holder == op.holder and row.consumed is None:
        row = replace(row, until=0.0)
    return decide(row, op, now)


@rule(Swap("release", "if token ~= ARGV[2] then", "if false then"))
def release_ends_any_lease(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Ends the successor's lease when a former holder releases."""
    return decide(row, replace(op, token=row.token) if isinstance(op, Release) else op, now)


@rule(Swap("commit", "if version ~= expected then", "if false then"))
def version_is_not_checked(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Writes over any version, as long as the lease is held."""
    after, outcome = decide(row, op, now)
    if isinstance(op, Commit) and isinstance(outcome, Conflict):
        return decide(replace(row, written=None), replace(op, expected=row.version), now)
    return after, outcome


@rule(
    Swap(
        "commit",
        "local made = whole(expected + 1)",
        "if version == 0 then expected = 0 end\nlocal made = whole(expected + 1)",
    ),
)
def absent_is_any_version(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Creates the record where there is none, whatever version the caller stands on."""
    if isinstance(op, Commit) and row.version == 0:
        op = replace(op, expected=0)
    return decide(row, op, now)


@rule(
    Swap(
        "commit",
        "local mine = made .. ':' .. owner .. ':' .. ARGV[4] .. ':'",
        "local mine = made .. ':' .. owner .. ':'",
    ),
)
def repeat_is_known_by_its_token(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Takes another write of the same lease for a repeat of the last, and drops it."""
    if isinstance(op, Commit) and row.written is not None and row.written.token == op.token:
        op = replace(op, digest=row.written.digest)
    return decide(row, op, now)


@rule(
    Swap(
        "commit",
        "if entry and string.sub(entry, 1, #mine) == mine then",
        "if entry and token == owner and string.sub(entry, 1, #mine) == mine then",
    ),
)
def repeat_is_forgotten_by_a_successor(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Recognises a repeated commit only until somebody else takes the lease."""
    if isinstance(op, Commit) and row.token != op.token:
        row = replace(row, written=None)
    return decide(row, op, now)


@rule(
    Swap(
        "acquire",
        "if token == owner then\n    if ends == 0 then",
        "if token == owner then\n    if true then",
    ),
)
def own_acquire_is_denied(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Denies an acquire that is sent again because its answer was lost: nobody has the lease then."""
    if isinstance(op, Acquire) and row.token == op.token and row.consumed is None:
        row = replace(row, until=0.0)
    return decide(row, op, now)


@rule(Swap("commit", "if event and entry then", "if false then"))
def event_is_consumed_twice(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Does not look, when it writes a step, whether the event has one already."""
    after, outcome = decide(row, op, now)
    if isinstance(op, Commit) and isinstance(outcome, Consumed):
        return decide(replace(row, consumed=None), replace(op, event_key=None, produced=None), now)
    return after, outcome


@rule(
    Swap(
        "delete",
        "'token', '', 'holder', '', 'granted', 0,\n    'until', 0,",
        "'holder', '', 'granted', 0,",
    ),
    sql=Swap(
        "bury", "token = '', holder = '', granted_at = 0.0, until = 0.0,", "holder = '', granted_at = 0.0,"
    ),
)
def delete_leaves_the_rights(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Leaves the token in place when an instance is deleted by force: its late commit brings it back."""
    after, outcome = decide(row, op, now)
    if isinstance(op, Delete) and after is not row:
        return replace(after, token=row.token, until=row.until), outcome
    return after, outcome


@rule(Swap("delete", "if leased and ARGV[2] ~= '1' then", "if false then"))
def delete_is_never_refused(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Deletes an instance while somebody works on it."""
    return decide(row, replace(op, force=True) if isinstance(op, Delete) else op, now)


@rule(
    Swap(
        "force_release",
        "'fence', whole(fence + 1), 'token', '', 'holder', '', 'until', 0,",
        "'holder', '',",
    ),
)
def force_release_leaves_the_rights(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Says that the lease was taken away, and lets its holder commit."""
    after, outcome = decide(row, op, now)
    if isinstance(op, ForceRelease) and after is not row:
        return replace(row, note=op.reason), outcome
    return after, outcome


@rule(
    Swap(
        "commit",
        "'version', made, 'until', release and '0' or whole(ends),",
        "'version', made, 'until', whole(ends),",
    ),
)
def commit_keeps_the_lease(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Writes the record and forgets to end the lease."""
    after, outcome = decide(row, op, now)
    if isinstance(op, Commit) and isinstance(outcome, Committed) and after is not row:
        return replace(after, until=row.until), outcome
    return after, outcome


@rule()
def late_holder_is_refused(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Refuses a commit whose lease is over although nobody took it."""
    if isinstance(op, Commit) and row.token == op.token and not is_held(row, now):
        return row, Lost()
    return decide(row, op, now)


@rule(Swap("delete", "if version == 0 and ends == 0 then", "if version == 0 and not leased then"))
def delete_of_the_unwritten_does_nothing(row: Row, op: Op, now: float) -> tuple[Row, Outcome]:
    """Leaves the rights of a late holder whose instance was deleted before it was ever written; it was a fault of ours."""
    if isinstance(op, Delete) and row.version == 0 and not is_held(row, now):
        return row, Deleted(existed=False)
    return decide(row, op, now)


# --- SQL --------------------------------------------------------------------------------------------------------

changed(
    "first_record_stays",
    "Keeps the first record of an instance and drops every later one.",
    sql=Swap("save_record", "DO UPDATE SET data = excluded.data", "DO NOTHING"),
)
changed(
    "step_of_another_instance",
    "Takes an event that another instance consumed for consumed.",
    sql=Swap("load_record", "ON s.serial = i.serial AND s.event_key = ?", "ON s.event_key = ?"),
)
changed(
    "step_of_another_is_written",
    "Refuses a step because another instance consumed the event.",
    sql=Swap("load", "ON s.serial = i.serial AND s.event_key = ?", "ON s.event_key = ?"),
)
changed(
    "old_steps_are_dropped",
    "Forgets with an old step's events that the event was consumed.",
    sql=Swap("drop_body", "UPDATE step SET produced = NULL", "DELETE FROM step"),
    lua=Swap(
        "commit",
        "redis.call('HDEL', KEYS[3], 'b' .. whole(old), 'v' .. whole(old))",
        "for _, each in ipairs(redis.call('HKEYS', KEYS[3])) do\n"
        "        if string.sub(each, 1, 1) == 'e' and tonumber(string.match(redis.call('HGET', KEYS[3], each), '^%d*'))"
        " <= old then\n            redis.call('HDEL', KEYS[3], each)\n        end\n    end",
    ),
)
changed(
    "events_of_a_step_are_lost",
    "Keeps which event was consumed and not what it produced.",
    sql=Swap("add_step", "VALUES (?, ?, ?, ?, ?, ?, ?)", "VALUES (?, ?, ?, ?, ?, substr(?, 1, 0), ?)"),
    lua=Swap("commit", "'b' .. made, ARGV[11])", "'b' .. made, '[]')"),
)
changed(
    "children_of_everybody",
    "Shows the children of others too.",
    sql=Swap(
        "find_children", "WHERE parent = :parent\n", "WHERE (:parent IS NOT NULL AND parent IS NOT NULL)\n"
    ),
)
changed(
    "oldest_first",
    "Lists the oldest instances first.",
    sql=Swap("find", "ORDER BY serial DESC", "ORDER BY serial"),
)
changed(
    "labels_are_not_stored",
    "Keeps no status, so that no list finds an instance by it.",
    sql=Swap("save_commit", "status = ?", "status = iif(? IS NULL, NULL, NULL)"),
)
changed(
    "tombstone_keeps_the_record",
    "Leaves the record of a deleted instance in the store.",
    sql=Swap("delete_record", "WHERE serial = ?", "WHERE serial = -?"),
)

# --- Lua --------------------------------------------------------------------------------------------------------

changed(
    "lease_key_expires",
    "Lets the lease expire as a key does: token and fence of an unwritten instance are gone with it.",
    lua=Swap(
        "acquire",
        "redis.call('PEXPIRE', KEYS[1], ARGV[5])",
        "redis.call('PEXPIRE', KEYS[1], whole(ARGV[3] / 1000))",
    ),
)
changed(
    "consumed_event_takes_the_lease",
    "Takes the lease for an event that it answers from the journal.",
    lua=Swap(
        "acquire",
        "if entry then\n",
        "if entry then\n    redis.call('HSET', KEYS[1], 'token', owner, 'granted', whole(now), 'until', whole(now + ARGV[3]))\n",
    ),
)
changed(
    "journal_outlives_delete",
    "Answers a recreated instance with the steps of the deleted one.",
    lua=Swap(
        "delete", "redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])", "redis.call('UNLINK', KEYS[2], KEYS[4])"
    ),
)
