"""The pytest plugin in a project of a user: what fails a test, what costs nothing, and that it works in parallel."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest_plugins = "pytester"

BROKER = """
    import asyncio
    import pytest
    from pyarvo import ExecutionResult, Outcome, create_arvo_event

    EVENT = create_arvo_event(source="com.test.caller", type="com.test.it", subject="s", data={})

    class Handler:
        source = "com.test.it"

        async def execute(self, event):
            raise LookupError("broken")

    class Slow:
        source = "com.test.it"

        async def execute(self, event):
            await asyncio.Event().wait()

    async def test_dead_letters_fail(pyarvo_broker):
        async with pyarvo_broker([Handler()]) as broker:
            await broker.publish(EVENT)

    async def test_dead_letters_are_expected(pyarvo_broker):
        async with pyarvo_broker([Handler()], allow_dead_letters=True) as broker:
            await broker.publish(EVENT)
        assert len(broker.dead_letters) == 1

    async def test_events_left_over_fail(pyarvo_broker):
        broker = pyarvo_broker([Slow()])
        await broker.publish(EVENT)
        await asyncio.sleep(0)

    async def test_options_reach_the_broker(pyarvo_broker):
        with pytest.raises(Exception, match="max_pending"):
            pyarvo_broker([], max_pending=0)
"""

HISTORY = """
    from msgspec.structs import replace

    async def test_a_wrong_history_fails(pyarvo_history, pyarvo_memory):
        memory = pyarvo_history.memory(pyarvo_memory)
        await memory.acquire("a")
        (call,) = pyarvo_history.calls
        for number in (1, 2):
            again = pyarvo_history.begin(id="a", verb="acquire")
            pyarvo_history.end(again, outcome="granted", fence=number + 1, token=f"t{number}", ttl_s=30.0)
"""


def run(pytester: pytest.Pytester, test: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(test)
    pytester.makeini(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
    )
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "parallel"])
def test_the_broker_fixture_watches_over_dead_letters(
    pytester: pytest.Pytester, options: tuple[str, ...]
) -> None:
    result = run(pytester, BROKER, *options)
    result.assert_outcomes(passed=4, errors=2)
    result.stdout.fnmatch_lines(
        ["*1 dead letters*", "*unexpected com.test.it to com.test.it: LookupError('broken')*"]
    )
    result.stdout.fnmatch_lines(["*1 events are not over: await*"])


def test_the_history_fixture_checks_in_the_end(pytester: pytest.Pytester) -> None:
    result = run(pytester, HISTORY)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*No order explains the answers to these 2 calls*"])


def test_a_project_that_does_not_use_it_notices_nothing(pytester: pytest.Pytester) -> None:
    test = """
        import sys

        def test_nothing_of_it_is_loaded():
            assert [name for name in sys.modules if name.startswith("pyarvo")] == ["pyarvo_pytest"]
    """
    result = run(pytester, test)
    result.assert_outcomes(passed=1)
    assert "warning" not in result.stdout.str().lower()


def test_the_rest_of_the_room_needs_no_pytest() -> None:
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "import pyarvo.testing, pyarvo.testing.clock, pyarvo.testing.faults, pyarvo.testing.history, "
        "pyarvo.testing.suites\n"
        "print('fine')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("fine", "")
