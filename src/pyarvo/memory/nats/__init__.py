"""NatsMachineMemory: workflows on NATS JetStream, on one server or replicated over three or five."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final, TypedDict, Unpack, get_args, overload

from pyarvo.errors import InvalidOption
from pyarvo.memory.leased import LeasedMemory
from pyarvo.memory.options import MemoryOptions, OptionFields, check_source, from_text

try:
    from nats.aio.client import Client

    from pyarvo.memory.nats.address import address_of
    from pyarvo.memory.nats.backend import NatsBackend
    from pyarvo.memory.nats.bucket import BucketOptions, Storage
except ModuleNotFoundError as exc:
    if exc.name is None or not exc.name.startswith("nats"):
        raise
    raise ModuleNotFoundError(
        "nats:// needs the driver nats-py: pip install 'pyarvo[nats]'", name="nats"
    ) from exc

__all__ = ["NatsFields", "NatsMachineMemory", "open_nats"]

_BUCKET: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


class NatsFields(OptionFields, total=False):
    """The keyword arguments of `NatsMachineMemory`."""

    bucket: str
    replicas: int
    storage: Storage
    credentials: str
    tls: bool


class _Mine(TypedDict):
    bucket: BucketOptions
    credentials: str | None
    tls: bool


class NatsMachineMemory(LeasedMemory):
    """
    A memory in a bucket (key-value store) of NATS JetStream, NATS 2.10 or later.

    Leases are judged by the server's clock, known to within half a round trip. The bucket is made at first use, or
    checked when it is there. One connection for every event loop that uses this object. How much survives the death
    of the servers is a matter of their settings (`sync_interval`) and of `replicas`: docs/backends/nats.md.

    Args:
        url: `nats://[user:password@ or token@]host[:port][,host:port...][/bucket]`; user, password and token are
            percent-encoded. For options in the URL see `open_memory`.

        client: Instead of a URL: a connected `nats.aio.client.Client`, to be used on its own loop; never closed.

        bucket: Name of the bucket, 1 to 128 letters, digits, "-" and "_"; default "pyarvo".

        replicas: Servers that have a write before it is acknowledged: 1 (default), 3 or 5. A bucket that is there
            with fewer is refused.

        storage: "file" (default), or "memory", which the servers lose when they stop.

        credentials: Path of a credentials file (JWT and seed).

        tls: Whether to insist on TLS.

        options: See `MemoryOptions`. `journal` is 128 at most here, and `record_limit` what the server takes
            (`max_payload`) less 64 KiB. `batching` changes nothing.

    Raises:
        InvalidOption: The URL or an option is not understood or out of its bounds, or *client* is another one.
    """

    @overload
    def __init__(self, url: str, **options: Unpack[NatsFields]) -> None: ...

    @overload
    def __init__(self, *, client: Client, **options: Unpack[NatsFields]) -> None: ...

    def __init__(
        self, url: str | None = None, *, client: Client | None = None, **options: Unpack[NatsFields]
    ) -> None:
        check_source(url, client, Client, "a nats.aio.client.Client")
        mine, rest = _split(dict(options))
        address = None
        if url is not None:
            address, named = address_of(url, credentials=mine["credentials"], tls=mine["tls"])
            if named:
                if "bucket" in options and options["bucket"] != named:
                    raise InvalidOption("bucket", f"is {options['bucket']!r}, and {named!r} in the URL")
                mine["bucket"] = _bucket(named, mine["bucket"].replicas, mine["bucket"].storage)
        parsed = MemoryOptions.of(rest)
        # Each call is a message of its own and all share one connection: calls that wait go out together anyway, and
        # as one batch the slowest would hold up the others.
        parsed = replace(parsed, batching=False)
        super().__init__(NatsBackend(address, client, mine["bucket"], parsed), parsed)


def open_nats(url: str, **options: Any) -> NatsMachineMemory:
    """The factory of `nats://`; see `NatsMachineMemory`."""
    return NatsMachineMemory(url, **options)


def _split(options: dict[str, Any]) -> tuple[_Mine, dict[str, Any]]:
    """This backend's options, and those that every memory has."""
    bucket = _bucket(
        options.pop("bucket", "pyarvo"), options.pop("replicas", 1), options.pop("storage", "file")
    )
    credentials = options.pop("credentials", None)
    if credentials is not None and (not isinstance(credentials, str) or not credentials):
        raise InvalidOption("credentials", "must be the path of a file")
    tls = bool(from_text("tls", str(options.pop("tls", False)), default=False))
    return {"bucket": bucket, "credentials": credentials, "tls": tls}, options


def _bucket(name: object, replicas: object, storage: object) -> BucketOptions:
    if not isinstance(name, str) or not _BUCKET.fullmatch(name):
        raise InvalidOption("bucket", f'must be 1 to 128 letters, digits, "-" and "_", is {name!r}')
    if str(replicas) not in {"1", "3", "5"}:
        raise InvalidOption("replicas", f"must be 1, 3 or 5, is {replicas!r}")
    if storage not in get_args(Storage):
        raise InvalidOption("storage", f"must be file or memory, is {storage!r}")
    kind: Storage = "file" if storage == "file" else "memory"
    return BucketOptions(bucket=name, replicas=int(str(replicas)), storage=kind)
