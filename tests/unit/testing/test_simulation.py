"""The simulation: no seed breaks the shipped protocol, every hole in it is found, and a seed does the same each time."""

from __future__ import annotations

import asyncio
import gc
import pickle
import subprocess
import sys
from contextlib import suppress

import pytest

from pyarvo.testing.simulation import (
    Broken,
    Process,
    SimulationFailed,
    VirtualLoop,
    World,
    run_seed,
    run_seeds,
)
from pyarvo.testing.simulation.mutants import MUTANTS
from pyarvo.testing.simulation.run import SCENARIOS, main, seed_that_finds

CHUNK = 250
WITHIN = 2_000


@pytest.mark.parametrize("first", range(0, 2_000, CHUNK))
def test_no_seed_breaks_a_promise(first: int) -> None:
    assert run_seeds(range(first, first + CHUNK)) == CHUNK


@pytest.mark.parametrize("name", MUTANTS)
def test_each_hole_is_found(name: str) -> None:
    found = seed_that_finds(name, range(WITHIN))
    assert found is not None
    assert run_seed(found.seed, mutant=name) == found  # the promise, and the digest of all that led to it


def test_a_seed_does_the_same_each_time() -> None:
    first = [run_seed(seed, traced=True) for seed in range(40)]
    again = [run_seed(seed, traced=True) for seed in reversed(range(40))]
    assert first == again[::-1]
    assert len({verdict.digest for verdict in first}) == 40
    assert {verdict.scenario for verdict in first} == set(SCENARIOS)


def test_seeds_bring_faults_of_every_kind() -> None:
    said = "\n".join(line for seed in range(60) for line in run_seed(seed, traced=True).trace)
    for what in ("is killed", "freezes", "thaws", "clock is set -", "clock is set +"):
        assert what in said
    for answer in ("Acquired", "Denied", "Consumed", "Committed", "Conflict", "Lost", "Renewed", "Released"):
        assert f"-> {answer} " in said, answer


def test_a_failure_names_the_command_that_replays_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "20", "--mutant", "ids-random"]) == 1
    said = capsys.readouterr().out
    assert "seed 0 breaks: events are those of the run without faults" in said
    assert "python -m pyarvo.testing.simulation --seed 0 --mutant ids-random --trace" in said
    assert main(["--seed", "0", "--trace"]) == 0
    assert "Acquired 1 0" in capsys.readouterr().out


def test_another_process_sees_the_same() -> None:
    command = [sys.executable, "-m", "pyarvo.testing.simulation", "--seed", "7", "--trace"]
    said = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    assert tuple(said[:-1]) == run_seed(7, traced=True).trace


FOUND = (9_872, 100_330)
"""Seeds that found a fault: renewals after the end of their work; a renewed lease that outlived its clock's return."""


@pytest.mark.parametrize("seed", FOUND)
def test_a_seed_that_found_a_fault_finds_it_no_more(seed: int) -> None:
    assert run_seed(seed).broken == ""


def test_a_failure_comes_whole_out_of_another_process() -> None:
    failed = pickle.loads(pickle.dumps(SimulationFailed(7, "ids-random", Broken("a promise"))))
    assert isinstance(failed, SimulationFailed)
    assert failed.seed == 7
    assert str(failed).startswith("seed 7 breaks: a promise\nreplay: python -m")


# --- the loop ---------------------------------------------------------------------------------------------------


async def three_sleeps(seen: list[object]) -> None:
    try:
        for n in range(3):
            seen.append((n, asyncio.get_running_loop().time()))
            await asyncio.sleep(10)
    except asyncio.CancelledError:
        seen.append("cancelled")
        raise
    finally:
        seen.append("cleaned up")


def test_time_is_virtual() -> None:
    loop, seen = VirtualLoop(), list[object]()
    with loop.running():
        task = loop.create_task(three_sleeps(seen))
        loop.run(task.done, 1_000)
    assert seen == [(0, 0.0), (1, 10.0), (2, 20.0), "cleaned up"]
    assert loop.time() == 30.0


def test_a_dead_process_cleans_nothing_up() -> None:
    loop, seen, process = VirtualLoop(), list[object](), Process("p")
    process.stops[2] = lambda: setattr(process, "dead", True)
    with loop.running():
        loop.create_task(three_sleeps(seen), context=process.context())
        loop.run(lambda: False, 1_000)
        assert seen == [(0, 0.0)]
        loop.bury([process])
    assert seen == [(0, 0.0), "cancelled", "cleaned up"]
    assert loop.complaints == []


def test_a_frozen_process_goes_on_where_it_stood() -> None:
    loop, seen, process = VirtualLoop(), list[object](), Process("p")

    def freeze() -> None:
        process.frozen = True
        loop.call_later(100, loop.thaw, process)

    process.stops[2] = freeze
    with loop.running():
        task = loop.create_task(three_sleeps(seen), context=process.context())
        loop.run(task.done, 1_000)
    assert seen == [(0, 0.0), (1, 110.0), (2, 120.0), "cleaned up"]


def test_unseen_errors_are_told_without_waiting_for_the_collector() -> None:
    loop, futures = VirtualLoop(), list[asyncio.Future[None]]()

    async def fail(error: Exception) -> None:
        raise error

    async def look_at_one() -> None:
        seen = asyncio.create_task(fail(KeyError("seen")))
        futures.append(asyncio.get_running_loop().create_future())
        futures[0].set_exception(ValueError("of a future"))
        with suppress(KeyError):
            await seen

    gc.disable()
    try:
        with loop.running():
            loop.create_task(fail(ValueError("of a task")))
            loop.create_task(look_at_one())
            loop.run(lambda: False, 1)
        assert sorted(loop.complaints) == [
            "Future exception was never retrieved: ValueError('of a future')",
            "Task exception was never retrieved: ValueError('of a task')",
        ]
        del futures[:]
    finally:
        gc.enable()
    gc.collect()
    assert len(loop.complaints) == 2  # none is told twice


def test_a_seed_with_an_unseen_error_is_broken() -> None:
    world = World(3, calm=True)

    async def fail() -> None:
        raise ValueError("x")

    def begin() -> None:
        world.workers[0].start(fail())
        world.later(1.0, over.append, True)

    over: list[bool] = []
    with pytest.raises(Broken, match=r"no error goes unseen.*ValueError"):
        world.run(begin, lambda: bool(over), lambda: None)
