"""Where the servers are and how to log in: from a URL."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import unquote

from msgspec import Struct

from pyarvo.errors import InvalidOption

__all__ = ["Address", "address_of"]

_PORT: Final = 4222


class Address(Struct, frozen=True, kw_only=True):
    """
    Where the servers are, and who we are there.

    Attributes:
        servers: `host:port`, any number of one cluster.

        user, password, token, credentials: Whichever the servers ask for; the last is the path of a file.

        tls: Whether to insist on TLS.
    """

    servers: tuple[str, ...]
    user: str | None = None
    password: str | None = None
    token: str | None = None
    credentials: str | None = None
    tls: bool = False

    @property
    def arguments(self) -> dict[str, Any]:
        """The driver's arguments for connecting there."""
        return {
            "servers": [f"{'tls' if self.tls else 'nats'}://{server}" for server in self.servers],
            "user": self.user,
            "password": self.password,
            "token": self.token,
            "user_credentials": self.credentials,
        }

    @property
    def shown(self) -> str:
        """For messages: no secret is in it."""
        return f"nats://{','.join(self.servers)}"


def address_of(url: str, *, credentials: str | None, tls: bool) -> tuple[Address, str]:
    """
    Servers and bucket of `nats://[user:password@ or token@]host[:port][,host:port...][/bucket]`; "" = no bucket named.

    Raises:
        InvalidOption: The URL is not understood. It is not repeated: it may hold a password.
    """
    scheme, separator, rest = url.partition("://")
    if scheme.lower() != "nats" or not separator:
        raise InvalidOption("url", "must be nats://host[:port][,host:port...][/bucket]")
    who, at, where = rest.rpartition("@")
    hosts, _, bucket = where.partition("/")
    servers = tuple(_server(host) for host in hosts.split(","))
    user, colon, password = who.partition(":")
    if at and not user:
        raise InvalidOption("url", "has an @, but neither user nor token before it")
    address = Address(
        servers=servers,
        user=unquote(user) if colon else None,
        password=unquote(password) if colon else None,
        token=unquote(user) if at and not colon else None,
        credentials=credentials,
        tls=tls,
    )
    return address, unquote(bucket.rstrip("/"))


def _server(host: str) -> str:
    name, _, port = host.rpartition(":") if re.search(r":[^\]]*$", host) else (host, "", str(_PORT))
    if not name or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise InvalidOption(
            "url", "needs host or host:port between nats:// and the bucket, with a port of 1 to 65,535"
        )
    return f"{name}:{port}"
