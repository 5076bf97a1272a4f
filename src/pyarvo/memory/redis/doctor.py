"""Settings of Redis and Valkey servers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

from msgspec.structs import replace

from pyarvo.memory.doctor import Finding, breaks, fine, unknown
from pyarvo.memory.redis.address import Address, RedisOptions
from pyarvo.memory.redis.faults import fault_of_answer, fault_of_reply
from pyarvo.memory.redis.routes import Server, open_route, unavailable
from pyarvo.memory.redis.wire import ErrorReply, Reply, pack

__all__ = ["examine"]

_WITHIN_S: Final = 5.0
_OLDEST: Final = {"redis": (6, 2), "valkey": (7, 2)}
# Codes of a command that a user may not send, or that the provider took away.
_NOT_ALLOWED: Final = frozenset({"NOPERM", "ERR"})

_SETTINGS: Final = ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy", "min-replicas-to-write")


async def examine(url: str, options: Mapping[str, str]) -> Sequence[Finding]:
    """
    See `pyarvo.memory.doctor.examine`. Writes nothing; asks INFO and CONFIG GET of every master.

    Raises:
        InvalidOption: The URL is not understood.
        MemoryUnavailable: A server could not be asked.
    """
    mine, _ = RedisOptions.split(options)
    route = open_route(Address.parse(url), mine)
    try:
        servers = await route.servers()
        findings: list[Finding] = []
        for n, server in enumerate(servers, 1):
            told = await _Told.by(server)
            where = (
                "" if len(servers) == 1 else f"master {n} of {len(servers)}, port {told.info.get('tcp_port')}"
            )
            cluster = url.partition("://")[0].lower() == "redis+cluster"
            found = _findings(told, in_cluster=cluster, waits=mine.wait_replicas)
            findings.extend(replace(finding, where=where) for finding in found)
    finally:
        await route.close()
    return findings


class _Told:
    """
    What one server says of itself.

    Attributes:
        info: Fields of INFO.

        config: Settings by name; None where CONFIG GET is refused.

        refusals: The server's words where it did not say.
    """

    def __init__(self, info: Reply, settings: Sequence[Reply]) -> None:
        self.refusals = {
            reply.text.partition(", with args")[0]
            for reply in (info, *settings)
            if isinstance(reply, ErrorReply)
        }
        self.info = _fields(info) if isinstance(info, bytes) else {}
        self.config: dict[str, str] = {}
        for reply in settings:
            if isinstance(reply, list):
                words = [cast("bytes", word).decode(errors="replace") for word in reply]
                self.config |= dict(zip(words[::2], words[1::2], strict=True))

    @classmethod
    async def by(cls, server: Server) -> _Told:
        asked = [pack(b"INFO"), *(pack(b"CONFIG", b"GET", name.encode()) for name in _SETTINGS)]
        answer = await server.questions.exchange(b"".join(asked), len(asked), _WITHIN_S)
        if answer.error is not None:
            raise unavailable(fault_of_answer(answer))
        info = answer.replies[0]
        if isinstance(info, ErrorReply) and info.code not in _NOT_ALLOWED:
            raise unavailable(fault_of_reply(info))
        return cls(info, answer.replies[1:])

    def setting(self, name: str) -> str | None:
        """A setting as CONFIG GET or else INFO says it; None where neither does."""
        if name in self.config:
            return self.config[name]
        if name == "appendonly" and "aof_enabled" in self.info:
            return "yes" if self.info["aof_enabled"] == "1" else "no"
        return self.info.get(name.replace("-", "_"))


def _fields(info: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in info.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def _findings(told: _Told, *, in_cluster: bool, waits: int) -> Iterator[Finding]:
    if told.refusals:
        reason = f"the server does not tell this user everything: {'; '.join(sorted(told.refusals))}"
        fix = "allow +info and +config|get to the user that asks, or look into the provider's console"
        yield unknown("INFO, CONFIG GET", None, reason, fix)
    yield _version(told)
    yield _kind(told, in_cluster=in_cluster)
    yield from _durability(told)
    yield _memory_limit(told)
    yield from _replication(told, waits)


def _version(told: _Told) -> Finding:
    product = "valkey" if "valkey_version" in told.info else "redis"
    text = told.info.get(f"{product}_version")
    if text is None:
        return unknown("version", None, "Redis 6.2 or Valkey 7.2 is the oldest that works")
    parts = tuple(int(part) for part in text.split(".")[:2] if part.isdecimal())
    if parts >= _OLDEST[product]:
        return fine("version", f"{product} {text}")
    oldest = ".".join(map(str, _OLDEST[product]))
    return breaks("version", f"{product} {text}", f"{oldest} is the oldest that works", "upgrade the server")


def _kind(told: _Told, *, in_cluster: bool) -> Finding:
    is_cluster = told.info.get("cluster_enabled") == "1"
    if is_cluster and not in_cluster:
        reason = "most keys live on other servers of the cluster, which this URL does not reach"
        return breaks("cluster_enabled", "1", reason, "write redis+cluster:// in the URL")
    return fine("cluster_enabled", "1" if is_cluster else "0")


def _durability(told: _Told) -> Iterator[Finding]:
    kept = told.setting("appendonly")
    restart = "when the server is killed or restarted"
    if kept is None:
        yield unknown("appendonly", None, f"with 'no' all since the last snapshot is lost {restart}")
    elif kept != "yes":
        reason = f"all since the last snapshot is lost {restart}: acknowledged steps, and fences"
        yield breaks("appendonly", kept, reason, "CONFIG SET appendonly yes, and in the server's file")
        return
    else:
        yield fine("appendonly", kept)
    synced = told.setting("appendfsync")
    if synced == "always":
        yield fine("appendfsync", synced)
    elif synced is None:
        yield unknown("appendfsync", None, f"anything but 'always' may lose the latest writes {restart}")
    else:
        lost = "up to 1 s" if synced == "everysec" else "what the system had not written yet, often 30 s,"
        reason = f"{lost} of acknowledged writes is lost when the machine stops, or the server is killed"
        yield breaks("appendfsync", synced, reason, "CONFIG SET appendfsync always, and in the server's file")


def _memory_limit(told: _Told) -> Finding:
    policy, limit = told.setting("maxmemory-policy"), told.setting("maxmemory")
    if policy is None:
        return unknown("maxmemory-policy", None, "anything but 'noeviction' throws records and leases away")
    if policy == "noeviction":
        return fine("maxmemory-policy", policy)
    if limit == "0":
        return fine("maxmemory-policy", policy, "without effect: maxmemory is 0")
    thrown = "tombstones, and with them fences," if policy.startswith("volatile") else "records and leases"
    fix = "CONFIG SET maxmemory-policy noeviction, and in the server's file; give it memory, purge what is finished"
    return breaks("maxmemory-policy", policy, f"{thrown} are thrown away when memory is full", fix)


def _replication(told: _Told, waits: int) -> Iterator[Finding]:
    replicas = told.info.get("connected_slaves")
    if replicas is None:
        yield unknown("replicas", None, "with replicas, a failover loses what they had not received yet")
        return
    if told.info.get("role", "master") != "master":
        reason = "this server is a replica: it takes no writes"
        yield breaks("role", told.info["role"], reason, "name the master in the URL, or the sentinels")
        return
    if replicas == "0":
        yield fine("replicas", 0, "none: while this server is away, so is the memory")
        return
    yield fine("replicas", replicas, "a failover to one that lags loses its latest writes, fences too")
    needed = told.setting("min-replicas-to-write")
    if needed is None:
        yield unknown("min-replicas-to-write", None, "with 0 a master that is cut off goes on taking writes")
    elif needed == "0":
        reason = "a master that is cut off from its replicas goes on taking writes, which a failover loses"
        waited = "" if waits else "; wait_replicas=1 in the memory's URL besides"
        yield breaks("min-replicas-to-write", 0, reason, f"CONFIG SET min-replicas-to-write 1{waited}")
    else:
        yield fine("min-replicas-to-write", needed)
