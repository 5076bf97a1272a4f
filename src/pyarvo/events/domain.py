"""Domains: where an event goes that is not routed normally, and the symbols that stand for one."""

from __future__ import annotations

from typing import Final

from pyarvo.errors import InvalidSubject
from pyarvo.events.subject import parse_subject

__all__ = ["ArvoDomain", "resolve_domain"]


class ArvoDomain:
    """
    Symbols for the domain of an emitted event; any other text is a domain itself.

    Attributes:
        FROM_SELF_CONTRACT: Domain of the handler's own contract.

        FROM_EVENT_CONTRACT: Domain of the contract of the emitted event.

        FROM_TRIGGERING_EVENT: Domain of the consumed event.

        FROM_CURRENT_SUBJECT: Domain of the current execution.

        FROM_PARENT_SUBJECT: Domain of the parent's execution.

        ORCHESTRATION_CONTEXT: Domain of the execution that is to receive the event: None when the event stays
            where it is.

        LOCAL: None, routed normally.
    """

    FROM_SELF_CONTRACT: Final = "domain.contract.self.inherit"
    FROM_EVENT_CONTRACT: Final = "domain.contract.inherit"
    FROM_TRIGGERING_EVENT: Final = "domain.event.inherit"
    FROM_CURRENT_SUBJECT: Final = "domain.event.current.subject"
    FROM_PARENT_SUBJECT: Final = "domain.parent.subject"
    ORCHESTRATION_CONTEXT: Final = "domain.orchestration.context"
    LOCAL: Final = None


def resolve_domain(
    domain: str | None,
    *,
    self_domain: str | None,
    event_domain: str | None,
    trigger_domain: str | None,
    current_subject: str | None,
    parent_subject: str | None,
) -> str | None:
    """
    Turn a symbol of `ArvoDomain` into a domain.

    Args:
        domain: A symbol, or a domain, which stays as it is.

        self_domain: Domain of the handler's contract.

        event_domain: Domain of the contract of the emitted event.

        trigger_domain: Domain of the consumed event.

        current_subject: Subject of the consumed event.

        parent_subject: Subject of the parent execution; None for a root.

    Returns:
        The domain. A subject that does not parse has none.
    """
    match domain:
        case ArvoDomain.FROM_SELF_CONTRACT:
            return self_domain
        case ArvoDomain.FROM_EVENT_CONTRACT:
            return event_domain
        case ArvoDomain.FROM_TRIGGERING_EVENT:
            return trigger_domain
        case ArvoDomain.FROM_CURRENT_SUBJECT:
            return _subject_domain(current_subject)
        case ArvoDomain.FROM_PARENT_SUBJECT:
            return _subject_domain(parent_subject)
        case ArvoDomain.ORCHESTRATION_CONTEXT:
            return _orchestration_context(trigger_domain, current_subject, parent_subject)
        case _:
            return domain


def _orchestration_context(
    trigger_domain: str | None, current_subject: str | None, parent_subject: str | None
) -> str | None:
    if parent_subject is not None:
        parent = _subject_domain(parent_subject)
        return None if parent == _subject_domain(current_subject) else parent
    if trigger_domain is None:
        return None
    current = _subject_domain(current_subject)
    return None if trigger_domain == current else current


def _subject_domain(subject: str | None) -> str | None:
    if subject is None:
        return None
    try:
        return parse_subject(subject).domain
    except InvalidSubject:
        return None
