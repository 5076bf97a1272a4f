"""Migrations, rights, and stored things that make no sense."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from itertools import count

import pytest
from tests.servers.postgres import new_schema, postgres_url

from pyarvo.errors import InvalidOption, MemoryFault, MemoryUnavailable, RecordCorrupt, SchemaTooNew
from pyarvo.memory import Step
from pyarvo.memory.backend import Find
from pyarvo.memory.decide import Acquire, Commit, Release
from pyarvo.memory.options import MemoryOptions
from pyarvo.memory.postgres import SCHEMA_VERSION, PostgresMachineMemory, migration_sql
from pyarvo.memory.postgres.connections import Connection, connect
from pyarvo.memory.postgres.rows import key_of, narrowing_of
from pyarvo.memory.postgres.telling import Texts

_roles = count(1)


@pytest.fixture
async def admin() -> AsyncIterator[Connection]:
    connection = await connect(postgres_url())
    yield connection
    await connection.close(timeout=2.0)


def memory_of(schema: str, url: str | None = None, **options: object) -> PostgresMachineMemory:
    return PostgresMachineMemory(url or postgres_url(), schema=schema, lock_attempts=1, **options)  # type: ignore[arg-type] - as a URL's options come


async def tables(admin: Connection, schema: str) -> list[tuple[object, ...]]:
    """Everything of a schema that a migration makes."""
    columns = await admin.fetch(
        "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns "
        "WHERE table_schema = $1 ORDER BY table_name, ordinal_position",
        schema,
    )
    indexes = await admin.fetch(
        "SELECT replace(indexdef, $1, '') AS definition FROM pg_indexes WHERE schemaname = $1 ORDER BY 1",
        schema,
    )
    settings = await admin.fetch(
        "SELECT relname, reloptions FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'r' "
        "ORDER BY relname",
        schema,
    )
    return [tuple(row.values()) for row in (*columns, *indexes, *settings)]


# --- migrations -------------------------------------------------------------------------------------------------


async def test_three_processes_that_race_make_one_schema(admin: Connection) -> None:
    schema = new_schema()
    program = (
        "import asyncio, sys\n"
        "from pyarvo.memory.postgres import PostgresMachineMemory\n"
        "async def main():\n"
        "    async with PostgresMachineMemory(sys.argv[1], schema=sys.argv[2]) as memory:\n"
        "        print('ready', flush=True)\n"
        "        sys.stdin.readline()\n"
        "        lease = await memory.acquire(sys.argv[3])\n"
        "        assert await memory.commit(lease, {}) == 1\n"
        "asyncio.run(main())\n"
    )
    racers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, postgres_url(), schema, str(n)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for n in range(3)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert await racer.stdout.readline() == b"ready\n"
    await asyncio.gather(*(racer.communicate(b"go\n") for racer in racers))
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    applied = await admin.fetch(f"SELECT version FROM {schema}.migration")
    assert [row["version"] for row in applied] == list(range(1, SCHEMA_VERSION + 1))
    assert await memory_count(schema) == 3


async def memory_count(schema: str) -> int:
    async with memory_of(schema) as memory:
        return await memory.count()


async def test_many_memories_of_one_process_race_too() -> None:
    schema = new_schema()
    memories = [memory_of(schema) for _ in range(8)]
    granted = await asyncio.gather(*(memory.acquire(f"i{n}") for n, memory in enumerate(memories)))
    assert all(granted)
    for memory in memories:
        await memory.close()


async def test_the_printed_sql_makes_the_same_schema(admin: Connection) -> None:
    by_hand, by_itself = new_schema(), new_schema()
    await admin.execute(migration_sql(by_hand))
    async with memory_of(by_itself) as memory:
        assert await memory.acquire("a") is not None
    made = await tables(admin, by_hand)
    assert len(made) > 30
    assert made == await tables(admin, by_itself)
    async with memory_of(by_hand) as memory:
        assert await memory.acquire("a") is not None


async def test_the_printed_sql_applied_twice_changes_nothing(admin: Connection) -> None:
    schema = new_schema()
    await admin.execute(migration_sql(schema))
    before = await tables(admin, schema)
    with pytest.raises(Exception, match="already exists"):
        await admin.execute(migration_sql(schema))
    await admin.execute("ROLLBACK")
    assert await tables(admin, schema) == before


def test_sql_from_the_newest_version_has_no_statement_of_a_table() -> None:
    assert "CREATE" not in migration_sql("x", since=SCHEMA_VERSION)
    with pytest.raises(InvalidOption):
        migration_sql("x", since=SCHEMA_VERSION + 1)
    with pytest.raises(InvalidOption):
        migration_sql('x"y')


async def test_a_schema_of_a_newer_pyarvo_is_left_alone(admin: Connection) -> None:
    schema = new_schema()
    await admin.execute(migration_sql(schema))
    await admin.execute(f"INSERT INTO {schema}.migration (version) VALUES ({SCHEMA_VERSION + 1})")
    async with memory_of(schema) as memory:
        with pytest.raises(SchemaTooNew):
            await memory.acquire("a")
    assert await admin.fetchval(f"SELECT count(*) FROM {schema}.instance") == 0


async def test_a_table_that_vanished_is_named(admin: Connection) -> None:
    schema = new_schema()
    async with memory_of(schema) as memory:
        assert await memory.acquire("a") is not None
        await admin.execute(f"DROP SCHEMA {schema} CASCADE")
        with pytest.raises(MemoryUnavailable) as caught:
            await memory.acquire("b")
        assert not caught.value.transient
        assert "apply the migrations" in str(caught.value)


# --- rights -----------------------------------------------------------------------------------------------------


@pytest.fixture
async def worker(admin: Connection) -> AsyncIterator[str]:
    """A role that owns nothing and may create nothing."""
    role = f"worker_{new_schema()}_{next(_roles)}"
    await admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'worker'")
    yield role
    await admin.execute(f"DROP OWNED BY {role}")
    await admin.execute(f"DROP ROLE {role}")


def as_role(role: str) -> str:
    scheme, _, rest = postgres_url().partition("://")
    return f"{scheme}://{role}:worker@{rest.rpartition('@')[2]}"


def grants(schema: str, role: str) -> str:
    """As docs/backends/postgres.md has them."""
    return (
        f"GRANT USAGE ON SCHEMA {schema} TO {role};"
        f"GRANT SELECT ON {schema}.migration TO {role};"
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.instance, {schema}.step, {schema}.history TO {role};"
    )


async def test_a_role_that_may_not_create_works_on_a_schema_that_is_there(
    admin: Connection, worker: str
) -> None:
    schema = new_schema()
    await admin.execute(migration_sql(schema))
    await admin.execute(grants(schema, worker))
    async with memory_of(schema, as_role(worker), history=2) as memory:
        lease = await memory.acquire("a", event_key="k")
        assert lease is not None
        assert await memory.commit(lease, {"n": 1}, step=Step("k"), release=False) == 1
        await memory.renew(lease)
        assert await memory.commit(lease, {"n": 2}) == 2
        assert [version for version, _ in await memory.history("a")] == [1]
        assert await memory.count() == 1
        assert await memory.force_release("a", reason="why") is False
        assert await memory.delete("a")


async def test_a_role_that_may_not_create_is_told_what_to_do(worker: str) -> None:
    async with memory_of(new_schema(), as_role(worker)) as memory:
        with pytest.raises(MemoryUnavailable) as caught:
            await memory.acquire("a")
    assert not caught.value.transient
    assert "permission denied" in str(caught.value)
    assert "grant the rights" in str(caught.value)


# --- stored things that make no sense ---------------------------------------------------------------------------


async def test_a_key_that_holds_another_id_is_corrupt(admin: Connection) -> None:
    schema = new_schema()
    async with memory_of(schema) as memory:
        lease = await memory.acquire("a")
        assert lease is not None
        await memory.commit(lease, {"n": 1})
        await admin.fetch(f"UPDATE {schema}.instance SET id = $1", b"b")
        for call in (memory.acquire("a"), memory.read("a"), memory.commit(lease, {"n": 2})):
            with pytest.raises(RecordCorrupt):
                await call
    assert await admin.fetchval(f"SELECT version FROM {schema}.instance") == 1


@pytest.mark.parametrize("raw", [b"", b"{", b"\x00zstd", b'{"a": \xff}', b"[]"])
async def test_a_record_that_does_not_decode_is_corrupt_and_left_as_it_is(
    admin: Connection, raw: bytes
) -> None:
    schema = new_schema()
    async with memory_of(schema) as memory:
        lease = await memory.acquire("a")
        assert lease is not None
        await memory.commit(lease, {"n": 1})
        await admin.fetch(f"UPDATE {schema}.instance SET data = $1 WHERE key = $2", raw, key_of("a")[0])
        with pytest.raises(RecordCorrupt):
            await memory.read("a")
        with pytest.raises(RecordCorrupt):
            await memory.acquire("a")
        with pytest.raises(RecordCorrupt):
            await memory.get("a")
    assert await admin.fetchval(f"SELECT data FROM {schema}.instance") == raw


async def test_a_journal_that_does_not_decode_is_corrupt(admin: Connection) -> None:
    schema = new_schema()
    async with memory_of(schema) as memory:
        lease = await memory.acquire("a")
        assert lease is not None
        await memory.commit(lease, {"n": 1}, step=Step("k", ({"n": 1},)))
        await admin.execute(f"UPDATE {schema}.step SET produced = '{{'")
        with pytest.raises(RecordCorrupt):
            await memory.acquire("a", event_key="k")
        await admin.execute(f"UPDATE {schema}.step SET event_key = 'other'")
        with pytest.raises(RecordCorrupt):
            await memory.acquire("a", event_key="k")


async def test_stored_text_that_is_no_utf_8_is_corrupt(admin: Connection) -> None:
    schema = new_schema()
    async with memory_of(schema) as memory:
        lease = await memory.acquire("a")
        assert lease is not None
        await memory.commit(lease, {"n": 1})
        await admin.fetch(f"UPDATE {schema}.instance SET status = $1", b"\xff")
        with pytest.raises(MemoryFault) as caught:
            await memory.get("a")
        assert isinstance(caught.value, RecordCorrupt)


# --- what a row costs -------------------------------------------------------------------------------------------


async def test_steps_of_an_instance_touch_no_index_of_it(admin: Connection) -> None:
    """HOT updates: a column of an index that a lease operation changed would make each step write all indexes."""
    schema = new_schema()
    async with memory_of(schema) as memory:
        for n in range(20):
            lease = await memory.acquire("a", event_key=f"k{n}")
            assert lease is not None
            await memory.commit(lease, {"n": n, "status": "active"}, step=Step(f"k{n}"))
    query = (
        "SELECT n_tup_upd AS all, n_tup_hot_upd AS hot FROM pg_stat_user_tables "
        "WHERE schemaname = $1 AND relname = 'instance'"
    )
    row: dict[str, int] = {}
    for _ in range(1_000):  # the statistics of a session come when it ends
        row = dict((await admin.fetch(query, schema))[0])
        if row["all"] == 39:  # the first lease makes the row
            break
        await asyncio.sleep(0.005)
    assert row["all"] == 39
    assert row["all"] - row["hot"] <= 2  # the first write of the record, and no more


async def blocks_of(admin: Connection, text: str, parameters: list[object]) -> int:
    """How many blocks a statement looks at; it is rolled back."""
    await admin.execute("BEGIN")
    rows = await admin.fetch(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}", *parameters)
    await admin.execute("ROLLBACK")
    plan = json.loads(rows[0]["QUERY PLAN"])[0]["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


@pytest.mark.parametrize("analysed", [False, True])
async def test_a_long_journal_and_many_instances_cost_a_step_nothing(
    admin: Connection, analysed: bool
) -> None:
    """Whatever the planner thinks of the tables, an operation looks at a few blocks."""
    schema = new_schema()
    texts = Texts(schema, MemoryOptions())
    async with memory_of(schema) as memory:
        lease = await memory.acquire("a")
        assert lease is not None
        await memory.commit(lease, {"n": 0}, step=Step("k"), release=False)
        await admin.execute(
            f"INSERT INTO {schema}.step SELECT serial, n, sha256(n::text::bytea), 'e', 't', 'd', now(), '[]' "
            f"FROM {schema}.instance, generate_series(2, 20000) AS n"
        )
        await admin.execute(f"UPDATE {schema}.instance SET version = 20000")
        await admin.execute(
            f"INSERT INTO {schema}.instance (key, id, fence, version, written, created_at, updated_at) "
            "SELECT sha256(n::text::bytea), n::text::bytea, 1, 1, true, now(), now() FROM generate_series(1, 5000) AS n"
        )
        if analysed:
            await admin.execute(f"VACUUM ANALYZE {schema}.instance, {schema}.step")
        labels = MemoryOptions().labels_of("a", {})
        data = b'{"n":1}'
        for op in (
            Acquire("new", "t2", 30.0, "other"),
            Acquire("1", "t2", 30.0, "other"),
            Acquire("a", "t2", 30.0, "k"),
            Commit("a", lease.token, 20_000, data, b"d", labels, "fresh", b"[]"),
            Commit("a", "nobody", 20_000, data, b"d", labels, "fresh", b"[]"),
            Release("a", lease.token),
        ):
            text, parameters = texts.statement([op], 100)
            assert await blocks_of(admin, text, parameters) < 100, op


async def test_children_are_found_by_an_index(admin: Connection) -> None:
    schema = new_schema()
    async with memory_of(schema) as memory:
        lease = await memory.acquire("child")
        assert lease is not None
        await memory.commit(lease, {"parentSubject": "mother"})
        await admin.execute(
            f"INSERT INTO {schema}.instance (key, id, parent, written, created_at, updated_at) "
            "SELECT sha256(n::text::bytea), n::text::bytea, n::text::bytea, true, now(), now() "
            "FROM generate_series(1, 5000) AS n"
        )
        await admin.execute(f"ANALYZE {schema}.instance")
        assert [found async for found in _ids(memory, Find(parent="mother"))] == ["child"]
    text, values = Texts(schema, MemoryOptions()).query("find", narrowing_of(Find(parent="mother")), 50)
    assert await blocks_of(admin, text, values) < 50


async def _ids(memory: PostgresMachineMemory, what: Find) -> AsyncIterator[str]:
    async for found in memory.each(what):
        yield found.id


async def test_records_and_ids_of_any_size(admin: Connection) -> None:
    schema = new_schema()
    ids = ["x" * 4_096, "x" * 4_095 + "y", "nul\0", "a/+=}{'\"\\", "\U0001f600" * 1_024]
    async with memory_of(schema) as memory:
        for id in ids:
            lease = await memory.acquire(id, event_key="e" * 8_000)
            assert lease is not None
            data = {"id": id, "executionStatus": "nul\0", "parentSubject": "p" * 5_000, "status": "s" * 5_000}
            await memory.commit(lease, data, step=Step("e" * 8_000))
            assert await memory.read(id) == data
            again = await memory.acquire(id, event_key="e" * 8_000)
            assert again is not None
            assert again.replay is not None
        big = await memory.acquire("big")
        assert big is not None
        await memory.commit(big, {"text": "z" * 3_000_000})
        assert sorted([found.id async for found in memory.each()]) == sorted([*ids, "big"])
