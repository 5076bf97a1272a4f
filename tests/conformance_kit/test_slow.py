"""A right memory over a slow store is right: the kit does not fail it for what its own storms cost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from pyarvo.errors import MemoryFault
from pyarvo.memory import LeasedMemory, MemoryOptions, Record
from pyarvo.memory.decide import Op, Outcome
from pyarvo.testing.conformance import Factory, validate
from pyarvo.testing.conformance.clauses import concurrency
from pyarvo.testing.conformance.stores import Shelf
from pyarvo.testing.mutants.verbs import FourVerbs


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Storms are over sooner than for users."""
    monkeypatch.setattr(concurrency, "STORM_S", 0.5)


class _SlowVerbs(FourVerbs):
    async def write(self, id: str, data: Record) -> None:
        await asyncio.sleep(0.1)  # 800 of them would take longer than a clause may
        await super().write(id, data)


class _ForgetfulVerbs(_SlowVerbs):
    async def write(self, id: str, data: Record) -> None:
        if data != {"n": 3}:
            await super().write(id, data)


async def _failed(factory: Factory, *only: str) -> dict[str, str]:
    report = await validate(factory, only=only)
    return {each.id: each.reason for each in report.clauses if each.outcome != "passed"}


async def test_a_counter_counts_as_far_as_a_slow_store_comes() -> None:
    assert await _failed(partial(_SlowVerbs, FourVerbs.place()), "base.concurrency.03") == {}


async def test_a_counter_that_loses_an_update_is_found_over_a_slow_store_too() -> None:
    failed = await _failed(partial(_ForgetfulVerbs, FourVerbs.place()), "base.concurrency.03")
    assert failed["base.concurrency.03"].startswith("the counter")


async def test_faults_are_tried_when_the_storms_are_over() -> None:
    asked: list[str] = []

    class Noting(Shelf):
        async def execute(self, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
            asked.extend(op.id for op in ops)
            return await super().execute(ops)

    first: list[Noting] = []

    def factory(**options: Any) -> LeasedMemory:
        parsed = MemoryOptions.of(options)
        first.append(Noting(parsed, first[0] if first else None))
        return LeasedMemory(first[-1], parsed)

    assert await _failed(factory, "leased.concurrency.0?", "backend.faults.2?") == {}
    faults = ["backend.faults" in id for id in asked if "concurrency" in id or "faults" in id]
    assert True in faults
    assert faults == sorted(faults)
