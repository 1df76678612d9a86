"""The label: bought, and voided.

A carrier knows no idempotency keys, so nothing is bought twice because the shipment's id is saved before the
purchase, and every attempt after the first looks before it buys. A purchase cannot be fenced at the far end either:
it is sent until a deadline that is saved before, and an undo that finds no label looks again after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity

from adapters.carrier.gateway import CarrierGateway, NoRateFits, PostageExists, ShipmentSnapshot, VoidRefused
from adapters.clock import now
from domain.commands import Attention, Label, OrderRef, ParcelStatus
from domain.errors import CallRefused, OurFault, OurMistake, ShipmentRefused, StepUndone, TryAgain
from domain.events import EventName
from domain.parcels import LabelRefund, Rate, next_void_look
from domain.repairs import SCAN_AFTER_VOID, VOID_PENDING, VOID_REJECTED
from domain.shipping import CALLED_BACK, ShipmentState
from domain.steps import CANCEL_SHIPMENT, SHIP, FenceState
from domain.void_commands import ConfirmVoid, VoidedShipment, VoidOutcome
from services.orders.book import LockedOrder, OrderBook
from services.shipping.book import (
    begin_purchase,
    call_back,
    end_purchase,
    may_be_replaced,
    new_shipment,
    note_label,
    note_never_bought,
    note_parcel,
    refuse_purchase,
    replace_shipment,
    shipment_of,
    still_to_arrive,
    wait_for_void,
)
from services.shipping.tables import ShipmentRow
from services.tickets.book import open_ticket

HOLD_POLL = timedelta(minutes=1)
RATES_RETRIES = 5  # about a minute of them
LAST_DECISION_PAUSE = timedelta(minutes=10)
"""While nobody knows yet whether a cancel can be granted."""

VOIDED = VoidedShipment(outcome=VoidOutcome.VOIDED)
NOTHING = VoidedShipment(outcome=VoidOutcome.NOTHING)
SCANNED = VoidedShipment(outcome=VoidOutcome.SCANNED)


@dataclass(frozen=True)
class VoidRules:
    """`money_first`: an accepted void is enough; `patience`: how long it may wait before a person is called."""

    money_first: bool = False
    patience: timedelta = timedelta(days=21)


class Shipping:
    """The step that buys an order's label, its undo, and the look at a void that the carrier decides later."""

    def __init__(self, book: OrderBook, carrier: CarrierGateway, voids: VoidRules | None = None) -> None:
        self._book = book
        self._carrier = carrier
        self._voids = voids or VoidRules()

    @activity.defn
    async def ship_order(self, ref: OrderRef) -> Label:
        """Buys the label. Raises ShipmentRefused, e.g. for an address that the carrier does not serve."""
        order = await self._book.look(ref.order_id)
        order.require_not_undone(SHIP)
        if order.fence(SHIP):
            return Label.model_validate(order.result_of(SHIP))
        address, row = await self._book.address_of(order.row), shipment_of(order)
        created = await self._carrier.retrieve(row.shipment_id) if row is not None else None
        lost = row is not None and may_be_replaced(row, self._carrier.timeout)
        if created is None or (lost and not created.bought):
            fresh = await self._carrier.create(ref.order_id, address)
            created = fresh if created is None else await self._take_over(ref, created, fresh)
        if not created.bought:
            created = await self._buy(ref, created, order.row.shipping_service)
        try:
            return await self._record_purchase(ref, created)
        except StepUndone:
            # The undo found no label, and this one came after its last look: nobody else knows of it.
            await self._carrier.void(created.id)
            raise

    async def _take_over(self, ref: OrderRef, former: ShipmentSnapshot, fresh: ShipmentSnapshot) -> ShipmentSnapshot:
        """A shipment made with what is sent today replaces one that could never be bought; it was free."""
        async with self._book.locked(ref.order_id) as order:
            order.require_not_undone(SHIP)
            row = shipment_of(order)
            if row is not None and row.shipment_id == former.id:
                replace_shipment(order, row, fresh.id)
        return fresh

    async def _record_purchase(self, ref: OrderRef, bought: ShipmentSnapshot) -> Label:
        async with self._book.locked(ref.order_id) as order:
            order.require_not_undone(SHIP)
            if order.fence(SHIP):
                return Label.model_validate(order.result_of(SHIP))
            label = await _record_label(order, bought)
            order.note(f"label bought: {label.carrier} {label.tracking_number}")
            order.emit(EventName.SHIPMENT_BOOKED, tracking=label.tracking_number)
            return label

    async def _buy(self, ref: OrderRef, shipment: ShipmentSnapshot, service: str | None) -> ShipmentSnapshot:
        rate = self._rate_for(shipment, service)
        async with self._book.locked(ref.order_id) as order:
            if order.row.hold is not None:
                raise TryAgain("the payment is on hold: nothing ships meanwhile", delay=HOLD_POLL)
            order.require_not_undone(SHIP)  # stop before anything is bought
            done = order.fence(SHIP) is not None
            row = shipment_of(order) or new_shipment(order, shipment.id)
            ours = row.shipment_id == shipment.id and not done
            if ours:
                until = begin_purchase(order, row, self._carrier.timeout)
        if not ours:  # another attempt was faster: only the shipment that is saved is ever bought
            shipment = await self._carrier.retrieve(row.shipment_id)
            # Nothing may come between the saved deadline and the purchase: after a look it is saved again.
            return shipment if shipment.bought or done else await self._buy(ref, shipment, service)
        try:
            return await self._carrier.buy(shipment.id, rate, until)
        except PostageExists:
            return await self._carrier.retrieve(shipment.id)
        except CallRefused:
            async with self._book.locked(ref.order_id) as order:
                if (refused := shipment_of(order)) is not None and refused.shipment_id == shipment.id:
                    refuse_purchase(order, refused)
            raise
        except ShipmentRefused:
            async with self._book.locked(ref.order_id) as order:
                if (refused := shipment_of(order)) is not None:
                    end_purchase(order, refused, until)
            raise

    def _rate_for(self, shipment: ShipmentSnapshot, service: str | None) -> Rate:
        """No rates are no answer about the order: carriers give none for a moment, or for a wrong address of ours.

        What lasts for a minute is taken for our fault: so it has one ticket, however many orders meet it.
        """
        try:
            return self._carrier.rate_for(shipment, service)
        except NoRateFits as none:
            attempt = activity.info().attempt
            if attempt > RATES_RETRIES:
                mend = "set ORDERSAGA_SHIPPING_ORIGIN and the parcel's settings right, or cancel the order"
                raise OurFault(str(none), far_end="carrier", cause="no rate that fits", mend=mend) from none
            none.delay = timedelta(seconds=2**attempt)
            raise

    @activity.defn
    async def cancel_shipment(self, ref: OrderRef) -> VoidedShipment:
        """Voids the label, if one was bought; a parcel that was scanned stays shipped and is told as such."""
        async with self._book.locked(ref.order_id) as order:
            row = shipment_of(order)
            if order.state_of(CANCEL_SHIPMENT) is FenceState.DONE:
                return VOIDED  # settled by a person
            begun = order.state_of(SHIP) is FenceState.UNDONE  # a void may have been asked for before the scan
            bought = row is not None and row.state == ShipmentState.BOUGHT
            if row is not None and bought and not begun and ParcelStatus(row.parcel_status).scanned:
                return SCANNED  # known already: the step stays done
            order.mark(SHIP, FenceState.UNDONE, order.result_of(SHIP))
        if row is None or row.state == ShipmentState.CREATED:
            return NOTHING
        if row.state == ShipmentState.VOIDED:
            return VOIDED
        shipment = await self._carrier.retrieve(row.shipment_id)
        if not shipment.bought:
            return await self._nothing_bought(ref, row)
        return await self._record_void(ref, await self._ask_for_void(shipment))

    async def _nothing_bought(self, ref: OrderRef, row: ShipmentRow) -> VoidedShipment:
        """No label *yet*: a purchase that was sent may still arrive until its deadline."""
        if (left := still_to_arrive(row, self._carrier.timeout)) > timedelta(0):
            raise TryAgain("a purchase was sent and may still arrive", delay=left)
        async with self._book.locked(ref.order_id) as order:
            note_never_bought(order, shipment_of(order) or row)
        return NOTHING

    async def _ask_for_void(self, shipment: ShipmentSnapshot) -> ShipmentSnapshot:
        """Asks unless that was done; again where it was rejected, which may have been a mistake of the carrier."""
        if shipment.status.scanned or shipment.refund_status not in (None, LabelRefund.REJECTED):
            return shipment
        try:
            return await self._carrier.void(shipment.id)
        except VoidRefused:
            return await self._carrier.retrieve(shipment.id)

    async def _record_void(self, ref: OrderRef, shipment: ShipmentSnapshot) -> VoidedShipment:
        async with self._book.locked(ref.order_id) as order:
            row = shipment_of(order)
            assert row is not None
            scanned, refund = await _note_scan(order, row, shipment), shipment.refund_status
            if refund is LabelRefund.REFUNDED or (refund is LabelRefund.NOT_APPLICABLE and not scanned):
                return await _voided(order, row, refund)
            if refund is LabelRefund.SUBMITTED and (row.state in CALLED_BACK or not scanned):
                await call_back(order, row, ShipmentState.VOID_REQUESTED, "label: void requested from the carrier")
                return VoidedShipment(outcome=VoidOutcome.REQUESTED, money_first=self._voids.money_first)
            if scanned:
                await _record_label(order, shipment)
                return SCANNED
            pause = min(next_void_look(wait_for_void(order, row)), LAST_DECISION_PAUSE)
        raise TryAgain("the carrier neither takes the label back nor has it scanned", delay=pause)

    @activity.defn
    async def confirm_void(self, ref: ConfirmVoid) -> VoidedShipment:
        """Looks whether the carrier has confirmed a void that was requested: VOIDED, or REQUESTED as before.

        To workflows that do not wait themselves it raises TryAgain, or OurMistake when the void was rejected.
        """
        async with self._book.locked(ref.order_id) as order:
            row = shipment_of(order)
            settled = order.state_of(CANCEL_SHIPMENT) is FenceState.DONE  # by a person
        if row is None or row.state == ShipmentState.VOIDED or settled:
            return VOIDED
        pending = await self._confirm(ref, await self._ask_for_void(await self._carrier.retrieve(row.shipment_id)))
        if ref.answers or pending.outcome is VoidOutcome.VOIDED:
            return pending
        if pending.ticket == VOID_REJECTED:
            raise OurMistake(pending.detail)
        raise TryAgain("the carrier has not confirmed the void yet", delay=pending.look_again_in)

    async def _confirm(self, ref: ConfirmVoid, shipment: ShipmentSnapshot) -> VoidedShipment:
        async with self._book.locked(ref.order_id) as order:
            row = shipment_of(order)
            assert row is not None
            scanned, refund = await _note_scan(order, row, shipment), shipment.refund_status
            if refund is LabelRefund.REFUNDED or (refund is LabelRefund.NOT_APPLICABLE and not scanned):
                return await _voided(order, row, refund)
            age = now() - (row.void_requested_at or row.updated_at)
        pending = VoidedShipment(outcome=VoidOutcome.REQUESTED, look_again_in=next_void_look(age))
        if refund is not LabelRefund.SUBMITTED:
            seen = "and has scanned the parcel" if scanned else "and has not scanned the parcel: is it still here?"
            rejected = f"the carrier does not take the label back ({refund or 'no answer'}), {seen}"
            return pending.model_copy(update={"ticket": VOID_REJECTED, "detail": rejected})
        if age >= self._voids.patience:
            late = f"the void was requested {age.days} days ago; money and stock of the order may wait for it"
            return pending.model_copy(update={"ticket": VOID_PENDING, "detail": late})
        return pending


async def _record_label(order: LockedOrder, shipment: ShipmentSnapshot) -> Label:
    row = shipment_of(order)
    assert row is not None
    return note_label(order, row, shipment.carrier, shipment.tracking_number, shipment.status)


async def _note_scan(order: LockedOrder, row: ShipmentRow, shipment: ShipmentSnapshot) -> bool:
    """Whether the parcel was scanned; that one whose label was called back has moved reaches a person."""
    moved, scanned = note_parcel(order, row, shipment.status), ParcelStatus(row.parcel_status).scanned
    if moved and scanned and row.state in CALLED_BACK:
        await _call_person_about_scan(order)
    return scanned


async def _voided(order: LockedOrder, row: ShipmentRow, refund: LabelRefund) -> VoidedShipment:
    """The label counts as void; a parcel that had left before our books knew of the void reaches a person."""
    if ParcelStatus(row.parcel_status).scanned and row.state not in CALLED_BACK:
        await _call_person_about_scan(order)
    nothing_paid = ": the carrier bills on scan, nothing was paid" if refund is LabelRefund.NOT_APPLICABLE else ""
    await call_back(order, row, ShipmentState.VOIDED, f"label voided{nothing_paid}")
    return VOIDED


async def _call_person_about_scan(order: LockedOrder) -> None:
    about = "its label was called back for a canceled order, but the carrier has scanned the parcel"
    ticket = Attention(order_id=order.row.order_id, step=SHIP, kind=SCAN_AFTER_VOID, detail=about)
    await open_ticket(order, ticket)
