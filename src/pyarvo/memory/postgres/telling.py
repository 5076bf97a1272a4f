"""
The operations of `decide` told in SQL: the parameters of each statement, and what its answer means.

A statement applies an operation where it may be applied. Where it was not, its answer is the row as it was, and
`decide` itself says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from pyarvo.errors import MemoryFault, RecordCorrupt
from pyarvo.memory.decide import (
    Acquire,
    Acquired,
    Commit,
    Committed,
    Delete,
    Deleted,
    ForceRelease,
    Found,
    Op,
    Outcome,
    Read,
    Release,
    Released,
    Renew,
    Renewed,
    Row,
    decide,
)
from pyarvo.memory.options import MemoryOptions
from pyarvo.memory.postgres.rows import entry_of, event_of, key_of, moment, raw_of, seconds
from pyarvo.memory.statements import load_statements

__all__ = ["TELLINGS", "Telling", "Texts", "must_release", "settled"]

Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Telling:
    """
    One kind of operation.

    Attributes:
        name: Of its statement.

        columns: Name and type of the columns of `op`; the first two are always key and id.

        arguments: An operation's values for the columns after those two.

        won: The outcome of an operation that was applied.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    arguments: Callable[[Any], tuple[Any, ...]]
    won: Callable[[Answer], Outcome]


def settled(op: Op, answer: Answer) -> Outcome | MemoryFault | None:
    """
    What the answer of a statement says about *op*.

    Returns:
        The outcome; a fault where the stored row makes no sense; None where the row was changed while the
        statement ran, so that it must be sent again.
    """
    kind = type(op)
    if kind is not Read and answer["won"]:
        return TELLINGS[kind].won(answer)
    stored = answer["id"]
    if stored is not None and stored != key_of(op.id)[1]:
        return RecordCorrupt("the key of this id holds another one", id=op.id)
    if kind is Read:
        return Found(answer["version"] or 0, answer["data"])
    try:
        row = Row() if stored is None else _row(op, answer)
    except RecordCorrupt as fault:
        return fault
    after, outcome = decide(row, op, seconds(answer["now"]))
    # A repeated commit that also releases is settled, but for the release: that is sent after it.
    return outcome if after is row or (isinstance(outcome, Committed) and row.written is not None) else None


def must_release(op: Op, answer: Answer) -> bool:
    """Whether *op* is a repeated commit that ends a lease which its first sending kept."""
    return (
        isinstance(op, Commit)
        and op.release
        and not answer["won"]
        and answer["token"] == op.token
        and answer["until"] is not None
        and answer["w_token"] == op.token
        and answer["w_digest"] == op.digest
    )


def _row(op: Op, answer: Answer) -> Row:
    consumed = written = None
    if isinstance(op, Acquire | Commit) and answer["c_version"] is not None:
        consumed = entry_of(answer, "c_")
        if consumed.event_key != op.event_key:
            raise RecordCorrupt("the journal holds another event under the hash of this one", id=op.id)
    if isinstance(op, Commit) and answer["w_version"] is not None:
        written = entry_of(answer, "w_")
    return Row(
        version=answer["version"],
        fence=answer["fence"],
        token=answer["token"],
        granted_at=seconds(answer["granted_at"]),
        until=seconds(answer["until"]),
        deleted_at=moment(answer["deleted_at"]),
        data=answer["data"],
        consumed=consumed,
        written=written,
    )


_PARTS: Final = ("row", "consumed", "seen", "settings", "unchanged")


def _of_acquire(op: Acquire) -> tuple[Any, ...]:
    return op.token, op.ttl_s, event_of(op.id, op.event_key), op.holder.encode()


def _of_commit(op: Commit) -> tuple[Any, ...]:
    labels = op.labels
    return (
        op.token,
        op.expected,
        op.release,
        event_of(op.id, op.event_key),
        raw_of(op.event_key),
        op.digest,
        op.produced,
        raw_of(labels.orchestrator),
        raw_of(labels.version),
        raw_of(labels.status),
        raw_of(labels.parent),
        op.data,
    )


def _acquired(answer: Answer) -> Outcome:
    return Acquired(
        answer["won_fence"], answer["won_version"], answer["won_data"], moment(answer["won_deleted_at"])
    )


def _telling(
    name: str, columns: str, arguments: Callable[[Any], tuple[Any, ...]], won: Callable[[Answer], Outcome]
) -> Telling:
    """*columns* as `name type, name type`."""
    pairs = (column.split() for column in f"key bytea, id bytea, {columns}".rstrip(", ").split(", "))
    return Telling(name, tuple((column, type_) for column, type_ in pairs), arguments, won)


TELLINGS: Final[Mapping[type[Op], Telling]] = {
    Read: _telling("read", "", lambda _: (), lambda _: Found(0, None)),
    Acquire: _telling(
        "acquire", "token text, ttl_s float8, event bytea, holder bytea", _of_acquire, _acquired
    ),
    Commit: _telling(
        "commit",
        "token text, expected bigint, release boolean, event bytea, event_key bytea, digest bytea, produced bytea, "
        "orchestrator bytea, orchestrator_version bytea, status bytea, parent bytea, data bytea",
        _of_commit,
        lambda answer: Committed(answer["won_version"]),
    ),
    Renew: _telling(
        "renew",
        "token text, ttl_s float8",
        lambda op: (op.token, op.ttl_s),
        lambda answer: Renewed(seconds(answer["won_until"])),
    ),
    Release: _telling("release", "token text", lambda op: (op.token,), lambda _: Released(ours=True)),
    ForceRelease: _telling(
        "force_release", "note bytea", lambda op: (op.reason.encode(),), lambda _: Released(ours=True)
    ),
    Delete: _telling(
        "delete", "force boolean", lambda op: (op.force,), lambda answer: Deleted(answer["won_existed"])
    ),
}


class Texts:
    """
    The statements of one schema.

    Args:
        schema: Its name.

        options: How much journal and history to keep.
    """

    def __init__(self, schema: str, options: MemoryOptions) -> None:
        self._sql = load_statements("pyarvo.memory.postgres")
        self._journal = options.journal
        self._parts = {
            **{f"{{{name}}}": self._sql[name] for name in _PARTS},
            "{history}": self._sql["history_of_commit"] if options.history else "",
            "{keep}": str(options.history),
            "{journal}": str(options.journal),
            "{schema}": f'"{schema}"',
        }
        self._text = cache(self._compose)

    def plain(self, name: str) -> str:
        """A statement that is not an operation."""
        return self._filled(self._sql[name])

    def query(
        self, name: str, narrowing: Mapping[str, object], limit: int | None = None
    ) -> tuple[str, list[object]]:
        """
        The query, with its parameters, of what *narrowing* says; what is None there does not narrow.

        Args:
            name: "find" or "count".

            narrowing: Values of the conditions `of_...`.

            limit: Most rows.
        """
        wanted = {field: value for field, value in narrowing.items() if value is not None}
        values = [*wanted.values(), limit] if limit is not None else [*wanted.values()]
        conditions = [
            self._sql[f"of_{field}"].replace("{value}", f"${n}") for n, field in enumerate(wanted, 1)
        ]
        text = self._sql[name].replace("{matches}", " AND ".join(conditions))
        return self._filled(text.replace("{limit}", f"${len(values)}::bigint")), values

    def statement(self, ops: Sequence[Op], wait_ms: int, *, briefly: bool = False) -> tuple[str, list[Any]]:
        """
        The statement, with its parameters, of operations of one kind on different instances.

        Args:
            ops: In the order of their keys.

            wait_ms: The longest wait for the lock of a row.

            briefly: Where there is a shorter statement, answer only those that were applied.
        """
        kind, many = type(ops[0]), len(ops) > 1
        arguments = TELLINGS[kind].arguments
        rows = [(*key_of(op.id), *arguments(op)) for op in ops]
        columns = [*map(list, zip(*rows, strict=True))] if many else [*rows[0]]
        # Most instances never come to where a body of their journal is to go.
        pruned = any(isinstance(op, Commit) and op.expected >= self._journal for op in ops)
        ending = "applied" if briefly and f"{TELLINGS[kind].name}_applied" in self._sql else "answer"
        text = self._text(kind, many, ending, pruned)
        return text, columns if kind is Read else [str(wait_ms), *columns]

    def _compose(self, kind: type[Op], many: bool, ending: str, pruned: bool) -> str:
        telling = TELLINGS[kind]
        first = 1 if telling.name == "read" else 2
        numbered = [(n, name, type_) for n, (name, type_) in enumerate(telling.columns, first)]
        text = self._sql[telling.name]
        if many:
            # The planner would look into a plain parameter, count its elements, and plan anew each time.
            arrays = ", ".join(f"(SELECT ${n}::{type_}[])" for n, _, type_ in numbered)
            names = ", ".join(name for _, name, _ in numbered)
            op = f"SELECT * FROM unnest({arrays}) WITH ORDINALITY AS o ({names}, n)"  # noqa: S608 - the text is ours
        else:
            values = (f"${n}::{type_} AS {name}" for n, name, type_ in numbered)
            op = "SELECT 1::bigint AS n, " + ", ".join(values)
            text = text.replace("WITH op AS (", "WITH op AS NOT MATERIALIZED (")
        text = text.replace("{answer}", self._sql.get(f"{telling.name}_{ending}", ""))
        text = text.replace("{pruned}", self._sql["pruned"] if pruned else "")
        return self._filled(text.replace("{op}", op))

    def _filled(self, text: str) -> str:
        for name, part in self._parts.items():
            text = text.replace(name, part)
        return text
