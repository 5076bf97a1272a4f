"""Which settings of a store break a promise of the contract: asked of the live store, changing nothing in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from importlib import import_module
from typing import cast

from msgspec import Struct

from pyarvo.errors import UnsupportedByBackend
from pyarvo.memory.urls import check_url, is_built_in, module_of, parse_url

__all__ = ["Finding", "Verdict", "breaks", "examine", "fine", "unknown"]


class Verdict(StrEnum):
    """What a setting does to the contract."""

    FINE = "fine"
    BREAKS = "breaks"
    UNKNOWN = "unknown"
    """It could not be read, or does not decide alone; a person has to look."""


class Finding(Struct, frozen=True, kw_only=True):
    """
    One setting of a store.

    Attributes:
        setting: Its name, as the store knows it.

        value: As it is; None where it could not be read.

        verdict: What it does to the contract.

        where: The server, where there are several; "".

        reason: Which promise is broken and when, or what else there is to know; "".

        fix: What to do; "".
    """

    setting: str
    value: str | None
    verdict: Verdict
    where: str = ""
    reason: str = ""
    fix: str = ""


def fine(setting: str, value: object, reason: str = "") -> Finding:
    """A setting that keeps every promise."""
    return Finding(setting=setting, value=str(value), verdict=Verdict.FINE, reason=reason)


def breaks(setting: str, value: object, reason: str, fix: str) -> Finding:
    """A setting that breaks a promise."""
    return Finding(setting=setting, value=str(value), verdict=Verdict.BREAKS, reason=reason, fix=fix)


def unknown(setting: str, value: object, reason: str, fix: str = "") -> Finding:
    """A setting that could not be judged; *value* None where it could not be read."""
    shown = None if value is None else str(value)
    return Finding(setting=setting, value=shown, verdict=Verdict.UNKNOWN, reason=reason, fix=fix)


# `examine` in the `doctor` module of a backend: takes the URL without its query, and the query; raises what a memory
# raises when the store cannot be asked.
_Examiner = Callable[[str, Mapping[str, str]], Awaitable[Sequence[Finding]]]


async def examine(url: str) -> Sequence[Finding]:
    """
    What there is to say of the store at *url*, setting by setting.

    Raises:
        InvalidOption: It is not the URL of a memory, or the memory does not take an option.
        UnsupportedByBackend: Nobody knows the settings of such a store.
        MemoryUnavailable: The store could not be asked.
    """
    scheme, options = parse_url(url)
    if not is_built_in(url):
        raise UnsupportedByBackend(f"nobody here knows the settings of {scheme}://", operation="doctor")
    check_url(url)
    if scheme == "memory":
        reason = "everything is lost with the process: for tests and development"
        return (breaks("storage", "this process", reason, "choose sqlite:///path.db, or a server"),)
    examiner = cast("_Examiner", import_module(f"{module_of(scheme)}.doctor").examine)
    return await examiner(url.partition("?")[0], options)
