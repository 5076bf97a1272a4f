"""What a run of the kit found, and how it is told: text, JSON, Markdown, a badge."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import groupby
from typing import Any
from xml.sax.saxutils import escape

from pyarvo.testing.conformance.clause import Kind
from pyarvo.testing.conformance.levels import Level

__all__ = ["Outcome", "Report", "Result"]


class Outcome(StrEnum):
    """How a clause ended."""

    PASSED = "passed"
    FAILED = "failed"
    MISSING = "missing"
    """Its level was declared, and the memory does not offer it; or what the kit needs to judge is not installed."""


@dataclass(frozen=True, slots=True)
class Result:
    """
    One clause, tried.

    Attributes:
        id: Of the clause.

        title: The promise.

        level, family, kinds: Where it belongs.

        outcome: How it ended.

        seconds: How long it took.

        reason: What was seen instead; "" when it passed.

        history: The calls that led to it, one line each; none when it passed.
    """

    id: str
    title: str
    level: Level
    family: str
    kinds: tuple[Kind, ...]
    outcome: Outcome
    seconds: float = 0.0
    reason: str = ""
    history: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """
    A run of the kit.

    Attributes:
        memory: The type of the memory.

        declared: The levels that it was held to.

        offered: The levels that it has the methods of.

        seed: Of everything drawn at random.

        seconds: How long the run took.

        clauses: What was tried, in the order of the ids.
    """

    memory: str
    declared: tuple[Level, ...]
    offered: tuple[Level, ...]
    seed: int
    seconds: float
    clauses: tuple[Result, ...]

    @property
    def ok(self) -> bool:
        """Whether every clause passed."""
        return all(each.outcome is Outcome.PASSED for each in self.clauses)

    def counted(self, outcome: Outcome) -> int:
        """How many clauses ended so."""
        return sum(1 for each in self.clauses if each.outcome is outcome)

    @property
    def failures(self) -> tuple[Result, ...]:
        """The clauses that did not pass."""
        return tuple(each for each in self.clauses if each.outcome is not Outcome.PASSED)

    @property
    def summary(self) -> str:
        """One line."""
        told = [f"{self.counted(outcome)} {outcome}" for outcome in Outcome if self.counted(outcome)]
        levels = " + ".join(self.declared)
        return f"{self.memory}: {', '.join(told) or 'nothing tried'} ({levels}; {self.seconds:.1f} s, seed {self.seed})"

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return {
            "memory": self.memory,
            "ok": self.ok,
            "declared": list(self.declared),
            "offered": list(self.offered),
            "seed": self.seed,
            "seconds": round(self.seconds, 3),
            "counts": {outcome.value: self.counted(outcome) for outcome in Outcome},
            "clauses": [
                {**asdict(each), "kinds": list(each.kinds), "history": list(each.history)}
                for each in self.clauses
            ],
        }

    def to_json(self) -> str:
        """Everything, as text."""
        return json.dumps(self.to_dict(), indent=2)

    def to_text(self) -> str:
        """For a console: a line a family, and each failure with its history."""
        lines: list[str] = []
        for level, family, results in self._families():
            passed = sum(each.outcome is Outcome.PASSED for each in results)
            mark = "ok" if passed == len(results) else "BROKEN"
            lines.append(f"{level + '.' + family:24} {passed:3} of {len(results):3}  {mark}")
        for each in self.failures:
            lines += ["", f"{each.outcome.upper()} {each.id}: {each.title}", f"  {each.reason}"]
            lines += [f"    {line}" for line in each.history]
        return "\n".join([*lines, "", self.summary])

    def to_markdown(self) -> str:
        """For a page: counts a family, and the failures."""
        lines = [f"# Conformance of {self.memory}", "", self.summary, ""]
        lines += ["| level | family | clauses | passed |", "|---|---|---|---|"]
        for level, family, results in self._families():
            passed = sum(each.outcome is Outcome.PASSED for each in results)
            lines.append(f"| {level} | {family} | {len(results)} | {passed} |")
        for each in self.failures:
            lines += ["", f"## {each.id}: {each.outcome}", "", f"Promise: {each.title}.", ""]
            lines += [f"Seen: {each.reason}", "", "```", *each.history, "```"]
        return "\n".join([*lines, ""])

    def to_badge(self) -> str:
        """An SVG image: the levels when all passed, else how many did not."""
        right = " + ".join(self.declared) if self.ok else f"{len(self.failures)} broken"
        return _badge("machine memory", right, "#2da44e" if self.ok else "#cf222e")

    def _families(self) -> Iterator[tuple[Level, str, Sequence[Result]]]:
        for (level, family), results in groupby(self.clauses, key=lambda each: (each.level, each.family)):
            yield level, family, list(results)


def _badge(left: str, right: str, colour: str) -> str:
    wide = [7 * len(text) + 14 for text in (left, right)]
    text = 'font-family="Verdana,sans-serif" font-size="11" fill="#fff" text-anchor="middle"'
    label = escape(f"{left}: {right}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{sum(wide)}" height="20" role="img" aria-label="{label}">'
        f"<title>{label}</title>"
        f'<rect width="{wide[0]}" height="20" fill="#444"/>'
        f'<rect x="{wide[0]}" width="{wide[1]}" height="20" fill="{colour}"/>'
        f'<text x="{wide[0] / 2}" y="14" {text}>{escape(left)}</text>'
        f'<text x="{wide[0] + wide[1] / 2}" y="14" {text}>{escape(right)}</text></svg>\n'
    )
