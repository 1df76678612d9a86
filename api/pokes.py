"""What follows a webhook of the carrier: look at the current state, and tell the workflow only what it does not know.

A signal costs the engine milliseconds of CPU, and most events tell what a step of ours has just done itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from adapters.order_book import OrderBook
from adapters.repair_desk import open_ticket
from adapters.saga_tables import ShipmentRow
from adapters.tables import Order
from adapters.temporal import workflow_id
from domain.commands import Attention, ParcelStatus
from domain.order_states import OrderStatus
from domain.repairs import SCAN_AFTER_VOID
from domain.steps import SHIP
from workflows.order_fulfillment import OrderFulfillment

VOID = ("voided", "void_requested")

orders = Order.__table__  # type: ignore[attr-defined]
shipments = ShipmentRow.__table__  # type: ignore[attr-defined]
log = structlog.get_logger()


class ParcelState(Protocol):
    @property
    def status(self) -> ParcelStatus: ...


class Parcels(Protocol):
    async def retrieve(self, shipment_id: str) -> ParcelState: ...


class Booked(NamedTuple):
    """What our books say: of which order, in which state the object is, and in which the order."""

    order_id: str
    state: str
    order_status: OrderStatus
    label: str = ""

    @property
    def undone(self) -> bool:
        return self.order_status in (OrderStatus.CANCELED, OrderStatus.REJECTED)


class ParcelPoke:
    """Follows up the carrier's events. A scan of a parcel whose order was canceled reaches a person."""

    def __init__(self, reads: AsyncEngine, temporal: Client, parcels: Parcels, book: OrderBook) -> None:
        self._reads, self._temporal, self._parcels, self._book = reads, temporal, parcels, book

    async def is_urgent(self, shipment_id: str) -> bool:
        return True  # parcels move by themselves: hardly any of this is an echo of our own steps

    async def look(self, shipment_id: str) -> None:
        booked = await self._booked(shipment_id)
        if booked is None:
            log.info("parcel_of_no_order", shipment_id=shipment_id)
            return
        current = (await self._parcels.retrieve(shipment_id)).status
        # In CANCELING the label is void already, or its void is requested: the parcel should not be on its way.
        called_back = booked.undone or booked.order_status is OrderStatus.CANCELING or booked.label in VOID
        if called_back and current.scanned:
            about = f"the carrier says that the parcel is {current}, but its label was voided and the order canceled"
            await _call_person(self._book, booked.order_id, SCAN_AFTER_VOID, SHIP, about)
        elif current.value != booked.state or _is_behind(booked.order_status, current):
            await signal(self._temporal, booked.order_id, OrderFulfillment.parcel_changed, current)

    async def _booked(self, shipment_id: str) -> Booked | None:
        query = (
            select(shipments.c.order_id, shipments.c.parcel_status, shipments.c.state, orders.c.status)
            .join_from(shipments, orders, orders.c.order_id == shipments.c.order_id)
            .where(shipments.c.shipment_id == shipment_id)
        )
        async with self._reads.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row:
            structlog.contextvars.bind_contextvars(order_id=row.order_id)  # for the lines of this follow-up
        return Booked(row.order_id, row.parcel_status, OrderStatus(row.status), label=row.state) if row else None


def _is_behind(status: OrderStatus, parcel: ParcelStatus) -> bool:
    """Whether the order has still to learn of the scan: a step that looked may have written the parcel's row."""
    if status is OrderStatus.SHIPPED:
        return parcel is ParcelStatus.DELIVERED
    return parcel.scanned and status is not OrderStatus.DELIVERED


async def _call_person(book: OrderBook, order_id: str, kind: str, step: str, detail: str) -> None:
    async with book.locked(order_id) as order:
        await open_ticket(order, Attention(order_id=order_id, step=step, kind=kind, detail=detail))


async def signal(temporal: Client, order_id: str, kind: Callable[..., None], *args: Any) -> None:
    """Signals the order's workflow; one that is over has nothing to learn."""
    try:
        await temporal.get_workflow_handle(workflow_id(order_id)).signal(kind, args=args)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        log.info("signal_to_a_closed_workflow", order_id=order_id, signal=kind.__name__)
