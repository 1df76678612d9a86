"""The tickets about one order at the repair desk, and the mark that the order wears while one is open."""

from __future__ import annotations

from temporalio import workflow
from temporalio.workflow import ActivityConfig

with workflow.unsafe.imports_passed_through():
    from activities.tickets.tickets import Tickets
    from domain.commands import Attention
    from domain.repairs import NOBODY_YET, RecordResolution, Resolution, SettledTicket
    from workflows.order.free_texts import decision_without_words
    from workflows.order.search_attributes import NEEDS_ATTENTION
    from workflows.saga import policies
    from workflows.saga.tickets import TicketDesk

OPEN = policies.UNTIL_DONE | ActivityConfig(summary="call a person")
CLOSE = policies.UNTIL_DONE | ActivityConfig(summary="nobody is needed any more: it succeeded by itself")
SETTLE = policies.UNTIL_DONE | ActivityConfig(summary="write down what a person decided")


class OrderTickets(TicketDesk):
    """The tickets about one order, whichever workflow opens them."""

    def __init__(self, order_id: str) -> None:
        self._order_id = order_id

    async def open(self, step: str, kind: str, detail: str) -> bool:
        """Opens a ticket; its detail is cut at 2000 characters."""
        about = Attention(order_id=self._order_id, step=step, kind=kind, detail=detail[:2000])
        return await workflow.execute_activity_method(Tickets.open_ticket, about, **OPEN) != NOBODY_YET

    async def close(self, step: str) -> None:
        """Closes all tickets about the step."""
        about = Attention(order_id=self._order_id, step=step)
        await workflow.execute_activity_method(Tickets.close_tickets, about, **CLOSE)

    async def settle(self, key: str, resolution: Resolution) -> SettledTicket:
        """Writes the decision into the order's books; the operator's words are stored as texts first."""
        decision = await decision_without_words(self._order_id, resolution)
        record = RecordResolution(order_id=self._order_id, key=key, resolution=decision)
        return await workflow.execute_activity_method(Tickets.resolve_ticket, record, **SETTLE)

    def flag(self, needs_attention: bool) -> None:
        """Sets the search attribute by which operations find the order."""
        workflow.upsert_search_attributes([NEEDS_ATTENTION.value_set(needs_attention)])
