"""
Play every scenario with its handlers here and in the TypeScript system, in every mixture, and compare what was seen.

    python -m tools.interop DIRECTORY [--record]

DIRECTORY holds `node_modules/arvo-event-handler`. Exit 1 when a mixture differs from TypeScript alone.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, cast

from .node import Node
from .play import play
from .scenarios import SCENARIOS, SOURCES

_VECTORS = Path(__file__).parents[2] / "tests" / "vectors" / "arvo_interop.json.gz"
_SHOWN = 5


def main() -> int:
    """Compare, print the counts, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="interop", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("directory", type=Path, help="where node_modules/arvo-event-handler is")
    parser.add_argument("--record", action="store_true", help="write what TypeScript alone did as vectors")
    given = parser.parse_args()
    logging.disable()  # handlers that fail on purpose would tell at length
    mixtures = [there for size in range(len(SOURCES)) for there in combinations(SOURCES, size)]
    recorded: dict[str, Any] = {}
    events = differ = 0
    with Node(given.directory) as node:
        for name, scenario in SCENARIOS.items():
            alone = recorded[name] = play(scenario, SOURCES, node.ask)
            for there in mixtures:
                mixed = play(scenario, there, node.ask)
                events += len(mixed)
                if json.dumps(mixed) != json.dumps(alone):
                    differ += 1
                    _say(f"{name}, with {', '.join(there) or 'nothing'} in TypeScript:")
                    for line in list(_differences("", alone, mixed))[:_SHOWN]:
                        _say(f"  {line}")
    _say(f"{len(SCENARIOS)} scenarios, {len(mixtures)} mixtures of each, {events:,} steps; {differ} differ")
    if given.record:
        text = json.dumps(recorded, ensure_ascii=False, separators=(",", ":"))
        _VECTORS.write_bytes(gzip.compress(text.encode(), mtime=0))
    return 1 if differ else 0


def _differences(path: str, theirs: Any, ours: Any) -> Iterator[str]:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        theirs, ours = cast("dict[str, Any]", theirs), cast("dict[str, Any]", ours)
        for key in {**theirs, **ours}:
            yield from _differences(f"{path}.{key}", theirs.get(key), ours.get(key))
        if list(theirs) != list(ours):
            yield f"{path}: the order of keys"
    elif isinstance(theirs, list) and isinstance(ours, list):
        theirs, ours = cast("list[Any]", theirs), cast("list[Any]", ours)
        for index in range(min(len(theirs), len(ours))):
            yield from _differences(f"{path}[{index}]", theirs[index], ours[index])
        if len(theirs) != len(ours):
            yield f"{path}: {len(theirs)} in TypeScript alone, {len(ours)} mixed"
    elif json.dumps(theirs) != json.dumps(ours):
        yield f"{path}: {json.dumps(theirs)[:99]} in TypeScript alone, {json.dumps(ours)[:99]} mixed"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
