"""What `doctor` finds on real servers; each setting is turned and seen."""

# Rules for servers that nobody runs in tests (old ones, poolers) are asked directly.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from tests.servers import nats, postgres, redis
from typer.testing import CliRunner

from pyarvo.cli import app
from pyarvo.errors import MemoryUnavailable
from pyarvo.memory import open_memory
from pyarvo.memory.doctor import Finding, Verdict, examine
from pyarvo.memory.nats import doctor as nats_doctor
from pyarvo.memory.postgres import doctor as postgres_doctor
from pyarvo.memory.postgres.connections import connect
from pyarvo.memory.redis import doctor as redis_doctor


async def found(url: str) -> dict[str, Finding]:
    return {finding.setting: finding for finding in await examine(url)}


async def used(url: str, **options: Any) -> None:
    async with open_memory(url, **options) as memory:
        lease = await memory.acquire("a")
        assert lease is not None
        await memory.commit(lease, {"n": 1})


def verdicts(findings: Mapping[str, Finding]) -> dict[str, str]:
    return {name: finding.verdict.value for name, finding in findings.items()}


# ----------------------------------------------------------------------------------------------------- Redis


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.RedisServer]:
    directory = tmp_path_factory.mktemp("doctor-redis")
    with redis.running(directory, "--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


@pytest.fixture
def server(valkey: redis.RedisServer) -> Iterator[redis.RedisServer]:
    yield valkey
    for name, value in (
        ("appendonly", "yes"),
        ("appendfsync", "always"),
        ("maxmemory", "0"),
        ("maxmemory-policy", "noeviction"),
        ("min-replicas-to-write", "0"),
    ):
        assert valkey.command("CONFIG", "SET", name, value) == "OK"


async def test_redis_as_it_should_be(server: redis.RedisServer) -> None:
    findings = await found(server.url)
    assert set(verdicts(findings).values()) == {"fine"}
    assert findings["version"].value is not None
    assert findings["version"].value.startswith(("valkey ", "redis "))
    assert server.command("DBSIZE") == "0"  # looking wrote nothing, not even the mark of the schema


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("appendonly", "no", "last snapshot"),
        ("appendfsync", "everysec", "up to 1 s"),
        ("appendfsync", "no", "30 s"),
        ("maxmemory-policy", "allkeys-lru", "records and leases"),
        ("maxmemory-policy", "volatile-ttl", "tombstones"),
    ],
)
async def test_redis_names_each_setting(
    server: redis.RedisServer, setting: str, value: str, words: str
) -> None:
    server.command("CONFIG", "SET", "maxmemory", "100mb")
    server.command("CONFIG", "SET", setting, value)
    findings = await found(server.url)
    broken = {name: finding for name, finding in findings.items() if finding.verdict is Verdict.BREAKS}
    assert list(broken) == [setting]
    assert broken[setting].value == value
    assert words in broken[setting].reason
    assert "CONFIG SET" in broken[setting].fix


async def test_redis_a_policy_without_a_limit_throws_nothing_away(server: redis.RedisServer) -> None:
    server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    assert (await found(server.url))["maxmemory-policy"].verdict is Verdict.FINE


async def test_redis_a_user_who_may_not_ask(server: redis.RedisServer) -> None:
    server.command("ACL", "SETUSER", "plain", "on", ">word", "~*", "+ping", "+info")
    url = server.url.replace("://", "://plain:word@")
    findings = await found(url)
    assert findings["INFO, CONFIG GET"].verdict is Verdict.UNKNOWN
    assert "NOPERM" in findings["INFO, CONFIG GET"].reason
    assert (findings["appendonly"].value, findings["appendonly"].verdict) == (
        "yes",
        Verdict.FINE,
    )  # INFO knows
    assert (findings["appendfsync"].value, findings["appendfsync"].verdict) == (None, Verdict.UNKNOWN)
    server.command("ACL", "SETUSER", "plain", "-info")
    assert set(verdicts(await found(url)).values()) == {"unknown", "fine"}
    result = await asyncio.to_thread(CliRunner().invoke, app, ["doctor", url, "-o", "json"])
    assert result.exit_code == 0
    assert "word" not in result.stdout


async def test_redis_a_wrong_password_is_no_finding(server: redis.RedisServer) -> None:
    with pytest.raises(MemoryUnavailable):
        await examine(server.url.replace("://", "://nobody:wrong@"))


async def test_redis_replicas(server: redis.RedisServer, tmp_path: Path) -> None:
    with redis.running(tmp_path, "--replicaof", "127.0.0.1", str(server.port)) as replica:
        redis.until(lambda: "connected_slaves:1" in server.command("INFO"), "the replica is there")
        findings = await found(server.url)
        assert findings["replicas"].value == "1"
        assert findings["min-replicas-to-write"].verdict is Verdict.BREAKS
        assert "wait_replicas" in findings["min-replicas-to-write"].fix
        server.command("CONFIG", "SET", "min-replicas-to-write", "1")
        assert (await found(server.url))["min-replicas-to-write"].verdict is Verdict.FINE
        role = (await found(replica.url))["role"]
        assert (role.value, role.verdict) == ("slave", Verdict.BREAKS)


@pytest.mark.parametrize(
    ("info", "verdict"),
    [
        ("redis_version:6.0.16", "breaks"),
        ("redis_version:6.2.0", "fine"),
        ("redis_version:7.2.4\r\nvalkey_version:7.2.5", "fine"),
        ("redis_version:7.2.4\r\nvalkey_version:7.1.0", "breaks"),
        ("os:Linux", "unknown"),
    ],
)
def test_redis_versions(info: str, verdict: str) -> None:
    told = redis_doctor._Told(info.encode(), [])
    assert redis_doctor._version(told).verdict.value == verdict


def test_redis_a_cluster_behind_a_plain_url() -> None:
    told = redis_doctor._Told(b"cluster_enabled:1\r\n", [])
    assert redis_doctor._kind(told, in_cluster=False).verdict is Verdict.BREAKS
    assert redis_doctor._kind(told, in_cluster=True).verdict is Verdict.FINE


async def test_nobody_answers() -> None:
    port = redis.free_ports(1)[0]
    for scheme in ("redis", "nats", "postgresql"):
        with pytest.raises(MemoryUnavailable):
            await examine(f"{scheme}://127.0.0.1:{port}")


# -------------------------------------------------------------------------------------------------- Postgres


async def test_postgres_before_and_after_its_first_use() -> None:
    schema = postgres.new_schema()
    url = f"{postgres.shared_server().url}?schema={schema}"
    findings = await found(url)
    assert verdicts(findings) == {
        "version": "fine",
        "fsync": "breaks",  # the tests' server is a fast one
        "full_page_writes": "fine",
        "synchronous_commit": "fine",
        "pg_is_in_recovery": "fine",
        "clock": "fine",
        "pooler": "fine",
        f"schema {schema}": "fine",
    }
    assert findings[f"schema {schema}"].value == "none"
    await used(url)
    assert (await found(url))[f"schema {schema}"].value == "1"


@asynccontextmanager
async def connected() -> AsyncGenerator[Any]:
    connection = cast("Any", await connect(postgres.shared_server().url))
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


async def test_postgres_a_newer_schema_and_a_role_that_only_reads() -> None:
    schema = postgres.new_schema()
    url = f"{postgres.shared_server().url}?schema={schema}"
    await used(url)
    async with connected() as connection:
        await connection.execute(f'INSERT INTO "{schema}".migration (version) VALUES (99)')
        await connection.execute(f"CREATE ROLE {schema}_reader LOGIN")
        await connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {schema}_reader")
        await connection.execute(f"GRANT SELECT ON {schema}.migration TO {schema}_reader")
        await connection.execute(f"ALTER ROLE {schema}_reader SET default_transaction_read_only = on")
    findings = await found(url.replace("arvo@", f"{schema}_reader@"))
    assert findings[f"schema {schema}"].verdict is Verdict.BREAKS
    assert findings["default_transaction_read_only"].verdict is Verdict.BREAKS


TOLD = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "standbys": "", "major": 16}


@pytest.mark.parametrize(
    ("told", "broken"),
    [
        ({}, []),
        ({"full_page_writes": "off"}, ["full_page_writes"]),
        ({"fsync": "off", "full_page_writes": "off"}, ["fsync", "full_page_writes"]),
        ({"synchronous_commit": "off"}, []),
        ({"synchronous_commit": "local"}, []),
        ({"synchronous_commit": "local", "standbys": "one"}, ["synchronous_commit"]),
        ({"synchronous_commit": "off", "standbys": "one"}, []),
    ],
)
def test_postgres_durability(told: dict[str, Any], broken: list[str]) -> None:
    findings = postgres_doctor._durability({**TOLD, **told})
    assert [finding.setting for finding in findings if finding.verdict is Verdict.BREAKS] == broken


def test_postgres_standby_version_and_clock() -> None:
    (standby,) = postgres_doctor._writable({"standby": True, "read_only": "off"})
    assert standby.verdict is Verdict.BREAKS
    assert postgres_doctor._version({"major": 13, "version": "13.9"}).verdict is Verdict.BREAKS
    assert postgres_doctor._clock(-3_600.0).verdict is Verdict.UNKNOWN


class Forgetful:
    """A connection through a pooler that knows no prepared statements."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def prepare(self, query: str, *, name: str) -> Any:
        prepared = await self._connection.prepare(query, name=name)
        await self._connection.execute(f"DEALLOCATE {name}")
        return prepared

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


async def test_postgres_poolers() -> None:
    async with connected() as one, connected() as two:
        assert (
            await postgres_doctor._pooler(one, two, "none")
        ).value == "none, or one that lends per session"
        # What such a pooler looks like: one backend behind two connections.
        knows = await postgres_doctor._pooler(one, one, "none")
        assert (knows.value, knows.verdict) == ("lends per transaction", Verdict.FINE)
        forgets = await postgres_doctor._pooler(cast("Any", Forgetful(one)), one, "none")
        assert (forgets.value, forgets.verdict) == ("lends per transaction", Verdict.BREAKS)
        assert "pooler=transaction" in forgets.fix
        told = await postgres_doctor._pooler(cast("Any", Forgetful(one)), one, "transaction")
        assert told.verdict is Verdict.FINE


async def test_a_pooler_that_lends_another_backend_each_time_has_not_shown_what_it_knows() -> None:
    async with connected() as one, connected() as two:
        assert await postgres_doctor._knows_names(one, two) is None


# ------------------------------------------------------------------------------------------------------ NATS


@pytest.fixture(scope="module")
def jetstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[nats.NatsServer]:
    with nats.running(tmp_path_factory.mktemp("doctor-nats")) as server:
        yield server


async def test_nats_before_and_after_its_first_use(jetstream: nats.NatsServer) -> None:
    url = f"{jetstream.url}/first"
    findings = await found(url)
    assert verdicts(findings) == {"version": "fine", "bucket first": "fine", "sync_interval": "unknown"}
    await used(url)
    findings = await found(url)
    assert verdicts(findings) == {
        "version": "fine",
        "bucket first": "fine",
        "storage": "fine",
        "replicas": "fine",
        "sync_interval": "unknown",
    }
    assert findings["bucket first"].value == "schema 1"
    assert findings["sync_interval"].value is None
    assert "always" in findings["sync_interval"].fix


async def test_nats_names_each_setting(jetstream: nats.NatsServer) -> None:
    await used(f"{jetstream.url}/weak", storage="memory")
    findings = await found(f"{jetstream.url}/weak?replicas=3")
    assert [name for name, it in findings.items() if it.verdict is Verdict.BREAKS] == ["storage", "replicas"]
    result = await asyncio.to_thread(
        CliRunner().invoke, app, ["doctor", f"{jetstream.url}/weak", "-o", "json"]
    )
    assert result.exit_code == 1
    assert json.loads(result.stdout)["fine"] is False


async def test_nats_a_password_is_read_as_the_memory_reads_it(tmp_path: Path) -> None:
    with nats.running(tmp_path, settings=['authorization { user: arvo, password: "p@s/s" }']) as server:
        url = server.url.replace("://", "://arvo:p%40s%2Fs@")
        assert (await found(url))["version"].verdict is Verdict.FINE


async def test_nats_without_jetstream(tmp_path: Path) -> None:
    with nats.running(tmp_path, settings=["jetstream: disabled"]) as server:
        assert (await found(server.url))["jetstream"].verdict is Verdict.BREAKS


@pytest.mark.parametrize(
    ("config", "broken"),
    [
        ({}, []),
        ({"max_age": 1}, ["max_age"]),
        ({"allow_direct": True, "discard": "old"}, ["discard", "allow_direct"]),
    ],
)
def test_nats_a_bucket_that_a_memory_would_refuse(config: dict[str, Any], broken: list[str]) -> None:
    info = {
        "config": {
            "name": "KV_b",
            "metadata": {"pyarvo-schema": "1"},
            "storage": "file",
            "num_replicas": 3,
            "retention": "limits",
            "max_msgs": -1,
            "max_age": 0,
            "max_msgs_per_subject": 1,
            "discard": "new",
            **config,
        },
        "cluster": {"replicas": [{"name": "s1", "current": True}, {"name": "s2", "current": False}]},
    }
    findings = list(nats_doctor._of_bucket("b", info, {}))
    assert [finding.setting for finding in findings if finding.verdict is Verdict.BREAKS] == broken
    (behind,) = [finding for finding in findings if finding.setting == "replicas behind"]
    assert (behind.value, behind.verdict) == ("s2", Verdict.UNKNOWN)
    assert nats_doctor._schema("b", {"pyarvo-schema": "9"}).verdict is Verdict.BREAKS
    assert nats_doctor._schema("b", {}).verdict is Verdict.UNKNOWN
