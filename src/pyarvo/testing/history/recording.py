"""A memory that writes down every call, so that what it did can be checked afterwards."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from itertools import count
from pathlib import Path
from time import monotonic
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self, TypeVar, cast

from msgspec.structs import replace

from pyarvo.errors import (
    EventConsumed,
    InvalidOption,
    InvalidRecord,
    LeaseLost,
    MemoryClosed,
    MemoryUnavailable,
    RecordTooLarge,
    UnsupportedByBackend,
    WriteConflict,
)
from pyarvo.memory.codec import check_event_key
from pyarvo.memory.contract import Lease, MachineMemory, Step
from pyarvo.testing.history.calls import UNANSWERED, Call, digest, encode_call, in_order
from pyarvo.testing.wrapping import MemoryCall, WrappedMemory

__all__ = ["History", "RecordedMemory"]

_REFUSED: Final = (InvalidRecord, RecordTooLarge, InvalidOption, UnsupportedByBackend, MemoryClosed)

M = TypeVar("M", bound=MachineMemory)

_locks: ContextVar[Mapping[tuple[int, str], str]] = ContextVar(
    "pyarvo_recorded", default=MappingProxyType({})
)
_serials = count()


class History:
    """
    The calls of one process; a context manager when it writes to a file.

    Args:
        path: A file of JSON lines that every call is appended to when it begins and when it ends, so that it is there
            when the process is killed. Each process needs its own; `load_calls` puts them together.

        clock: Monotonic seconds; with virtual time, that clock.

        lock_ttl_s: How long leases last that are taken with the verb `lock`; None = not known, then an early takeover
            of them goes unnoticed.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        clock: Callable[[], float] = monotonic,
        lock_ttl_s: float | None = None,
    ) -> None:
        self._calls: dict[int, Call] = {}
        self._clock = clock
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._numbers = count()
        self.lock_ttl_s = lock_ttl_s
        self.name = f"{os.getpid()}.{next(_serials)}"

    @property
    def calls(self) -> list[Call]:
        """What was recorded so far, in the order in which it began."""
        return in_order(list(self._calls.values()))

    def memory(self, memory: M) -> M:
        """*memory*, recorded. It has leases when *memory* has them."""
        return cast("M", RecordedMemory(memory, self))

    def begin(self, **facts: Any) -> Call:
        """Write down that a call begins."""
        task = asyncio.current_task()
        process = f"{self.name}/{task.get_name() if task else '-'}"
        call = Call(process=process, number=next(self._numbers), began=self._clock(), **facts)
        self._keep(call)
        return call

    def end(self, call: Call, **facts: Any) -> None:
        """Write down how *call* ended."""
        self._keep(replace(call, ended=self._clock(), **facts))

    def _keep(self, call: Call) -> None:
        self._calls[call.number] = call
        if self._file is not None:
            os.write(self._file, encode_call(call))  # with the kernel at once: a kill loses no line

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RecordedMemory(WrappedMemory):
    """
    A memory whose calls are written down; make it with `History.memory`.

    Args:
        memory: Any object with the four verbs.

        history: Where to.
    """

    def __init__(self, memory: MachineMemory, history: History) -> None:
        super().__init__(memory)
        self._history = history
        self._serial = next(_serials)
        self._tokens = count(1)
        self._granted: dict[str, list[str]] = {}

    def lock(self, id: str) -> Any:
        """See `MachineMemory.lock`; like the memory it marks the caller's context when it is called."""
        token = f"lock-{self._history.name}-{next(self._tokens)}"
        _locks.set({**_locks.get(), (self._serial, id): token})
        return super().lock(id)

    async def around(self, call: MemoryCall) -> Any:
        """Write down beginning and end."""
        facts = self._asked(call)
        written = self._history.begin(id=call.id, verb=call.verb, **facts)
        try:
            answer = await call.proceed()
        except BaseException as fault:
            self._history.end(written, **_fault(fault))
            raise
        self._history.end(written, **self._answered(call, answer, written.token))
        return answer

    def _asked(self, call: MemoryCall) -> dict[str, Any]:
        given = call.arguments
        match call.verb:
            case "lock":
                return {"token": self._token(call.id, of_caller=True), "ttl_s": self._history.lock_ttl_s}
            case "write":
                return {"token": self._token(call.id), "written": digest(given["data"])}
            case "unlock":
                return {"token": self._token(call.id)}
            case "acquire":
                return {"event_key": _key(given["event_key"]), "ttl_s": given["ttl_s"]}
            case "commit":
                return {**_of_lease(given["lease"]), **_of_commit(given)}
            case "renew":
                lease: Lease = given["lease"]
                asked = given["ttl_s"]
                return {**_of_lease(lease), "ttl_s": lease.ttl_s if asked is None else asked}
            case "release":
                return _of_lease(given["lease"])
            case _:
                return {}

    def _token(self, id: str, *, of_caller: bool = False) -> str:
        """The name of the lock that the caller acts on, by the rule of `LeasedMemory`."""
        mine = _locks.get().get((self._serial, id))
        granted = self._granted.get(id, [])
        if mine is not None and (of_caller or mine in granted):
            return mine
        return granted[0] if mine is None and len(granted) == 1 else ""

    def _answered(self, call: MemoryCall, answer: Any, token: str) -> dict[str, Any]:
        match call.verb:
            case "acquire":
                return _acquired(answer)
            case "lock":
                if answer:
                    self._granted.setdefault(call.id, []).append(token)
                return {"outcome": "granted" if answer else "denied"}
            case "read":
                return {"outcome": "found", "found": _found(answer)}
            case "commit":
                return {"outcome": "done", "version": answer}
            case "unlock" | "release":
                if token in self._granted.get(call.id, ()):
                    self._granted[call.id].remove(token)
                return {"outcome": "over" if answer else "not_over"}
            case _:
                return {"outcome": "done"}


def _of_lease(lease: Lease) -> dict[str, Any]:
    return {"token": digest(lease.token) if lease.token else ""}


def _of_commit(given: Mapping[str, Any]) -> dict[str, Any]:
    lease: Lease = given["lease"]
    step: Step | None = given["step"]
    return {
        "expected": lease.version,
        "written": digest(given["data"]),
        "step": None if step is None else digest(step.produced),
        "event_key": None if step is None else step.event_key,
        "releases": given["release"],
    }


def _acquired(lease: Lease | None) -> dict[str, Any]:
    if lease is None:
        return {"outcome": "denied"}
    if lease.replay is not None:
        return {"outcome": "replayed", "version": lease.replay.version}
    return {
        **_of_lease(lease),
        "outcome": "granted",
        "ttl_s": None if math.isinf(lease.ttl_s) else lease.ttl_s,
        "fence": lease.fence or None,
        "version": lease.version,
        "found": _found(lease.data),
    }


def _found(record: object) -> str:
    return "" if record is None else digest(record)


def _key(event_key: Any) -> str | None:
    if event_key is None:
        return None
    try:
        return check_event_key(event_key)
    except InvalidRecord:  # the memory will refuse it
        return None


def _fault(fault: BaseException) -> dict[str, Any]:
    match fault:
        case LeaseLost():
            return {"outcome": "lost"}
        case WriteConflict():
            return {"outcome": "conflict", "version": fault.actual}
        case EventConsumed():
            return {"outcome": "consumed", "version": fault.step.version}
        case MemoryUnavailable():
            return {"outcome": "unavailable"}
        case _:
            return {"outcome": "refused" if isinstance(fault, _REFUSED) else UNANSWERED}
