"""
The tables of docs/trials.md, from the files that a run wrote: `python -m trials.document out/trials`.

The rows are kept beside the page, in docs/trials.json; a test holds the one against the other.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pyarvo.testing.simulation.mutants import MUTANTS
from trials.results import Results, table

__all__ = ["with_tables"]

_HOLES = """\
| hole | what is wrong | first seed | promise that breaks | alone |
|---|---|---|---|---|
"""


def with_tables(page: str, facts: dict[str, Any]) -> str:
    """*page*, its tables made anew."""
    commands = "".join(f"{row['command']}\n" for row in facts["rows"])
    results = f"```\n{commands}```\n\n{table(facts['rows'])}"
    return _between(_between(page, "holes", _hole_table(facts["holes"])), "results", results)


def _between(page: str, name: str, text: str) -> str:
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}{text}{end}{after}"


def _hole_table(holes: dict[str, Any]) -> str:
    lines = [_HOLES]
    for name, hole in holes.items():
        alone = "-" if hole["by_results_alone"] is None else hole["by_results_alone"]
        promise = (hole["promise"] or "none").partition(" (")[0].partition(":")[0]
        lines.append(f"| `{name}` | {MUTANTS[name].lie} | {hole['seed']} | {promise} | {alone} |\n")
    return "".join(lines)


def main(folder: Path) -> None:
    """Take over what the run into *folder* wrote."""
    docs = Path(__file__).parents[1] / "docs"
    order = ("freeze", "events", "seeds", "holes")
    rows = sorted(Results(folder).rows, key=lambda row: order.index(row["trial"]))
    facts = {"rows": rows, "holes": json.loads((folder / "holes.json").read_text())}
    (docs / "trials.json").write_text(json.dumps(facts, indent=1) + "\n")
    page = docs / "trials.md"
    page.write_text(with_tables(page.read_text(), facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
