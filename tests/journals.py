"""What a fault trial reads of an instance in the end."""

from __future__ import annotations

from pyarvo.memory import Step
from pyarvo.memory.leased import LeasedMemory

__all__ = ["whole_journal"]

_PAGE = 1_000


async def whole_journal(memory: LeasedMemory, id: str) -> tuple[Step, ...]:
    """All steps of *id*, oldest first, however many a quick machine made."""
    steps: list[Step] = []
    while True:
        page = await memory.journal(id, after=steps[-1].version if steps else 0, limit=_PAGE)
        steps += page
        if len(page) < _PAGE:
            return tuple(steps)
