"""`pyarvo demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from pyarvo.cli.opening import Session
from pyarvo.cli.options import OutputOption
from pyarvo.cli.output import Output

__all__ = ["demo"]


def demo(
    context: typer.Context,
    *,
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory",
            metavar="URL",
            help="sqlite:///path.db of a file that does not exist yet, and is kept; or a redis://, postgresql:// or "
            "nats:// server, in which the run has a place of its own. Left out: a temporary file.",
            show_default=False,
        ),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            metavar="redis|postgres|nats",
            help="Start one on this machine, run on it, kill it with SIGKILL in the middle, and start it again.",
            show_default=False,
        ),
    ] = None,
    no_replay: Annotated[
        bool, typer.Option("--no-replay", help="Switch replay off, to see the count of doubled effects fail.")
    ] = False,
    orders: Annotated[
        int | None, typer.Option(help="How many orders, 20 or more. Left out: all.", show_default=False)
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes at work at the same time, 1 to 4.")] = 2,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep",
            help="Keep the temporary folder with effects and logs, and what the run left in a server.",
        ),
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    Run an order workflow in worker processes, kill two of them in the middle of a step, and count what was lost
    and what was doubled. Exit status 0: nothing.
    """
    # The shop is built when it is imported: other commands need not wait for that.
    from pyarvo.demo.run import run_demo

    named = context.find_object(Session)
    if memory is None and named is not None and named.typed:  # one from the environment is not for playing
        memory = named.url
    status = run_demo(
        memory=memory,
        server=server,
        replay=not no_replay,
        orders=orders,
        workers=workers,
        keep=keep,
        as_json=output is Output.JSON,
    )
    raise typer.Exit(status)
