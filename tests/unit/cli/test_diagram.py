"""`pyarvo diagram`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pyarvo.cli import app

MODULE = """
print("noise of an import")

class Drawn:
    def to_mermaid(self): return "stateDiagram-v2\\n  [*] --> a\\x1b[31m\\n"
    def to_dot(self): return "digraph { a }"
    def to_text(self): return "a"

class Holder: machine = Drawn()

machine = Drawn()
nested = Holder()
number = 3
"""
_names = count()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = f"drawn_{next(_names)}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield name
    sys.modules.pop(name, None)


def diagram(*words: str) -> Any:
    return CliRunner().invoke(app, ["diagram", *words])


@pytest.mark.parametrize(
    ("words", "drawn"),
    [
        ([], "stateDiagram-v2\n  [*] --> a\\x1b[31m\n"),
        (["-f", "mermaid"], "stateDiagram-v2\n  [*] --> a\\x1b[31m\n"),
        (["-f", "dot"], "digraph { a }\n"),
        (["-f", "text"], "a\n"),
    ],
)
def test_the_drawing_alone_is_on_stdout(module: str, words: list[str], drawn: str) -> None:
    result = diagram(f"{module}:machine", *words)
    assert (result.exit_code, result.stdout) == (0, drawn)
    assert "noise of an import" in result.stderr


def test_as_json_and_by_a_dotted_name(module: str) -> None:
    result = diagram(f"{module}:nested.machine", "-f", "text", "-o", "json")
    assert json.loads(result.stdout) == {"machine": f"{module}:nested.machine", "format": "text", "text": "a"}


@pytest.mark.parametrize(
    ("target", "code", "said"),
    [
        ("{}", 2, "package.module:name"),
        ("{}:", 2, "package.module:name"),
        (":machine", 2, "package.module:name"),
        (".{}:machine", 2, "package.module:name"),
        ("{}:number", 2, "is no machine but int"),
        ("{}:Drawn", 2, "is no machine but type"),
        ("{}:nothing", 3, "has no 'nothing'"),
        ("no_such_module_at_all:x", 3, "there is no module"),
        ("{}.deeper:x", 3, "there is no module"),
    ],
)
def test_what_cannot_be_drawn(module: str, target: str, code: int, said: str) -> None:
    result = diagram(target.format(module))
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import no_such_dependency", "needs 'no_such_dependency'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_module_that_does_not_import_is_status_1(module: str, text: str, said: str) -> None:
    Path(f"{module}_broken.py").write_text(text)
    result = diagram(f"{module}_broken:machine")
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr


def test_svg_is_refused_as_wrong_usage(module: str) -> None:
    assert diagram(f"{module}:machine", "-f", "svg").exit_code == 2
