"""The saga's steps in memory: what a workflow asks of its activities, and what these would have written.

A book of one row per order, kept by the rules of the real steps, far ends that answer at once, and no server but
Temporal's. So every decision of a workflow can be proven at half the cost; that the real steps keep these rules is
what the tests on the real servers show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from temporalio import activity

from domain.commands import (
    NO_REASON,
    Attention,
    Authorization,
    AuthorizationState,
    CloseOrder,
    Hold,
    Label,
    OrderClosed,
    OrderRef,
    Parcel,
    ParcelStatus,
    PaymentTry,
    RecordCancel,
)
from domain.errors import CaptureRefused, OutOfStock, PaymentDeclined, ShipmentRefused
from domain.order_states import FINAL, OrderStatus, PaymentStatus, allows
from domain.texts import KeepText, quote
from domain.void_commands import ConfirmVoid, VoidedShipment, VoidOutcome

DECLINES = {
    "pm_card_chargeDeclined": "generic_decline",
    "pm_card_chargeDeclinedInsufficientFunds": "insufficient_funds",
}
UNDECIDED = "carrier_decides"
VOIDED = VoidedShipment(outcome=VoidOutcome.VOIDED)


class Row(NamedTuple):
    """One of an order's timeline."""

    what: str
    by: str
    to_status: OrderStatus


@dataclass
class FakeOrder:
    """Everything that is known of an order, ours and the far ends'; amounts in minor units."""

    order_id: str
    on_hand: int
    quantity: int
    minor: int
    method: str
    address: dict[str, Any] | None = None
    status: OrderStatus = OrderStatus.PLACED
    payment_status: PaymentStatus = PaymentStatus.PENDING
    reserved: int = 0
    held: int = 0
    kept: int = 0
    labels: int = 0
    authorizations: int = 0
    authenticated: bool = False
    card_kept: bool = False
    hold: Hold | None = None
    parcel: ParcelStatus = ParcelStatus.PRE_TRANSIT
    refusal: dict[str, str] | None = None
    wishes: dict[str, str] = field(default_factory=dict)  # the code of each, by its id
    rows: list[Row] = field(default_factory=list)

    def note(self, what: str, by: str = "saga") -> None:
        self.rows.append(Row(what, by, self.status))

    def move(self, to: OrderStatus, what: str, by: str = "saga") -> None:
        assert allows(self.status, to), f"an order never goes from {self.status} to {to}"
        self.status = to
        self.note(what, by)

    def authorize(self) -> None:
        self.held, self.payment_status = self.minor, PaymentStatus.AUTHORIZED
        self.authorizations += 1


class FakeSteps:
    """The activities, by the names and with the messages of the real ones."""

    def __init__(self) -> None:
        self.orders: dict[str, FakeOrder] = {}
        self.words: dict[str, str] = {}

    def methods(self) -> list[Callable[..., Any]]:
        names = [name for name, value in vars(FakeSteps).items() if hasattr(value, "__temporal_activity_definition")]
        return [getattr(self, name) for name in names]

    @activity.defn
    async def reserve_inventory(self, ref: OrderRef) -> None:
        order = self.orders[ref.order_id]
        if order.reserved:
            return
        if order.on_hand < order.quantity:
            raise OutOfStock(["lamp"])
        order.reserved = order.quantity
        order.move(OrderStatus.RESERVED, "stock reserved")

    @activity.defn
    async def release_inventory(self, ref: OrderRef) -> None:
        self.orders[ref.order_id].reserved = 0

    @activity.defn
    async def authorize_payment(self, ref: PaymentTry) -> Authorization:
        order = self.orders[ref.order_id]
        order.method, order.card_kept = ref.payment_method or order.method, ref.keep_card
        if (code := DECLINES.get(order.method)) is not None:
            order.payment_status = PaymentStatus.FAILED
            if ref.retry_until is None:
                raise PaymentDeclined(code, "the card was declined")
            self._wait(order, f"declined: {code}")
            return Authorization(state=AuthorizationState.DECLINED, round=ref.round, code=code)
        if order.method == "pm_card_authenticationRequired" and not order.authenticated:
            order.payment_status = PaymentStatus.REQUIRES_ACTION
            self._wait(order, "the customer has to act")
            return Authorization(state=AuthorizationState.REQUIRES_ACTION, round=ref.round)
        return self._confirmed(order, ref)

    def _wait(self, order: FakeOrder, why: str) -> None:
        if order.status is not OrderStatus.AWAITING_CUSTOMER:
            order.move(OrderStatus.AWAITING_CUSTOMER, why)

    def _confirmed(self, order: FakeOrder, ref: PaymentTry) -> Authorization:
        if not order.held:
            order.authorize()
            order.hold = Hold.REVIEW if order.method == "pm_card_riskLevelElevated" else None
            order.move(OrderStatus.CONFIRMED, "payment authorized")
        return Authorization(state=AuthorizationState.AUTHORIZED, round=ref.round, hold=order.hold)

    @activity.defn
    async def check_payment(self, ref: PaymentTry) -> Authorization:
        return await self.authorize_payment(ref)

    @activity.defn
    async def keep_authorization(self, ref: PaymentTry) -> Authorization:
        order = self.orders[ref.order_id]
        if order.held:
            return Authorization(state=AuthorizationState.AUTHORIZED, round=ref.round - 1, hold=order.hold)
        if not order.card_kept:
            raise PaymentDeclined("authorization_gone", "the hold has ended and the card was not kept")
        order.authorize()
        return Authorization(state=AuthorizationState.AUTHORIZED, round=ref.round)

    @activity.defn
    async def ship_order(self, ref: OrderRef) -> Label:
        order = self.orders[ref.order_id]
        if order.address is not None:
            raise ShipmentRefused("address_refused", "no such street")
        order.labels = 1
        return Label(carrier="USPS", tracking_number="1")

    @activity.defn
    async def capture_payment(self, ref: OrderRef) -> None:
        order = self.orders[ref.order_id]
        if order.kept:
            return
        if not order.held:
            raise CaptureRefused("authorization_gone", "the hold has ended")
        order.held, order.kept, order.payment_status = 0, order.minor, PaymentStatus.CAPTURED
        order.move(OrderStatus.READY_TO_SHIP, "payment captured")

    @activity.defn
    async def return_payment(self, ref: OrderRef) -> None:
        order = self.orders[ref.order_id]
        if order.kept:
            order.payment_status = PaymentStatus.REFUNDED
        elif order.payment_status in (PaymentStatus.AUTHORIZED, PaymentStatus.REQUIRES_ACTION):
            order.payment_status = PaymentStatus.VOIDED
        order.held = order.kept = 0

    @activity.defn
    async def cancel_shipment(self, ref: OrderRef) -> VoidedShipment:
        order = self.orders[ref.order_id]
        if not order.labels:
            return VoidedShipment(outcome=VoidOutcome.NOTHING)
        if order.parcel.scanned:
            return VoidedShipment(outcome=VoidOutcome.SCANNED)
        order.labels = 0
        return VOIDED

    @activity.defn
    async def confirm_void(self, ref: ConfirmVoid) -> VoidedShipment:
        return VOIDED

    @activity.defn
    async def check_shipment(self, ref: OrderRef) -> Parcel:
        return Parcel(status=self.orders[ref.order_id].parcel)

    @activity.defn
    async def record_shipped(self, ref: OrderRef) -> None:
        order = self.orders[ref.order_id]
        order.on_hand, order.reserved = order.on_hand - order.reserved, 0
        order.move(OrderStatus.SHIPPED, "scanned by the carrier")

    @activity.defn
    async def record_delivered(self, ref: OrderRef) -> None:
        self.orders[ref.order_id].move(OrderStatus.DELIVERED, "delivered")

    @activity.defn
    async def may_ship_now(self, ref: OrderRef) -> bool:
        return True

    @activity.defn
    async def record_cancel_request(self, cancel: RecordCancel) -> None:
        order, by = self.orders[cancel.order_id], cancel.request.by
        words = self.words.get(cancel.request.text_id or "", cancel.request.reason)
        if cancel.wish_id not in order.wishes:
            if cancel.code == UNDECIDED:
                order.note(f"cancel requested, the carrier decides: {words}", by)
            elif order.status is OrderStatus.CANCELING:
                order.note(f"cancel joined: {words}", by)
        order.wishes[cancel.wish_id] = cancel.code
        if cancel.code != UNDECIDED and order.status is not OrderStatus.CANCELING:
            order.move(OrderStatus.CANCELING, f"cancel accepted: {words}", by)

    @activity.defn
    async def record_cancel_refusal(self, cancel: RecordCancel) -> None:
        order = self.orders[cancel.order_id]
        if order.wishes.get(cancel.wish_id, UNDECIDED) == UNDECIDED:
            if cancel.code not in order.wishes.values():
                order.note(f"cancel refused: {cancel.code}", cancel.request.by)
            order.wishes[cancel.wish_id] = cancel.code

    @activity.defn
    async def close_order(self, close: CloseOrder) -> OrderClosed:
        order, why = self.orders[close.order_id], close.detail or close.code
        assert (order.reserved, order.held, order.kept, order.labels) == (0, 0, 0, 0), "an order ends with nothing"
        if order.status in FINAL:
            return OrderClosed(status=order.status)
        if close.status is OrderStatus.REJECTED and allows(order.status, OrderStatus.REJECTED):
            order.refusal = {"code": close.code, "detail": NO_REASON if close.text_id else close.detail}
            order.move(OrderStatus.REJECTED, quote("rejected: {}", [why]), close.by)
        else:
            if order.status is not OrderStatus.CANCELING:
                order.move(OrderStatus.CANCELING, why, close.by)
            order.move(OrderStatus.CANCELED, quote("canceled: {}", [why]), close.by)
        return OrderClosed(status=order.status)

    @activity.defn
    async def keep_text(self, text: KeepText) -> None:
        self.words[text.text_id] = text.words

    @activity.defn
    async def open_ticket(self, about: Attention) -> int:
        self.orders[about.order_id].note(f"needs attention: {about.step}: {about.kind}")
        return 1

    @activity.defn
    async def close_tickets(self, about: Attention) -> None:
        self.orders[about.order_id].note(f"succeeded by itself: {about.step}")
