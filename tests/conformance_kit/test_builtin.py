"""The kit is green on the five memories of the package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.servers.nats import nats_url
from tests.servers.postgres import new_schema, shared_server
from tests.servers.redis import redis_url

from pyarvo.memory import LeasedMemory, open_memory
from pyarvo.testing.conformance import Factory, MachineMemoryConformance
from pyarvo.testing.conformance.stores import shared_simple

EVERYTHING = ("base", "leased", "query", "backend")


def opening(url: str, **place: str) -> Factory:
    def factory(**options: Any) -> LeasedMemory:
        return open_memory(url, **place, **options)

    return factory


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
        return opening(f"sqlite:///{tmp_path}/kit.db")


class TestRedis(MachineMemoryConformance):
    levels = EVERYTHING

    @pytest.fixture
    def memory_factory(self, redis_server: str) -> Factory:
        place = uuid4().hex
        return opening(redis_server, prefix=place)


class TestPostgres(MachineMemoryConformance):
    levels = EVERYTHING

    @pytest.fixture
    def memory_factory(self) -> Factory:
        url, place = shared_server().url, new_schema()
        return opening(url, schema=place)


class TestNats(MachineMemoryConformance):
    levels = EVERYTHING

    @pytest.fixture
    def memory_factory(self, nats_server: str) -> Factory:
        place = f"kit-{uuid4().hex}"
        return opening(nats_server, bucket=place)
