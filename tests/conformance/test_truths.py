"""Callers are not all typed: what is true to Python is true to every store."""

from __future__ import annotations

from typing import Any

import pytest

from pyarvo.errors import LeaseLost

from .place import Place, held


async def test_a_commit_keeps_or_ends_the_lease_by_the_truth_of_release(place: Place) -> None:
    memory = place.open()
    no, yes = _untyped(0, 1)
    lease = await held(memory)
    assert await memory.commit(lease, {"n": 1}, release=no) == 1
    assert lease.held is True
    assert await memory.commit(lease, {"n": 2}, release=yes) == 2
    assert lease.held is False
    with pytest.raises(LeaseLost):
        await memory.renew(lease)


async def test_a_delete_is_by_force_by_the_truth_of_force(place: Place) -> None:
    memory = place.open()
    no, yes = _untyped("", "yes")
    await memory.commit(await held(memory), {"n": 1}, release=False)
    with pytest.raises(LeaseLost, match="somebody holds the lease"):
        await memory.delete("a", force=no)
    assert await memory.delete("a", force=yes) is True
    assert await memory.read("a") is None


def _untyped(*values: Any) -> tuple[Any, ...]:
    return values
