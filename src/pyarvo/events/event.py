"""The event: a CloudEvent 1.0 with Arvo's extensions, immutable, and its exact JSON text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from operator import methodcaller
from typing import Any, Final, cast

import msgspec
from msgspec.structs import force_setattr

from pyarvo.errors import InvalidEvent
from pyarvo.events.json_text import (
    BIG_INTEGER,
    MAX_INTEGER,
    WITH_FLOATS,
    classify,
    find_fault,
    in_js_order,
    js_integers,
    js_text,
)
from pyarvo.events.names import DOMAIN_RULE, TYPE_RULE, is_domain, is_type_name
from pyarvo.events.uri import is_uri

__all__ = ["ARVO_CONTENT_TYPE", "REQUIRED_FIELDS", "WIRE_FIELDS", "ArvoEvent", "known_event", "with_known"]

ARVO_CONTENT_TYPE: Final = "application/cloudevents+json;charset=UTF-8;profile=arvo"

WIRE_FIELDS: Final = frozenset(
    {
        *("id", "source", "specversion", "type", "subject", "datacontenttype", "dataschema", "data", "time"),
        *("to", "accesscontrol", "redirectto", "executionunits", "traceparent", "tracestate", "parentid"),
        "domain",
    }
)
"""Names of the fields that every event has; any other key on the wire is a custom extension."""

REQUIRED_FIELDS: Final = frozenset(
    {"id", "source", "specversion", "type", "subject", "datacontenttype", "data", "time"}
)
"""Names of those that are on the wire of every event."""

_TIME = re.compile(
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]+)?)?(?:Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])"
)
_EXTENSION_KEY = re.compile(r"[a-z0-9]+")
_decode = msgspec.json.Decoder().decode
_copied = methodcaller("__copy__")  # what copy.copy() comes to, without its search for it


class ArvoEvent(msgspec.Struct, frozen=True, kw_only=True):
    """
    One event. The class checks every field and changes none; `create_arvo_event` fills in and encodes.

    Attributes:
        id: Text, not empty. Unique together with `source`.

        source: Encoded URI, not empty: who sent it.

        type: Three or more dotted segments: what it is.

        subject: Encoded URI, not empty: the workflow it belongs to.

        data: A JSON object.

        time: ISO 8601 with an offset.

        to: Encoded URI: the handler it goes to. None only with another content type than Arvo's.

        accesscontrol: Free text, carried and not enforced.

        redirectto: Encoded URI: where the answer goes.

        executionunits: Cost of making this event, in units of the user's choice.

        traceparent: W3C trace header.

        tracestate: W3C trace header.

        parentid: Id of the event that caused this one, verbatim.

        domain: Lower-case letters, digits, dots. None is routed normally by `to`.

        datacontenttype: Holds "application/cloudevents+json" or "application/json".

        dataschema: Encoded URI of contract and version.

        specversion: "1.0".

        extensions: Custom extensions only: text, numbers, booleans, None, by names of lower-case letters and
            digits. Do not change it.

    Raises:
        InvalidEvent: A field breaks its rule.
    """

    id: str
    source: str
    specversion: str = "1.0"
    type: str
    subject: str
    datacontenttype: str = ARVO_CONTENT_TYPE
    dataschema: str | None = None
    data: dict[str, Any]
    time: str
    to: str | None = None
    accesscontrol: str | None = None
    redirectto: str | None = None
    executionunits: float | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    parentid: str | None = None
    domain: str | None = None
    extensions: dict[str, str | float | bool | None] = {}

    def __post_init__(self) -> None:
        _check_text("id", self.id)
        _check_uri("source", self.source)
        if self.specversion != "1.0":
            raise InvalidEvent("specversion", 'must be "1.0"')
        if type(self.type) is not str or not is_type_name(self.type):
            raise InvalidEvent("type", TYPE_RULE)
        _check_uri("subject", self.subject)
        if self.datacontenttype != ARVO_CONTENT_TYPE:
            _check_content_type(self.datacontenttype)
        elif self.to is None:
            raise InvalidEvent("to", "must not be null with Arvo's content type")
        if self.dataschema is not None:
            _check_uri("dataschema", self.dataschema)
        _check_time(self.time)
        if self.to is not None:
            _check_uri("to", self.to)
        if self.redirectto is not None:
            _check_uri("redirectto", self.redirectto)
        if self.executionunits is not None:
            _check_number("executionunits", self.executionunits)
        if self.accesscontrol is not None:
            _check_text("accesscontrol", self.accesscontrol)
        if self.traceparent is not None:
            _check_text("traceparent", self.traceparent)
        if self.tracestate is not None:
            _check_text("tracestate", self.tracestate)
        if self.parentid is not None:
            _check_text("parentid", self.parentid)
        if self.domain is not None and not (type(self.domain) is str and is_domain(self.domain)):
            raise InvalidEvent("domain", DOMAIN_RULE)
        if type(self.data) is not dict:
            raise InvalidEvent("data", "must be a JSON object (a dict)")
        if not classify(self.data):
            _raise_fault(self.data, "data")
        if self.extensions != {}:
            _check_extensions(self.extensions)

    @classmethod
    def from_json(cls, text: str | bytes) -> ArvoEvent:
        """
        Read the wire text of an event. Text that `to_json` or the TypeScript system wrote comes back from
        `to_json` byte for byte.

        Raises:
            InvalidEvent: It is not a JSON object, or a field is missing or breaks its rule.
        """
        try:
            raw = _decode(text)
        except TypeError as error:
            raise InvalidEvent("event", "must be given as text or bytes") from error
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise InvalidEvent("event", f"is not JSON: {error}") from error
        if type(raw) is not dict:
            raise InvalidEvent("event", "must be a JSON object")
        wire = cast("dict[str, Any]", raw)
        try:
            return cls.from_dict(wire)
        except InvalidEvent as fault:
            if fault.rule != BIG_INTEGER:
                raise
        return cls.from_dict(cast("dict[str, Any]", js_integers(wire)))

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> ArvoEvent:
        """
        Make an event from its wire fields; all other keys are custom extensions.

        Raises:
            InvalidEvent: A field is missing or breaks its rule.
        """
        if not isinstance(mapping, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
            raise InvalidEvent("event", "must be a mapping of its wire fields")
        keys = mapping.keys()
        if not keys >= REQUIRED_FIELDS:
            raise InvalidEvent(min(REQUIRED_FIELDS - keys), "is missing")
        if keys <= WIRE_FIELDS:
            return cls(**mapping)
        known = {key: value for key, value in mapping.items() if key in WIRE_FIELDS}
        custom = {key: value for key, value in mapping.items() if key not in WIRE_FIELDS}
        return cls(**known, extensions=custom)

    def to_dict(self) -> dict[str, Any]:
        """Return the wire fields in the order of the wire, custom extensions among them; `data` is not copied."""
        wire = {
            "id": self.id,
            "source": self.source,
            "specversion": self.specversion,
            "type": self.type,
            "subject": self.subject,
            "datacontenttype": self.datacontenttype,
            "dataschema": self.dataschema,
            "data": self.data,
            "time": self.time,
            "to": self.to,
            "accesscontrol": self.accesscontrol,
            "redirectto": self.redirectto,
            "executionunits": self.executionunits,
            "traceparent": self.traceparent,
            "tracestate": self.tracestate,
            "parentid": self.parentid,
            "domain": self.domain,
        }
        return _with_extensions(wire, self.extensions) if self.extensions else wire

    def to_json(self) -> str:
        """
        Return the wire text: compact, keys in the order of the wire, those of `data` and numbers as JavaScript prints them.

        Raises:
            InvalidEvent: `data` was changed in the meantime and is no longer JSON.
        """
        kind = classify(self.data)
        if not kind:
            _raise_fault(self.data, "data")
        if type(self.executionunits) is float or self.extensions:
            kind = WITH_FLOATS
        return js_text(self.to_dict(), kind).decode()


def _with_extensions(wire: dict[str, Any], extensions: dict[str, Any]) -> dict[str, Any]:
    """Put custom extensions where JavaScript puts them: after `time`, array indexes before everything."""
    ordered: dict[str, Any] = {}
    for key, value in wire.items():
        if key == "to":
            ordered |= extensions
        ordered[key] = value
    return {key: ordered[key] for key in in_js_order(ordered)}


def _check_text(field: str, value: object) -> None:
    if type(value) is not str or not value:
        raise InvalidEvent(field, "must be text, not empty")
    if not value.isascii():
        _raise_fault(value, field)


def _check_uri(field: str, value: object) -> None:
    if type(value) is not str or not value:
        raise InvalidEvent(field, "must be text, not empty")
    if not is_uri(value):
        raise InvalidEvent(field, "must be encoded as JavaScript's encodeURI does (a space is %20)")


def _check_content_type(value: object) -> None:
    if not (type(value) is str and ("application/cloudevents+json" in value or "application/json" in value)):
        raise InvalidEvent(
            "datacontenttype", "must hold 'application/cloudevents+json' or 'application/json'"
        )
    _check_text("datacontenttype", value)


def _check_time(value: object) -> None:
    if not (type(value) is str and _is_date(value[:10]) and _TIME.fullmatch(value, 10)):
        raise InvalidEvent("time", "must be ISO 8601 with 'Z' or an offset such as '+00:00'")


@lru_cache(maxsize=64)
def _is_date(text: str) -> bool:
    if len(text) != 10 or not text.isascii():
        return False
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _check_number(field: str, value: object) -> None:
    if type(value) is int and -MAX_INTEGER <= value <= MAX_INTEGER:
        return
    if type(value) is not int and type(value) is not float:
        raise InvalidEvent(field, "must be a number")
    _raise_fault(value, field)


def _check_extensions(extensions: object) -> None:
    if type(extensions) is not dict:
        raise InvalidEvent("extensions", "must be a dict")
    for key, value in cast("dict[object, object]", extensions).items():
        if type(key) is not str or not _EXTENSION_KEY.fullmatch(key):
            raise InvalidEvent(str(key)[:40], "names of custom extensions are lower-case letters and digits")
        if key in WIRE_FIELDS:
            raise InvalidEvent(key, "is a field of every event; a custom extension needs another name")
        if type(value) is dict or type(value) is list:
            raise InvalidEvent(key, "a custom extension is text, a number, a boolean or null")
        _raise_fault(value, key)


def _raise_fault(value: object, field: str) -> None:
    """Raise for the first place where *value* is not JSON, if there is one."""
    if fault := find_fault(value, field):
        raise InvalidEvent(*fault)


def with_known(event: ArvoEvent, **fields: Any) -> ArvoEvent:
    """Copy *event* with other *fields*, which are known to keep their rules: nothing is checked a second time."""
    changed = _copied(event)
    for name, value in fields.items():
        force_setattr(changed, name, value)
    return changed


_EMPTY = ArvoEvent(
    id="-", source="-", type="a.b.c", subject="-", data={}, time="2000-01-01T00:00:00Z", to="-"
)


def known_event(**fields: Any) -> ArvoEvent:
    """
    Make an event of *fields* that are known to keep their rules, so that none is checked.

    Only for what was checked before, or is right by the way it was made. The fields are those that `ArvoEvent`
    requires, `to`, and any others.
    """
    made = _copied(_EMPTY)
    for name, value in fields.items():
        force_setattr(made, name, value)
    return made
