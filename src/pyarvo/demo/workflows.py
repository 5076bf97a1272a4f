"""
The workflows of the shop: the order in two versions, its fulfilment (a child), the loyalty points (a resumable).

An order that goes well is reserved, approved by a person when it is dear, charged, fulfilled, told to the customer.
What fails on the way is taken back: a declined card releases the stock, a parcel that cannot be sent also refunds.
Version 2 waits for the customer's confirmation first, and credits points while the customer is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyarvo.contracts import VersionedArvoContract
from pyarvo.demo import contracts
from pyarvo.events import ArvoDomain, ArvoEvent
from pyarvo.handlers import (
    ArvoOrchestrator,
    ArvoResumable,
    Emission,
    ResumableCall,
    ResumableResult,
    create_arvo_orchestrator,
    create_arvo_resumable,
)
from pyarvo.memory import MachineMemory
from pyarvo.statecharts import assign, emit, setup_arvo_machine

__all__ = ["APPROVAL_LIMITS", "FULFILMENT_1", "ORDER_1", "ORDER_2", "create_workflows"]

Context = dict[str, Any]

APPROVAL_LIMITS: Mapping[str, int] = {"1.0.0": 50_000, "2.0.0": 100_000}
"""Orders above so many cents need a person's approval, by version of the order machine."""


# --- what an order asks of the services --------------------------------------------------------------------------


def started(init: ArvoEvent) -> Context:
    return {"order": init.data, "confirmed": False, "result": "done", "reason": "on its way"}


def amount(context: Context) -> int:
    """
    The total less the coupon's percentage.

    Written by somebody who had only seen coupons such as SAVE-10: the demo has a few others, for which this raises.
    """
    order = context["order"]
    if order["coupon"] is None:
        return order["total"]
    return order["total"] * (100 - int(order["coupon"].split("-")[1])) // 100


def reserve(context: Context) -> Emission:
    order = context["order"]
    return {"type": "com.stock.reserve", "data": {"order": order["order"], "lines": order["lines"]}}


def release(context: Context) -> Emission:
    return {"type": "com.stock.release", "data": {"order": context["order"]["order"]}}


def approve(context: Context) -> Emission:
    order = context["order"]
    return {
        "type": "com.approval.request",
        "data": {"order": order["order"], "total": order["total"]},
        "domain": ArvoDomain.FROM_EVENT_CONTRACT,
    }


def money(context: Context) -> dict[str, Any]:
    order = context["order"]
    return {"order": order["order"], "card": order["card"], "amount": amount(context)}


def charge(context: Context) -> Emission:
    return {"type": "com.card.charge", "data": money(context)}


def refund(context: Context) -> Emission:
    return {"type": "com.card.refund", "data": money(context)}


def fulfil(context: Context) -> Emission:
    order = context["order"]
    return {
        "type": "arvo.orc.shop.fulfilment",
        "data": {"order": order["order"], "country": order["country"], "amount": amount(context)},
    }


def reward(context: Context) -> Emission:
    order = context["order"]
    return {
        "type": "arvo.orc.shop.loyalty",
        "data": {"order": order["order"], "customer": order["customer"], "amount": amount(context)},
    }


def notify(context: Context) -> Emission:
    order = context["order"]
    return {
        "type": "com.customer.notify",
        "data": {
            "order": order["order"],
            "customer": order["customer"],
            "result": context["result"],
            "reason": context["reason"],
        },
    }


def finished(context: Context) -> dict[str, Any]:
    return {
        "order": context["order"]["order"],
        "result": context["result"],
        "reason": context["reason"],
    }


def is_approved(_context: Context, event: ArvoEvent) -> bool:
    return event.data["approved"]


def is_shipped(_context: Context, event: ArvoEvent) -> bool:
    return event.data["shipped"]


def is_confirmed(context: Context) -> bool:
    return context["confirmed"]


# --- the order machines ------------------------------------------------------------------------------------------


def because(result: str, reason: str) -> Any:
    return assign({"result": result, "reason": reason})


def steps_of_an_order(version: str, after_fulfilment: str) -> dict[str, Any]:
    """The states that both versions share, from the reservation to the message about an order that came to nothing."""

    def is_dear(context: Context) -> bool:
        return context["order"]["total"] > APPROVAL_LIMITS[version]

    return {
        "reserving": {
            "entry": emit(reserve),
            "on": {
                "evt.stock.reserved": [{"guard": is_dear, "target": "approving"}, {"target": "charging"}],
                "evt.stock.refused": {"target": "telling", "actions": because("rejected", "out of stock")},
            },
        },
        "approving": {
            "entry": emit(approve),
            "on": {
                "evt.approval.decided": [
                    {"guard": is_approved, "target": "charging"},
                    {"target": "releasing", "actions": because("compensated", "not approved")},
                ]
            },
        },
        "charging": {
            "entry": emit(charge),
            "on": {
                "evt.card.charged": {"target": "fulfilling"},
                "evt.card.declined": {
                    "target": "releasing",
                    "actions": because("compensated", "card declined"),
                },
            },
        },
        "fulfilling": {
            "entry": emit(fulfil),
            "on": {
                "arvo.orc.shop.fulfilment.done": [
                    {"guard": is_shipped, "target": after_fulfilment},
                    {"target": "refunding", "actions": because("compensated", "not deliverable")},
                ]
            },
        },
        "refunding": {"entry": emit(refund), "on": {"evt.card.refunded": {"target": "releasing"}}},
        "releasing": {"entry": emit(release), "on": {"evt.stock.released": {"target": "telling"}}},
        "telling": {"entry": emit(notify), "on": {"evt.customer.notified": {"target": "over"}}},
        "over": {"type": "final"},
    }


def asking(request: Any, answer: str, refusal: str | None = None) -> dict[str, Any]:
    """A region of a parallel state: ask, and be done when the answer comes; a refusal is remembered."""
    on: dict[str, Any] = {answer: {"target": "answered"}}
    if refusal is not None:
        on[refusal] = {"target": "answered", "actions": assign({"shipped": False})}
    return {
        "initial": "asked",
        "states": {"asked": {"entry": emit(request), "on": on}, "answered": {"type": "final"}},
    }


SERVICES: dict[str, VersionedArvoContract] = {
    name: contract.version("1.0.0")
    for name, contract in {
        "reserve": contracts.RESERVE,
        "release": contracts.RELEASE,
        "approval": contracts.APPROVAL,
        "charge": contracts.CHARGE,
        "refund": contracts.REFUND,
        "fulfilment": contracts.FULFILMENT,
        "notify": contracts.NOTIFY,
    }.items()
}

ORDER_1 = setup_arvo_machine(
    contracts={"self": contracts.ORDER.version("1.0.0"), "services": SERVICES}
).create_machine(
    {
        "id": "order",
        "version": "1.0.0",
        "context": started,
        "output": finished,
        "initial": "reserving",
        "states": steps_of_an_order("1.0.0", after_fulfilment="telling"),
    }
)

ORDER_2 = setup_arvo_machine(
    contracts={
        "self": contracts.ORDER.version("2.0.0"),
        "services": {
            **SERVICES,
            "customer": contracts.CUSTOMER.version("1.0.0"),
            "loyalty": contracts.LOYALTY.version("1.0.0"),
        },
    }
).create_machine(
    {
        "id": "order",
        "version": "2.0.0",
        "context": started,
        "output": finished,
        "initial": "confirming",
        "on": {"evt.customer.confirmed": {"actions": assign({"confirmed": True})}},
        "states": {
            "confirming": {"always": {"guard": is_confirmed, "target": "reserving"}},
            **steps_of_an_order("2.0.0", after_fulfilment="closing"),
            "closing": {
                "type": "parallel",
                "states": {
                    "telling": asking(notify, "evt.customer.notified"),
                    "rewarding": asking(reward, "arvo.orc.shop.loyalty.done"),
                },
                "onDone": {"target": "over"},
            },
        },
    }
)


# --- fulfilment, a child -----------------------------------------------------------------------------------------


def to_fulfil(init: ArvoEvent) -> Context:
    data = init.data
    return {"order": data["order"], "country": data["country"], "amount": data["amount"], "shipped": True}


def ship(context: Context) -> Emission:
    return {
        "type": "com.parcel.ship",
        "data": {"order": context["order"], "country": context["country"]},
    }


def bill(context: Context) -> Emission:
    return {"type": "com.invoice.issue", "data": {"order": context["order"], "amount": context["amount"]}}


def fulfilled(context: Context) -> dict[str, Any]:
    return {"order": context["order"], "shipped": context["shipped"]}


FULFILMENT_1 = setup_arvo_machine(
    contracts={
        "self": contracts.FULFILMENT.version("1.0.0"),
        "services": {
            "ship": contracts.SHIP.version("1.0.0"),
            "invoice": contracts.INVOICE.version("1.0.0"),
        },
    }
).create_machine(
    {
        "id": "fulfilment",
        "version": "1.0.0",
        "context": to_fulfil,
        "output": fulfilled,
        "initial": "working",
        "states": {
            "working": {
                "type": "parallel",
                "states": {
                    "shipping": asking(ship, "evt.parcel.shipped", refusal="sys.com.parcel.ship.error"),
                    "billing": asking(bill, "evt.invoice.issued"),
                },
                "onDone": {"target": "over"},
            },
            "over": {"type": "final"},
        },
    }
)


# --- loyalty, a resumable ----------------------------------------------------------------------------------------


async def give_points(call: ResumableCall) -> ResumableResult:
    """Ask what the order is worth, credit that, done."""
    if call.input is not None:
        order = call.input.data
        return {
            "context": {"order": order["order"], "customer": order["customer"]},
            "services": [
                {
                    "type": "com.points.quote",
                    "data": {"order": order["order"], "amount": order["amount"]},
                }
            ],
        }
    answer, context = call.service, call.context
    if answer is None or context is None:
        return {}
    points = answer.data["points"]
    if answer.type == "evt.points.quoted":
        return {"services": [{"type": "com.points.credit", "data": {**context, "points": points}}]}
    return {"output": {"order": context["order"], "points": points}}


def create_workflows(memory: MachineMemory) -> tuple[ArvoOrchestrator, ArvoOrchestrator, ArvoResumable]:
    """All workflows of the shop on one memory: order, fulfilment, loyalty."""
    return (
        create_arvo_orchestrator(memory=memory, executionunits=1, machines=[ORDER_1, ORDER_2]),
        create_arvo_orchestrator(memory=memory, executionunits=1, machines=[FULFILMENT_1]),
        create_arvo_resumable(
            contracts={
                "self": contracts.LOYALTY,
                "services": {
                    "quote": contracts.QUOTE.version("1.0.0"),
                    "credit": contracts.POINTS.version("1.0.0"),
                },
            },
            memory=memory,
            executionunits=1,
            handler={"1.0.0": give_points},
        ),
    )
