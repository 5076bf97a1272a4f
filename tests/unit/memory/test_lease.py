"""A lease as its holder sees it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from pyarvo.memory import Lease


def pickled(lease: Lease) -> Lease:
    return pickle.loads(pickle.dumps(lease))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
def test_a_copy_is_as_its_lease_was(copied: Callable[[Lease], Lease]) -> None:
    lease = Lease("a", token="t", fence=1, version=0, data=None, ttl_s=30.0, sent_at=1.0)
    lease.extend(100.0, 30.0)
    assert (copied(lease).held, copied(lease).until) == (True, 130.0)
    lease.held = False
    assert (copied(lease).held, copied(lease).until) == (False, 130.0)
