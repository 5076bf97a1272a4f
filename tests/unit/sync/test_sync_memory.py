"""The synchronous memory: the same verbs as plain calls, from any thread, in nobody's event loop."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from pyarvo import sync
from pyarvo.errors import CalledInLoop, InvalidOption, LeaseLost, MemoryClosed
from pyarvo.memory import Find, LeasedMemory, Step


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[sync.SyncMemory]:
    with sync.open_memory(f"sqlite:///{tmp_path}/sync.db", history=2) as opened:
        yield opened


def commit(memory: sync.SyncMemory, id: str, data: dict[str, Any], step: Step | None = None) -> int:
    lease = memory.acquire(id)
    assert lease is not None
    return memory.commit(lease, data, step=step)


def test_the_four_verbs_keep_the_lease_in_the_calling_thread(memory: sync.SyncMemory) -> None:
    assert memory.read("a") is None
    assert memory.lock("a") is True
    memory.write("a", {"n": 1})
    assert memory.lock("a") is False
    assert memory.unlock("a") is True
    assert memory.unlock("a") is False
    assert memory.read("a") == {"n": 1}
    with pytest.raises(LeaseLost):
        memory.write("a", {"n": 2})


def test_a_lock_stays_with_the_context_that_took_it(memory: sync.SyncMemory) -> None:
    mine, other = contextvars.copy_context(), contextvars.copy_context()
    assert mine.run(memory.lock, "a")
    assert other.run(memory.lock, "a") is False
    with pytest.raises(LeaseLost):
        other.run(memory.write, "a", {"by": "other"})
    mine.run(memory.write, "a", {"by": "mine"})
    assert other.run(memory.unlock, "a") is False
    assert mine.run(memory.unlock, "a")
    assert memory.read("a") == {"by": "mine"}


def test_of_many_threads_each_holds_its_own_and_one_holds_the_shared(memory: sync.SyncMemory) -> None:
    start = Barrier(8)

    def work(n: int) -> bool:
        start.wait(10)
        won = memory.lock("shared")
        assert memory.lock(f"own-{n}")
        memory.write(f"own-{n}", {"n": n})
        assert memory.unlock(f"own-{n}")
        return won

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 1
    assert [memory.read(f"own-{n}") for n in range(8)] == [{"n": n} for n in range(8)]


def test_leases_and_steps(memory: sync.SyncMemory) -> None:
    lease = memory.acquire("a", event_key=["web", "1"], ttl_s=5)
    assert lease is not None
    memory.renew(lease, ttl_s=30)
    assert lease.expires_in_s > 20
    assert memory.commit(lease, {"n": 1}, step=Step('["web","1"]', ({"id": "out"},)), release=False) == 1
    assert memory.release(lease) is True
    again = memory.acquire("a", event_key=["web", "1"])
    assert again is not None
    assert again.replay is not None
    assert again.replay.produced == ({"id": "out"},)


def test_queries(memory: sync.SyncMemory) -> None:
    commit(memory, "root", {"status": "done"}, Step('["web","1"]'))
    commit(memory, "root", {"status": "done", "n": 2})
    for n in range(3):
        commit(memory, f"child-{n}", {"status": "done", "parentSubject": "root"})
    assert memory.count() == 4
    assert memory.count(Find(root=True)) == 1
    assert [it.id for it in memory.children("root")] == ["child-2", "child-1", "child-0"]
    assert [it.id for it in memory.ancestors("child-1")] == ["root"]
    assert [it.id for it in memory.each()] == ["child-2", "child-1", "child-0", "root"]
    page = memory.instances(limit=3)
    assert [it.id for it in memory.instances(limit=3, cursor=page.cursor).items] == ["root"]
    assert [step.version for step in memory.journal("root", after=1)] == [2]
    assert memory.history("root") == ((1, {"status": "done"}),)
    found = memory.get("root")
    assert found is not None
    assert found.data == {"status": "done", "n": 2}
    assert memory.lock("child-0")
    assert memory.force_release("child-0", reason="test") is True
    assert memory.delete("child-0") is True
    assert sorted(memory.purge(older_than_s=0, dry_run=True)) == ["child-1", "child-2", "root"]
    assert sorted(memory.purge(older_than_s=0)) == ["child-1", "child-2", "root"]
    memory.ping()


def test_each_walks_over_more_than_one_page(memory: sync.SyncMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyarvo.sync.memory.MAX_PAGE", 2)
    for n in range(5):
        commit(memory, str(n), {})
    assert [it.id for it in memory.each()] == ["4", "3", "2", "1", "0"]


def test_every_call_is_refused_inside_a_running_loop(memory: sync.SyncMemory) -> None:
    lease = memory.acquire("a")
    assert lease is not None

    async def inside() -> None:
        for call in (
            lambda: memory.read("a"),
            lambda: memory.lock("b"),
            lambda: memory.commit(lease, {"n": 1}),
            memory.count,
            lambda: next(memory.each()),
            memory.close,
        ):
            with pytest.raises(CalledInLoop, match="running event loop"):
                call()

    sync.run(inside)  # in the background loop itself, where waiting would be a deadlock
    assert memory.read("a") is None
    assert memory.lock("b") is True
    assert memory.commit(lease, {"n": 1}) == 1


async def test_it_is_refused_in_an_ordinary_loop_too() -> None:
    with pytest.raises(CalledInLoop, match="from a thread"):
        sync.open_memory("memory://").read("a")


def test_a_closed_memory_says_so(memory: sync.SyncMemory) -> None:
    memory.close()
    memory.close()
    with pytest.raises(MemoryClosed):
        memory.read("a")


def test_a_bad_url_is_refused_before_anything_starts() -> None:
    with pytest.raises(InvalidOption, match="known are"):
        sync.open_memory("nowhere://")


@pytest.mark.parametrize("name", [name for name in vars(sync.SyncMemory) if not name.startswith("_")])
def test_each_call_takes_what_the_asynchronous_one_takes(name: str) -> None:
    ours = inspect.signature(getattr(sync.SyncMemory, name)).parameters
    theirs = inspect.signature(getattr(LeasedMemory, name)).parameters
    assert {key: (one.kind, one.default) for key, one in ours.items()} == {
        key: (one.kind, one.default) for key, one in theirs.items()
    }


def test_no_verb_or_query_is_missing() -> None:
    public = {name for name in dir(LeasedMemory) if not name.startswith("_")}
    assert public - set(dir(sync.SyncMemory)) <= {
        "earlier",
        "image",
        "most_bodies",
        "put",
    }  # for tools
