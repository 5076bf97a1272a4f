"""The death of the server: SIGKILL in the middle of the work, and a start on the same data."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from pyarvo.demo.effects import count_effects, note_server_kill
from pyarvo.demo.servers import Server

__all__ = ["kill_once"]

_LOOK_S: Final = 0.02


async def kill_once(
    server: Server, effects: str, *, after: int, is_over: Callable[[], bool], tell: Callable[[str], None]
) -> None:
    """
    Kill *server* when so many effects are done, and start it again at once.

    Args:
        server: One that was started here.

        effects: Path of the file of effects.

        after: How many.

        is_over: Whether the work is done; then the server lives on.

        tell: Is told of it, in words.

    Raises:
        ServerFailed: It does not start again.
    """
    while (done := await asyncio.to_thread(count_effects, effects)) < after:
        if is_over():
            return
        await asyncio.sleep(_LOOK_S)
    began = time.monotonic()
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    away_s = time.monotonic() - began
    await asyncio.to_thread(note_server_kill, effects, done, away_s)
    tell(f"the server was killed with SIGKILL after {done} effects; it is back after {away_s:.1f} s")
