"""`pyarvo migrate`: makes a memory's tables or brings them up to date, or prints how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from pyarvo.cli.exits import Exit, Stop, redacted
from pyarvo.cli.options import MemoryOption, OutputOption, UrlArgument, session, url_of
from pyarvo.cli.output import Output, print_json, print_lines
from pyarvo.memory.migrating import is_made, schema_of
from pyarvo.memory.queries import QueryLevel

__all__ = ["migrate"]


def migrate(
    context: typer.Context,
    url: UrlArgument = None,
    *,
    print_only: Annotated[
        bool, typer.Option("--print", help="Print the SQL of the newest schema, and change nothing.")
    ] = False,
    output: OutputOption = Output.TABLE,
    memory: MemoryOption = None,
) -> None:
    """Make a memory's file, tables or bucket, or bring them up to date; a memory does it by itself where it may."""
    chosen = session(context, url or memory)
    named = url_of(context, url or memory)
    try:
        schema = schema_of(named)
    except ImportError as error:
        raise Stop(Exit.FAILED, f"the memory of {redacted(named)} cannot be loaded: {error}") from error
    if schema is None and (print_only or not is_made(named)):
        _say(output, {"url": redacted(named), "migrated": False}, "nothing to migrate: it has no schema")
        return
    if schema is not None and print_only:
        _say(output, {"url": redacted(named), "version": schema.version, "sql": schema.sql}, schema.sql)
        return

    async def work(store: QueryLevel) -> None:
        await store.ping()

    chosen.ask(work, may_make=True)
    version = None if schema is None else schema.version
    text = f"{redacted(named)} has schema {version}" if version else f"{redacted(named)} is made"
    _say(output, {"url": redacted(named), "migrated": True, "version": version}, text)


def _say(output: Output, data: Mapping[str, object], text: str) -> None:
    if output is Output.JSON:
        print_json(data)
    else:
        print_lines(text.rstrip("\n"))
