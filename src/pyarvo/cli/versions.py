"""`pyarvo instances diff`: what differs between two versions of a record."""

from __future__ import annotations

from typing import Annotated

import typer

from pyarvo.cli.diff import Change, changes
from pyarvo.cli.exits import Exit, Stop
from pyarvo.cli.explain_page import change_text
from pyarvo.cli.facts import Look, damaged, looked_at
from pyarvo.cli.ids import Shortener
from pyarvo.cli.options import IdArgument, MemoryOption, OutputOption, session
from pyarvo.cli.output import Output, print_json, print_lines
from pyarvo.errors import RecordCorrupt
from pyarvo.memory import Instance, Record
from pyarvo.memory.queries import QueryLevel

__all__ = ["diff"]


def diff(
    context: typer.Context,
    *,
    id: IdArgument,
    before: Annotated[
        int | None, typer.Option("--from", min=1, help="This version; by default the one before --to.")
    ] = None,
    after: Annotated[int | None, typer.Option("--to", min=1, help="And this; by default the latest.")] = None,
    output: OutputOption = Output.TABLE,
    memory: MemoryOption = None,
) -> None:
    """Show what the last step changed in the record, or what differs between two kept versions."""

    async def work(store: QueryLevel) -> tuple[Look, dict[int, Record | RecordCorrupt]]:
        look = await looked_at(store, id)
        kept = dict(await store.earlier(look.instance.id))
        if look.instance.data is not None:
            kept[look.instance.version] = look.instance.data
        return look, kept

    look, kept = session(context, memory).ask(work)
    instance = look.instance
    newer = instance.version if after is None else after
    older = newer - 1 if before is None else before
    if look.damage is not None and instance.version in {older, newer}:
        raise damaged(look)
    new = _record(instance, kept, newer)
    old = _record(instance, kept, older)
    found_changes: list[Change] = list(changes(old, new))
    if output is Output.JSON:
        print_json({"id": instance.id, "from": older, "to": newer, "changes": found_changes})
        return
    print_lines(f"{Shortener([instance.id])(instance.id)}  from version {older} to {newer}")
    for change in found_changes:
        print_lines(change_text(change))
    if not found_changes:
        print_lines("nothing differs")


def _record(instance: Instance, kept: dict[int, Record | RecordCorrupt], version: int) -> Record:
    record = kept.get(version)
    if isinstance(record, RecordCorrupt):
        raise Stop(Exit.FAILED, f"version {version} is damaged: {record.args[0]}")
    if record is not None:
        return record
    if version < 1 or version > instance.version:
        last = f"the latest is {instance.version}" if instance.version else "it has no record"
        raise Stop(Exit.NOT_FOUND, f"there is no version {version}; {last}")
    have = ", ".join(map(str, sorted(kept)))
    raise Stop(
        Exit.NOT_FOUND,
        f"version {version} is not kept (there is {have}): set history=N in the options of the memory that writes",
    )
