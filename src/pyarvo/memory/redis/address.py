"""Where the servers are and how to log in: from a URL, with the options that only this backend has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, Self, cast
from urllib.parse import unquote, urlsplit

from pyarvo.errors import InvalidOption
from pyarvo.memory.options import OptionFields, check_number, from_text

__all__ = ["Address", "RedisFields", "RedisOptions", "tls_arguments"]

Kind = Literal["standalone", "sentinel", "cluster"]

_KINDS: Final[Mapping[str, Kind]] = {
    "redis": "standalone",
    "rediss": "standalone",
    "redis+sentinel": "sentinel",
    "redis+cluster": "cluster",
}
_PORTS: Final[Mapping[Kind, int]] = {"standalone": 6379, "sentinel": 26379, "cluster": 6379}


class RedisFields(OptionFields, total=False):
    """The keyword arguments of `RedisMachineMemory`; see `RedisOptions` and `MemoryOptions`."""

    prefix: str
    wait_replicas: int
    wait_s: float
    tls: bool
    tls_ca_file: str
    tls_cert_file: str
    tls_key_file: str
    tls_check_hostname: bool
    sentinel_username: str
    sentinel_password: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisOptions:
    """
    What only this backend can be told.

    Attributes:
        prefix: Of every key, 1 to 64 characters without braces, so that several memories share a database.

        wait_replicas: How many replicas must have a write before it is answered (WAIT), 0 to 100; 0 = none.

        wait_s: How long to wait for them, 0.001 to 60.0 seconds; a write that too few have by then is
            `WriteOutcomeUnknown`.

        tls: Whether connections are encrypted; `rediss://` says the same.

        tls_ca_file: Certificates to trust; "" = the system's.

        tls_cert_file, tls_key_file: This client's own, where the server asks for one.

        tls_check_hostname: Whether the server's certificate must name its host.

        sentinel_username, sentinel_password: For the sentinels, where they ask for a login.
    """

    prefix: str = "pyarvo"
    wait_replicas: int = 0
    wait_s: float = 1.0
    tls: bool = False
    tls_ca_file: str = ""
    tls_cert_file: str = ""
    tls_key_file: str = ""
    tls_check_hostname: bool = True
    sentinel_username: str = ""
    sentinel_password: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, bool | str) and type(value) is not type(field.default):
                kind = "text" if isinstance(field.default, str) else "true or false"
                raise InvalidOption(field.name, f"must be {kind}, is {value!r}")
        prefix = self.prefix
        if not 1 <= len(prefix) <= 64 or not prefix.isprintable() or "{" in prefix or "}" in prefix:
            raise InvalidOption(
                "prefix", f"must be 1 to 64 printable characters without braces, is {prefix!r}"
            )
        check_number("wait_replicas", self.wait_replicas, int, 0, 100)
        check_number("wait_s", self.wait_s, float, 0.001, 60.0)

    @classmethod
    def split(cls, options: Mapping[str, Any]) -> tuple[Self, dict[str, Any]]:
        """
        These options, and the rest of *options*.

        Raises:
            InvalidOption: A value is out of its bounds.
        """
        known = {field.name: field.default for field in fields(cls)}
        mine: dict[str, Any] = {
            name: from_text(name, value, known[name]) if isinstance(value, str) else value
            for name, value in options.items()
            if name in known
        }
        return cls(**mine), {name: value for name, value in options.items() if name not in known}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """
    What a URL says.

    Attributes:
        kind: How the servers hang together.

        hosts: Names and ports; several for sentinels and clusters.

        database: Number; 0 in a cluster.

        service: Name of the master that the sentinels watch; "" without them.

        username, password: None where the URL has none.

        tls: Whether the scheme asks for it.
    """

    kind: Kind
    hosts: tuple[tuple[str, int], ...]
    database: int = 0
    service: str = ""
    username: str | None = None
    password: str | None = None
    tls: bool = False

    @classmethod
    def parse(cls, url: str) -> Self:
        """
        Parse `redis://[user:password@]host[:port][/database]`, `rediss://` (the same with TLS),
        `redis+sentinel://[user:password@]host[:port],host[:port]/service[/database]` or
        `redis+cluster://[user:password@]host[:port],host[:port]`. User and password are percent-encoded.

        Raises:
            InvalidOption: The URL is none of these. The message does not repeat it: it may hold a password.
        """
        scheme, separator, rest = url.partition("://")
        kind = _KINDS.get(scheme.lower())
        if not separator or kind is None:
            raise InvalidOption("url", f"must begin with one of {', '.join(f'{name}://' for name in _KINDS)}")
        location, _, path = rest.partition("/")
        login, at, places = location.rpartition("@")
        username, colon, password = login.partition(":")
        hosts = tuple(_host(place, _PORTS[kind]) for place in places.split(","))
        if kind == "standalone" and len(hosts) > 1:
            raise InvalidOption("url", "names several hosts; use redis+sentinel:// or redis+cluster://")
        service, database = _path(kind, path)
        return cls(
            kind=kind,
            hosts=hosts,
            database=database,
            service=service,
            username=unquote(username) or None if at else None,
            password=unquote(password) if colon else None,
            tls=scheme.lower() == "rediss",
        )


def _host(place: str, port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{place}")
        number = parts.port
    except ValueError as exc:
        raise InvalidOption("url", "has a port that is not a number from 1 to 65535") from exc
    if number == 0:
        raise InvalidOption("url", "has the port 0; leave it out for the default")
    if parts.query or parts.fragment:
        raise InvalidOption("url", "has options (?...), which `open_memory` reads; or give them as keywords")
    if not parts.hostname:
        raise InvalidOption("url", "lacks a host: redis://host:6379/0")
    return parts.hostname, number or port


def _path(kind: Kind, path: str) -> tuple[str, int]:
    """Service and database."""
    service, database = "", path
    if kind == "sentinel":
        service, _, database = path.partition("/")
        if not service:
            raise InvalidOption("url", "lacks the service that the sentinels watch: .../service")
    if database and not (database.isdecimal() and database.isascii()):
        raise InvalidOption("url", "has a database that is not a number")
    if kind == "cluster" and database not in {"", "0"}:
        raise InvalidOption("url", "names a database; a cluster has only 0")
    return unquote(service), int(database or "0")


def tls_arguments(options: RedisOptions) -> dict[str, Any]:
    """The driver's names for the options of TLS."""
    named = {
        "ssl_ca_certs": options.tls_ca_file,
        "ssl_certfile": options.tls_cert_file,
        "ssl_keyfile": options.tls_key_file,
    }
    given = cast("dict[str, Any]", {name: value for name, value in named.items() if value})
    return {**given, "ssl_check_hostname": options.tls_check_hostname}
