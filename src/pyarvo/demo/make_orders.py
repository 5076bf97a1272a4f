"""
Makes the demo's input: `python -m pyarvo.demo.make_orders > orders.jsonl`. The same file every time.

220 orders of two versions, about 90 confirmations (some arrive before their order), duplicate deliveries, late
duplicates, double clicks (the same order under another event id), and lines or events that are wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from pyarvo.contracts import PARENT_SUBJECT
from pyarvo.demo.contracts import CUSTOMER, ORDER, SHOP
from pyarvo.events import ArvoEvent, ArvoOrchestrationSubject, create_arvo_event

__all__ = ["make_lines"]

ORDERS: Final = 220

_OPENING = datetime(2026, 1, 5, 9, tzinfo=UTC)
_GOODS = (("TEA-100", 450), ("CUP-2", 1_290), ("POT-7", 3_900), ("KETTLE-1", 6_500), ("SPOON-6", 1_750))
_COUNTRIES = ("AT", "AU", "DE", "FR", "IN", "JP", "NZ", "US")
_ODD_COUPONS = ("WELCOME", "SUMMER", "VIP", "HELLO")


def make_lines() -> Iterator[str]:
    """The lines of the input, in order, without line ends."""
    placed = [(position, text) for n in range(1, ORDERS + 1) for position, text in _of_order(n)]
    for _, text in sorted(
        [*placed, *_wrong()], key=lambda entry: entry[0]
    ):  # stable: equal positions keep order
        yield text


def _of_order(n: int) -> Iterator[tuple[int, str]]:
    """The events of order *n* and where in the file they stand, about ten places an order."""
    version = "2.0.0" if n % 5 in (2, 4) else "1.0.0"
    position = n * 10 + n * 7 % 5 * 9  # neighbours overtake one another
    order = _order(n, version).to_json()
    yield position, order
    if n % 12 == 1:
        yield position + 33, order
    if n % 40 == 2:
        yield position + 600, order
    if n % 73 == 6:
        yield position + 4, _order(n, version, click="again").to_json()
    if version == "2.0.0":
        confirmation = _confirmation(n).to_json()
        yield position + (n % 3 - 1) * 17, confirmation
        if n % 20 == 9:
            yield position + 40, confirmation


def _order(n: int, version: str, click: str = "first", **changed: Any) -> ArvoEvent:
    lines = _lines(n, version)
    data = {
        PARENT_SUBJECT: None,
        "order": _name(n),
        "customer": f"c{n * 13 % 47:03}",
        "lines": lines,
        "total": sum(line["quantity"] * line["cents"] for line in lines),
        "card": "0002" if n % 19 == 7 else f"{4_000 + n}",
        "country": "ATLANTIS" if n % 29 == 11 else _COUNTRIES[n * 3 % 8],
        "coupon": _coupon(n),
        **changed,
    }
    return _event(
        id=_id(n, f"placed {click}"),
        type=ORDER.type,
        subject=_subject(n, version),
        dataschema=f"{ORDER.uri}/{version}",
        data=data,
        time=_time(n),
    )


def _lines(n: int, version: str) -> list[dict[str, Any]]:
    goods = [_GOODS[(n + k) % 5] for k in range(1 + n % 3)]
    lines = [
        {"sku": sku, "quantity": 1 + (n + k) % 3, "cents": cents} for k, (sku, cents) in enumerate(goods)
    ]
    if n % 37 == 5:
        lines.append({"sku": "GONE-1", "quantity": 1, "cents": 990})
    if n % 17 == 4:  # needs approval, and every third gets none
        dear = 220_000 if n % 51 == 4 else 120_000 if version == "2.0.0" else 55_000
        lines.append({"sku": "SILVER-1", "quantity": 1, "cents": dear})
    return lines


def _coupon(n: int) -> str | None:
    if n % 61 == 13:
        return _ODD_COUPONS[n // 61]
    return f"SAVE-{5 + n % 4 * 5}" if n % 11 == 3 else None


def _confirmation(n: int, subject: str | None = None) -> ArvoEvent:
    return _event(
        id=_id(n, "confirmed"),
        type="evt.customer.confirmed",
        subject=subject or _subject(n, "2.0.0"),
        dataschema=f"{CUSTOMER.uri}/1.0.0",
        data={"order": _name(n)},
        time=_time(n, minutes=7),
    )


def _wrong() -> Iterator[tuple[int, str]]:
    """Lines that are no events, and events that nobody can take."""
    good = _order(901, "1.0.0").to_json()
    yield 105, good[: len(good) // 2]
    yield 230, ""
    yield 351, "[1, 2, 3]"
    yield 482, good.replace('"source":"com.shop.web"', '"source":"com shop web"')
    yield 615, good.replace('"specversion":"1.0"', '"specversion":"0.3"')
    yield 777, _order(902, "1.0.0", lines=[]).to_json()
    yield 930, _order(903, "1.0.0", total=-5).to_json()
    yield 1_111, _order(904, "9.0.0").to_json()
    yield 1_290, good.replace('"to":"arvo.orc.shop.order"', '"to":"arvo.orc.shop.nowhere"')
    yield 1_402, good.replace(f'"subject":"{_subject(901, "1.0.0")}"', '"subject":"order-901"')
    yield 1_620, _confirmation(905).to_json()


def _event(**fields: Any) -> ArvoEvent:
    return create_arvo_event(source=SHOP, to=ORDER.type, **fields)


def _name(n: int) -> str:
    return f"A-{n:04}"


def _id(n: int, what: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"shop/{_name(n)}/{what}"))


def _subject(n: int, version: str) -> str:
    return ArvoOrchestrationSubject.new(
        orchestrator=ORDER.type, version=version, initiator=SHOP, execution_id=_name(n)
    )


def _time(n: int, minutes: int = 0) -> str:
    return (_OPENING + timedelta(minutes=2 * n + minutes)).isoformat(timespec="milliseconds")


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in make_lines())
