from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyarvo.cli.exits import Exit, Stop
from pyarvo.cli.ids import Shortener, resolve
from pyarvo.events import ArvoOrchestrationSubject
from pyarvo.memory import SimpleMachineMemory


def test_short_names_are_endings_as_long_as_it_takes() -> None:
    one, two, three = "a" * 40 + "x" * 20, "b" * 40 + "x" * 20, "c" * 40 + "y" * 20
    short = Shortener([one, two, three])
    assert short(one) == f"…{'a' * 4}{'x' * 20}"
    assert short(three) == f"…{'y' * 16}"
    assert short("short-id") == "short-id"


def test_the_last_resort_is_the_whole_id() -> None:
    short = Shortener(["x" * 30, "x" * 60])
    assert short("x" * 30) == "x" * 30


PLAIN = st.text(st.characters(exclude_characters="\\…"), min_size=1, max_size=60)


@given(st.sets(PLAIN, max_size=8))
def test_short_names_differ_where_ids_differ(ids: set[str]) -> None:
    short = Shortener(ids)
    names = {short(id) for id in ids}
    assert len(names) == len(ids)
    assert all(name.isprintable() for name in names)


async def named(memory: SimpleMachineMemory, *ids: str) -> None:
    for id in ids:
        lease = await memory.acquire(id)
        assert lease is not None
        await memory.commit(lease, {})


async def test_an_exact_id_wins_over_longer_ones_that_begin_or_end_so() -> None:
    async with SimpleMachineMemory() as memory:
        await named(memory, "order", "order-2", "pre-order")
        assert await resolve(memory, "order") == "order"
        assert await resolve(memory, "order-") == "order-2"
        assert await resolve(memory, "…-order") == "pre-order"
        with pytest.raises(Stop, match="several") as stop:
            await resolve(memory, "orde")
        assert stop.value.code is Exit.USAGE


async def test_the_whole_escaped_form_wins_over_longer_ones() -> None:
    async with SimpleMachineMemory() as memory:
        await named(memory, "a\nbcd", "a\nbcdef")
        assert await resolve(memory, r"a\x0abcd") == "a\nbcd"


async def test_tombstones_have_names_too() -> None:
    async with SimpleMachineMemory() as memory:
        await named(memory, "deleted-order")
        await memory.delete("deleted-order")
        assert await resolve(memory, "deleted-") == "deleted-order"


def test_short_names_of_many_ids_are_quick() -> None:
    ids = [f"{n:040}" for n in range(20_000)]
    short = Shortener(ids)
    assert len({short(id) for id in ids}) == len(ids)


def test_an_ending_is_typed_only_where_no_other_id_ends_so() -> None:
    plain, subject = (
        "order-" + "y" * 40,
        ArvoOrchestrationSubject.new(
            orchestrator="arvo.orc.shop.order", version="1.0.0", initiator="com.shop.web"
        ),
    )
    short = Shortener([plain, subject])
    assert short.typed(subject) == subject[-16:]
    assert short.typed(plain) == plain
    assert short.typed("show") == "show"
