"""A parcel that nobody scans: after three days a person is called, on the real server with its time skipped."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlmodel import select

from adapters.postgres.database import Sessions
from domain.commands import ParcelStatus
from domain.order_states import OrderStatus
from domain.repairs import RepairDecision, Resolution
from services.tickets.tables import Ticket, TicketAction
from tests.support.orders import Handle
from tests.support.timeless import Timeless
from tests.support.waiting import until
from workflows.order import time_limits
from workflows.order_fulfillment import OrderFulfillment

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the carrier costs the server two seconds: one a day is enough here."""
    monkeypatch.setattr(time_limits, "TRACKING_POLL", timedelta(days=1))


async def trail(sessions: Sessions, order_id: str) -> list[str]:
    """What was done about the order's tickets, oldest first."""
    async with sessions() as session:
        query = select(TicketAction.action).join(Ticket).where(Ticket.order_id == order_id, Ticket.kind == "no_scan")
        return list(await session.exec(query.order_by(TicketAction.id)))  # type: ignore[arg-type]


async def no_scan(timeless: Timeless, sessions: Sessions) -> tuple[str, Handle, int]:
    """An order whose parcel was not scanned in three days, and its ticket; the carrier is being asked again."""
    shop = timeless.shop
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await until(lambda: trail(sessions, order.order_id), ["opened"])
    async with sessions() as session:
        ticket = (await session.exec(select(Ticket).where(Ticket.order_id == order.order_id))).one()
    assert ticket.id is not None
    assert (await shop.order(order.order_id)).needs_attention
    return order.order_id, handle, ticket.id


async def test_a_missing_scan_closes_by_itself_when_the_scan_comes(timeless: Timeless, sessions: Sessions) -> None:
    """The parcel lay in the warehouse: it leaves, and nobody has to do anything about the ticket."""
    order_id, handle, _ = await no_scan(timeless, sessions)
    assert timeless.faults.calls.count("check_shipment") >= 3
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.IN_TRANSIT)
    await until(lambda: trail(sessions, order_id), ["opened", "closed"])
    await until(lambda: timeless.shop.status(order_id), OrderStatus.SHIPPED)
    assert not (await timeless.shop.order(order_id)).needs_attention
    await handle.terminate()


async def test_a_missing_scan_is_made_up_for_by_who_saw_the_parcel_leave(
    timeless: Timeless, sessions: Sessions
) -> None:
    """mark_done: the carrier has it, without a scan; the order is SHIPPED and its stock has left."""
    order_id, handle, ticket = await no_scan(timeless, sessions)
    wanted = Resolution(ticket_id=ticket, decision=RepairDecision.MARK_DONE, by="alice", evidence="pickup list 12")
    answer = await handle.execute_update(OrderFulfillment.resolve, wanted)
    assert (answer.accepted, answer.code) == (True, "resolved")
    await until(lambda: timeless.shop.status(order_id), OrderStatus.SHIPPED)
    assert await trail(sessions, order_id) == ["opened", "mark_done"]
    assert (await timeless.shop.books(order_id)).on_hand == 8
    await handle.terminate()


@pytest.mark.long
async def test_a_retry_asks_the_carrier_at_once(timeless: Timeless, sessions: Sessions) -> None:
    """It has scanned the parcel meanwhile, and its webhook was lost."""
    order_id, handle, ticket = await no_scan(timeless, sessions)
    await timeless.shop.parcel(order_id, "in_transit")
    wanted = Resolution(ticket_id=ticket, decision=RepairDecision.RETRY, by="alice")
    await handle.execute_update(OrderFulfillment.resolve, wanted)
    await until(lambda: timeless.shop.status(order_id), OrderStatus.SHIPPED)
    assert (await trail(sessions, order_id))[-1] == "closed"
    await handle.terminate()
