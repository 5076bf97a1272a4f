"""Operations to script calls, and the scripts' answers to outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b, sha1
from importlib.resources import files
from math import ceil
from types import MappingProxyType
from typing import Final

import msgspec

from pyarvo.errors import MemoryFault, MemoryUnavailable, RecordCorrupt
from pyarvo.events.labels import Labels
from pyarvo.memory.backend import Stored
from pyarvo.memory.decide import (
    Acquire,
    Acquired,
    Commit,
    Committed,
    Conflict,
    Consumed,
    Delete,
    Deleted,
    Denied,
    ForceRelease,
    Found,
    JournalEntry,
    Lost,
    Op,
    Outcome,
    Read,
    Release,
    Released,
    Renew,
    Renewed,
    Row,
)
from pyarvo.memory.options import MemoryOptions
from pyarvo.memory.redis.wire import Reply, pack

__all__ = [
    "LOAD",
    "LOADED",
    "Command",
    "Keys",
    "Scripts",
    "changed",
    "entry_of",
    "keys_of",
    "outcome_of",
    "stored_of",
]

# A record over this many bytes is sent ahead by a plain SET, which the server does not copy through Lua.
_STAGE_FROM: Final = 16 * 1024
_STAGED_FOR_MS: Final = b"60000"

_US: Final = 1_000_000


def _load() -> tuple[MappingProxyType[str, bytes], list[bytes]]:
    """The scripts, each under its head: how a call of each begins, and the commands that load them."""
    folder = files("pyarvo.memory.redis").joinpath("lua")
    head = folder.joinpath("row.lua").read_text(encoding="utf-8")
    begins: dict[str, bytes] = {}
    loads: list[bytes] = []
    for name in ("read", "acquire", "commit", "renew", "release", "delete", "force_release", "get"):
        text = (head + folder.joinpath(f"{name}.lua").read_text(encoding="utf-8")).encode()
        digest = sha1(text, usedforsecurity=False).hexdigest()
        begins[name] = b"$7\r\nEVALSHA\r\n$40\r\n%b\r\n" % digest.encode()
        loads.append(pack(b"SCRIPT", b"LOAD", text))
    return MappingProxyType(begins), loads


_CALL, _loads = _load()
LOAD: Final = b"".join(_loads)
"""Loads every script into a server."""
LOADED: Final = len(_loads)
"""How many replies `LOAD` has."""


class Command(msgspec.Struct, frozen=True):
    """
    What is sent for one operation.

    Attributes:
        key: Decides on the server that it goes to.

        parts: What is sent, in order; the last reply to it is the answer.

        replies: How many replies each part has.
    """

    key: bytes
    parts: tuple[bytes, ...]
    replies: int = 1


class Keys(msgspec.Struct, frozen=True):
    """
    The keys of one instance, all of one slot.

    Attributes:
        row, record, journal, history: Hash of the instance, its record, its journal, earlier records.

        id: The instance's id.

        packed: The id and the first three keys in the form in which they are sent.
    """

    row: bytes
    record: bytes
    journal: bytes
    history: bytes
    id: bytes
    packed: bytes


@lru_cache(maxsize=2_048)
def keys_of(prefix: bytes, id: str) -> Keys:
    """The keys of instance *id*: the hash tag is a hash of it, since it may hold braces and 4 KiB."""
    raw = id.encode()
    row = b"%b:{%b}" % (prefix, blake2b(raw, digest_size=16).hexdigest().encode())
    record, journal, history = row + b":record", row + b":journal", row + b":history"
    return Keys(row, record, journal, history, raw, _packed(row, record, journal))


def _packed(*arguments: bytes) -> bytes:
    return b"".join([b"$%d\r\n%b\r\n" % (len(argument), argument) for argument in arguments])


class Scripts:
    """
    Packs operations.

    Args:
        prefix: Of every key.

        options: How much journal and history to keep, and for how long.
    """

    def __init__(self, prefix: str, options: MemoryOptions) -> None:
        self._prefix = prefix.encode()
        self._kept = (str(options.journal).encode(), str(options.history).encode())
        self._history = options.history > 0
        self._tombstone_s = options.tombstone_s
        self._tombstone_ms = str(ceil(options.tombstone_s * 1000)).encode()

    def keys(self, id: str) -> Keys:
        return keys_of(self._prefix, id)

    def get(self, id: str) -> Command:
        """The call that reads everything about one instance."""
        return self._call("get", keys_of(self._prefix, id))

    def command(self, op: Op) -> Command:
        """The call for *op*."""
        keys = keys_of(self._prefix, op.id)
        match op:
            case Acquire(_, token, ttl_s, event_key, holder):
                event = () if event_key is None else (event_key.encode(),)
                ttl, keep = _micros(ttl_s), self._unwritten_ms(ttl_s)
                return self._call("acquire", keys, token.encode(), ttl, holder.encode(), keep, *event)
            case Commit():
                return self._commit(keys, op)
            case Read():
                return self._call("read", keys)
            case Renew(_, token, ttl_s):
                return self._call("renew", keys, token.encode(), _micros(ttl_s), self._unwritten_ms(ttl_s))
            case Release(_, token):
                return self._call("release", keys, token.encode())
            case Delete(_, force):
                flag = b"1" if force else b"0"
                return self._call("delete", keys, flag, self._tombstone_ms, more_keys=(keys.history,))
            case ForceRelease(_, reason):
                return self._call("force_release", keys, reason.encode())

    def _commit(self, keys: Keys, op: Commit) -> Command:
        data, ahead = op.data, b""
        more_keys: tuple[bytes, ...] = (keys.history if self._history else keys.record,)
        if len(data) > _STAGE_FROM:
            # Named after its content: whoever sends the same again, or something else, cannot mix them up.
            stage = b"%b:stage:%b" % (keys.row, op.digest.hex().encode())
            ahead, data = pack(b"SET", stage, data, b"PX", _STAGED_FOR_MS), b""
            more_keys = (*more_keys, stage)
        labels = op.labels
        arguments = [
            op.token.encode(),
            b"%d" % op.expected,
            op.digest,
            b"1" if op.release else b"0",
            msgspec.json.encode((labels.orchestrator, labels.version, labels.status, labels.parent)),
            *self._kept,
            data,
        ]
        if op.event_key is not None:
            arguments.append(op.event_key.encode())
            if op.produced is not None:
                arguments.append(op.produced)
        command = self._call("commit", keys, *arguments, more_keys=more_keys)
        return Command(keys.row, (ahead, *command.parts)) if ahead else command

    def _call(self, script: str, keys: Keys, *arguments: bytes, more_keys: Sequence[bytes] = ()) -> Command:
        count = 3 + len(more_keys)
        size = b"*%d\r\n" % (count + len(arguments) + 4)
        rest = _packed(*more_keys, keys.id, *arguments)
        return Command(
            keys.row, (b"".join((size, _CALL[script], b"$1\r\n%d\r\n" % count, keys.packed, rest)),)
        )

    def _unwritten_ms(self, ttl_s: float) -> bytes:
        """How long an instance without a record is kept: while it is leased, and as long as a tombstone."""
        return b"%d" % ceil((self._tombstone_s + ttl_s) * 1000)


def _micros(seconds: float) -> bytes:
    return b"%d" % round(seconds * _US)


# --- answers --------------------------------------------------------------------------------------------------


def entry_of(packed: bytes, event_key: str | None, produced: bytes | None) -> JournalEntry:
    """
    A journal entry as it is stored: `version:token:digest:at`.

    Raises:
        ValueError: It is none.
    """
    version, token, rest = packed.split(b":", 2)
    digest, _, at = rest.rpartition(b":")
    return JournalEntry(int(version), event_key, token.decode(), digest, produced, int(at) / _US)


_CHANGES: Final = frozenset({2, 5, 8, 9, 10})


def changed(reply: Reply) -> bool:
    """Whether a script answers that it stored something."""
    return isinstance(reply, list) and reply[0] in _CHANGES


def outcome_of(op: Op, reply: Reply) -> Outcome | MemoryFault:
    """The outcome in a script's answer to *op*: a list that opens with a number, named in the head of every script."""
    fault = RecordCorrupt("what is stored of this instance does not decode; it was left as it is")
    try:
        return _outcome(op, reply) or fault
    except ValueError as exc:
        fault.__cause__ = exc
        return fault


def _outcome(op: Op, reply: Reply) -> Outcome | MemoryFault | None:
    match reply:
        case [5, int(version)]:
            return Committed(version)
        case [2, int(fence), int(version), (bytes() | None) as data, (bytes() | None) as deleted]:
            return Acquired(fence, version, data, None if deleted is None else int(deleted) / _US)
        case [1, int(version), (bytes() | None) as data]:
            return Found(version, data)
        case [3]:
            return Denied()
        case [
            4,
            int(fence),
            int(version),
            (bytes() | None) as data,
            bytes(entry),
            (bytes() | None) as produced,
        ]:
            event_key = op.event_key if isinstance(op, Acquire | Commit) else None
            return Consumed(entry_of(entry, event_key, produced), fence, version, data)
        case [6]:
            return Lost()
        case [7, int(actual)] if isinstance(op, Commit):
            return Conflict(op.expected, actual)
        case [8, bytes(until)]:
            return Renewed(int(until) / _US)
        case [9, int(ours)]:
            return Released(ours == 1)
        case [10, int(existed)]:
            return Deleted(existed == 1)
        case [11, bytes(what)]:
            return RecordCorrupt(f"{what.decode()}; it was left as it is")
        case [12]:
            return MemoryUnavailable("the record that was sent ahead is gone; nothing was applied")
        case _:
            return None


def stored_of(id: str, now: bytes | int, fields: Sequence[bytes], data: bytes | None) -> Stored:
    """
    An instance from the fields of its hash, name and value in turns.

    Raises:
        RecordCorrupt: They make no sense.
    """
    try:
        row = {fields[n].decode(): fields[n + 1] for n in range(0, len(fields), 2)}
        created = int(row["created"])
        orchestrator, version, status, parent = msgspec.json.decode(
            row.get("labels", b"[null,null,null,null]"),
            type=tuple[str | None, str | None, str | None, str | None],
        )
        deleted = row.get("deleted")
        return Stored(
            id=id,
            row=Row(
                version=int(row["version"]),
                fence=int(row["fence"]),
                token=row["token"].decode(),
                holder=row["holder"].decode(),
                granted_at=int(row["granted"]) / _US,
                until=int(row["until"]) / _US,
                deleted_at=None if deleted is None else int(deleted) / _US,
                note=row.get("note", b"").decode(),
                data=data,
            ),
            labels=Labels(orchestrator=orchestrator, version=version, status=status, parent=parent),
            created_at=created / _US,
            updated_at=int(row["updated"]) / _US,
            now=int(now) / _US,
            # Two servers of a cluster may make an instance in the same microsecond.
            serial=created << 8 | blake2b(id.encode(), digest_size=1).digest()[0],
        )
    except (KeyError, ValueError, IndexError, msgspec.DecodeError) as exc:
        raise RecordCorrupt("the hash of the instance does not decode; it was left as it is", id=id) from exc
