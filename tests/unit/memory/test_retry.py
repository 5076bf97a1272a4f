"""Quick retries: how often, of what, and with which pauses."""

from __future__ import annotations

import pytest

from pyarvo.errors import LeaseLost, MemoryFault, MemoryUnavailable, RecordCorrupt, WriteOutcomeUnknown
from pyarvo.memory import retry


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Instead of sleeping, the pauses are written down."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(retry.asyncio, "sleep", sleep)
    return slept


class Attempts:
    """Fails as it is told, then answers."""

    def __init__(self, *faults: Exception) -> None:
        self._faults = list(faults)
        self.made = 0

    async def __call__(self) -> str:
        self.made += 1
        if self._faults:
            raise self._faults.pop(0)
        return "answer"


async def test_the_first_answer_is_taken(pauses: list[float]) -> None:
    attempts = Attempts()
    assert await retry.retried(attempts) == "answer"
    assert (attempts.made, pauses) == (1, [])


async def test_transient_faults_are_tried_again_with_growing_pauses(pauses: list[float]) -> None:
    attempts = Attempts(MemoryUnavailable("gone"), WriteOutcomeUnknown("late"))
    assert await retry.retried(attempts) == "answer"
    assert attempts.made == 3
    assert 0.01 <= pauses[0] <= 0.02 <= pauses[1] <= 0.04


async def test_after_three_attempts_the_last_fault_is_raised(pauses: list[float]) -> None:
    last = MemoryUnavailable("third")
    attempts = Attempts(MemoryUnavailable("first"), MemoryUnavailable("second"), last)
    with pytest.raises(MemoryUnavailable) as caught:
        await retry.retried(attempts)
    assert caught.value is last
    assert (attempts.made, len(pauses)) == (3, 2)


async def test_an_answer_that_never_came_is_unavailable_in_the_end(pauses: list[float]) -> None:
    unknown = WriteOutcomeUnknown("no answer", id="a", operation="read")
    with pytest.raises(MemoryUnavailable, match="no answer") as caught:
        await retry.retried(Attempts(unknown, unknown, unknown))
    assert (caught.value.id, caught.value.operation) == ("a", "read")
    assert caught.value.__cause__ is unknown
    assert len(pauses) == 2


@pytest.mark.parametrize(
    "fault",
    [MemoryUnavailable("denied", transient=False), LeaseLost("gone"), RecordCorrupt("bad"), OSError()],
)
async def test_permanent_faults_are_raised_at_once(pauses: list[float], fault: MemoryFault | OSError) -> None:
    attempts = Attempts(fault)
    with pytest.raises(type(fault)) as caught:
        await retry.retried(attempts)
    assert caught.value is fault
    assert (attempts.made, pauses) == (1, [])


def test_three_attempts_and_their_pauses_stay_under_a_second() -> None:
    assert retry.ATTEMPTS * retry.ATTEMPT_S + 0.02 + 0.04 < 1.0
    assert all(0.1 * 2**n / 2 <= retry.backoff_s(n, 0.1) <= 0.1 * 2**n for n in range(3) for _ in range(50))
