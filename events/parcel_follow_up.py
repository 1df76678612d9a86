"""What follows a webhook of the carrier: look at the current state, and tell the workflow only what it does not know.

A signal costs the engine milliseconds of CPU, and most events tell what a step of ours has just done itself.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from domain.commands import Attention, ParcelStatus
from domain.order_states import OrderStatus
from domain.parcels import LabelRefund
from domain.recovery import UNDONE
from domain.repairs import SCAN_AFTER_VOID
from domain.shipping import CALLED_BACK, ShipmentState
from domain.steps import SHIP
from engine.signals import signal
from services.orders.book import OrderBook
from services.orders.tables import Order
from services.shipping.book import note_parcel, shipment_of
from services.shipping.tables import ShipmentRow
from services.tickets.book import open_ticket
from workflows.order_fulfillment import OrderFulfillment

orders = Order.__table__  # type: ignore[attr-defined]
shipments = ShipmentRow.__table__  # type: ignore[attr-defined]
log = structlog.get_logger()


class ParcelState(Protocol):
    @property
    def status(self) -> ParcelStatus: ...

    @property
    def refund_status(self) -> LabelRefund | None: ...


class CarrierParcels(Protocol):
    async def retrieve(self, shipment_id: str) -> ParcelState: ...


class BookedParcel(NamedTuple):
    """What our books say: of which order, in which state the object is, and in which the order."""

    order_id: str
    state: str
    order_status: OrderStatus
    label: str = ""


class ParcelFollowUp:
    """Follows up the carrier's events, and notes in our books where the parcel is, also when its order has ended.

    A scan of a parcel whose order was canceled reaches a person.
    """

    def __init__(self, reads: AsyncEngine, temporal: Client, parcels: CarrierParcels, book: OrderBook) -> None:
        self._reads, self._temporal, self._parcels, self._book = reads, temporal, parcels, book

    async def is_urgent(self, shipment_id: str) -> bool:
        return True  # parcels move by themselves: hardly any of this is an echo of our own steps

    async def look(self, shipment_id: str) -> None:
        booked = await self._booked(shipment_id)
        if booked is None:
            log.info("parcel_of_no_order", shipment_id=shipment_id)
            return
        shipment = await self._parcels.retrieve(shipment_id)
        current, known = shipment.status, ParcelStatus(booked.state)
        moved, called_back = known.then(current) is not known, _called_back(booked.order_status, booked.label)
        if moved or (called_back and current.scanned):
            await self._note(booked.order_id, current)
        if booked.label == ShipmentState.VOID_REQUESTED:
            has_news = shipment.refund_status is None or shipment.refund_status.final
        elif called_back and current.scanned:
            has_news = False
        else:
            has_news = moved or _may_not_know(booked.order_status, current)
        if has_news:
            await signal(self._temporal, booked.order_id, OrderFulfillment.parcel_changed, current)

    async def _note(self, order_id: str, current: ParcelStatus) -> None:
        """In one transaction: where the parcel is, and the ticket if it should not be there."""
        async with self._book.locked(order_id) as order:
            row = shipment_of(order)
            assert row is not None
            note_parcel(order, row, current)
            if current.scanned and _called_back(order.status, row.state):
                about = f"the carrier says that the parcel is {current}, but its label was called back"
                ticket = Attention(order_id=order_id, step=SHIP, kind=SCAN_AFTER_VOID, detail=about)
                await open_ticket(order, ticket)

    async def _booked(self, shipment_id: str) -> BookedParcel | None:
        query = (
            select(shipments.c.order_id, shipments.c.parcel_status, shipments.c.state, orders.c.status)
            .join_from(shipments, orders, orders.c.order_id == shipments.c.order_id)
            .where(shipments.c.shipment_id == shipment_id)
        )
        async with self._reads.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        structlog.contextvars.bind_contextvars(order_id=row.order_id)  # for the lines of this follow-up
        return BookedParcel(row.order_id, row.parcel_status, OrderStatus(row.status), label=row.state)


def _called_back(status: OrderStatus, label: str) -> bool:
    """Whether the parcel has to stay here. In CANCELING the label is void already, or its void is requested."""
    return status in (*UNDONE, OrderStatus.CANCELING) or label in CALLED_BACK


def _may_not_know(status: OrderStatus, parcel: ParcelStatus) -> bool:
    """Whether the order may still have to learn of it although the books know: a look or a lost signal came first."""
    if status is OrderStatus.SHIPPED:
        return parcel is ParcelStatus.DELIVERED or parcel.lost
    return parcel.scanned and status is not OrderStatus.DELIVERED
