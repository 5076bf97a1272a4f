"""A cluster of three masters, a failover by a sentinel, and TLS: real servers, three processes each."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from redis.asyncio import RedisCluster
from redis.crc import key_slot
from tests.servers.certificates import write_certificates
from tests.servers.proxy import Proxy
from tests.servers.redis import RIGHTS, RedisServer, backend_of, free_ports, keys_in, running, stored
from tests.servers.redis_groups import cluster, cluster_url, move_slot, watched

from pyarvo.errors import MemoryFault, MemoryUnavailable, WriteOutcomeUnknown
from pyarvo.memory import Find, Step, open_memory
from pyarvo.memory.decide import Acquire, Acquired, Denied, Read
from pyarvo.memory.redis import RedisMachineMemory


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    with cluster(tmp_path_factory.mktemp("cluster")) as servers:
        yield servers


def name() -> str:
    return f"test-{uuid4().hex}"


# --- the cluster ----------------------------------------------------------------------------------------------


async def test_instances_spread_over_the_masters_and_a_batch_finds_them(servers: list[RedisServer]) -> None:
    async with RedisMachineMemory(cluster_url(servers[:1]), prefix=name()) as memory:
        leases = await asyncio.gather(*[memory.acquire(f"x/{n}") for n in range(60)])
        for n, lease in enumerate(leases):
            assert lease is not None
            lease_data = {"n": n, "status": "active", "text": "x" * (20_000 if n % 10 == 0 else 1)}
            assert await memory.commit(lease, lease_data, step=Step(f'["s","{n}"]')) == 1
        records = await asyncio.gather(*[memory.read(f"x/{n}") for n in range(60)])
        assert [record["n"] for record in records if record is not None] == list(range(60))
        # No master has them all, and lists look at every one.
        shares = [int(server.command("DBSIZE")) for server in servers]
        assert min(shares) > 0
        assert await memory.count() == 60
        assert await memory.count(Find(status="active")) == 60
        first = await memory.instances(limit=40)
        rest = await memory.instances(limit=40, cursor=first.cursor)
        items = [*first.items, *rest.items]
        assert {item.id for item in items} == {f"x/{n}" for n in range(60)}
        assert [item.created_at for item in items] == sorted(
            (item.created_at for item in items), reverse=True
        )
        await memory.ping()


async def test_a_moved_slot_is_followed_while_it_moves_and_after(servers: list[RedisServer]) -> None:
    async with RedisMachineMemory(cluster_url(servers), prefix=name()) as memory:
        await stored(memory)
        slot = key_slot(keys_in(memory, "x").row)
        source = next(server for server in servers if _holds(server, slot))
        target = next(server for server in servers if server is not source)
        move_slot(slot, source, target)
        # Its keys are there already, its slot is not: the old master says ASK.
        lease = await memory.acquire("x")
        assert lease is not None
        assert lease.data == {"a": 1}
        assert await memory.commit(lease, {"text": "x" * 50_000}) == 2
        move_slot(slot, source, target, others=[target, source, *servers])
        # This memory's map is out of date: the old master says MOVED.
        lease = await memory.acquire("x")
        assert lease is not None
        assert lease.fence == 3
        assert await memory.commit(lease, {"b": 2}) == 3
        assert await memory.read("x") == {"b": 2}
        moved = source.command("INFO", "errorstats")
        assert "errorstat_ASK" in moved
        assert "errorstat_MOVED" in moved


def _holds(server: RedisServer, slot: int) -> bool:
    return server.command("CLUSTER", "COUNTKEYSINSLOT", str(slot)) != "0"


async def test_a_user_with_few_rights_is_enough_in_a_cluster(servers: list[RedisServer]) -> None:
    rights = [*RIGHTS.split(), "+cluster|slots", "+cluster|shards", "+command", "+asking"]
    for server in servers:
        server.command("ACL", "SETUSER", "worker", "on", ">secret", "~pyarvo:*", *rights)
    url = cluster_url(servers).replace("://", "://worker:secret@")
    async with RedisMachineMemory(url) as memory:
        await stored(memory)
        assert await memory.count() == 1
        assert await memory.delete("x")


async def test_a_cluster_client_passed_in(servers: list[RedisServer]) -> None:
    async with cast("Any", RedisCluster)(host="127.0.0.1", port=servers[0].port) as client:
        async with RedisMachineMemory(client=client, prefix=name()) as memory:
            await stored(memory)
            assert await memory.read("x") == {"a": 1}
        assert await client.ping()


async def test_a_server_that_is_gone_fails_only_its_own_instances(tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        # Else a cluster refuses everything while a part of it is missing.
        for server in servers:
            server.command("CONFIG", "SET", "cluster-require-full-coverage", "no")
        async with RedisMachineMemory(cluster_url(servers), lock_attempts=1) as memory:
            assert await memory.count() == 0
            backend = backend_of(memory)
            tokens = [uuid4().hex for _ in range(40)]
            ops = [Acquire(f"x/{n}", tokens[n], 60.0) for n in range(40)]
            assert all(isinstance(one, Acquired) for one in await backend.execute(ops))
            servers[2].kill()
            again = await backend.execute([Acquire(f"x/{n}", uuid4().hex, 60.0) for n in range(40)])
            kinds = {type(one) for one in again}
            assert Denied in kinds
            lost = [one for one in again if isinstance(one, MemoryFault)]
            assert 0 < len(lost) < 40
            servers[2].start()
            assert len(await backend.execute([Read("x/1")])) == 1


# --- the sentinel ---------------------------------------------------------------------------------------------


async def test_a_failover_is_survived_with_every_write_that_replicas_had(tmp_path: Path) -> None:
    with watched(tmp_path) as group:
        async with RedisMachineMemory(group.url, wait_replicas=1, wait_s=5.0, deadline_s=3.0) as memory:
            for n in range(5):
                lease = await memory.acquire("x")
                assert lease is not None
                await memory.commit(lease, {"n": n}, step=Step(f'["s","{n}"]', ({"n": n},)))
            frozen = await memory.acquire("x")
            assert frozen is not None
            assert frozen.fence == 6
            await asyncio.to_thread(group.fail_over)

        # The replica confirmed the last grant: its fence and its right are there.
        async with RedisMachineMemory(group.url) as memory:
            assert await _once_up(memory) == {"n": 4}
            assert [step.event_key for step in await memory.journal("x")] == [
                f'["s","{n}"]' for n in range(5)
            ]
            assert await memory.acquire("x") is None
            assert await memory.commit(frozen, {"n": 5}) == 6
            lease = await memory.acquire("x")
            assert lease is not None
            assert lease.fence == 7


async def test_a_memory_finds_the_new_master_by_itself(tmp_path: Path) -> None:
    with watched(tmp_path) as group:
        async with RedisMachineMemory(group.url, deadline_s=2.0) as memory:
            await stored(memory)
            await asyncio.to_thread(group.fail_over)
            deadline = time.monotonic() + 20.0
            while True:
                assert time.monotonic() < deadline
                try:
                    lease = await memory.acquire("y")
                    assert lease is not None
                    assert await memory.commit(lease, {"after": True}) == 1
                    break
                except (MemoryUnavailable, WriteOutcomeUnknown):
                    await asyncio.sleep(0.02)
        assert group.replica.command("GET", keys_in(memory, "y").record.decode()) == '{"after":true}'


async def _once_up(memory: RedisMachineMemory) -> object:
    deadline = time.monotonic() + 20.0
    while True:
        try:
            return await memory.read("x")
        except MemoryUnavailable:
            assert time.monotonic() < deadline


async def test_a_service_that_no_sentinel_knows(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    async with RedisMachineMemory(f"redis+sentinel://127.0.0.1:{port}/orders") as memory:
        with pytest.raises(MemoryUnavailable) as caught:
            await memory.acquire("x")
        assert caught.value.transient


# --- TLS ------------------------------------------------------------------------------------------------------


async def test_tls_checks_the_server_and_shows_the_client(tmp_path: Path) -> None:
    """The wheel's server is built without TLS: a proxy ends it, as stunnel would."""
    files = write_certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(files.authority))
    context.load_cert_chain(files.certificate, files.key)
    context.verify_mode = ssl.CERT_REQUIRED
    with running(tmp_path / "server") as server:
        async with Proxy(server.port, context) as proxy:
            url = f"rediss://localhost:{proxy.port}?tls_ca_file={files.authority}"
            mine: dict[str, Any] = {"tls_cert_file": str(files.certificate), "tls_key_file": str(files.key)}
            async with open_memory(url, **mine) as memory:
                lease = await memory.acquire("x")
                assert lease is not None
                await memory.commit(lease, {"text": "x" * 50_000})
                assert await memory.read("x") == {"text": "x" * 50_000}
            stranger = RedisMachineMemory(f"rediss://localhost:{proxy.port}", **mine)
            async with stranger as memory:
                with pytest.raises(MemoryUnavailable) as caught:
                    await memory.acquire("x")
                assert not caught.value.transient
            other_name = f"rediss://127.0.0.2:{proxy.port}?tls_ca_file={files.authority}"
            with pytest.raises(MemoryUnavailable):
                async with open_memory(other_name, **mine) as memory:
                    await memory.acquire("x")
