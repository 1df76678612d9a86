"""What an operator's decision writes into our books, under the order's lock: what is done by hand, what is given up.

Every effect marks the fence of the step that it stands for, so that the step, run again, answers at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from adapters.clock import now
from domain.commands import Hold
from domain.events import EventName
from domain.order_states import OrderStatus, PaymentStatus
from domain.payments import PaymentState
from domain.repairs import (
    AFTER_SCAN,
    FOLLOW_PARCEL,
    PAYMENT_REFUNDED,
    REFUSED_AFTER_SCAN,
    Owner,
    RepairDecision,
    Resolution,
    rule_of,
)
from domain.shipping import ShipmentState
from domain.steps import CANCEL_SHIPMENT, CAPTURE, RECORD_DELIVERED, RELEASE, RETURN, SHIP, FenceState
from services.orders.book import LockedOrder
from services.payments.book import note_state, payment_of
from services.payments.returns import fence_off
from services.shipping.book import shipment_of

Effect = Callable[[LockedOrder, Resolution], Awaitable[bool]]


async def take_effect(order: LockedOrder, step: str, kind: str, wanted: Resolution) -> bool:
    """Writes what the decision means; False when the step has succeeded meanwhile, and nothing was written."""
    if kind == PAYMENT_REFUNDED:
        return _goods_may_leave(order, wanted)
    if rule_of(kind, step).owner is Owner.DESK:
        return True  # nobody runs the step again: what was decided stands on the ticket and in the timeline
    of = REFUSED_AFTER_SCAN if kind.endswith(AFTER_SCAN) else step
    effect = EFFECTS.get((of, wanted.decision))
    return await effect(order, wanted) if effect else True


async def _returned(order: LockedOrder, wanted: Resolution) -> bool:
    """The customer was paid back by other means."""
    if order.state_of(RETURN) is FenceState.DONE:
        return False
    _close_payment(order, wanted)
    if order.row.payment_status == PaymentStatus.FAILED:
        return True  # declined: nothing was held
    payment, taken = payment_of(order), order.row.payment_status == PaymentStatus.CAPTURED
    if payment is not None:
        taken = taken or payment.captured_minor > 0
        payment.refunded_minor = payment.captured_minor
        payment.updated_at = now()
        note_state(order, payment, PaymentState.REFUNDED if taken else PaymentState.VOIDED)
    order.paid(PaymentStatus.REFUNDED if taken else PaymentStatus.VOIDED)
    order.emit(EventName.PAYMENT_REFUNDED if taken else EventName.PAYMENT_VOIDED)
    return True


async def _not_returned(order: LockedOrder, wanted: Resolution) -> bool:
    """Nothing goes back: the payment keeps its row and its status, which are the truth."""
    if order.state_of(RETURN) is FenceState.DONE:
        return False
    _close_payment(order, wanted)
    return True


def _close_payment(order: LockedOrder, wanted: Resolution) -> None:
    fence_off(order)
    order.mark(RETURN, FenceState.DONE, _settled(wanted))


async def _void(order: LockedOrder, wanted: Resolution) -> bool:
    """The label is off, by the operator's word."""
    shipment = shipment_of(order)
    if shipment is not None:
        if shipment.state == ShipmentState.VOIDED:
            return False
        shipment.state, shipment.updated_at = ShipmentState.VOIDED.value, now()
    return _stop_shipping(order, wanted)


async def _give_label_up(order: LockedOrder, wanted: Resolution) -> bool:
    """The label keeps its row, which is the truth; nobody asks the carrier for it any more."""
    shipment = shipment_of(order)
    return _stop_shipping(order, wanted) if shipment is None or shipment.state != ShipmentState.VOIDED else False


def _stop_shipping(order: LockedOrder, wanted: Resolution) -> bool:
    if order.state_of(CANCEL_SHIPMENT) is FenceState.DONE:
        return False
    order.mark(SHIP, FenceState.UNDONE, order.result_of(SHIP))
    order.mark(CANCEL_SHIPMENT, FenceState.DONE, _settled(wanted))
    return True


async def _paid_otherwise(order: LockedOrder, wanted: Resolution) -> bool:
    """Captured by other means, for goods that are on their way; Stripe's payment keeps its row."""
    return _go_on(order, wanted, PaymentStatus.CAPTURED, "paid by other means")


async def _without_money(order: LockedOrder, wanted: Resolution) -> bool:
    """The goods are on their way and will not be paid."""
    return _go_on(order, wanted, PaymentStatus.FAILED, "goes on without the money")


def _go_on(order: LockedOrder, wanted: Resolution, paid: PaymentStatus, what: str) -> bool:
    if order.state_of(CAPTURE) is FenceState.DONE or order.status is not OrderStatus.CONFIRMED:
        return False
    order.paid(paid)
    order.move(OrderStatus.READY_TO_SHIP, what, by=wanted.by)
    order.mark(CAPTURE, FenceState.DONE, _settled(wanted))
    return True


async def _parcel_arrived(order: LockedOrder, wanted: Resolution) -> bool:
    """The saga itself writes the next state: SHIPPED, or DELIVERED."""
    return order.status in (OrderStatus.READY_TO_SHIP, OrderStatus.SHIPPED)


async def _parcel_given_up(order: LockedOrder, wanted: Resolution) -> bool:
    """Its delivery will not be recorded any more: the order stays SHIPPED."""
    if order.status is not OrderStatus.SHIPPED or order.state_of(RECORD_DELIVERED):
        return False
    order.mark(RECORD_DELIVERED, FenceState.REFUSED, _settled(wanted))
    return True


def _goods_may_leave(order: LockedOrder, wanted: Resolution) -> bool:
    """The fence outlives the hold: later news of the same refund does not hold the goods again."""
    order.mark(RELEASE, FenceState.DONE, _settled(wanted))
    if order.row.hold == Hold.REFUNDED:
        order.row.hold = None
    return True


def _settled(wanted: Resolution) -> dict[str, str]:
    """Kept in the fence: who settled it, and how."""
    return {"decision": wanted.decision.value, "by": wanted.by}


EFFECTS: dict[tuple[str, RepairDecision], Effect] = {
    (RETURN, RepairDecision.MARK_DONE): _returned,
    (RETURN, RepairDecision.WRITE_OFF): _not_returned,
    (CANCEL_SHIPMENT, RepairDecision.MARK_DONE): _void,
    (CANCEL_SHIPMENT, RepairDecision.WRITE_OFF): _give_label_up,
    ("confirm_void", RepairDecision.MARK_DONE): _void,
    ("confirm_void", RepairDecision.WRITE_OFF): _give_label_up,
    (REFUSED_AFTER_SCAN, RepairDecision.MARK_DONE): _paid_otherwise,
    (REFUSED_AFTER_SCAN, RepairDecision.WRITE_OFF): _without_money,
    (FOLLOW_PARCEL, RepairDecision.MARK_DONE): _parcel_arrived,
    (FOLLOW_PARCEL, RepairDecision.WRITE_OFF): _parcel_given_up,
}
"""By the step that the decision stands for; the kind takes its place where it decides alone."""
