"""NatsMachineMemory on a real server: the bucket, what is kept in it and for how long, loops, limits, clocks."""

# It looks at what is stored.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from time import monotonic
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from tests.integration.standing_still import assert_closes_beside_a_loop_that_stands_still
from tests.servers.nats import nats_url

from pyarvo.errors import (
    EventConsumed,
    ForeignStore,
    MemoryClosed,
    MemoryFault,
    MemoryUnavailable,
    RecordCorrupt,
    RecordTooLarge,
    SchemaTooNew,
)
from pyarvo.memory import Find, Lease, LeasedMemory, MemoryOptions, Step, open_memory
from pyarvo.memory.decide import Acquire, Acquired, Denied
from pyarvo.memory.nats import NatsMachineMemory
from pyarvo.memory.nats.backend import NatsBackend
from pyarvo.memory.nats.entry import HEADER
from pyarvo.memory.nats.keys import BLOCK, Keys
from pyarvo.memory.nats.link import Link
from pyarvo.memory.nats.scan import messages
from pyarvo.memory.nats.steps import JOURNAL, PAGE
from pyarvo.memory.nats.store import Store

PRODUCED = ({"type": "t", "data": {"n": 1}},)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with nats_url(tmp_path_factory.mktemp("nats")) as url:
        yield url


@pytest.fixture
def bucket() -> str:
    return f"test-{uuid4().hex}"


@pytest.fixture
async def memory(server: str, bucket: str) -> AsyncIterator[NatsMachineMemory]:
    """A memory on a bucket of its own; afterwards no task is left."""
    async with NatsMachineMemory(server, bucket=bucket, lock_attempts=1) as memory:
        yield memory
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert left == []


@pytest.fixture
async def client(server: str) -> AsyncIterator[Client]:
    client = await connected(server)
    yield client
    await client.close()


async def connected(server: str) -> Client:
    """A client of the test's own."""
    client = Client()
    await client.connect(server)
    return client


async def api(client: Client, call: str, request: dict[str, Any] | None = None) -> dict[str, Any]:
    """One request to JetStream."""
    payload = b"" if request is None else msgspec.json.encode(request)
    answer = await client.request(f"$JS.API.{call}", payload, timeout=5)
    return msgspec.json.decode(answer.data, type=dict[str, Any])


async def subjects(client: Client, bucket: str, kind: str) -> set[str]:
    """What the bucket holds of one kind: i = entries, s = steps, h = history, p = children, z = marks."""
    info = await api(client, f"STREAM.INFO.KV_{bucket}", {"subjects_filter": f"$KV.{bucket}.{kind}.>"})
    return set(info["state"].get("subjects") or {})


async def held(memory: LeasedMemory, id: str = "a", **options: Any) -> Lease:
    lease = await memory.acquire(id, **options)
    assert lease is not None
    assert lease.held
    return lease


async def steps(memory: LeasedMemory, count: int, *, first: int = 1, id: str = "a") -> None:
    for n in range(first, first + count):
        lease = await held(memory, id, event_key=f"k{n}")
        await memory.commit(lease, {"n": n}, step=Step(f"k{n}", ({"n": n},)))


# --- the bucket -------------------------------------------------------------------------------------------------


async def test_the_bucket_is_made_as_it_has_to_be(memory: LeasedMemory, client: Client, bucket: str) -> None:
    await memory.ping()
    config = (await api(client, f"STREAM.INFO.KV_{bucket}"))["config"]
    wanted = {
        "max_msgs_per_subject": 1,
        "discard": "new",
        "storage": "file",
        "num_replicas": 1,
        "allow_direct": False,
        "max_age": 0,
    }
    assert {name: config[name] for name in wanted} == wanted
    assert config["metadata"]["pyarvo-schema"] == "1"


async def test_the_bucket_is_a_key_value_store_that_others_can_read(
    memory: LeasedMemory, client: Client, bucket: str
) -> None:
    await memory.commit(await held(memory), {"n": 1})
    entry = await (await client.jetstream().key_value(bucket)).get("i.YQ")  # type: ignore[no-untyped-call]
    assert (entry.value or b"").startswith(b'{"n":1}')


async def test_many_that_come_at_once_make_one_bucket(server: str, bucket: str, client: Client) -> None:
    memories = [NatsMachineMemory(server, bucket=bucket) for _ in range(8)]
    await asyncio.gather(*(memory.ping() for memory in memories))
    leases = await asyncio.gather(*(memory.acquire("a") for memory in memories))
    assert len([lease for lease in leases if lease is not None]) == 1
    await asyncio.gather(*(memory.close() for memory in memories))
    assert len(await subjects(client, bucket, "i")) == 1


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("max_age", 3_600_000_000_000),
        ("max_msgs_per_subject", 5),
        ("discard", "old"),
        ("allow_direct", True),
        ("deny_purge", True),
        ("storage", "memory"),
        ("max_msgs", 1_000),
    ],
)
async def test_a_bucket_that_breaks_a_promise_is_refused(
    server: str, bucket: str, client: Client, setting: str, value: Any
) -> None:
    config = {
        "name": f"KV_{bucket}",
        "subjects": [f"$KV.{bucket}.>"],
        "max_msgs_per_subject": 1,
        "discard": "new",
        "metadata": {"pyarvo-schema": "1"},
        setting: value,
    }
    assert "error" not in await api(client, f"STREAM.CREATE.KV_{bucket}", config)
    async with NatsMachineMemory(server, bucket=bucket) as memory:
        with pytest.raises(MemoryUnavailable, match=setting) as caught:
            await memory.acquire("a")
        assert not caught.value.transient


async def test_fewer_replicas_than_asked_for_are_refused(
    server: str, bucket: str, memory: LeasedMemory
) -> None:
    await memory.ping()
    async with NatsMachineMemory(server, bucket=bucket, replicas=3) as other:
        with pytest.raises(MemoryUnavailable, match="num_replicas"):
            await other.ping()


async def test_a_bucket_of_something_else_is_left_alone(server: str, bucket: str, client: Client) -> None:
    store = await client.jetstream().create_key_value(bucket=bucket)  # type: ignore[no-untyped-call]
    await store.put("mine", b"1")
    async with NatsMachineMemory(server, bucket=bucket) as memory:
        with pytest.raises(ForeignStore, match=bucket):
            await memory.acquire("a")
    assert (await store.get("mine")).value == b"1"


async def test_an_empty_bucket_that_somebody_prepared_is_taken(
    server: str, bucket: str, client: Client
) -> None:
    config = {
        "name": f"KV_{bucket}",
        "subjects": [f"$KV.{bucket}.>"],
        "max_msgs_per_subject": 1,
        "discard": "new",
        "allow_rollup_hdrs": True,
        "deny_delete": True,
        "max_bytes": 10_000_000,
    }
    assert "error" not in await api(client, f"STREAM.CREATE.KV_{bucket}", config)
    async with NatsMachineMemory(server, bucket=bucket) as memory:
        await memory.commit(await held(memory), {"n": 1})
    made = (await api(client, f"STREAM.INFO.KV_{bucket}"))["config"]
    assert (made["metadata"]["pyarvo-schema"], made["max_bytes"]) == ("1", 10_000_000)


async def test_a_bucket_of_a_later_schema_is_left_alone(server: str, bucket: str, client: Client) -> None:
    config = {
        "name": f"KV_{bucket}",
        "subjects": [f"$KV.{bucket}.>"],
        "metadata": {"pyarvo-schema": "2"},
    }
    await api(client, f"STREAM.CREATE.KV_{bucket}", config)
    async with NatsMachineMemory(server, bucket=bucket) as memory:
        for ask in (memory.acquire, memory.read, memory.get):
            with pytest.raises(SchemaTooNew):
                await ask("a")


async def test_a_full_bucket_refuses_and_loses_nothing(server: str, bucket: str, client: Client) -> None:
    async with NatsMachineMemory(server, bucket=bucket) as memory:
        await memory.commit(await held(memory), {"n": 1})
        config = (await api(client, f"STREAM.INFO.KV_{bucket}"))["config"]
        await api(client, f"STREAM.UPDATE.KV_{bucket}", {**config, "max_bytes": 4_000})
        lease = await held(memory)
        with pytest.raises(MemoryUnavailable, match="full") as caught:
            await memory.commit(lease, {"large": "x" * 5_000})
        assert not caught.value.transient
        assert await memory.read("a") == {"n": 1}


# --- steps and their bodies -------------------------------------------------------------------------------------


async def test_bodies_of_the_last_128_steps_are_kept(
    memory: NatsMachineMemory, client: Client, bucket: str
) -> None:
    count = JOURNAL + 3 * BLOCK
    await steps(memory, count)
    oldest = count - JOURNAL + 1
    for n, produced in ((1, ()), (oldest - 1, ()), (oldest, ({"n": oldest},)), (count, ({"n": count},))):
        replay = (await memory.acquire("a", event_key=f"k{n}") or pytest.fail("denied")).replay
        assert replay is not None
        assert (replay.version, replay.produced) == (n, produced)
    lease = await held(memory)
    with pytest.raises(EventConsumed) as caught:
        await memory.commit(lease, {}, step=Step("k1"))
    assert caught.value.step.version == 1
    journal = await memory.journal("a", limit=1_000)
    assert [step.version for step in journal] == list(range(1, count + 1))
    assert journal[0].event_key.startswith("blake2b:")
    assert [step.event_key for step in journal[-JOURNAL:]] == [f"k{n}" for n in range(oldest, count + 1)]
    await memory.close()
    kept = await subjects(client, bucket, "s")
    # The newest stands in the entry until its successor comes: the lease above moved it out.
    assert JOURNAL <= len(kept) <= JOURNAL + BLOCK


async def test_event_keys_move_to_pages_and_are_found_there(
    memory: NatsMachineMemory, client: Client, bucket: str
) -> None:
    count = 2 * PAGE + JOURNAL + 1
    first = await held(memory)
    await memory.commit(first, {"n": 1}, step=Step("k1"))
    await steps(memory, count - 1, first=2)
    assert len(await subjects(client, bucket, "k")) == 2
    store = await _backend(memory)._store()
    entry = (await store.load("a", monotonic() + 5)).entry
    assert entry is not None
    assert (entry.paged, len(entry.slots)) == (2 * PAGE, 28 * (count - 2 * PAGE))
    for n in (1, 2, PAGE, PAGE + 1, 2 * PAGE, 2 * PAGE + 1, count):
        replay = await memory.acquire("a", event_key=f"k{n}")
        assert replay is not None
        assert replay.replay is not None
        assert replay.replay.version == n
    # A repeat is recognised however old its step is (C9).
    repeat = Lease("a", token=first.token, fence=1, version=0, data=None, ttl_s=30, sent_at=0.0)
    assert await memory.commit(repeat, {"n": 1}, step=Step("k1")) == 1
    journal = await memory.journal("a", after=PAGE - 2, limit=5)
    assert [step.version for step in journal] == [PAGE - 1, PAGE, PAGE + 1, PAGE + 2, PAGE + 3]
    await api(client, f"STREAM.PURGE.KV_{bucket}", {"filter": f"$KV.{bucket}.k.>"})
    assert await memory.read("a") == {"n": count}
    with pytest.raises(RecordCorrupt, match="page"):
        await memory.acquire("a", event_key="k1")
    await memory.delete("a")


async def test_an_acquire_that_follows_reads_nothing_and_a_step_is_two_round_trips(
    memory: NatsMachineMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    await steps(memory, 1)
    trips = 0
    store = await _backend(memory)._store()
    while store._background:  # the first sweep
        await asyncio.wait(store._background.copy())
    exchange = store.link.exchange

    async def counted(asks: Any, within_s: float) -> Any:
        nonlocal trips
        trips += 1
        return await exchange(asks, within_s)

    monkeypatch.setattr(store.link, "exchange", counted)
    await steps(memory, 5, first=2)
    assert trips == 10


async def test_a_step_of_a_shared_instance_is_three_round_trips(
    server: str, bucket: str, memory: NatsMachineMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with NatsMachineMemory(server, bucket=bucket) as other:
        for n in range(3):
            await steps(memory, 1, first=2 * n)
            await steps(other, 1, first=2 * n + 1)
        trips = 0
        store = await _backend(memory)._store()
        while store._background:
            await asyncio.wait(store._background.copy())
        exchange = store.link.exchange

        async def counted(asks: Any, within_s: float) -> Any:
            nonlocal trips
            trips += 1
            return await exchange(asks, within_s)

        monkeypatch.setattr(store.link, "exchange", counted)
        await steps(memory, 1, first=100)
        assert trips == 3


async def test_a_missing_body_is_corrupt_and_not_empty(
    memory: NatsMachineMemory, client: Client, bucket: str
) -> None:
    await steps(memory, 3)
    await api(client, f"STREAM.PURGE.KV_{bucket}", {"filter": f"$KV.{bucket}.s.>"})
    with pytest.raises(RecordCorrupt, match="body"):
        await memory.acquire("a", event_key="k1")
    with pytest.raises(RecordCorrupt, match="body"):
        await memory.journal("a")
    replay = await memory.acquire("a", event_key="k3")
    assert replay is not None
    assert replay.replay is not None


async def test_a_body_of_another_event_is_corrupt(
    memory: NatsMachineMemory, client: Client, bucket: str
) -> None:
    await steps(memory, 3)
    one, two = sorted(await subjects(client, bucket, "s"))
    found = await api(client, f"STREAM.MSG.GET.KV_{bucket}", {"last_by_subj": two})
    await client.request(one, msgspec.json.decode(msgspec.json.encode(found["message"]["data"]), type=bytes))
    with pytest.raises(RecordCorrupt, match="another"):
        await memory.acquire("a", event_key="k1")
    await client.request(one, b"nonsense")
    with pytest.raises(RecordCorrupt):
        await memory.acquire("a", event_key="k1")


async def test_a_new_life_does_not_see_the_old_ones_steps(
    server: str, bucket: str, memory: NatsMachineMemory
) -> None:
    async with NatsMachineMemory(server, bucket=bucket) as other:
        await steps(memory, 3)
        await other.delete("a")
        await steps(other, 3, first=1)
        # `memory` still believes in the old life, and would move its last step out before it is refused.
        lease = await held(memory, event_key="k9")
        assert (lease.version, lease.data) == (3, {"n": 3})
        await memory.commit(lease, {"n": 4})
        for n in range(1, 4):
            replay = (await other.acquire("a", event_key=f"k{n}") or pytest.fail("denied")).replay
            assert replay is not None
            assert replay.produced == ({"n": n},)


async def test_an_instance_that_somebody_else_deleted_is_not_taken_for_damaged(
    server: str, bucket: str, memory: NatsMachineMemory
) -> None:
    await steps(memory, PAGE + JOURNAL + 1)
    async with NatsMachineMemory(server, bucket=bucket) as other:
        assert await other.delete("a")  # once `other` is closed its pages are gone too
    # `memory` still believes in the old life, and looks for the event's key on a page of it.
    lease = await held(memory, event_key="k1")
    assert (lease.version, lease.data) == (0, None)
    assert lease.fence > PAGE + JOURNAL + 1


async def test_a_journal_that_is_deleted_while_it_is_read_is_empty(
    server: str, bucket: str, memory: NatsMachineMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    await steps(memory, PAGE + JOURNAL + 1)
    pages = Store.pages

    async def pages_after_a_delete(*given: Any) -> Any:
        async with NatsMachineMemory(server, bucket=bucket) as other:
            await other.delete("a")
        return await pages(*given)

    monkeypatch.setattr(Store, "pages", pages_after_a_delete)
    assert await memory.journal("a") == ()


# --- forgetting -------------------------------------------------------------------------------------------------


async def test_delete_leaves_the_tombstone_only(
    memory: NatsMachineMemory, client: Client, bucket: str
) -> None:
    lease = await held(memory, "child", event_key="k")
    await memory.commit(lease, {"parentSubject": "root"}, step=Step("k", PRODUCED), release=False)
    await memory.commit(lease, {"parentSubject": "root"})
    assert [child.id for child in await memory.children("root")] == ["child"]
    assert await subjects(client, bucket, "p") != set()
    assert await memory.delete("child")
    assert await memory.children("root") == ()
    await memory.close()
    for kind in ("s", "h", "p"):
        assert await subjects(client, bucket, kind) == set()
    assert len(await subjects(client, bucket, "i")) == 1


async def test_what_is_old_is_swept_from_the_bucket(server: str, bucket: str, client: Client) -> None:
    now = [1_700_000_000.0]

    def opened() -> LeasedMemory:
        parsed = MemoryOptions.of({"tombstone_s": 60.0})
        memory = NatsMachineMemory(server, bucket=bucket)
        backend = _backend(memory)
        return LeasedMemory(
            NatsBackend(backend._address, None, backend._bucket, parsed, clock=lambda: now[0]), parsed
        )

    async with opened() as memory:
        await memory.commit(await held(memory, "deleted"), {"n": 1})
        await memory.delete("deleted")
        await held(memory, "unwritten", ttl_s=5)
        await memory.commit(await held(memory, "written"), {"n": 1})
        await held(memory, "busy", ttl_s=3_600)
    now[0] += 61
    async with opened() as memory:
        await held(memory, "young")
    keys = Keys(bucket)
    assert await subjects(client, bucket, "i") == {keys.entry(id) for id in ("written", "busy", "young")}
    assert await subjects(client, bucket, "z") == {keys.mark(id) for id in ("busy", "young")}


# --- what is stored ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "nonsense", "[]", '[1,"b"]'])
async def test_garbage_is_corrupt_and_left_as_it_is(
    memory: NatsMachineMemory, client: Client, bucket: str, header: str | None
) -> None:
    await memory.ping()
    subject = Keys(bucket).entry("a")
    await client.request(subject, b"garbage", headers=None if header is None else {HEADER: header})
    for ask in (memory.read, memory.acquire, memory.get, memory.journal, memory.delete):
        with pytest.raises(RecordCorrupt) as caught:
            await ask("a")
        assert caught.value.id == "a"
    with pytest.raises(RecordCorrupt) as caught:
        await memory.instances()
    assert caught.value.id == "a"
    stored = await api(client, f"STREAM.MSG.GET.KV_{bucket}", {"last_by_subj": subject})
    assert stored["message"]["seq"] == 1


async def test_an_entry_of_a_later_schema_is_left_alone(
    memory: NatsMachineMemory, client: Client, bucket: str
) -> None:
    await memory.commit(await held(memory), {"n": 1})
    store = await _backend(memory)._store()
    entry = (await store.load("a", monotonic() + 5)).entry
    assert entry is not None
    header, payload = entry.encode()
    await client.request(Keys(bucket).entry("a"), payload, headers={HEADER: "[2" + header[2:]})
    for ask in (memory.read, memory.acquire):
        with pytest.raises(SchemaTooNew):
            await ask("a")


@pytest.mark.parametrize("id", ["a.b*c>d e", "x" * 4_096, "/+=", "\0\r\n", "ä" * 300, "=" * 64])
async def test_ids_of_any_characters(memory: NatsMachineMemory, id: str) -> None:
    lease = await held(memory, id, event_key="k")
    await memory.commit(lease, {"parentSubject": id}, step=Step("k", PRODUCED))
    assert await memory.read(id) == {"parentSubject": id}
    assert [found.id for found in (await memory.instances()).items] == [id]
    assert [found.id for found in await memory.children(id)] == [id]
    await memory.delete(id)
    assert [found.id for found in (await memory.instances(Find(deleted=True))).items] == [id]


# --- size -------------------------------------------------------------------------------------------------------


async def test_the_servers_limit_is_named_before_anything_is_sent(memory: NatsMachineMemory) -> None:
    limit = 1024 * 1024 - 64 * 1024
    lease = await held(memory)
    with pytest.raises(RecordTooLarge) as caught:
        await memory.commit(lease, {"x": "y" * limit})
    assert caught.value.limit == limit
    assert caught.value.size == limit + len('{"x":""}')
    with pytest.raises(RecordTooLarge):
        await memory.commit(lease, {"x": "y" * 1_000}, step=Step("k", ({"x": "y" * limit},)))
    fits = {"x": "y" * (limit - len('{"x":""}'))}
    assert await memory.commit(lease, fits) == 1
    lease = await held(memory)
    assert lease.data == fits
    assert await memory.commit(lease, fits, step=Step("k"), release=False) == 2
    # Record and events of one step stand in one message.
    with pytest.raises(RecordTooLarge):
        await memory.commit(lease, fits, step=Step("k2", ({"x": "y" * 64 * 1024},)))
    assert await memory.commit(lease, {"n": 3}, step=Step("k2", ({"x": "y" * 64 * 1024},))) == 3


async def test_what_was_written_can_be_leased_whoever_comes_and_whatever_was_noted(
    memory: NatsMachineMemory, server: str, bucket: str
) -> None:
    record, many = {"x": "y" * 980_000}, 64 * 1024
    lease = await held(memory)
    with pytest.raises(RecordTooLarge) as caught:
        await memory.commit(lease, record, step=Step("k", ({"x": "y" * many},)))
    most = many - (caught.value.size - caught.value.limit) - 32  # times of other lengths
    await memory.commit(lease, record, step=Step("k", ({"x": "y" * most},)), release=False)
    assert await memory.force_release("a", reason="\x01" * 4_095 + "!") is True
    async with NatsMachineMemory(server, bucket=bucket, holder='"' * 256) as other:
        assert (await held(other)).version == 1


async def test_labels_larger_than_a_header_are_refused_before_anything_is_sent(
    memory: NatsMachineMemory, server: str, bucket: str
) -> None:
    lease = await held(memory)
    with pytest.raises(RecordTooLarge) as caught:
        await memory.commit(lease, {"status": "s" * 100_000})
    most = caught.value.limit - (caught.value.size - 100_000) - 32  # times of other lengths
    letters = "\u4e00" * (most // 3)  # of three bytes each
    with pytest.raises(RecordTooLarge):
        await memory.commit(lease, {"status": letters + "\u4e00" * 64})
    assert await memory.commit(lease, {"status": letters}, release=False) == 1
    assert await memory.force_release("a", reason="\x01" * 4_095 + "!") is True
    async with NatsMachineMemory(server, bucket=bucket, holder='"' * 256) as other:
        assert (await held(other)).version == 1


async def test_one_that_is_too_large_does_not_fail_the_others(memory: NatsMachineMemory) -> None:
    large, small = await held(memory, "large"), await held(memory, "small")
    outcomes = await asyncio.gather(
        memory.commit(large, {"x": "y" * 2_000_000}), memory.commit(small, {"n": 1}), return_exceptions=True
    )
    assert isinstance(outcomes[0], RecordTooLarge)
    assert outcomes[1] == 1


# --- time -------------------------------------------------------------------------------------------------------


async def test_a_lease_ends_by_the_servers_clock_whatever_ours_says(
    server: str, bucket: str, memory: NatsMachineMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with NatsMachineMemory(server, bucket=bucket) as other:
        monkeypatch.setattr("time.time", lambda: 0.0)
        first, second = _backend(memory), _backend(other)
        started = monotonic()
        (granted,) = await first.execute([Acquire("a", "t1", 0.5)])
        assert isinstance(granted, Acquired)
        while isinstance(answer := (await second.execute([Acquire("a", "t2", 5.0)]))[0], Denied):
            assert monotonic() - started < 20
        assert isinstance(answer, Acquired)
        assert answer.fence == 2
        assert monotonic() - started > 0.45


async def test_a_lease_granted_by_a_process_whose_estimate_runs_ahead_is_respected(
    server: str, bucket: str, memory: NatsMachineMemory
) -> None:
    async with NatsMachineMemory(server, bucket=bucket) as other:
        await other.ping()
        ahead = (await _backend(other)._store()).bucket.clock
        ahead._low += 0.5
        ahead._high += 0.5
        await held(other)
        assert await memory.acquire("a") is None


async def test_a_server_clock_that_was_set_back_holds_no_lease(
    server: str, bucket: str, memory: NatsMachineMemory
) -> None:
    async with NatsMachineMemory(server, bucket=bucket) as other:
        await other.ping()
        before = (await _backend(other)._store()).bucket.clock
        before._low += 3_600.0
        before._high += 3_600.0
        lease = await held(other)
        assert (await held(memory)).fence == lease.fence + 1


# --- loops, clients, life cycle ---------------------------------------------------------------------------------


async def test_a_client_that_was_passed_in_is_used_and_not_closed(
    server: str, bucket: str, client: Client
) -> None:
    async with NatsMachineMemory(client=client, bucket=bucket) as memory:
        await memory.commit(await held(memory), {"n": 1})
        assert (await memory.instances()).items[0].id == "a"
    assert client.is_connected
    async with NatsMachineMemory(server, bucket=bucket) as other:
        assert await other.read("a") == {"n": 1}


async def test_a_client_belongs_to_its_loop(client: Client, bucket: str) -> None:
    memory = NatsMachineMemory(client=client, bucket=bucket)
    await memory.ping()

    def elsewhere() -> None:
        with pytest.raises(MemoryUnavailable, match="another event loop"):
            asyncio.run(memory.acquire("a"))

    await asyncio.to_thread(elsewhere)
    await memory.close()


async def test_a_closed_client_is_unavailable(server: str, bucket: str) -> None:
    client = await connected(server)
    memory = NatsMachineMemory(client=client, bucket=bucket)
    await memory.ping()
    await client.close()
    with pytest.raises(MemoryUnavailable):
        await memory.ping()
    await memory.close()


async def test_one_memory_serves_several_loops(memory: NatsMachineMemory) -> None:
    async def work(thread: int) -> None:
        for n in range(20):
            lease = await held(memory, f"i{thread}")
            await memory.commit(lease, {"n": n})

    def run(thread: int) -> None:
        async def whole() -> None:
            await work(thread)
            await (await _backend(memory)._store()).close()

        asyncio.run(whole())

    threads = [threading.Thread(target=run, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    await work(9)
    for thread in threads:
        await asyncio.to_thread(thread.join)
    for n in (0, 1, 2, 9):
        assert await memory.read(f"i{n}") == {"n": 19}


async def test_closing_ends_the_connections_of_other_loops(server: str, bucket: str) -> None:
    memory = NatsMachineMemory(server, bucket=bucket)
    await memory.ping()
    asked, ended = threading.Event(), threading.Event()

    async def elsewhere() -> None:
        await memory.ping()
        asked.set()
        await asyncio.to_thread(ended.wait)
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    thread = asyncio.create_task(asyncio.to_thread(asyncio.run, elsewhere()))
    await asyncio.to_thread(asked.wait)
    await memory.close()
    ended.set()
    await thread
    with pytest.raises(MemoryClosed):
        await memory.ping()


async def test_closing_does_not_wait_for_a_loop_that_stands_still(server: str, bucket: str) -> None:
    await assert_closes_beside_a_loop_that_stands_still(
        NatsMachineMemory(server, bucket=bucket, deadline_s=0.2)
    )


async def test_it_connects_at_first_use_and_not_before(bucket: str) -> None:
    async with open_memory(f"nats://127.0.0.1:1/{bucket}") as memory:
        with pytest.raises(MemoryUnavailable, match=r"127\.0\.0\.1:1") as caught:
            await memory.ping()
        assert caught.value.transient


async def test_many_tasks_share_one_connection(
    memory: NatsMachineMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = 0
    open_one = Link._open

    async def counted(link: Link) -> Client:
        nonlocal opened
        opened += 1
        return await open_one(link)

    monkeypatch.setattr(Link, "_open", counted)

    async def work(n: int) -> None:
        await steps(memory, 5, id=f"i{n}")

    await asyncio.gather(*(work(n) for n in range(64)))
    assert await memory.count() == 64
    assert opened == 1


async def test_racers_for_one_instance_take_turns(server: str, bucket: str) -> None:
    memories = [NatsMachineMemory(server, bucket=bucket, lock_attempts=1) for _ in range(4)]
    done = 0

    async def work(memory: LeasedMemory) -> None:
        nonlocal done
        mine = 0
        while mine < 5:
            lease = await memory.acquire("a")
            if lease is not None:
                count = 0 if lease.data is None else lease.data["count"]
                await memory.commit(lease, {"count": count + 1})
                mine, done = mine + 1, done + 1

    await asyncio.gather(*(work(memory) for memory in memories for _ in range(4)))
    assert done == 80
    found = await memories[0].get("a")
    assert found is not None
    assert (found.data, found.version, found.fence) == ({"count": 80}, 80, 80)
    await asyncio.gather(*(memory.close() for memory in memories))


async def test_faults_name_the_instance(memory: NatsMachineMemory) -> None:
    with pytest.raises(MemoryFault) as caught:
        await memory.commit(await held(memory, "large"), {"x": "y" * 2_000_000})
    assert (caught.value.id, caught.value.operation) == ("large", "commit")


async def test_a_list_shows_an_instance_once_while_it_is_written(server: str, bucket: str) -> None:
    async with (
        NatsMachineMemory(server, bucket=bucket) as memory,
        NatsMachineMemory(server, bucket=bucket) as busy,
    ):
        for n in range(600):  # more than one pull of the consumer
            await memory.commit(await held(memory, f"i{n}"), {"n": n})
        stop = False

        async def write() -> None:
            n = 0
            while not stop:
                n += 1
                await busy.commit(await held(busy, f"i{n % 600}"), {"n": n})

        writing = asyncio.create_task(write())
        for _ in range(5):
            found = (await memory.instances(limit=1_000)).items
            assert len({instance.id for instance in found}) == len(found) == 600
            assert await memory.count() == 600
        stop = True
        await writing


def _backend(memory: NatsMachineMemory) -> NatsBackend:
    backend = memory._backend
    assert isinstance(backend, NatsBackend)
    return backend


async def test_a_lease_renewed_while_a_list_is_made_is_held(
    memory: NatsMachineMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await memory.acquire("x")
    assert lease is not None

    async def renewed(*args: Any, **more: Any) -> AsyncIterator[Msg]:
        await memory.renew(lease)
        async with aclosing(messages(*args, **more)) as every:
            async for message in every:
                yield message

    monkeypatch.setattr("pyarvo.memory.nats.backend.messages", renewed)
    assert await memory.count(Find(held=True)) == 1
    assert [(each.held, each.lapsed) async for each in memory.each()] == [(True, False)]
