"""The `dataschema` field, `<contract uri>/<version>`, and the versions in it."""

from __future__ import annotations

import re
from typing import Final

from pyarvo.events.short_cache import cached_if_short

__all__ = [
    "WILDCARD_VERSION",
    "is_version",
    "make_dataschema",
    "parse_dataschema",
    "version_key",
]

WILDCARD_VERSION: Final = "0.0.0"
"""The version that means "any": of system errors, and never of a contract."""

_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")


def is_version(text: str) -> bool:
    """Whether *text* is a version of three numbers; tags such as `-rc1` are not part of the format."""
    return _VERSION.fullmatch(text) is not None


def version_key(version: str) -> tuple[int, int, int]:
    """
    Return the numbers of *version*, for sorting.

    Raises:
        ValueError: *version* is not a version.
    """
    if not is_version(version):
        raise ValueError(f"{version!r} is not a version of the form 1.2.3")
    major, minor, patch = version.split(".")
    return int(major), int(minor), int(patch)


def make_dataschema(uri: str, version: str) -> str:
    """Return the `dataschema` of version *version* of the contract *uri*."""
    return f"{uri}/{version}"


@cached_if_short(1024)
def parse_dataschema(text: str) -> tuple[str, str] | None:
    """
    Split a `dataschema`.

    Returns:
        Contract URI, empty when there is none, and version; None when the last segment is not a version.
    """
    uri, _, version = text.rpartition("/")
    return (uri, version) if is_version(version) else None
