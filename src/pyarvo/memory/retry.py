"""Quick retries with exponential backoff and full jitter, for calls that may be made twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from pyarvo.errors import MemoryUnavailable, WriteOutcomeUnknown
from pyarvo.memory.signals import tell_retry

__all__ = ["ATTEMPTS", "ATTEMPT_S", "backoff_s", "retried"]

ATTEMPTS: Final = 3
ATTEMPT_S: Final = 0.3
"""Longest a single attempt of a read may take, in seconds: three, and the pauses between, stay under 1 s."""

_BASE_S: Final = 0.02

T = TypeVar("T")


def backoff_s(attempt: int, base_s: float = _BASE_S) -> float:
    """The pause after attempt 0, 1, 2, ...: half to all of base, 2 x base, 4 x base, ... seconds."""
    return base_s * 2**attempt * random.uniform(0.5, 1.0)


async def retried(attempt: Callable[[], Awaitable[T]]) -> T:
    """
    The first answer of up to three attempts.

    Only for calls that are harmless when repeated. Only transient faults are tried again.

    Raises:
        MemoryUnavailable: No attempt was answered.
    """
    for n in range(ATTEMPTS):
        try:
            return await attempt()
        except (MemoryUnavailable, WriteOutcomeUnknown) as fault:
            if n == ATTEMPTS - 1 or (isinstance(fault, MemoryUnavailable) and not fault.transient):
                if isinstance(fault, MemoryUnavailable):
                    raise
                raise MemoryUnavailable(fault.args[0], id=fault.id, operation=fault.operation) from fault
            again = fault.operation
        await asyncio.sleep(backoff_s(n))
        tell_retry(again)
    raise AssertionError("unreachable")
