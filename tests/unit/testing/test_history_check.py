"""The check of histories: against brute force, against what the shipped store does, and against broken stores."""

# It looks at the model and the parts that are reported.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from pyarvo.events.labels import Labels
from pyarvo.memory import MemoryOptions
from pyarvo.memory.decide import (
    Acquire,
    Acquired,
    Commit,
    Committed,
    Conflict,
    Consumed,
    Found,
    Lost,
    Op,
    Outcome,
    Read,
    Release,
    Released,
    Renew,
)
from pyarvo.memory.simple import SimpleBackend
from pyarvo.testing.history import Call, assert_linearizable, check_calls, to_html, to_text
from pyarvo.testing.history.checking import _Budget, _is_legal
from pyarvo.testing.history.model import Model, State, beginnings, has_effect, is_open

HISTORIES = 10_000
TTL_S = 3.0


# --- histories of the shipped store ---------------------------------------------------------------------------


class Author:
    """Makes random calls of a real store, and writes them down as callers see them."""

    def __init__(self, seed: int, backend: type[SimpleBackend] = SimpleBackend) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.store = backend(MemoryOptions(holder="x"), lambda: 1_000.0 + self.now)
        self.tokens: list[str] = []
        self.versions: list[int] = [0]
        self.calls: list[Call] = []

    def write(self, length: int) -> list[Call]:
        for number in range(length):
            self.now += self.random.choice((0.1, 0.5, 2.0))
            op = self.op(number)
            began = self.now - self.random.choice((0.0, 0.3, 1.5))
            asked = self.asked(number, op, began)
            if self.random.random() < 0.2:
                if self.random.random() < 0.5:
                    self.execute(op)
                self.calls.append(asked)
                continue
            ended = self.now + self.random.choice((0.0, 0.3, 1.5))
            self.calls.append(replace(asked, ended=ended, **answered(self.execute(op))))
        return self.calls

    def execute(self, op: Op) -> Outcome:
        (outcome,) = run_now(self.store.execute([op]))
        if isinstance(outcome, Acquired):
            self.versions.append(outcome.version)
        if isinstance(outcome, Committed):
            self.versions.append(outcome.version)
        return outcome

    def op(self, number: int) -> Op:
        kind = self.random.choice(("acquire", "acquire", "commit", "commit", "renew", "release", "read"))
        if kind == "read":
            return Read("a")
        if kind == "acquire" or not self.tokens:
            self.tokens.append(f"t{number}")
            return Acquire("a", self.tokens[-1], TTL_S, self.random.choice((None, None, "k1", "k2")))
        token = self.random.choice(self.tokens[-2:])
        if kind == "renew":
            return Renew("a", token, TTL_S)
        if kind == "release":
            return Release("a", token)
        data = self.random.choice((b'{"n":1}', b'{"n":2}'))
        key = self.random.choice((None, "k1", "k2"))
        digest = data + (key or "").encode()
        expected = self.random.choice(self.versions[-2:])
        release = self.random.random() < 0.5
        return Commit("a", token, expected, data, digest, Labels(), key, None, release)

    def asked(self, number: int, op: Op, began: float) -> Call:
        facts: dict[str, Any] = {"token": getattr(op, "token", ""), "ttl_s": getattr(op, "ttl_s", None)}
        if isinstance(op, Commit):
            facts |= {"expected": op.expected, "written": op.data.decode(), "releases": op.release}
        if isinstance(op, Commit | Acquire):
            facts["event_key"] = op.event_key
        return Call(
            process=f"p{number}", number=number, id="a", verb=type(op).__name__.lower(), began=began, **facts
        )


def answered(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Acquired(fence, version, data):
            return {"outcome": "granted", "fence": fence, "version": version, "found": text(data)}
        case Consumed(entry, _, _, data):
            # To an acquire it is the step; a commit is refused with it.
            return {"outcome": "replayed" if data is not None else "consumed", "version": entry.version}
        case Committed(version):
            return {"outcome": "done", "version": version}
        case Conflict(_, actual):
            return {"outcome": "conflict", "version": actual}
        case Lost():
            return {"outcome": "lost"}
        case Released(ours):
            return {"outcome": "over" if ours else "not_over"}
        case Found(_, data):
            return {"outcome": "found", "found": text(data)}
        case _:
            return {"outcome": "denied" if type(outcome).__name__ == "Denied" else "done"}


def text(data: bytes | None) -> str:
    return "" if data is None else data.decode()


def run_now(work: Any) -> Any:
    """The result of a coroutine that never suspends."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it suspended")


def damaged(calls: Sequence[Call], random: Random) -> list[Call]:
    """One answer changed, or the moment of one call."""
    changed = list(calls)
    n = random.randrange(len(changed))
    call = changed[n]
    if call.ended is None:
        changed[n] = replace(call, began=call.began + 1.0)
        return changed
    changes: list[dict[str, Any]] = [
        {"version": (call.version or 0) + random.choice((-1, 1))},
        {"fence": (call.fence or 0) + random.choice((-1, 1))},
        {"found": random.choice(("", '{"n":1}', '{"n":2}'))},
        {"token": random.choice(("t0", "t1", "t2"))},
        {"began": call.began - 2.0},
        {"began": call.began + 2.0, "ended": call.ended + 2.0},
        {"outcome": random.choice(OUTCOMES[call.verb])},
        {"outcome": "unknown", "ended": None},
    ]
    changed[n] = replace(call, **random.choice(changes))
    return changed


OUTCOMES = {
    "acquire": ("granted", "denied", "replayed", "unavailable"),
    "commit": ("done", "lost", "conflict", "consumed", "unavailable"),
    "renew": ("done", "lost"),
    "release": ("over", "not_over"),
    "read": ("found", "unavailable"),
}


# --- brute force ----------------------------------------------------------------------------------------------


def is_legal_by_force(calls: Sequence[Call]) -> bool:
    """Try every order that keeps to real time, with and without each call of which nobody knows."""
    calls = [call for call in calls if has_effect(call)]
    model = Model(calls, 0.0)

    def try_all(state: State, left: frozenset[int]) -> bool:
        if all(is_open(calls[n]) for n in left):
            return True
        for n in left:
            if any(comes_first(calls[m], calls[n]) for m in left if m != n):
                continue
            if any(try_all(after, left - {n}) for after in model.after(state, calls[n])):
                return True
        return False

    return try_all(State(), frozenset(range(len(calls))))


def comes_first(one: Call, other: Call) -> bool:
    """Whether *one* has its place before *other*; a call that may never have happened comes before nobody."""
    ended = inf if is_open(one) or one.ended is None else one.ended
    return ended < other.began


def test_it_agrees_with_brute_force_on_random_histories() -> None:
    verdicts = {True: 0, False: 0}
    for seed in range(HISTORIES):
        random = Random(seed)
        calls = Author(seed).write(random.randint(1, 6))
        for _ in range(random.randint(1, 4) if seed % 2 else 0):
            calls = damaged(calls, random)
        legal = check_calls(calls, clock_error_s=0.0).is_legal
        assert legal == is_legal_by_force(calls), f"seed {seed}"
        if seed % 2 == 0:
            assert legal, f"seed {seed}: what the store really did is called wrong"
        verdicts[legal] += 1
    assert verdicts[True] > HISTORIES / 2
    assert verdicts[False] > HISTORIES / 10


def test_long_histories_of_the_store_are_legal() -> None:
    for seed in range(30):
        calls = Author(seed).write(120)
        verdict = check_calls(calls, clock_error_s=0.0)
        assert (verdict.is_legal, verdict.calls) == (True, 120), f"seed {seed}\n{to_text(verdict)}"


def test_the_end_of_a_legal_history_is_legal_after_some_beginning() -> None:
    looked_at = 0
    for seed in range(400):
        calls = Author(seed).write(14)
        closed = [call for call in calls if not is_open(call)]
        for n in range(1, len(closed)):
            if any(call.ended is None or call.ended >= closed[n].began for call in closed[:n]):
                continue
            looked_at += 1
            end = [call for call in calls if call not in closed[:n] and has_effect(call)]
            assert _is_legal(end, 0.0, _Budget(100_000), beginnings(end)), f"seed {seed}, from call {n} on"
    assert looked_at > 400


# --- broken stores --------------------------------------------------------------------------------------------


class GrantsTwice(SimpleBackend):
    def _apply(self, op: Op, now: float) -> Outcome:
        entry = self._entries.get(op.id)
        if entry is not None and isinstance(op, Acquire):
            entry.row = replace(entry.row, until=0.0)
        return super()._apply(op, now)


class EndsLeasesEarly(SimpleBackend):
    def _apply(self, op: Op, now: float) -> Outcome:
        return super()._apply(replace(op, ttl_s=0.5) if isinstance(op, Acquire) else op, now)


class NeverEndsLeases(SimpleBackend):
    def _apply(self, op: Op, now: float) -> Outcome:
        return super()._apply(replace(op, ttl_s=1e6) if isinstance(op, Acquire) else op, now)


class TakesStaleCommits(SimpleBackend):
    def _apply(self, op: Op, now: float) -> Outcome:
        entry = self._entries.get(op.id)
        if entry is not None and isinstance(op, Commit):
            op = replace(op, expected=entry.row.version)
        return super()._apply(op, now)


class AsksForNoToken(SimpleBackend):
    def _apply(self, op: Op, now: float) -> Outcome:
        entry = self._entries.get(op.id)
        if entry is not None and isinstance(op, Commit | Release | Renew):
            op = replace(op, token=entry.row.token)
        return super()._apply(op, now)


class ForgetsWrites(SimpleBackend):
    def _apply(self, op: Op, now: float) -> Outcome:
        entry = self._entries.get(op.id)
        before = entry.row if entry is not None else None
        outcome = super()._apply(op, now)
        if (
            entry is not None
            and before is not None
            and isinstance(outcome, Committed)
            and outcome.version == 2
        ):
            entry.row = replace(before, until=0.0)
        return outcome


class ConsumesTwice(SimpleBackend):
    def _apply(self, op: Op, now: float) -> Outcome:
        entry = self._entries.get(op.id)
        if entry is not None:
            entry.by_key.clear()
        return super()._apply(op, now)


class ResetsFences(SimpleBackend):
    def _apply(self, op: Op, now: float) -> Outcome:
        entry = self._entries.get(op.id)
        if entry is not None and isinstance(op, Acquire) and entry.row.until == 0.0:
            entry.row = replace(entry.row, fence=0)
        return super()._apply(op, now)


BROKEN = (
    GrantsTwice,
    EndsLeasesEarly,
    NeverEndsLeases,
    TakesStaleCommits,
    AsksForNoToken,
    ForgetsWrites,
    ConsumesTwice,
    ResetsFences,
)


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_store_is_found_out(broken: type[SimpleBackend]) -> None:
    for seed in range(40):
        verdict = check_calls(Author(seed, broken).write(40), clock_error_s=0.0)
        if not verdict.is_legal:
            (violation,) = verdict.violations
            assert check_calls(violation.history, clock_error_s=0.0).violations
            assert len(violation.calls) <= 8, to_text(verdict)
            return
    raise AssertionError("40 histories of it look right")


# --- what is reported -----------------------------------------------------------------------------------------


def granted(number: int, began: float, ended: float, fence: int, **facts: Any) -> Call:
    facts = {"version": 0, "found": "", "ttl_s": 30.0, **facts}
    return Call(
        process=f"p{number}",
        number=number,
        id="order-1",
        verb="acquire",
        began=began,
        ended=ended,
        outcome="granted",
        token=f"t{number}",
        fence=fence,
        **facts,
    )


def test_two_holders_at_once_are_the_whole_report() -> None:
    noise = [
        Call(
            process="r",
            number=n,
            id="order-1",
            verb="read",
            began=n,
            ended=n + 0.5,
            outcome="found",
            found="",
        )
        for n in range(20)
    ]
    other = granted(50, 0.0, 1.0, 1)
    calls = [granted(31, 2.0, 3.0, 1), granted(32, 10.0, 11.0, 2), *noise, replace(other, id="order-2")]
    verdict = check_calls(calls)
    assert (verdict.calls, verdict.instances) == (23, 2)
    (violation,) = verdict.violations
    assert violation.id == "order-1"
    assert [call.number for call in violation.calls] == [31, 32]
    assert max(call.began for call in violation.history) <= 11.0
    words = to_text(verdict)
    assert "No order explains the answers to these 2 calls, whatever the other 12 calls" in words
    assert "granted fence 2, version 0, data none" in words
    with pytest.raises(AssertionError, match="1 instances went wrong"):
        assert_linearizable(calls)


def test_a_wrong_answer_late_in_a_long_history_is_told_with_few_others() -> None:
    calls: list[Call] = []
    for n in range(400):
        token = f"t{n}"
        lease = granted(3 * n, 4.0 * n, 4.0 * n + 1.0, n + 1, version=n, found=f"{n - 1}" if n else "")
        calls.append(replace(lease, token=token))
        calls.append(
            Call(
                process="p",
                number=3 * n + 1,
                id="order-1",
                verb="commit",
                began=4.0 * n + 2.0,
                ended=4.0 * n + 3.0,
                outcome="done",
                token=token,
                expected=n,
                version=n + 1,
                written=f"{n}",
                releases=True,
            )
        )
    assert check_calls(calls).is_legal
    calls[600] = replace(calls[600], found="298")
    (violation,) = check_calls(calls).violations
    assert [call.number for call in violation.calls] == [897, 900]
    assert len(violation.history) == 601


def test_a_takeover_is_legal_once_the_lease_can_have_ended() -> None:
    def verdict(ended: float) -> bool:
        calls = [granted(1, 0.0, 5.0, 1), granted(2, 20.0, ended, 2)]
        return check_calls(calls, clock_error_s=0.5).is_legal

    assert not verdict(29.0)
    assert verdict(29.6)  # the clocks may differ by half a second
    assert verdict(30.0)


def test_a_denial_is_legal_while_the_lease_can_still_run() -> None:
    def verdict(began: float) -> bool:
        denied = replace(
            granted(2, began, began + 1.0, 2), outcome="denied", fence=None, found=None, version=None
        )
        return check_calls([granted(1, 0.0, 5.0, 1), denied], clock_error_s=0.0).is_legal

    assert verdict(34.9)
    assert not verdict(35.0)


def test_an_unknown_write_may_take_effect_late_or_never_and_not_twice() -> None:
    lease = granted(1, 0.0, 1.0, 1)
    unknown = Call(
        process="p1",
        number=2,
        id="order-1",
        verb="commit",
        began=2.0,
        ended=3.0,
        token="t1",
        expected=0,
        written="x",
    )

    def legal(*found: str) -> bool:
        reads = [
            Call(
                process="r",
                number=10 + n,
                id="order-1",
                verb="read",
                began=10.0 + n,
                ended=10.5 + n,
                outcome="found",
                found=one,
            )
            for n, one in enumerate(found)
        ]
        return check_calls([lease, unknown, *reads]).is_legal

    assert legal("", "")
    assert legal("", "x")
    assert legal("x", "x")
    assert not legal("x", "")
    assert not legal("y")


def test_too_many_orders_are_undecided_and_not_called_legal() -> None:
    calls = [replace(granted(n, 0.0, 100.0, n + 1, ttl_s=1.0), version=n % 2) for n in range(12)]
    verdict = check_calls(calls, most_states=50)
    assert (verdict.is_legal, verdict.undecided, verdict.violations) == (False, ("order-1",), ())
    assert "too many orders" in to_text(verdict)


def test_the_page_needs_nothing_else_and_escapes_what_it_shows() -> None:
    calls = [replace(granted(n, n * 2.0, n * 2.0 + 1.0, n), id="<b>&", process="<i>") for n in (1, 2)]
    page = to_html(check_calls(calls), calls)
    assert page.count("class=bad") == 2
    assert "&lt;b&gt;&amp;" in page
    assert "<b>" not in page
    assert "<i>" not in page
    assert "src=" not in page
    assert "href=" not in page
    legal = [replace(calls[0], id="fine")]
    assert "class=ok" in to_html(check_calls(legal), legal)
