"""
The breaks: for every clause one line of the source that, changed as written here, turns its tests red.
"""

from __future__ import annotations
import __future__

import importlib
import inspect
import sys
import textwrap
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any, cast

import pytest

from .place import KINDS

__all__ = ["BREAKS", "Break"]


@dataclass(frozen=True)
class Break:
    """
    One changed line.

    Attributes:
        where: `module:function` inside `pyarvo.memory`, or `sqlite/queries.sql:name`.

        line: Text that stands there once.

        broken: What it becomes.

        red: Names of the tests that fail by it.

        kinds: The backends that it breaks.
    """

    where: str
    line: str
    broken: str
    red: tuple[str, ...]
    kinds: tuple[str, ...] = KINDS

    def apply(self, patch: pytest.MonkeyPatch) -> None:
        """Break the source, until *patch* is undone."""
        place, _, name = self.where.partition(":")
        if place.endswith(".sql"):
            store = importlib.import_module("pyarvo.memory.sqlite.store")
            statements: dict[str, str] = dict(store._SQL)
            statements[name] = self._changed(statements[name])
            patch.setattr(store, "_SQL", statements)
            return
        module = importlib.import_module(f"pyarvo.memory.{place}")
        owner: Any = module
        *path, last = name.split(".")
        for part in path:
            owner = getattr(owner, part)
        intact = getattr(owner, last)
        broken = self._compiled(intact, module, last)
        patch.setattr(owner, last, broken)
        if not path:
            _replace_everywhere(intact, broken, patch)

    def _compiled(self, intact: Any, module: ModuleType, name: str) -> FunctionType:
        source = self._changed(textwrap.dedent(inspect.getsource(intact)))
        code = compile(source, f"<{self.where}, broken>", "exec", __future__.annotations.compiler_flag)
        found: dict[str, Any] = {}
        exec(code, vars(module), found)
        return found[name]

    def _changed(self, text: str) -> str:
        assert text.count(self.line) == 1, f"{self.where} holds {text.count(self.line)} times: {self.line}"
        return text.replace(self.line, self.broken)


def _replace_everywhere(intact: Any, broken: Any, patch: pytest.MonkeyPatch) -> None:
    """Where else a function is known: by import, and in the table of rules."""
    for name, module in list(sys.modules.items()):
        if not name.startswith("pyarvo.memory"):
            continue
        for key, value in list(vars(module).items()):
            if value is intact:
                patch.setattr(module, key, broken)
            elif key == "_RULES" and name == "pyarvo.memory.decide":
                rules = cast("dict[type, Any]", value)
                for op in [op for op, rule in rules.items() if rule is intact]:
                    patch.setitem(rules, op, broken)


MEMORY, SQLITE = ("memory",), ("sqlite",)

BREAKS: tuple[Break, ...] = (
    # --- the four verbs ---
    Break(
        "leased:LeasedMemory.read",
        "return None if found.data is None",
        'return None if found.data in (None, b"{}")',
        ("test_v1_read_is_none_only_where_no_record_is",),
    ),
    Break(
        "decide:_read",
        "Found(row.version, row.data)",
        "Found(row.version, None if row.until else row.data)",
        ("test_v1_read_needs_no_lease_and_takes_none",),
        MEMORY,
    ),
    Break(
        "sqlite.store:Store.read",
        "Found(row.version, row.data)",
        "Found(row.version, None if row.until else row.data)",
        ("test_v1_read_needs_no_lease_and_takes_none",),
        SQLITE,
    ),
    Break(
        "retry:retried",
        "if n == ATTEMPTS - 1 or",
        "if n == 0 or",
        (
            "test_v1_transient_faults_are_read_again_up_to_three_times",
            "test_v1_a_store_that_stays_away_is_unavailable",
        ),
    ),
    Break(
        "leased:LeasedMemory.read",
        'self._ask(op, ATTEMPT_S, "read")',
        'self._ask(op, 2 * ATTEMPT_S, "read")',
        ("test_v1_a_store_that_does_not_answer_is_unavailable_within_a_second",),
    ),
    Break(
        "retry:retried",
        "and not fault.transient)",
        "and False)",
        ("test_v1_permanent_faults_are_raised_at_once",),
    ),
    Break(
        "leased:LeasedMemory.read",
        "if found.data is None else",
        'if found.data is None or found.data[:1] != b"{" else',
        ("test_v1_bytes_that_do_not_decode_are_corrupt_and_never_absent",),
    ),
    Break(
        "leased:LeasedMemory.write",
        'raise LeaseLost("this caller holds no lease; `lock` it first", id=id, operation="write")',
        "return",
        ("test_v2_a_write_stands_on_a_lease",),
    ),
    Break(
        "decide:_acquire",
        "if is_held(row, now):",
        "if False:",
        (
            "test_v2_a_write_is_refused_while_somebody_else_holds_the_lease",
            "test_v3_lock_is_true_for_one_and_false_for_the_others",
            "test_c8_of_many_racers_to_create_exactly_one_wins",
        ),
    ),
    Break(
        "decide:_acquire",
        "if is_held(row, now):",
        "if is_held(row, now) and row.holder != op.holder:",
        ("test_v3_lock_is_not_reentrant",),
    ),
    Break(
        "decide:_has_right",
        "return row.token == token and row.until != 0.0",
        "return True",
        (
            "test_v2_a_write_is_refused_once_another_has_held_the_lease",
            "test_c1_a_stale_holder_is_refused_after_its_successor_has_gone",
        ),
    ),
    Break(
        "leased:LeasedMemory._commit",
        "lease.version = outcome.version",
        "lease.version += 0",
        ("test_v2_the_same_lease_writes_many_times",),
    ),
    Break(
        "leased:LeasedMemory._commit",
        "await self._ask(op, self._options.deadline_s, operation)",
        "await retried(lambda: self._ask(op, self._options.deadline_s, operation))",
        ("test_v2_a_write_is_one_attempt_and_says_not_applied_or_unknown",),
    ),
    Break(
        "access:StoreAccess._call",
        "if call.sent:",
        "if not call.sent:",
        ("test_v2_a_write_without_an_answer_is_unknown_at_the_deadline",),
    ),
    Break(
        "leased:LeasedMemory._acquire",
        "backoff_s(n - 1, _LOCK_WAIT_S)",
        "backoff_s(n - 1, 0.5)",
        ("test_v3_lock_asks_three_times_within_half_a_second",),
    ),
    Break(
        "leased:LeasedMemory._acquire",
        "if not faults:",
        "if True:",
        ("test_v3_a_store_fault_is_raised_and_is_not_a_denial",),
    ),
    Break(
        "leased:LeasedMemory._acquire",
        "until = sent_at + self._options.deadline_s",
        "until = sent_at + 3 * self._options.deadline_s",
        ("test_v3_an_acquire_takes_no_longer_than_the_deadline",),
    ),
    Break(
        "decide:is_held",
        "return row.granted_at <= now < row.until",
        "return row.until != 0.0",
        ("test_v3_every_lease_ends_by_itself_after_thirty_seconds",),
    ),
    Break(
        "options:check_ttl",
        " or not MIN_TTL_S <= ttl_s <= MAX_TTL_S",
        "",
        ("test_v3_a_ttl_out_of_bounds_is_refused",),
    ),
    Break(
        "leased:LeasedMemory.acquire",
        "ttl = self._options.lease_ttl_s if ttl_s is None else check_ttl(ttl_s)",
        "ttl = self._options.lease_ttl_s",
        ("test_v3_the_ttl_may_be_one_second_to_one_hour",),
    ),
    Break(
        "decide:_release",
        "(row if row.until == 0.0 else replace(row, until=0.0))",
        "row",
        ("test_v4_unlock_ends_the_lease",),
    ),
    Break(
        "decide:_release",
        "if row.token != op.token:",
        "if False:",
        (
            "test_v4_unlock_by_a_former_owner_is_false_and_harmless",
            "test_c6_release_by_a_former_owner_leaves_the_successor_whole",
        ),
    ),
    Break(
        "leased:LeasedMemory.unlock",
        "return False",
        "return True",
        ("test_v4_unlock_without_a_lock_is_false",),
    ),
    Break(
        "access:StoreAccess._release_quietly",
        "except MemoryFault as fault:",
        "except MemoryClosed as fault:",
        (
            "test_v4_unlock_never_raises_for_a_store_fault",
            "test_l9_release_never_raises_for_a_store_fault",
        ),
    ),
    Break(
        "access:StoreAccess._release_quietly",
        "await retried(lambda: self._ask(op, ATTEMPT_S, operation))",
        "await self._ask(op, ATTEMPT_S, operation)",
        ("test_v4_unlock_whose_answer_was_lost_asks_again",),
    ),
    Break(
        "leased:LeasedMemory._release",
        "await asyncio.shield(self._keep(releasing))",
        "await releasing",
        ("test_v4_a_cancelled_unlock_still_unlocks",),
        SQLITE,
    ),
    Break(
        "leased:LeasedMemory._lock",
        "self._callers.fill(cell, lease)",
        "self._callers.fill(self._callers.open(id), lease)  # in the coroutine's own context",
        (
            "test_v5_a_lock_is_found_again_under_wait_for",
            "test_v5_a_lock_is_found_again_under_gather",
            "test_v5_a_lock_is_found_again_under_create_task",
            "test_v5_a_lock_taken_from_another_thread_is_found_there",
        ),
    ),
    Break(
        "callers:Callers.find",
        "return grants[0] if len(grants) == 1 else None",
        "return None",
        ("test_v5_a_caller_without_a_cell_acts_for_the_only_grant",),
    ),
    Break(
        "callers:Callers.find",
        "return grants[0] if len(grants) == 1 else None",
        "return grants[-1] if grants else None",
        ("test_v5_a_caller_without_a_cell_is_refused_where_two_grants_are_open",),
    ),
    Break(
        "callers:Callers.find",
        "if mine is not None:",
        "if mine is not None and any(cell.lease for cell in mine):",
        (
            "test_v5_a_denied_caller_does_not_act_for_the_holder",
            "test_v5_a_caller_that_unlocked_does_not_act_for_the_next_holder",
        ),
    ),
    Break(
        "callers:Callers.__init__",
        "self._serial = next(_serials)",
        "self._serial = 0",
        ("test_v5_another_memory_object_has_no_part_in_the_lock",),
    ),
    Break(
        "codec:check_id",
        "_checked_id(id)",
        "pass",
        ("test_v6_a_bad_id_is_refused_by_every_verb_before_any_io",),
    ),
    Break(
        "codec:_decode_again",
        "if not faithful:",
        "if False:",
        (
            "test_v6_a_bad_record_is_refused_before_any_io_and_changes_nothing",
            "test_s7_what_json_cannot_hold_is_refused_with_its_path",
        ),
    ),
    Break(
        "leased:LeasedMemory.write",
        'self._encoded(id, data, None, "write")',
        "pass",
        ("test_v6_the_record_is_refused_also_where_no_lease_is",),
    ),
    # --- the handle ---
    Break(
        "decide:_commit",
        "until = 0.0 if op.release else row.until",
        "until = row.until",
        ("test_l1_acquire_locks_and_reads_and_commit_writes_and_unlocks",),
    ),
    Break(
        "leased:LeasedMemory._take",
        "self._new_token()",
        "self._options.holder",
        ("test_l2_a_token_is_128_random_bits_and_names_nobody",),
    ),
    Break(
        "decide:_acquire",
        "fence = row.fence + 1",
        "fence = row.fence or 1",
        ("test_l3_every_grant_raises_the_fence",),
    ),
    Break(
        "decide:_acquire",
        "if is_held(row, now):\n        return row, _DENIED",
        "if is_held(row, now):\n        return replace(row, fence=row.fence + 1), _DENIED",
        ("test_l4_a_denied_acquire_takes_nothing_and_raises_no_fence",),
    ),
    Break(
        "access:StoreAccess._decoded",
        "return decode_record(raw)",
        'return vars(self).setdefault("decoded", {}).setdefault(raw, decode_record(raw))',
        ("test_l5_data_is_a_copy_that_nobody_shares",),
    ),
    Break(
        "contract:Lease.extend",
        "self.until = max(self.until, sent_at + ttl_s)",
        "self.until = sent_at + ttl_s",
        ("test_l6_expires_in_s_counts_down_from_the_moment_of_sending",),
    ),
    Break(
        "decide:_commit",
        "version = row.version + 1",
        "version = row.version + 2",
        ("test_l7_commit_advances_the_version_by_exactly_one",),
    ),
    Break(
        "codec:encode_and_copy",
        "if len(raw) > limit:",
        "if False:",
        ("test_l8_a_refused_record_or_step_leaves_the_lease_and_the_store_alone",),
    ),
    Break(
        "access:StoreAccess._check_usable",
        "if self._closed:",
        "if False:",
        ("test_l10_a_closed_memory_refuses_every_call",),
        MEMORY,
    ),
    # --- C1 to C6 ---
    Break(
        "decide:_has_right",
        "return row.token == token and row.until != 0.0",
        "return row.until != 0.0",
        (
            "test_c1_a_stale_holder_with_the_right_version_is_refused",
            "test_c2_a_frozen_holder_loses_and_its_successor_sees_no_error",
            "test_c2_the_frozen_writer_of_the_four_verbs_loses_too",
        ),
    ),
    Break(
        "decide:_commit",
        "if row.version != op.expected:",
        "if False:",
        (
            "test_c1_another_version_than_the_one_read_is_a_conflict",
            "test_c1_of_many_commits_of_one_lease_at_once_exactly_one_succeeds",
        ),
    ),
    Break(
        "sqlite.backend:SqliteBackend._transaction",
        "outcomes: list[Outcome | MemoryFault] = [store.apply(op, now) for op in ops]",
        'outcomes = [store.apply(op, now) for op in ops]; connection.execute("ROLLBACK"); begin(connection, until)',
        ("test_c1_many_holders_in_a_row_lose_no_update",),
        SQLITE,
    ),
    Break(
        "decide:_commit",
        "del now",
        'row = row if is_held(row, now) else replace(row, token="")',
        ("test_c3_a_late_holder_whose_lease_nobody_took_may_commit",),
    ),
    Break(
        "decide:_renew",
        "if not _has_right(row, op.token):",
        "if not _has_right(row, op.token) or not is_held(row, now):",
        ("test_c3_a_late_holder_whose_lease_nobody_took_may_renew_under_the_same_fence",),
    ),
    Break(
        "decide:is_held",
        "now < row.until",
        "now <= row.until",
        ("test_c4_a_lease_is_over_at_its_end_and_not_before",),
    ),
    Break(
        "decide:is_held",
        "row.granted_at <= now < row.until",
        "now < row.until",
        ("test_c4_a_clock_set_back_cannot_hold_a_lease_for_ever",),
    ),
    Break(
        "decide:_renew",
        "now + op.ttl_s if now < row.granted_at else max(row.until, now + op.ttl_s)",
        "max(row.until, now + op.ttl_s)",
        ("test_c4_a_renewal_after_the_clock_was_set_back_counts_from_now",),
    ),
    Break(
        "decide:_renew",
        "granted_at=now, until=until",
        "until=until",
        ("test_c4_a_clock_set_back_below_a_renewal_cannot_hold_the_lease",),
    ),
    Break(
        "leased:LeasedMemory._commit",
        "if not lease.token:",
        "if lease.expires_in_s == 0.0:",
        ("test_c4_the_clients_clock_never_matters",),
    ),
    Break(
        "decide:_renew",
        "else max(row.until, now + op.ttl_s)",
        "else row.until",
        ("test_c5_renewal_extends_from_now",),
    ),
    Break(
        "decide:_renew",
        "else max(row.until, now + op.ttl_s)",
        "else now + op.ttl_s",
        ("test_c5_renewal_never_shortens",),
    ),
    Break(
        "leased:LeasedMemory.renew",
        'raise LeaseLost("released, or held by another since", id=lease.id, operation="renew")',
        "return",
        ("test_c5_renewing_a_lost_lease_raises",),
    ),
    Break(
        "decide:_has_right",
        " and row.until != 0.0",
        "",
        (
            "test_c6_release_ends_every_right_of_the_token",
            "test_c6_a_commit_that_releases_ends_every_right_of_the_token",
        ),
    ),
    Break(
        "decide:_commit",
        "until = 0.0 if op.release else row.until",
        "until = 0.0",
        ("test_c6_a_commit_that_keeps_the_lease_keeps_it",),
    ),
    # --- C7 to C9 ---
    Break(
        "sqlite.store:Store._bury",
        '("delete_record", "delete_steps", "delete_history")',
        '("delete_record", "delete_history")',
        ("test_c7_delete_removes_record_and_journal",),
        SQLITE,
    ),
    Break(
        "decide:_delete",
        "Row(fence=row.fence + 1, deleted_at=now)",
        "Row(fence=0, deleted_at=now)",
        ("test_c7_delete_raises_the_fence_and_leaves_a_tombstone",),
    ),
    Break(
        "decide:_delete",
        "Row(fence=row.fence + 1, deleted_at=now)",
        "Row(fence=row.fence + 1, token=row.token, until=row.until, deleted_at=now)",
        (
            "test_c7_a_late_commit_does_not_bring_a_deleted_instance_back",
            "test_c7_a_forced_delete_ends_the_holders_rights",
        ),
        MEMORY,
    ),
    Break(
        "sqlite/queries.sql:bury",
        "SET version = 0, fence = ?, token = '', holder = '', granted_at = 0.0, until = 0.0,",
        "SET version = 0, fence = ?, holder = '', granted_at = 0.0,",
        (
            "test_c7_a_late_commit_does_not_bring_a_deleted_instance_back",
            "test_c7_a_forced_delete_ends_the_holders_rights",
        ),
        SQLITE,
    ),
    Break(
        "decide:_commit",
        "if not _has_right(row, op.token):",
        "if row.deleted_at is None and not _has_right(row, op.token):",
        ("test_c7_a_repeat_of_a_commit_does_not_bring_a_deleted_instance_back",),
    ),
    Break(
        "decide:_delete",
        "if row.version == 0 and row.until == 0.0:",
        "if row.version == 0:",
        ("test_c7_delete_ends_the_rights_over_an_instance_that_was_never_written",),
    ),
    Break(
        "decide:_delete",
        "if is_held(row, now) and not op.force:",
        "if False:",
        ("test_c7_delete_is_refused_while_leased",),
    ),
    Break(
        "decide:_acquire",
        "if is_held(row, now):",
        "if row.deleted_at is not None or is_held(row, now):",
        ("test_c7_a_fresh_lease_may_create_the_instance_again",),
    ),
    Break(
        "sqlite/queries.sql:sweep",
        "AND NOT (granted_at <= :now AND :now < until)",
        "",
        ("test_c7_tombstones_and_never_written_rows_are_swept_when_old",),
        SQLITE,
    ),
    Break(
        "simple:SimpleBackend._sweep",
        " and not is_held(entry.row, now)",
        "",
        ("test_c7_tombstones_and_never_written_rows_are_swept_when_old",),
        MEMORY,
    ),
    Break(
        "decide:_commit",
        "if row.version != op.expected:",
        "if row.version != op.expected and row.version:",
        ("test_c8_absent_is_version_zero",),
    ),
    Break(
        "decide:_commit",
        "if written is not None and written.token == op.token and written.digest == op.digest:",
        "if False:",
        ("test_c9_a_commit_whose_answer_was_lost_recognises_itself",),
    ),
    Break(
        "decide:_commit",
        "written.token == op.token",
        "row.token == op.token",
        ("test_c9_a_repeat_recognises_itself_after_a_successor_has_come",),
    ),
    Break(
        "decide:_commit",
        " and written.digest == op.digest",
        "",
        (
            "test_c9_a_repeat_is_known_by_data_and_step_and_token",
            "test_c9_the_same_token_with_other_data_is_a_new_write",
        ),
    ),
    Break(
        "sqlite/queries.sql:drop_plain",
        " AND event_key IS NULL",
        "",
        ("test_c9_a_repeat_is_recognised_however_old_its_step_is",),
        SQLITE,
    ),
    Break(
        "simple:SimpleBackend._keep",
        "entry.by_key[old.event_key] = entry.by_version[old.version] = bare",
        "entry.by_key[old.event_key] = bare",
        ("test_c9_a_repeat_is_recognised_however_old_its_step_is",),
        MEMORY,
    ),
    Break(
        "decide:_acquire",
        "if row.token == op.token:",
        "if False:",
        ("test_c9_an_acquire_whose_answer_was_lost_is_granted_once",),
    ),
    Break(
        "leased:LeasedMemory.renew",
        'await retried(lambda: self._ask(op, self._options.deadline_s / ATTEMPTS, "renew"))',
        'await self._ask(op, self._options.deadline_s / ATTEMPTS, "renew")',
        ("test_c9_renew_and_release_may_be_repeated",),
    ),
    Break(
        "leased:LeasedMemory._take",
        "self._give_back(op)",
        "pass",
        ("test_c9_an_acquire_that_stays_unknown_leaves_no_lease",),
    ),
    # --- C10 to C12 ---
    Break(
        "access:StoreAccess._orphaned",
        "self._give_back(op)",
        "pass",
        ("test_c10_an_answer_after_the_deadline_is_given_back",),
    ),
    Break(
        "access:StoreAccess._orphaned",
        "self._give_back(op)",
        "pass",
        ("test_c10_an_acquire_whose_caller_went_away_is_released",),
        SQLITE,
    ),
    Break(
        "sqlite.store:Store._save_commit",
        'self._execute(_SQL["save_record"], (serial, op.data))',
        "pass",
        ("test_c10_a_commit_whose_caller_went_away_is_whole_or_not_at_all",),
        SQLITE,
    ),
    Break(
        "decide:_acquire",
        "if row.consumed is not None:",
        "if False:",
        (
            "test_c11_a_consumed_event_is_answered_with_its_step_and_no_lease",
            "test_c11_of_two_deliveries_at_once_one_runs",
            "test_c11_a_late_delivery_after_a_takeover_is_answered_with_the_step",
        ),
    ),
    Break(
        "decide:_acquire",
        "if row.consumed is not None:",
        "if row.consumed is not None and not is_held(row, now):",
        ("test_c11_a_replay_is_given_also_while_another_holds_the_lease",),
    ),
    Break(
        "leased:LeasedMemory._leased",
        "replay=replay,",
        "",
        ("test_c11_a_replay_is_no_lease",),
    ),
    Break(
        "decide:_commit",
        "if row.consumed is not None:",
        "if False:",
        ("test_c11_an_event_is_consumed_once",),
    ),
    Break(
        "sqlite/queries.sql:drop_body",
        "UPDATE step SET produced = NULL",
        "DELETE FROM step",
        ("test_c11_an_event_is_consumed_once_for_the_instances_life",),
        SQLITE,
    ),
    Break(
        "simple:SimpleBackend._keep",
        "entry.by_key[old.event_key] = entry.by_version[old.version] = bare",
        "del entry.by_key[old.event_key]",
        ("test_c11_an_event_is_consumed_once_for_the_instances_life",),
        MEMORY,
    ),
    Break(
        "codec:_event_key",
        "return orjson.dumps(parts).decode()",
        "return key",
        ("test_c11_the_event_key_is_source_and_id_in_any_spelling",),
    ),
    Break(
        "leased:LeasedMemory.acquire",
        'raise fault.about(id, "acquire") from fault.__cause__',
        "raise",
        ("test_c11_what_is_no_event_key_is_refused_by_name",),
    ),
    Break(
        "sqlite/queries.sql:load",
        "ON s.serial = i.serial AND s.event_key = ?",
        "ON s.event_key = ?",
        ("test_c11_the_same_event_may_be_consumed_by_two_instances",),
        SQLITE,
    ),
    Break(
        "sqlite.store:Store._save_commit",
        'self._execute(_SQL["save_record"], (serial, op.data))',
        'self._execute(_SQL["save_record"], (serial, op.data)).connection.execute("COMMIT")',
        ("test_c11_record_and_step_are_written_together_or_not_at_all",),
        SQLITE,
    ),
    Break(
        "sqlite/queries.sql:drop_plain",
        "event_key IS NULL",
        "event_key = ''",
        ("test_c11_writes_without_a_step_are_in_the_journal_while_they_are_young",),
        SQLITE,
    ),
    Break(
        "leased:LeasedMemory._acquire",
        "if n:\n            await asyncio.sleep",
        "if True:\n            await asyncio.sleep",
        ("test_c12_an_instance_never_waits_for_anothers_lease",),
    ),
    Break(
        "sqlite.backend:SqliteBackend._transaction",
        'connection.execute("COMMIT")',
        'connection.execute("COMMIT"); connection.execute("BEGIN IMMEDIATE")',
        ("test_c12_nothing_is_held_between_calls",),
        SQLITE,
    ),
    Break(
        "leased:LeasedMemory._acquire",
        "await asyncio.sleep(backoff_s(n - 1, _LOCK_WAIT_S))",
        '__import__("time").sleep(backoff_s(n - 1, _LOCK_WAIT_S))',
        ("test_c12_a_denied_caller_does_not_hold_up_the_others",),
    ),
    # --- records, ids, queries ---
    Break(
        "codec:_encode",
        "raw = orjson.dumps(value)",
        "raw = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)",
        ("test_s7_a_record_comes_back_as_it_went_in",),
    ),
    Break(
        "codec:_find_fault",
        'raise InvalidRecord(_shorten(path), f"is nested',
        'raise InvalidRecord(path, f"is nested',
        ("test_s7_cycles_and_endless_depth_are_refused_with_a_path",),
    ),
    Break(
        "codec:encode_and_copy",
        "if len(raw) > limit:",
        "if len(raw) >= limit:",
        ("test_s7_the_limit_is_exact_and_eight_mebibytes_by_default",),
    ),
    Break(
        "sqlite.store:_key",
        "id.encode()",
        "id.lower().encode()",
        ("test_s1_ids_are_opaque_and_never_run_into_one_another",),
        SQLITE,
    ),
    Break(
        "queries:QueryLevel._instance",
        "row.until - stored.now",
        "row.until - row.granted_at",
        ("test_q1_get_shows_version_fence_holder_expiry_and_times",),
    ),
    Break(
        "sqlite/queries.sql:find",
        "AND (:status IS NULL OR status = :status)",
        "",
        ("test_q2_lists_narrow_by_orchestrator_version_status_and_parent",),
        SQLITE,
    ),
    Break(
        "backend:matches",
        "(what.status, labels.status),",
        "",
        ("test_q2_lists_narrow_by_orchestrator_version_status_and_parent",),
        MEMORY,
    ),
    Break(
        "sqlite/queries.sql:find",
        "updated_at < :updated_before",
        "updated_at <= :updated_before",
        ("test_q3_lists_narrow_by_age_lease_and_deletion",),
        SQLITE,
    ),
    Break(
        "backend:matches",
        "stored.updated_at >= what.updated_before",
        "stored.updated_at > what.updated_before",
        ("test_q3_lists_narrow_by_age_lease_and_deletion",),
        MEMORY,
    ),
    Break(
        "sqlite/queries.sql:save_commit",
        "status = ?",
        "status = coalesce(status, ?)",
        ("test_q4_labels_follow_the_record",),
        SQLITE,
    ),
    Break(
        "simple:SimpleBackend._keep",
        "entry.labels = op.labels",
        "entry.labels = entry.labels if entry.labels.status else op.labels",
        ("test_q4_labels_follow_the_record",),
        MEMORY,
    ),
    Break(
        "queries:QueryLevel._page",
        "str(found[limit - 1].serial)",
        "str(found[limit].serial)",
        ("test_q5_pages_are_stable_while_instances_come_and_go",),
    ),
    Break(
        "arguments:check_cursor",
        "cursor.isascii() and ",
        "",
        ("test_q6_a_foreign_cursor_is_refused",),
    ),
    Break(
        "arguments:check_limit",
        " or not 1 <= limit <= MAX_PAGE:",
        ":",
        ("test_q6_a_limit_out_of_bounds_is_refused",),
    ),
    Break(
        "queries:QueryLevel.children",
        "Find(parent=id)",
        "Find(root=False)",
        ("test_q7_children_and_ancestors",),
    ),
    Break(
        "queries:QueryLevel.ancestors",
        "seen = {id}",
        "seen = set()",
        ("test_q7_a_circle_of_parents_ends",),
    ),
    Break(
        "sqlite/queries.sql:journal",
        "s.version > ?",
        "s.version >= ?",
        ("test_q8_the_journal_is_in_order_and_pages",),
        SQLITE,
    ),
    Break(
        "simple:SimpleBackend.journal",
        "if version > after",
        "if version >= after",
        ("test_q8_the_journal_is_in_order_and_pages",),
        MEMORY,
    ),
    Break(
        "sqlite/queries.sql:drop_history",
        "version <= ?",
        "version < ?",
        ("test_q9_history_keeps_as_many_records_as_asked_for",),
        SQLITE,
    ),
    Break(
        "simple:_Entry.__init__",
        "deque(maxlen=history)",
        "deque(maxlen=history + 1)",
        ("test_q9_history_keeps_as_many_records_as_asked_for",),
        MEMORY,
    ),
    Break(
        "decide:_force_release",
        "fence=row.fence + 1, ",
        "",
        ("test_q10_force_release_takes_the_lease_and_keeps_the_reason",),
    ),
    Break(
        "arguments:check_reason",
        "if size > _MAX_REASON_BYTES:",
        "if False:",
        ("test_q10_a_reason_must_be_text_that_can_be_kept",),
    ),
    Break(
        "purging:_finished_tree",
        " or stored.labels.status not in FINISHED",
        "",
        ("test_q11_purge_deletes_whole_finished_trees",),
    ),
    Break(
        "purging:_finished_tree",
        "if is_held(stored.row, stored.now) or stored.now",
        "if stored.now",
        ("test_q11_purge_never_touches_leased_work",),
    ),
    Break(
        "purging:_finished_tree",
        "if stored is None or",
        "if stored is None or len(tree) > 1_000 or",
        ("test_q11_purge_takes_wide_trees_too",),
    ),
    Break(
        "purging:_tops",
        "stored is not None and stored.row.deleted_at is None",
        "True",
        ("test_q11_purge_takes_finished_trees_whose_parent_is_gone",),
    ),
    Break(
        "purging:_tops",
        "if not known[parent]:",
        "if True:",
        ("test_q11_purge_takes_finished_trees_whose_parent_is_gone",),
    ),
    Break(
        "arguments:check_age",
        " or not older_than_s >= 0:",
        " or older_than_s < 0:",
        ("test_q11_an_age_below_zero_is_refused",),
    ),
)
