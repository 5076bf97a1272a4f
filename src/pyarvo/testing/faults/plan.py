"""Which call fails, and how: explicit scripts, and random plans that a seed repeats exactly."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any, Final, Protocol

from pyarvo.errors import InvalidOption, MemoryUnavailable, NotApplied, RecordCorrupt, WriteOutcomeUnknown

__all__ = ["VERBS", "Fault", "FaultKind", "Injected", "Plan", "RandomPlan", "Script", "suffer"]

VERBS: Final = frozenset(
    ("read", "write", "lock", "unlock", "acquire", "commit", "renew", "release", "delete", "force_release")
)
"""What a plan can be asked about; the last two only where it stands before a backend."""

_TOLERANT: Final = frozenset(("unlock", "release"))
_CHANGE: Final = frozenset(("write", "commit"))


class FaultKind(StrEnum):
    """What happens to a call."""

    ERROR_BEFORE = "error_before"
    """The store is not reached: nothing is applied, and the memory says so."""

    ERROR_AFTER = "error_after"
    """The call is applied, then the connection breaks: the memory cannot say what happened."""

    TIME_OUT = "time_out"
    """Nothing is applied, and the answer does not come."""

    REPLY_LOST = "reply_lost"
    """The call is applied, and the answer does not come: executed, but reported as a time-out."""

    SLOW = "slow"
    """The call goes through, after a while."""

    CANCEL_BEFORE = "cancel_before"
    """The caller is cancelled before the call reaches the store."""

    CANCEL_AFTER = "cancel_after"
    """The call is applied, and the caller is cancelled before it hears of it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One fault.

    Attributes:
        kind: What happens: a `FaultKind` or its name.

        delay_s: How long TIME_OUT and REPLY_LOST wait for the answer that does not come, and SLOW before it calls;
            seconds, 0.0 or more.

        error: Raised instead of the memory's own error, by any verb; for stores of users that raise their driver's.
    """

    kind: FaultKind
    delay_s: float = 0.0
    error: Exception | None = None

    def __post_init__(self) -> None:
        try:  # a name would pass for its kind here and there, and not everywhere
            object.__setattr__(self, "kind", FaultKind(self.kind))
        except ValueError as error:
            raise InvalidOption("kind", f"must be one of {', '.join(FaultKind)}, is {self.kind!r}") from error
        if not self.delay_s >= 0.0:
            raise InvalidOption("delay_s", f"must be 0.0 seconds or more, is {self.delay_s!r}")


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault that happened: to which verb of which instance."""

    verb: str
    id: str
    fault: Fault


class Plan(Protocol):
    """Decides about each call; asked once for every one, in the order in which they begin."""

    def next(self, verb: str, id: str) -> Fault | None:
        """The fault of this call; None lets it through."""
        ...


class Script:
    """
    Faults written down: for each verb a list, used up call by call; then all calls go through.

    Args:
        faults: By verb; None lets one call through. A bare `FaultKind` is a fault without delay.

    Raises:
        InvalidOption: A verb is unknown, or what it has is no list of faults.
    """

    def __init__(self, faults: Mapping[str, Sequence[Fault | FaultKind | None]]) -> None:
        _check_verbs(faults)
        for verb, listed in faults.items():
            if isinstance(listed, str):  # a kind of fault is a text too
                raise InvalidOption("faults", f"of {verb} must be a list, is {listed!r}")
        self._left = {
            verb: [one if one is None or isinstance(one, Fault) else Fault(one) for one in listed]
            for verb, listed in faults.items()
        }

    def next(self, verb: str, id: str) -> Fault | None:  # noqa: ARG002 - the protocol's
        """The next fault of *verb*."""
        left = self._left.get(verb)
        return left.pop(0) if left else None

    @property
    def left(self) -> dict[str, int]:
        """Faults that have not happened yet, by verb; empty when the script was played to its end."""
        counts = {verb: sum(one is not None for one in listed) for verb, listed in self._left.items()}
        return {verb: count for verb, count in counts.items() if count}


class RandomPlan:
    """
    Faults by chance. The n-th call of a verb fails in the same way for the same seed, whatever the other verbs do.

    Args:
        seed: Repeats the plan exactly.

        rate: Share of calls that fail, 0.0 to 1.0.

        kinds: What may happen, each as likely as the others; by default everything but cancellation, which ends
            the caller.

        verbs: Which verbs may fail.

        longest_s: Delays are 0.0 to this, in seconds.

        most: Faults in all; None sets no bound. With a bound, whoever tries again gets through in the end.

    Raises:
        InvalidOption: A number is out of its bounds, or a verb is unknown.
    """

    def __init__(
        self,
        seed: int,
        *,
        rate: float = 0.1,
        kinds: Sequence[FaultKind] = tuple(kind for kind in FaultKind if not kind.startswith("cancel")),
        verbs: Sequence[str] = tuple(sorted(VERBS)),
        longest_s: float = 0.0,
        most: int | None = None,
    ) -> None:
        if not 0.0 <= rate <= 1.0:
            raise InvalidOption("rate", f"must be 0.0 to 1.0, is {rate!r}")
        if not kinds:
            raise InvalidOption("kinds", "must name at least one kind of fault")
        if not longest_s >= 0.0:
            raise InvalidOption("longest_s", f"must be 0.0 seconds or more, is {longest_s!r}")
        if most is not None and most < 0:
            raise InvalidOption("most", f"must be 0 or more, is {most!r}")
        _check_verbs(verbs)
        self.seed = seed
        self._rate = rate
        self._kinds = tuple(Fault(kind).kind for kind in kinds)
        self._verbs = frozenset(verbs)
        self._longest_s = longest_s
        self._left = most
        self._asked: Counter[str] = Counter()

    def next(self, verb: str, id: str) -> Fault | None:  # noqa: ARG002 - the protocol's
        """Whether and how this call of *verb* fails."""
        if verb not in self._verbs or self._left == 0:
            return None
        self._asked[verb] += 1
        chance = Random(f"{self.seed}/{verb}/{self._asked[verb]}")
        if chance.random() >= self._rate:
            return None
        if self._left is not None:
            self._left -= 1
        return Fault(chance.choice(self._kinds), chance.uniform(0.0, self._longest_s))

    def __repr__(self) -> str:
        return f"RandomPlan(seed={self.seed}, rate={self._rate})"


async def suffer(fault: Fault, verb: str, id: str, proceed: Callable[[], Awaitable[Any]]) -> Any:
    """
    Make the call of *verb* as *fault* says.

    Returns:
        The answer of *proceed* when the call goes through. False from `unlock` and `release`, which never raise for
        a store fault.

    Raises:
        MemoryUnavailable: Nothing was applied; from a verb that writes nothing also where nobody can know.
        WriteOutcomeUnknown: From `write` and `commit`: applied or not, the store did not say.
    """
    match fault.kind:
        case FaultKind.SLOW:
            await asyncio.sleep(fault.delay_s)
            return await proceed()
        case FaultKind.CANCEL_BEFORE:
            return await _cancelled()
        case FaultKind.CANCEL_AFTER:
            await _unheard(proceed)
            return await _cancelled()
        case FaultKind.ERROR_BEFORE:
            words = "the store was not reached"
        case FaultKind.ERROR_AFTER:
            await _unheard(proceed)
            words = "the connection broke before the answer came"
        case FaultKind.TIME_OUT | FaultKind.REPLY_LOST:
            if fault.kind is FaultKind.REPLY_LOST:
                await _unheard(proceed)
            await asyncio.sleep(fault.delay_s)
            words = f"no answer within {fault.delay_s:.3g} s"
    if fault.error is not None:
        raise fault.error
    if verb in _TOLERANT:
        return False
    if verb in _CHANGE and fault.kind is not FaultKind.ERROR_BEFORE:
        raise WriteOutcomeUnknown(f"injected: {words}", id=id, operation=verb)
    raise MemoryUnavailable(f"injected: {words}", id=id, operation=verb)


async def _unheard(proceed: Callable[[], Awaitable[Any]]) -> None:
    """Make the call. What the store answers does not come, and a refusal is such an answer."""
    with suppress(NotApplied, RecordCorrupt):
        await proceed()


async def _cancelled() -> None:
    task = asyncio.current_task()
    if task is None:
        raise asyncio.CancelledError
    task.cancel()
    await asyncio.sleep(0)  # here it is raised


def _check_verbs(verbs: Mapping[str, Any] | Sequence[str]) -> None:
    for verb in verbs:
        if verb not in VERBS:
            raise InvalidOption("verbs", f"{verb!r} is none; known are {', '.join(sorted(VERBS))}")
