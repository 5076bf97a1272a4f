"""Backends that lie about records and ids: what comes back is another than what went in."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, cast

import orjson
from msgspec.structs import replace

from pyarvo.memory.backend import Stored
from pyarvo.memory.decide import Commit, JournalEntry, Op, Outcome
from pyarvo.testing.mutants.mutant import wrapper
from pyarvo.testing.mutants.wrapper import Wrapper

__all__: list[str] = []


# --- records ----------------------------------------------------------------------------------------------------


class _Records(Wrapper):
    """Changes every record on its way in."""

    async def answer(self, op: Op) -> Outcome:
        if isinstance(op, Commit):
            op = replace(op, data=self.changed(op.data))
        return await self.ask(op)

    def changed(self, data: bytes) -> bytes:
        return orjson.dumps(_mapped(orjson.loads(data), self.value))

    def value(self, value: Any) -> Any:
        return value


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _mapped(item, change) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_mapped(item, change) for item in cast("list[Any]", value)]
    return change(value)


@wrapper
class KeysSorted(_Records):
    """Stores an object's keys in alphabetical order, as JSONB and its kin do in theirs."""

    def changed(self, data: bytes) -> bytes:
        return orjson.dumps(orjson.loads(data), option=orjson.OPT_SORT_KEYS)


@wrapper
class FloatsRounded(_Records):
    """Keeps six digits of a float."""

    def value(self, value: Any) -> Any:
        return float(f"{value:.6g}") if isinstance(value, float) else value


@wrapper
class FloatsToIntegers(_Records):
    """Writes 1.0 as 1."""

    def value(self, value: Any) -> Any:
        return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value


@wrapper
class BigIntegersAsFloats(_Records):
    """Keeps integers as 64-bit floats, as JavaScript does: from 2 to the 53rd they are other numbers."""

    def value(self, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            return value
        return value if abs(value) <= 2**53 else min(int(float(value)), 2**64 - 1)


@wrapper
class TextNormalised(_Records):
    """Stores text in Unicode's composed form."""

    def value(self, value: Any) -> Any:
        return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


@wrapper
class TextCutAtNul(_Records):
    """Ends text at the first NUL, as C does."""

    def value(self, value: Any) -> Any:
        return value.partition("\0")[0] if isinstance(value, str) else value


@wrapper
class TextIsGuessed(_Records):
    """Stores text that reads like a number, true, false or null as that, as YAML and spreadsheets do."""

    def value(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value


@wrapper
class NullsDropped(_Records):
    """Leaves out fields that are null."""

    def changed(self, data: bytes) -> bytes:
        record: dict[str, Any] = json.loads(data, object_pairs_hook=_without_nulls)
        return orjson.dumps(record)


def _without_nulls(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key: value for key, value in pairs if value is not None}


# --- ids --------------------------------------------------------------------------------------------------------


class _Ids(Wrapper):
    """Finds every instance under another id."""

    def key(self, id: str) -> str:
        return id

    async def answer(self, op: Op) -> Outcome:
        return await self.ask(replace(op, id=self.key(op.id) or "-"))

    async def get(self, id: str) -> Stored | None:
        return await self.inner.get(self.key(id) or "-")

    async def journal(self, id: str, *, after: int, limit: int) -> Sequence[JournalEntry]:
        return await self.inner.journal(self.key(id) or "-", after=after, limit=limit)

    async def history(self, id: str) -> Sequence[tuple[int, bytes]]:
        return await self.inner.history(self.key(id) or "-")


@wrapper
class IdsFolded(_Ids):
    """Makes no difference between upper and lower case, as many collations."""

    def key(self, id: str) -> str:
        return id.casefold()


@wrapper
class IdsCutAt255(_Ids):
    """Knows the first 255 characters of an id, as a VARCHAR(255) that cuts."""

    def key(self, id: str) -> str:
        return id[:255]


@wrapper
class IdsCutAtNul(_Ids):
    """Ends an id at the first NUL, as C does."""

    def key(self, id: str) -> str:
        return id.partition("\0")[0]


@wrapper
class IdsNormalised(_Ids):
    """Brings ids into Unicode's composed form, as file systems do."""

    def key(self, id: str) -> str:
        return unicodedata.normalize("NFC", id)


@wrapper
class IdsStripped(_Ids):
    """Strips blanks around an id, as CHAR columns do behind it."""

    def key(self, id: str) -> str:
        return id.strip()


@wrapper
class IdsDecoded(_Ids):
    """Reads + in an id as a blank, as a form in a URL."""

    def key(self, id: str) -> str:
        return id.replace("+", " ")


@wrapper
class IdsShareKeys(_Ids):
    """Joins ids with the names of its own keys: `a` and `a:lock` are one instance."""

    def key(self, id: str) -> str:
        for own in (":lock", ":record", ":data", ":meta"):
            id = id.removesuffix(own)
        return id
