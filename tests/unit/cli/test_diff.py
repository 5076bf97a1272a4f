from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyarvo.cli.diff import Change, ChangeKind, changes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"a": 1}, {"a": 2}, [Change("$.a", ChangeKind.CHANGED, 1, 2)]),
        (
            {"a": 1},
            {"b": 1},
            [Change("$.b", ChangeKind.ADDED, None, 1), Change("$.a", ChangeKind.REMOVED, 1, None)],
        ),
        ({"a": [1, 2]}, {"a": [1]}, [Change("$.a[1]", ChangeKind.REMOVED, 2, None)]),
        ({"a": [1]}, {"a": [1, {"b": 2}]}, [Change("$.a[1]", ChangeKind.ADDED, None, {"b": 2})]),
        ({"a b": {"x": 1}}, {"a b": {"x": 2}}, [Change("$['a b'].x", ChangeKind.CHANGED, 1, 2)]),
        ({"state$$": {"x": []}}, {"state$$": {"x": {}}}, [Change("$.state$$.x", ChangeKind.CHANGED, [], {})]),
        ({"a": 1}, {"a": True}, [Change("$.a", ChangeKind.CHANGED, 1, True)]),
    ],
)
def test_changes(before: Any, after: Any, found: list[Change]) -> None:
    assert list(changes(before, after)) == found


@given(JSON)
def test_equal_values_do_not_differ(value: Any) -> None:
    assert list(changes(value, value)) == []


@given(JSON, JSON)
def test_values_that_differ_have_a_change(before: Any, after: Any) -> None:
    assert bool(list(changes(before, after))) or before == after
