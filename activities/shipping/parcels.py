"""The parcel's way: where the carrier says that it is, its first scan, its delivery."""

from __future__ import annotations

from temporalio import activity

from adapters.carrier.gateway import CarrierGateway
from domain.commands import OrderRef, Parcel, ParcelStatus
from domain.errors import OurMistake
from domain.events import EventName
from domain.order_states import OrderStatus
from domain.steps import RECORD_DELIVERED, RECORD_SHIPPED
from services.inventory import stock
from services.orders.book import OrderBook
from services.shipping.book import note_parcel, shipment_of


class Parcels:
    def __init__(self, book: OrderBook, carrier: CarrierGateway) -> None:
        self._book = book
        self._carrier = carrier

    @activity.defn
    async def check_shipment(self, ref: OrderRef) -> Parcel:
        """Asks the carrier where the parcel is."""
        async with self._book.locked(ref.order_id) as order:
            row = await shipment_of(order)
        if row is None:
            raise OurMistake("there is no shipment to look at")
        shipment = await self._carrier.retrieve(row.shipment_id)
        async with self._book.locked(ref.order_id) as order:
            if (row := await shipment_of(order)) is not None:
                note_parcel(order, row, shipment.status)
        return Parcel(status=shipment.status)

    @activity.defn
    async def record_shipped(self, ref: OrderRef) -> None:
        """The carrier has scanned the parcel: the goods have left the stock."""
        async with self._book.locked(ref.order_id) as order:
            if order.step(RECORD_SHIPPED):
                return
            row = await shipment_of(order)
            if row is not None:
                note_parcel(order, row, ParcelStatus.IN_TRANSIT)
            await stock.ship(order.session, ref.order_id)
            order.move(OrderStatus.SHIPPED, "scanned by the carrier")
            order.mark(RECORD_SHIPPED, "done")
            await order.emit(EventName.ORDER_SHIPPED, tracking=row.tracking_number if row else None)

    @activity.defn
    async def record_delivered(self, ref: OrderRef) -> None:
        async with self._book.locked(ref.order_id) as order:
            if order.step(RECORD_DELIVERED):
                return
            row = await shipment_of(order)
            if row is not None:
                note_parcel(order, row, ParcelStatus.DELIVERED)
            order.move(OrderStatus.DELIVERED, "delivered")
            order.mark(RECORD_DELIVERED, "done")
            await order.emit(EventName.ORDER_DELIVERED, tracking=row.tracking_number if row else None)
