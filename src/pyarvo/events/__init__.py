"""Events and what names them: pure data, no I/O."""

from pyarvo.events.dataschema import (
    WILDCARD_VERSION,
    is_version,
    make_dataschema,
    parse_dataschema,
    version_key,
)
from pyarvo.events.domain import ArvoDomain, resolve_domain
from pyarvo.events.event import ARVO_CONTENT_TYPE, ArvoEvent
from pyarvo.events.factory import EventId, IdChoice, create_arvo_event
from pyarvo.events.ids import (
    ID_NAMESPACE,
    ArvoEventId,
    create_arvo_event_id,
    derived_id,
    event_key,
    new_id,
    parse_arvo_event_id,
    utc_timestamp,
)
from pyarvo.events.labels import Labels, labels
from pyarvo.events.subject import ArvoOrchestrationSubject, ParsedSubject, parse_subject
from pyarvo.events.uri import encode_uri, is_uri

__all__ = [
    "ARVO_CONTENT_TYPE",
    "ID_NAMESPACE",
    "WILDCARD_VERSION",
    "ArvoDomain",
    "ArvoEvent",
    "ArvoEventId",
    "ArvoOrchestrationSubject",
    "EventId",
    "IdChoice",
    "Labels",
    "ParsedSubject",
    "create_arvo_event",
    "create_arvo_event_id",
    "derived_id",
    "encode_uri",
    "event_key",
    "is_uri",
    "is_version",
    "labels",
    "make_dataschema",
    "new_id",
    "parse_arvo_event_id",
    "parse_dataschema",
    "parse_subject",
    "resolve_domain",
    "utc_timestamp",
    "version_key",
]
