"""
Restore, step and save of a three-region chart, against one JSON round trip of the same snapshot.

Run: `python -m benchmarks.statechart`. Both are measured in turns, in the same process; the best of many rounds is told,
because anything above it is the machine's other work.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

import msgspec

from pyarvo.statecharts import Machine, assign, emit, step

TARGET_US = 100.0
ROUNDS = 40
REPEAT = 500


def _region(name: str) -> dict[str, Any]:
    return {
        "initial": "idle",
        "states": {
            "idle": {
                "on": {
                    f"evt.{name}.start": "busy",
                    "evt.tick": {"actions": assign({name: lambda context, _: context[name] + 1})},
                }
            },
            "busy": {
                "entry": emit(lambda context, _: {"type": f"com.{name}.go", "data": {"n": context[name]}}),
                "initial": "first",
                "states": {
                    "first": {"always": {"target": "second", "guard": lambda context, _: context[name] >= 0}},
                    "second": {"on": {f"evt.{name}.done": f"#{name}.end", "evt.tick": f"#{name}.idle"}},
                },
            },
            "end": {"type": "final"},
        },
        "id": name,
    }


def machine() -> Machine:
    """Three regions, two levels, a guard, an eventless transition, an assignment and an emission in each."""
    regions = {name: _region(name) for name in ("stock", "money", "parcel")}
    return Machine(
        {
            "id": "order",
            "type": "parallel",
            "context": {
                "stock": 0,
                "money": 0,
                "parcel": 0,
                "items": [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}],
            },
            "states": regions,
        }
    )


def _measure(work: Any) -> float:
    start = perf_counter()
    for _ in range(REPEAT):
        work()
    return (perf_counter() - start) / REPEAT * 1e6


def main() -> None:
    """Print the times in microseconds and their ratio."""
    chart = machine()
    decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
    saved = [encode(step(chart, None).snapshot)]
    for event in ("evt.stock.start", "evt.tick"):
        saved.append(encode(step(chart, decode(saved[-1]), event).snapshot))
    work = [(saved[0], "evt.stock.start"), (saved[1], "evt.money.start"), (saved[2], "evt.tick")]

    def one_step() -> None:
        for text, event in work:
            encode(step(chart, decode(text), event).snapshot)

    def round_trip() -> None:
        for text, _ in work:
            encode(decode(text))

    times = [(_measure(one_step) / len(work), _measure(round_trip) / len(work)) for _ in range(ROUNDS)]
    stepped, alone = min(one for one, _ in times), min(one for _, one in times)
    print(f"restore + step + save   {stepped:7.1f} us   (target: under {TARGET_US:.0f} us)")
    print(f"one JSON round trip     {alone:7.1f} us")
    print(f"ratio                   {stepped / alone:7.1f}")


if __name__ == "__main__":
    main()
