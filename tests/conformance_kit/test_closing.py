"""The kit ends and reports, whatever a memory raises that is closed: a thread left behind keeps a program from ending."""

from __future__ import annotations

import threading
from typing import Any

from pyarvo.memory import LeasedMemory, MachineMemory
from pyarvo.testing.conformance import validate
from pyarvo.testing.conformance.stores import shared_simple


class _BadlyClosed(LeasedMemory):
    async def close(self) -> None:
        raise RuntimeError("of another event loop")


async def test_a_memory_that_cannot_be_closed_costs_no_report_and_leaves_no_thread() -> None:
    right = shared_simple()

    def factory(**options: Any) -> MachineMemory:
        memory: Any = right(**options)
        memory.__class__ = _BadlyClosed
        return memory

    before = set(threading.enumerate())
    report = await validate(factory, only="leased.concurrency.13")
    assert [(each.id, each.outcome) for each in report.clauses] == [
        ("leased.concurrency.13", "failed"),
        ("base.closed", "failed"),
    ]
    left = [each.name for each in set(threading.enumerate()) - before if not each.daemon]
    assert [name for name in left if not name.startswith("asyncio_")] == []
