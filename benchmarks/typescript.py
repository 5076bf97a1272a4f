"""
A whole orchestration in memory, against Arvo's own TypeScript packages in Node: `make bench-typescript`.

Not among the default names, because it needs Node and npm.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.crowd import record_of
from benchmarks.orchestration import by_machine, by_resumable, orchestrate, repeated
from benchmarks.turns import Row, Work, compare
from pyarvo.events import ArvoEvent

PACKAGES = Path("out/typescript")
"""Where `node_modules` is."""
_WARM_UP = 2_000
"""Orchestrations of each way until V8 has compiled what it compiles."""


async def run(*, quick: bool) -> list[Row]:
    times, rounds = (150, 3) if quick else (600, 7)
    node = await asyncio.create_subprocess_exec(
        *("node", str(Path(__file__).with_suffix(".mjs").resolve())),
        cwd=PACKAGES,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**20,
    )
    rows: list[Row] = []
    try:
        for way, handlers in (("machine", by_machine()), ("resumable", by_resumable())):
            for what, items in (("", []), (", 2,000 B in each event", record_of(2_000)["items"])):
                last = await orchestrate(handlers, items)
                await _theirs(node, way, items, last, _WARM_UP)()
                rows.append(
                    await compare(
                        f"whole orchestration in memory by a {way}{what}",
                        repeated(partial(orchestrate, handlers, items), times),
                        "arvo-event-handler in Node",
                        _theirs(node, way, items, last, times),
                        target=None,
                        rounds=rounds,
                    )
                )
    finally:
        assert node.stdin is not None
        node.stdin.close()
        await node.wait()
    return rows


def _theirs(
    node: asyncio.subprocess.Process, way: str, items: list[Any], last: ArvoEvent, times: int
) -> Work:
    assert node.stdin is not None
    assert node.stdout is not None
    asking, answers = node.stdin, node.stdout
    question = json.dumps({"way": way, "items": items, "times": times}).encode() + b"\n"

    async def work() -> list[float]:
        asking.write(question)
        answer = json.loads(await answers.readline())
        assert answer["last"] == {"type": last.type, "data": last.data}, answer["last"]
        return answer["seconds"]

    return work
