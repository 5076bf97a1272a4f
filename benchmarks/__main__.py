from __future__ import annotations

import argparse
import asyncio
import importlib
from pathlib import Path

from benchmarks.turns import Row, write

NAMES = ("orchestration", "sqlite", "redis", "postgres", "nats", "telemetry", "growth")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", default=NAMES, help=f"which; default: {' '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter windows")
    parser.add_argument("--out", type=Path, default=Path("out/bench.json"), help="where the JSON goes")
    given = parser.parse_args()
    rows: list[Row] = []
    for name in given.names:
        rows += asyncio.run(importlib.import_module(f"benchmarks.{name}").run(quick=given.quick))
    write(rows, given.out)


if __name__ == "__main__":
    main()
