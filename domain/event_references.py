"""What existing consumers read: exactly the fields of the schemas that they were written against.

Our events carry all of these fields under the same names (docs/events.md), so that such a consumer reads them as
they are. The models also take what was written by these schemas as it stands: money as a number or as a decimal
string, ids as numbers or as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic.alias_generators import to_camel

from domain.event_registry import named


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Id = Annotated[str, BeforeValidator(_as_text)]


class Reference(BaseModel):
    """A schema of existing consumers; they pass over fields that they do not know."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, extra="ignore")


class ReferenceItem(Reference):
    """A line of an order; `price` is that of one piece."""

    product_id: Id
    quantity: int
    price: Decimal


class OrderCreated(Reference):
    """A new order, for consumers that know it by this name: the service sends OrderPlaced, which has all these."""

    event_id: str
    event_type: str
    timestamp: datetime
    order_id: Id
    user_id: Id
    items: list[ReferenceItem]
    total_amount: Decimal
    payment_status: str


class InventoryUpdated(Reference):
    """A change of the stock of a product, in pieces."""

    event_id: str
    event_type: str
    timestamp: datetime
    product_id: Id
    quantity_change: int
    new_quantity: int


class OrderChanged(Reference):
    """OrderPlaced, OrderShipped, OrderDelivered and OrderCanceled: an order that has got to another status."""

    detail_type: str
    order_id: Id
    order_status: str
    customer_id: Id
    items: list[ReferenceItem]
    total_amount: Decimal


REFERENCES: Mapping[str, type[Reference]] = {
    "OrderCreated": OrderCreated,
    "InventoryUpdated": InventoryUpdated,
    "OrderPlaced": OrderChanged,
    "OrderShipped": OrderChanged,
    "OrderDelivered": OrderChanged,
    "OrderCanceled": OrderChanged,
}
"""The schemas by the names under which consumers know the events."""


def as_reference(name: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The `data` of an event of ours with exactly the fields of the reference, and under its name.

    For consumers that go by `eventType` "OrderCreated", or refuse fields they do not know. Raises KeyError for a name
    that no reference has, UnknownEventType or ValueError for data that are not of its event.
    """
    event = named(name)[0].name.value
    if data.get("eventType") != event:
        raise ValueError(f"{name} is made of {event} only")
    fields = [field.alias or key for key, field in REFERENCES[name].model_fields.items()]
    return {field: name if field in ("eventType", "detailType") else data[field] for field in fields}
