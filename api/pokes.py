"""What follows a webhook: look at the current state, and tell the order's workflow only what it does not know.

A signal costs the engine milliseconds of CPU, and most events tell what a step of ours has just done itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from adapters.saga_tables import Payment, ShipmentRow
from adapters.tables import Order
from adapters.temporal import workflow_id
from domain.commands import ParcelStatus
from domain.order_states import OrderStatus
from workflows.order_fulfillment import OrderFulfillment

SETTLING = 1.0  # seconds in which a running step of ours writes down what it has just done

# PaymentIntent status -> the states of our book that say the same
# (https://docs.stripe.com/payments/paymentintents/lifecycle); a refund leaves the intent `succeeded`.
SAME = {
    "requires_payment_method": frozenset(["created", "declined"]),
    "requires_confirmation": frozenset(["created"]),
    "requires_action": frozenset(["requires_action"]),
    "processing": frozenset(["created", "requires_action"]),
    "requires_capture": frozenset(["authorized"]),
    "succeeded": frozenset(["captured", "refunded"]),
    "canceled": frozenset(["voided", "declined"]),
}

orders = Order.__table__  # type: ignore[attr-defined]
payments = Payment.__table__  # type: ignore[attr-defined]
shipments = ShipmentRow.__table__  # type: ignore[attr-defined]
log = structlog.get_logger()


class PaymentState(Protocol):
    """What Stripe says of a PaymentIntent now."""

    @property
    def status(self) -> str: ...

    @property
    def client_secret(self) -> str | None: ...


class Payments(Protocol):
    async def retrieve(self, payment_intent_id: str) -> PaymentState: ...


class ParcelState(Protocol):
    @property
    def status(self) -> ParcelStatus: ...


class Parcels(Protocol):
    async def retrieve(self, shipment_id: str) -> ParcelState: ...


class Booked(NamedTuple):
    """What our books say: of which order, in which state, and whether its customer has to act."""

    order_id: str
    state: str
    awaits_customer: bool


class PaymentPoke:
    """Follows up Stripe's events."""

    def __init__(self, reads: AsyncEngine, temporal: Client, payments: Payments) -> None:
        self._reads, self._temporal, self._payments = reads, temporal, payments

    async def __call__(self, payment_intent_id: str) -> None:
        current = (await self._payments.retrieve(payment_intent_id)).status
        booked = await self._booked(payment_intent_id)
        if booked is None or not (booked.awaits_customer or _agree(current, booked)):
            await asyncio.sleep(SETTLING)
            booked = await self._booked(payment_intent_id)
        if booked is None:
            log.info("payment_of_no_order", payment_intent_id=payment_intent_id)
        elif not _agree(current, booked):
            await signal(self._temporal, booked.order_id, OrderFulfillment.payment_changed)

    async def _booked(self, payment_intent_id: str) -> Booked | None:
        query = (
            select(payments.c.order_id, payments.c.state, orders.c.status)
            .join_from(payments, orders, orders.c.order_id == payments.c.order_id)
            .where(payments.c.payment_intent_id == payment_intent_id)
        )
        async with self._reads.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        return Booked(row.order_id, row.state, row.status == OrderStatus.AWAITING_CUSTOMER) if row else None


class ParcelPoke:
    """Follows up the carrier's events."""

    def __init__(self, reads: AsyncEngine, temporal: Client, parcels: Parcels) -> None:
        self._reads, self._temporal, self._parcels = reads, temporal, parcels

    async def __call__(self, shipment_id: str) -> None:
        query = select(shipments.c.order_id, shipments.c.parcel_status).where(shipments.c.shipment_id == shipment_id)
        async with self._reads.connect() as connection:
            booked = (await connection.execute(query)).one_or_none()
        if booked is None:
            log.info("parcel_of_no_order", shipment_id=shipment_id)
            return
        current = (await self._parcels.retrieve(shipment_id)).status
        if current.value != booked.parcel_status:
            await signal(self._temporal, booked.order_id, OrderFulfillment.parcel_changed, current)


def _agree(current: str, booked: Booked) -> bool:
    return booked.state in SAME.get(current, ())


async def signal(temporal: Client, order_id: str, kind: Callable[..., None], *args: Any) -> None:
    """Signals the order's workflow; one that is over has nothing to learn."""
    try:
        await temporal.get_workflow_handle(workflow_id(order_id)).signal(kind, args=args)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        log.info("signal_to_a_closed_workflow", order_id=order_id, signal=kind.__name__)
