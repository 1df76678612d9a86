"""Every type of event with its schema, in each version that consumers may meet: the one list of what exists.

A change that would break a consumer is a new version of the type, with an entry of its own beside the old one
(docs/decisions/0032-event-schemas.md). `docs/events.md`, the AsyncAPI document and the page `/events` are made of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from domain.errors import BadField, InvalidInput
from domain.events import EventData, EventName, InventoryUpdatedData, OrderEventData, PromotionExhaustedData

ORDERS = "/orders"
PRODUCTS = "/products"
PROMOTIONS = "/promotions"

SUBJECTS = {ORDERS: "order", PRODUCTS: "product", PROMOTIONS: "promotion"}
"""What the subjects of each stream are the ids of."""


def _unversioned(type_: str) -> str:
    return type_.rpartition(".v")[0]


class EventType(NamedTuple):
    """One type of event: its name and version, the model of its `data`, the stream it belongs to, what it tells."""

    name: EventName
    tells: str
    data: type[EventData] = OrderEventData
    source: str = ORDERS  # of the CloudEvent; see SUBJECTS
    version: int = 1
    also: tuple[str, ...] = ()  # older names under which consumers know it

    @property
    def type(self) -> str:
        """The CloudEvents type, e.g. `ordersaga.order.placed.v1`."""
        return f"{_unversioned(self.name.type)}.v{self.version}"

    @property
    def subject(self) -> str:
        """What the CloudEvent's subject is the id of."""
        return SUBJECTS[self.source]


_N = EventName

REGISTRY: tuple[EventType, ...] = (
    EventType(_N.ORDER_PLACED, "The order is accepted; nothing is held yet.", also=("OrderCreated",)),
    EventType(_N.INVENTORY_RESERVED, "The stock of all lines is held for the order."),
    EventType(
        _N.PAYMENT_AUTHORIZED,
        "The customer's bank holds the money; once more for each renewal before an authorization ends.",
    ),
    EventType(_N.PAYMENT_ACTION_REQUIRED, "The customer has to complete the payment, e.g. 3-D Secure."),
    EventType(
        _N.PAYMENT_DECLINED,
        "The bank has declined; `reason` is its code. Another card may follow, unless OrderRejected does.",
    ),
    EventType(_N.ORDER_CONFIRMED, "Stock and money are held: the shop has promised the goods."),
    EventType(_N.SHIPMENT_BOOKED, "The label is bought; `trackingNumber` is the parcel's."),
    EventType(
        _N.SHIPMENT_HELD,
        "The label is called back: the warehouse keeps the parcel with this `trackingNumber`.",
    ),
    EventType(
        _N.PAYMENT_CAPTURED,
        "The money is taken; `amount` is there where it is not the total, e.g. a line was dropped.",
    ),
    EventType(_N.ORDER_SHIPPED, "The carrier has scanned the parcel (`trackingNumber`)."),
    EventType(_N.ORDER_DELIVERED, "The carrier says that the parcel has reached the customer."),
    EventType(
        _N.CANCEL_REQUESTED,
        "A cancel was accepted, or waits for the carrier. `reasonId` names what a person wrote, `reason` is a code.",
    ),
    EventType(_N.CANCEL_REFUSED, "A cancel came too late; `reason` is the rule that refused it."),
    EventType(_N.PAYMENT_VOIDED, "The bank lets go of the money; nothing was taken."),
    EventType(
        _N.PAYMENT_REFUNDED,
        "Money went back to the customer; `amount` is there where it is not the total. There may be several.",
    ),
    EventType(
        _N.INVENTORY_RELEASED,
        "Stock that was held is free again: of all lines, or of the dropped line that `reason` names.",
    ),
    EventType(_N.ORDER_CANCELED, "The order has ended and everything was undone; `reason` is the code."),
    EventType(_N.ORDER_REJECTED, "The order has ended before it was confirmed; `reason` is the code."),
    EventType(_N.ORDER_NEEDS_ATTENTION, "A person has to decide something; `reason` is the kind of ticket."),
    EventType(_N.ORDER_RESOLVED, "What needed a person is settled; `reason` is the kind of ticket, or the step."),
    EventType(
        _N.INVENTORY_UPDATED,
        "The stock on hand has changed: goods came, were counted, or were shipped.",
        InventoryUpdatedData,
        PRODUCTS,
    ),
    EventType(
        _N.PROMOTION_EXHAUSTED,
        "A coupon has been used as often as it may be.",
        PromotionExhaustedData,
        PROMOTIONS,
    ),
)

BY_TYPE: Mapping[str, EventType] = {one.type: one for one in REGISTRY}
"""Every type of event by its CloudEvents type."""


NO_TYPE = "no such type of event"


class UnknownEventType(InvalidInput):
    """No event of this type, or not in this version, is known here; the error says what exists.

    A consumer that meets one parks the event and goes on with other subjects: a newer version of the service sent it.
    """


class WrongEventData(ValueError):
    """The event's data is not what the schema of its type says."""


def of_type(type_: str) -> EventType:
    """The entry of a CloudEvents type. Raises UnknownEventType, which names the versions that exist, or all types."""
    found = BY_TYPE.get(type_)
    if found is None:
        versions = [one for one in BY_TYPE if _unversioned(one) == _unversioned(type_)]
        raise _unknown("type", "no such version of this type of event" if versions else NO_TYPE, versions or BY_TYPE)
    return found


def named(name: str) -> tuple[EventType, ...]:
    """Every version of what a filter means by `name`: `OrderPlaced`, the older `OrderCreated`, or a CloudEvents type.

    Raises UnknownEventType with what exists.
    """
    found = tuple(one for one in REGISTRY if name in (one.name.value, one.type, *one.also))
    if not found:
        raise _unknown("type", NO_TYPE, dict.fromkeys(known for one in REGISTRY for known in (one.name, *one.also)))
    return found


def read(type_: str, data: Mapping[str, Any]) -> EventData:
    """The data of an event by the model of its type; fields that the model does not know are passed over.

    Raises UnknownEventType; WrongEventData, which names the fields and quotes no value.
    """
    entry = of_type(type_)
    try:
        event = entry.data.model_validate(data)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False)]
        raise WrongEventData(f"{type_}: {'; '.join(wrong)}") from None
    if event.event_type is not entry.name:
        raise WrongEventData(f"{type_}: eventType: not {entry.name.value}")
    return event


def _unknown(field: str, fault: str, known: Iterable[str]) -> UnknownEventType:
    message = f"{fault}; there are {', '.join(known)}"
    return UnknownEventType("unknown_event_type", message, fields=[BadField(field, message)])
