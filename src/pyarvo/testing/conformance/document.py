"""The page docs/conformance.md, made from the clauses: `python -m pyarvo.testing.conformance.document`."""

from __future__ import annotations

import sys
from collections import Counter
from itertools import groupby
from typing import Final

from pyarvo.testing.conformance.clause import Clause, Kind, clauses
from pyarvo.testing.conformance.levels import Level

__all__ = ["conformance_page"]

_HEAD: Final = """\
# The conformance kit

Anyone can write `read`, `write`, `lock` and `unlock`; the kit finds out whether they can be trusted. It ships with the
package, runs against any memory, and tells for each promise that broke the calls that broke it.

    pyarvo conformance redis://localhost/0          # -o json, -o markdown, --badge file.svg; exit status 1 on failures

    report = await validate(factory)                # factory(**options): another memory over one and the same store

    class TestMyMemory(MachineMemoryConformance):   # in pytest: a test a clause; one fixture, `memory_factory`
        levels = ("base",)

All of it is in `pyarvo.testing.conformance`. [Write your own memory](write-your-own-memory.md) goes from nothing to
green. The command works at a place of its own in the store (a file beside SQLite's, and `pyarvo_conformance` as Redis
prefix, PostgreSQL schema or NATS bucket); a factory should do the same, since some clauses purge finished instances.

Levels are declared, and within a level nothing is optional. A level that is declared and not offered fails as
*missing*; one that is offered and not declared fails too. Nothing is skipped.

| level | what the memory has |
|---|---|
| base | `read`, `write`, `lock`, `unlock`; the factory takes `lease_ttl_s` |
| leased | also `acquire`, `commit`, `renew`, `release` |
| query | also lists, the journal, deletion, release by force, purge |
| backend | it is built on pyarvo's own `Backend`: the kit cuts, delays and loses the calls between memory and store; the factory takes all options |
| network | its store is a server whose address is given: the kit cuts, silences and slows the connections by a proxy. `validate(factory, server="host:port")`, or a fixture `memory_server`; the factory takes `server`, the "host:port" to connect to. The command gives it for a Redis, PostgreSQL or NATS URL that names one server without TLS |

The clauses of telemetry listen through OpenTelemetry's SDK, which comes with `pyarvo[kit]`; without it they are *missing*.

Clauses run at the same time, each on instances of its own, so that what has to expire costs a second once. Those
of faults, which go by deadlines of tenths of a second, run after the others: a store that these keep busy breaks no promise.
"""


def conformance_page() -> str:
    """The whole page."""
    known = clauses()
    kinds = Counter(kind for each in known for kind in each.kinds)
    told = ", ".join(f"{kinds[kind]} {_KINDS[kind]}" for kind in Kind)
    parts = [
        _HEAD,
        f"\n## {len(known)} clauses\n\nOf them {told}.\n\n",
        "| level | family | clauses |\n|---|---|---|\n",
    ]
    families = [(level, family, list(each)) for (level, family), each in groupby(known, key=_family)]
    parts += [f"| {level} | {family} | {len(each)} |\n" for level, family, each in families]
    for level, family, each in families:
        parts.append(f"\n### {level}.{family}\n\n| clause | the promise | about |\n|---|---|---|\n")
        parts += [f"| `{one.id}` | {one.title} | {', '.join(sorted(one.kinds))} |\n" for one in each]
    return "".join(parts)


_KINDS: Final = {
    Kind.CONCURRENT: "with many callers at once",
    Kind.FAULT: "with faults or cancelled callers",
    Kind.OWNERSHIP: "about whose lease it is",
}


def _family(each: Clause) -> tuple[Level, str]:
    return each.level, each.family


if __name__ == "__main__":
    sys.stdout.write(conformance_page())
