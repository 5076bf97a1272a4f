"""Brokers: carry events between handlers."""

from pyarvo.brokers.delivery import DeadLetter, DeadLetterReason, EventHandler, RetryPolicy
from pyarvo.brokers.options import BrokerOptions
from pyarvo.brokers.simple import SimpleEventBroker, create_simple_event_broker

__all__ = [
    "BrokerOptions",
    "DeadLetter",
    "DeadLetterReason",
    "EventHandler",
    "RetryPolicy",
    "SimpleEventBroker",
    "create_simple_event_broker",
]
