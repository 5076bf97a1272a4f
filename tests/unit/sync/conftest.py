"""The background loop ends with each test, so that others find no thread of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pyarvo.sync import portal


@pytest.fixture(autouse=True)
def no_loop_is_left() -> Iterator[None]:
    yield
    portal._portal.end()  # pyright: ignore[reportPrivateUsage] - it is the process's, and ends with it
    assert [thread.name for thread in threading.enumerate() if thread.name == "pyarvo-sync"] == []
