"""Our book of an order's shipment: its label, and how far the parcel has come. Changed under the order's lock."""

from __future__ import annotations

from datetime import datetime, timedelta

from adapters.clock import now
from domain.commands import Label, ParcelStatus
from domain.events import EventName
from domain.steps import SHIP
from services.orders.book import LockedOrder
from services.shipping.tables import ShipmentRow

CALLED_BACK = ("void_requested", "voided")
"""States of a label whose parcel has to stay here."""


async def shipment_of(order: LockedOrder) -> ShipmentRow | None:
    return await order.session.get(ShipmentRow, order.row.order_id)


def note_parcel(order: LockedOrder, row: ShipmentRow, news: ParcelStatus) -> bool:
    """Notes how far the parcel has come, never backwards; False where that was known."""
    known = ParcelStatus(row.parcel_status)
    if known.then(news) is known:
        return False
    row.parcel_status, row.updated_at = news.value, now()
    order.session.add(row)
    return True


def note_label(
    order: LockedOrder, row: ShipmentRow, carrier: str | None, tracking: str | None, parcel: ParcelStatus
) -> Label:
    """The label is bought: the step is done."""
    row.state, row.carrier, row.tracking_number, row.updated_at = "bought", carrier, tracking, now()
    order.session.add(row)
    note_parcel(order, row, parcel)
    label = Label(carrier=carrier or "", tracking_number=tracking or "")
    order.mark(SHIP, "done", label.model_dump(mode="json"))
    return label


def begin_purchase(order: LockedOrder, row: ShipmentRow, timeout: timedelta) -> datetime:
    """A purchase may be sent until the time that this gives; whoever undoes it waits until then."""
    row.state, row.buy_sent_at, row.updated_at = "buying", now(), now()
    row.buy_deadline = row.buy_sent_at + timeout
    order.session.add(row)
    return row.buy_deadline


def end_purchase(order: LockedOrder, row: ShipmentRow, until: datetime) -> None:
    """The purchase with that deadline was refused: nothing is on its way, unless a later one was sent."""
    if row.state == "buying" and row.buy_deadline == until:
        row.state, row.buy_sent_at, row.buy_deadline, row.updated_at = "created", None, None, now()
        order.session.add(row)


def purchase_ends(row: ShipmentRow, timeout: timedelta) -> datetime | None:
    """When the purchase that was sent, if any, has either arrived or never will."""
    if row.buy_sent_at is None:
        return None
    if row.buy_deadline is None or row.buy_deadline < row.buy_sent_at:
        return row.buy_sent_at + 2 * timeout  # by a worker of before: it may have looked first, then bought
    return row.buy_deadline


async def call_back(order: LockedOrder, row: ShipmentRow, state: str, what: str) -> None:
    """The carrier has accepted the void (`void_requested`) or carried it out (`voided`).

    Once it is accepted the warehouse is told to keep the parcel here.
    """
    if row.state == state:
        return
    if row.state == "bought":  # of a label that is not in our books the warehouse never heard
        await order.emit(EventName.SHIPMENT_HELD, tracking=row.tracking_number)
    row.state, row.updated_at = state, now()
    row.void_requested_at = row.void_requested_at or now()
    order.session.add(row)
    order.note(what)
