"""Which events are told to the customer, and as what kind of message."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from domain.events import EventName


class MessageKind(StrEnum):
    """A kind of message; a customer may turn each one off."""

    PLACED = "placed"
    CONFIRMED = "confirmed"
    ACTION_NEEDED = "action_needed"  # the bank wants the customer to confirm the payment
    DECLINED = "declined"  # with the next step: another payment method, or another order
    REJECTED = "rejected"  # the order could not be taken, for another reason than its payment
    SHIPPED = "shipped"  # with the tracking number
    DELIVERED = "delivered"
    CANCELED = "canceled"
    REFUNDED = "refunded"


MESSAGES: Mapping[EventName, MessageKind] = {
    EventName.ORDER_PLACED: MessageKind.PLACED,
    EventName.ORDER_CONFIRMED: MessageKind.CONFIRMED,
    EventName.PAYMENT_ACTION_REQUIRED: MessageKind.ACTION_NEEDED,
    EventName.PAYMENT_DECLINED: MessageKind.DECLINED,
    EventName.ORDER_REJECTED: MessageKind.REJECTED,
    EventName.ORDER_SHIPPED: MessageKind.SHIPPED,
    EventName.ORDER_DELIVERED: MessageKind.DELIVERED,
    EventName.ORDER_CANCELED: MessageKind.CANCELED,
    EventName.PAYMENT_REFUNDED: MessageKind.REFUNDED,
}
