"""
Counts what a run came to: `python -m pyarvo.demo.check --memory URL --effects FILE --input FILE --json`.

A process of its own, which knows nothing but the memory, the effects and the input: the instances through the public
queries, the demo's tables, and what each order should have come to (`orders.fate_of`).

A **takeover** is counted from the store: every lease that is granted raises the instance's fence by one, and ends
with a commit (which raises the version by one) or with a release (which the worker writes down). What is left of
the fence are leases that nobody gave up, and that a successor's followed. On a server that was killed these are
also leases that were granted just then, so that no worker heard of them.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import msgspec
from rich.console import Console

from pyarvo.demo.effects import STATEMENTS, connect
from pyarvo.demo.orders import Fate, fate_of, placed_orders, read_lines
from pyarvo.demo.place import Place
from pyarvo.demo.report import DeadLetter, KillReport, Report, ServerKill, as_table
from pyarvo.events.subject import parse_subject
from pyarvo.memory import Instance, open_memory
from pyarvo.memory.instances import FINISHED
from pyarvo.memory.queries import QueryLevel

__all__ = ["check", "main"]

_MOST_FINDINGS = 20


class _Tables(msgspec.Struct, frozen=True):
    """The demo's tables."""

    effects: Mapping[tuple[str, str], int]
    replays: list[tuple[str, str]]
    releases: Mapping[str, int]
    kills: list[tuple[str, str, str, int, int, str]]
    dead_letters: list[tuple[str, str]]
    server_kills: list[tuple[int, float]]


async def check(place: Place, input: Path) -> Report:
    """
    Count what the run at *place* with the events of *input* came to.

    Args:
        place: Memory and file of effects.

        input: Path of the file of events.
    """
    tables = _read_tables(place.effects)
    async with open_memory(place.url) as memory:
        instances = {instance.id: instance async for instance in memory.each()}
        placed = placed_orders(read_lines(input))
        ended = {subject: await _result(memory, subject) for subject in placed}
    fates = {subject: fate_of(event) for subject, event in placed.items()}
    lost, doubled = _compare(fates, ended, tables.effects)
    return Report(
        orders={
            result: sum(1 for each in ended.values() if each == result)
            for result in ("done", "rejected", "compensated", "failed", "unfinished")
        },
        versions=dict(Counter(parse_subject(subject).orchestrator_version for subject in placed)),
        events=sum(instance.version for instance in instances.values()) + sum(tables.effects.values()),
        effects=sum(tables.effects.values()),
        replays=len(tables.replays),
        takeovers=sum(_takeovers(instance, tables.releases) for instance in instances.values()),
        kills=[_kill_report(kill, tables, instances) for kill in tables.kills],
        lost=len(lost),
        doubled=sum(doubled.values()),
        findings=[*lost, *(f"{what}: {extra} too many" for what, extra in doubled.items())][:_MOST_FINDINGS],
        dead_letters=[DeadLetter(what, reason) for what, reason in tables.dead_letters],
        server_kills=[ServerKill(effects, away_s) for effects, away_s in tables.server_kills],
    )


async def _result(memory: QueryLevel, subject: str) -> str:
    instance = await memory.get(subject)
    if instance is None or instance.data is None or instance.status not in FINISHED:
        return "unfinished"
    return "failed" if instance.status == "failure" else instance.data["state"]["context"]["result"]


def _compare(
    fates: Mapping[str, Fate], ended: Mapping[str, str], effects: Mapping[tuple[str, str], int]
) -> tuple[list[str], dict[str, int]]:
    """What is lost, and of which effect there are how many too many."""
    lost: list[str] = []
    wanted: set[tuple[str, str]] = set()
    for subject, fate in fates.items():
        name = parse_subject(subject).execution_id
        if ended[subject] != fate.result:
            lost.append(f"order {name} is {ended[subject]}, it should be {fate.result}")
        wanted |= {(name, action) for action in fate.actions}
    lost += [f"order {name}: no {action!r}" for name, action in sorted(wanted - effects.keys())]
    surplus = {effect: count - (effect in wanted) for effect, count in effects.items()}
    doubled = {f"order {name}: {action!r}": extra for (name, action), extra in surplus.items() if extra > 0}
    return lost, doubled


def _takeovers(instance: Instance, releases: Mapping[str, int]) -> int:
    if instance.held or instance.status not in FINISHED:
        return 0  # whether the last lease has a successor is not known yet
    return max(0, instance.fence - instance.version - releases.get(instance.id, 0))


def _kill_report(
    kill: tuple[str, str, str, int, int, str], tables: _Tables, instances: Mapping[str, Instance]
) -> KillReport:
    point, id, event_key, fence, _, worker = kill
    instance = instances[id]
    if point == "after_commit":
        settled = (id, event_key) in tables.replays
    else:
        settled = instance.fence > fence and instance.status in FINISHED
    subject = parse_subject(id)
    return KillReport(point, worker, f"{subject.orchestrator_name} {subject.execution_id[:8]}", settled)


def _read_tables(effects: str) -> _Tables:
    with closing(connect(effects)) as connection:

        def rows(statement: str) -> sqlite3.Cursor:
            return connection.execute(STATEMENTS[statement])

        return _Tables(
            effects={(name, action): count for name, action, count in rows("effects")},
            replays=[(instance, key) for instance, key in rows("replays")],
            releases=dict(rows("releases").fetchall()),
            kills=rows("kills").fetchall(),
            dead_letters=rows("dead_letters").fetchall(),
            server_kills=rows("server_kills").fetchall(),
        )


def main(arguments: list[str]) -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(prog="python -m pyarvo.demo.check", description=__doc__)
    parser.add_argument("--memory", required=True, help="URL of the memory")
    parser.add_argument("--effects", required=True, help="file of the effects")
    parser.add_argument("--input", required=True)
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    given = parser.parse_args(arguments)
    report = asyncio.run(check(Place(given.memory, given.effects), Path(given.input)))
    if given.json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        Console().print(as_table(report))


if __name__ == "__main__":
    main(sys.argv[1:])
