"""Operations to script calls."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b, sha1
from importlib.resources import files
from math import ceil
from types import MappingProxyType
from typing import Any, Final, cast

import msgspec

from pyarvo.events.labels import Labels
from pyarvo.memory.backend import Image
from pyarvo.memory.decide import (
    Acquire,
    Commit,
    Delete,
    ForceRelease,
    Op,
    Read,
    Release,
    Renew,
)
from pyarvo.memory.options import MemoryOptions
from pyarvo.memory.redis.wire import pack

__all__ = ["LOAD", "LOADED", "Command", "Keys", "Scripts", "keys_of"]

# A record over this many bytes is sent ahead by a plain SET, which the server does not copy through Lua.
_STAGE_FROM: Final = 16 * 1024
_STAGED_FOR_MS: Final = b"60000"

_US: Final = 1_000_000


def _load() -> tuple[MappingProxyType[str, bytes], list[bytes]]:
    """The scripts, each under its head: the digest of each as it is sent, and the commands that load them."""
    folder = files("pyarvo.memory.redis").joinpath("lua")
    head = folder.joinpath("row.lua").read_text(encoding="utf-8")
    digests: dict[str, bytes] = {}
    loads: list[bytes] = []
    for name in ("read", "acquire", "commit", "renew", "release", "delete", "force_release", "get", "put"):
        text = (head + folder.joinpath(f"{name}.lua").read_text(encoding="utf-8")).encode()
        digests[name] = sha1(text, usedforsecurity=False).hexdigest().encode()
        loads.append(pack(b"SCRIPT", b"LOAD", text))
    return MappingProxyType(digests), loads


_DIGESTS, _loads = _load()
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

        packed: The first three keys in the form in which they are sent.

        packed_id: The id in that form.
    """

    row: bytes
    record: bytes
    journal: bytes
    history: bytes
    packed: bytes
    packed_id: bytes


@lru_cache(maxsize=2_048)
def keys_of(prefix: bytes, id: str) -> Keys:
    """The keys of instance *id*: the hash tag is a hash of it, since it may hold braces and 4 KiB."""
    raw = id.encode()
    row = b"%b:{%b}" % (prefix, blake2b(raw, digest_size=16).hexdigest().encode())
    record, journal, history = row + b":record", row + b":journal", row + b":history"
    return Keys(row, record, journal, history, _packed(row, record, journal), _packed(raw))


def _packed(*arguments: bytes) -> bytes:
    return b"".join([b"$%d\r\n%b\r\n" % (len(argument), argument) for argument in arguments])


@lru_cache(maxsize=64)
def _call(script: str, keys: int, arguments: int) -> bytes:
    """How a call of *script* begins, with so many keys and arguments behind."""
    count = 3 + keys + arguments
    return b"*%d\r\n$7\r\nEVALSHA\r\n$40\r\n%b\r\n$1\r\n%d\r\n" % (count, _DIGESTS[script], keys)


class Scripts:
    """
    Packs operations.

    Args:
        prefix: Of every key.

        options: How much journal and history to keep, and for how long.
    """

    def __init__(self, prefix: str, options: MemoryOptions) -> None:
        self._prefix = prefix.encode()
        self._kept = _packed(b"%d" % options.journal, b"%d" % options.history)
        self._history = options.history > 0
        self._tombstone_s = options.tombstone_s
        self._terms = lru_cache(maxsize=64)(self._packed_terms)
        self._packers = cast(
            "dict[type, Callable[[Keys, Any], Command]]",
            {
                Acquire: self._acquire,
                Commit: self._commit,
                Read: self._read,
                Renew: self._renew,
                Release: self._release,
                Delete: self._delete,
                ForceRelease: self._force_release,
            },
        )

    def keys(self, id: str) -> Keys:
        return keys_of(self._prefix, id)

    def get(self, id: str) -> Command:
        """The call that reads everything about one instance."""
        return self._plain("get", keys_of(self._prefix, id))

    def put(self, image: Image) -> Command:
        """The call that keeps a whole instance of another store, its lease ended."""
        stored, row = image.stored, image.stored.row
        keys = keys_of(self._prefix, stored.id)
        fields = [
            *(b"id", stored.id.encode(), b"version", b"%d" % row.version, b"fence", b"%d" % row.fence),
            *(b"token", row.token.encode(), b"holder", row.holder.encode(), b"note", row.note.encode()),
            *(b"granted", _micros(row.granted_at), b"until", b"0", b"labels", _labels(stored.labels)),
            *(b"created", _micros(stored.created_at), b"updated", _micros(stored.updated_at)),
        ]
        if row.deleted_at is not None:
            fields += [b"deleted", _micros(row.deleted_at)]
        journal: list[bytes] = []
        for entry in image.journal:
            own = b"v%d" % entry.version if entry.event_key is None else b"e%b" % entry.event_key.encode()
            kept = (entry.token.encode(), entry.digest, _micros(entry.at))
            journal += [own, b"%d:%b:%b:%b" % (entry.version, *kept)]
            if entry.produced is not None:
                journal += [b"b%d" % entry.version, entry.produced]
        history = [part for version, data in image.history for part in (b"%d" % version, data)]
        lives = b"" if row.version else self._unwritten_ms(0.0)
        counts = [b"%d" % len(part) for part in (fields, journal, history)]
        record = (b"0", b"") if row.data is None else (b"1", row.data)
        rest = _packed(lives, *record, *counts, *fields, *journal, *history)
        begin = _call("put", 4, 7 + len(fields) + len(journal) + len(history))
        packed = b"".join((begin, keys.packed, _packed(keys.history), keys.packed_id, rest))
        return Command(keys.row, (packed,))

    def command(self, op: Op) -> Command:
        """The call for *op*."""
        return self._packers[type(op)](keys_of(self._prefix, op.id), op)

    def _acquire(self, keys: Keys, op: Acquire) -> Command:
        token, terms = op.token.encode(), self._terms(op.ttl_s, op.holder)
        if op.event_key is None:
            begin, event = _call("acquire", 3, 5), b""
        else:
            begin, event = _call("acquire", 3, 6), _packed(op.event_key.encode())
        return Command(
            keys.row,
            (
                b"%b%b%b$%d\r\n%b\r\n%b%b"
                % (begin, keys.packed, keys.packed_id, len(token), token, terms, event),
            ),
        )

    def _packed_terms(self, ttl_s: float, holder: str) -> bytes:
        return _packed(_micros(ttl_s), holder.encode(), self._unwritten_ms(ttl_s))

    def _commit(self, keys: Keys, op: Commit) -> Command:
        data, ahead = op.data, ()
        more_keys = _packed(keys.history if self._history else keys.record)
        if len(data) > _STAGE_FROM:
            # Named after its content: whoever sends the same again, or something else, cannot mix them up.
            stage = b"%b:stage:%b" % (keys.row, op.digest.hex().encode())
            ahead = (pack(b"SET", stage, data, b"PX", _STAGED_FOR_MS),)
            data, more_keys = b"", more_keys + _packed(stage)
        event = ()
        if op.event_key is not None:
            produced = op.produced
            event = (op.event_key.encode(),) if produced is None else (op.event_key.encode(), produced)
        release = b"1" if op.release else b"0"
        call = b"".join(
            (
                _call("commit", 5 if ahead else 4, 9 + len(event)),
                keys.packed,
                more_keys,
                keys.packed_id,
                _packed(op.token.encode(), b"%d" % op.expected, op.digest, release, _labels(op.labels)),
                self._kept,
                _packed(data, *event),
            )
        )
        return Command(keys.row, (*ahead, call))

    def _read(self, keys: Keys, op: Read) -> Command:
        del op
        return self._plain("read", keys)

    def _renew(self, keys: Keys, op: Renew) -> Command:
        return self._plain("renew", keys, op.token.encode(), _micros(op.ttl_s), self._unwritten_ms(op.ttl_s))

    def _release(self, keys: Keys, op: Release) -> Command:
        return self._plain("release", keys, op.token.encode())

    def _delete(self, keys: Keys, op: Delete) -> Command:
        life = b"%d" % ceil(self._tombstone_s * 1000)
        rest = keys.packed_id + _packed(b"1" if op.force else b"0", life)
        begin = _call("delete", 4, 3)
        return Command(keys.row, (b"".join((begin, keys.packed, _packed(keys.history), rest)),))

    def _force_release(self, keys: Keys, op: ForceRelease) -> Command:
        return self._plain("force_release", keys, op.reason.encode())

    def _plain(self, script: str, keys: Keys, *arguments: bytes) -> Command:
        begin = _call(script, 3, 1 + len(arguments))
        return Command(keys.row, (b"".join((begin, keys.packed, keys.packed_id, _packed(*arguments))),))

    def _unwritten_ms(self, ttl_s: float) -> bytes:
        """How long an instance without a record is kept: while it is leased, and as long as a tombstone."""
        return b"%d" % ceil((self._tombstone_s + ttl_s) * 1000)


def _labels(labels: Labels) -> bytes:
    return msgspec.json.encode((labels.orchestrator, labels.version, labels.status, labels.parent))


def _micros(seconds: float) -> bytes:
    return b"%d" % round(seconds * _US)
