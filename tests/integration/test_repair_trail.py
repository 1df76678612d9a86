"""The audit trail of the repair desk, and what the API says about tickets."""

from __future__ import annotations

import secrets

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from adapters.postgres.database import Sessions
from domain.commands import Attention
from domain.repairs import RecordResolution, RepairDecision, Resolution
from services.orders.book import OrderBook
from services.repairs.decisions import resolve_once
from services.tickets.book import open_ticket
from tests.support.orders import Shop
from tests.support.repairs import Desk


async def ticket_of(shop: Shop, sessions: Sessions, order_id: str, kind: str = "scan_after_void") -> str:
    async with OrderBook(sessions).locked(order_id) as order:
        return str(await open_ticket(order, Attention(order_id=order_id, step="ship_order", kind=kind, detail="why")))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ticket_actions SET by = 'nobody'",
        "UPDATE ticket_actions SET by = 'nobody' WHERE false",
        "DELETE FROM ticket_actions",
        "TRUNCATE ticket_actions",
        "TRUNCATE tickets CASCADE",
    ],
)
async def test_the_database_lets_nobody_change_the_trail(shop: Shop, sessions: Sessions, statement: str) -> None:
    """Whatever the code does: what an operator did stays as it was written."""
    order = await shop.put(await shop.product())
    await ticket_of(shop, sessions, order.order_id)
    with pytest.raises(IntegrityError, match="ticket_actions is append-only"):
        async with sessions() as session, session.begin():
            await (await session.connection()).execute(text(statement))


async def test_a_ticket_is_opened_once_and_flags_its_order_until_the_last_one_is_settled(
    shop: Shop, sessions: Sessions, desk: Desk
) -> None:
    """Two kinds, each told twice: two tickets, and the flag falls with the second."""
    order = await shop.put(await shop.product())
    first = await ticket_of(shop, sessions, order.order_id)
    assert await ticket_of(shop, sessions, order.order_id) == first
    second = await ticket_of(shop, sessions, order.order_id, "late_money")
    assert await desk.kinds(order.order_id) == ["late_money", "scan_after_void"]

    await desk.settle(await desk.look(first), "write_off")
    assert (await shop.order(order.order_id)).needs_attention
    await desk.settle(await desk.look(second), "mark_done")

    assert not (await shop.order(order.order_id)).needs_attention
    emitted = [event.type for event in await shop.events(order.order_id)]
    assert emitted.count("ordersaga.order.needs_attention.v1") == emitted.count("ordersaga.order.resolved.v1") == 2


async def test_a_decision_that_is_recorded_again_writes_nothing(shop: Shop, sessions: Sessions, desk: Desk) -> None:
    """The worker died after the commit: the repeat gets the same answer, another decision is refused."""
    order = await shop.put(await shop.product())
    ticket = await ticket_of(shop, sessions, order.order_id, "step_refused")
    wanted = Resolution(ticket_id=int(ticket), decision=RepairDecision.RETRY, by="alice")
    record = RecordResolution(order_id=order.order_id, key="update 1", resolution=wanted)
    settled = []
    for _ in range(3):
        async with OrderBook(sessions).locked(order.order_id) as locked:
            settled.append(await resolve_once(locked, record))
    assert settled[0] == settled[1] == settled[2] and settled[0].answer.accepted
    assert await desk.trail(await desk.look(ticket)) == [("opened", "saga"), ("retry", "alice")]

    elsewhere = await shop.put(await shop.product())
    async with OrderBook(sessions).locked(elsewhere.order_id) as locked:
        other = record.model_copy(update={"order_id": elsewhere.order_id})
        assert (await resolve_once(locked, other)).answer.code == "no_such_ticket"


async def test_lists_tickets_page_by_page_and_by_every_filter(
    api: httpx.AsyncClient, shop: Shop, sessions: Sessions, desk: Desk
) -> None:
    """Newest first; by order, kind and status."""
    order = await shop.put(await shop.product())
    kinds = [f"drift_{secrets.token_hex(3)}" for _ in range(3)]
    tickets = [await ticket_of(shop, sessions, order.order_id, kind) for kind in kinds]
    first = (await api.get("/api/repairs", params={"orderId": order.order_id, "limit": 2})).json()
    rest = {"orderId": order.order_id, "limit": 2, "cursor": first["nextCursor"]}
    second = (await api.get("/api/repairs", params=rest)).json()
    assert [one["ticketId"] for one in first["tickets"] + second["tickets"]] == tickets[::-1]
    assert second["nextCursor"] is None
    await desk.settle(await desk.look(tickets[0]), "mark_done")

    by_kind = (await api.get("/api/repairs", params={"kind": kinds[1]})).json()["tickets"]
    assert [one["ticketId"] for one in by_kind] == [tickets[1]]
    assert [one["ticketId"] for one in await desk.tickets(order.order_id, "resolved")] == [tickets[0]]
    assert len(await desk.tickets(order.order_id, "all")) == 3
    assert len(await desk.tickets(order.order_id)) == 2


@pytest.mark.parametrize("query", [{"cursor": "nonsense"}, {"status": "lost"}, {"limit": 0}, {"colour": "red"}])
async def test_refuses_a_list_that_makes_no_sense(api: httpx.AsyncClient, query: dict[str, str]) -> None:
    """422, naming the field."""
    answer = await api.get("/api/repairs", params=query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == next(iter(query))


@pytest.mark.parametrize("ticket", ["0", "999999999999999999", "9" * 19, "x", "-1", "1.5", "١"])
async def test_an_unknown_ticket_is_a_404_with_its_problem(api: httpx.AsyncClient, ticket: str) -> None:
    """For looking and for deciding alike."""
    looked = await api.get(f"/api/repairs/{ticket}")
    decided = await api.post(f"/api/repairs/{ticket}/resolve", json={"decision": "retry", "by": "alice"})
    for answer in (looked, decided):
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-such-ticket")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"evidence": ""}, "evidence"),
        ({"evidence": "   "}, "evidence"),
        ({"evidence": "a\0b"}, "evidence"),
        ({"note": "x" * 501}, "note"),
        ({"by": ""}, "by"),
        ({"by": 7}, "by"),
        ({"decision": "burn"}, "decision"),
        ({"force": True}, "force"),
    ],
)
async def test_refuses_a_decision_that_makes_no_sense(
    api: httpx.AsyncClient, shop: Shop, sessions: Sessions, desk: Desk, changes: dict[str, object], field: str
) -> None:
    """422 naming the field; nothing is written."""
    order = await shop.put(await shop.product())
    ticket = await ticket_of(shop, sessions, order.order_id)
    body = {"decision": "mark_done", "by": "alice", "evidence": "seen"} | changes
    answer = await api.post(f"/api/repairs/{ticket}/resolve", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field
    assert await desk.trail(await desk.look(ticket)) == [("opened", "saga")]
