"""
The server's clock, read seldom and followed by this process's monotonic one (C4). No wall clock is looked at.

The server stamps its answer at a moment between our sending and our receiving, so each sample says: the
server's clock is ahead of ours by something within an interval as long as the round trip. Samples are
intersected, the older one widened by what two clocks may drift apart; samples that do not meet mean that the
server's clock was set, and the newer one holds. The middle is off by half the shortest round trip at most.
"""

from __future__ import annotations

from typing import Final

__all__ = ["FRESH_S", "SLACK_S", "ServerClock"]

FRESH_S: Final = 10.0
"""How long a sample is followed, in seconds."""

SLACK_S: Final = 1.0
"""
A lease granted up to this much after "now" was granted by a process whose estimate runs ahead of ours: it was
granted just now. Further ahead, the server's clock was set back.
"""

_DRIFT: Final = 2e-4


class ServerClock:
    """An estimate of the server's clock. All arguments named `*_at` are seconds of this process's monotonic clock."""

    __slots__ = ("_high", "_low", "_read_at")

    def __init__(self) -> None:
        self._low = self._high = 0.0
        self._read_at: float | None = None

    def sample(self, stamp: float, sent_at: float, received_at: float) -> None:
        """The server wrote *stamp* (seconds since the epoch) between the two moments."""
        low, high = stamp - received_at, stamp - sent_at
        if self._read_at is not None:
            drift = (received_at - self._read_at) * _DRIFT
            met_low, met_high = max(low, self._low - drift), min(high, self._high + drift)
            if met_low <= met_high:
                low, high = met_low, met_high
        self._low, self._high, self._read_at = low, high, received_at

    def is_fresh(self, at: float) -> bool:
        """Whether the last sample may still be followed."""
        return self._read_at is not None and at - self._read_at < FRESH_S

    def now(self, at: float) -> float:
        """The server's time at the moment *at*, in seconds since the epoch."""
        return at + (self._low + self._high) / 2

    @property
    def error_s(self) -> float:
        """How far `now` may be off right after a sample."""
        return (self._high - self._low) / 2
