"""A right memory over a slow store is right: the kit does not fail it for what its own storms cost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import pytest

from pyarvo.errors import MemoryFault
from pyarvo.memory import LeasedMemory, MemoryOptions, Record
from pyarvo.memory.decide import Op, Outcome
from pyarvo.testing.conformance import Factory, running, validate
from pyarvo.testing.conformance.clauses import concurrency, concurrency_leased
from pyarvo.testing.conformance.stores import Shelf
from pyarvo.testing.mutants.verbs import FourVerbs

_LIMIT_S = 4.0


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is over sooner than for users."""
    monkeypatch.setattr(running, "_LIMIT_S", _LIMIT_S)
    for module in (concurrency, concurrency_leased):
        monkeypatch.setattr(module, "STORM_S", 1.0)


class _SlowVerbs(FourVerbs):
    async def write(self, id: str, data: Record) -> None:
        await asyncio.sleep(0.02)  # a slow disk
        await super().write(id, data)


class _ForgetfulVerbs(_SlowVerbs):
    async def write(self, id: str, data: Record) -> None:
        if data != {"n": 3}:
            await super().write(id, data)


class _SlowShelf(Shelf):
    """One call at a time, each of 25 ms, whatever object it came through."""

    immediate: ClassVar[bool] = False
    _turn: asyncio.Lock

    async def execute(self, ops: Sequence[Op]) -> Sequence[Outcome | MemoryFault]:
        async with self._turn:
            await asyncio.sleep(0.025)
            return await super().execute(ops)


def _slow_shelf() -> Factory:
    first: list[_SlowShelf] = []
    turn = asyncio.Lock()

    def factory(**options: Any) -> LeasedMemory:
        parsed = MemoryOptions.of(options)
        shelf = _SlowShelf(parsed, first[0] if first else None)
        shelf._turn = turn  # pyright: ignore[reportPrivateUsage]
        first.append(shelf)
        return LeasedMemory(shelf, parsed)

    return factory


async def _failed(factory: Factory, *only: str) -> dict[str, str]:
    report = await validate(factory, only=only)
    return {each.id: each.reason for each in report.clauses if each.outcome != "passed"}


async def test_a_counter_counts_as_far_as_a_slow_store_comes() -> None:
    room = FourVerbs.place()
    assert await _failed(partial(_SlowVerbs, room), "base.concurrency.03") == {}


async def test_a_counter_that_loses_an_update_is_found_over_a_slow_store_too() -> None:
    room = FourVerbs.place()
    failed = await _failed(partial(_ForgetfulVerbs, room), "base.concurrency.03")
    assert failed["base.concurrency.03"].startswith("the counter")


async def test_faults_are_tried_when_the_storms_are_over() -> None:
    storms = ("base.concurrency.03", "leased.concurrency.01")
    assert await _failed(_slow_shelf(), *storms, "backend.faults.0[1-4]", "backend.faults.2?") == {}
