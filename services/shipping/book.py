"""Our book of an order's shipment: its label, and how far the parcel has come. Changed under the order's lock."""

from __future__ import annotations

from datetime import datetime, timedelta

from adapters.clock import now
from domain.commands import Label, ParcelStatus
from domain.events import EventName
from domain.order_states import OrderStatus
from domain.shipping import ShipmentState
from domain.steps import RECORD_DELIVERED, RECORD_SHIPPED, SHIP, FenceState
from services.orders.book import LockedOrder
from services.shipping.tables import ShipmentRow

CLOCK_MARGIN = timedelta(seconds=2)
"""The carrier's clock, and the way there: a purchase counts as lost so long after its deadline."""


def shipment_of(order: LockedOrder) -> ShipmentRow | None:
    """The order's shipment; None before it was saved."""
    shipments = order.rows_of(ShipmentRow)
    return shipments[0] if shipments else None


def note_parcel(order: LockedOrder, row: ShipmentRow, news: ParcelStatus) -> bool:
    """Notes how far the parcel has come, never backwards; False where that was known."""
    known = ParcelStatus(row.parcel_status)
    if known.then(news) is known:
        return False
    row.parcel_status, row.updated_at = news.value, now()
    return True


def note_label(
    order: LockedOrder, row: ShipmentRow, carrier: str | None, tracking: str | None, parcel: ParcelStatus
) -> Label:
    """The label is bought: the step is done."""
    row.carrier, row.tracking_number = carrier, tracking
    row.state, row.updated_at = ShipmentState.BOUGHT.value, now()
    note_parcel(order, row, parcel)
    label = Label(carrier=carrier or "", tracking_number=tracking or "")
    order.mark(SHIP, FenceState.DONE, label.model_dump(mode="json"))
    return label


def new_shipment(order: LockedOrder, shipment_id: str) -> ShipmentRow:
    """A row that is not in the books yet: `begin_purchase` saves it."""
    return ShipmentRow(order_id=order.row.order_id, shipment_id=shipment_id, state=ShipmentState.BUYING.value)


def replace_shipment(order: LockedOrder, row: ShipmentRow, shipment_id: str) -> None:
    """A shipment made with what is sent today replaces one that could never be bought; that one was free."""
    row.shipment_id, row.state, row.updated_at = shipment_id, ShipmentState.CREATED.value, now()
    row.buy_sent_at = row.buy_deadline = row.refused_at = None


def begin_purchase(order: LockedOrder, row: ShipmentRow, timeout: timedelta) -> datetime:
    """A purchase may be sent until the time that this returns; whoever undoes it waits until then."""
    row.state, row.buy_sent_at, row.updated_at = ShipmentState.BUYING.value, now(), now()
    row.buy_deadline = row.buy_sent_at + timeout
    if shipment_of(order) is not row:
        order.add(row)
    return row.buy_deadline


def end_purchase(order: LockedOrder, row: ShipmentRow, until: datetime) -> None:
    """The purchase with that deadline was refused: nothing is on its way, unless a later one was sent."""
    if row.state == ShipmentState.BUYING and row.buy_deadline == until:
        row.state, row.updated_at = ShipmentState.CREATED.value, now()
        row.buy_sent_at = row.buy_deadline = None


def refuse_purchase(order: LockedOrder, row: ShipmentRow) -> None:
    """The carrier has refused the purchase for what was sent: another shipment may take over."""
    row.refused_at = now()


def may_be_replaced(row: ShipmentRow, timeout: timedelta) -> bool:
    """Whether its purchase was refused for what was sent, and none that was sent can arrive any more."""
    ends = purchase_ends(row, timeout)
    return row.refused_at is not None and (ends is None or now() > ends + CLOCK_MARGIN)


def still_to_arrive(row: ShipmentRow, timeout: timedelta) -> timedelta:
    """For how long a purchase that was sent may still arrive; 0 or less when none can."""
    ends = purchase_ends(row, timeout)
    return ends + CLOCK_MARGIN - now() if ends is not None else timedelta(0)


def note_never_bought(order: LockedOrder, row: ShipmentRow) -> None:
    """No label was bought, and none will be."""
    row.state, row.updated_at = ShipmentState.VOIDED.value, now()


def wait_for_void(order: LockedOrder, row: ShipmentRow) -> timedelta:
    """The carrier neither takes the label back nor has it scanned; since when it was asked."""
    row.void_requested_at = row.void_requested_at or now()
    return now() - row.void_requested_at


def purchase_ends(row: ShipmentRow, timeout: timedelta) -> datetime | None:
    """When the purchase that was sent, if any, has either arrived or never will."""
    if row.buy_sent_at is None:
        return None
    if row.buy_deadline is None or row.buy_deadline < row.buy_sent_at:
        return row.buy_sent_at + 2 * timeout  # by a worker of before: it may have looked first, then bought
    return row.buy_deadline


async def call_back(order: LockedOrder, row: ShipmentRow, state: ShipmentState, what: str) -> None:
    """The carrier has accepted the void (VOID_REQUESTED) or carried it out (VOIDED); `what` is for the timeline.

    Once it is accepted the warehouse is told to keep the parcel here.
    """
    if row.state == state:
        return
    if row.state == ShipmentState.BOUGHT:  # of a label that is not in our books the warehouse never heard
        order.emit(EventName.SHIPMENT_HELD, tracking=row.tracking_number)
    row.state, row.updated_at = state.value, now()
    row.void_requested_at = row.void_requested_at or now()
    order.note(what)


async def note_shipped(order: LockedOrder) -> None:
    """The carrier has scanned the parcel: the order is SHIPPED. The caller has taken its goods out of the stock."""
    tracking = await _parcel_at(order, ParcelStatus.IN_TRANSIT)
    order.move(OrderStatus.SHIPPED, "scanned by the carrier")
    order.mark(RECORD_SHIPPED, FenceState.DONE)
    order.emit(EventName.ORDER_SHIPPED, tracking=tracking)


async def note_delivered(order: LockedOrder) -> None:
    """The parcel has reached its customer: the order is DELIVERED."""
    tracking = await _parcel_at(order, ParcelStatus.DELIVERED)
    order.move(OrderStatus.DELIVERED, "delivered")
    order.mark(RECORD_DELIVERED, FenceState.DONE)
    order.emit(EventName.ORDER_DELIVERED, tracking=tracking)


async def _parcel_at(order: LockedOrder, status: ParcelStatus) -> str | None:
    """Notes where the parcel is; its tracking number, None for an order without a label in our books."""
    row = shipment_of(order)
    if row is None:
        return None
    note_parcel(order, row, status)
    return row.tracking_number
