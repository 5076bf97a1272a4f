"""`pyarvo diagram pkg.mod:machine`: a machine as Mermaid, DOT or text."""

from __future__ import annotations

import contextlib
import importlib
import sys
import traceback
from collections.abc import Callable
from enum import StrEnum
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Final, cast

import typer

from pyarvo.cli.exits import Exit, Stop
from pyarvo.cli.options import OutputOption
from pyarvo.cli.output import Output, print_json, print_lines

__all__ = ["diagram"]


class Format(StrEnum):
    """What to draw with."""

    MERMAID = "mermaid"
    DOT = "dot"
    TEXT = "text"


_METHODS: Final = {Format.MERMAID: "to_mermaid", Format.DOT: "to_dot", Format.TEXT: "to_text"}


def diagram(
    machine: Annotated[
        str,
        typer.Argument(metavar="PKG.MOD:NAME", help="A machine: an importable module, and its name there."),
    ],
    format: Annotated[
        Format, typer.Option("--format", "-f", help="For SVG: -f dot, and Graphviz's `dot -Tsvg`.")
    ] = Format.MERMAID,
    output: OutputOption = Output.TABLE,
) -> None:
    """Draw a machine. The module is imported, from the present directory too: that runs its code."""
    drawn = _draw(_load(machine), machine, format)
    if output is Output.JSON:
        print_json({"machine": machine, "format": format, "text": drawn})
    else:
        print_lines(drawn.rstrip("\n"))


def _load(target: str) -> object:
    module_name, _, name = target.partition(":")
    if not module_name or not name or module_name.startswith("."):
        raise Stop(Exit.USAGE, f"{target!r} is not of the form package.module:name")
    module = _import(module_name)
    try:
        return attrgetter(name)(module)
    except AttributeError as error:
        raise Stop(Exit.NOT_FOUND, f"module {module_name} has no {name!r}") from error


def _import(name: str) -> object:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for the answer
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise Stop(Exit.FAILED, f"module {name} needs {error.name!r}, which is not installed") from error
        raise Stop(Exit.NOT_FOUND, f"there is no module {name!r} here or on the path") from error
    except Exception as error:  # a foreign module may raise anything
        traceback.print_exc()
        raise Stop(
            Exit.FAILED, f"module {name} cannot be imported: {type(error).__name__}: {error}"
        ) from error


def _draw(machine: object, target: str, format: Format) -> str:
    method = getattr(machine, _METHODS[format], None)
    if not callable(method) or isinstance(machine, type):
        raise Stop(
            Exit.USAGE, f"{target} is no machine but {type(machine).__name__}: it has no {_METHODS[format]}()"
        )
    return cast("Callable[[], str]", method)()
