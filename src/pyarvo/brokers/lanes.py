"""Which delivery is next: first come, first served within a lane, and the lanes in turn."""

from __future__ import annotations

from collections import deque

from pyarvo.brokers.delivery import Delivery

__all__ = ["Lane", "Lanes"]


class Lane:
    """
    The deliveries to one address on one subject.

    Attributes:
        key: Address and subject.

        waiting: In order.
    """

    __slots__ = ("key", "waiting")

    def __init__(self, key: tuple[str, str]) -> None:
        self.key = key
        self.waiting: deque[Delivery] = deque()


class Lanes:
    """
    All lanes that hold something.

    A lane is either ready or taken: who took it gives it back, and only then its next delivery may be taken. An
    empty lane is forgotten.

    Attributes:
        stopped: Whether no lane is given out any more.
    """

    __slots__ = ("_lanes", "_ready", "stopped")

    def __init__(self) -> None:
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._ready: deque[Lane] = deque()
        self.stopped = False

    def __len__(self) -> int:
        """Lanes that hold something or are taken."""
        return len(self._lanes)

    def put(self, delivery: Delivery) -> None:
        """Add *delivery* at the end of its lane."""
        lane = self._lanes.get(delivery.lane)
        if lane is None:
            lane = self._lanes[delivery.lane] = Lane(delivery.lane)
            self._ready.append(lane)
        lane.waiting.append(delivery)

    def take(self) -> Lane | None:
        """Take the lane that has waited longest; it holds at least one delivery. None when none is ready."""
        return self._ready.popleft() if self._ready and not self.stopped else None

    def give_back(self, lane: Lane, first: Delivery | None = None) -> None:
        """
        Return a lane that was taken.

        Args:
            lane: The lane.

            first: A delivery that is to be the lane's next.
        """
        if first is not None:
            lane.waiting.appendleft(first)
        if lane.waiting:
            self._ready.append(lane)
        else:
            del self._lanes[lane.key]

    def stop(self) -> None:
        """Let no lane be taken any more."""
        self.stopped = True
