"""The parcel's way: where the carrier says that it is, its first scan, its delivery."""

from __future__ import annotations

from temporalio import activity

from adapters.carrier.gateway import CarrierGateway
from domain.commands import OrderRef, Parcel
from domain.errors import OurMistake
from domain.steps import RECORD_DELIVERED, RECORD_SHIPPED
from services.inventory import reservations
from services.orders.book import OrderBook
from services.shipping.book import note_delivered, note_parcel, note_shipped, shipment_of


class Parcels:
    """The steps that follow a parcel: nothing undoes them, since the goods have left."""

    def __init__(self, book: OrderBook, carrier: CarrierGateway) -> None:
        self._book = book
        self._carrier = carrier

    @activity.defn
    async def check_shipment(self, ref: OrderRef) -> Parcel:
        """Asks the carrier where the parcel is."""
        async with self._book.locked(ref.order_id) as order:
            row = shipment_of(order)
        if row is None:
            raise OurMistake("there is no shipment to look at")
        shipment = await self._carrier.retrieve(row.shipment_id)
        async with self._book.locked(ref.order_id) as order:
            if (row := shipment_of(order)) is not None:
                note_parcel(order, row, shipment.status)
        return Parcel(status=shipment.status)

    @activity.defn
    async def record_shipped(self, ref: OrderRef) -> None:
        """The carrier has scanned the parcel: the goods have left the stock."""
        async with self._book.locked(ref.order_id) as order:
            order.require_not_undone(RECORD_SHIPPED)
            if not order.fence(RECORD_SHIPPED):
                await reservations.ship(order)
                await note_shipped(order)

    @activity.defn
    async def record_delivered(self, ref: OrderRef) -> None:
        """The parcel has reached its customer: the order has ended well."""
        async with self._book.locked(ref.order_id) as order:
            order.require_not_undone(RECORD_DELIVERED)
            if not order.fence(RECORD_DELIVERED):
                await note_delivered(order)
