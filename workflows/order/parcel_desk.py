"""Follows one order's parcel: by the carrier's webhooks, by asking the carrier, and by what operators decide."""

from __future__ import annotations

from collections.abc import Callable

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.shipping.parcels import Parcels
    from domain.commands import CancelAnswer, ParcelStatus
    from workflows.order import time_limits
    from workflows.order.parcel_tickets import ParcelTickets, ParcelWrittenOff
    from workflows.order.progress import Progress
    from workflows.saga.cancel_desk import CancelDesk
    from workflows.saga.saga import Saga


class ParcelDesk:
    """The parcel of one order; `status` is where it was last known to be."""

    def __init__(self, saga: Saga, progress: Progress, cancels: CancelDesk[CancelAnswer]) -> None:
        self._saga, self._progress, self._cancels = saga, progress, cancels
        self.status = ParcelStatus.UNKNOWN

    def told(self, status: ParcelStatus) -> None:
        """Takes what the carrier says; older news than what is known changes nothing."""
        self.status = self.status.then(status)

    async def leaves(self) -> None:
        """Returns when the carrier has scanned the parcel. Raises CancelGranted and ParcelWrittenOff."""
        await self._follow(lambda: self.status.scanned)

    async def arrives(self, *, ask_first: bool = False) -> bool:
        """Returns True when the customer has the parcel, False when a person has given it up.

        With `ask_first` the carrier is asked before anything is waited for: what it told before is lost.
        Raises CancelGranted.
        """
        try:
            await self._follow(lambda: self.status is ParcelStatus.DELIVERED, ask_first=ask_first)
        except ParcelWrittenOff:
            self._progress.tell("parcel written off")
            return False
        return True

    async def left(self, *, has_left: bool = False, short: bool = False) -> None:
        """Returns when the carrier has scanned the parcel and the books say so. Raises as `leaves` does."""
        if not has_left:
            await self.leaves()
        while (elsewhere := await self._saga.insist(Parcels.record_shipped, short=short)) is not None:
            self.status = elsewhere.status  # a signal said otherwise, and anybody may send one
            await self.leaves()

    async def reached(self, *, ask_first: bool = False, short: bool = False) -> bool:
        """Returns True when the customer has the parcel and the books say so; otherwise as `arrives`."""
        while await self.arrives(ask_first=ask_first):
            elsewhere = await self._saga.insist(Parcels.record_delivered, short=short)
            if elsewhere is None:
                return True
            self.status, ask_first = elsewhere.status, False
        return False

    async def _follow(self, arrived: Callable[[], bool], *, ask_first: bool = False) -> None:
        tickets = ParcelTickets(self._saga.watch)
        if ask_first:
            await self._look(tickets, arrived, ask=True)
        while not arrived():
            has_news = lambda: arrived() or tickets.has_news(self.status)  # noqa: E731
            summary = "ask the carrier where the parcel is"
            news = await self._cancels.wait(has_news, time_limits.TRACKING_POLL, summary)
            await self._look(tickets, arrived, ask=not news or tickets.asked_again)
        await tickets.arrived()

    async def _look(self, tickets: ParcelTickets, arrived: Callable[[], bool], *, ask: bool) -> None:
        if ask:
            self.told((await self._saga.insist(Parcels.check_shipment)).status)
        self.told(await tickets.look(self.status, arrived=arrived()))
