"""What callers give beside ids and records, checked before any I/O: callers are not all typed."""

from __future__ import annotations

from typing import Final

from pyarvo.errors import InvalidOption, InvalidRecord
from pyarvo.events.labels import Labels
from pyarvo.memory.backend import Find, Image
from pyarvo.memory.contract import Lease, Step
from pyarvo.numeric import is_integer, is_number

__all__ = [
    "MAX_PAGE",
    "MAX_TIME",
    "MIN_TIME",
    "check_after",
    "check_age",
    "check_cursor",
    "check_find",
    "check_image",
    "check_labels",
    "check_lease",
    "check_limit",
    "check_reason",
    "check_step",
]

MAX_PAGE: Final = 1_000
_MAX_REASON_BYTES: Final = 4_096
_MAX_VERSION: Final = 2**63 - 1

# The years 1 to 9999: what every store's clock can be compared with.
MIN_TIME, MAX_TIME = -62_135_596_800.0, 253_402_300_799.0


def check_lease(lease: object, operation: str) -> None:
    """
    Refuse anything but a lease, above all the None of an `acquire` that was denied.

    Raises:
        InvalidRecord: It is not a `Lease`; the error names *operation*.
    """
    if isinstance(lease, Lease):
        return
    what = (
        type(lease).__name__
        if lease is not None
        else "None: `acquire` gives None when somebody else holds it"
    )
    raise InvalidRecord("lease", f"must be a Lease, is {what}", operation=operation)


def check_labels(labels: object) -> None:
    """
    Refuse labels of `labels_of` that a store might not be able to read back.

    Raises:
        InvalidOption: They are not `Labels`, or one of them is not text.
    """
    if type(labels) is not Labels:
        raise InvalidOption("labels_of", f"must return Labels, returned {type(labels).__name__}")
    for name in labels.__struct_fields__:
        label = getattr(labels, name)
        if label is None or (type(label) is str and label.isascii()):
            continue
        if not isinstance(label, str):
            raise InvalidOption("labels_of", f"must return text as {name}, returned {type(label).__name__}")
        _check_unicode("labels_of", label)


def check_step(step: object) -> None:
    """
    Refuse anything but a step.

    Raises:
        InvalidRecord: It is not a `Step`.
    """
    if not isinstance(step, Step):
        raise InvalidRecord("step", f"must be a Step, is {type(step).__name__}")


def check_image(image: object) -> None:
    """
    Refuse anything but a whole instance.

    Raises:
        InvalidRecord: It is not an `Image`.
    """
    if not isinstance(image, Image):
        raise InvalidRecord("image", f"must be an Image, is {type(image).__name__}", operation="put")


def check_find(what: object) -> Find:
    """
    Which instances; None = all that are not deleted.

    Raises:
        InvalidOption: It is not a `Find`, or a field of it has another type or is out of bounds.
    """
    if what is None:
        return Find()
    if not isinstance(what, Find):
        raise InvalidOption("what", f"must be a Find, is {type(what).__name__}")
    for name in ("orchestrator", "version", "status", "parent"):
        _check_label(name, getattr(what, name))
    for name in ("root", "held", "deleted"):
        value: object = getattr(what, name)
        if not (isinstance(value, bool) or (value is None and name != "deleted")):
            raise InvalidOption(name, f"must be true or false, is {value!r}")
    for name in ("updated_before", "updated_after"):
        value = getattr(what, name)
        if value is not None and not (is_number(value) and MIN_TIME <= value <= MAX_TIME):
            raise InvalidOption(name, "must be seconds since the epoch, in the years 1 to 9999")
    return what


def _check_label(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, str):
        raise InvalidOption(name, f"must be text, is {type(value).__name__}")
    _check_unicode(name, value)


def check_limit(limit: object) -> None:
    """
    Raises:
        InvalidOption: It is not an integer from 1 to 1,000.
    """
    if not is_integer(limit) or not 1 <= limit <= MAX_PAGE:
        raise InvalidOption("limit", f"must be 1 to {MAX_PAGE:,}, is {limit!r}")


def check_cursor(cursor: object) -> None:
    """
    Raises:
        InvalidOption: It is not the cursor of a page.
    """
    if cursor is None:
        return
    if not (isinstance(cursor, str) and cursor.isascii() and cursor.isdecimal() and len(cursor) <= 18):
        raise InvalidOption("cursor", "was not made by this memory")


def check_after(version: object) -> None:
    """
    Raises:
        InvalidOption: It is not a version: an integer of 0 or more, of 63 bits.
    """
    if not is_integer(version) or not 0 <= version <= _MAX_VERSION:
        raise InvalidOption("after", f"must be a version, 0 or more, is {version!r}")


def check_age(older_than_s: object) -> float:
    """
    An age in seconds, cut to the length of the years 1 to 9999.

    Raises:
        InvalidOption: It is not a number of seconds, 0 or more.
    """
    if not is_number(older_than_s) or not older_than_s >= 0:
        raise InvalidOption("older_than_s", "must be 0 or more seconds")
    return min(older_than_s, MAX_TIME - MIN_TIME)


def check_reason(reason: object) -> None:
    """
    Raises:
        InvalidOption: There is no reason, or it cannot be stored.
    """
    if not isinstance(reason, str) or not reason.strip():
        raise InvalidOption("reason", "is needed, it is kept with the instance")
    size = _check_unicode("reason", reason)
    if size > _MAX_REASON_BYTES:
        raise InvalidOption("reason", f"has {size:,} UTF-8 bytes, the limit is {_MAX_REASON_BYTES:,}")


def _check_unicode(name: str, text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError as exc:
        raise InvalidOption(name, "holds a lone surrogate, which UTF-8 cannot carry") from exc
