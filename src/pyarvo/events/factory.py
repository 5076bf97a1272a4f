"""Making events: ids, times and addresses filled in, URI fields encoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict, cast

from pyarvo.errors import InvalidEvent
from pyarvo.events.event import ARVO_CONTENT_TYPE, ArvoEvent
from pyarvo.events.ids import create_arvo_event_id, new_id, utc_timestamp
from pyarvo.events.names import plain_text
from pyarvo.events.uri import encode_uri
from pyarvo.telemetry import active_trace

__all__ = ["JS_SPACE", "EventId", "IdChoice", "create_arvo_event", "encoded_field"]

# What JavaScript's trim() takes away, which is not what str.strip() does.
JS_SPACE = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)


class IdChoice(TypedDict):
    """How to make an id: the user's value as it is, or a unique one that carries it."""

    deduplication: Literal["DEVELOPER_MANAGED", "ARVO_MANAGED"]
    value: str


EventId = str | IdChoice
"""An id, or how to make it."""


def create_arvo_event(
    *,
    source: str,
    type: str,
    subject: str,
    data: dict[str, Any],
    id: EventId | None = None,
    time: str | None = None,
    to: str | None = None,
    accesscontrol: str | None = None,
    redirectto: str | None = None,
    executionunits: float | None = None,
    traceparent: str | None = None,
    tracestate: str | None = None,
    parentid: str | None = None,
    domain: str | None = None,
    datacontenttype: str = ARVO_CONTENT_TYPE,
    dataschema: str | None = None,
    extensions: Mapping[str, str | float | bool | None] | None = None,
) -> ArvoEvent:
    """
    Make an event as the TypeScript system's `createArvoEvent` does.

    `source`, `subject`, `dataschema`, `to`, `redirectto` and `parentid` are encoded, also when they were encoded
    before: make an event of wire fields with `ArvoEvent.from_dict`. Members of a `StrEnum` are their text.

    Args:
        source: Who sends it.

        type: Three or more dotted segments of lower-case letters and digits.

        subject: The workflow it belongs to.

        data: A JSON object.

        id: Text is taken as it is; see `IdChoice`; None, or a choice with a blank value, makes a random UUID.

        time: ISO 8601 with an offset; None is the present moment in UTC.

        to: The handler it goes to; None means *type*.

        accesscontrol: Free text, carried and not enforced.

        redirectto: Where the answer goes.

        executionunits: Cost of making this event.

        traceparent: W3C trace header; None is that of the active span, where an SDK of OpenTelemetry is set up.

        tracestate: W3C trace header; None as with *traceparent*, and where that was given none.

        parentid: Id of the event that caused this one.

        domain: Lower-case letters, digits, dots.

        datacontenttype: Holds "application/cloudevents+json" or "application/json".

        dataschema: URI of contract and version.

        extensions: Custom extensions; copied.

    Raises:
        InvalidEvent: A field breaks its rule.
    """
    if traceparent is None:
        traceparent, state = active_trace()
        tracestate = state if tracestate is None else tracestate
    return ArvoEvent(
        id=_make_id(id),
        source=encoded_field("source", source),
        type=plain_text(type),
        subject=encoded_field("subject", subject),
        datacontenttype=datacontenttype,
        dataschema=None if dataschema is None else encoded_field("dataschema", dataschema),
        data=data,
        time=utc_timestamp() if time is None else time,
        to=encoded_field("type", type) if to is None else encoded_field("to", to),
        accesscontrol=accesscontrol,
        redirectto=None if redirectto is None else encoded_field("redirectto", redirectto),
        executionunits=executionunits,
        traceparent=traceparent,
        tracestate=tracestate,
        parentid=None if parentid is None else encoded_field("parentid", parentid),
        domain=plain_text(domain),
        extensions=_extensions(extensions) if extensions else {},
    )


def _make_id(id: EventId | None) -> str:
    if id is None:
        return new_id()
    if isinstance(id, str):
        return plain_text(id)
    match id:
        case {"deduplication": "DEVELOPER_MANAGED" | "ARVO_MANAGED" as way, "value": str(value)}:
            value = value.strip(JS_SPACE)
            if not value:
                return new_id()
            return value if way == "DEVELOPER_MANAGED" else create_arvo_event_id(value)
        case _:
            raise InvalidEvent(
                "id", "must be text, or deduplication 'DEVELOPER_MANAGED' or 'ARVO_MANAGED' with a value"
            )


def _extensions(extensions: object) -> dict[str, Any]:
    if not isinstance(extensions, Mapping):
        raise InvalidEvent("extensions", "must be a mapping")
    return dict(cast("Mapping[str, Any]", extensions))


def encoded_field(field: str, value: str) -> str:
    """
    Return *value* as the URI field *field* holds it.

    Raises:
        InvalidEvent: It is not text, or holds half of a surrogate pair.
    """
    try:
        return encode_uri(str.__str__(value))
    except (TypeError, UnicodeEncodeError) as error:
        raise InvalidEvent(field, "must be Unicode text") from error
