"""Freezing trials: a holder is stopped past its TTL, its successor commits, and then it goes on as if nothing were."""

# Asserted is what must hold for a trial to be one. Nothing else is to go on while a process is started and stopped.
# ruff: noqa: S101, S603, ASYNC220, ASYNC222

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

from pyarvo.memory import LeasedMemory, open_memory
from pyarvo.memory.contract import Lease
from trials.backends import Store
from trials.history import History

__all__ = ["freeze_trials"]

_WITHIN_S = 20.0
_COUNTS = ("asked", "counted", "stale_refused", "stale_applied", "successor_errors")


async def freeze_trials(store: Store, trials: int, history: History, *, at_once: int = 100) -> dict[str, Any]:
    """
    Make so many trials, many to one freeze, and count.

    A trial counts only where the successor's commit was answered while the first holder stood still.
    """
    counts: dict[str, int] = dict.fromkeys(_COUNTS, 0)
    holder = subprocess.Popen(
        [sys.executable, "-m", "trials.process", "hold", store.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        async with open_memory(store.url, lease_ttl_s=10.0) as memory:
            for n in range(0, trials, at_once):
                ids = [f"freeze-{n + k}" for k in range(min(at_once, trials - n))]
                await _one_freeze(holder, memory, ids, history, counts)
    finally:
        if holder.poll() is None:
            holder.send_signal(signal.SIGCONT)
            holder.kill()
        holder.communicate()
    return counts


async def _one_freeze(
    holder: subprocess.Popen[str],
    memory: LeasedMemory,
    ids: list[str],
    history: History,
    counts: dict[str, int],
) -> None:
    told = _told(holder, ids)
    assert told["held"] == len(ids), told
    os.kill(holder.pid, signal.SIGSTOP)
    os.waitpid(holder.pid, os.WUNTRACED)
    stopped_at = time.monotonic()
    history.note("stopped", ids=len(ids), t=stopped_at)
    leases = await asyncio.gather(*(_taken_over(memory, id) for id in ids))
    committed_at: dict[str, float] = {}
    for lease in leases:
        await memory.commit(lease, {"by": "successor"}, release=False)
        committed_at[lease.id] = time.monotonic()
    thawed_at = time.monotonic()
    os.kill(holder.pid, signal.SIGCONT)
    results = {result["id"]: result for result in _told(holder, "go on")["results"]}
    for lease in leases:
        result = results[lease.id]
        counted = stopped_at < committed_at[lease.id] < thawed_at < result["at"]
        error = await _second_commit(memory, lease)
        refused = (result["commit"], result["renew"], result["release"]) == (
            "LeaseLost",
            "LeaseLost",
            "ok False",
        )
        counts["asked"] += 1
        counts["counted"] += counted
        counts["stale_refused"] += counted and refused
        counts["stale_applied"] += not refused
        counts["successor_errors"] += bool(error)
        times = {"stopped": stopped_at, "committed": committed_at[lease.id], "thawed": thawed_at}
        history.note(
            "trial", counted=counted, first=result, successor_fence=lease.fence, error=error, **times
        )


def _told(holder: subprocess.Popen[str], order: object) -> Any:
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdin.write(json.dumps(order) + "\n")
    holder.stdin.flush()
    return json.loads(holder.stdout.readline())


async def _taken_over(memory: LeasedMemory, id: str) -> Lease:
    until = time.monotonic() + _WITHIN_S
    while True:
        lease = await memory.acquire(id)
        if lease is not None:
            return lease
        assert time.monotonic() < until, f"{id} was not taken over"


async def _second_commit(memory: LeasedMemory, lease: Lease) -> str:
    """What the successor's next commit came to, after all that the first one tried; "" when it is as it must be."""
    try:
        version = await memory.commit(lease, {"by": "successor", "again": True})
        record = await memory.read(lease.id)
    except Exception as error:  # noqa: BLE001 - any error is what is counted
        return f"{type(error).__name__}: {error}"
    return "" if (version, record) == (2, {"by": "successor", "again": True}) else f"{version} {record}"
