"""What is written down of a call, and the files that keep it through a kill."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import msgspec

from pyarvo.errors import InvalidOption

__all__ = ["UNANSWERED", "Call", "digest", "encode_call", "in_order", "load_calls", "save_calls"]

UNANSWERED: Final = "unknown"


class Call(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    One call of a verb, as its caller saw it.

    Attributes:
        process: Who called: process and task.

        number: Of this call among those of its recorder; with `process` it names the call.

        id: The instance.

        verb: As in `MachineMemory` and `LeasedMachineMemory`.

        began, ended: Monotonic seconds, the same clock for every process of a machine. `ended` is None when there was
            no answer.

        outcome: "granted", "denied" or "replayed" (acquire, lock); "done", "lost", "conflict" or "consumed" (commit,
            write, renew); "over" or "not_over" (release, unlock); "found" (read); "refused" before any I/O;
            "unavailable"; "unknown" = it may have taken effect, or not, or may still.

        token: Digest of the token of the lease that it takes or stands on; "" = none.

        ttl_s: Length of the lease that it asks for; None = not known.

        expected: The version that a commit stands on.

        written: Digest of the record it writes; `step` of the step that goes with it.

        event_key: Of the step, or of the event about to be consumed.

        releases: Whether a commit ends its lease.

        fence, version: As answered.

        found: Digest of the record that was read; "" = there is none; None = this call reads nothing.
    """

    process: str
    number: int
    id: str
    verb: str
    began: float
    ended: float | None = None
    outcome: str = UNANSWERED
    token: str = ""
    ttl_s: float | None = None
    expected: int | None = None
    written: str | None = None
    step: str | None = None
    event_key: str | None = None
    releases: bool = False
    fence: int | None = None
    version: int | None = None
    found: str | None = None


_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(Call)


def digest(data: Any) -> str:
    """Of anything JSON, 16 hexadecimal digits; what JSON cannot hold has the digest of its type."""
    try:
        raw = _encoder.encode(data)
    except (TypeError, ValueError, OverflowError, RecursionError):  # the memory will refuse it
        raw = type(data).__name__.encode()
    return blake2b(raw, digest_size=8).hexdigest()


def save_calls(calls: Iterable[Call], path: str | Path) -> None:
    """Write *calls* to a file of JSON lines, in place of what was there."""
    Path(path).write_bytes(b"".join(encode_call(call) for call in calls))


def encode_call(call: Call) -> bytes:
    """One line of such a file."""
    return _encoder.encode(call) + b"\n"


def load_calls(*paths: str | Path) -> list[Call]:
    """
    The calls of one or several files, of the processes of one machine; in the order in which they began.

    Of a call that is there twice the later line counts: a recorder writes one when it begins and one when it ends. A
    last line that a killed process did not finish is left out.

    Raises:
        InvalidOption: A file holds something else.
    """
    found: dict[tuple[str, int], Call] = {}
    for path in paths:
        lines = Path(path).read_bytes().split(b"\n")
        for n, line in enumerate(lines):
            if not line or n == len(lines) - 1:
                continue
            try:
                call = _decoder.decode(line)
            except msgspec.MsgspecError as exc:
                raise InvalidOption("path", f"line {n + 1} of {path} is no call: {exc}") from exc
            found[call.process, call.number] = call
    return in_order(list(found.values()))


def in_order(calls: Sequence[Call]) -> list[Call]:
    """By the moment at which they began."""
    return sorted(calls, key=lambda call: (call.began, call.process, call.number))
