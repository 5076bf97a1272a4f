"""Whose lock it is: cells, contexts and grants, and that none of them grows without a bound."""

# It counts what happens inside.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from contextvars import Context, copy_context
from time import monotonic

import pytest

from pyarvo.memory import Lease
from pyarvo.memory.callers import Callers, Cell


def lease(id: str = "a") -> Lease:
    return Lease(id, token="t", fence=1, version=0, data=None, ttl_s=30.0, sent_at=monotonic())


def lock(callers: Callers, id: str = "a") -> Cell:
    cell = callers.open(id)
    callers.fill(cell, lease(id))
    return cell


def elsewhere(callers: Callers, id: str = "a") -> Cell:
    return Context().run(lock, callers, id)


def test_a_callers_own_cell_is_found_here_and_in_copies_of_its_context() -> None:
    callers = Callers()

    def work() -> None:
        cell = callers.open("a")
        inside = copy_context()
        assert callers.find("a") is None
        callers.fill(cell, lease())
        assert callers.find("a") is cell
        assert inside.run(callers.find, "a") is cell

    Context().run(work)


def test_without_a_cell_the_only_grant_is_found_and_of_two_none() -> None:
    callers = Callers()
    assert Context().run(callers.find, "a") is None
    first = elsewhere(callers)
    assert Context().run(callers.find, "a") is first
    second = elsewhere(callers)
    assert Context().run(callers.find, "a") is None
    callers.close(first)
    assert Context().run(callers.find, "a") is second
    callers.close(second)
    callers.close(second)
    assert Context().run(callers.find, "a") is None


def test_the_latest_filled_cell_of_a_caller_counts() -> None:
    callers = Callers()

    def work() -> None:
        first = lock(callers)
        denied = callers.open("a")
        assert callers.find("a") is first
        second = lock(callers)
        assert callers.find("a") is second
        callers.close(second)
        assert callers.find("a") is first
        assert denied.lease is None

    Context().run(work)


def test_two_memories_do_not_share_cells() -> None:
    one, two = Callers(), Callers()

    def work() -> None:
        cell = lock(one)
        assert two.find("a") is None
        assert one.find("a") is cell

    Context().run(work)


def test_a_context_that_locks_for_months_does_not_grow() -> None:
    callers = Callers()

    def work() -> int:
        kept = lock(callers, "kept")
        for n in range(2_000):
            callers.close(lock(callers, f"a{n}"))
        assert callers.find("kept") is kept
        return max(len(value) for value in copy_context().values() if hasattr(value, "__len__"))

    assert Context().run(work) <= 300


def test_grants_nobody_gave_up_are_forgotten_when_they_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    callers = Callers()
    for n in range(1_025):
        elsewhere(callers, f"old{n}")
    later = monotonic() + 3 * 3_600
    monkeypatch.setattr("pyarvo.memory.callers.monotonic", lambda: later)
    young = elsewhere(callers, "young")
    assert Context().run(callers.find, "old0") is None
    assert Context().run(callers.find, "young") is young


def test_many_leases_held_at_once_are_not_swept_at_every_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    callers = Callers()
    swept: list[int] = []
    sweep = callers._sweep

    def counted() -> None:
        swept.append(1)
        sweep()

    monkeypatch.setattr(callers, "_sweep", counted)
    for n in range(5_000):
        elsewhere(callers, f"a{n}")
    assert len(swept) <= 3
    assert Context().run(callers.find, "a0") is not None
