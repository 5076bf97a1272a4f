"""Freezing trials: a holder is stopped past its TTL, its successor commits, and then it goes on as if nothing were."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from pyarvo.errors import ArvoError
from pyarvo.memory import open_memory
from pyarvo.memory.contract import Lease, LeasedMachineMemory
from pyarvo.testing.history import Call, History, load_calls
from trials.backends import Store
from trials.judging import calls_file, judge
from trials.notes import Notes, noted

__all__ = ["freeze_trials", "judge_freezes"]

_WITHIN_S = 60.0
_AT_ONCE = 100
_FIRST, _SUCCESSOR = "first", "successor"
_REFUSED = {"commit": "lost", "renew": "lost", "release": "not_over"}


async def freeze_trials(store: Store, trials: int, folder: Path) -> None:
    """Make so many trials, many to one freeze; what came of them is in the files of *folder*."""
    with Notes(folder) as notes, History(calls_file(folder, _SUCCESSOR)) as history:
        holder = subprocess.Popen(
            [sys.executable, "-m", "trials.process", "hold", store.url, calls_file(folder, _FIRST)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            async with history.memory(open_memory(store.url, lease_ttl_s=10.0)) as memory:
                for n in range(0, trials, _AT_ONCE):
                    ids = [f"freeze-{n + k}" for k in range(min(_AT_ONCE, trials - n))]
                    await _one_freeze(holder, memory, ids, notes)
        finally:
            if holder.poll() is None:
                holder.send_signal(signal.SIGCONT)
                holder.kill()
            holder.communicate()


async def _one_freeze(
    holder: subprocess.Popen[str], memory: LeasedMachineMemory, ids: list[str], notes: Notes
) -> None:
    assert _told(holder, ids) == "held"
    os.kill(holder.pid, signal.SIGSTOP)
    os.waitpid(holder.pid, os.WUNTRACED)
    notes.note("stopped", ids=ids)
    leases = await asyncio.gather(*(_taken_over(memory, id) for id in ids))
    for lease in leases:
        await memory.commit(lease, {"by": _SUCCESSOR}, release=False)
    notes.note("thawed", ids=ids)
    os.kill(holder.pid, signal.SIGCONT)
    assert _told(holder, "go on") == "used"
    for lease in leases:
        try:
            await memory.commit(lease, {"by": _SUCCESSOR, "again": True})
        except ArvoError as error:
            notes.note("successor failed", id=lease.id, error=repr(error))
        await memory.read(lease.id)


def _told(holder: subprocess.Popen[str], order: object) -> Any:
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdin.write(json.dumps(order) + "\n")
    holder.stdin.flush()
    return json.loads(holder.stdout.readline())["done"]


async def _taken_over(memory: LeasedMachineMemory, id: str) -> Lease:
    until = time.monotonic() + _WITHIN_S
    while True:
        lease = await memory.acquire(id)
        if lease is not None:
            return lease
        assert time.monotonic() < until, f"{id} was not taken over"


# --- from the files alone ---------------------------------------------------------------------------------------


def judge_freezes(folder: Path) -> dict[str, Any]:
    """
    Count, from the files of *folder*, what must hold of each freeze.

    A trial counts only where the history shows that the holder had its lease before it was stopped, the successor began
    and ended its commit while it was, and the holder tried to commit only after that.
    """
    judged = judge(folder)
    first, successor = (_by_id(load_calls(calls_file(folder, name))) for name in (_FIRST, _SUCCESSOR))
    thawed_at = {id: note["t"] for note in noted(folder, "thawed") for id in note["ids"]}
    counts: Counter[str] = Counter()
    for note in noted(folder, "stopped"):
        for id in note["ids"]:
            mine, its = first[id], successor[id]
            counts["asked"] += 1
            counted = _is_in_order(mine, note["t"], its, thawed_at[id])
            counts["counted"] += counted
            tried = {call.verb: call.outcome for call in mine if call.verb in _REFUSED}
            counts["stale_refused"] += counted and tried == _REFUSED
            counts["stale_applied"] += any(call.verb == "commit" and call.outcome == "done" for call in mine)
            counts["successor_errors"] += not _went_well(its)
    names = ("asked", "counted", "stale_refused", "stale_applied", "successor_errors")
    row = {**{name: counts[name] for name in names}, **judged.counts()}
    good = counts["counted"] == counts["stale_refused"] == counts["asked"] > 0
    unharmed = not counts["stale_applied"] + counts["successor_errors"]
    return {"good": good and unharmed and judged.verdict.is_legal, **row}


def _by_id(calls: list[Call]) -> dict[str, list[Call]]:
    found: dict[str, list[Call]] = {}
    for call in calls:
        found.setdefault(call.id, []).append(call)
    return found


def _is_in_order(first: list[Call], stopped_at: float, successor: list[Call], thawed_at: float) -> bool:
    """Whether the successor took over and committed while the first holder stood still."""
    grant = next(call for call in first if call.outcome == "granted")
    stale = next(call for call in first if call.verb == "commit")
    taken = next(call for call in successor if call.outcome == "granted")
    written = next(call for call in successor if call.verb == "commit")
    if grant.ended is None or written.ended is None or written.outcome != "done":
        return False
    times = (
        grant.ended,
        stopped_at,
        taken.ended or 0.0,
        written.began,
        written.ended,
        thawed_at,
        stale.began,
    )
    return list(times) == sorted(times) and (taken.fence or 0) > (grant.fence or 0)


def _went_well(successor: list[Call]) -> bool:
    """Whether the successor waited, took over, committed twice, and read what it had written."""
    told = [(call.verb, call.outcome, call.version) for call in successor if call.outcome != "denied"]
    return told == [
        ("acquire", "granted", 0),
        ("commit", "done", 1),
        ("commit", "done", 2),
        ("read", "found", None),
    ]
