"""The background loop: context, interruption, handlers, forks, and the end of the process."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import BaseModel

from pyarvo import sync
from pyarvo.contracts import create_arvo_contract, create_arvo_event_factory
from pyarvo.handlers import Emission, HandlerCall, Outcome, create_arvo_event_handler

_name = contextvars.ContextVar("name", default="nobody")


async def test_the_result_comes_from_one_background_thread() -> None:
    async def where() -> tuple[str, int]:
        await asyncio.sleep(0)
        return threading.current_thread().name, id(asyncio.get_running_loop())

    first = await asyncio.to_thread(sync.run, where)
    second = await asyncio.to_thread(sync.run, where)
    assert first == second
    assert first[0] == "pyarvo-sync"
    assert first[1] != id(asyncio.get_running_loop())


def test_the_callers_context_is_seen_and_not_changed() -> None:
    async def rename(new: str) -> str:
        old = _name.get()
        _name.set(new)
        return old

    token = _name.set("caller")
    try:
        assert sync.run(rename, "callee") == "caller"
        assert _name.get() == "caller"
    finally:
        _name.reset(token)


def test_an_error_comes_out_as_it_is() -> None:
    async def fail(*, code: int) -> None:
        raise LookupError(code)

    with pytest.raises(LookupError, match="7"):
        sync.run(fail, code=7)


def test_what_is_not_asynchronous_is_refused() -> None:
    told: list[BaseException] = []

    def call() -> None:
        try:
            sync.run(cast("Any", dict), a=1)
        except TypeError as exc:
            told.append(exc)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(5)
    assert [str(error) for error in told] == [
        "dict returned dict, not a coroutine; call what is not asynchronous by itself"
    ]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_what_ends_a_process_reaches_whoever_called_and_the_other_calls_go_on(error: BaseException) -> None:
    told: dict[str, object] = {}

    async def raises() -> None:
        raise error

    async def ends() -> None:
        await asyncio.create_task(raises())

    def call(name: str, function: Callable[[], Coroutine[Any, Any, object]]) -> threading.Thread:
        def tell() -> None:
            try:
                told[name] = sync.run(function)
            except BaseException as exc:  # noqa: BLE001 - it is what is asked for
                told[name] = exc

        thread = threading.Thread(target=tell, daemon=True)
        thread.start()
        return thread

    for thread in (call("other", lambda: asyncio.sleep(0.05, "answered")), call("ends", ends)):
        thread.join(5)
    assert told == {"other": "answered", "ends": error}


def test_an_interrupted_call_cancels_the_coroutine() -> None:
    ended = threading.Event()

    class InterruptedError_(Exception):
        pass

    async def hang() -> None:
        try:
            os.kill(os.getpid(), signal.SIGUSR1)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.set()
            raise

    def interrupt(*_: Any) -> None:
        raise InterruptedError_

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(InterruptedError_):
            sync.run(hang)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert ended.wait(10)


class Number(BaseModel):
    n: int


def test_a_handler_runs() -> None:
    contract = create_arvo_contract(
        uri="#/double",
        type="com.calc.double",
        versions={"1.0.0": {"accepts": Number, "emits": {"evt.calc.double.success": Number}}},
    )

    async def double(call: HandlerCall) -> Emission:
        await asyncio.sleep(0)
        return {"type": "evt.calc.double.success", "data": {"n": 2 * call.event.data["n"]}}

    handler = create_arvo_event_handler(contract=contract, executionunits=1, handler={"1.0.0": double})
    event = create_arvo_event_factory(contract.version("1.0.0")).accepts(
        source="com.test", subject="s", data={"n": 21}
    )
    result = sync.execute(handler, event)
    assert result.outcome is Outcome.RAN
    assert [one.data for one in result.events] == [{"n": 42}]


def script(text: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", text, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


FORKING = """
import os, sys
from pyarvo import sync
from pyarvo.errors import MemoryClosed

url = f"sqlite:///{sys.argv[1]}"
memory = sync.open_memory(url)
assert memory.lock("parent")
child = os.fork()
if child == 0:
    code = 1
    try:
        try:
            memory.read("parent")
        except MemoryClosed as error:
            assert "fork" in str(error)
            memory.close()
            with sync.open_memory(url) as own:
                assert own.lock("parent") is False
                assert own.lock("child")
                own.write("child", {"pid": os.getpid()})
                assert own.unlock("child")
            code = 0
    finally:
        os._exit(code)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
memory.write("parent", {"still": "works"})
assert memory.unlock("parent")
assert memory.read("child") == {"pid": child}
memory.close()
print("done")
"""


def test_a_child_starts_a_loop_of_its_own_and_the_parents_goes_on(tmp_path: Path) -> None:
    result = script(FORKING, tmp_path / "fork.db")
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")


ENDING = """
import asyncio, threading
from pyarvo import sync

under_way = threading.Event()

async def hang():
    under_way.set()
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        print("gave back")

def call():
    try:
        sync.run(hang)
    except BaseException as error:
        print(type(error).__name__)

threading.Thread(target=call, daemon=True).start()
under_way.wait()
"""


def test_the_end_of_the_process_ends_what_is_under_way() -> None:
    result = script(ENDING)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[0] == "gave back"
    assert result.stderr == ""


def test_importing_starts_no_thread() -> None:
    result = script("import threading, pyarvo.sync; print(threading.active_count())")
    assert result.stdout == "1\n"
