"""
Run random charts here and in XState, and compare every step.

    python -m tools.fuzz_xstate DIRECTORY [--charts 3000] [--first 0]

DIRECTORY holds `node_modules/xstate`. Exit 1 when a chart differs in a way that `docs/statecharts.md` does not state.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .charts import Chart, random_chart
from .differences import Difference, explain
from .ours import Refused, play

_BATCH = 250
_BATCH_S = 120.0
_SHOWN = 3


def main() -> int:
    """Compare, print the counts, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="fuzz_xstate", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("directory", type=Path, help="where node_modules/xstate is")
    parser.add_argument("--charts", type=int, default=3_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="seed of the first")
    given = parser.parse_args()
    counts: Counter[str] = Counter()
    unknown: list[int] = []
    for seed, config, events, theirs in _played(given.directory, given.first, given.charts):
        try:
            difference = explain(config, events, play(config, events), theirs)
        except Refused:
            counts["refused here: stricter than XState"] += 1
            continue
        counts[difference] += 1
        if difference is Difference.UNKNOWN:
            unknown.append(seed)
            if len(unknown) <= _SHOWN:
                _show(seed, config, events, theirs)
    for name, count in counts.most_common():
        _say(f"{count:>7,}  {name}")
    if unknown:
        _say(f"seeds of the unknown: {', '.join(map(str, unknown[:50]))}")
    return 1 if unknown or sum(counts.values()) != given.charts else 0


def _played(
    directory: Path, first: int, charts: int
) -> Iterator[tuple[int, Chart, list[str], dict[str, Any]]]:
    """Seeds, charts, events, and what XState saw, a batch of charts in one process."""
    for start in range(first, first + charts, _BATCH):
        cases = [(seed, *random_chart(seed)) for seed in range(start, min(start + _BATCH, first + charts))]
        lines = [json.dumps({"config": config, "events": events}) for _, config, events in cases]
        done = subprocess.run(  # noqa: S603 - a script of this folder, by the node on the path
            ["node", str(Path(__file__).with_name("run.mjs").resolve())],  # noqa: S607 - as make found it
            input="".join(f"{line}\n" for line in lines),
            capture_output=True,
            check=True,
            cwd=directory,
            text=True,
            timeout=_BATCH_S,
        )
        for (seed, config, events), line in zip(cases, done.stdout.splitlines(), strict=True):
            yield seed, config, events, json.loads(line)


def _show(seed: int, config: Chart, events: list[str], theirs: dict[str, Any]) -> None:
    ours = play(config, events)
    _say(f"seed {seed}: {json.dumps(config)}")
    if "steps" not in ours or "steps" not in theirs:
        _say(f"  here    {ours.get('error', 'ran')}\n  XState  {theirs.get('error', 'ran')}")
        return
    for event, mine, other in zip((None, *events), ours["steps"], theirs["steps"], strict=True):
        if mine != other:
            _say(f"  at {event}:\n  here    {json.dumps(mine)}\n  XState  {json.dumps(other)}")
            return


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
