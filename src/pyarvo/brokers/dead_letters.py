"""Events that are not delivered any more: kept for a look, told to a callback, logged."""

from __future__ import annotations

import logging
from collections import deque
from inspect import isawaitable

from pyarvo.brokers.delivery import DeadLetter, DeadLetterReason, Delivery, ends_the_task
from pyarvo.brokers.options import OnDeadLetter

__all__ = ["DeadLetters"]

_log = logging.getLogger("pyarvo.brokers")


class DeadLetters:
    """
    The latest dead letters of a broker.

    Args:
        limit: How many are kept.

        callback: Told of each.
    """

    def __init__(self, limit: int, callback: OnDeadLetter | None) -> None:
        self.kept: deque[DeadLetter] = deque(maxlen=limit)
        self._callback = callback

    async def add(
        self, delivery: Delivery, reason: DeadLetterReason, error: BaseException | None = None
    ) -> None:
        """Keep *delivery* as a dead letter and tell the callback."""
        await self.tell(self.keep(delivery, reason, error))

    def keep(
        self, delivery: Delivery, reason: DeadLetterReason, error: BaseException | None = None
    ) -> DeadLetter:
        """Keep *delivery* as a dead letter, which is to be told."""
        event = delivery.event
        _log.warning(
            "dead letter (%s): event %s of type %s to %s, after %d attempts",
            *(reason, event.id, event.type, event.to, delivery.attempts),
            exc_info=error,
        )
        letter = DeadLetter(event, reason, error, delivery.attempts)
        delivery.dead = True
        self.kept.append(letter)
        return letter

    async def tell(self, letter: DeadLetter) -> None:
        """Tell the callback; what it raises is logged."""
        if self._callback is None:
            return
        try:
            told = self._callback(letter)
            if isawaitable(told):
                await told
        except BaseException as error:
            if ends_the_task(error):
                raise
            # The letter is kept whatever a user's callback raises.
            _log.exception("the callback for dead letters raised")
