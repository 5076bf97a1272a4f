"""What breaks on the way to the server, and the server itself: killed, silent, full, a replica, locked up."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.journals import whole_journal
from tests.loop_time import waited
from tests.servers.proxy import Proxy
from tests.servers.redis import RIGHTS, RedisServer, backend_of, free_ports, keys_in, running, stored, until

from pyarvo.errors import (
    LeaseLost,
    MemoryUnavailable,
    WriteOutcomeUnknown,
)
from pyarvo.events.labels import Labels
from pyarvo.memory import Step
from pyarvo.memory.decide import Commit
from pyarvo.memory.redis import RedisMachineMemory

DURABLE = ("--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running(tmp_path, *DURABLE) as server:
        yield server


# --- the network ----------------------------------------------------------------------------------------------


async def test_a_lost_reply_to_a_commit_is_settled_by_repeating_it(server: RedisServer) -> None:
    async with Proxy(server.port) as proxy, RedisMachineMemory(f"redis://127.0.0.1:{proxy.port}") as memory:
        for size in (10, 50_000):
            lease = await memory.acquire("x")
            assert lease is not None
            data, step = {"text": "x" * size}, Step(f'["s","{size}"]', ({"n": 1},))
            proxy.lose_replies = True
            with pytest.raises(WriteOutcomeUnknown) as caught:
                await memory.commit(lease, data, step=step)
            assert (caught.value.id, caught.value.operation) == ("x", "commit")
            proxy.lose_replies = False
            version = lease.version + 1
            assert await memory.commit(lease, data, step=step) == version
            assert await memory.read("x") == data
        assert [step.version for step in await memory.journal("x")] == [1, 2]


async def test_a_lost_reply_to_an_acquire_gives_the_same_lease(server: RedisServer) -> None:
    async with Proxy(server.port) as proxy, RedisMachineMemory(f"redis://127.0.0.1:{proxy.port}") as memory:
        await stored(memory)
        proxy.lose_replies = True
        acquiring = asyncio.create_task(memory.acquire("x"))
        await proxy.next_connection()
        proxy.lose_replies = False
        lease = await acquiring
        assert lease is not None
        assert lease.fence == 2
        assert await memory.commit(lease, {}) == 2


async def test_nobody_there(server: RedisServer) -> None:
    (port,) = free_ports(1)
    async with RedisMachineMemory(f"redis://user:secret@127.0.0.1:{port}") as memory:
        started = time.monotonic()
        for call in (memory.acquire("x"), memory.read("x"), memory.get("x"), memory.count(), memory.ping()):
            with pytest.raises(MemoryUnavailable) as caught:
                await call
            assert caught.value.transient
            assert "secret" not in str(caught.value)
            assert caught.value.__cause__ is not None
        assert time.monotonic() - started < 20.0


async def test_a_silent_server_is_given_up_and_found_again(server: RedisServer) -> None:
    async with RedisMachineMemory(server.url, deadline_s=2.0) as memory:
        await stored(memory)
        lease = await memory.acquire("x")
        assert lease is not None
        server.pause()
        try:
            with waited() as total, pytest.raises(MemoryUnavailable):
                await memory.read("x")
            assert total.seconds < 1.0
            with pytest.raises(WriteOutcomeUnknown):
                await memory.commit(lease, {"b": 2})
            assert await memory.release(lease) is False
        finally:
            server.resume()
        lease.held = True
        assert await _settled(memory, lease.version + 1)


async def _settled(memory: RedisMachineMemory, version: int) -> bool:
    """Whether the commit that the server got while it slept took effect, and the memory works on."""
    deadline = time.monotonic() + 20.0
    while time.monotonic() < deadline:
        try:
            instance = await memory.get("x")
        except MemoryUnavailable:
            continue
        if instance is not None and instance.version == version and not instance.held:
            return await memory.acquire("x") is not None
        await asyncio.sleep(0.01)
    return False


async def test_the_server_that_speaks_another_protocol(server: RedisServer) -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(web, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        async with RedisMachineMemory(f"redis://127.0.0.1:{port}") as memory:
            with pytest.raises(MemoryUnavailable):
                await memory.acquire("x")


# --- the server -----------------------------------------------------------------------------------------------


async def test_killed_under_load_no_acknowledged_write_is_lost(server: RedisServer) -> None:
    """20 kills, each with 16 or more commits under way by this log; unknown ones are counted apart."""
    kills, tasks = 20, 32
    log: dict[str, list[str]] = {f"x/{task}": [] for task in range(tasks)}
    under_way = 0
    unknown = 0
    over = asyncio.Event()

    async with RedisMachineMemory(server.url, deadline_s=10.0, lease_ttl_s=1.0) as memory:

        async def work(id: str) -> None:
            nonlocal under_way, unknown
            while not over.is_set():
                key = f'["s","{len(log[id])}"]'
                try:
                    lease = await memory.acquire(id)
                except MemoryUnavailable:
                    continue
                if lease is None:  # granted to an acquire whose answer was lost
                    continue
                assert lease.version == len(log[id])
                while True:
                    under_way += 1
                    try:
                        version = await memory.commit(lease, {"n": len(log[id])}, step=Step(key))
                    except WriteOutcomeUnknown:
                        unknown += 1
                        continue
                    except MemoryUnavailable:
                        continue
                    finally:
                        under_way -= 1
                    log[id].append(key)
                    assert version == len(log[id])
                    break

        async def killer() -> None:
            for _ in range(kills):
                goal = sum(map(len, log.values())) + tasks
                while under_way < 16 or sum(map(len, log.values())) < goal:  # noqa: ASYNC110 - two conditions
                    await asyncio.sleep(0)
                server.kill()
                await asyncio.to_thread(server.start)
            over.set()

        await asyncio.wait_for(asyncio.gather(killer(), *[work(id) for id in log]), 100)

        assert unknown >= kills
        for id, keys in log.items():
            steps = await whole_journal(memory, id)
            assert [(step.version, step.event_key) for step in steps] == list(enumerate(keys, 1))
            assert await memory.read(id) == {"n": len(keys) - 1}


async def _step(memory: RedisMachineMemory, n: int) -> None:
    until = time.monotonic() + 20.0
    while (lease := await memory.acquire("x")) is None:  # a kill may keep an acquire and lose its commit
        assert time.monotonic() < until
    assert await memory.commit(lease, {"n": n}, step=Step(f'["s","{n}"]')) == n


async def test_with_a_log_synced_each_second_what_is_older_is_there(tmp_path: Path) -> None:
    with running(tmp_path, "--appendonly", "yes", "--appendfsync", "everysec") as server:
        async with RedisMachineMemory(server.url, lease_ttl_s=1.0) as memory:
            for n in range(1, 4):
                await _step(memory, n)
            await asyncio.sleep(1.5)  # the log of these was synced meanwhile; of the next it may not be
            written = "aof_buffer_length:0"
            await asyncio.to_thread(
                until, lambda: written in server.command("INFO", "persistence"), "written"
            )
            await _step(memory, 4)
            server.kill()
            await asyncio.to_thread(server.start)
            found = await memory.get("x")
            assert found is not None
            assert found.version in {3, 4}
            assert found.data == {"n": found.version}
            assert [step.version for step in await memory.journal("x")] == [*range(1, found.version + 1)]
            await _step(memory, found.version + 1)


async def test_without_a_log_a_killed_server_is_back_at_its_snapshot_whole(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        async with RedisMachineMemory(server.url) as memory:
            await _step(memory, 1)
            await _step(memory, 2)
            server.command("SAVE")
            await _step(memory, 3)
            late = await memory.acquire("x")
            assert late is not None
            assert late.fence == 4
            server.kill()
            await asyncio.to_thread(server.start)
            with pytest.raises(LeaseLost):
                await memory.commit(late, {"n": 4})
            assert await memory.read("x") == {"n": 2}
            assert [step.version for step in await memory.journal("x")] == [1, 2]
            lease = await memory.acquire("x")
            assert lease is not None
            assert (lease.version, lease.fence) == (2, 3)  # the fence went back with everything else
            assert await memory.commit(lease, {"n": 3}) == 3


async def test_a_full_server_refuses_and_nothing_is_half_written(server: RedisServer) -> None:
    async with RedisMachineMemory(server.url) as memory:
        await stored(memory)
        lease = await memory.acquire("x")
        assert lease is not None
        server.command("CONFIG", "SET", "maxmemory", "1")
        for size in (10, 50_000):
            with pytest.raises(MemoryUnavailable) as caught:
                await memory.commit(lease, {"text": "x" * size})
            assert not caught.value.transient
            assert "memory is full" in str(caught.value)
        assert await memory.read("x") == {"a": 1}
        server.command("CONFIG", "SET", "maxmemory", "0")
        assert await memory.commit(lease, {"b": 2}) == 2


async def _linked(replica: RedisServer) -> None:
    def up() -> bool:
        return "master_link_status:up" in replica.command("INFO", "replication")

    await asyncio.to_thread(until, up, "the replica follows")


async def test_a_replica_refuses_writes(server: RedisServer, tmp_path: Path) -> None:
    with running(tmp_path / "replica", "--replicaof", "127.0.0.1", str(server.port)) as replica:
        until(
            lambda: "master_link_status:up" in replica.command("INFO", "replication"), "the replica is linked"
        )
        async with RedisMachineMemory(replica.url) as memory:
            with pytest.raises(MemoryUnavailable) as caught:
                await memory.acquire("x")
            assert caught.value.transient
            assert "READONLY" in str(caught.value)


async def test_wait_asks_replicas(server: RedisServer, tmp_path: Path) -> None:
    async with RedisMachineMemory(server.url, wait_replicas=1, wait_s=0.05, lock_attempts=1) as memory:
        with pytest.raises(MemoryUnavailable, match="0 of 1 replicas"):
            await memory.acquire("x")
        assert await memory.read("x") is None
    with running(tmp_path / "replica", "--replicaof", "127.0.0.1", str(server.port)) as replica:
        await _linked(replica)
        # Redis 7.0 counts a replica only once it has acknowledged something by itself, which it does each second.
        async with RedisMachineMemory(server.url, wait_replicas=1, wait_s=3.0, lock_attempts=1) as memory:
            lease = await memory.acquire("y")
            assert lease is not None
            assert await memory.commit(lease, {"a": 1}) == 1
            assert replica.command("GET", keys_in(memory, "y").record.decode()) == '{"a":1}'


async def test_a_record_sent_ahead_that_is_gone_is_not_applied(server: RedisServer) -> None:
    async with RedisMachineMemory(server.url) as memory:
        lease = await memory.acquire("x")
        assert lease is not None
        backend = backend_of(memory)
        op = Commit("x", lease.token, 0, b'{"t":"%b"}' % (b"x" * 20_000), b"d" * 16, Labels())
        command = backend._scripts.command(op)
        route = await backend._route(1.0)
        (reply,) = await route.run([type(command)(command.key, command.parts[1:])], 1.0)
        assert reply == [12]
        assert await memory.read("x") is None


# --- who may do what ------------------------------------------------------------------------------------------


async def test_a_wrong_password_is_no_transient_fault(tmp_path: Path) -> None:
    with running(tmp_path, "--requirepass", "right/@:pass word") as server:
        place = f"127.0.0.1:{server.port}"
        for login in (":wrong-secret@", "somebody:wrong-secret@", ""):
            async with RedisMachineMemory(f"redis://{login}{place}") as memory:
                with pytest.raises(MemoryUnavailable) as caught:
                    await memory.acquire("x")
                assert not caught.value.transient
                assert "wrong-secret" not in f"{caught.value!s}{caught.value.__cause__!r}"
        async with RedisMachineMemory(f"redis://:right%2F%40%3Apass%20word@{place}") as memory:
            await stored(memory)


async def test_a_user_with_few_rights_is_enough(server: RedisServer) -> None:
    server.command("ACL", "SETUSER", "worker", "on", ">secret", "~pyarvo:*", *RIGHTS.split())
    url = f"redis://worker:secret@127.0.0.1:{server.port}"
    async with RedisMachineMemory(url, history=1) as memory:
        await stored(memory)
        lease = await memory.acquire("x")
        assert lease is not None
        await memory.renew(lease)
        await memory.commit(lease, {"text": "x" * 50_000})
        assert await memory.count() == 1
        assert len(await memory.journal("x")) == 2
        assert len(await memory.history("x")) == 1
        other = await memory.acquire("x")
        assert other is not None
        assert await memory.release(other)
        assert await memory.delete("x")
        await memory.ping()
    server.command("ACL", "SETUSER", "worker", "-evalsha")
    async with RedisMachineMemory(url) as memory:
        with pytest.raises(MemoryUnavailable) as caught:
            await memory.acquire("x")
        assert not caught.value.transient
        assert "docs/backends/redis.md" in str(caught.value)


async def test_a_prefix_outside_of_the_users_keys(server: RedisServer) -> None:
    server.command("ACL", "SETUSER", "worker", "on", ">secret", "~pyarvo:*", *RIGHTS.split())
    url = f"redis://worker:secret@127.0.0.1:{server.port}"
    async with RedisMachineMemory(url, prefix="other") as memory:
        with pytest.raises(MemoryUnavailable) as caught:
            await memory.acquire("x")
        assert not caught.value.transient


# --- closing --------------------------------------------------------------------------------------------------


async def test_close_leaves_no_connection_and_no_task(server: RedisServer) -> None:
    before = asyncio.all_tasks()
    memory = RedisMachineMemory(server.url)
    await stored(memory)
    assert await memory.count() == 1
    await memory.close()
    assert asyncio.all_tasks() == before
    until(lambda: len(server.command("CLIENT", "LIST", "TYPE", "normal").splitlines()) == 1, "all are closed")


async def test_batching_off_answers_the_same(server: RedisServer) -> None:
    async with RedisMachineMemory(server.url, batching=False, prefix=uuid4().hex) as memory:
        leases = await asyncio.gather(*[memory.acquire(f"x/{n}") for n in range(100)])
        versions = await asyncio.gather(
            *[memory.commit(lease, {"n": n}) for n, lease in enumerate(leases) if lease is not None]
        )
        assert versions == [1] * 100
        again = await asyncio.gather(*[memory.read(f"x/{n}") for n in range(100)])
        assert again == [{"n": n} for n in range(100)]
