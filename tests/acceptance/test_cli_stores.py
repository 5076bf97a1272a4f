"""The commands that tend a store, on every store: out of a file, into a server, and back."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.servers import nats, postgres, redis
from typer.testing import CliRunner

from pyarvo.cli import app
from pyarvo.errors import StoreMissing
from pyarvo.memory import SqliteMachineMemory, Step, open_memory
from pyarvo.memory.postgres.connections import connect


@pytest.fixture(scope="module", params=["sqlite", "redis", "postgresql", "nats"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a place where nothing is yet."""
    directory = tmp_path_factory.mktemp("stores")
    if request.param == "redis":
        with redis.redis_url(directory) as url:
            yield f"{url}?prefix=t{uuid4().hex}"
    elif request.param == "nats":
        with nats.nats_url(directory) as url:
            yield f"{url}/t{uuid4().hex}?storage=memory"
    elif request.param == "postgresql":
        yield f"{postgres.postgres_url()}?schema={postgres.new_schema()}"
    else:
        yield f"sqlite:///{directory}/store.db"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with a finished tree, a live instance, a tombstone, and a journal longer than a page."""
    path = tmp_path_factory.mktemp("shop") / "shop.db"

    async def fill() -> None:
        async with SqliteMachineMemory(path) as memory:
            for id, parent, status, steps in (
                ("order-1", None, "done", 3),
                ("parcel-1", "order-1", "done", 1),
                ("order-2", None, "active", 300),
                ("order-3", None, "done", 1),
            ):
                for n in range(1, steps + 1):
                    lease = await memory.acquire(id)
                    assert lease is not None
                    record = {"status": status, "parentSubject": parent, "n": n, "text": "ü\x1b[31m"}
                    await memory.commit(
                        lease, record, step=Step(f'["web","{id}-{n}"]', ({"id": f"out-{n}", "type": "t"},))
                    )
            await memory.delete("order-3")

    asyncio.run(fill())
    return f"sqlite:///{path}"


def pyarvo(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYARVO_MEMORY_URL"}
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "pyarvo", *words],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=environment,
    )


def answer(*words: str, status: int = 0) -> Any:
    """What a command says in this process, which is what it says in its own, and faster."""
    result = CliRunner().invoke(app, [*words, "-o", "json"])
    assert result.exit_code == status, (result.stdout, result.stderr)
    return json.loads(result.stdout)


def listed(url: str) -> list[tuple[Any, ...]]:
    """What a person sees of every instance."""
    seen: list[tuple[Any, ...]] = []
    for more in ((), ("--deleted",)):
        for it in answer("--memory", url, "instances", "list", *more)["instances"]:
            seen.append(tuple(it[name] for name in ("id", "status", "parent", "version", "fence")))
    return seen


LOOKING = (
    ("instances", "list"),
    ("instances", "show", "order-1"),
    ("instances", "history", "order-1"),
    ("instances", "diff", "order-1"),
    ("instances", "tree", "order-1"),
    ("instances", "explain", "order-1"),
    ("locks", "list"),
    ("purge", "--older-than", "0s", "--dry-run"),
    ("copy", "", "memory://"),
    ("bench",),
)


def test_looking_at_what_nobody_has_made_makes_nothing(store: str) -> None:
    mine = _elsewhere(store)
    for words in LOOKING:
        words = tuple(word or mine for word in words) if "" in words else (*words, "--memory", mine)
        result = CliRunner().invoke(app, list(words))
        assert (result.exit_code, result.stdout) == (1, ""), words
        *_, said = result.stderr.splitlines()
        assert "there is no memory" in said
        assert "pyarvo migrate" in said
    CliRunner().invoke(app, ["doctor", mine])
    with pytest.raises(StoreMissing):
        asyncio.run(_pinged(mine))
    assert answer("migrate", mine)["migrated"] is True
    assert answer("--memory", mine, "instances", "list")["count"] == 0


def _elsewhere(store: str) -> str:
    """The URL of another place in the store of *store*."""
    place, _, query = store.partition("?")
    if store.startswith("nats"):
        return f"{place}-typo?{query}"
    return f"{place}?{query}_typo" if query else f"{place}-typo"


async def _pinged(url: str) -> None:
    async with open_memory(url, create=False) as memory:
        await memory.ping()


def test_out_of_a_file_into_a_store_and_back(store: str, shop: str, tmp_path: Path) -> None:
    migrated = answer("migrate", store)
    assert migrated["migrated"] is True
    assert migrated["version"] == (1 if store.startswith(("sqlite", "postgresql")) else None)
    assert pyarvo("copy", shop, store).stdout == "4 copied\n"
    assert answer("copy", shop, store)["counts"]["same"] == 4
    assert sorted(listed(store)) == sorted(listed(shop))

    async def consumed() -> tuple[int, ...]:
        async with open_memory(store) as memory:
            found: list[int] = []
            for n in (1, 150, 299, 300):
                lease = await memory.acquire("order-2", event_key=["web", f"order-2-{n}"])
                assert lease is not None
                assert lease.replay is not None
                found.append(lease.replay.version)
            return tuple(found)

    assert asyncio.run(consumed()) == (1, 150, 299, 300)
    back = f"sqlite:///{tmp_path}/back.db"
    if store.startswith("nats"):  # which knows only hashes of what order-2 consumed first
        problems = answer("copy", store, back, status=4)["problems"]
        assert [(one["id"], one["fate"]) for one in problems] == [("order-2", "refused")]
    else:
        assert answer("copy", store, back)["counts"]["copied"] == 4
        assert sorted(listed(back)) == sorted(listed(shop))

    purged = answer("--memory", store, "purge", "--older-than", "0s")
    assert purged["purged"] == ["parcel-1", "order-1"]
    assert next(it[0] for it in listed(store)) == "order-2"


def test_bench_and_doctor(store: str) -> None:
    answer("migrate", store)
    rounds = answer("bench", store, "--seconds", "0.2", "--tasks", "8")["rounds"]
    assert [one["tasks"] for one in rounds] == [1, 8]
    assert all(one["steps"] >= one["tasks"] and not one["denied"] for one in rounds)
    left = [it["id"] for it in answer("--memory", store, "instances", "list")["instances"]]
    assert not [id for id in left if id.startswith("pyarvo-bench")]
    result = pyarvo("doctor", store, "-o", "json")
    report = json.loads(result.stdout)
    assert result.stderr == ""
    assert report["fine"] is (result.returncode == 0)
    assert {one["setting"] for one in report["findings"]} >= {"version"}
    for one in report["findings"]:
        assert one["verdict"] == "fine" or (one["reason"] and one["fix"]), one


@pytest.mark.parametrize("scheme", ["redis", "postgresql", "nats"])
def test_a_server_that_is_not_there_is_said_without_its_password(scheme: str) -> None:
    port = redis.free_ports(1)[0]
    url = f"{scheme}://user:sesame@127.0.0.1:{port}/0"
    for words in (("doctor", url), ("bench", url), ("copy", url, "memory://")):
        result = pyarvo(*words)
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.startswith("pyarvo: ")
        assert "Traceback" not in result.stderr
        assert "sesame" not in result.stderr


def fresh(scheme: str, directory: Path) -> str:
    """The URL of a place without tables."""
    if scheme == "sqlite":
        return f"sqlite:///{directory}/raced.db"
    return f"{postgres.postgres_url()}?schema={postgres.new_schema()}"


@pytest.mark.parametrize("scheme", ["sqlite", "postgresql"])
def test_processes_that_migrate_at_the_same_moment_agree(scheme: str, tmp_path: Path) -> None:
    url = fresh(scheme, tmp_path)
    with ThreadPoolExecutor(3) as pool:
        racing = [pool.submit(pyarvo, "migrate", url, "-o", "json") for _ in range(3)]
    for result in (one.result() for one in racing):
        assert (result.returncode, result.stderr) == (0, "")
        assert json.loads(result.stdout)["version"] == 1
    assert answer("--memory", url, "instances", "list")["count"] == 0


async def test_printed_sql_of_postgres_makes_what_a_memory_needs(tmp_path: Path) -> None:
    url = fresh("postgresql", tmp_path)
    printed = await asyncio.to_thread(pyarvo, "migrate", url, "--print")
    assert (printed.returncode, printed.stderr) == (0, "")
    connection = await connect(postgres.postgres_url())
    try:
        await connection.execute(printed.stdout)
    finally:
        await connection.close(timeout=5)
    async with open_memory(url) as memory:
        lease = await memory.acquire("a")
        assert lease is not None
        assert await memory.commit(lease, {"n": 1}) == 1
    assert (await asyncio.to_thread(answer, "migrate", url))["version"] == 1
