"""The bound on events that are not yet over: who comes from outside waits for a place."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Places"]


class Places:
    """
    A number of places, given to those who wait in the order in which they came.

    Args:
        limit: From so many occupied places on, `enter` waits.
    """

    __slots__ = ("_limit", "_occupied", "_waiting")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._occupied = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Wait for a place and occupy it."""
        if not self._waiting and self._occupied < self._limit:
            self._occupied += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # its turn had come
                self.leave()
            raise

    def squeeze_in(self) -> None:
        """Occupy a place, over the limit if need be."""
        self._occupied += 1

    def leave(self) -> None:
        """Give a place back."""
        self._occupied -= 1
        while self._waiting and self._occupied < self._limit:
            self._let_in(self._waiting.popleft())

    def open_up(self) -> None:
        """Let in everybody who waits, over the limit if need be."""
        while self._waiting:
            self._let_in(self._waiting.popleft())

    def _let_in(self, turn: asyncio.Future[None]) -> None:
        if not turn.done():
            turn.set_result(None)
            self._occupied += 1
