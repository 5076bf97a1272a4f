"""The bucket: made when it is missing, checked when it is there; and the server's clock, read from what it says."""

from __future__ import annotations

from datetime import datetime
from time import monotonic
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct
from nats.aio.client import Client

from pyarvo.errors import ForeignStore, MemoryUnavailable, SchemaTooNew, StoreMissing
from pyarvo.memory.nats.clock import ServerClock
from pyarvo.memory.nats.entry import SCHEMA
from pyarvo.memory.nats.faults import NO_STREAM, ApiError, Silence, read_fault, write_fault
from pyarvo.memory.nats.keys import Keys
from pyarvo.memory.nats.link import Ask, Link, decode_answer

__all__ = ["MARK", "OLDEST_SERVER", "Bucket", "BucketOptions", "Storage"]

Storage = Literal["file", "memory"]

MARK: Final = "pyarvo-schema"
OLDEST_SERVER: Final = (2, 10)


class BucketOptions(Struct, frozen=True, kw_only=True):
    """
    How the bucket is, and is made.

    Attributes:
        bucket: Its name: letters, digits, "-" and "_".

        replicas: On how many servers each write is before it is acknowledged: 1, 3 or 5.

        storage: "file", or "memory", which does not survive the servers.
    """

    bucket: str = "pyarvo"
    replicas: int = 1
    storage: Storage = "file"


class _Config(Struct, frozen=True):
    subjects: list[str] = []
    retention: str = "limits"
    max_msgs: int = -1
    max_bytes: int = -1
    max_age: int = 0
    max_msgs_per_subject: int = -1
    max_msg_size: int = -1
    discard: str = "old"
    storage: str = "file"
    num_replicas: int = 1
    allow_direct: bool = False
    allow_rollup_hdrs: bool = False
    deny_purge: bool = False
    sealed: bool = False
    metadata: dict[str, str] = {}


class _State(Struct, frozen=True):
    messages: int = 0
    subjects: dict[str, int] = {}


class _Info(Struct, frozen=True):
    error: ApiError | None = None
    config: dict[str, Any] | None = None
    state: _State = _State()
    total: int = 0
    ts: datetime | None = None


_INFO: Final = msgspec.json.Decoder(_Info)


class Bucket:
    """
    The stream of a bucket, seen over one link.

    Args:
        options: How it is, and is made.

        within_s: Longest wait for one answer.

        create: Whether it is made where it is not there.

    Attributes:
        keys: Names of its subjects.

        clock: The server's, kept by `refresh`.

        limit: Most bytes of one message, header included; known once connected.
    """

    def __init__(self, options: BucketOptions, within_s: float, *, create: bool = True) -> None:
        self.keys = Keys(options.bucket)
        self.clock = ServerClock()
        self.limit = 0
        self._options = options
        self._within_s = within_s
        self._create = create
        self._stream = f"KV_{options.bucket}"
        self.get_subject = f"$JS.API.STREAM.MSG.GET.{self._stream}"
        self.purge_subject = f"$JS.API.STREAM.PURGE.{self._stream}"

    @property
    def stream(self) -> str:
        """Name of the stream behind the bucket."""
        return self._stream

    async def greet(self, link: Link, client: Client) -> None:
        """
        Make or check the bucket, and read the clock: once for every connection.

        Raises:
            MemoryUnavailable: Server or bucket are not as they have to be (`transient` False), or do not answer.
            ForeignStore: The bucket holds something else.
            StoreMissing: There is none, or it is not marked as pyarvo's, and none may be made.
            SchemaTooNew: A newer pyarvo made it.
        """
        version = client.connected_server_version
        if (version.major, version.minor) < OLDEST_SERVER:
            raise MemoryUnavailable(
                f"the server is NATS {version.major}.{version.minor}, 2.10 or later is needed",
                transient=False,
            )
        info = await self._info(link)
        if info.error is not None and info.error.err_code == NO_STREAM:
            self._check_may_make()
            info = await self._made(link, "CREATE", self._wanted())
        config = _config_of(info)
        self._check(config)
        if MARK not in config.metadata:
            if info.state.messages:
                raise ForeignStore(f"the bucket {self.keys.bucket!r} holds something else; choose another")
            self._check_may_make()
            mark = {"metadata": {**config.metadata, MARK: str(SCHEMA)}}
            config = _config_of(await self._made(link, "UPDATE", {**(info.config or {}), **mark}))
        self.limit = client.max_payload
        if config.max_msg_size > 0:
            self.limit = min(self.limit, config.max_msg_size)

    async def refresh(self, link: Link) -> None:
        """Read the server's clock, and learn on the way whether the bucket is there."""
        await link.connected()
        info = await self._info(link)
        if info.error is not None:
            raise read_fault(info.error)

    async def subjects(self, link: Link, pattern: str) -> list[str]:
        """The subjects that match *pattern* and have a message; in pages, so weakly consistent when there are many."""
        await link.connected()
        found: dict[str, int] = {}
        while True:
            request = {"subjects_filter": pattern, "offset": len(found)}
            info = await self._info(link, msgspec.json.encode(request))
            if info.error is not None:
                raise read_fault(info.error)
            found |= info.state.subjects
            if not info.state.subjects or len(found) >= info.total:
                return list(found)

    async def _info(self, link: Link, request: bytes = b"") -> _Info:
        ask = Ask(f"$JS.API.STREAM.INFO.{self._stream}", request)
        sent_at = monotonic()
        answer = await link.inquire(ask, self._within_s)
        if isinstance(answer, Silence):
            raise read_fault(answer)
        info = decode_answer(_INFO, answer)
        if info.ts is not None:
            self.clock.sample(info.ts.timestamp(), sent_at, monotonic())
        elif info.error is None:
            raise MemoryUnavailable(
                "the server does not say its time; NATS 2.10 or later is needed", transient=False
            )
        return info

    async def _made(self, link: Link, verb: str, config: dict[str, Any]) -> _Info:
        ask = Ask(f"$JS.API.STREAM.{verb}.{self._stream}", msgspec.json.encode(config))
        (answer,) = await link.exchange((ask,), self._within_s)
        if isinstance(answer, Silence):
            raise read_fault(answer)
        info = decode_answer(_INFO, answer)
        if info.error is not None:
            # Another process may have made it a moment ago.
            there = await self._info(link)
            if there.config is None:
                raise write_fault(info.error)
            return there
        return info

    def _check_may_make(self) -> None:
        if not self._create:
            raise StoreMissing(
                f"there is no memory in the bucket {self.keys.bucket!r}; it is made by the first handler that uses "
                "it, or by `pyarvo migrate`"
            )

    def _wanted(self) -> dict[str, Any]:
        return {
            "name": self._stream,
            "subjects": [f"$KV.{self.keys.bucket}.>"],
            "retention": "limits",
            "max_msgs_per_subject": 1,
            "max_msgs": -1,
            "max_bytes": -1,
            "max_age": 0,
            "discard": "new",
            "storage": self._options.storage,
            "num_replicas": self._options.replicas,
            # Answers of a follower may be old: every read goes to the leader.
            "allow_direct": False,
            "allow_rollup_hdrs": True,
            "deny_delete": True,
            "deny_purge": False,
            "metadata": {MARK: str(SCHEMA)},
        }

    def _check(self, config: _Config) -> None:
        schema = config.metadata.get(MARK, "0")
        if not schema.isdecimal() or int(schema) > SCHEMA:
            raise SchemaTooNew(
                f"the bucket {self.keys.bucket!r} has schema {schema}, this pyarvo knows {SCHEMA}; upgrade pyarvo"
            )
        rules: tuple[tuple[str, bool, str], ...] = (
            (
                "subjects",
                config.subjects == [f"$KV.{self.keys.bucket}.>"],
                "those of the bucket and no others",
            ),
            ("retention", config.retention == "limits", "limits"),
            ("max_msgs_per_subject", config.max_msgs_per_subject == 1, "1 (a history of 1)"),
            ("max_msgs", config.max_msgs < 0, "-1: nothing may be dropped"),
            ("max_age", config.max_age == 0, "0: nothing may expire"),
            ("discard", config.discard == "new", "new: a full bucket refuses, it does not drop"),
            ("allow_direct", not config.allow_direct, "false: a follower's answer may be old"),
            ("deny_purge", not config.deny_purge, "false: steps no longer kept are purged"),
            ("sealed", not config.sealed, "false"),
            (
                "storage",
                config.storage == self._options.storage,
                f"{self._options.storage}, as the option says",
            ),
            (
                "num_replicas",
                config.num_replicas >= self._options.replicas,
                f"{self._options.replicas} at least, as the option says",
            ),
        )
        for name, kept, rule in rules:
            if not kept:
                actual = getattr(config, name)
                raise MemoryUnavailable(
                    f"the bucket {self.keys.bucket!r} has {name} = {actual!r}; it must be {rule}",
                    transient=False,
                )


def _config_of(info: _Info) -> _Config:
    if info.error is not None:
        raise read_fault(info.error)
    if info.config is None:
        raise MemoryUnavailable("something else than JetStream answered", transient=False)
    try:
        return msgspec.convert(info.config, _Config)
    except msgspec.ValidationError as exc:
        raise MemoryUnavailable("something else than JetStream answered", transient=False) from exc
