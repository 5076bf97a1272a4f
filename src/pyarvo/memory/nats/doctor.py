"""Settings of NATS servers and of a bucket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

import msgspec
import nats.errors
from nats.aio.client import Client

from pyarvo.errors import MemoryUnavailable
from pyarvo.memory.doctor import Finding, breaks, fine, unknown
from pyarvo.memory.nats.address import Address, address_of
from pyarvo.memory.nats.bucket import MARK, OLDEST_SERVER
from pyarvo.memory.nats.entry import SCHEMA
from pyarvo.memory.nats.faults import DRIVER_ERRORS, NO_STREAM, connect_fault
from pyarvo.memory.nats.link import end_client
from pyarvo.memory.options import from_text

__all__ = ["examine"]

_WITHIN_S: Final = 5

# What a memory insists on, and why; it refuses a bucket that is otherwise.
_RULES: Final = (
    ("retention", "limits", "records are thrown away"),
    ("max_msgs", -1, "records are thrown away, or writes refused, at that number"),
    ("max_age", 0, "records expire"),
    ("max_msgs_per_subject", 1, "old entries pile up"),
    ("discard", "new", "a full bucket drops records instead of refusing writes"),
    ("allow_direct", False, "a follower may answer with an old lease"),
    ("deny_purge", False, "steps no longer kept cannot be removed"),
    ("sealed", False, "nothing can be written"),
)

_Info = Mapping[str, Any]


async def examine(url: str, options: Mapping[str, str]) -> Sequence[Finding]:
    """
    See `pyarvo.memory.doctor.examine`. Writes nothing.

    Raises:
        MemoryUnavailable: The servers could not be asked.
    """
    tls = bool(from_text("tls", options.get("tls", "false"), default=False))
    address, named = address_of(url, credentials=options.get("credentials"), tls=tls)
    bucket = named or options.get("bucket", "pyarvo")
    client = await _connected(address)
    try:
        findings = [_version(client)]
        account = await _asked(client, "INFO")
        if account is None or "error" in account:
            why = "no JetStream answers" if account is None else str(account["error"].get("description"))
            fix = "switch JetStream on in the server, and for this account"
            return [*findings, breaks("jetstream", "off", f"{why}: there is nothing to keep records in", fix)]
        info = await _asked(client, f"STREAM.INFO.KV_{bucket}")
        if info is None:
            raise MemoryUnavailable(f"nobody answers for the bucket {bucket!r}: it has no leader now")
        findings.extend(_of_bucket(bucket, info, options))
        findings.append(_sync_interval(info))
    except DRIVER_ERRORS as error:
        raise connect_fault(error, address.shown) from error
    finally:
        await end_client(client)
    return findings


async def _connected(address: Address) -> Client:
    errors: list[Exception] = []

    async def noted(error: Exception) -> None:
        errors[:] = [error]

    client = Client()
    try:
        await client.connect(
            **address.arguments,
            name="pyarvo doctor",
            allow_reconnect=False,
            max_reconnect_attempts=1,
            connect_timeout=_WITHIN_S,
            error_cb=noted,
        )
    except (*DRIVER_ERRORS, ValueError) as error:
        await end_client(client)
        raise connect_fault(errors[-1] if errors else error, address.shown) from error
    return client


async def _asked(client: Client, subject: str) -> _Info | None:
    """JetStream's answer; None where nobody answers."""
    try:
        message = await client.request(f"$JS.API.{subject}", b"", timeout=_WITHIN_S)
    except nats.errors.NoRespondersError:
        return None
    return cast("_Info", msgspec.json.decode(message.data))


def _version(client: Client) -> Finding:
    version = client.connected_server_version
    shown = f"{version.major}.{version.minor}.{version.patch}"
    if (version.major, version.minor) >= OLDEST_SERVER:
        return fine("version", shown)
    return breaks("version", shown, "2.10 is the oldest that works", "upgrade the servers")


def _of_bucket(bucket: str, info: _Info, options: Mapping[str, str]) -> Iterator[Finding]:
    name = f"bucket {bucket}"
    if "error" in info:
        error = info["error"]
        if error.get("err_code") == NO_STREAM:
            yield fine(name, "none", "not made yet; the first use makes it")
        else:
            yield unknown(name, None, str(error.get("description")), "allow $JS.API.STREAM.INFO to this user")
        return
    config = info["config"]
    yield _schema(name, config.get("metadata") or {})
    if config["storage"] == "file":
        yield fine("storage", "file")
    else:
        reason = "everything is lost when the servers stop"
        yield breaks("storage", config["storage"], reason, "copy it into a bucket with storage=file")
    yield from _replicas(info, int(options.get("replicas", "1")))
    for setting, wanted, reason in _RULES:
        value = config.get(setting, False if wanted is False else None)
        if value != wanted:
            shown = str(wanted).lower() if isinstance(wanted, bool) else wanted
            fix = f"nats stream edit KV_{bucket}: {setting} = {shown}; a memory refuses it as it is"
            yield breaks(setting, value, reason, fix)


def _schema(name: str, metadata: Mapping[str, str]) -> Finding:
    mark = metadata.get(MARK, "")
    if not mark.isdecimal():
        return unknown(
            name, "not pyarvo's yet", "an empty one is marked at the first use, another is refused"
        )
    if int(mark) > SCHEMA:
        reason = f"this pyarvo knows {SCHEMA} and leaves the bucket alone"
        return breaks(name, f"schema {mark}", reason, "upgrade pyarvo")
    return fine(name, f"schema {mark}")


def _replicas(info: _Info, wanted: int) -> Iterator[Finding]:
    replicas = int(info["config"]["num_replicas"])
    if replicas < wanted:
        reason = "fewer than the URL asks for: a memory refuses the bucket"
        fix = f"nats stream edit {info['config']['name']} --replicas {wanted}"
        yield breaks("replicas", replicas, reason, fix)
    elif replicas == 1:
        yield fine("replicas", 1, "the records go with that server's disk, and are away while it is")
    else:
        yield fine("replicas", replicas)
    cluster: _Info = info.get("cluster", {})
    peers: Sequence[_Info] = cluster.get("replicas", ())
    behind = [str(peer["name"]) for peer in peers if peer.get("offline") or not peer.get("current")]
    if behind:
        reason = "they are away or behind; without a majority nothing is written"
        yield unknown("replicas behind", ", ".join(behind), reason, "look at these servers")


def _sync_interval(info: _Info) -> Finding:
    config: _Info = info.get("config", {})
    several = config.get("num_replicas", 1) > 1
    lost = "a majority stops at the same moment" if several else "the machine stops"
    reason = f"it cannot be read over NATS; by default (2m) the acknowledged writes of that time are lost when {lost}"
    return unknown(
        "sync_interval", None, reason, "jetstream { sync_interval: always } in the file of each server"
    )
