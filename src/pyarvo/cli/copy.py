"""`pyarvo copy SRC DST`: every instance of one memory into another."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing
from typing import Annotated, Final

import typer

from pyarvo.cli.exits import Exit, Stop, redacted
from pyarvo.cli.ids import Shortener
from pyarvo.cli.opening import opened
from pyarvo.cli.options import OutputOption
from pyarvo.cli.output import Output, cell, print_json, print_lines, print_table
from pyarvo.memory import Find
from pyarvo.memory.copying import Copied, Fate
from pyarvo.memory.copying import copy as copied

__all__ = ["copy"]

_TOLD: Final = 50


def copy(
    source: Annotated[str, typer.Argument(metavar="SRC", help="URL of the memory to copy from.")],
    target: Annotated[str, typer.Argument(metavar="DST", help="URL of the memory to copy to.")],
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Also what somebody holds, as it was last committed.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    Copy every instance: record, version, fence, journal, labels, tombstone; each compared by a hash.

    Stop the workers first. A copy that was broken off goes on where it was: start it again. What the destination
    knows with other contents is left alone.
    """
    if source == target:
        raise Stop(Exit.USAGE, "SRC and DST are the same")
    fates, problems = asyncio.run(_copy(source, target, force=force))
    if output is Output.JSON:
        print_json({"counts": {fate: fates[fate] for fate in Fate}, "problems": problems})
    else:
        _print(fates, problems)
    if problems:
        raise typer.Exit(Exit.CONFLICT)


async def _copy(source: str, target: str, *, force: bool) -> tuple[Counter[Fate], list[Copied]]:
    fates: Counter[Fate] = Counter()
    problems: list[Copied] = []
    async with opened(source) as from_, opened(target, may_make=True) as to:
        held = await from_.count(Find(held=True))
        if held and not force:
            raise Stop(
                Exit.CONFLICT,
                f"{held:,} leases run in {redacted(source)}, nothing was copied: stop its workers, or say --force",
            )
        async with aclosing(copied(from_, to, force=force)) as copies:
            async for one in copies:
                fates[one.fate] += 1
                if not one.is_there:
                    problems.append(one)
    return fates, problems


def _print(fates: Counter[Fate], problems: list[Copied]) -> None:
    if problems:
        short = Shortener(one.id for one in problems[:_TOLD])
        print_table(
            ["ID", "FATE", "REASON"],
            ([cell(short(one.id)), cell(one.fate.value), cell(one.reason)] for one in problems[:_TOLD]),
            empty="",
        )
        if len(problems) > _TOLD:
            print_lines(f"and {len(problems) - _TOLD:,} more: -o json")
    told = ", ".join(f"{fates[fate]:,} {fate.value}" for fate in Fate if fates[fate])
    print_lines(told or "nothing to copy")
