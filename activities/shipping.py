"""The parcel: its label bought and voided, its way recorded.

A carrier knows no idempotency keys, so nothing is bought twice because the shipment's id is saved before the
purchase, and every attempt after the first looks before it buys. A purchase cannot be fenced at the far end either:
an undo that finds no label looks again after the purchase call's deadline.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity

from adapters import saga_tables, stock
from adapters.carrier_gateway import CarrierGateway, PostageExists, ShipmentSnapshot, VoidRefused
from adapters.columns import now
from adapters.order_book import LockedOrder, OrderBook
from adapters.repair_desk import open_ticket
from domain.commands import Attention, Label, OrderRef, Parcel, ParcelStatus, VoidedShipment, VoidOutcome
from domain.errors import CallRefused, OurMistake, ShipmentRefused, StepUndone, TryAgain
from domain.events import EventName
from domain.order_states import OrderStatus
from domain.repairs import SCAN_AFTER_VOID
from domain.steps import CANCEL_SHIPMENT, RECORD_DELIVERED, RECORD_SHIPPED, SHIP

VOID_POLL = timedelta(seconds=30)
HOLD_POLL = timedelta(minutes=1)
CLOCK_MARGIN = timedelta(seconds=2)


class Shipping:
    def __init__(self, book: OrderBook, carrier: CarrierGateway) -> None:
        self._book = book
        self._carrier = carrier

    @activity.defn
    async def ship_order(self, ref: OrderRef) -> Label:
        """Buys the label. Raises ShipmentRefused, e.g. for an address that the carrier does not serve."""
        async with self._book.locked(ref.order_id) as order:
            if order.step(SHIP):
                return Label.model_validate(order.result_of(SHIP))
            address = order.row.shipping_address
            row = await _shipment_of(order)
        created = await self._carrier.retrieve(row.shipment_id) if row is not None else None
        if created is None or (not created.bought and row is not None and self._is_given_up(row)):
            fresh = await self._carrier.create(ref.order_id, address)
            created = fresh if created is None else await self._take_over(ref, created, fresh)
        if not created.bought:
            created = await self._buy(ref, created)
        try:
            return await self._record_purchase(ref, created)
        except StepUndone:
            # The undo found no label, and this one came after its last look: nobody else knows of it.
            await self._carrier.void(created.id)
            raise

    def _is_given_up(self, row: saga_tables.ShipmentRow) -> bool:
        """Whether its purchase was refused for what was sent, and none that was sent can arrive any more."""
        sent = row.buy_sent_at
        return row.refused_at is not None and (sent is None or now() > sent + self._carrier.timeout + CLOCK_MARGIN)

    async def _take_over(self, ref: OrderRef, former: ShipmentSnapshot, fresh: ShipmentSnapshot) -> ShipmentSnapshot:
        """A shipment made with what is sent today replaces one that could never be bought; it was free."""
        async with self._book.locked(ref.order_id) as order:
            order.step(SHIP)
            row = await _shipment_of(order)
            if row is not None and row.shipment_id == former.id:
                row.shipment_id, row.state, row.buy_sent_at, row.refused_at = fresh.id, "created", None, None
                order.session.add(row)
        return fresh

    async def _record_purchase(self, ref: OrderRef, bought: ShipmentSnapshot) -> Label:
        async with self._book.locked(ref.order_id) as order:
            if order.step(SHIP):
                return Label.model_validate(order.result_of(SHIP))
            label = await _record_label(order, bought)
            order.note(f"label bought: {label.carrier} {label.tracking_number}")
            await order.emit(EventName.SHIPMENT_BOOKED, tracking=label.tracking_number)
            return label

    async def _buy(self, ref: OrderRef, shipment: ShipmentSnapshot) -> ShipmentSnapshot:
        async with self._book.locked(ref.order_id) as order:
            if order.row.hold is not None:
                raise TryAgain("the payment is on hold: nothing ships meanwhile", delay=HOLD_POLL)
            done = order.step(SHIP)  # undone meanwhile: stop before anything is bought
            row = await _shipment_of(order)
            if row is None:
                row = saga_tables.ShipmentRow(order_id=ref.order_id, shipment_id=shipment.id, state="buying")
            if not done:
                row.state, row.buy_sent_at = "buying", now()
                order.session.add(row)
        if row.shipment_id != shipment.id:  # another attempt saved its shipment first: only that one is ever bought
            shipment = await self._carrier.retrieve(row.shipment_id)
            if shipment.bought:
                return shipment
        try:
            return await self._carrier.buy(shipment)
        except PostageExists:
            return await self._carrier.retrieve(shipment.id)
        except CallRefused:
            async with self._book.locked(ref.order_id) as order:
                if (refused := await _shipment_of(order)) is not None and refused.shipment_id == shipment.id:
                    refused.refused_at = now()
                    order.session.add(refused)
            raise
        except ShipmentRefused:
            async with self._book.locked(ref.order_id) as order:
                refused = await _shipment_of(order)
                if refused is not None and refused.state == "buying":
                    refused.state, refused.buy_sent_at = "created", None
                    order.session.add(refused)
            raise

    @activity.defn
    async def cancel_shipment(self, ref: OrderRef) -> VoidedShipment:
        """Voids the label, if one was bought; a parcel that was scanned stays shipped and is told as such."""
        async with self._book.locked(ref.order_id) as order:
            row = await _shipment_of(order)
            known = row.state if row else None
            if order.state_of(CANCEL_SHIPMENT) == "done":
                return VoidedShipment(outcome=VoidOutcome.VOIDED)  # settled by a person
            if row is not None and ParcelStatus(row.parcel_status).scanned:
                return VoidedShipment(outcome=VoidOutcome.SCANNED)  # known already: the step stays done
            order.mark(SHIP, "undone", order.result_of(SHIP))
        if row is None or known == "created":
            return VoidedShipment(outcome=VoidOutcome.NOTHING)
        if known == "voided":
            return VoidedShipment(outcome=VoidOutcome.VOIDED)
        shipment = await self._carrier.retrieve(row.shipment_id)
        if not shipment.bought:
            return await self._nothing_bought(ref, row)
        if shipment.refund_status is None and not shipment.status.scanned:
            try:
                shipment = await self._carrier.void(shipment.id)
            except VoidRefused:
                shipment = await self._carrier.retrieve(shipment.id)
        return await self._record_void(ref, shipment)

    async def _nothing_bought(self, ref: OrderRef, row: saga_tables.ShipmentRow) -> VoidedShipment:
        """No label *yet*: a purchase that was sent may still arrive until its deadline is over."""
        if row.buy_sent_at is not None:
            left = row.buy_sent_at + self._carrier.timeout + CLOCK_MARGIN - now()
            if left > timedelta(0):
                raise TryAgain("a purchase was sent and may still arrive", delay=left)
        async with self._book.locked(ref.order_id) as order:
            await _set_state(order, "voided")
        return VoidedShipment(outcome=VoidOutcome.NOTHING)

    async def _record_void(self, ref: OrderRef, shipment: ShipmentSnapshot) -> VoidedShipment:
        async with self._book.locked(ref.order_id) as order:
            if shipment.refund_status == "refunded":
                if await _set_state(order, "voided"):
                    order.note("label voided")
                return VoidedShipment(outcome=VoidOutcome.VOIDED)
            if shipment.refund_status == "submitted":
                if await _set_state(order, "void_requested"):
                    order.note("label: void requested from the carrier")
                return VoidedShipment(outcome=VoidOutcome.REQUESTED)
            if shipment.status.scanned:
                await _record_label(order, shipment)
                return VoidedShipment(outcome=VoidOutcome.SCANNED)
        raise TryAgain("the carrier neither takes the label back nor has it scanned")

    @activity.defn
    async def confirm_void(self, ref: OrderRef) -> None:
        """Waits until the carrier has confirmed a void that was requested; money goes back only then."""
        async with self._book.locked(ref.order_id) as order:
            row = await _shipment_of(order)
            settled = order.state_of(CANCEL_SHIPMENT) == "done"  # by a person
        if row is None or row.state == "voided" or settled:
            return
        shipment = await self._carrier.retrieve(row.shipment_id)
        if shipment.refund_status == "submitted":
            raise TryAgain("the carrier has not confirmed the void yet", delay=VOID_POLL)
        if shipment.refund_status != "refunded":
            raise OurMistake("the carrier did not take the label back after all: the parcel may be on its way")
        async with self._book.locked(ref.order_id) as order:
            if shipment.status.scanned:
                about = "its label was voided and its money goes back, but the carrier has scanned the parcel"
                await open_ticket(
                    order, Attention(order_id=ref.order_id, step=SHIP, kind=SCAN_AFTER_VOID, detail=about)
                )
            if await _set_state(order, "voided"):
                order.note("label voided")

    @activity.defn
    async def check_shipment(self, ref: OrderRef) -> Parcel:
        """Asks the carrier where the parcel is."""
        async with self._book.locked(ref.order_id) as order:
            row = await _shipment_of(order)
        if row is None:
            raise OurMistake("there is no shipment to look at")
        shipment = await self._carrier.retrieve(row.shipment_id)
        return Parcel(status=shipment.status)

    @activity.defn
    async def record_shipped(self, ref: OrderRef) -> None:
        """The carrier has scanned the parcel: the goods have left the stock."""
        async with self._book.locked(ref.order_id) as order:
            if order.step(RECORD_SHIPPED):
                return
            row = await _shipment_of(order)
            await _set_parcel(order, row, ParcelStatus.IN_TRANSIT)
            await stock.ship(order.session, ref.order_id)
            order.move(OrderStatus.SHIPPED, "scanned by the carrier")
            order.mark(RECORD_SHIPPED, "done")
            await order.emit(EventName.ORDER_SHIPPED, tracking=row.tracking_number if row else None)

    @activity.defn
    async def record_delivered(self, ref: OrderRef) -> None:
        async with self._book.locked(ref.order_id) as order:
            if order.step(RECORD_DELIVERED):
                return
            row = await _shipment_of(order)
            await _set_parcel(order, row, ParcelStatus.DELIVERED)
            order.move(OrderStatus.DELIVERED, "delivered")
            order.mark(RECORD_DELIVERED, "done")
            await order.emit(EventName.ORDER_DELIVERED, tracking=row.tracking_number if row else None)


async def _shipment_of(order: LockedOrder) -> saga_tables.ShipmentRow | None:
    return await order.session.get(saga_tables.ShipmentRow, order.row.order_id)


async def _set_state(order: LockedOrder, state: str) -> bool:
    """False when a former attempt has written it already."""
    row = await _shipment_of(order)
    assert row is not None
    if row.state == state:
        return False
    row.state, row.updated_at = state, now()
    order.session.add(row)
    return True


async def _set_parcel(order: LockedOrder, row: saga_tables.ShipmentRow | None, status: ParcelStatus) -> None:
    if row is not None:
        row.parcel_status, row.updated_at = status.value, now()
        order.session.add(row)


async def _record_label(order: LockedOrder, shipment: ShipmentSnapshot) -> Label:
    """The step is done: the label is in our books."""
    row = await _shipment_of(order)
    assert row is not None
    row.state, row.tracking_number, row.carrier = "bought", shipment.tracking_number, shipment.carrier
    row.parcel_status, row.updated_at = shipment.status.value, now()
    order.session.add(row)
    label = Label(carrier=shipment.carrier or "", tracking_number=shipment.tracking_number or "")
    order.mark(SHIP, "done", label.model_dump(mode="json"))
    return label
