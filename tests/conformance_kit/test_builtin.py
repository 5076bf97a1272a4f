"""The kit is green on the five memories of the package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.servers.nats import nats_url
from tests.servers.postgres import new_schema, shared_server
from tests.servers.redis import redis_url

from pyarvo.memory import SqliteMachineMemory, open_memory
from pyarvo.testing.conformance import Factory, MachineMemoryConformance
from pyarvo.testing.conformance.stores import shared_simple

EVERYTHING = ("base", "leased", "query", "backend")


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
        return lambda **options: SqliteMachineMemory(tmp_path / "kit.db", **options)


class TestRedis(MachineMemoryConformance):
    levels = EVERYTHING

    @pytest.fixture
    def memory_factory(self, redis_server: str) -> Factory:
        place = uuid4().hex
        return lambda **options: open_memory(redis_server, prefix=place, **options)


class TestPostgres(MachineMemoryConformance):
    levels = EVERYTHING

    @pytest.fixture
    def memory_factory(self) -> Factory:
        url, place = shared_server().url, new_schema()
        return lambda **options: open_memory(url, schema=place, **options)


class TestNats(MachineMemoryConformance):
    levels = EVERYTHING

    @pytest.fixture
    def memory_factory(self, nats_server: str) -> Factory:
        place = f"kit-{uuid4().hex}"
        return lambda **options: open_memory(nats_server, bucket=place, **options)
