"""A child that is forked from the kit's process, and what it says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import warnings
from collections.abc import Callable, Coroutine
from math import inf
from time import monotonic
from typing import Any, NoReturn

__all__ = ["in_child"]


async def in_child(work: Callable[[], Coroutine[Any, Any, Any]], within_s: float) -> Any:
    """
    Do *work* in a child, on a loop of its own, with the context of the caller.

    The child has this thread alone, touches nothing but what *work* does, and ends without any clean-up.

    Args:
        work: What it answers must be JSON.

        within_s: How long the child may take, in seconds; then it is killed.

    Returns:
        What it answered; None when it was killed, or died.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # of the other threads, which the child does not need
        child = os.fork()
    if child == 0:
        _live(work, writing)
    os.close(writing)
    try:
        until = monotonic() + within_s
        while not _ended(child):
            if monotonic() > until:
                os.kill(child, signal.SIGKILL)
                until = inf
            await asyncio.sleep(0.01)
        said = os.read(reading, 65_536)
        return json.loads(said) if said else None
    finally:
        os.close(reading)


def _ended(child: int) -> bool:
    return os.waitpid(child, os.WNOHANG) != (0, 0)


def _live(work: Callable[[], Coroutine[Any, Any, Any]], writing: int) -> NoReturn:
    try:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            os.write(writing, json.dumps(runner.run(work())).encode())
    finally:
        os._exit(0)  # also where it raised: then it said nothing
