"""
The table of docs/benchmarks.md, from what a run wrote: `python -m benchmarks.document out/bench.json`.

The run is kept beside the page, in docs/benchmarks.json; a test holds the one against the other.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["with_table"]

_BEGIN, _END = "<!-- rows -->\n", "<!-- end of rows -->\n"
_HEAD = """\
| what | against | ratio | aim | steps/s | theirs | p50 | CPU here | of servers | to disk |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|
"""


def with_table(page: str, run: dict[str, Any]) -> str:
    """*page*, its table made anew."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    machine = f"`{run['command']}` on Python {run['python']}, {run['machine']}, {run['cores']} cores.\n\n"
    return f"{before}{_BEGIN}{machine}{_HEAD}{''.join(_lines(run['rows']))}{_END}{after}"


def _lines(rows: Iterable[dict[str, Any]]) -> Iterable[str]:
    for row in rows:
        aim = "" if row["target"] is None else f"{row['target']:.2g}"
        ratio = f"{row['ratio']:.2f}"
        if row["target"] is not None and row["ratio"] < row["target"]:
            ratio = f"**{ratio}**"
        cells = (
            *(row["what"], row["against"], ratio, aim),
            *(f"{row['rate']:,.0f}", f"{row['reference_rate']:,.0f}"),
            *(_time(row["p50_us"]), _time(row["cpu_us"]), _time(row["servers_cpu_us"])),
            f"{row['written']:,.0f} B",
        )
        yield f"| {' | '.join(cells)} |\n"


def _time(us: float) -> str:
    return f"{us:,.0f} us" if us < 10_000 else f"{us / 1_000:,.0f} ms"


def main(source: Path) -> None:
    """Take over what the run wrote."""
    docs = Path(__file__).parents[1] / "docs"
    run = json.loads(source.read_text())
    (docs / "benchmarks.json").write_text(json.dumps(run, indent=1) + "\n")
    page = docs / "benchmarks.md"
    page.write_text(with_table(page.read_text(), run))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
