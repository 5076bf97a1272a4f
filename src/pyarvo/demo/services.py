"""The services of the shop: stateless handlers whose effects are rows, the approver, and the shop's inbox."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from pyarvo.brokers import EventHandler
from pyarvo.contracts import ArvoContract, create_arvo_event_factory
from pyarvo.demo import contracts
from pyarvo.demo.effects import Effects
from pyarvo.events import ArvoEvent, derived_id
from pyarvo.events.subject import parse_subject
from pyarvo.handlers import (
    Emission,
    ExecutionResult,
    HandlerCall,
    HandlerFunction,
    Outcome,
    create_arvo_event_handler,
)

__all__ = [
    "DECLINED_CARD",
    "REACHED_COUNTRIES",
    "Inbox",
    "create_approver",
    "create_services",
    "is_approved",
    "is_in_stock",
]

DECLINED_CARD: Final = "0002"
REACHED_COUNTRIES: Final = frozenset({"AT", "AU", "DE", "FR", "IN", "JP", "NZ", "US"})
_APPROVED_UP_TO: Final = 200_000


def is_in_stock(lines: Sequence[Mapping[str, Any]]) -> bool:
    """Whether everything on these order lines is there."""
    return not any(line["sku"].startswith("GONE") for line in lines)


def is_approved(total: int) -> bool:
    """What the approver says to an order of *total* cents."""
    return total <= _APPROVED_UP_TO


def create_services(effects: Effects) -> list[EventHandler]:
    """
    Make the handlers of all services.

    Args:
        effects: Where they leave their mark.
    """

    async def reserve(call: HandlerCall) -> Emission:
        data = call.event.data
        if not is_in_stock(data["lines"]):
            return {"type": "evt.stock.refused", "data": {"order": data["order"], "reason": "out of stock"}}
        return await done(call, "reserve", "evt.stock.reserved", number=f"R-{data['order']}")

    async def release(call: HandlerCall) -> Emission:
        return await done(call, "release", "evt.stock.released")

    async def charge(call: HandlerCall) -> Emission:
        data = call.event.data
        if data["card"] == DECLINED_CARD:
            return {"type": "evt.card.declined", "data": {"order": data["order"], "reason": "declined"}}
        return await done(call, "charge", "evt.card.charged", number=f"C-{data['order']}")

    async def refund(call: HandlerCall) -> Emission:
        return await done(call, "refund", "evt.card.refunded", number=f"C-{call.event.data['order']}")

    async def ship(call: HandlerCall) -> Emission:
        data = call.event.data
        if data["country"] not in REACHED_COUNTRIES:
            raise LookupError(f"no carrier goes to {data['country']}")  # becomes a system error event
        return await done(call, "ship", "evt.parcel.shipped", number=f"P-{data['order']}")

    async def invoice(call: HandlerCall) -> Emission:
        return await done(call, "invoice", "evt.invoice.issued", number=f"I-{call.event.data['order']}")

    async def notify(call: HandlerCall) -> Emission:
        return await done(call, "notify", "evt.customer.notified")

    async def quote(call: HandlerCall) -> Emission:
        data = call.event.data
        return {
            "type": "evt.points.quoted",
            "data": {"order": data["order"], "points": data["amount"] // 100},
        }

    async def credit(call: HandlerCall) -> Emission:
        data = call.event.data
        return await done(
            call, "points", "evt.points.credited", customer=data["customer"], points=data["points"]
        )

    async def done(call: HandlerCall, action: str, type: str, **answer: Any) -> Emission:
        order = call.event.data["order"]
        told = await effects.perform(order, action, call.event, {"order": order, **answer})
        return {"type": type, "data": told}

    functions: list[tuple[ArvoContract, HandlerFunction]] = [
        (contracts.RESERVE, reserve),
        (contracts.RELEASE, release),
        (contracts.CHARGE, charge),
        (contracts.REFUND, refund),
        (contracts.SHIP, ship),
        (contracts.INVOICE, invoice),
        (contracts.NOTIFY, notify),
        (contracts.QUOTE, quote),
        (contracts.POINTS, credit),
    ]
    return [
        create_arvo_event_handler(contract=contract, executionunits=1, handler={"1.0.0": function})
        for contract, function in functions
    ]


class Inbox:
    """
    The shop's side: gets the completion, or the system error, of each order.

    Attributes:
        source: The shop.
    """

    source = contracts.SHOP

    def __init__(self, effects: Effects) -> None:
        self._effects = effects

    async def execute(self, event: ArvoEvent) -> ExecutionResult:
        """Take note that the shop was told."""
        order = parse_subject(event.subject).execution_id
        await self._effects.perform(order, "answer", event, {"type": event.type})
        return ExecutionResult((), Outcome.RAN)


def create_approver(
    effects: Effects, publish: Callable[[ArvoEvent], Awaitable[None]]
) -> Callable[[ArvoEvent], Awaitable[None]]:
    """
    Make the person who approves dear orders: a callback for events with a domain.

    Args:
        effects: Where the decision is kept.

        publish: How the answer comes back.
    """
    factory = create_arvo_event_factory(contracts.APPROVAL.version("1.0.0"))

    async def decide(request: ArvoEvent) -> None:
        data = request.data
        decision = {"order": data["order"], "approved": is_approved(data["total"])}
        told = await effects.perform(data["order"], "approve", request, decision)
        answer = factory.emits(
            type="evt.approval.decided",
            data=told,
            source=contracts.APPROVAL.type,
            subject=request.subject,
            to=request.redirectto or request.source,
            parentid=request.id,
            id=derived_id(
                handler=contracts.APPROVAL.type,
                subject=request.subject,
                source=request.source,
                id=request.id,
                type="evt.approval.decided",
                domain=None,
                n=0,
            ),
        )
        await publish(answer)

    return decide
