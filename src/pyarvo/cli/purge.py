"""`pyarvo purge`: whole trees of finished instances that nobody changed for long."""

from __future__ import annotations

from typing import Annotated

import typer

from pyarvo.cli.ids import Shortener
from pyarvo.cli.options import MemoryOption, OutputOption, parsed_span, session
from pyarvo.cli.output import Output, cell, print_json, print_lines, print_table

__all__ = ["purge"]


def purge(
    context: typer.Context,
    *,
    older_than: Annotated[
        str,
        typer.Option(metavar="TIME", help="Last changed longer ago: 12h, 30d, 4w.", show_default=False),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only name what would be deleted.")] = False,
    output: OutputOption = Output.TABLE,
    memory: MemoryOption = None,
) -> None:
    """
    Delete finished workflows, each with all that it started.

    A tree with one member that is live, leased or younger stays whole. Tombstones refuse late events.
    """
    older_than_s = parsed_span("--older-than", older_than)
    ids = session(context, memory).ask(lambda store: store.purge(older_than_s=older_than_s, dry_run=dry_run))
    if output is Output.JSON:
        print_json({"purged": ids, "count": len(ids), "dry_run": dry_run})
        return
    short = Shortener(ids)
    print_table(["ID"], ([cell(short(id))] for id in ids), empty="nothing to purge")
    if ids:
        print_lines(f"{len(ids):,} {'would be deleted' if dry_run else 'deleted'}")
