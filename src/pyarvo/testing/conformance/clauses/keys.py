"""Keys: an id is opaque text; no two run into one another, and none reaches further than its own instance."""

from __future__ import annotations

import unicodedata
from typing import Any

from pyarvo.testing.conformance.bench import Bench
from pyarvo.testing.conformance.clause import clause

__all__: list[str] = []


async def _kept_apart(bench: Bench, *names: str) -> None:
    """Each name has a record of its own, and a lease of its own."""
    memory, other = bench.several(2)
    ids = [bench.id(name) for name in names]
    for n, id in enumerate(ids):
        await bench.put(memory, id, {"n": n})
    for n, id in enumerate(ids):
        bench.equal(await other.read(id), {"n": n}, f"the record of {names[n][:40]!r}")
    for id in ids:
        await bench.locked(memory, id)
        bench.equal(await other.lock(id), expected=False, what="lock of an instance that is held")


@clause("base.keys.01", "every ASCII character may stand in an id")
async def ascii_ids(bench: Bench) -> None:
    await _kept_apart(
        bench, "".join(map(chr, range(1, 128))), "+/=", "{a}.*.>/%_?[b]'\";--", "}{", "a b", "a\tb"
    )


@clause("base.keys.02", "ids that differ by a NUL, a space, or letter case are different instances")
async def near(bench: Bench) -> None:
    await _kept_apart(bench, "case", "Case", "case ", " case", "case\0", "case\0x", "case.", "case/", "casé")


@clause("base.keys.03", "composed and decomposed letters, and letters beyond 16 bits, make different ids")
async def unicode_ids(bench: Bench) -> None:
    nfc, nfd = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")
    await _kept_apart(bench, nfc, nfd, "\U0001f980" * 50, "\U0001f980" * 51, "ß", "ss", "ﬁ", "fi")


@clause("base.keys.04", "ids of 4,096 bytes are taken, and differ by their last byte alone")
async def long_ids(bench: Bench) -> None:
    room = 4_096 - len(bench.id("").encode())
    await _kept_apart(bench, "x" * room, "x" * (room - 1) + "y", "x" * (room - 1), "é" * (room // 2))


@clause(
    "base.keys.05",
    "ids of 300 characters that begin or end alike, as Arvo subjects do, are different instances",
)
async def subjects(bench: Bench) -> None:
    body = (
        "eJw9zk0KwjAQBeCrlFk3JZP+JdlJXbhxoeABpskEgm1S0ohg8e6mgm4f7+N7G/jsZtAbpPjg1EBgCzqA/kZ6A2cBWjOKIQ+/F="
        * 3
    )
    await _kept_apart(bench, body, body[:-1] + "A", "A" + body[1:], body + "=", body[:150], body[150:])


@clause(
    "base.keys.06",
    "an empty id, one over 4,096 bytes, and one with a lone surrogate are refused by every verb",
)
async def bad_ids(bench: Bench) -> None:
    await _refused_everywhere(bench, "", "x" * 4_097, "é" * 2_049, "\ud800")


@clause("base.keys.07", "an id that is no text is refused by every verb")
async def not_text(bench: Bench) -> None:
    await _refused_everywhere(bench, None, 7, b"a", ["a"])


async def _refused_everywhere(bench: Bench, *ids: Any) -> None:
    memory = bench.open()

    async def called(verb: Any, *arguments: Any) -> Any:
        return await verb(*arguments)

    for id in ids:
        shown = bench.history.shown(id)
        for verb in (memory.read, memory.lock, memory.unlock):
            await bench.refused(called(verb, id), Exception, f"{verb.__name__} of {shown}")
        await bench.refused(called(memory.write, id, {}), Exception, f"write of {shown}")


@clause("base.keys.08", "ids that are SQL, Lua, paths or wildcards touch no other instance")
async def hostile(bench: Bench) -> None:
    memory = bench.open()
    bystander = bench.id("bystander")
    await bench.put(memory, bystander, {"safe": True})
    await _kept_apart(
        bench,
        "'; DROP TABLE instance; --",
        '" OR "1"="1',
        "' OR '1'='1",
        "%' OR id LIKE '%",
        "'..redis.call('FLUSHALL')..'",
        "../../etc/passwd",
        "*",
        ">",
        "bystander/../bystander",
        "$$; SELECT pg_sleep(9); --",
        "\r\nSET x y\r\n",
    )
    bench.equal(await memory.read(bystander), {"safe": True}, "the record of a bystander")


@clause("base.keys.09", "a record whose text is code comes back as text, and nothing is run")
async def hostile_records(bench: Bench) -> None:
    memory, other = bench.several(2)
    id = bench.id()
    record = {
        "__class__": "os.system",
        "__reduce__": ["os.system", ["exit"]],
        "py/object": "os.system",
        "$type": "System.Object",
        "sql": "'); DROP TABLE record; --",
        "lua": "]] redis.call('FLUSHALL') [[",
    }
    await bench.put(memory, id, record)
    bench.equal(await other.read(id), record, "the record that came back")
