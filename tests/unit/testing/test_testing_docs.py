"""The examples of the pages on testing are tests, and they pass as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = "pytester"

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize(("page", "tests"), [("testing.md", 12), ("history.md", 2)])
def test_the_examples_pass_as_they_stand(page: str, tests: int, pytester: pytest.Pytester) -> None:
    examples: list[str] = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    pytester.makepyfile(**{f"test_example_{n}": example for n, example in enumerate(examples)})
    pytester.makeini(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=tests)
