"""The command `pyarvo` as a whole: its groups, the global options, and how errors become exit statuses."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pyarvo.cli.bench import bench
from pyarvo.cli.conformance import conformance
from pyarvo.cli.copy import copy
from pyarvo.cli.demo import demo
from pyarvo.cli.diagram import diagram
from pyarvo.cli.doctor import doctor
from pyarvo.cli.exits import Exit, Stop, code_of, redacted, report
from pyarvo.cli.instances import instances
from pyarvo.cli.locks import locks
from pyarvo.cli.migrate import migrate
from pyarvo.cli.opening import MEMORY_VARIABLE, Session
from pyarvo.cli.purge import purge
from pyarvo.errors import ArvoError

__all__ = ["app", "main"]


class _Commands(TyperGroup):
    """Ends every command that fails in the same way."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (Stop, ArvoError) as error:
            report(error)
            raise typer.Exit(code_of(error)) from error
        except BrokenPipeError:
            raise  # nobody reads on: typer ends quietly
        except OSError as error:  # the answer, or a file beside it, cannot be written
            report(Stop(Exit.FAILED, str(error)))
            raise typer.Exit(Exit.FAILED) from error
        except Exception as error:
            # typer's own errors quote what was typed, which may be a URL in the wrong place.
            message = getattr(error, "message", None)
            if isinstance(message, str):
                error.message = redacted(message)  # pyright: ignore[reportAttributeAccessIssue]
            raise


app = typer.Typer(
    cls=_Commands,
    name="pyarvo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="Look at a machine memory, tend and examine it, draw machines, run the demo.",
    epilog="Exit status: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 locked or in conflict.",
)
app.add_typer(instances, name="instances")
app.add_typer(locks, name="locks")
app.command("diagram")(diagram)
app.command("doctor")(doctor)
app.command("migrate")(migrate)
app.command("copy")(copy)
app.command("purge")(purge)
app.command("bench")(bench)
app.command("conformance")(conformance)
app.command("demo")(demo)


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    try:
        number = version("pyarvo")
    except PackageNotFoundError:  # run from a source tree
        number = "of a source tree"
    typer.echo(f"pyarvo {number}")
    raise typer.Exit


@app.callback()
def choose(
    context: typer.Context,
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory",
            metavar="URL",
            envvar=MEMORY_VARIABLE,
            help="The memory: sqlite:///relative.db, sqlite:////absolute.db, redis://host/0, postgresql://host/db, "
            "nats://host/bucket.",
            show_default=False,
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version
    source = context.get_parameter_source("memory")
    context.obj = Session(url=memory, typed=source is not None and source.name == "COMMANDLINE")


def main() -> None:
    """Run the command line; the entry point `pyarvo`."""
    if sys.__stderr__ is None:  # closed by whoever started us: what is said to nobody must not go to stdout
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for the life of the process
    if sys.__stdout__ is None:  # before anything is done that could then not be told
        report(
            Stop(Exit.FAILED, "stdout is closed, there is nowhere to write the answer; > /dev/null drops it")
        )
        sys.exit(Exit.FAILED)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter is no failure
    app(prog_name="pyarvo")
