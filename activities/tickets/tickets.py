"""Where the saga calls a person, says that a step succeeded by itself, and carries out what the person decides."""

from __future__ import annotations

from temporalio import activity

from domain.commands import Attention
from domain.repairs import NOBODY_YET, STEP_KEEPS_FAILING, RecordResolution, SettledTicket
from services.identities.actors import Actors
from services.orders.book import OrderBook
from services.payments.undo_waits import is_on_its_way
from services.repairs import decisions
from services.tickets import book, our_faults


class Tickets:
    """The saga's side of the repair desk."""

    def __init__(self, book: OrderBook, actors: Actors) -> None:
        self._book, self._actors = book, actors

    @activity.defn
    async def open_ticket(self, about: Attention) -> int | None:
        """The ticket's id; 0 where nobody is needed yet, None in histories of older versions.

        An order that waits for a fault of ours has the ticket of the cause: a thousand of its own would tell no more.
        """
        async with self._book.locked(about.order_id) as order:
            if about.kind == STEP_KEEPS_FAILING:
                if is_on_its_way(order, about.step):
                    return NOBODY_YET
                ticket = await our_faults.ticket_instead(order, about.step)
                if ticket is not None:
                    return ticket
            return await book.open_ticket(order, about)

    @activity.defn
    async def close_tickets(self, about: Attention) -> None:
        """Closes the step's open tickets: it has succeeded since. A repeat writes nothing."""
        async with self._book.locked(about.order_id) as order:
            await book.close_tickets(order, about.step)

    @activity.defn
    async def resolve_ticket(self, record: RecordResolution) -> SettledTicket:
        """In one transaction: the books as the decision leaves them, the ticket, the audit trail, the timeline.

        A decision that did not come by the repair desk is refused, and the timeline says so.
        """
        async with self._book.locked(record.order_id) as order:
            if not self._actors.has_decided(record.order_id, record.resolution):
                return decisions.refuse_unproven(order, record)
            return await decisions.resolve_once(order, record)
