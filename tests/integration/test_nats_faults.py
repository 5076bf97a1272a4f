"""What NATS may do to a memory: die under load, lose answers, refuse; alone and three in a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Self, TypeVar

import msgspec
import pytest
from nats.aio.client import Client
from tests.journals import whole_journal
from tests.loop_time import standing, waited
from tests.servers.nats import NatsServer, cluster, running, settle

from pyarvo.errors import MemoryUnavailable, WriteOutcomeUnknown
from pyarvo.memory import Lease, LeasedMemory, Step
from pyarvo.memory.nats import NatsMachineMemory, scan
from pyarvo.memory.nats.faults import Silence
from pyarvo.memory.nats.link import Ask, Link

R = TypeVar("R")


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncGenerator[None]:
    """No task outlives a test."""
    yield
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert left == []


async def poll(done: Callable[[], bool], what: str, within_s: float = 60.0) -> None:
    """Let others run until *done*."""
    deadline = monotonic() + within_s
    while not done():
        assert monotonic() < deadline, f"{what}: not within {within_s} s"
        await asyncio.sleep(0)


async def held(memory: LeasedMemory, id: str = "a") -> Lease:
    lease = await memory.acquire(id)
    assert lease is not None
    return lease


# --- killed under load ------------------------------------------------------------------------------------------


async def once_available(ask: Callable[[], Coroutine[Any, Any, R]]) -> R:
    """The answer, when servers that came back have elected a leader."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await ask()
            except MemoryUnavailable:
                await asyncio.sleep(0.05)


class Load:
    """
    Workers that each take step after step on an instance of their own, and write down what they were told.

    Attributes:
        in_flight: Commits that were sent and not answered.

        acknowledged: Steps that a commit acknowledged, by instance.

        unknown: Commits whose outcome the store did not say.
    """

    def __init__(self, memory: LeasedMemory, workers: int) -> None:
        self._memory = memory
        self._workers = workers
        self._stopping = False
        self.in_flight = 0
        self.acknowledged = dict.fromkeys((f"i{n}" for n in range(workers)), 0)
        self.unknown = 0
        self.refused = 0

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        tasks = [asyncio.create_task(self._work(id)) for id in self.acknowledged]
        try:
            yield
        finally:
            self._stopping = True
            await asyncio.gather(*tasks)

    async def progress(self) -> None:
        """Wait until every worker has had another step acknowledged."""
        before = dict(self.acknowledged)
        await poll(lambda: all(self.acknowledged[id] > before[id] for id in before), "no progress")

    async def _work(self, id: str) -> None:
        while not self._stopping:
            lease = await self._until_answered(partial(self._memory.acquire, id))
            if lease is None:  # granted to an acquire whose answer was lost
                continue
            n = self.acknowledged[id] + 1
            assert lease.version == n - 1, "what was acknowledged is there, and nothing else"
            step = Step(f"{id}-{n}", ({"n": n},))
            self.in_flight += 1
            version = await self._until_answered(partial(self._commit, lease, n, step))
            self.in_flight -= 1
            assert version == n
            self.acknowledged[id] = n

    async def _commit(self, lease: Lease, n: int, step: Step) -> int:
        return await self._memory.commit(lease, {"n": n}, step=step)

    async def _until_answered(self, ask: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Ask the same again until the store says what became of it (C9)."""
        while True:
            try:
                return await ask()
            except WriteOutcomeUnknown:
                self.unknown += 1
            except MemoryUnavailable:
                self.refused += 1
            await asyncio.sleep(0.01)

    async def compare(self, memory: LeasedMemory) -> None:
        """Entry by entry: every acknowledged step is there, once."""
        for id, count in self.acknowledged.items():
            found = await once_available(partial(memory.get, id))
            assert found is not None
            assert (found.version, found.data) == (count, {"n": count})
            journal = await once_available(partial(whole_journal, memory, id))
            assert [step.version for step in journal] == list(range(1, count + 1))
            kept = journal[-128:]
            assert [step.event_key for step in kept] == [f"{id}-{step.version}" for step in kept]
            assert [step.produced for step in kept] == [({"n": step.version},) for step in kept]


async def test_killed_twenty_times_under_load_no_acknowledged_step_is_lost(tmp_path: Path) -> None:
    kills = 20
    with running(tmp_path, durable=True) as server:
        async with NatsMachineMemory(server.url) as memory:
            load = Load(memory, 24)
            async with load.running():
                for _ in range(kills):
                    await load.progress()
                    await poll(lambda: load.in_flight >= 16, "too few commits in flight")
                    server.kill()
                    await asyncio.to_thread(server.start)
                await load.progress()
            async with NatsMachineMemory(server.url) as other:
                await load.compare(other)
    # By the client's own log: so many commits were sent, and their answer lost.
    assert load.unknown >= 16


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[NatsServer]]:
    with cluster(tmp_path_factory.mktemp("cluster")) as servers:
        yield servers


@pytest.fixture
def servers(started: list[NatsServer]) -> list[NatsServer]:
    settle(started)  # a test before may have killed one of them
    return started


def url_of(servers: list[NatsServer], bucket: str) -> str:
    hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    return f"nats://{hosts}/{bucket}?replicas=3".partition("?")[0]


async def leader_of(servers: list[NatsServer], bucket: str) -> NatsServer:
    """Who leads the stream of *bucket*."""
    client = Client()
    await client.connect([server.url for server in servers])
    answer = await client.request(f"$JS.API.STREAM.INFO.KV_{bucket}", timeout=5)
    await client.close()
    name = msgspec.json.decode(answer.data)["cluster"]["leader"]
    return next(server for server in servers if server.name == name)


async def test_on_three_servers_a_leader_killed_under_load_loses_nothing(servers: list[NatsServer]) -> None:
    async with NatsMachineMemory(
        url_of(servers, "load"), replicas=3, deadline_s=1.0, lease_ttl_s=2
    ) as memory:
        load = Load(memory, 24)
        async with load.running():
            for _ in range(2):
                await load.progress()
                leader = await leader_of(servers, "load")
                await poll(lambda: load.in_flight >= 16, "too few commits in flight")
                leader.kill()
                await load.progress()  # while it is away
                await asyncio.to_thread(leader.start)
            await load.progress()
        async with NatsMachineMemory(url_of(servers, "load"), replicas=3) as other:
            await load.compare(other)
    assert load.unknown + load.refused > 0


async def test_on_three_servers_everything_is_as_on_one(servers: list[NatsServer]) -> None:
    url = url_of(servers, "same")
    async with NatsMachineMemory(url, replicas=3) as memory, NatsMachineMemory(url, replicas=3) as other:
        lease = await held(memory)
        assert await other.acquire("a") is None
        await memory.commit(lease, {"n": 1}, step=Step("k", ({"n": 1},)))
        # Reads go to the leader: what was written is seen at once, through any server.
        for n in range(2, 30):
            writer, reader = (memory, other) if n % 2 else (other, memory)
            await writer.commit(await held(writer), {"n": n})
            assert await reader.read("a") == {"n": n}
        replay = await other.acquire("a", event_key="k")
        assert replay is not None
        assert replay.replay is not None
        assert replay.replay.produced == ({"n": 1},)
        assert await other.count() == 1
        assert await other.delete("a")
        assert await memory.read("a") is None


# --- lost answers -----------------------------------------------------------------------------------------------


class Proxy:
    """A way to the server on which answers can get lost."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.mute = False
        self.seen = b""
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"nats://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    def cut(self) -> None:
        """Break every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, back}
        for source, sink, answers in ((reader, back, False), (there, writer, True)):
            task = asyncio.create_task(self._pump(source, sink, answers=answers))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool) -> None:
        try:
            while data := await source.read(65_536):
                if answers and self.mute:
                    continue
                if not answers:
                    self.seen += data
                sink.write(data)
                await sink.drain()
        except OSError:  # the other end was cut off
            pass
        finally:
            sink.transport.abort()
            self._writers.discard(sink)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with running(tmp_path_factory.mktemp("nats")) as server:
        yield server


async def test_a_commit_whose_answer_was_lost_recognises_itself(server: NatsServer) -> None:
    async with Proxy(server.port) as proxy, NatsMachineMemory(f"{proxy.url}/lost1", deadline_s=30) as memory:
        lease = await held(memory)
        proxy.mute = True
        commit = asyncio.create_task(memory.commit(lease, {"n": 1}, step=Step("k", ({"n": 1},))))
        await _answered(server, "lost1", "a")
        assert not commit.done()
        with standing() as advance:
            advance(30.1)
            with pytest.raises(WriteOutcomeUnknown):
                await commit
        proxy.mute = False
        proxy.cut()
        async with NatsMachineMemory(f"{server.url}/lost1") as other:
            assert await other.read("a") == {"n": 1}
            await other.commit(await held(other), {"n": 2}, step=Step("k2"))
        assert await _persistently(lambda: memory.commit(lease, {"n": 1}, step=Step("k", ({"n": 1},)))) == 1
        assert await memory.read("a") == {"n": 2}


async def test_a_cut_connection_is_told_at_once_and_made_again(server: NatsServer) -> None:
    async with Proxy(server.port) as proxy, NatsMachineMemory(f"{proxy.url}/lost2", deadline_s=30) as memory:
        lease = await held(memory)
        proxy.mute, proxy.seen = True, b""
        commit = asyncio.create_task(memory.commit(lease, {"n": 1}))
        await poll(lambda: b'{"n":1}' in proxy.seen, "the commit was not sent")
        started = monotonic()
        proxy.cut()
        with pytest.raises(WriteOutcomeUnknown):
            await commit
        assert monotonic() - started < 15.0
        proxy.mute = False
        assert await _persistently(lambda: memory.commit(lease, {"n": 1})) == 1


async def test_an_acquire_whose_answer_was_lost_leaves_no_lease(server: NatsServer) -> None:
    async with Proxy(server.port) as proxy, NatsMachineMemory(f"{proxy.url}/lost3", deadline_s=0.4) as memory:
        await memory.ping()
        proxy.mute = True
        with pytest.raises(MemoryUnavailable):
            await memory.acquire("a")
        proxy.mute = False
        proxy.cut()
        async with NatsMachineMemory(f"{server.url}/lost3") as other:
            assert await _persistently(lambda: _granted(other))


async def test_reads_are_quick_to_fail_when_nobody_answers(server: NatsServer) -> None:
    async with Proxy(server.port) as proxy, NatsMachineMemory(f"{proxy.url}/lost4") as memory:
        await memory.ping()
        proxy.mute = True
        with waited() as total, pytest.raises(MemoryUnavailable):
            await memory.read("a")
        assert total.seconds < 1.0
        proxy.mute = False
        proxy.cut()
        assert await _persistently(lambda: memory.read("a")) is None


async def test_a_list_whose_connection_ends_before_it_begins_is_unavailable(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scan._made  # pyright: ignore[reportPrivateUsage]

    async def made_and_cut(link: Link, stream: str, subjects: str, *, headers_only: bool) -> object:
        consumer = await made(link, stream, subjects, headers_only=headers_only)
        await (await link.connected()).close()
        return consumer

    async with NatsMachineMemory(f"{server.url}/lost6") as memory:
        await memory.commit(await held(memory), {"n": 1})
        with monkeypatch.context() as cutting:
            cutting.setattr(scan, "_made", made_and_cut)
            with pytest.raises(MemoryUnavailable, match="the connection was lost"):
                await memory.instances()
        assert [found.id for found in (await memory.instances()).items] == ["a"]


@pytest.mark.parametrize("turns", range(4))
async def test_a_connection_that_breaks_while_it_is_given_up_is_no_error_of_the_driver(
    server: NatsServer, turns: int
) -> None:
    async with NatsMachineMemory(f"{server.url}/lost7") as memory:
        lease = await held(memory, f"a{turns}")
        backend: Any = memory._backend  # pyright: ignore[reportPrivateUsage]
        link = (await backend._store()).link
        driver: Any = await link.connected()
        driver._reading_task.cancel()  # the driver has not noticed yet
        driver._transport._io_writer.transport.abort()
        for _ in range(turns):
            await asyncio.sleep(0)
        await link.close()
        assert driver.is_closed
        assert await memory.commit(lease, {"n": 1}) == 1


async def test_what_nobody_takes_is_sent_again_while_somebody_may_come(server: NatsServer) -> None:
    async with NatsMachineMemory(f"{server.url}/lost8") as memory:
        await memory.ping()
        backend: Any = memory._backend  # pyright: ignore[reportPrivateUsage]
        link: Link = (await backend._store()).link
        client: Any = Client()
        await client.connect(server.url)

        async def answer(message: Any) -> None:
            await message.respond(b"taken")

        with waited() as nobody:
            assert await link.ask(Ask("elected"), 5.0) is Silence.NO_RESPONDERS
        assert 0.9 < nobody.seconds < 3.0
        asked = asyncio.create_task(link.ask(Ask("elected"), 5.0))
        await asyncio.sleep(0.2)
        await client.subscribe("elected", cb=answer)
        assert await asked == b"taken"
        await client.close()


async def test_one_lost_answer_does_not_hold_up_the_others(server: NatsServer) -> None:
    async with Proxy(server.port) as proxy, NatsMachineMemory(f"{proxy.url}/lost5", deadline_s=30) as memory:
        stuck, free = await held(memory, "stuck"), await held(memory, "free")
        proxy.mute, proxy.seen = True, b""
        commit = asyncio.create_task(memory.commit(stuck, {"n": "stuck"}))
        await poll(lambda: b'{"n":"stuck"}' in proxy.seen, "the commit was not sent")
        # Its answer is dropped whole; the answers to what follows come through.
        await poll(lambda: proxy.seen.endswith(b"\r\n"), "half sent")
        await _answered(server, "lost5", "stuck")
        proxy.mute = False
        await memory.commit(free, {"n": 1})
        assert not commit.done()
        proxy.cut()
        with pytest.raises(WriteOutcomeUnknown):
            await commit


async def _answered(server: NatsServer, bucket: str, id: str) -> None:
    """Wait until the server has stored, and so answered, the write of *id*."""
    async with NatsMachineMemory(f"{server.url}/{bucket}") as other:
        await _persistently(lambda: _is_written(other, id))
        await other.ping()


async def _is_written(memory: LeasedMemory, id: str) -> bool:
    return await memory.read(id) is not None


async def _granted(memory: LeasedMemory) -> bool:
    return await memory.acquire("a") is not None


async def _persistently(ask: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Ask until the way is open again, or (for a bool) until it is True."""
    deadline = monotonic() + 20  # less than a lease lasts
    while True:
        assert monotonic() < deadline
        try:
            answer = await ask()
        except (MemoryUnavailable, WriteOutcomeUnknown):
            await asyncio.sleep(0.01)
            continue
        if answer is not False:
            return answer
        await asyncio.sleep(0.01)


# --- refused ----------------------------------------------------------------------------------------------------


async def test_a_wrong_password_is_no_transient_fault_and_is_not_told(tmp_path: Path) -> None:
    with running(tmp_path, settings=["authorization { user: arvo, password: right }"]) as server:
        hosts = server.url.removeprefix("nats://")
        async with NatsMachineMemory(f"nats://arvo:wr0ng@{hosts}") as memory:
            with pytest.raises(MemoryUnavailable, match="password") as caught:
                await memory.acquire("a")
            assert not caught.value.transient
            assert "wr0ng" not in f"{caught.value!r} {caught.value} {caught.value.__cause__}"
        async with NatsMachineMemory(server.url) as memory:
            with pytest.raises(MemoryUnavailable):
                await memory.acquire("a")
        async with NatsMachineMemory(f"nats://arvo:right@{hosts}") as memory:
            assert (await held(memory)).fence == 1


async def test_a_token_lets_in(tmp_path: Path) -> None:
    with running(tmp_path, settings=["authorization { token: s3cret }"]) as server:
        hosts = server.url.removeprefix("nats://")
        async with NatsMachineMemory(f"nats://s3cret@{hosts}") as memory:
            assert (await held(memory)).fence == 1
        async with NatsMachineMemory(f"nats://other@{hosts}") as memory:
            told: list[MemoryUnavailable] = []
            while len(told) < 5 and (not told or told[-1].transient):  # a reset may hide what the server said
                with pytest.raises(MemoryUnavailable) as caught:
                    await memory.ping()
                told.append(caught.value)
            assert not told[-1].transient


async def test_what_is_not_permitted_is_refused_at_once(tmp_path: Path) -> None:
    rights = 'permissions { publish { deny: "$KV.pyarvo.i.>" } }'
    users = f"authorization {{ users: [{{ user: reader, password: x, {rights} }}] }}"
    with running(tmp_path, settings=[users]) as server:
        hosts = server.url.removeprefix("nats://")
        async with NatsMachineMemory(f"nats://reader:x@{hosts}") as memory:
            assert await memory.read("a") is None
            started = monotonic()
            with pytest.raises(MemoryUnavailable, match="may not") as caught:
                await memory.acquire("a")
            assert not caught.value.transient
            assert monotonic() - started < 4.0  # the deadline is 5 s


async def test_a_server_without_jetstream_says_so(tmp_path: Path) -> None:
    with running(tmp_path, jetstream=False) as server:
        async with NatsMachineMemory(server.url) as memory:
            with pytest.raises(MemoryUnavailable, match="JetStream"):
                await memory.acquire("a")


async def test_it_comes_back_by_itself(tmp_path: Path) -> None:
    with running(tmp_path, durable=True) as server:
        async with NatsMachineMemory(server.url) as memory:
            await memory.commit(await held(memory), {"n": 1})
            server.kill()
            with pytest.raises(MemoryUnavailable):
                await memory.read("a")
            with pytest.raises(MemoryUnavailable):
                await memory.acquire("a")
            await asyncio.to_thread(server.start)
            assert await _persistently(lambda: memory.read("a")) == {"n": 1}
            await memory.commit(await held(memory), {"n": 2})


async def test_closing_while_the_server_is_away_takes_no_longer_than_the_deadline(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        memory = NatsMachineMemory(server.url, deadline_s=2.0)
        lease = await held(memory)
        server.kill()
        with pytest.raises((MemoryUnavailable, WriteOutcomeUnknown)):
            await memory.commit(lease, {"n": 1})
        started = monotonic()
        await memory.close()
        assert monotonic() - started < 12.0
