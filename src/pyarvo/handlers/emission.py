"""Building the events that one step emits: domains, ids, addresses, and what is carried from the consumed event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, Required, TypedDict, cast

import msgspec

from pyarvo.contracts import VersionedArvoContract
from pyarvo.errors import ConfigViolation, InvalidEvent
from pyarvo.events import ArvoEvent, EventId
from pyarvo.events.domain import resolve_domain
from pyarvo.events.event import known_event
from pyarvo.events.factory import JS_SPACE, encoded_field
from pyarvo.events.ids import create_arvo_event_id, derived_id, utc_timestamp
from pyarvo.events.json_text import MAX_INTEGER
from pyarvo.events.names import DOMAIN_RULE, is_domain, plain_text
from pyarvo.handlers.observed import emitted_trace

__all__ = [
    "Asked",
    "Emission",
    "ErrorData",
    "Outbox",
    "Route",
    "Subject",
    "check_executionunits",
    "read_domains",
    "read_emission",
]


ErrorData = dict[str, str | None]
"""Data of a system error event: `errorName`, `errorMessage`, `errorStack`."""


class Emission(TypedDict, total=False):
    """
    An event that user code asks for.

    Attributes:
        type: Its type; the data is checked where a contract knows the type.

        data: A JSON object.

        id: Kept for the copy in each domain; left out, an id that a re-run makes again.

        time: ISO 8601 with an offset; left out, the present moment.

        to: Where it goes; left out, what the kind of event asks for.

        redirectto: Where the answer goes.

        accesscontrol: Left out, that of the consumed event.

        dataschema: Of an event that no contract knows.

        executionunits: Left out, the handler's.

        domain: Domains, or symbols of `ArvoDomain`: the event is sent once in each. Left out, the handler's.

        extensions: Custom extensions.
    """

    type: Required[str]
    data: Required[dict[str, Any]]
    id: EventId | None
    time: str | None
    to: str | None
    redirectto: str | None
    accesscontrol: str | None
    dataschema: str | None
    executionunits: float | None
    domain: Sequence[str | None] | str | None
    extensions: Mapping[str, str | float | bool | None] | None


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An `Emission` that was read; the event checks the values that are not used before it is built."""

    type: str
    data: Any
    id: str | dict[str, Any] | None = None
    time: Any = None
    to: str | None = None
    redirectto: str | None = None
    accesscontrol: Any = None
    dataschema: str | None = None
    executionunits: Any = None
    domain: list[str | None] | str | None = None
    extensions: dict[str, Any] | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it asks for nothing but type and data."""
        return (
            self.id is None
            and self.time is None
            and self.to is None
            and self.redirectto is None
            and self.accesscontrol is None
            and self.executionunits is None
            and self.domain is None
            and self.extensions is None
        )


def read_emission(raw: object) -> Asked:
    """
    Read what user code asked for.

    Raises:
        InvalidEvent: It is not a mapping, or a field is unknown, missing or of another type.
    """
    try:
        asked = msgspec.convert(raw, Asked)
    except msgspec.ValidationError as error:
        if isinstance(raw, Mapping) and "__extensions" in raw:  # the TypeScript system's name of the field
            fields = dict(cast("Mapping[str, Any]", raw))
            return read_emission({"extensions": fields.pop("__extensions"), **fields})
        raise InvalidEvent("emission", str(error)) from error
    if asked.is_plain and type(asked.type) is str and asked.dataschema is None:
        return asked
    return _without_enums(asked)


def _without_enums(asked: Asked) -> Asked:
    fields: dict[str, Any] = {name: plain_text(getattr(asked, name)) for name in Asked.__struct_fields__}
    if isinstance(asked.domain, list):
        fields["domain"] = [plain_text(domain) for domain in asked.domain]
    return Asked(**fields)


def read_domains(
    given: Mapping[str, Sequence[str | None]] | None, defaults: Mapping[str, Sequence[str | None]]
) -> dict[str, Sequence[str | None]]:
    """
    Read the option `default_event_emission_domains`.

    Args:
        given: Domains, or symbols of `ArvoDomain`, by kind of event.

        defaults: All kinds, and what holds for those that are not given.

    Raises:
        ConfigViolation: A kind is unknown, or its domains are not a list of domains.
    """
    if given is not None and not isinstance(given, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
        raise ConfigViolation("default_event_emission_domains: must map kinds of events to lists of domains")
    for kind, domains in (given or {}).items():
        if kind not in defaults:
            raise ConfigViolation(
                f"default_event_emission_domains: no kind {kind!r}; there are {', '.join(defaults)}"
            )
        if not isinstance(domains, list | tuple) or not all(
            domain is None or (isinstance(domain, str) and is_domain(domain))  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
            for domain in domains
        ):
            raise ConfigViolation(
                f"default_event_emission_domains: {kind!r} must be a list of domains (each {DOMAIN_RULE}, or None)"
            )
    return {**defaults, **{kind: [*map(plain_text, domains)] for kind, domains in (given or {}).items()}}


def check_executionunits(units: float) -> float:
    """
    Check the option `executionunits`.

    Raises:
        ConfigViolation: It is not a number that an event may carry.
    """
    if type(units) is int and abs(units) <= MAX_INTEGER:
        return units
    if type(units) is float and isfinite(units):
        return units
    raise ConfigViolation(f"executionunits: must be a finite number, is {units!r}")


class Route(msgspec.Struct, frozen=True):
    """
    What holds for all events of a kind; what user code asked for wins over `redirectto` and `domains`.

    Attributes:
        dataschema: Contract and version; None when no contract knows the type.

        event_domain: Domain of that contract.

        redirectto: Where the answer goes.

        domains: Domains, or symbols.

        checked: Whether a contract checks type and data. Then the event of a plain emission is right by the way it
            is made: its other parts are checked options and parts of the consumed event.
    """

    dataschema: str | None
    event_domain: str | None
    redirectto: str | None
    domains: Sequence[str | None]
    checked: bool = False


Subject = str | Callable[[str | None, str], str]
"""A subject, or a function of the event's domain and a derived execution id that makes it."""


class Outbox:
    """
    The events of one step, in the order in which they were put in.

    Attributes:
        events: Those built so far.
    """

    __slots__ = (
        "_consumed",
        "_contract",
        "_counts",
        "_executionunits",
        "_parent_subject",
        "_source",
        "_traceparent",
        "_tracestate",
        "events",
    )

    def __init__(
        self,
        contract: VersionedArvoContract,
        *,
        consumed: ArvoEvent,
        parent_subject: str | None,
        executionunits: float,
    ) -> None:
        self.events: list[ArvoEvent] = []
        self._contract = contract
        self._source = contract.type
        self._consumed = consumed
        self._traceparent, self._tracestate = emitted_trace(consumed)
        self._parent_subject = parent_subject
        self._executionunits = executionunits
        self._counts: dict[tuple[str, str | None], int] = {}

    def put(
        self, asked: Asked, data: dict[str, Any], route: Route, *, subject: Subject, parentid: str, to: str
    ) -> None:
        """
        Build the event, once for each domain.

        Args:
            asked: What user code asked for.

            data: Its data, as the contract made it.

            route: What holds for its kind.

            subject: The workflow it belongs to.

            parentid: Id of the event that caused it.

            to: Where it goes, unless user code asked for another place.

        Raises:
            InvalidEvent: A field breaks its rule.
        """
        consumed = self._consumed
        make = known_event if route.checked and asked.is_plain else ArvoEvent
        for domain in self._resolve(route.domains if asked.domain is None else asked.domain, route):
            derived = self._derived_id(asked.type, domain)
            self.events.append(
                make(
                    id=derived if asked.id is None else _chosen_id(asked.id, derived),
                    source=self._source,
                    type=asked.type,
                    subject=subject if isinstance(subject, str) else subject(domain, derived),
                    dataschema=route.dataschema,
                    data=data,
                    time=asked.time or utc_timestamp(),
                    to=to if asked.to is None else encoded_field("to", asked.to),
                    accesscontrol=consumed.accesscontrol
                    if asked.accesscontrol is None
                    else asked.accesscontrol,
                    redirectto=(
                        route.redirectto
                        if asked.redirectto is None
                        else encoded_field("redirectto", asked.redirectto)
                    ),
                    executionunits=self._executionunits
                    if asked.executionunits is None
                    else asked.executionunits,
                    traceparent=self._traceparent,
                    tracestate=self._tracestate,
                    parentid=parentid,
                    domain=domain,
                    extensions=asked.extensions or {},
                )
            )

    def put_error(
        self, told: ErrorData, *, subject: str, parentid: str, to: str, domains: Sequence[str | None]
    ) -> None:
        """Build the system error event that tells *to* what went wrong, once for each domain."""
        contract = self._contract
        self.put(
            Asked(type=contract.system_error.type, data=None),
            dict(told),
            Route(
                dataschema=contract.system_error_dataschema,
                event_domain=contract.domain,
                redirectto=None,
                domains=domains,
            ),
            subject=subject,
            parentid=parentid,
            to=to,
        )

    def _resolve(self, domains: Sequence[str | None] | str, route: Route) -> Iterable[str | None]:
        """The distinct domains in order, symbols resolved first."""
        if isinstance(domains, str):
            domains = (domains,)
        resolved = [
            None if domain is None else self._resolve_one(domain, route.event_domain) for domain in domains
        ]
        return resolved if len(resolved) == 1 else dict.fromkeys(resolved)

    def _resolve_one(self, domain: str, event_domain: str | None) -> str | None:
        return resolve_domain(
            domain,
            self_domain=self._contract.domain,
            event_domain=event_domain,
            trigger_domain=self._consumed.domain,
            current_subject=self._consumed.subject,
            parent_subject=self._parent_subject,
        )

    def _derived_id(self, type: str, domain: str | None) -> str:
        n = self._counts.get((type, domain), 0)
        self._counts[type, domain] = n + 1
        consumed = self._consumed
        return derived_id(
            handler=self._source,
            subject=consumed.subject,
            source=consumed.source,
            id=consumed.id,
            type=type,
            domain=domain,
            n=n,
        )


def _chosen_id(choice: str | dict[str, Any], derived: str) -> str:
    if isinstance(choice, str):
        return choice
    value = str(choice.get("value") or "").strip(JS_SPACE)
    match choice.get("deduplication"):
        case "DEVELOPER_MANAGED":
            return value or derived
        case "ARVO_MANAGED":
            return create_arvo_event_id(value, uuid=derived) if value else derived
        case _:
            raise InvalidEvent("id", "deduplication must be 'DEVELOPER_MANAGED' or 'ARVO_MANAGED'")
