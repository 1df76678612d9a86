"""The events that tell of an order."""

from __future__ import annotations

from adapters.clock import now
from domain.events import EventItem, EventName, OrderEventData, item
from domain.money import Money
from domain.order_states import OrderStatus, PaymentStatus
from services.orders.tables import Order, OrderLine
from services.outbox.events import new_event_id, outbox_row
from services.outbox.tables import OutboxEvent

EVENT_SOURCE = "/orders"


def order_event(
    row: Order,
    lines: list[OrderLine],
    name: EventName,
    reason: str | None = None,
    reason_id: str | None = None,
    tracking: str | None = None,
    amount: Money | None = None,
) -> OutboxEvent:
    """The outbox row of an event of the order as its row says it is; `event_sequence` was taken for it."""
    data = OrderEventData(
        event_id=new_event_id(),
        event_type=name,
        detail_type=name,
        timestamp=now(),
        order_id=row.order_id,
        user_id=row.customer_id,
        customer_id=row.customer_id,
        order_status=OrderStatus(row.status),
        payment_status=PaymentStatus(row.payment_status),
        items=_items(row, lines),
        currency=row.currency,
        total_amount=Money(minor=row.total_minor, currency=row.currency).decimal,
        **_parts(row),
        reason=reason,
        reason_id=reason_id,
        tracking_number=tracking,
        amount=amount.decimal if amount else None,
    )
    return outbox_row(EVENT_SOURCE, row.order_id, row.event_sequence, data)


def _parts(row: Order) -> dict[str, str]:
    """What made the total, where it is more than the sum of the lines; what is not there is left out."""
    if not (row.discount_minor or row.shipping_fee_minor or row.added_tax_minor):
        return {}
    parts = {
        "subtotal_amount": row.subtotal_minor,
        "discount_amount": row.discount_minor,
        "shipping_fee": row.shipping_fee_minor,
        "added_tax_amount": row.added_tax_minor,
    }
    return {name: Money(minor=minor, currency=row.currency).decimal for name, minor in parts.items() if minor}


def _items(row: Order, lines: list[OrderLine]) -> list[EventItem]:
    return [_item(row.currency, line) for line in lines if not line.dropped]


def _item(currency: str, line: OrderLine) -> EventItem:
    plain = item(line.product_id, line.quantity, Money(minor=line.unit_price_minor, currency=currency))
    if not (line.discount_minor or line.tax_minor):
        return plain
    parts = {"discount": line.discount_minor, "tax": line.tax_minor}
    found = {name: Money(minor=minor, currency=currency).decimal for name, minor in parts.items() if minor}
    return plain.model_copy(update=found)
