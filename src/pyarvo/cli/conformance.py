"""`pyarvo conformance URL`: hold the memory of a store to every clause of the contract."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pyarvo.cli.exits import Exit, Stop, redacted
from pyarvo.cli.options import MemoryOption, UrlArgument, url_of
from pyarvo.cli.text import safe
from pyarvo.errors import InvalidOption
from pyarvo.memory import LeasedMemory
from pyarvo.testing.conformance import Factory, Level, Report, validate
from pyarvo.testing.conformance.stores import factory_of

__all__ = ["conformance"]


class _Form(StrEnum):
    """How the report is told."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def conformance(
    context: typer.Context,
    url: UrlArgument = None,
    *,
    level: Annotated[
        list[Level] | None,
        typer.Option(
            help="A level that the memory declares; may be given again. Default: all that it offers."
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="A clause, or a pattern such as 'base.ownership.*'; may be given again.", metavar="ID"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything drawn at random.")] = 0,
    badge: Annotated[
        Path | None, typer.Option(help="Also write an SVG badge to this file.", dir_okay=False)
    ] = None,
    output: Annotated[
        _Form, typer.Option("--output", "-o", help="Text for people, or JSON or Markdown alone on stdout.")
    ] = _Form.TEXT,
    memory: MemoryOption = None,
) -> None:
    """
    Try to break every promise of a memory, in its store, at a place of its own there; about half a minute.

    Exit status 1 when a promise is broken. The clauses are listed in docs/conformance.md.
    """
    named = url_of(context, url or memory)
    try:
        report = asyncio.run(_validated(named, level, only, seed))
    except ImportError as error:
        raise Stop(Exit.FAILED, f"the memory of {redacted(named)} cannot be loaded: {error}") from error
    sys.stdout.write(_told(report, output))
    if badge is not None:
        badge.write_text(report.to_badge(), encoding="utf-8")
    if not report.ok:
        raise typer.Exit(Exit.FAILED)


async def _validated(
    url: str, levels: Sequence[Level] | None, only: Sequence[str] | None, seed: int
) -> Report:
    try:
        async with factory_of(url) as (factory, server):
            await _there(factory)
            return await validate(factory, levels=levels or None, only=only or None, seed=seed, server=server)
    except OSError as error:
        raise InvalidOption(
            "url", f"no place for the kit at {redacted(url)}: {error.strerror or error}"
        ) from error


async def _there(factory: Factory) -> None:
    """Ask our own memories for their store first: where it is away every clause would wait for it."""
    memory = factory()
    if isinstance(memory, LeasedMemory):
        async with memory:
            await memory.ping()


def _told(report: Report, form: _Form) -> str:
    if form is _Form.JSON:
        return report.to_json() + "\n"
    text = report.to_markdown() if form is _Form.MARKDOWN else report.to_text()
    return "\n".join(safe(line) for line in text.split("\n")).rstrip("\n") + "\n"
