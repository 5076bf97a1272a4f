"""The published rule of derived ids is the one that holds."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path

import pytest
from tools.interop.scenarios import SCENARIOS

from pyarvo.events import ID_NAMESPACE, derived_id

PAGE = (Path(__file__).parents[2] / "docs" / "wire.md").read_text()
VECTORS: list[tuple[str, str]] = re.findall(r"^\| `(\[.*\])` \| `([0-9a-f-]{36})` \|$", PAGE, re.MULTILINE)


def test_the_namespace_is_the_published_one() -> None:
    assert re.findall(r"^\| `NAMESPACE` \| `([0-9a-f-]{36})`", PAGE, re.MULTILINE) == [str(ID_NAMESPACE)]
    assert uuid.uuid5(uuid.NAMESPACE_URL, "urn:pyarvo:event-id") == ID_NAMESPACE
    assert len(VECTORS) == 4


@pytest.mark.parametrize(("text", "id"), VECTORS)
def test_a_published_id_follows_the_rule_and_is_ours(text: str, id: str) -> None:
    parts = json.loads(text)
    assert json.dumps(parts) == text
    assert str(uuid.uuid5(ID_NAMESPACE, text)) == id
    names = ("handler", "subject", "source", "id", "type", "domain", "n")
    assert derived_id(**dict(zip(names, parts, strict=True))) == id


def test_it_says_how_many_scenarios_are_played() -> None:
    assert f"plays {len(SCENARIOS)} scenarios" in PAGE
