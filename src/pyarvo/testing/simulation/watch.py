"""
What must hold of every answer of a store, said a second time and in another way than `decide` says it.

The watch sees each operation and its answer in the order in which the store applied them, and keeps its own small
account of every instance. It trusts nothing that the store says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from pyarvo.memory.decide import (
    Acquire,
    Acquired,
    Commit,
    Committed,
    Conflict,
    Consumed,
    Denied,
    Found,
    Lost,
    Op,
    Outcome,
    Read,
    Release,
    Released,
    Renew,
    Renewed,
)

__all__ = ["Broken", "Watch"]


class Broken(AssertionError):
    """A promise of the protocol was broken."""


class _Account:
    """What must be true of one instance."""

    __slots__ = ("commits", "fence", "granted_at", "keys", "owned", "token", "until", "version")

    def __init__(self) -> None:
        self.version = 0
        self.fence = 0
        self.token = ""
        self.owned = False
        self.granted_at = self.until = 0.0
        self.keys: dict[str, int] = {}
        self.commits: dict[int, tuple[str, bytes]] = {}

    def held(self, now: float) -> bool:
        return self.owned and self.granted_at <= now < self.until


class Watch:
    """
    Judges answers one by one; `Broken` says which promise went.

    Attributes:
        accounts: What each instance must be, by id.
    """

    def __init__(self) -> None:
        self.accounts: dict[str, _Account] = {}

    def saw(self, op: Op, outcome: Outcome, now: float) -> None:
        """
        Take note of an operation that the store applied at *now* of its clock.

        Raises:
            Broken: The answer breaks a promise.
        """
        account = self.accounts.get(op.id)
        if account is None:
            account = self.accounts[op.id] = _Account()
        rule = _RULES.get(type(op))
        if rule is not None:
            rule(account, op, outcome, now)


def _must(holds: bool, promise: str, op: Op) -> None:
    if not holds:
        raise Broken(f"{promise} ({type(op).__name__} of {op.id[-24:]!r})")


def _read(account: _Account, op: Read, outcome: Outcome, now: float) -> None:
    del now
    _must(isinstance(outcome, Found), "a read finds", op)
    _must(cast("Found", outcome).version == account.version, "a read shows the latest version", op)


def _acquire(account: _Account, op: Acquire, outcome: Outcome, now: float) -> None:
    consumed_at = None if op.event_key is None else account.keys.get(op.event_key)
    if isinstance(outcome, Consumed):
        _must(outcome.entry.version == consumed_at, "only an event with a step counts as consumed", op)
        return
    _must(consumed_at is None, "a consumed event is answered with its step", op)
    same = op.token == account.token
    if isinstance(outcome, Denied):
        legitimate = not account.owned if same else account.held(now)
        _must(legitimate, "a lease that is over, or of nobody, is denied to nobody", op)
        return
    _must(isinstance(outcome, Acquired), "an acquire is granted, denied or consumed", op)
    granted = cast("Acquired", outcome)
    if same:
        _must(account.owned and granted.fence == account.fence, "a repeat takes the same lease", op)
    else:
        _must(not account.held(now), "nobody is granted a lease that another holds", op)
        _must(granted.fence > account.fence, "the fence is higher at every grant", op)
        account.token, account.fence, account.owned = op.token, granted.fence, True
        account.granted_at, account.until = now, now + op.ttl_s
    _must(granted.version == account.version, "a grant shows the latest version", op)


def _commit(account: _Account, op: Commit, outcome: Outcome, now: float) -> None:
    del now
    right = account.owned and op.token == account.token
    written = account.commits.get(op.expected + 1)
    repeat = written == (op.token, op.digest)
    consumed = op.event_key is not None and op.event_key in account.keys
    if isinstance(outcome, Committed):
        if not repeat:
            _must(right, "only the holder of the latest lease commits", op)
            _must(op.expected == account.version, "no version is committed twice", op)
            _must(not consumed, "an event has one step", op)
            account.version += 1
            account.commits[account.version] = (op.token, op.digest)
            if op.event_key is not None:
                account.keys[op.event_key] = account.version
        _must(outcome.version == op.expected + 1, "a commit makes the next version", op)
        if op.release and right:
            account.owned = False
        return
    _must(not repeat, "a repeated commit recognises itself", op)
    if isinstance(outcome, Lost):
        _must(not right, "the holder of the latest lease is not refused", op)
    elif isinstance(outcome, Consumed):
        _must(consumed, "only an event with a step is refused as consumed", op)
    else:
        _must(isinstance(outcome, Conflict), "a commit is applied or refused", op)
        _must(op.expected != account.version, "the right version is no conflict", op)


def _renew(account: _Account, op: Renew, outcome: Outcome, now: float) -> None:
    right = account.owned and op.token == account.token
    if isinstance(outcome, Renewed):
        _must(right, "only the holder of the latest lease renews it", op)
        if now < account.granted_at:  # the clock was set back
            account.until = now + op.ttl_s
        account.granted_at = now
        account.until = max(account.until, now + op.ttl_s)
        _must(outcome.until >= account.until - 1e-6, "a renewal does not shorten a lease", op)
        return
    _must(isinstance(outcome, Lost) and not right, "the holder of the latest lease may renew it", op)


def _release(account: _Account, op: Release, outcome: Outcome, now: float) -> None:
    del now
    ours = op.token == account.token
    _must(outcome == Released(ours=ours), "a release ends the caller's own lease, and says so", op)
    if ours:
        account.owned = False


_RULES: dict[type, Callable[[Any, Any, Outcome, float], None]] = {
    Read: _read,
    Acquire: _acquire,
    Commit: _commit,
    Renew: _renew,
    Release: _release,
}
