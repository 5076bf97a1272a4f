"""`pyarvo locks`: the leases that run, and taking one away."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from pyarvo.cli.exits import Exit, Stop
from pyarvo.cli.ids import Shortener, resolve
from pyarvo.cli.options import IdArgument, MemoryOption, OutputOption, session
from pyarvo.cli.output import Output, cell, print_json, print_lines, print_table
from pyarvo.cli.text import span, when
from pyarvo.cli.views import lock_view
from pyarvo.errors import RecordCorrupt
from pyarvo.memory import Find, Instance, Page
from pyarvo.memory.queries import QueryLevel

__all__ = ["locks"]

locks = typer.Typer(no_args_is_help=True, help="The leases of instances.")


@locks.command("list")
def list_locks(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="Most leases on a page.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="The next page, as the page before names it.")] = None,
    output: OutputOption = Output.TABLE,
    memory: MemoryOption = None,
) -> None:
    """List the leases that run now, by the store's clock."""

    async def work(store: QueryLevel) -> Page:
        return await store.instances(Find(held=True), limit=limit, cursor=cursor)

    page = session(context, memory).ask(work)
    if output is Output.JSON:
        print_json({"locks": [lock_view(instance) for instance in page.items], "cursor": page.cursor})
        return
    now = datetime.now(UTC)
    short = Shortener(instance.id for instance in page.items)
    print_table(
        ["ID", "HOLDER", "RENEWED", "REMAINING", "ORCHESTRATOR", "STATUS"],
        (
            [
                cell(short(it.id)),
                cell(it.holder),
                cell(None if it.since is None else when(it.since, now)),
                cell(span(it.remaining_s)),
                cell(it.orchestrator),
                cell(it.status),
            ]
            for it in map(lock_view, page.items)
        ),
        empty="no lease runs",
    )
    if page.cursor is not None:
        print_lines(f"more: --cursor {page.cursor}")


@locks.command("release")
def release(
    context: typer.Context,
    id: IdArgument,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the instance.", show_default=False)],
    output: OutputOption = Output.TABLE,
    memory: MemoryOption = None,
) -> None:
    """
    Take a lease away from its holder, whose write will then be refused.

    A lease that has run out but was never given back is ended too: its holder could still write.
    """

    async def work(store: QueryLevel) -> tuple[str, Instance | None, bool]:
        whole = await resolve(store, id)
        try:
            before = await store.get(whole)
        except RecordCorrupt:  # its lease can be ended all the same
            before = None
        return whole, before, await store.force_release(whole, reason=reason)

    whole, before, ended = session(context, memory).ask(work)
    shown = Shortener([whole])(whole)
    if not ended:
        raise Stop(Exit.CONFLICT, f"nobody holds {shown}; there is nothing to release")
    holder = None if before is None else before.holder or None
    was_held = None if before is None else before.held
    if output is Output.JSON:
        print_json(
            {"id": whole, "released": True, "holder": holder, "was_running": was_held, "reason": reason}
        )
        return
    expired = "; the lease had run out before" if was_held is False else ""
    print_lines(
        f"released {shown}, held by {holder or 'unknown'}{expired}: a write of that holder is now refused"
    )
