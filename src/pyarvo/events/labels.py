"""Labels of a stored record, by which instances are listed and counted."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from pyarvo.errors import InvalidSubject
from pyarvo.events.subject import parse_subject

__all__ = ["Labels", "labels"]


class Labels(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    What a memory keeps beside a record, to find it again.

    Attributes:
        orchestrator: Type of the orchestrator; None when the id is not a subject.

        version: Its version.

        status: "active", "done", "error", "stopped", or "failure".

        parent: Subject of the parent execution; None for a root.
    """

    orchestrator: str | None = None
    version: str | None = None
    status: str | None = None
    parent: str | None = None


def labels(id: str, data: Mapping[str, Any]) -> Labels:
    """
    Label the record *data* of the instance *id*: the default of every memory.

    Args:
        id: Instance id, usually an orchestration subject.

        data: The record.
    """
    orchestrator, version = _orchestrator(id)
    status = "failure" if data.get("executionStatus") == "failure" else data.get("status")
    parent = data.get("parentSubject")
    return Labels(
        orchestrator=orchestrator,
        version=version,
        status=status if isinstance(status, str) else None,
        parent=parent if isinstance(parent, str) else None,
    )


@lru_cache(maxsize=8_192)
def _orchestrator(id: str) -> tuple[str | None, str | None]:
    try:
        subject = parse_subject(id)
    except InvalidSubject:
        return None, None
    return subject.orchestrator_name, subject.orchestrator_version
