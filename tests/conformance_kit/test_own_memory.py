"""The page "Write your own memory": its code is the example, and the example keeps the base level."""

from __future__ import annotations

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest

from pyarvo.memory import MachineMemory
from pyarvo.testing.conformance import Factory, MachineMemoryConformance

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "write-your-own-memory.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples" / "own_memory.py"


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def own_memory() -> ModuleType:
    spec = spec_from_file_location("own_memory", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_holds_the_whole_example() -> None:
    code, _ = blocks()
    assert code == EXAMPLE.read_text(encoding="utf-8")
    assert code.count("\n") < 150


def test_the_test_on_the_page_is_a_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, test = blocks()
    monkeypatch.setitem(sys.modules, "own_memory", own_memory())
    names: dict[str, Any] = {}
    exec(compile(test, "page", "exec"), names)
    collected = cast("type[MachineMemoryConformance]", names["TestLmdbMemory"])
    assert issubclass(collected, MachineMemoryConformance)
    assert tuple(collected.levels) == ("base",)


class TestOwnMemory(MachineMemoryConformance):
    levels = ("base",)

    @pytest.fixture
    def memory_factory(self, tmp_path: Path) -> Factory:
        module = own_memory()

        def factory(**options: Any) -> MachineMemory:
            return module.LmdbMemory(tmp_path, **options)

        return factory
