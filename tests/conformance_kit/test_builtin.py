"""The kit is green on the five memories of the package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.servers.nats import nats_url
from tests.servers.postgres import new_schema, postgres_url
from tests.servers.redis import redis_url

from pyarvo.testing.conformance import Factory, MachineMemoryConformance
from pyarvo.testing.conformance.stores import opening, server_of, shared_simple

EVERYTHING = ("base", "leased", "query", "backend")
ON_SERVER = (*EVERYTHING, "network")


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_url(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="module")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with nats_url(tmp_path_factory.mktemp("nats")) as url:
        yield url


class TestSimple(MachineMemoryConformance):
    levels = EVERYTHING

    @pytest.fixture
    def memory_factory(self) -> Factory:
        return shared_simple()


class TestSqlite(MachineMemoryConformance):
    levels = EVERYTHING

    @pytest.fixture
    def memory_factory(self, tmp_path: Path) -> Factory:
        return opening(f"sqlite:///{tmp_path}/kit.db", {})


class TestRedis(MachineMemoryConformance):
    levels = ON_SERVER

    @pytest.fixture
    def memory_factory(self, redis_server: str) -> Factory:
        return opening(redis_server, {"prefix": uuid4().hex})

    @pytest.fixture
    def memory_server(self, redis_server: str) -> str | None:
        return server_of(redis_server)


class TestPostgres(MachineMemoryConformance):
    levels = ON_SERVER

    @pytest.fixture
    def memory_factory(self) -> Factory:
        # A pool of two, half of what users get: callers that wait must not hold connections.
        return opening(postgres_url(), {"schema": new_schema(), "pool_size": 2})

    @pytest.fixture
    def memory_server(self) -> str | None:
        return server_of(postgres_url())


class TestNats(MachineMemoryConformance):
    levels = ON_SERVER

    @pytest.fixture
    def memory_factory(self, nats_server: str) -> Factory:
        return opening(nats_server, {"bucket": f"kit-{uuid4().hex}"})

    @pytest.fixture
    def memory_server(self, nats_server: str) -> str | None:
        return server_of(nats_server)
