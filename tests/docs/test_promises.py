"""The table of promises names a test for every cell, and each is there."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "promises.md"
TEXT = PAGE.read_text(encoding="utf-8")
LINKS = dict(re.findall(r'^\[([\w-]+)\]: (\S+ ".+")$', TEXT, re.MULTILINE))


def _cells() -> list[str]:
    rows = [line.strip("| ").split(" | ") for line in TEXT.splitlines() if line.startswith("| ")]
    return [cell for row in rows[1:] for cell in row[1:]]


def test_every_promise_is_a_link() -> None:
    promises = [cell for cell in _cells() if cell != "-"]
    assert len(promises) >= 35
    assert [cell for cell in promises if not re.fullmatch(r"\[[^]]+\]\[[\w-]+\](?: / .+)?", cell)] == []


def test_every_link_leads_to_a_test_and_is_used() -> None:
    used = {name for cell in _cells() for name in re.findall(r"\]\[([\w-]+)\]", cell)}
    assert used == set(LINKS)
    for link in LINKS.values():
        path, test = link.rstrip('"').split(' "')
        assert f"def {test}(" in (PAGE.parent / path).read_text(encoding="utf-8"), link
