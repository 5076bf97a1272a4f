"""Short forms of instance ids, and the way back from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from pyarvo.cli.exits import Exit, Stop
from pyarvo.cli.text import safe
from pyarvo.errors import RecordCorrupt
from pyarvo.events import ArvoOrchestrationSubject
from pyarvo.memory import Find
from pyarvo.memory.queries import QueryLevel

__all__ = ["Shortener", "resolve"]

_LENGTH: Final = 16  # subjects of one orchestrator begin alike and end in a checksum
_STEP: Final = 8
_SHORTEST: Final = 4
_TOLD: Final = 5


class Shortener:
    """
    Short names for the ids of one table: the end of each, as long as it takes to tell them apart.

    Args:
        ids: The ids of the table.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        self._shown = {id: safe(id) for id in ids}
        self._endings: dict[int, Counter[str]] = {}

    def __call__(self, id: str) -> str:
        """The short name of *id*, harmless to a terminal; `resolve` finds the id by it."""
        shown = self._shown.get(id) or safe(id)
        length = _LENGTH
        while length + 2 < len(shown) and self._count(shown[-length:]) > 1:
            length += _STEP
        return shown if length + 2 >= len(shown) else f"…{shown[-length:]}"

    def _count(self, ending: str) -> int:
        """How many ids of the table end so."""
        length = len(ending)
        if length not in self._endings:
            self._endings[length] = Counter(shown[-length:] for shown in self._shown.values())
        return self._endings[length][ending]

    def typed(self, word: str) -> str:
        """
        A word of a command line: the short name where it is one of the ids.

        Only that of a subject, whose checksum is in it: an ending of any other id may be another's too, in the store.
        """
        if word not in self._shown or not ArvoOrchestrationSubject.is_valid(word):
            return safe(word)
        return self(word).removeprefix("…")


async def resolve(memory: QueryLevel, text: str) -> str:
    """
    The id that *text* names: the id itself, or the beginning or end of exactly one id in the store.

    Args:
        memory: The store.

        text: What was typed. Also the form that tables show is understood, with its `…` and its escapes.

    Raises:
        Stop: No instance has that name, or several have.
        InvalidRecord: *text* can be no id.
    """
    try:
        if await memory.get(text) is not None:
            return text
    except RecordCorrupt:  # there is one; whoever wants its record will say so
        return text
    part = text.strip("…")
    if len(part) < _SHORTEST:
        raise Stop(
            Exit.NOT_FOUND, f"no instance {text!r}; an abbreviation needs {_SHORTEST} characters or more"
        )
    found = await _matches(memory, part)
    if not found:
        raise Stop(Exit.NOT_FOUND, f"no instance {text!r}, nor one that begins or ends so")
    if len(found) > 1:
        short = Shortener(found)
        told = ", ".join(short(id) for id in found[:_TOLD])
        raise Stop(Exit.USAGE, f"{text!r} is not one instance but several: {told}; type more of the id")
    return found[0]


async def _matches(memory: QueryLevel, part: str) -> list[str]:
    """At most a few ids that begin or end with *part*; an id that is shown exactly so comes alone."""
    found: list[str] = []
    for deleted in (False, True):
        async for instance in memory.each(Find(deleted=deleted)):
            shown = safe(instance.id)
            if shown == part:
                return [instance.id]
            forms = (instance.id, shown)
            if len(found) <= _TOLD and any(form.startswith(part) or form.endswith(part) for form in forms):
                found.append(instance.id)
    return found
