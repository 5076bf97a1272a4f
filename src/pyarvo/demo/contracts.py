"""What the parts of the shop say to each other. Money is whole cents."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pyarvo.contracts import create_arvo_contract, create_arvo_orchestrator_contract

__all__ = [
    "APPROVAL",
    "CHARGE",
    "CUSTOMER",
    "FULFILMENT",
    "INVOICE",
    "LOYALTY",
    "NOTIFY",
    "ORDER",
    "POINTS",
    "QUOTE",
    "REFUND",
    "RELEASE",
    "RESERVE",
    "SHIP",
    "SHOP",
    "Order",
    "Result",
]

SHOP = "com.shop.web"
"""Who places the orders and is told how they ended."""

Cents = Annotated[int, Field(ge=0)]
Result = Literal["done", "rejected", "compensated"]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Line(_Data):
    sku: str
    quantity: Annotated[int, Field(ge=1)]
    cents: Cents


class Order(_Data):
    """An order as the shop places it."""

    order: str
    customer: str
    lines: Annotated[list[Line], Field(min_length=1)]
    total: Cents
    card: Annotated[str, Field(pattern=r"^[0-9]{4}$")]
    country: str
    coupon: str | None = None


class Finished(_Data):
    order: str
    result: Result
    reason: str


class ToFulfil(_Data):
    order: str
    country: str
    amount: Cents


class Fulfilled(_Data):
    order: str
    shipped: bool


class ToReward(_Data):
    order: str
    customer: str
    amount: Cents


class Rewarded(_Data):
    order: str
    points: int


class AboutOrder(_Data):
    order: str


class Goods(_Data):
    order: str
    lines: list[Line]


class Refused(_Data):
    order: str
    reason: str


class Money(_Data):
    order: str
    card: str
    amount: Cents


class Parcel(_Data):
    order: str
    country: str


class Bill(_Data):
    order: str
    amount: Cents


class Numbered(_Data):
    order: str
    number: str


class Message(_Data):
    order: str
    customer: str
    result: str
    reason: str


class Question(_Data):
    order: str
    total: Cents


class Decision(_Data):
    order: str
    approved: bool


class Quoted(_Data):
    order: str
    points: int


class Points(_Data):
    order: str
    customer: str
    points: int


# --- workflows ---------------------------------------------------------------------------------------------------

ORDER = create_arvo_orchestrator_contract(
    uri="#/shop/order",
    name="shop.order",
    versions={
        "1.0.0": {"init": Order, "complete": Finished},
        "2.0.0": {"init": Order, "complete": Finished},
    },
    description="One order, from the click to the message that it is on its way.",
)
FULFILMENT = create_arvo_orchestrator_contract(
    uri="#/shop/fulfilment",
    name="shop.fulfilment",
    versions={"1.0.0": {"init": ToFulfil, "complete": Fulfilled}},
    description="Ships and bills at the same time.",
)
LOYALTY = create_arvo_orchestrator_contract(
    uri="#/shop/loyalty",
    name="shop.loyalty",
    versions={"1.0.0": {"init": ToReward, "complete": Rewarded}},
    description="Points for the customer.",
)

# --- services ----------------------------------------------------------------------------------------------------

RESERVE = create_arvo_contract(
    uri="#/shop/stock/reserve",
    type="com.stock.reserve",
    versions={
        "1.0.0": {"accepts": Goods, "emits": {"evt.stock.reserved": Numbered, "evt.stock.refused": Refused}}
    },
)
RELEASE = create_arvo_contract(
    uri="#/shop/stock/release",
    type="com.stock.release",
    versions={"1.0.0": {"accepts": AboutOrder, "emits": {"evt.stock.released": AboutOrder}}},
)
CHARGE = create_arvo_contract(
    uri="#/shop/card/charge",
    type="com.card.charge",
    versions={
        "1.0.0": {"accepts": Money, "emits": {"evt.card.charged": Numbered, "evt.card.declined": Refused}}
    },
)
REFUND = create_arvo_contract(
    uri="#/shop/card/refund",
    type="com.card.refund",
    versions={"1.0.0": {"accepts": Money, "emits": {"evt.card.refunded": Numbered}}},
)
SHIP = create_arvo_contract(
    uri="#/shop/parcel",
    type="com.parcel.ship",
    versions={"1.0.0": {"accepts": Parcel, "emits": {"evt.parcel.shipped": Numbered}}},
)
INVOICE = create_arvo_contract(
    uri="#/shop/invoice",
    type="com.invoice.issue",
    versions={"1.0.0": {"accepts": Bill, "emits": {"evt.invoice.issued": Numbered}}},
)
NOTIFY = create_arvo_contract(
    uri="#/shop/notification",
    type="com.customer.notify",
    versions={"1.0.0": {"accepts": Message, "emits": {"evt.customer.notified": AboutOrder}}},
)
QUOTE = create_arvo_contract(
    uri="#/shop/points/quote",
    type="com.points.quote",
    versions={"1.0.0": {"accepts": Bill, "emits": {"evt.points.quoted": Quoted}}},
)
POINTS = create_arvo_contract(
    uri="#/shop/points",
    type="com.points.credit",
    versions={"1.0.0": {"accepts": Points, "emits": {"evt.points.credited": Points}}},
)
APPROVAL = create_arvo_contract(
    uri="#/shop/approval",
    type="com.approval.request",
    domain="human.approval",
    versions={"1.0.0": {"accepts": Question, "emits": {"evt.approval.decided": Decision}}},
    description="A person decides: the request leaves the broker through its domain.",
)
CUSTOMER = create_arvo_contract(
    uri="#/shop/customer",
    type="com.customer.confirm",
    versions={"1.0.0": {"accepts": AboutOrder, "emits": {"evt.customer.confirmed": AboutOrder}}},
    description="The customer clicks in the message: an event that nobody in the house asked for.",
)
