"""
Orchestration subjects: the name of one running workflow, which also says what it is an instance of.

A subject is JSON, packed into one word that may stand in an event's `subject`. Compare subjects as opaque
text, and never encode one anew: another zlib may write other bytes for the same content.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, cast

import msgspec

from pyarvo.errors import InvalidSubject
from pyarvo.events.dataschema import WILDCARD_VERSION, is_version
from pyarvo.events.ids import new_id
from pyarvo.events.json_text import classify, find_fault, js_text
from pyarvo.events.names import DOMAIN_RULE, TYPE_RULE, is_domain, is_type_name
from pyarvo.events.packed import Unpackable, pack, unpack
from pyarvo.events.short_cache import cached_if_short

__all__ = ["INFLATED_LIMIT", "ArvoOrchestrationSubject", "ParsedSubject", "parse_subject"]

INFLATED_LIMIT: Final = 64 * 1024
"""Most bytes of JSON that a subject may inflate to."""


class ParsedSubject(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a subject says.

    Attributes:
        orchestrator_name: Event type that starts the workflow, and the source of its handler.

        orchestrator_version: Version of machine or handler; pinned for the life of the workflow.

        execution_id: Id of this execution.

        initiator: Source of whoever started it; errors go there.

        domain: Domain of the execution, or None.

        meta: A mapping of text to text, read-only; `redirectto` says where the completion goes.
    """

    orchestrator_name: str
    orchestrator_version: str
    execution_id: str
    initiator: str
    domain: str | None
    meta: Mapping[str, str]


class ArvoOrchestrationSubject:
    """Makes and reads orchestration subjects."""

    @staticmethod
    def new(
        *,
        orchestrator: str,
        version: str | None,
        initiator: str,
        domain: str | None = None,
        meta: Mapping[str, str] | None = None,
        execution_id: str | None = None,
    ) -> str:
        """
        Make the subject of a new execution.

        Args:
            orchestrator: Event type of the orchestrator, three segments or more.

            version: Its version; None means "0.0.0".

            initiator: Source of whoever starts it, three segments or more.

            domain: Domain of the execution.

            meta: A mapping of text to text.

            execution_id: Id of the execution; None makes a random one.

        Raises:
            InvalidSubject: A part breaks its rule.
        """
        return ArvoOrchestrationSubject.create(
            {
                "orchestrator": {
                    "name": orchestrator,
                    "version": WILDCARD_VERSION if version is None else version,
                },
                "execution": {
                    "id": new_id() if execution_id is None else execution_id,
                    "initiator": initiator,
                    "domain": domain,
                },
                "meta": dict(_object({"meta": meta or {}}, "meta")),
            }
        )

    @staticmethod
    def create(content: Mapping[str, Any]) -> str:
        """
        Encode the content of a subject as it is; unknown keys and the order of keys stay, as far as JavaScript keeps it.

        Raises:
            InvalidSubject: The content breaks a rule, or has more than 64 KiB as JSON.
        """
        plain = _plain(content)
        _read(plain)
        kind = classify(plain)
        if not kind and (fault := find_fault(plain, "content")):
            raise InvalidSubject(*fault)
        raw = js_text(plain, kind)
        if len(raw) > INFLATED_LIMIT:
            raise InvalidSubject("subject", f"has more than {INFLATED_LIMIT:,} bytes of content")
        return pack(raw)

    @staticmethod
    def from_(
        *,
        orchestrator: str,
        version: str | None,
        subject: str,
        domain: str | None = None,
        meta: Mapping[str, str] | None = None,
        execution_id: str | None = None,
    ) -> str:
        """
        Make the subject of a child execution.

        Args:
            orchestrator: Event type of the child orchestrator.

            version: Its version; None means "0.0.0".

            subject: The parent's subject: its orchestrator becomes the child's initiator.

            domain: Domain of the execution; None takes the parent's.

            meta: Laid over the parent's.

            execution_id: Id of the execution; None makes a random one.

        Raises:
            InvalidSubject: The parent's subject does not parse, or a part breaks its rule.
        """
        parent = parse_subject(_text(subject))
        return ArvoOrchestrationSubject.new(
            orchestrator=orchestrator,
            version=version,
            initiator=parent.orchestrator_name,
            domain=parent.domain if domain is None else domain,
            meta={**parent.meta, **_object({"meta": meta or {}}, "meta")},
            execution_id=execution_id,
        )

    @staticmethod
    def parse(subject: str) -> dict[str, Any]:
        """
        Decode *subject* into its content, a fresh copy with unknown keys.

        Raises:
            InvalidSubject: It is not a subject, or its content breaks a rule.
        """
        content = _content(_text(subject))
        _read(content)
        return content

    @staticmethod
    def is_valid(subject: str) -> bool:
        """Whether `parse` accepts *subject*."""
        try:
            parse_subject(_text(subject))
        except InvalidSubject:
            return False
        return True


@cached_if_short(2048)
def parse_subject(subject: str) -> ParsedSubject:
    """
    Decode *subject* into its known parts; cached.

    Raises:
        InvalidSubject: It is not a subject, or its content breaks a rule.
    """
    return _read(_content(subject))


def _text(subject: object) -> str:
    if type(subject) is not str:
        raise InvalidSubject("subject", "must be text")
    return subject


def _plain(content: object) -> dict[str, Any]:
    if not isinstance(content, Mapping):
        raise InvalidSubject("content", "must be an object")
    return dict(cast("Mapping[str, Any]", content))


def _content(subject: str) -> dict[str, Any]:
    raw = unpack(subject, INFLATED_LIMIT)
    if raw is Unpackable.TOO_LARGE:
        raise InvalidSubject("subject", f"inflates to more than {INFLATED_LIMIT:,} bytes")
    if raw is Unpackable.NOT_PACKED:
        raise InvalidSubject("subject", Unpackable.NOT_PACKED.value)
    try:
        content = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise InvalidSubject("subject", "does not hold JSON") from error
    if type(content) is not dict:
        raise InvalidSubject("subject", "does not hold a JSON object")
    return cast("dict[str, Any]", content)


def _read(content: Mapping[str, Any]) -> ParsedSubject:
    """Check every rule of the content."""
    orchestrator = _object(content, "orchestrator")
    execution = _object(content, "execution")
    meta = _object(content, "meta")
    if "domain" not in execution:
        raise InvalidSubject("execution.domain", "is missing; it may be null")
    domain = execution["domain"]
    if domain is not None and not (type(domain) is str and is_domain(domain)):
        raise InvalidSubject("execution.domain", DOMAIN_RULE)
    for key, value in meta.items():
        if type(key) is not str or type(value) is not str:
            raise InvalidSubject("meta", "must map text to text")
    version = orchestrator.get("version")
    if not (type(version) is str and is_version(version)):
        raise InvalidSubject("orchestrator.version", "must be a version of the form 1.2.3")
    execution_id = execution.get("id")
    if not (type(execution_id) is str and execution_id and ";" not in execution_id):
        raise InvalidSubject("execution.id", "must be text, not empty, without ';'")
    return ParsedSubject(
        orchestrator_name=_type_name(orchestrator.get("name"), "orchestrator.name"),
        orchestrator_version=version,
        execution_id=execution_id,
        initiator=_type_name(execution.get("initiator"), "execution.initiator"),
        domain=domain,
        meta=MappingProxyType(dict(meta)),
    )


def _object(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = content.get(key)
    if type(value) is not dict and not isinstance(value, Mapping):
        raise InvalidSubject(key, "is missing or not an object")
    return cast("Mapping[str, Any]", value)


def _type_name(value: object, field: str) -> str:
    if type(value) is str and is_type_name(value):
        return value
    raise InvalidSubject(field, TYPE_RULE)
