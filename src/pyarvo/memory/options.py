"""The options every memory takes, with their bounds; the same names in keyword arguments and in URLs."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self, TypedDict, cast

from pyarvo.errors import InvalidOption
from pyarvo.events.labels import Labels, labels
from pyarvo.memory.codecs.codec import Codec
from pyarvo.memory.codecs.named import codec_of
from pyarvo.numeric import is_integer, is_number

__all__ = [
    "DEFAULT_RECORD_LIMIT",
    "MAX_TTL_S",
    "MIN_TTL_S",
    "LabelsOf",
    "MemoryOptions",
    "OptionFields",
    "check_clock",
    "check_number",
    "check_source",
    "check_ttl",
    "from_text",
]

MIN_TTL_S: Final = 1.0
MAX_TTL_S: Final = 3_600.0
DEFAULT_RECORD_LIMIT: Final = 8 * 1024 * 1024

LabelsOf = Callable[[str, Mapping[str, Any]], Labels]


class OptionFields(TypedDict, total=False):
    """The keyword arguments of every memory; see `MemoryOptions`."""

    lease_ttl_s: float
    lock_attempts: int
    deadline_s: float
    record_limit: int
    journal: int
    history: int
    tombstone_s: float
    batching: bool
    create: bool
    holder: str
    labels_of: LabelsOf
    codec: Codec | str | None


def check_ttl(ttl_s: object, name: str = "ttl_s") -> float:
    """
    A lease length in seconds.

    Raises:
        InvalidOption: Not a number from 1.0 to 3,600.0. There is no lease without an end.
    """
    if not is_number(ttl_s) or not MIN_TTL_S <= ttl_s <= MAX_TTL_S:
        raise InvalidOption(name, f"must be {MIN_TTL_S} to {MAX_TTL_S:,} seconds, is {ttl_s!r}")
    return float(ttl_s)


def _this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryOptions:
    """
    What every memory can be told.

    Attributes:
        lease_ttl_s: Default lease length, 1.0 to 3,600.0 seconds.

        lock_attempts: How often `lock` and `acquire` ask for a lease that somebody else holds, 1 to 3; with 3
            the waits between add up to less than 0.5 s.

        deadline_s: The longest a write, a renewal or an acquire may take, 0.1 to 60.0 seconds.

        record_limit: Most bytes of an encoded record, and of the events of one step; 1 KiB to 256 MiB.

        journal: How many of an instance's latest steps keep their events, 1 to 1,000,000. The keys of older
            steps are kept for the instance's life.

        history: How many of an instance's latest records are kept beside the current one, 0 to 1,000.

        tombstone_s: How long a deleted instance is remembered, and one that was leased but never written;
            60.0 seconds or more.

        batching: Whether calls that wait at the same moment go out together.

        create: Whether file, tables, bucket or mark are made, or brought up to date, where they are not. With False
            a memory that nobody has made is `StoreMissing`: for those who look, and for workers where a deployment
            makes it.

        holder: A label of this process for people who look at leases; never compared. Default `host:pid`.

        labels_of: Pure function from id and record to the labels that lists filter by.

        codec: What becomes of records at rest: "json" (as they are, the default), "zstd", or a codec of
            `pyarvo.memory.codecs`.
    """

    lease_ttl_s: float = 30.0
    lock_attempts: int = 3
    deadline_s: float = 5.0
    record_limit: int = DEFAULT_RECORD_LIMIT
    journal: int = 1_000
    history: int = 0
    tombstone_s: float = 7 * 86_400.0
    batching: bool = True
    create: bool = True
    holder: str = ""
    labels_of: LabelsOf = labels
    codec: Codec | str | None = None

    def __post_init__(self) -> None:
        check_ttl(self.lease_ttl_s, "lease_ttl_s")
        check_number("lock_attempts", self.lock_attempts, int, 1, 3)
        check_number("deadline_s", self.deadline_s, float, 0.1, 60.0)
        check_number("record_limit", self.record_limit, int, 1_024, 256 * 1024 * 1024)
        check_number("journal", self.journal, int, 1, 1_000_000)
        check_number("history", self.history, int, 0, 1_000)
        check_number("tombstone_s", self.tombstone_s, float, 60.0, 10 * 365 * 86_400.0)
        for name, value in (("batching", self.batching), ("create", self.create)):
            if not isinstance(value, bool):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are untyped too
                raise InvalidOption(name, f"must be true or false, is {value!r}")
        if not callable(self.labels_of):
            raise InvalidOption("labels_of", "must be a function, and cannot be given in a URL")
        object.__setattr__(self, "codec", codec_of(self.codec))
        _check_holder(self.holder)
        if not self.holder:
            object.__setattr__(self, "holder", _this_process())

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """
        Options from keyword arguments or the query of a URL (then every value is text).

        Raises:
            InvalidOption: Unknown name, or a value out of its bounds.
        """
        known = {field.name: field.default for field in fields(cls)}
        values: dict[str, Any] = {}
        for name, value in options.items():
            if name not in known:
                raise InvalidOption(name, f"is unknown; known are {', '.join(sorted(known))}")
            values[name] = from_text(name, value, known[name]) if isinstance(value, str) else value
        return cls(**values)


def from_text(name: str, text: str, default: object) -> object:
    """
    The value of an option from the query of a URL, in the type of *default*.

    Raises:
        InvalidOption: *text* does not fit that type.
    """
    if isinstance(default, bool):
        words = {"true": True, "1": True, "false": False, "0": False}
        if text.lower() not in words:
            raise InvalidOption(name, f"must be true or false, is {text!r}")
        return words[text.lower()]
    if isinstance(default, int | float):
        try:
            return type(default)(text)
        except ValueError as exc:
            raise InvalidOption(name, f"must be a number, is {text!r}") from exc
    return text


def check_number(name: str, value: object, kind: type, low: float, high: float) -> None:
    """
    Refuse anything but a number of *kind* (int, or float for both) from *low* to *high*.

    Raises:
        InvalidOption: It is not.
    """
    fits = is_integer(value) if kind is int else is_number(value)
    if not fits or not low <= cast("float", value) <= high:
        raise InvalidOption(name, f"must be {low:,} to {high:,}, is {value!r}")


def check_source(url: object, client: object, kinds: type | tuple[type, ...], needed: str) -> None:
    """
    Refuse anything but the URL of a server or a client of its driver, and both at once.

    Args:
        url: Text, or None where a client is given.

        client: One of *kinds*, or None where a URL is given.

        kinds: The clients that can be used.

        needed: What they are called.

    Raises:
        InvalidOption: It names what is needed. The URL is not repeated: it may hold a password.
    """
    if (url is None) == (client is None):
        raise InvalidOption("url", "is needed, or a client, but not both")
    if client is None and not isinstance(url, str):
        raise InvalidOption("url", f"must be text, is {type(url).__name__}")
    if url is None and not isinstance(client, kinds):
        kind = type(client)
        raise InvalidOption("client", f"must be {needed}, is {kind.__module__}.{kind.__qualname__}")


def _check_holder(holder: object) -> None:
    if not isinstance(holder, str) or len(holder) > 256:
        raise InvalidOption("holder", "must be text of at most 256 characters")
    if not holder.isprintable():
        raise InvalidOption("holder", "must be printable text")


def check_clock(clock: object) -> None:
    """
    Refuse a clock that cannot be read.

    Raises:
        InvalidOption: Not a function.
    """
    if not callable(clock):
        raise InvalidOption("clock", "must be a function, and cannot be given in a URL")
