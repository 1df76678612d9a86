"""The parcel's way: where the carrier says that it is, its first scan, its delivery."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from temporalio import activity

from adapters.carrier.gateway import CarrierGateway
from domain.commands import OrderRef, Parcel, ParcelStatus
from domain.errors import OurMistake
from domain.repairs import FOLLOW_PARCEL
from domain.steps import RECORD_DELIVERED, RECORD_SHIPPED
from services.inventory import reservations
from services.orders.book import LockedOrder, OrderBook
from services.orders.unproven import note_unproven
from services.shipping.book import note_delivered, note_parcel, note_shipped, shipment_of
from services.tickets.book import done_by_hand


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
    async def record_shipped(self, ref: OrderRef) -> Parcel | None:
        """The carrier has scanned the parcel: the goods have left the stock.

        Where that is not so it answers where the parcel is, and records nothing: anybody may send a signal.
        """
        return await self._record(ref, RECORD_SHIPPED, _ship)

    @activity.defn
    async def record_delivered(self, ref: OrderRef) -> Parcel | None:
        """The parcel has reached its customer: the order has ended well. Otherwise as `record_shipped`."""
        return await self._record(ref, RECORD_DELIVERED, note_delivered)

    async def _record(
        self, ref: OrderRef, record: str, write: Callable[[LockedOrder], Awaitable[None]]
    ) -> Parcel | None:
        """The books know how far it has come, unless a signal was not the relay's: then the carrier is asked."""
        if await self._recorded(ref, record, write):
            return None
        parcel = await self.check_shipment(ref)
        if await self._recorded(ref, record, write):
            return None
        async with self._book.locked(ref.order_id) as order:
            note_unproven(order, "parcel", f"passed over: news of the parcel; to its carrier it is {parcel.status}")
        return parcel

    async def _recorded(self, ref: OrderRef, record: str, write: Callable[[LockedOrder], Awaitable[None]]) -> bool:
        async with self._book.locked(ref.order_id) as order:
            order.require_not_undone(record)
            if order.fence(record):
                return True
            if not await _has_come(order, record):
                return False
            await write(order)
            return True


async def _ship(order: LockedOrder) -> None:
    await reservations.ship(order)
    await note_shipped(order)


async def _has_come(order: LockedOrder, record: str) -> bool:
    """By the books: the carrier's word, or what a person at the repair desk has decided since it was shipped."""
    row = shipment_of(order)
    if row is None:
        return True  # there is nothing that a carrier could know
    status = ParcelStatus(row.parcel_status)
    if status is ParcelStatus.DELIVERED or (record == RECORD_SHIPPED and status.scanned):
        return True
    shipped = order.fence(RECORD_SHIPPED)
    return await done_by_hand(order, FOLLOW_PARCEL, since=shipped.updated_at if shipped else None)
