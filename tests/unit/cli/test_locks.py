"""`pyarvo locks` on a real store."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pyarvo.errors import LeaseLost
from pyarvo.memory import Lease, SqliteMachineMemory


def test_list_names_holder_since_and_remaining(shelf: Any) -> None:
    answer = shelf.json("locks", "list")
    assert {lock["id"] for lock in answer["locks"]} == {shelf.ids["held"], shelf.ids["fresh"]}
    for lock in answer["locks"]:
        assert 3_000 < lock["remaining_s"] <= 3_600
        assert lock["since"].endswith("Z")
        assert ":" in lock["holder"]
    text = shelf.run("locks", "list").stdout
    assert text.count("59 min") == 2


def test_a_lease_that_ran_out_is_not_listed_and_can_still_be_ended(shop: Any) -> None:
    id = shop.ids["orphan"]
    past = SqliteMachineMemory(shop.path, clock=lambda: 1_000.0)

    async def leave() -> None:
        async with past:
            assert await past.acquire(id) is not None

    asyncio.run(leave())
    assert id not in {lock["id"] for lock in shop.json("locks", "list")["locks"]}
    answer = shop.json("locks", "release", id, "--reason", "left behind")
    assert (answer["released"], answer["was_running"]) == (True, False)
    assert shop.run("locks", "release", id, "--reason", "again").exit_code == 4


def test_pages_of_leases(shelf: Any) -> None:
    first = shelf.json("locks", "list", "--limit", "1")
    second = shelf.json("locks", "list", "--limit", "1", "--cursor", first["cursor"])
    assert second["cursor"] is None
    assert first["locks"] != second["locks"]
    assert f"more: --cursor {first['cursor']}" in shelf.run("locks", "list", "--limit", "1").stdout


def test_release_takes_the_lease_from_its_holder_and_keeps_the_reason(shop: Any) -> None:
    async def holder_writes(memory: SqliteMachineMemory, lease: Lease) -> None:
        with pytest.raises(LeaseLost):
            await memory.commit(lease, {"late": True})

    async def hold_while(release: Any) -> Any:
        async with SqliteMachineMemory(shop.path, holder="me") as memory:
            lease = await memory.acquire(shop.ids["failed"])
            assert lease is not None
            answer = await asyncio.to_thread(release)
            await holder_writes(memory, lease)
            return answer

    release = ["locks", "release", shop.ids["failed"][-16:], "--reason", "host [red]gone[/red]"]
    answer = asyncio.run(hold_while(lambda: shop.json(*release)))
    assert answer == {
        "id": shop.ids["failed"],
        "released": True,
        "holder": "me",
        "was_running": True,
        "reason": "host [red]gone[/red]",
    }
    lease = shop.json("instances", "show", shop.ids["failed"])["instance"]["lease"]
    assert (lease["held"], lease["note"]) == (False, "host [red]gone[/red]")
    assert "host [red]gone[/red]" in shop.run("instances", "explain", shop.ids["failed"]).stdout


def test_release_for_people(shop: Any) -> None:
    result = shop.run("locks", "release", shop.ids["held"], "--reason", "dead")
    assert result.exit_code == 0
    assert f"released …{shop.ids['held'][-16:]}" in result.stdout
    assert shop.ids["held"] not in {lock["id"] for lock in shop.json("locks", "list")["locks"]}


@pytest.mark.parametrize(
    ("name", "words", "code"),
    [
        ("orphan", ["--reason", "x"], 4),
        ("held", [], 2),
        ("held", ["--reason", "  "], 2),
    ],
)
def test_refusals_of_release(shop: Any, name: str, words: list[str], code: int) -> None:
    result = shop.run("locks", "release", shop.ids[name], *words, "-o", "json")
    assert (result.exit_code, result.stdout) == (code, "")
    assert len(shop.json("locks", "list")["locks"]) == 2


def test_release_of_an_unknown_instance_is_status_3(shelf: Any) -> None:
    assert shelf.run("locks", "release", "nobody-knows-it", "--reason", "x").exit_code == 3


def test_no_lease_runs(shop: Any) -> None:
    for name in ("held", "fresh"):
        shop.json("locks", "release", shop.ids[name], "--reason", "x")
    assert shop.json("locks", "list") == {"locks": [], "cursor": None}
    assert shop.run("locks", "list").stdout.strip() == "no lease runs"
