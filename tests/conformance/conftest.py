"""The store of a clause: every clause runs on every backend."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.servers import pgbouncer
from tests.servers.nats import cluster, nats_url
from tests.servers.postgres import shared_server
from tests.servers.redis import redis_url

from .place import KINDS, Place
from .place_nats import NatsPlace
from .place_postgres import PostgresPlace
from .place_redis import RedisPlace


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that takes records as large as the others do."""
    with nats_url(tmp_path_factory.mktemp("nats"), settings=["max_payload: 12MB"]) as url:
        yield url


@pytest.fixture(scope="session")
def nats_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of three such servers in a cluster."""
    with cluster(tmp_path_factory.mktemp("nats-r3"), settings=["max_payload: 12MB"]) as servers:
        yield f"nats://{','.join(f'127.0.0.1:{server.port}' for server in servers)}"


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server."""
    with redis_url(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def pooler() -> Iterator[str]:
    """`host:port` of PgBouncer before the server."""
    with pgbouncer.before(shared_server()) as address:
        yield address


@pytest.fixture(scope="session")
def naming_pooler() -> Iterator[str]:
    """`host:port` of one that follows prepared statements, and forgets most of ours to make room for others."""
    with pgbouncer.before(shared_server(), prepared=3) as address:
        yield address


def _pooled() -> list[str]:
    """Debian's PgBouncer comes by `make test-matrix`, which names it."""
    if not pgbouncer.program():
        return []
    return ["pgbouncer", "pgbouncer-named"] if pgbouncer.knows_names() else ["pgbouncer"]


@pytest.fixture(params=[*KINDS, *_pooled(), "nats", "nats-r3", "postgres", "redis"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """An empty store; afterwards neither a task nor a thread is left."""
    others = set(threading.enumerate())  # the loop of the synchronous face lives as long as the process
    if request.param == "nats":
        place = NatsPlace(tmp_path, request.getfixturevalue("nats_server"))
    elif request.param == "nats-r3":
        place = NatsPlace(tmp_path, request.getfixturevalue("nats_servers"), replicas=3)
    elif request.param == "redis":
        place = RedisPlace(tmp_path, request.getfixturevalue("redis_server"))
    elif request.param == "pgbouncer":
        place = PostgresPlace(tmp_path, shared_server(), pooler=request.getfixturevalue("pooler"))
    elif request.param == "pgbouncer-named":
        pooler = request.getfixturevalue("naming_pooler")
        place = PostgresPlace(tmp_path, shared_server(), pooler=pooler, named=True)
    elif request.param == "postgres":
        place = PostgresPlace(tmp_path, shared_server())
    else:
        place = Place(request.param, tmp_path)
    yield place
    await place.close()
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert left == []
    started = [thread.name for thread in threading.enumerate() if thread not in others]
    assert [name for name in started if name.startswith("pyarvo")] == []
