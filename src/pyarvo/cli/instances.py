"""`pyarvo instances`: list, show, history, diff, tree, explain, delete."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.text import Text
from rich.tree import Tree as Picture

from pyarvo.cli.exits import Exit, Stop
from pyarvo.cli.explain_page import print_explanation
from pyarvo.cli.explaining import explain as explanation_of
from pyarvo.cli.facts import Branch, Tree, facts_of, family_tree, found, last_steps, looked_at
from pyarvo.cli.ids import Shortener, resolve
from pyarvo.cli.options import IdArgument, MemoryOption, OutputOption, parsed_span, session
from pyarvo.cli.output import Output, cell, console, print_json, print_lines, print_table, status_cell
from pyarvo.cli.text import pretty, safe, span, utc, when
from pyarvo.cli.versions import diff
from pyarvo.cli.views import RecordView, StepView, instance_view, kind_of, record_view, step_view
from pyarvo.memory import Find, Instance, Page, Record
from pyarvo.memory.arguments import MIN_TIME
from pyarvo.memory.queries import QueryLevel

__all__ = ["instances"]

instances = typer.Typer(no_args_is_help=True, help="Running and finished workflows.")


# ------------------------------------------------------------------------------------------------------ list


@instances.command("list")
def list_instances(
    context: typer.Context,
    *,
    orchestrator: Annotated[
        str | None, typer.Option(help="Only of this orchestrator (an event type).")
    ] = None,
    version: Annotated[str | None, typer.Option(help="Only of this version of it.")] = None,
    status: Annotated[
        str | None, typer.Option(help="Only with this status: active, done, failure, error, stopped.")
    ] = None,
    parent: Annotated[str | None, typer.Option(metavar="ID", help="Only children of this instance.")] = None,
    older_than: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only last changed longer ago: 30s, 30m, 2h, 7d.")
    ] = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="Tombstones instead.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="Most instances on a page.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="The next page, as the page before names it.")] = None,
    output: OutputOption = Output.TABLE,
    memory: MemoryOption = None,
) -> None:
    """List instances, newest first."""
    before = None
    if older_than is not None:
        before = max(time.time() - parsed_span("--older-than", older_than), MIN_TIME)

    async def work(store: QueryLevel) -> tuple[Page, int]:
        what = Find(
            orchestrator=orchestrator,
            version=version,
            status=status,
            parent=None if parent is None else await _parent(store, parent),
            updated_before=before,
            deleted=deleted,
        )
        return await store.instances(what, limit=limit, cursor=cursor), await store.count(what)

    page, count = session(context, memory).ask(work)
    if output is Output.JSON:
        shown = [instance_view(instance) for instance in page.items]
        print_json({"instances": shown, "count": count, "cursor": page.cursor})
    else:
        _print_list(page, count)


async def _parent(store: QueryLevel, text: str) -> str:
    """A parent may live in another store: then it goes by its whole id."""
    try:
        return await resolve(store, text)
    except Stop as stop:
        if stop.code is not Exit.NOT_FOUND:
            raise
        return text


def _print_list(page: Page, count: int) -> None:
    now = datetime.now(UTC)
    short = Shortener(instance.id for instance in page.items)
    columns = ["ID", "ORCHESTRATOR", "VERSION", "STATUS", "STEPS", "CHANGED", "LEASE"]
    print_table(
        columns,
        (
            [
                cell(short(it.id)),
                *map(cell, kind_of(it)),
                status_cell("deleted" if it.deleted_at is not None else it.status),
                cell(it.version),
                cell(_ago(it.updated_at, now)),
                cell(f"{it.holder}, {span(it.expires_in_s or 0.0)} left" if it.held else None),
            ]
            for it in page.items
        ),
        empty="no instances",
    )
    if page.cursor is not None:
        print_lines(f"{len(page.items)} of {count:,}; more: --cursor {page.cursor}")


def _ago(at: float, now: datetime) -> str:
    return when(utc(at) or now, now)


# ------------------------------------------------------------------------------------------------------ show


@instances.command("show")
def show(
    context: typer.Context, id: IdArgument, output: OutputOption = Output.TABLE, memory: MemoryOption = None
) -> None:
    """Show one instance: what the memory knows about it, and its record."""
    instance = session(context, memory).ask(lambda store: found(store, id))
    if output is Output.JSON:
        print_json({"instance": instance_view(instance), "record": instance.data})
        return
    view = instance_view(instance)
    lease = "nobody"
    if view.lease.since is not None:
        left = span(view.lease.remaining_s or 0.0)
        lease = f"{view.lease.holder}, granted or renewed {view.lease.since:%H:%M:%S} UTC, {left} left"
    lines: list[tuple[str, object]] = [
        ("id", view.id),
        ("orchestrator", f"{view.orchestrator} {view.orchestrator_version}" if view.orchestrator else None),
        ("status", view.status),
        ("parent", view.parent),
        ("version", f"{view.version} (fence {view.fence})"),
        ("held by", lease),
        ("last holder", view.lease.last_holder),
        ("created", view.created_at),
        ("changed", view.updated_at),
        ("deleted", view.deleted_at),
        ("released", view.lease.note),
    ]
    for name, value in lines:
        if value is not None:
            text = f"{value:%Y-%m-%d %H:%M:%S} UTC" if isinstance(value, datetime) else safe(str(value))
            print_lines(f"{name:<13}{text}")
    print_lines("record       none" if instance.data is None else f"\n{pretty(instance.data)}")


# --------------------------------------------------------------------------------------------------- history


@instances.command("history")
def history(
    context: typer.Context,
    *,
    id: IdArgument,
    after: Annotated[
        int | None, typer.Option(min=0, help="Steps after this version; by default the latest steps.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="Most steps.")] = 100,
    output: OutputOption = Output.TABLE,
    memory: MemoryOption = None,
) -> None:
    """List the steps of an instance, oldest first, and its earlier records where the memory keeps them."""

    async def work(store: QueryLevel) -> tuple[Instance, list[StepView], list[RecordView]]:
        instance = (await looked_at(store, id)).instance  # steps are there also when the record is damaged
        if after is None:
            steps = await last_steps(store, instance, limit)
        else:
            steps = await store.journal(instance.id, after=after, limit=limit)
        kept = await store.earlier(instance.id)
        return instance, [step_view(step) for step in steps], [record_view(*one) for one in kept]

    instance, steps, records = session(context, memory).ask(work)
    if output is Output.JSON:
        print_json({"id": instance.id, "version": instance.version, "steps": steps, "records": records})
        return
    print_table(
        ["VERSION", "TIME", "EVENT", "SOURCE", "PRODUCED"],
        (
            [
                cell(step.version),
                cell(None if step.at is None else f"{step.at:%Y-%m-%d %H:%M:%S}"),
                cell(step.event.id if step.event else "a write without an event"),
                cell(step.event.source if step.event else None),
                Text("\n").join(_produced(event) for event in step.produced) if step.produced else cell(None),
            ]
            for step in steps
        ),
        empty="no steps",
    )
    versions = ", ".join(str(record.version) for record in records)
    kept = f"kept, of versions {versions}" if records else "not kept: set history=N in the memory's options"
    print_lines(f"Earlier records: {kept}")
    for record in records:
        if record.damage is not None:
            print_lines(safe(f"Version {record.version} is damaged: {record.damage}"))


def _produced(event: Record) -> Text:
    to, domain = event.get("to"), event.get("domain")
    route = f" to {to}" if to and to != event.get("type") else ""
    return cell(f"{event.get('type')}{route}{f' in domain {domain}' if domain else ''}")


instances.command("diff")(diff)


# ------------------------------------------------------------------------------------------------------ tree


@instances.command("tree")
def tree(
    context: typer.Context,
    id: IdArgument,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most instances.")] = 500,
    output: OutputOption = Output.TABLE,
    memory: MemoryOption = None,
) -> None:
    """Show the parents and children of an instance, from the root down."""
    family = session(context, memory).ask(lambda store: family_tree(store, id, limit))
    if output is Output.JSON:
        print_json(
            {
                "id": family.id,
                "missing_parent": family.missing_parent,
                "complete": not family.cut,
                "root": _branch_data(family.root),
            }
        )
    else:
        _print_tree(family)


def _branch_data(top: Branch) -> dict[str, Any]:
    # A loop: a family may be deeper than Python's stack.
    root: dict[str, Any] = {}
    waiting = [(top, root)]
    for branch, data in waiting:
        below: list[dict[str, Any]] = [{} for _ in branch.children]
        data["instance"] = instance_view(branch.instance)
        data["children"] = below
        waiting.extend(zip(branch.children, below, strict=True))
    return root


def _print_tree(family: Tree) -> None:
    waiting: list[tuple[Branch, Picture | None]] = [(family.root, None)]
    ids: list[str] = []
    for branch, _ in waiting:
        ids.append(branch.instance.id)
        waiting.extend((child, None) for child in branch.children)
    short = Shortener(ids)
    picture = Picture(_branch_text(family.root.instance, family.id, short))
    drawing = [(family.root, picture)]
    for branch, node in drawing:
        for child in branch.children:
            drawing.append((child, node.add(_branch_text(child.instance, family.id, short))))
    if family.missing_parent is not None:
        print_lines(f"its parent {short(family.missing_parent)} is not in this store")
    console().print(picture)
    if family.cut:
        print_lines(f"only the first {len(ids):,}; more: --limit")


def _branch_text(instance: Instance, asked: str, short: Shortener) -> Text:
    name = cell(short(instance.id), "bold" if instance.id == asked else "")
    kind = " ".join(part for part in kind_of(instance) if part)
    status = status_cell("deleted" if instance.deleted_at is not None else instance.status)
    parts = [name, cell(kind), status, cell("held", "yellow") if instance.held else Text()]
    mark = cell("<- this one") if instance.id == asked else Text()
    return Text("  ").join(part for part in (*parts, mark) if part.plain)


# --------------------------------------------------------------------------------------------------- explain


@instances.command("explain")
def explain(
    context: typer.Context, id: IdArgument, output: OutputOption = Output.TABLE, memory: MemoryOption = None
) -> None:
    """Say on one screen why an instance is where it is, and what to type next."""
    chosen = session(context, memory)
    facts = chosen.ask(lambda store: facts_of(store, id, chosen.to_repeat))
    explanation = explanation_of(facts)
    if output is Output.JSON:
        print_json(explanation)
    else:
        print_explanation(explanation, datetime.fromtimestamp(facts.now, UTC))


# ---------------------------------------------------------------------------------------------------- delete


@instances.command("delete")
def delete(
    context: typer.Context,
    *,
    id: IdArgument,
    force: Annotated[bool, typer.Option("--force", help="Also while somebody holds it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: OutputOption = Output.TABLE,
    memory: MemoryOption = None,
) -> None:
    """Delete record and journal of an instance; late events of it are refused from then on."""
    chosen = session(context, memory)
    whole = chosen.ask(lambda store: resolve(store, id))
    if not yes:
        if sys.__stdin__ is None or not sys.stdin.isatty():
            raise Stop(Exit.USAGE, "nobody is there to ask; say --yes")
        typer.confirm(f"Delete {safe(whole)}?", abort=True, err=True)
    existed = chosen.ask(lambda store: store.delete(whole, force=force))
    if not existed:
        raise Stop(Exit.NOT_FOUND, f"instance {Shortener([whole])(whole)} has no record")
    if output is Output.JSON:
        print_json({"id": whole, "deleted": True})
    else:
        print_lines(f"deleted {Shortener([whole])(whole)}")
