"""What a fault of ours looks like from outside: who waits for it, and the ticket of its cause."""

from __future__ import annotations

import httpx

from tests.support.orders import Shop
from tests.support.repairs import Desk, Ticket


async def cause_of(shop: Shop, order_id: str) -> str:
    """What the order waits for; empty when it does not."""
    waits = (await shop.order(order_id)).waits_for
    return str(waits["cause"]) if waits else ""


async def tickets_about(api: httpx.AsyncClient, cause: str) -> list[str]:
    """The ids of the open tickets of the cause."""
    answer = await api.get("/api/repairs", params={"kind": "our_fault"})
    return [ticket["ticketId"] for ticket in answer.json()["tickets"] if ticket["subject"] == cause]


async def ticket_about(api: httpx.AsyncClient, cause: str) -> Ticket:
    """The one open ticket of the cause, as an operator sees it."""
    (ticket_id,) = await tickets_about(api, cause)
    return await Desk(api).look(ticket_id)
