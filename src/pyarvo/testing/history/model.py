"""
The model: what a register with lease, fence and version may answer, one call at a time.

It knows the order of the calls and, of time, only bounds: a call took effect at some moment between its beginning and
its end. So a lease may have run out once the call that granted it could have been that long ago, and may still run while
it could have been granted that late. Where the bounds leave both open the model allows both: it never raises a false
alarm, and misses only takeovers that are early by less than a call takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from math import inf
from typing import Final, NamedTuple

from pyarvo.testing.history.calls import UNANSWERED, Call

__all__ = ["NOTHING_DONE", "Model", "State", "beginnings", "has_effect", "is_open", "unanswered"]

NOTHING_DONE: Final = frozenset(("denied", "replayed", "lost", "conflict", "consumed", "found"))
"""Outcomes that say something of the state and change nothing."""

_NAMELESS: Final = "?"
_OTHER_VERSION: Final = -(10**9)
_MOST_BEGINNINGS: Final = 2_000


class _Write:
    """An applied write, and those before it; without a call it stands for any that there were."""

    __slots__ = ("before", "event_key", "is_partial", "name", "token", "version")

    def __init__(self, before: _Write | None, version: int, call: Call | None) -> None:
        self.before = before
        self.version = version
        self.token = "" if call is None else call.token
        self.name = None if call is None else (call.written, call.step, call.event_key)
        self.event_key = None if call is None else call.event_key
        self.is_partial = call is None or (before is not None and before.is_partial)


class State(NamedTuple):
    """
    The register after some calls.

    Attributes:
        at: The earliest moment at which this may be the state.

        version, found: Of the record; 0 and "" = there is none.

        fence, token: Of the latest grant.

        live: Whether its lease was not given up.

        until_from, until_to: Bounds of the moment at which it ends by itself.

        writes: The journal.
    """

    at: float = -inf
    version: int = 0
    found: str = ""
    fence: int = 0
    token: str = ""
    live: bool = False
    until_from: float = -inf
    until_to: float = -inf
    writes: _Write | None = None


def is_open(call: Call) -> bool:
    """Whether nobody knows if *call* took effect; then it may have, at any time since it began, or may not."""
    return call.outcome == UNANSWERED or (
        call.outcome == "unavailable" and call.verb in ("acquire", "lock", "renew")
    )


def has_effect(call: Call) -> bool:
    """Whether *call* can tell or change anything; a call that was refused, or failed without effect, cannot."""
    if is_open(call):
        return call.verb != "read"
    return call.outcome not in ("refused", "unavailable")


def unanswered(call: Call) -> Call | None:
    """*call* as if its answer were not known; None when without it there is nothing to it."""
    if call.outcome in NOTHING_DONE or call.verb == "read":
        return None
    return Call(
        process=call.process,
        number=call.number,
        id=call.id,
        verb=call.verb,
        began=call.began,
        token=call.token,
        ttl_s=call.ttl_s,
        expected=call.expected,
        written=call.written,
        step=call.step,
        event_key=call.event_key,
        releases=call.releases,
    )


def beginnings(calls: Sequence[Call]) -> list[State]:
    """
    Every state that an instance may have been in before *calls*, as far as they can tell the difference.

    What they never speak of is one value, of which nothing is known.
    """
    versions = {_OTHER_VERSION}
    for call in calls:
        known = (call.version, None if call.version is None else call.version - 1, call.expected)
        versions.update(version for version in known if version is not None)
    digests = {call.found for call in calls if call.found is not None} | {_NAMELESS}
    tokens = {call.token for call in calls if call.token} | {_NAMELESS}
    if len(versions) * len(digests) * len(tokens) > _MOST_BEGINNINGS:
        return []
    return [
        State(-inf, version, found, 0, token, live, -inf, inf, writes)
        for version in versions
        for writes in (_Write(None, version, None),)
        for found in digests
        for token in tokens
        for live in (False, True)
    ]


class Model:
    """
    The states that may follow one another in the history of one instance.

    Args:
        calls: The history.

        clock_error_s: How much the clocks of store and callers may differ over the length of a lease, in seconds.
    """

    def __init__(self, calls: Sequence[Call], clock_error_s: float) -> None:
        self._error_s = clock_error_s
        keys = Counter(call.event_key for call in calls if call.event_key is not None)
        self._asked_twice = {key for key, times in keys.items() if times > 1}
        self._used = {call.token for call in calls if call.verb not in ("acquire", "lock")}
        self._writes: dict[tuple[int, Call], _Write] = {}
        self._rules: dict[str, Callable[[State, Call, float], Sequence[State]]] = {
            "acquire": self._acquire,
            "lock": self._acquire,
            "commit": self._commit,
            "write": self._commit,
            "renew": self._renew,
            "release": self._release,
            "unlock": self._release,
            "read": self._read,
        }

    def is_nameless(self, call: Call) -> bool:
        """Whether *call* may have taken a lease that no other call stands on; all such calls are alike."""
        return is_open(call) and call.verb in ("acquire", "lock") and call.token not in self._used

    def after(self, state: State, call: Call) -> Sequence[State]:
        """The states that *call*, taking effect in *state* with the outcome it had, may lead to; none = it cannot."""
        at = _moment(state.at, call)
        return () if at is None else self._rules[call.verb](state, call, at)

    def _acquire(self, state: State, call: Call, at: float) -> Sequence[State]:
        consumed = self._consumed(state, call)
        if call.outcome == "replayed":
            return (state._replace(at=at),) if _is_step(state, call, consumed) else ()
        if call.outcome == "denied":
            if not state.live or at - self._error_s >= state.until_to:
                return ()
            return (state._replace(at=at, until_from=max(state.until_from, at)),)
        if is_open(call):
            return self._maybe_acquired(state, call, at)
        if consumed is not None:
            return ()
        free_from = state.until_from - self._error_s if state.live else -inf
        taken = _moment(max(at, free_from), call)
        if taken is None or not _reads_what_is_there(state, call):
            return ()
        if call.fence is not None and call.fence <= state.fence:
            return ()
        until_from, until_to = taken, inf
        if call.ttl_s is not None and call.ended is not None:
            until_from, until_to = taken + call.ttl_s, call.ended + call.ttl_s
        return (
            state._replace(
                at=taken,
                fence=call.fence or state.fence + 1,
                token=call.token,
                live=True,
                until_from=until_from,
                until_to=until_to,
            ),
        )

    def _maybe_acquired(self, state: State, call: Call, at: float) -> Sequence[State]:
        """A lease of which nobody knows: it may be given back at any time, so the next one may come at once."""
        if state.token == call.token != "":
            return ()
        taken = max(at, state.until_from - self._error_s) if state.live else at
        token = _NAMELESS if self.is_nameless(call) else call.token
        return (state._replace(at=taken, token=token, live=True, until_from=taken, until_to=inf),)

    def _commit(self, state: State, call: Call, at: float) -> Sequence[State]:
        right = _has_right(state, call)
        repeated = self._repeated(state, call)
        consumed = self._consumed(state, call)
        match call.outcome:
            case "lost":
                return (state._replace(at=at),) if not right and repeated is None else ()
            case "conflict":
                ok = right and call.expected != state.version and call.version in (None, state.version)
                return (state._replace(at=at),) if ok else ()
            case "consumed":
                return (state._replace(at=at),) if right and _is_step(state, call, consumed) else ()
            case _:
                pass
        if repeated is not None:
            known = call.version in (None, repeated.version)
            return (
                (state._replace(at=at, live=state.live and not (right and call.releases)),) if known else ()
            )
        forgotten = self._forgotten(state, call, at, right=right)
        version = state.version + 1
        if not right or consumed is not None or call.version not in (None, version):
            return forgotten
        if call.expected is not None and call.expected != state.version:
            return forgotten
        return (
            *forgotten,
            state._replace(
                at=at,
                version=version,
                found=call.written or "",
                live=not call.releases,
                writes=self._written(state.writes, version, call),
            ),
        )

    def _forgotten(self, state: State, call: Call, at: float, *, right: bool) -> Sequence[State]:
        """Where the journal is known in part only: the commit may repeat a write of before that."""
        write = state.writes
        if write is None or not write.is_partial or call.expected is None:
            return ()
        while write.before is not None:
            write = write.before
        repeats = call.expected + 1 <= write.version and call.version in (None, call.expected + 1)
        return (state._replace(at=at, live=state.live and not (right and call.releases)),) if repeats else ()

    def _renew(self, state: State, call: Call, at: float) -> Sequence[State]:
        right = _has_right(state, call)
        if call.outcome == "lost":
            return () if right else (state._replace(at=at),)
        if not right:
            return ()
        if is_open(call) or call.ttl_s is None or call.ended is None:
            return (state._replace(at=at, until_to=inf),)
        until_to = max(state.until_to, call.ended + call.ttl_s)
        return (state._replace(at=at, until_from=max(state.until_from, at + call.ttl_s), until_to=until_to),)

    def _release(self, state: State, call: Call, at: float) -> Sequence[State]:
        ours = state.token == call.token != ""
        over = (state._replace(at=at, live=False),) if ours else ()
        if call.outcome == "over":
            return over
        if call.outcome == "not_over":  # not ours, or the store did not answer: then it may be over or not
            return (state._replace(at=at), *over)
        return over

    def _read(self, state: State, call: Call, at: float) -> Sequence[State]:
        return (state._replace(at=at),) if call.found == state.found else ()

    # --- the journal ------------------------------------------------------------------------------------------

    def _written(self, before: _Write | None, version: int, call: Call) -> _Write:
        """One object for the same writes in the same order, so that equal states are found equal at once."""
        key = (id(before), call)
        if key not in self._writes:
            self._writes[key] = _Write(before, version, call)
        return self._writes[key]

    def _consumed(self, state: State, call: Call) -> _Write | None:
        if call.event_key is None or call.event_key not in self._asked_twice:
            return None
        write = state.writes
        while write is not None and write.event_key != call.event_key:
            write = write.before
        return write

    def _repeated(self, state: State, call: Call) -> _Write | None:
        """The write that a commit says again."""
        if call.expected is None:
            return None
        write = state.writes
        while write is not None and write.version > call.expected + 1:
            write = write.before
        if write is None or write.version != call.expected + 1 or write.token != call.token:
            return None
        return write if write.name == (call.written, call.step, call.event_key) else None


def _moment(not_before: float, call: Call) -> float | None:
    """The earliest moment at which *call* may take effect; None when that is after its end."""
    at = max(not_before, call.began)
    return None if call.ended is not None and not is_open(call) and at > call.ended else at


def _has_right(state: State, call: Call) -> bool:
    """Whether the call's lease was granted last and not given up; its time may have passed (C3)."""
    return state.live and state.token == call.token


def _is_step(state: State, call: Call, consumed: _Write | None) -> bool:
    """Whether the event of *call* was consumed, at the version that was answered."""
    if consumed is not None:
        return call.version in (None, consumed.version)
    return state.writes is not None and state.writes.is_partial


def _reads_what_is_there(state: State, call: Call) -> bool:
    return call.version in (None, state.version) and call.found in (None, state.found)
