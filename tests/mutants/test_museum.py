"""What docs/museum.md names is there: tests, clauses and mutants."""

from __future__ import annotations

import re
from pathlib import Path

from pyarvo.testing.conformance.clause import clauses
from pyarvo.testing.mutants import MUTANTS

_ROOT = Path(__file__).parents[2]


def _named() -> list[str]:
    return re.findall(r"`([^`]+)`", (_ROOT / "docs" / "museum.md").read_text(encoding="utf-8"))


def test_its_tests_are_there() -> None:
    tests = {name for name in _named() if name.startswith("test_")}
    sources = "".join(path.read_text(encoding="utf-8") for path in (_ROOT / "tests").rglob("test_*.py"))
    assert len(tests) >= 10
    assert {name for name in tests if f"def {name}(" not in sources} == set()


def test_its_clauses_are_there() -> None:
    levels = ("base.", "leased.", "query.", "backend.")
    named = {name for name in _named() if name.startswith(levels)}
    assert named
    assert named <= {clause.id for clause in clauses()}


def test_its_mutants_are_there_and_found_by_the_clause_beside_them() -> None:
    page = (_ROOT / "docs" / "museum.md").read_text(encoding="utf-8").splitlines()
    by_name = {mutant.name: mutant for mutant in MUTANTS}
    beside = [
        (by_name[name], [id for id in names if "." in id])
        for names in (re.findall(r"`([^`]+)`", line) for line in page)
        for name in names
        if name in by_name
    ]
    assert len(beside) >= 5
    assert [mutant.name for mutant, ids in beside if not {*ids} & {*mutant.killed_by}] == []
