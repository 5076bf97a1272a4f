"""The list of clauses is the one in the code, and as long as promised."""

from __future__ import annotations

from pathlib import Path

from pyarvo.testing.conformance import Kind, Level, all_clauses
from pyarvo.testing.conformance.document import conformance_page

PAGE = Path(__file__).parents[3] / "docs" / "conformance.md"


def test_the_page_says_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == conformance_page()


def test_there_are_as_many_clauses_as_promised() -> None:
    known = all_clauses()
    assert len(known) >= 150
    for kind, count in ((Kind.CONCURRENT, 40), (Kind.FAULT, 25), (Kind.OWNERSHIP, 18)):
        assert sum(kind in each.kinds for each in known) >= count, kind
    assert {each.level for each in known} == set(Level)


def test_titles_are_promises_of_their_own() -> None:
    titles = [each.title for each in all_clauses()]
    assert len(set(titles)) == len(titles)
    assert not [title for title in titles if "|" in title or title.endswith(".")]


def test_ids_are_level_family_number() -> None:
    for each in all_clauses():
        level, family, number = each.id.split(".")
        assert level in set(Level)
        assert family.isalpha()
        assert len(number) == 2
        assert number.isdecimal()
