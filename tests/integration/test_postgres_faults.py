"""A server that dies, answers that are lost, doors that are shut: nothing acknowledged is lost, every fault has a name."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from time import monotonic

import pytest
from tests.journals import whole_journal
from tests.servers.postgres import PostgresServer, new_schema, postgres_url

from pyarvo.errors import (
    InvalidOption,
    LeaseLost,
    MemoryFault,
    MemoryUnavailable,
    WriteConflict,
    WriteOutcomeUnknown,
)
from pyarvo.memory import Step, open_memory
from pyarvo.memory.leased import LeasedMemory
from pyarvo.memory.postgres import PostgresMachineMemory
from pyarvo.memory.postgres.connections import connect

WITHIN_S = 60.0
KILLS = int(os.environ.get("PYARVO_TEST_KILLS", "4"))


@pytest.fixture
def mortal() -> Iterator[PostgresServer]:
    """A server with durable settings that a test may kill."""
    server = PostgresServer()
    try:
        server.create()
        server.start()
        yield server
    finally:
        server.stop()


# --- the server dies --------------------------------------------------------------------------------------------


class Worker:
    """Commits to an instance again and again, and notes what it was told."""

    def __init__(self, memory: LeasedMemory, id: str) -> None:
        self.memory = memory
        self.id = id
        self.acknowledged: list[int] = []
        self.unknown: list[int] = []
        self.in_flight: int | None = None
        self.n = 0

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self.n += 1
            try:
                lease = await self.memory.acquire(self.id, ttl_s=1.0)
                if lease is None:
                    continue
                self.in_flight = self.n
                await self.memory.commit(lease, {"n": self.n}, step=Step(f"k{self.n}", ({"n": self.n},)))
                self.acknowledged.append(self.n)
            except WriteOutcomeUnknown:
                self.unknown.append(self.n)
            except (MemoryUnavailable, LeaseLost, WriteConflict):
                await asyncio.sleep(0.01)  # the store is away
            finally:
                self.in_flight = None

    async def check(self) -> None:
        """Every acknowledged step is there, once, in order; beside them only what nobody was told about."""
        steps = await whole_journal(self.memory, self.id)
        kept = [int(step.event_key[1:]) for step in steps]
        assert kept == sorted(set(kept))
        assert set(self.acknowledged) <= set(kept)
        assert set(kept) - set(self.acknowledged) <= set(self.unknown)
        assert [step.version for step in steps] == list(range(1, len(steps) + 1))
        if kept:
            assert await self.memory.read(self.id) == {"n": kept[-1]}


async def test_a_server_killed_under_load_loses_nothing_acknowledged(mortal: PostgresServer) -> None:
    async with PostgresMachineMemory(mortal.url, deadline_s=5.0) as memory:
        workers = [Worker(memory, f"i{n}") for n in range(64)]
        stop = asyncio.Event()
        running = [asyncio.create_task(worker.run(stop)) for worker in workers]
        in_flight: list[int] = []
        while len(in_flight) < KILLS or not any(worker.unknown for worker in workers):
            assert len(in_flight) < KILLS + 20, "no kill met a commit under way"
            before = [len(worker.acknowledged) for worker in workers]
            await _until(partial(_all_went_on, workers, before), running)
            victims = mortal.processes()
            await _until(partial(_are_in_flight, workers, 16), running)
            in_flight.append(_in_flight(workers))
            mortal.kill(victims)
            await asyncio.to_thread(mortal.start)
        before = [len(worker.acknowledged) for worker in workers]
        await _until(partial(_all_went_on, workers, before), running)
        stop.set()
        await asyncio.gather(*running)
        assert min(in_flight) >= 16
        for worker in workers:
            await worker.check()


def _all_went_on(workers: list[Worker], before: list[int]) -> bool:
    return all(len(worker.acknowledged) > n for worker, n in zip(workers, before, strict=True))


def _in_flight(workers: list[Worker]) -> int:
    return sum(worker.in_flight is not None for worker in workers)


def _are_in_flight(workers: list[Worker], at_least: int) -> bool:
    return _in_flight(workers) >= at_least


async def _until(done: Callable[[], bool], running: list[asyncio.Task[None]]) -> None:
    deadline = monotonic() + WITHIN_S
    while not done():
        for task in running:
            if task.done():
                task.result()
        assert monotonic() < deadline
        await asyncio.sleep(0.001)


async def test_idle_connections_of_a_dead_server_are_not_used_again(mortal: PostgresServer) -> None:
    async with PostgresMachineMemory(mortal.url) as memory:
        lease = await memory.acquire("a")
        assert lease is not None
        await asyncio.to_thread(mortal.kill)
        await asyncio.to_thread(mortal.start)
        assert await memory.commit(lease, {"n": 1}) == 1


async def test_a_server_that_is_away_is_unavailable_and_nothing_was_applied(mortal: PostgresServer) -> None:
    async with PostgresMachineMemory(mortal.url) as memory:
        lease = await memory.acquire("a")
        assert lease is not None
        await asyncio.to_thread(mortal.kill)
        with pytest.raises(MemoryUnavailable):
            await memory.ping()  # meets the connection that the server left
        with pytest.raises(MemoryUnavailable) as caught:
            await memory.commit(lease, {"n": 1})
        assert caught.value.transient
        assert (caught.value.id, caught.value.operation) == ("a", "commit")
        with pytest.raises(MemoryUnavailable):
            await memory.read("a")
        assert await memory.release(lease) is False


# --- answers are lost -------------------------------------------------------------------------------------------


class Proxy:
    """Between client and server; when told, it hands on what the client says and swallows the answer."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self.port = 0
        self.deaf = False
        """Swallow answers, and hang up after the first that was swallowed."""
        self.silent = False
        """Swallow answers and keep the line."""
        self.swallowed = 0
        self.swallowing = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._clients: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        self._writers |= {writer, back}
        self._clients.append(writer)
        await asyncio.gather(self._pass(reader, back, answers=False), self._pass(there, writer, answers=True))

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        try:
            while data := await reader.read(65_536):
                if answers and (self.deaf or self.silent):
                    self.swallowed += 1
                    self.swallowing.set()
                    if self.deaf:
                        break
                    continue
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
            self._writers.discard(writer)

    async def say(self, data: bytes) -> None:
        """To the clients, as if the server did."""
        for writer in self._clients:
            writer.write(data)
            await writer.drain()

    def hang_up(self) -> None:
        for writer in list(self._writers):
            writer.close()


@asynccontextmanager
async def proxied() -> AsyncGenerator[tuple[Proxy, str]]:
    """A proxy before the server, and the URL of it."""
    url = postgres_url()
    before, _, after = url.rpartition("@")
    address, _, rest = after.partition("/")
    host, _, port = address.partition(":")
    proxy = Proxy(host, int(port or 5432))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy, f"{before}@127.0.0.1:{proxy.port}/{rest}"
    finally:
        proxy.hang_up()
        server.close()
        await server.wait_closed()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if others:
            await asyncio.wait(others, timeout=WITHIN_S)


async def _warm(memory: LeasedMemory) -> None:
    """Have the statements prepared, so that the next answer of a commit is that of its execution."""
    lease = await memory.acquire("warm")
    assert lease is not None
    await memory.commit(lease, {})


async def test_a_commit_whose_answer_is_lost_is_unknown_and_settled_by_asking_again() -> None:
    async with proxied() as (proxy, url), PostgresMachineMemory(url, schema=new_schema()) as memory:
        await _warm(memory)
        lease = await memory.acquire("a", event_key="k")
        assert lease is not None
        step = Step("k", ({"n": 1},))
        proxy.deaf = True
        with pytest.raises(WriteOutcomeUnknown):
            await memory.commit(lease, {"n": 1}, step=step)
        assert proxy.swallowed == 1
        proxy.deaf = False
        assert await memory.commit(lease, {"n": 1}, step=step) == 1
        assert [made.version for made in await memory.journal("a")] == [1]


async def test_a_lost_answer_is_settled_also_after_a_successor_has_come() -> None:
    async with proxied() as (proxy, url), PostgresMachineMemory(url, schema=new_schema()) as memory:
        await _warm(memory)
        lease = await memory.acquire("a")
        assert lease is not None
        proxy.deaf = True
        with pytest.raises(WriteOutcomeUnknown):
            await memory.commit(lease, {"n": 1}, step=Step("k"))
        proxy.deaf = False
        successor = await memory.acquire("a")
        assert successor is not None
        assert await memory.commit(successor, {"n": 2}, step=Step("k2")) == 2
        assert await memory.commit(lease, {"n": 1}, step=Step("k")) == 1
        assert await memory.read("a") == {"n": 2}


async def test_an_acquire_whose_answer_is_lost_is_asked_again_with_its_token() -> None:
    async with proxied() as (proxy, url), PostgresMachineMemory(url, schema=new_schema()) as memory:
        await _warm(memory)
        proxy.deaf = True
        acquiring = asyncio.create_task(memory.acquire("a"))
        await proxy.swallowing.wait()
        proxy.deaf = False
        lease = await acquiring
        assert lease is not None
        assert lease.fence == 1


async def test_a_server_that_falls_silent_is_hung_up_on() -> None:
    async with (
        proxied() as (proxy, url),
        PostgresMachineMemory(url, schema=new_schema(), deadline_s=1.5) as memory,
    ):
        lease = await memory.acquire("a")
        assert lease is not None
        proxy.silent = True
        with pytest.raises(WriteOutcomeUnknown):
            await memory.commit(lease, {"n": 1})
        proxy.silent = False
        deadline = monotonic() + WITHIN_S
        version = 0
        while not version:
            assert monotonic() < deadline
            with suppress(MemoryFault):
                version = await memory.commit(lease, {"n": 1})
        assert version == 1


GOODBYE = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"


async def test_a_goodbye_whose_end_was_not_read_is_unavailable_and_nothing_was_sent() -> None:
    async with proxied() as (proxy, url), PostgresMachineMemory(url, schema=new_schema()) as memory:
        lease = await memory.acquire("a")
        assert lease is not None
        await proxy.say(b"E" + (len(GOODBYE) + 4).to_bytes(4) + GOODBYE)
        await asyncio.sleep(0.2)  # it is read when nothing is under way
        with pytest.raises(MemoryUnavailable) as caught:
            await memory.commit(lease, {"n": 1})
        assert caught.value.transient
        assert type(caught.value.__cause__).__name__ == "InternalClientError"
        assert await memory.commit(lease, {"n": 2}) == 1


# --- doors ------------------------------------------------------------------------------------------------------


def _with_password(url: str) -> str:
    before, _, after = url.rpartition("@")
    return f"{before.partition('://')[0]}://shut:correct-horse@{after}"


async def test_a_wrong_password_is_permanent_and_not_shown(mortal: PostgresServer) -> None:
    admin = await connect(mortal.url)
    await admin.execute("CREATE ROLE shut LOGIN PASSWORD 'another'")
    await admin.close(timeout=2.0)
    rules = mortal.data / "pg_hba.conf"
    rules.write_text("host all shut 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
    mortal.kill()
    mortal.start()
    async with open_memory(_with_password(mortal.url)) as memory:
        with pytest.raises(MemoryUnavailable) as caught:
            await memory.acquire("a")
    assert not caught.value.transient
    assert "check user and password" in str(caught.value)
    assert "correct-horse" not in str(caught.value)


async def test_a_missing_database_is_permanent() -> None:
    async with PostgresMachineMemory(postgres_url().rpartition("/")[0] + "/absent") as memory:
        with pytest.raises(MemoryUnavailable) as caught:
            await memory.acquire("a")
    assert not caught.value.transient
    assert "create the database first" in str(caught.value)


async def test_nobody_listening_is_transient() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"postgresql://arvo@127.0.0.1:{taken.getsockname()[1]}/postgres"
        async with PostgresMachineMemory(url, lock_attempts=1) as memory:
            with pytest.raises(MemoryUnavailable) as caught:
                await memory.acquire("a")
    assert caught.value.transient


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "%00", "caf\udce9"])
async def test_a_host_that_can_be_none_is_unavailable(host: str) -> None:
    async with open_memory(f"postgresql://{host}/d?user=caf\udce9") as memory:
        with pytest.raises(MemoryUnavailable) as caught:
            await memory.ping()
    assert not caught.value.transient


@pytest.mark.parametrize(
    ("url", "options", "field"),
    [
        ("postgresql://h/d", {"schema": "Big"}, "schema"),
        ("postgresql://h/d", {"schema": 'x"; DROP'}, "schema"),
        ("postgresql://h/d", {"schema": "pg_x"}, "schema"),
        ("postgresql://h/d", {"pool_size": 0}, "pool_size"),
        ("postgresql://h/d?pool_size=many", {}, "pool_size"),
        ("postgresql://h/d?pooler=session", {}, "pooler"),
        ("postgresql://h/d?lease_ttl_s=0", {}, "lease_ttl_s"),
        ("postgresql://h/d?unheard=1", {}, "unheard"),
        ("postgresql://h:port/d", {}, "url"),
        ("postgresql://u:secret@h/d?sslmode=never", {}, "sslmode"),
    ],
)
def test_bad_options_are_refused_by_name(url: str, options: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        open_memory(url, **options)
    assert field in str(caught.value)
    assert "secret" not in str(caught.value)


def test_either_a_url_or_a_client() -> None:
    with pytest.raises(InvalidOption):
        PostgresMachineMemory()
    with pytest.raises(InvalidOption):
        PostgresMachineMemory("postgresql://h/d", client=object())


def test_a_password_with_special_characters_reaches_the_server_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The URL is handed on as it was written."""
    monkeypatch.setenv("PGPASSFILE", os.devnull)
    memory = open_memory("postgresql://u:p%40%2F%23@h/d?sslmode=disable&schema=x")
    dsn = memory._backend._lender._dsn  # pyright: ignore[reportPrivateUsage, reportUnknownMemberType, reportUnknownVariableType, reportAttributeAccessIssue] - what it was made with
    assert dsn == "postgresql://u:p%40%2F%23@h/d?sslmode=disable"
