"""What a check found, for people: as text, and as one page of HTML that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from pyarvo.testing.history.calls import Call
from pyarvo.testing.history.model import is_open
from pyarvo.testing.history.verdict import Verdict, Violation

__all__ = ["to_html", "to_text"]

_WIDTH: Final = 1_000
_ROW: Final = 26
_LEFT: Final = 180
_MOST_ROWS: Final = 400

_STYLE: Final = """
body{font:14px/1.5 system-ui,sans-serif;margin:2rem;color:#1c2330;background:#fff}
h1{font-size:1.4rem} h2{font-size:1.1rem;margin-top:2rem;overflow-wrap:anywhere}
.scroll{overflow-x:auto;border:1px solid #d5dae2;border-radius:6px}
svg{display:block;font:11px ui-monospace,monospace} table{border-collapse:collapse;margin:1rem 0}
th,td{text-align:left;padding:.2rem .9rem .2rem 0;border-bottom:1px solid #e6e9ee;font-variant-numeric:tabular-nums}
td{font-family:ui-monospace,monospace;font-size:12px} .ok{fill:#9bb8d9} .no{fill:#c9ced6} .open{fill:#eadcb0}
.bad{fill:#d64550} .lane{fill:#5b6675} .legal{color:#1d7a46} .wrong{color:#b3202c}
@media (prefers-color-scheme:dark){body{color:#dfe4ec;background:#14181f}.scroll,th,td{border-color:#2c3440}
.lane{fill:#9aa6b5} svg text.on{fill:#10141a} .legal{color:#58c98a} .wrong{color:#ff7a83}}
"""


def to_text(verdict: Verdict) -> str:
    """The verdict in words; of each violation the calls that contradict each other."""
    return "\n".join((_headline(verdict), *(_violation_text(one) for one in verdict.violations)))


def to_html(verdict: Verdict, calls: Sequence[Call] = ()) -> str:
    """
    A page: of each violation the calls that contradict each other, and all calls of its instance on a time line.

    Args:
        verdict: What `check_calls` found.

        calls: The history; when it is given, a legal one is shown as well.
    """
    kind = "legal" if verdict.is_legal else "wrong"
    parts = [f"<h1 class={kind}>{escape(_headline(verdict))}</h1>"]
    for violation in verdict.violations:
        parts.append(f"<h2>{escape(violation.id)}</h2><p>{escape(_explained(violation))}</p>")
        parts.append(_table(violation.calls, violation.history[0].began))
        parts.append(_timeline(violation.history, violation.calls))
    wrong = {violation.id for violation in verdict.violations}
    for id in dict.fromkeys(call.id for call in calls if call.id not in wrong):
        parts.append(f"<h2>{escape(id)}</h2>{_timeline([call for call in calls if call.id == id], ())}")
    body = "\n".join(parts)
    return f'<!doctype html><meta charset="utf-8"><title>History</title><style>{_STYLE}</style>\n{body}\n'


def _headline(verdict: Verdict) -> str:
    looked = f"{verdict.calls:,} calls of {verdict.instances:,} instances"
    if verdict.is_legal:
        return f"{looked}: every answer is explained by one order of the calls"
    found = [f"{len(verdict.violations):,} instances went wrong"] if verdict.violations else []
    if verdict.undecided:
        found.append(f"{len(verdict.undecided):,} have too many orders to be searched")
    return f"{looked}: {', '.join(found)}"


def _explained(violation: Violation) -> str:
    others = len(violation.history) - len(violation.calls)
    rest = f", whatever the other {others:,} calls before them did" if others else ""
    return f"No order explains the answers to these {len(violation.calls):,} calls{rest}."


def _violation_text(violation: Violation) -> str:
    rows = [_cells(call, violation.history[0].began) for call in violation.calls]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
    ]
    return "\n".join((f"\n{violation.id}\n{_explained(violation)}", *(line.rstrip() for line in lines)))


def _cells(call: Call, zero: float) -> tuple[str, str, str, str, str]:
    """When, who, what, with what, and how it ended."""
    end = "..." if call.ended is None else f"{call.ended - zero:.4f}"
    asked = {
        "token": call.token[:8],
        "ttl": call.ttl_s,
        "on version": call.expected,
        "data": call.written,
        "event": call.event_key,
        "releases": call.releases or None,
    }
    answered = {
        "fence": call.fence,
        "version": call.version,
        "data": None if call.found is None else call.found or "none",
    }
    return (
        f"{call.began - zero:.4f} - {end} s",
        call.process,
        call.verb,
        _facts(asked),
        " ".join((call.outcome, _facts(answered))).strip(),
    )


def _facts(facts: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items() if value not in (None, ""))


def _table(calls: Sequence[Call], zero: float) -> str:
    head = "".join(f"<th>{name}" for name in ("when", "who", "call", "with", "answer"))
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}" for cell in _cells(call, zero)) for call in calls)
    return f"<table><tr>{head}{rows}</table>"


def _timeline(calls: Sequence[Call], marked: Sequence[Call]) -> str:
    """One row for each caller, one bar for each call; who only looks points at a bar for its facts."""
    shown = calls[-_MOST_ROWS:]
    zero = shown[0].began
    last = max(call.began if call.ended is None else call.ended for call in shown)
    scale = _WIDTH / max(last - zero, 1e-9)
    lanes = {process: n for n, process in enumerate(dict.fromkeys(call.process for call in shown))}
    names = {(call.process, call.number) for call in marked}
    parts = [
        f"<text class=lane x=4 y={n * _ROW + 17}>{escape(process[-26:])}</text>"
        for process, n in lanes.items()
    ]
    for call in shown:
        left = _LEFT + (call.began - zero) * scale
        end = last if call.ended is None else call.ended
        width = max(4.0, (end - call.began) * scale)
        kind = "bad" if (call.process, call.number) in names else _kind(call)
        top = lanes[call.process] * _ROW + 3
        tip = escape(" | ".join(_cells(call, zero)))
        parts.append(
            f"<g><title>{tip}</title><rect class={kind} x={left:.1f} y={top} width={width:.1f} height=20 rx=3 />"
            f"<text class=on x={left + 3:.1f} y={top + 14}>{escape(call.verb)}</text></g>"
        )
    size = f"width={_LEFT + _WIDTH + 80} height={len(lanes) * _ROW + 6}"
    return f'<div class=scroll><svg {size} xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg></div>'


def _kind(call: Call) -> str:
    if is_open(call):
        return "open"
    return "ok" if call.outcome in ("granted", "done", "over", "found") else "no"
