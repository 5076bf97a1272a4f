"""The page docs/mutants.md, made from the mutants. In the root of the project: `python -m tests.mutants.document`."""

from __future__ import annotations

import sys

from pyarvo.testing.mutants import FAULTS, MUTANTS, Mutant

__all__ = ["mutants_page"]

_LEVELS = ("base", "leased", "query", "backend", "network")

_HEAD = """\
# The mutants, and the clauses that find them

A kit that passes everything proves nothing. Here are {count} memories with one lie in each, {runs} with the stores
that they lie over: in memory, over real SQLite and over a real Redis server. `pyarvo.testing.mutants` holds them, in
the wheel too. Every one is found by every clause in its row, by the first one with five of five seeds, and the right
backends pass the same clauses: `tests/mutants/test_matrix.py`. `make mutants` holds every mutant to every clause, and
to those of its row with all five seeds, and says which clause no mutant needs.

Some lie as a wrapper around a right backend (`AnyoneCommits`), some as a changed rule of the lease algorithm with its
retelling in Lua (`any_token_will_do`), some as one changed line of SQL or Lua (`first_record_stays`), some above the
backend (`WriteIsRetried`), and some as whole memories of four verbs. A mutant's level is the lowest one whose clauses
find it.
"""

_FAULTS = """
## The memories of the TypeScript system

Three mutants re-create the memories of the TypeScript system from their description. Of each fault that is known of
them, this is what the kit says, or why it cannot say anything.

| memory | fault | found by | what it says, or why it cannot |
|---|---|---|---|
"""


def mutants_page() -> str:
    """The whole page."""
    runs = sum(len(mutant.stores) for mutant in MUTANTS)
    parts = [_HEAD.format(count=len(MUTANTS), runs=runs)]
    for level in _LEVELS:
        parts.append(
            f"\n## Found at the level `{level}`\n\n| mutant | its lie | over | found by |\n|---|---|---|---|\n"
        )
        parts.extend(_row(mutant) for mutant in MUTANTS if mutant.level == level)
    parts.append(_FAULTS)
    for fault in FAULTS:
        found = f"`{fault.clause}`" if fault.clause else "nothing"
        says = f"“{fault.says}”" if fault.clause else fault.says
        parts.append(f"| `{fault.memory}` | {fault.fault} | {found} | {says} |\n")
    parts.append(_clauses())
    return "".join(parts)


def _row(mutant: Mutant) -> str:
    over = "a place of its own" if mutant.stores == ("none",) else ", ".join(mutant.stores)
    return f"| `{mutant.name}` | {mutant.lie} | {over} | {_codes(mutant.killed_by)} |\n"


def _codes(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _clauses() -> str:
    lines = [
        "\n## The other way round: clauses, and the mutants named for them\n\n| clause | mutants |\n|---|---|\n"
    ]
    for id in sorted({id for mutant in MUTANTS for id in mutant.killed_by}, key=_place):
        lines.append(
            f"| `{id}` | {_codes([mutant.name for mutant in MUTANTS if id in mutant.killed_by])} |\n"
        )
    return "".join(lines)


def _place(id: str) -> tuple[int, str]:
    return _LEVELS.index(id.split(".")[0]), id


if __name__ == "__main__":
    sys.stdout.write(mutants_page())
