"""
The judgement of a trial, from the files that its processes wrote: is there an order of the calls that explains every answer?

Every process keeps a history of its own (`pyarvo.testing.history`), which a SIGKILL does not lose.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pyarvo.testing.history import Call, Verdict, check_calls, load_calls, to_html, to_text

__all__ = ["Judged", "calls_file", "judge"]


def calls_file(folder: Path, process: str) -> Path:
    """Where *process* of the trial in *folder* writes down its calls."""
    return folder / f"calls-{process}.jsonl"


class Judged(NamedTuple):
    """
    All calls of a trial, and what was found.

    Attributes:
        calls: Of all processes, in the order in which they began.

        verdict: Of the check.
    """

    calls: list[Call]
    verdict: Verdict

    def counts(self) -> dict[str, int]:
        """For the row of the table."""
        wrong = len(self.verdict.violations) + len(self.verdict.undecided)
        return {
            "calls": self.verdict.calls,
            "instances": self.verdict.instances,
            "instances_explained": self.verdict.instances - wrong,
        }


def judge(folder: Path) -> Judged:
    """
    Check the calls of all processes of the trial in *folder*.

    The verdict is written there (`verdict.txt`), and a page (`history.html`) of the instances that went wrong.
    """
    calls = load_calls(*sorted(folder.glob(calls_file(folder, "*").name)))
    verdict = check_calls(calls)
    (folder / "verdict.txt").write_text(to_text(verdict) + "\n")
    if not verdict.is_legal:
        wrong = {*(violation.id for violation in verdict.violations), *verdict.undecided}
        (folder / "history.html").write_text(to_html(verdict, [call for call in calls if call.id in wrong]))
    return Judged(calls, verdict)
