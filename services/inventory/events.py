"""The events that tell of stock."""

from __future__ import annotations

from adapters.clock import now
from domain.events import EventName, InventoryUpdatedData
from services.outbox.events import new_event_id, outbox_row
from services.outbox.tables import OutboxEvent

EVENT_SOURCE = "/products"


def inventory_updated(product_id: str, change: int, on_hand: int, sequence: int) -> OutboxEvent:
    """The outbox row of a change of `on_hand`; `sequence` was taken under the lock of the stock row."""
    data = InventoryUpdatedData(
        event_id=new_event_id(),
        event_type=EventName.INVENTORY_UPDATED,
        timestamp=now(),
        product_id=product_id,
        quantity_change=change,
        new_quantity=on_hand,
    )
    return outbox_row(EVENT_SOURCE, product_id, sequence, data)
