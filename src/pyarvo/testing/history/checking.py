"""
Is there an order of the calls in which every answer is right? The search of Wing and Gong, one instance at a time.

An order must keep to real time: a call that ended before another began comes first. A state that was reached before by
the same calls is not searched again (Lowe's memory).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf

from pyarvo.testing.history.calls import Call, in_order
from pyarvo.testing.history.model import Model, State, beginnings, has_effect, is_open, unanswered
from pyarvo.testing.history.verdict import Verdict, Violation
from pyarvo.testing.history.view import to_text

__all__ = ["assert_linearizable", "check_calls"]

_SHRINKING = 20_000
_SHRINKING_IN_ALL = 300_000


def check_calls(calls: Iterable[Call], *, clock_error_s: float = 0.05, most_states: int = 200_000) -> Verdict:
    """
    Check a history against the model of a register with lease, fence and version.

    Every instance is taken to have been new when the recording began, and to be changed by recorded calls only.

    Args:
        calls: The whole history, of all processes.

        clock_error_s: How much the clocks of store and callers may differ over the length of a lease, in seconds.

        most_states: How many states are searched for an instance before it counts as undecided.
    """
    by_id: dict[str, list[Call]] = {}
    count = 0
    for call in calls:
        count += 1
        if has_effect(call):
            by_id.setdefault(call.id, []).append(call)
    violations: list[Violation] = []
    undecided: list[str] = []
    for id, of_id in by_id.items():
        legal = _is_legal(of_id, clock_error_s, _Budget(most_states))
        if legal is None:
            undecided.append(id)
        elif not legal:
            violations.append(_violation(id, in_order(of_id), clock_error_s, most_states))
    return Verdict(count, len(by_id), tuple(violations), tuple(undecided))


def assert_linearizable(
    calls: Iterable[Call], *, clock_error_s: float = 0.05, most_states: int = 200_000
) -> Verdict:
    """
    Check, and fail with the calls that contradict each other.

    Raises:
        AssertionError: The history is not legal, or could not be decided.
    """
    verdict = check_calls(calls, clock_error_s=clock_error_s, most_states=most_states)
    if not verdict.is_legal:
        raise AssertionError(to_text(verdict))
    return verdict


class _Budget:
    """States that may still be looked at."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left


def _is_legal(
    calls: Sequence[Call], clock_error_s: float, budget: _Budget, start: Sequence[State] = (State(),)
) -> bool | None:
    """Whether an order explains *calls*, from one of *start* on; None when the budget was used up first."""
    search = _Search(calls, Model(calls, clock_error_s))
    seen: set[_Node] = set()
    stack: list[_Node] = [(0, 0, 0, 0, state) for state in start]
    while stack:
        node = stack.pop()
        if search.is_complete(node):
            return True
        if node in seen:
            continue
        if budget.left <= 0:
            return None
        budget.left -= search.cost
        seen.add(node)
        stack.extend(search.after(node))
    return False


_Node = tuple[int, int, int, int, State]
"""Calls before this one are all in order; of those from it on, the ones in the mask; of the open ones, those in the
second mask; so many of the nameless; and the state they lead to."""


class _Search:
    """The next calls of an order, and where they lead."""

    def __init__(self, calls: Sequence[Call], model: Model) -> None:
        self._model = model
        self._closed = in_order([call for call in calls if not is_open(call)])
        self._open = in_order([call for call in calls if is_open(call) and not model.is_nameless(call)])
        # These are all alike, but for their beginning: the earliest can stand for any other.
        self._nameless = in_order([call for call in calls if model.is_nameless(call)])
        self._grants = [n for n, call in enumerate(self._open) if call.verb in ("acquire", "lock")]
        self.cost = 1 + len(self._grants) // 16  # of a node: each of these is tried at each
        self._by_token: dict[str, list[int]] = {}
        for n, call in enumerate(self._open):
            if n not in self._grants:
                self._by_token.setdefault(call.token, []).append(n)

    def is_complete(self, node: _Node) -> bool:
        """Whether every call whose outcome is known has its place."""
        return node[0] == len(self._closed)

    def after(self, node: _Node) -> list[_Node]:
        """What may follow; the likeliest last, so that it is tried first."""
        base, mask, opened, nameless, state = node
        first_end, candidates = self._candidates(base, mask)
        found: list[_Node] = []
        if nameless < len(self._nameless) and self._nameless[nameless].began <= first_end:
            for changed in self._model.after(state, self._nameless[nameless]):
                found.append((base, mask, opened, nameless + 1, changed))
        for n in (*self._grants, *self._by_token.get(state.token, ())):
            if not opened >> n & 1 and self._open[n].began <= first_end:
                for changed in self._model.after(state, self._open[n]):
                    if changed[1:] != state[1:]:
                        found.append((base, mask, opened | 1 << n, nameless, changed))
        for n in candidates:
            low, left = base, mask | 1 << (n - base)
            while left & 1:
                low, left = low + 1, left >> 1
            for changed in self._model.after(state, self._closed[n]):
                found.append((low, left, opened, nameless, changed))
        return found

    def _candidates(self, base: int, mask: int) -> tuple[float, list[int]]:
        """Calls that began before every call without a place has ended; and the first such end."""
        closed = self._closed
        first_end = inf
        waiting: list[int] = []
        for n in range(base, len(closed)):
            call = closed[n]
            if call.began > first_end:
                break
            if mask >> (n - base) & 1:
                continue
            waiting.append(n)
            first_end = min(first_end, call.ended if call.ended is not None else inf)
        waiting = [n for n in waiting if closed[n].began <= first_end]
        waiting.sort(key=lambda n: -(closed[n].ended or 0.0))
        return first_end, waiting


# --- the smallest offending part ------------------------------------------------------------------------------


def _violation(id: str, calls: Sequence[Call], clock_error_s: float, most_states: int) -> Violation:
    """The shortest beginning that is wrong, and of it the calls whose answers are needed to see that."""
    ends = sorted(call.ended for call in calls if call.ended is not None and not is_open(call))
    low, high = 0, len(ends) - 1
    while low < high:
        middle = (low + high) // 2
        if _is_legal(_until(calls, ends[middle]), clock_error_s, _Budget(most_states)) is False:
            high = middle
        else:
            low = middle + 1
    beginning = _until(calls, ends[low])
    part = _end_of(beginning, clock_error_s)
    needed = (
        _needed(beginning, clock_error_s) if part is None else _needed(part, clock_error_s, from_any=True)
    )
    history = tuple(call for call in calls if call.began <= ends[low])
    return Violation(id, tuple(call for call in in_order(needed) if not is_open(call)), history)


def _until(calls: Sequence[Call], end: float) -> list[Call]:
    """The history as it was at *end*: later answers are not known yet."""
    found: list[Call | None] = []
    for call in calls:
        if call.began <= end:
            later = call.ended is None or call.ended > end
            found.append(unanswered(call) if later else call)
    return [call for call in found if call is not None]


def _end_of(calls: Sequence[Call], clock_error_s: float) -> list[Call] | None:
    """The last few calls, when they are wrong whatever was before; from a moment at which no call was under way."""
    closed = in_order([call for call in calls if not is_open(call)])
    opened = [call for call in calls if is_open(call)]
    cuts: list[int] = []
    ended = -inf
    for n, call in enumerate(closed):
        if ended < call.began:
            cuts.append(n)
        ended = max(ended, inf if call.ended is None else call.ended)
    back = 1
    while back <= len(cuts):
        part = closed[cuts[-back] :] + opened
        start = beginnings(part)
        if not start:
            return None
        if _is_legal(part, clock_error_s, _Budget(_SHRINKING), start) is False:
            return part
        back *= 2
    return None


def _needed(calls: Sequence[Call], clock_error_s: float, *, from_any: bool = False) -> list[Call]:
    """
    Forget answers, in ever smaller groups, as long as what is left is still wrong.

    A forgotten call is not removed: it may still have taken effect. So those that stay contradict each other by
    themselves, and not because a call that explains them was taken away.
    """
    kept: list[Call | None] = list(calls)
    budget = _SHRINKING_IN_ALL
    size = max(1, len(kept) // 2)
    while True:
        for start in range(0, len(kept), size):
            group = kept[start : start + size]
            if all(call is None or is_open(call) for call in group):
                continue
            tried = [None if call is None else unanswered(call) for call in group]
            trial = [*kept[:start], *tried, *kept[start + size :]]
            left = [call for call in trial if call is not None]
            spent = _Budget(min(_SHRINKING, budget))
            before = spent.left
            begin = beginnings(left) if from_any else (State(),)
            if _is_legal(left, clock_error_s, spent, begin) is False:
                kept = trial
            budget -= before - spent.left + len(kept) // 8
            if budget <= 0:
                return [call for call in kept if call is not None]
        if size == 1:
            return [call for call in kept if call is not None]
        size //= 2
