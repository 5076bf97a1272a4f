"""The pure algorithm: what holds for every row, operation and moment."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from msgspec.structs import replace

from pyarvo.events.labels import Labels
from pyarvo.memory.decide import (
    Acquire,
    Acquired,
    Commit,
    Committed,
    Conflict,
    Consumed,
    Delete,
    Deleted,
    Denied,
    ForceRelease,
    Found,
    JournalEntry,
    Lost,
    Op,
    Read,
    Release,
    Released,
    Renew,
    Renewed,
    Row,
    decide,
    is_held,
)

fixed = settings(derandomize=True, deadline=None, max_examples=150)

TOKENS = ("t1", "t2", "t3")
KEYS = ("k1", "k2")

tokens = st.sampled_from(TOKENS)
keys = st.none() | st.sampled_from(KEYS)
ttls = st.sampled_from([1.0, 30.0, 3_600.0])
moments = st.floats(1.0, 1e6, allow_nan=False)
digests = st.sampled_from([b"d1", b"d2"])

entries = st.builds(
    JournalEntry,
    version=st.integers(1, 5),
    event_key=keys,
    token=tokens,
    digest=digests,
    produced=st.none() | st.just(b"[]"),
    at=moments,
)

OPS = {
    Read: st.builds(Read, id=st.just("a")),
    Acquire: st.builds(Acquire, id=st.just("a"), token=tokens, ttl_s=ttls, event_key=keys),
    Commit: st.builds(
        Commit,
        id=st.just("a"),
        token=tokens,
        expected=st.integers(0, 4),
        data=st.sampled_from([b"{}", b'{"n":1}']),
        digest=digests,
        labels=st.just(Labels()),
        event_key=keys,
        produced=st.just(b"[]"),
        release=st.booleans(),
    ),
    Renew: st.builds(Renew, id=st.just("a"), token=tokens, ttl_s=ttls),
    Release: st.builds(Release, id=st.just("a"), token=tokens),
    Delete: st.builds(Delete, id=st.just("a"), force=st.booleans()),
    ForceRelease: st.builds(ForceRelease, id=st.just("a"), reason=st.just("test")),
}
ops = st.one_of(*OPS.values())
ANSWERS: dict[type, tuple[type, ...]] = {
    Read: (Found,),
    Acquire: (Acquired, Denied, Consumed),
    Commit: (Committed, Lost, Conflict, Consumed),
    Renew: (Renewed, Lost),
    Release: (Released,),
    Delete: (Deleted, Denied),
    ForceRelease: (Released,),
}


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """Rows that a store may hold: leased by somebody, given up, deleted, or new."""
    fence = draw(st.integers(0, 9))
    if fence == 0:
        return Row()
    granted_at = draw(moments)
    version = draw(st.integers(0, 4))
    return Row(
        version=version,
        fence=fence,
        token=draw(tokens),
        granted_at=granted_at,
        until=draw(st.sampled_from([0.0, granted_at + 1.0, granted_at + 30.0])),
        deleted_at=draw(st.none() | moments) if version == 0 else None,
        data=b"{}" if version else None,
        consumed=draw(st.none() | entries),
        written=draw(st.none() | entries),
    )


@fixed
@given(rows(), ops, moments)
def test_every_operation_is_answered_in_kind_and_pure(row: Row, op: Op, now: float) -> None:
    before = replace(row)
    after, outcome = decide(row, op, now)
    assert isinstance(outcome, ANSWERS[type(op)])
    assert row == before
    assert decide(row, op, now) == (after, outcome)


@fixed
@given(rows(), ops, moments)
def test_the_fence_never_goes_back(row: Row, op: Op, now: float) -> None:
    after, outcome = decide(row, op, now)
    assert after.fence >= row.fence
    granted = isinstance(outcome, Acquired) and after is not row
    taken = isinstance(op, Delete | ForceRelease) and after is not row
    assert (after.fence == row.fence + 1) == (granted or taken)


@fixed
@given(rows(), ops, moments)
def test_a_refusal_changes_nothing(row: Row, op: Op, now: float) -> None:
    after, outcome = decide(row, op, now)
    if isinstance(outcome, Found | Denied | Consumed | Lost | Conflict):
        assert after is row


@fixed
@given(rows(), ops, moments)
def test_only_the_current_token_writes_and_a_version_is_one_higher(row: Row, op: Op, now: float) -> None:
    after, _ = decide(row, op, now)
    if after.version != row.version:
        if isinstance(op, Delete):
            assert (after.version, after.data) == (0, None)
        else:
            assert isinstance(op, Commit)
            assert (row.token, row.version, after.version) == (op.token, op.expected, op.expected + 1)
            assert row.until != 0.0
            assert after.data == op.data
            assert after.deleted_at is None
    else:
        assert after.data == row.data


@fixed
@given(rows(), tokens, tokens, moments, ttls)
def test_a_running_lease_is_denied_to_others_and_an_ended_one_is_not(
    row: Row, holder: str, other: str, now: float, ttl: float
) -> None:
    row = replace(row, token=holder, consumed=None)
    _, outcome = decide(row, Acquire("a", other, ttl), now)
    if other == holder:
        assert isinstance(outcome, Denied if row.until == 0.0 else Acquired)
    else:
        assert isinstance(outcome, Denied) == is_held(row, now)
    assert is_held(row, now) == (row.granted_at <= now < row.until)


@fixed
@given(rows(), tokens, ttls, moments)
def test_renewal_never_shortens(row: Row, token: str, ttl: float, now: float) -> None:
    after, outcome = decide(row, Renew("a", token, ttl), now)
    if isinstance(outcome, Renewed):
        assert (row.token, after.fence, after.token) == (token, row.fence, token)
        assert after.until == outcome.until >= now + ttl
        assert after.until >= row.until or now < row.granted_at  # there its end means nothing
        assert after.granted_at == now
        assert is_held(after, now)
    else:
        assert row.token != token or row.until == 0.0


@fixed
@given(rows(), tokens, moments, st.data())
def test_a_released_token_has_no_right_ever_again(
    row: Row, token: str, now: float, data: st.DataObject
) -> None:
    row, _ = decide(row, Release("a", token), now)
    row = replace(row, consumed=None, written=None)
    for kind in (Commit, Renew):
        op = data.draw(OPS[kind])
        after, outcome = decide(row, replace(op, token=token), now)
        assert isinstance(outcome, Lost)
        assert after is row


@fixed
@given(rows(), OPS[Commit], moments)
def test_a_repeat_is_known_by_token_and_digest(row: Row, op: Commit, now: float) -> None:
    _, outcome = decide(row, op, now)
    written = row.written
    if written is not None and (written.token, written.digest) == (op.token, op.digest):
        assert outcome == Committed(written.version)
    elif isinstance(outcome, Committed):
        assert outcome.version == op.expected + 1


class Life(RuleBasedStateMachine):
    """One instance with its journal, as a store keeps it, through any sequence of operations."""

    row: Row
    now: float
    journal: list[JournalEntry]
    committed: dict[int, tuple[str, bytes]]

    @initialize()
    def born(self) -> None:
        self.row, self.now, self.journal, self.committed = Row(), 1_000.0, [], {}
        self.lives = 0

    @rule(op=ops)
    def operate(self, op: Op) -> None:
        before = self.row
        seen = self._seen(op)
        row, outcome = decide(seen, op, self.now)
        self.row = before if row is seen else replace(row, consumed=None, written=None)
        if isinstance(op, Commit) and self.row.version != before.version:
            self._written(op, before)
        elif isinstance(outcome, Deleted) and row is not seen:
            self.journal, self.committed = [], {}

    def _seen(self, op: Op) -> Row:
        key = op.event_key if isinstance(op, Acquire | Commit) else None
        consumed = next((made for made in self.journal if key is not None and made.event_key == key), None)
        written = None
        if isinstance(op, Commit):
            written = next((made for made in self.journal if made.version == op.expected + 1), None)
        return replace(self.row, consumed=consumed, written=written)

    def _written(self, op: Commit, before: Row) -> None:
        version = self.row.version
        assert version not in self.committed, "two holders both succeeded"
        assert before.token == op.token
        self.committed[version] = (op.token, op.digest)
        self.journal.append(JournalEntry(version, op.event_key, op.token, op.digest, op.produced, self.now))

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 29.5, 30.0, 4_000.0, -0.5, -100.0]))
    def wait(self, seconds: float) -> None:
        self.now = max(1.0, self.now + seconds)

    @invariant()
    def the_journal_is_whole(self) -> None:
        if not hasattr(self, "journal"):
            return
        assert [made.version for made in self.journal] == list(range(1, self.row.version + 1))
        consumed = [made.event_key for made in self.journal if made.event_key is not None]
        assert len(consumed) == len(set(consumed))
        assert (self.row.data is None) == (self.row.version == 0)
        assert self.row.deleted_at is None or self.row.version == 0


def test_any_sequence_keeps_the_journal_whole() -> None:
    run_state_machine_as_test(
        Life, settings=settings(derandomize=True, deadline=None, max_examples=60, stateful_step_count=40)
    )
