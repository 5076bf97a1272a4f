"""`pyarvo doctor URL`: which settings of a store break a promise."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

import typer

from pyarvo.cli.exits import Exit, Stop, redacted
from pyarvo.cli.opening import hint_at_place
from pyarvo.cli.options import MemoryOption, OutputOption, UrlArgument, url_of
from pyarvo.cli.output import Output, cell, print_json, print_lines, print_table
from pyarvo.memory.doctor import Finding, Verdict, examine

__all__ = ["doctor"]

_STYLES: Final = {Verdict.FINE: "green", Verdict.BREAKS: "bold red", Verdict.UNKNOWN: "yellow"}


def doctor(
    context: typer.Context,
    url: UrlArgument = None,
    output: OutputOption = Output.TABLE,
    memory: MemoryOption = None,
) -> None:
    """
    Ask a live store for its settings, and name each that breaks a promise, why, and what to do.

    Exit status 1 when one does. What cannot be read is said so, and breaks nothing.
    """
    named = url_of(context, url or memory)
    hint_at_place(named)
    try:
        findings = asyncio.run(examine(named))
    except ImportError as error:
        raise Stop(Exit.FAILED, f"the store of {redacted(named)} cannot be asked: {error}") from error
    broken = [finding for finding in findings if finding.verdict is Verdict.BREAKS]
    if output is Output.JSON:
        print_json({"url": redacted(named), "fine": not broken, "findings": findings})
    else:
        _print(findings)
    if broken:
        raise typer.Exit(Exit.FAILED)


def _print(findings: Sequence[Finding]) -> None:
    print_table(
        ["SETTING", "VALUE", "VERDICT", "WHY"],
        (
            [
                cell(f"{finding.setting} ({finding.where})" if finding.where else finding.setting),
                cell(finding.value),
                cell(finding.verdict.value, _STYLES[finding.verdict]),
                cell(_why(finding)),
            ]
            for finding in findings
        ),
        empty="nothing to say",
    )
    counts = Counter(finding.verdict for finding in findings)
    told = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict])
    print_lines(told)


def _why(finding: Finding) -> str:
    parts = [finding.reason, f"Fix: {finding.fix}" if finding.fix else ""]
    return ". ".join(part for part in parts if part)
