"""The scenarios of `make interop`, played here alone: what is seen is what TypeScript alone did when they were recorded."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from tools.interop.play import play
from tools.interop.scenarios import SCENARIOS

VECTORS: dict[str, Any] = json.loads(
    gzip.decompress((Path(__file__).parents[1] / "vectors" / "arvo_interop.json.gz").read_bytes())
)


def test_every_scenario_was_recorded() -> None:
    assert list(VECTORS) == list(SCENARIOS)


@pytest.mark.parametrize("name", VECTORS)
def test_what_is_seen_here_was_seen_in_typescript(name: str) -> None:
    seen = play(SCENARIOS[name])
    assert seen == VECTORS[name]
    assert json.dumps(seen) == json.dumps(VECTORS[name])  # the order of keys, and 1 is not 1.0
