"""The input: a file of events, one a line; and what should become of the orders in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import msgspec

from pyarvo.demo.contracts import ORDER
from pyarvo.demo.services import DECLINED_CARD, REACHED_COUNTRIES, is_approved, is_in_stock
from pyarvo.demo.workflows import APPROVAL_LIMITS
from pyarvo.errors import ContractViolation, InvalidEvent, InvalidSubject
from pyarvo.events import ArvoEvent
from pyarvo.events.subject import parse_subject

__all__ = ["INPUT", "Fate", "Line", "fate_of", "first_orders", "placed_orders", "read_lines", "share_of"]

INPUT: Final = Path(__file__).with_name("orders.jsonl")
"""The file that ships with the demo; `make_orders.py` makes it."""

_READABLE_COUPON = re.compile(r"[^-]+-[0-9]+")


class Line(msgspec.Struct, frozen=True):
    """
    One line of the input.

    Attributes:
        number: From 1.

        text: As it is.

        event: None when it is no event.

        fault: Why it is none.
    """

    number: int
    text: str
    event: ArvoEvent | None
    fault: str | None = None


class Fate(msgspec.Struct, frozen=True):
    """
    What should become of an order.

    Attributes:
        result: "done", "rejected", "compensated" or "failed".

        actions: Each to happen once.
    """

    result: str
    actions: frozenset[str]


def read_lines(path: Path) -> Iterator[Line]:
    """Read the lines of an input file in order."""
    with path.open(encoding="utf-8") as lines:
        for number, text in enumerate(lines, 1):
            try:
                yield Line(number, text, ArvoEvent.from_json(text))
            except InvalidEvent as fault:
                yield Line(number, text, None, str(fault))


def share_of(line: Line, shares: int) -> int:
    """Which of so many workers a line is for: all events of a workflow are for the same one."""
    return crc32((line.text if line.event is None else line.event.subject).encode()) % shares


def placed_orders(lines: Iterable[Line]) -> dict[str, ArvoEvent]:
    """The orders that are well formed, each as its first event, by subject."""
    placed: dict[str, ArvoEvent] = {}
    for line in lines:
        if line.event is not None and _is_order(line.event):
            placed.setdefault(line.event.subject, line.event)
    return placed


def first_orders(lines: list[Line], count: int) -> list[Line]:
    """The lines of the first *count* orders, and those that are of no order."""
    placed = list(placed_orders(lines))
    left_out = set(placed[count:])
    return [line for line in lines if line.event is None or line.event.subject not in left_out]


def fate_of(placed: ArvoEvent) -> Fate:
    """Tell from the order alone how it must end. This is the measure of the demo, and knows no machine."""
    order, version = placed.data, parse_subject(placed.subject).orchestrator_version
    happened = {"answer"}
    if not is_in_stock(order["lines"]):
        return Fate("rejected", frozenset(happened | {"notify"}))
    happened.add("reserve")
    if order["total"] > APPROVAL_LIMITS[version]:
        happened.add("approve")
        if not is_approved(order["total"]):
            return _taken_back(happened)
    if order["coupon"] is not None and not _READABLE_COUPON.fullmatch(order["coupon"]):
        return Fate("failed", frozenset(happened))
    if order["card"] == DECLINED_CARD:
        return _taken_back(happened)
    happened |= {"charge", "invoice"}
    if order["country"] not in REACHED_COUNTRIES:
        return _taken_back(happened | {"refund"})
    happened |= {"ship", "notify"}
    return Fate("done", frozenset(happened | {"points"} if version == "2.0.0" else happened))


def _taken_back(happened: set[str]) -> Fate:
    return Fate("compensated", frozenset(happened | {"release", "notify"}))


def _is_order(event: ArvoEvent) -> bool:
    try:
        subject = parse_subject(event.subject)
    except InvalidSubject:
        return False
    contract = ORDER.versions.get(subject.orchestrator_version)
    if contract is None or subject.orchestrator_name != ORDER.type:
        return False
    return (
        event.type == event.to == ORDER.type and event.dataschema == contract.dataschema and _fits(event.data)
    )


def _fits(data: dict[str, Any]) -> bool:
    try:
        ORDER.version("latest").validate_accepts(data)
    except ContractViolation:
        return False
    return True
