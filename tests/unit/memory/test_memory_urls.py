"""`open_memory`: from URLs to memories, and every URL and option that is refused."""

# It looks at the options that a memory keeps to itself.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import importlib.metadata
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from redis.asyncio import ConnectionPool

from pyarvo.errors import InvalidOption
from pyarvo.memory import LeasedMemory, SimpleMachineMemory, SqliteMachineMemory, open_memory, urls
from pyarvo.memory.nats import NatsMachineMemory
from pyarvo.memory.postgres import PostgresMachineMemory
from pyarvo.memory.redis import RedisMachineMemory
from redis import Redis


def files(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


async def test_memory_opens_another_empty_memory_each_time() -> None:
    async with open_memory("memory://") as one, open_memory("MEMORY://") as two:
        assert isinstance(one, SimpleMachineMemory)
        assert isinstance(two, SimpleMachineMemory)
        assert await one.lock("a")
        assert await two.lock("a")


async def test_sqlite_takes_absolute_and_relative_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_memory("sqlite:///relative.db") as memory:
        assert isinstance(memory, SqliteMachineMemory)
        await memory.ping()
    async with open_memory(f"sqlite:///{tmp_path}/absolute.db") as memory:
        await memory.ping()
    assert files(tmp_path) == {"relative.db", "absolute.db"}


@pytest.mark.parametrize("name", ["with space.db", "100%.db", "a#b?c&d=e.db", "ключ.db", "%41.db"])
async def test_a_path_may_hold_any_character_when_it_is_quoted(tmp_path: Path, name: str) -> None:
    async with open_memory(f"sqlite:///{quote(str(tmp_path / name))}") as memory:
        await memory.ping()
    assert files(tmp_path) == {name}


async def test_opening_connects_at_first_use_only(tmp_path: Path) -> None:
    memory = open_memory(f"sqlite:///{tmp_path}/later.db")
    assert files(tmp_path) == set()
    await memory.ping()
    assert "later.db" in files(tmp_path)
    await memory.close()


async def test_options_have_the_same_names_in_the_url_and_the_keywords_win() -> None:
    text = "lease_ttl_s=60&lock_attempts=1&journal=7&history=2&batching=false&holder=me&deadline_s=2.5"
    memory = open_memory(f"memory://?{text}&record_limit=2048&tombstone_s=120", journal=9)
    options = memory._options
    assert (options.lease_ttl_s, options.lock_attempts, options.journal, options.history) == (60.0, 1, 9, 2)
    assert (options.batching, options.holder, options.deadline_s) == (False, "me", 2.5)
    assert (options.record_limit, options.tombstone_s) == (2_048, 120.0)
    await memory.close()


@pytest.mark.parametrize(
    ("url", "option", "rule"),
    [
        ("", "url", "known schemes are memory"),
        ("memory", "url", "must be scheme"),
        ("memory:", "url", "must be scheme"),
        ("://x", "url", "must be scheme"),
        (None, "url", "must be text"),
        (5, "url", "must be text"),
        ("mongodb://x", "url", "has the scheme 'mongodb'"),
        ("memory://x", "url", "takes no path"),
        ("memory:///", "url", "takes no path"),
        ("sqlite://", "url", "takes a path"),
        ("sqlite:///", "url", "takes a path"),
        ("sqlite://host/x.db", "url", "takes a path"),
        ("sqlite://x.db", "url", "takes a path"),
        ("sqlite://[x/y.db", "url", "is not valid"),
        ("sqlite:///x.db#part", "url", "fragment"),
        ("sqlite:///x.db?journal", "url", "name=value"),
        ("sqlite:///x.db?journal=5&journal=6", "url", "twice"),
        ("sqlite:///a%00b", "path", "must name a file"),
        ("sqlite:///:memory:", "path", "must name a file"),
        ("sqlite:///x.db?path=y.db", "path", "stands in the URL"),
        ("sqlite:///x.db?synchronous=off", "synchronous", "full or normal"),
        ("sqlite:///x.db?clock=now", "clock", "must be a function"),
        ("memory://?clock=1", "clock", "must be a function"),
        ("memory://?labels_of=f", "labels_of", "must be a function"),
        ("memory://?colour=red", "colour", "known are batching"),
        ("memory://?lease_ttl_s=0", "lease_ttl_s", "1.0 to 3,600.0"),
        ("memory://?lease_ttl_s=", "lease_ttl_s", "must be a number"),
        ("memory://?lease_ttl_s=nan", "lease_ttl_s", "1.0 to 3,600.0"),
        ("memory://?journal=1.5", "journal", "must be a number"),
        ("memory://?journal=0", "journal", "1 to 1,000,000"),
        ("memory://?lock_attempts=4", "lock_attempts", "1 to 3"),
        ("memory://?batching=maybe", "batching", "true or false"),
        ("memory://?record_limit=1", "record_limit", "1,024 to"),
        ("memory://?tombstone_s=1", "tombstone_s", "60"),
        ("memory://?holder=%00", "holder", "printable"),
        ("memory://?self=1", "url", "self, url"),
        ("redis://host?url=redis://other", "url", "self, url"),
        ("redis://host:0", "url", "port 0"),
    ],
)
def test_what_is_refused_names_option_and_rule(url: Any, option: str, rule: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        open_memory(url)
    assert caught.value.option == option
    assert rule in caught.value.rule


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lease_ttl_s", None),
        ("lock_attempts", 1.0),
        ("lock_attempts", True),
        ("deadline_s", float("nan")),
        ("deadline_s", 0),
        ("history", -1),
        ("batching", 1),
        ("holder", 7),
        ("holder", "x" * 300),
        ("holder", "\ud800"),
        ("labels_of", None),
        ("clock", 5),
    ],
)
def test_keywords_are_checked_like_urls(name: str, value: Any) -> None:
    with pytest.raises(InvalidOption) as caught:
        open_memory("memory://", **{name: value})
    assert caught.value.option == name


@pytest.mark.parametrize("path", ["", ":memory:", "a\0b", b"", b"a\0b"])
def test_paths_that_name_no_file_are_refused(path: Any) -> None:
    with pytest.raises(InvalidOption) as caught:
        SqliteMachineMemory(path)
    assert caught.value.option == "path"


async def test_a_path_may_be_bytes_or_a_path(tmp_path: Path) -> None:
    file: Any = bytes(tmp_path / "bytes.db")
    async with SqliteMachineMemory(file) as one, SqliteMachineMemory(tmp_path / "path.db") as two:
        await one.ping()
        await two.ping()
    assert files(tmp_path) == {"bytes.db", "path.db"}


# --- third parties --------------------------------------------------------------------------------------------------

_asked: list[tuple[str, dict[str, Any]]] = []


def open_other(url: str, **options: Any) -> LeasedMemory:
    """A third party's factory."""
    _asked.append((url, options))
    return SimpleMachineMemory()


@pytest.fixture
def third_party(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that registers two schemes; one of them stands in the way of a built-in."""
    found = EntryPoints(
        EntryPoint(name, f"{__name__}:open_other", urls.GROUP) for name in ("other", "memory")
    )

    def entry_points(**params: Any) -> EntryPoints:
        return found.select(**params)

    monkeypatch.setattr(urls, "entry_points", entry_points)

    def load(entry: EntryPoint) -> Any:
        assert entry.value.endswith(":open_other")
        return open_other

    monkeypatch.setattr(EntryPoint, "load", load)
    _asked.clear()


@pytest.mark.usefixtures("third_party")
async def test_a_registered_scheme_gets_its_url_as_it_was_written() -> None:
    memory = open_memory("OTHER://user:p%40ss%2Fword@host:1/db?retries=3", journal=4)
    assert isinstance(memory, SimpleMachineMemory)
    assert _asked == [("OTHER://user:p%40ss%2Fword@host:1/db", {"retries": "3", "journal": 4})]
    await memory.close()


@pytest.mark.usefixtures("third_party")
async def test_a_built_in_scheme_cannot_be_taken_over() -> None:
    memory = open_memory("memory://")
    assert _asked == []
    await memory.close()
    with pytest.raises(InvalidOption, match=r"known are memory, .*other"):
        open_memory("nobody://")


def test_the_built_in_schemes_are_registered_too() -> None:
    registered = {entry.name for entry in importlib.metadata.entry_points(group=urls.GROUP)}
    assert {"memory", "sqlite"} <= registered


@pytest.mark.parametrize("path", [None, 5, [], "", "a\0b", "\ud800"], ids=ascii)
def test_a_path_that_names_no_file_is_refused(path: Any) -> None:
    with pytest.raises(InvalidOption) as caught:
        SqliteMachineMemory(path)
    assert caught.value.option == "path"


def test_a_path_that_does_not_say_its_name_is_refused() -> None:
    class NoName:
        def __fspath__(self) -> Any:
            return 5

    with pytest.raises(InvalidOption) as caught:
        SqliteMachineMemory(NoName())
    assert caught.value.option == "path"


SERVERS: list[tuple[Any, str]] = [
    (RedisMachineMemory, "redis.asyncio.Redis"),
    (PostgresMachineMemory, "asyncpg.Pool"),
    (NatsMachineMemory, "nats.aio.client.Client"),
]


@pytest.mark.parametrize(("kind", "needed"), SERVERS)
def test_a_client_of_another_kind_is_refused_and_the_right_one_named(kind: Any, needed: str) -> None:
    for client in (Redis(), ConnectionPool(), "redis://127.0.0.1", 5, object()):
        with pytest.raises(InvalidOption) as caught:
            kind(client=client)
        assert caught.value.option == "client"
        assert needed in caught.value.rule


@pytest.mark.parametrize(("kind", "needed"), SERVERS)
def test_a_url_that_is_no_text_is_refused(kind: Any, needed: str) -> None:
    del needed
    wrong: list[Any] = [5, b"redis://secret@127.0.0.1", [], object()]
    for url in wrong:
        with pytest.raises(InvalidOption) as caught:
            kind(url)
        assert caught.value.option == "url"
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("prefix", None), ("prefix", 5), ("prefix", b"x"), ("tls", "perhaps"), ("tls", 1), ("tls_ca_file", 5)],
)
def test_an_option_of_redis_of_another_type_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidOption) as caught:
        open_memory("redis://127.0.0.1", **{name: value})
    assert caught.value.option == name


@pytest.mark.parametrize(
    "url", ["redis://host?prefix=mine", "redis+cluster://a,b?prefix=mine", "redis://host#x"]
)
def test_a_url_whose_options_nobody_would_read_is_refused(url: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        RedisMachineMemory(url)
    assert caught.value.option == "url"
