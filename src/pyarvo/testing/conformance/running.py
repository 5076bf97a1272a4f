"""`validate`: hold a memory to the clauses of its levels."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Final

from pyarvo.errors import InvalidOption
from pyarvo.memory import MachineMemory
from pyarvo.testing.conformance.bench import Bench, Factory, PromiseBroken, Shared, until_answered
from pyarvo.testing.conformance.clause import Clause, chosen
from pyarvo.testing.conformance.levels import Level, levels_of
from pyarvo.testing.conformance.listening import can_listen
from pyarvo.testing.conformance.report import Outcome, Report, Result
from pyarvo.testing.conformance.watched import offered_by

__all__ = ["validate"]

_FIRST: Final = 2
"""Memories that nearly every clause uses."""
_CONNECTED_S: Final = 3.0
_AT_ONCE: Final = 16
_TIMED: Final = "faults"
"""The family whose clauses go by deadlines of tenths of a second."""
_LIMIT_S: Final = 40.0
_LACKS: Final = dict.fromkeys(Level, "its methods") | {Level.NETWORK: "the address of its server"}


async def validate(
    factory: Factory,
    *,
    levels: Iterable[str] | None = None,
    only: str | Iterable[str] | None = None,
    seed: int = 0,
    server: str | None = None,
) -> Report:
    """
    Hold a memory to every clause of the levels that it declares.

    The store should be one of its own: the clauses of the query level purge finished instances.

    Args:
        factory: `factory(**options)` opens another memory object over one and the same store. It takes
            `lease_ttl_s`, in seconds; and `server` where *server* is given.

        levels: What the memory promises: "base", "leased", "query", "backend", "network". None = all that it has the
            methods of. A declared level that it does not offer fails, and so does one that it offers without
            declaring it.

        only: Ids of clauses, or patterns (`base.ownership.*`); None = all.

        seed: Of everything drawn at random.

        server: "host:port" of the store's server. Then the memory offers the level "network": the kit puts a proxy
            before the server, and opens memories with `server="127.0.0.1:port"` that must connect there.

    Returns:
        What was found; `report.ok` when every clause passed.

    Raises:
        InvalidOption: *levels* or *only* names what there is not.
    """
    tried = chosen(only)
    began = monotonic()
    shared = Shared(factory, server)
    try:
        first = shared.memory({}, 0)
        offered = offered_by(first) if server is None else offered_by(first) | {Level.NETWORK}
        declared = offered if levels is None else levels_of(levels)
        if not declared:
            raise InvalidOption("levels", f"{type(first).__name__} has not even read, write, lock and unlock")
        held_to = [each for each in tried if each.level in declared]
        await asyncio.gather(*(_connected(shared.memory({}, number)) for number in range(_FIRST)))
        results = await _all(shared, held_to, offered, seed)
        if only is None:
            results.extend(_undeclared(offered - declared))
    finally:
        raised = await shared.close()
    if raised:
        results.append(_unclosed(raised))
    return Report(
        type(first).__name__,
        tuple(level for level in Level if level in declared),
        tuple(level for level in Level if level in offered),
        seed,
        monotonic() - began,
        tuple(results),
    )


async def _connected(memory: MachineMemory) -> None:
    """Give the store a while to be there. What a memory raises that never gets there, the clauses tell."""
    with suppress(Exception):
        async with asyncio.timeout(_CONNECTED_S):
            await until_answered(memory, f"kit-{os.urandom(6).hex()}", _CONNECTED_S)


async def _all(
    shared: Shared,
    tried: Sequence[Clause],
    offered: frozenset[Level],
    seed: int,
) -> list[Result]:
    run = f"kit-{os.urandom(6).hex()}"

    async def one(each: Clause, slots: asyncio.Semaphore) -> Result:
        if each.level not in offered:
            return _told(
                each, Outcome.MISSING, f"the memory declares {each.level} and lacks {_LACKS[each.level]}"
            )
        if each.family == "telemetry" and not can_listen():
            return _told(each, Outcome.MISSING, "nobody can hear what is told: pip install 'pyarvo[kit]'")
        async with slots:
            return await _try(each, Bench(shared, each.id, run, seed))

    async def at_once(some: Sequence[Clause], count: int) -> dict[Clause, Result]:
        slots = asyncio.Semaphore(count)
        return dict(zip(some, await asyncio.gather(*(one(each, slots) for each in some)), strict=True))

    # What the others ask of the store all at once must not use up the short deadlines of the faults.
    together = [each for each in tried if not each.alone]
    found = await at_once([each for each in together if each.family != _TIMED], _AT_ONCE)
    found |= await at_once([each for each in together if each.family == _TIMED], _AT_ONCE // 2)
    found |= await at_once([each for each in tried if each.alone], 1)
    return [found[each] for each in tried]


async def _try(each: Clause, bench: Bench) -> Result:
    began = monotonic()
    reason = ""
    try:
        async with asyncio.timeout(_LIMIT_S):
            try:
                await each.work(bench)
            finally:
                await bench.close()
    except PromiseBroken as broken:
        reason = str(broken)
    except TimeoutError:
        reason = f"it had not ended after {_LIMIT_S:.0f} s"
    except Exception as error:  # noqa: BLE001 - a memory under test may raise anything; it is told, whatever it is
        reason = f"{type(error).__name__} where none may be raised: {error}"
    outcome = Outcome.FAILED if reason else Outcome.PASSED
    return _told(each, outcome, reason, monotonic() - began, bench.history.lines() if reason else ())


def _told(
    each: Clause, outcome: Outcome, reason: str, seconds: float = 0.0, history: tuple[str, ...] = ()
) -> Result:
    kinds = tuple(sorted(each.kinds))
    return Result(
        each.id, each.title, each.level, each.family, kinds, outcome, round(seconds, 4), reason, history
    )


def _unclosed(raised: str) -> Result:
    """What a memory raises when it is closed costs nobody the report."""
    title = "a memory that has `close` can be closed"
    return Result("base.closed", title, Level.BASE, "closed", (), Outcome.FAILED, reason=raised)


def _undeclared(levels: Iterable[Level]) -> list[Result]:
    """What a memory offers it must declare: nothing is left out in silence."""
    return [
        Result(
            f"{level}.declared",
            "what a memory offers, it declares, and is held to",
            level,
            "declared",
            (),
            Outcome.FAILED,
            reason=f"the memory has the methods of the level {level}, and does not declare it",
        )
        for level in sorted(levels)
    ]
