"""
A process of the tests whose clock is wrong: `python clock_process.py OFFSET_S URL`. It obeys lines, and answers each.

`acquire TTL_S` is answered with `held FENCE` or `denied`, `commit N` with `ok VERSION` or the name of the error.
"""

from __future__ import annotations

import asyncio
import sys
import time

_true_time = time.time
_offset_s = float(sys.argv[1])
time.time = lambda: _true_time() + _offset_s  # before anything that may keep the true one

from pyarvo.errors import NotApplied  # noqa: E402
from pyarvo.memory import Lease, open_memory  # noqa: E402


async def main() -> None:
    lease: Lease | None = None
    async with open_memory(sys.argv[2], lock_attempts=1) as memory:
        while order := sys.stdin.readline().split():
            if order[0] == "acquire":
                lease = await memory.acquire("a", ttl_s=float(order[1]))
                answer = "denied" if lease is None else f"held {lease.fence}"
            else:
                assert lease is not None
                try:
                    answer = f"ok {await memory.commit(lease, {'n': int(order[1])})}"
                except NotApplied as error:
                    answer = type(error).__name__
            print(answer, flush=True)


asyncio.run(main())
