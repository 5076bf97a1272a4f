"""An explanation on one screen."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pyarvo.cli.diff import Change, ChangeKind
from pyarvo.cli.explanation import Diff, Explanation, Relative
from pyarvo.cli.ids import Shortener
from pyarvo.cli.output import cell, console, status_cell
from pyarvo.cli.text import compact, span, when
from pyarvo.cli.waiting import Awaited

__all__ = ["change_text", "print_explanation"]

_NAMES: Final = 10
_LINES: Final = 5
_ERROR: Final = 300
_NOT_KNOWN: Final = "not known: the record is damaged"


def print_explanation(it: Explanation, now: datetime) -> None:
    """
    Print *it*: a name and an answer on each line, never more than a few lines for one answer.

    Args:
        it: The explanation.

        now: For ages.
    """
    short = Shortener(_ids(it))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True, width=_NAMES)
    grid.add_column(overflow="fold")
    for name, lines in _rows(it, short, now):
        grid.add_row(name, Text("\n").join(lines))
    page = console()
    page.print(grid)
    for number, advice in enumerate(it.next):
        name = "" if number else "next"
        command = shlex.join(short.typed(word) for word in advice.argv)
        # Broken by the terminal alone, so that it can be copied whole.
        page.print(
            Text.assemble((f"{name:<{_NAMES + 2}}", "bold"), cell(command, "bold green")), soft_wrap=True
        )
        page.print(Padding(cell(advice.why), (0, 0, 0, _NAMES + 6)))


def _ids(it: Explanation) -> Iterable[str]:
    yield it.id
    for relative in (*it.parents, *it.children.unfinished):
        yield relative.id
    for one in it.waits_for or ():
        if one.child is not None:
            yield one.child


def _rows(it: Explanation, short: Shortener, now: datetime) -> Iterable[tuple[str, Sequence[Text]]]:
    yield "instance", [_header(it, short)]
    if it.damage is not None:
        yield "record", [cell(f"damaged: {it.damage}", "bold red")]
    yield "held by", [cell(_holder(it, now))]
    yield "last event", [cell(_last(it, now))]
    yield "waits for", _waits(it, short, now)
    yield "parents", _parents(it, short)
    yield "children", _children(it, short)
    yield "last error", [cell(_error(it))]
    yield "changed", _changed(it.diff)


def _header(it: Explanation, short: Shortener) -> Text:
    parts = [cell(short(it.id), "bold"), status_cell(it.situation.value)]
    if it.orchestrator is not None:
        parts.insert(1, cell(f"{it.orchestrator} {it.orchestrator_version}"))
    if it.status is not None and it.status != it.situation.value:
        parts.append(cell(f"status {it.status}"))
    if it.state is not None:
        parts.append(cell(f"state {it.state if isinstance(it.state, str) else compact(it.state)}"))
    parts.append(cell(f"version {it.version}"))
    return Text("  ").join(parts)


def _holder(it: Explanation, now: datetime) -> str:
    lease = it.lease
    if lease.held and lease.since is not None:
        left = span(lease.remaining_s or 0.0)
        at = f"{lease.since:%H:%M:%S} UTC ({when(lease.since, now)})"
        return f"{lease.holder}, granted or renewed {at}, {left} left"
    last = f"; last held by {lease.last_holder}" if lease.last_holder else ""
    if lease.lapsed:
        last += ", whose lease ran out: it died or froze in mid-step"
    forced = f"; once released by force: {lease.note}" if lease.note else ""
    return f"nobody{last}{forced}"


def _last(it: Explanation, now: datetime) -> str:
    last = it.last_step
    if last is None:
        return "none"
    age = "" if last.at is None else f", {when(last.at, now)}"
    if last.event is None:
        return f"a write without an event made version {last.version}{age}"
    source = "" if last.event.source is None else f" from {last.event.source}"
    made = f"produced {', '.join(last.produced[:_LINES])}" if last.produced else "produced nothing"
    return f"{last.type or 'event'} {last.event.id}{source}{age}; made version {last.version}, {made}"


def _waits(it: Explanation, short: Shortener, now: datetime) -> list[Text]:
    if it.damage is not None:
        return [cell(_NOT_KNOWN)]
    if it.waits_for is None:
        return [cell("not known: the record is none of pyarvo's handlers")]
    return _few([cell(_request(one, short, now)) for one in it.waits_for]) or [cell("nothing")]


def _request(one: Awaited, short: Shortener, now: datetime) -> str:
    to = f" from {one.to}" if one.to is not None and one.to != one.type else ""
    domain = f" in domain {one.domain}" if one.domain is not None else ""
    child = f", execution {short(one.child)}" if one.child is not None else ""
    age = f", asked {when(one.asked_at, now)}" if one.asked_at is not None else ""
    return f"an answer to {one.type or 'a request'} {one.id}{to}{domain}{child}{age}"


def _parents(it: Explanation, short: Shortener) -> list[Text]:
    lines = _few([_relative(parent, short) for parent in it.parents])
    if it.missing_parent is not None:
        lines.append(cell(f"{short(it.missing_parent)} is not in this store"))
    return lines or [cell("none")]


def _children(it: Explanation, short: Shortener) -> list[Text]:
    total, unfinished = it.children.total, it.children.unfinished
    if not total:
        return [cell("none")]
    count = cell(f"{len(unfinished):,} of {total:,} not finished")
    return [count, *_few([_relative(child, short) for child in unfinished])]


def _relative(relative: Relative, short: Shortener) -> Text:
    kind = f"{relative.orchestrator} {relative.orchestrator_version}" if relative.orchestrator else ""
    parts = (cell(short(relative.id)), cell(kind), status_cell(relative.status))
    return Text("  ").join(part for part in parts if part.plain)


def _error(it: Explanation) -> str:
    if it.damage is not None:
        return _NOT_KNOWN
    if it.error is None:
        return "none"
    text = f"{it.error.name or 'error'}: {it.error.message}"
    return text if len(text) <= _ERROR else f"{text[:_ERROR]}…"


def _changed(diff: Diff) -> list[Text]:
    if not diff.kept:
        return [cell(diff.reason)]
    head = cell(f"from version {diff.before} to {diff.after}{'' if diff.changes else ': nothing but events'}")
    return [head, *_few([cell(change_text(change)) for change in diff.changes])]


def change_text(change: Change) -> str:
    """One change on one line."""
    match change.kind:
        case ChangeKind.ADDED:
            return f"+ {change.path}: {compact(change.after)}"
        case ChangeKind.REMOVED:
            return f"- {change.path}: {compact(change.before)}"
        case ChangeKind.CHANGED:
            return f"  {change.path}: {compact(change.before, 40)} -> {compact(change.after, 40)}"


def _few(lines: list[Text]) -> list[Text]:
    more = len(lines) - _LINES
    return lines if more <= 0 else [*lines[:_LINES], cell(f"and {more:,} more: -o json")]
