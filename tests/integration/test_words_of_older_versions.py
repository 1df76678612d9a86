"""Workflows that began before texts had a table send words as they are, and rows of that time keep them."""

from __future__ import annotations

import secrets

import httpx
import pytest
from sqlalchemy import text

from adapters.postgres.database import Sessions
from domain.commands import Attention, CancelRequest, CloseOrder, RecordCancel
from domain.order_states import OrderStatus
from domain.repairs import RecordResolution, RepairDecision, Resolution
from services.identities.actors import Actors
from services.orders.book import OrderBook
from services.texts import texts
from services.tickets.book import open_ticket
from tests.support.orders import Shop
from tests.support.repairs import Desk
from tests.support.steps import Steps

FOUND = """
    SELECT 'timeline' FROM timeline AS t WHERE t::text LIKE :word
    UNION ALL SELECT 'order_steps' FROM order_steps AS t WHERE t::text LIKE :word
    UNION ALL SELECT 'outbox' FROM outbox AS t WHERE t::text LIKE :word
    UNION ALL SELECT 'orders' FROM orders AS t WHERE t::text LIKE :word
    UNION ALL SELECT 'ticket_actions' FROM ticket_actions AS t WHERE t::text LIKE :word
    UNION ALL SELECT 'texts' FROM texts AS t WHERE t::text LIKE :word
"""


async def places(sessions: Sessions, word: str) -> list[str]:
    """The tables that have the word, one entry a row; `texts` as people read them."""
    async with sessions() as session:
        connection = await session.connection()
        in_clear = list((await connection.execute(text(FOUND), {"word": f"%{word}%"})).scalars())
        latest = "SELECT id FROM texts ORDER BY created_at DESC LIMIT 50"
        ids = list((await connection.execute(text(latest))).scalars())
        words = await texts.read(connection, ids)
        return sorted([*in_clear, *("texts" for id_ in ids if word in words[id_])])


@pytest.fixture
def word() -> str:
    return f"wombat{secrets.token_hex(6)}"


@pytest.mark.parametrize("end", [OrderStatus.CANCELED, OrderStatus.REJECTED])
async def test_a_cancel_of_an_older_workflow_is_told_and_not_spread(
    shop: Shop, steps: Steps, sessions: Sessions, word: str, end: OrderStatus
) -> None:
    """Each step, run twice, stores the words once; the order's end too, where a recovery rejects it."""
    order_id = (await shop.put(await shop.product())).order_id
    asked = RecordCancel(order_id=order_id, number=1, request=CancelRequest(reason=word, by="bob"), code="accepted")
    closed = CloseOrder(order_id=order_id, status=end, code="canceled", detail=word, by="bob")
    if end is OrderStatus.CANCELED:
        for _ in range(2):
            await steps.run_with("record_cancel_request", asked)
    for _ in range(2):
        await steps.run_with("close_order", closed)

    told = [row.what for row in await shop.timeline(order_id)][1:]
    if end is OrderStatus.CANCELED:
        assert told == [f"cancel accepted: {word}", f"canceled: {word}"]
        assert await places(sessions, word) == ["texts", "texts"]
    else:
        assert told == [f"rejected: {word}"]
        assert await places(sessions, word) == ["texts"]
        assert (await shop.order(order_id)).refusal == {"code": "canceled", "detail": "requested"}


async def test_what_the_saga_says_itself_is_no_text(shop: Shop, steps: Steps, sessions: Sessions, word: str) -> None:
    """Why a step failed is for consumers, too: the event carries it."""
    order_id = (await shop.put(await shop.product())).order_id
    why = CancelRequest(reason=f"address_refused: {word}", by="saga")
    await steps.run_with(
        "record_cancel_request", RecordCancel(order_id=order_id, number=0, request=why, code="failed")
    )
    [event] = [one.data for one in await shop.events(order_id) if one.data["eventType"] == "CancelRequested"]
    assert (event["reason"], "reasonId" in event) == (why.reason, False)
    assert "texts" not in await places(sessions, word)


async def test_a_cancel_without_a_reason_stores_nothing(shop: Shop, steps: Steps, sessions: Sessions) -> None:
    """`requested` stands for it, as ever."""
    order_id = (await shop.put(await shop.product())).order_id
    await steps.run_with(
        "record_cancel_request", RecordCancel(order_id=order_id, number=1, request=CancelRequest(), code="accepted")
    )
    await steps.run_with("close_order", CloseOrder(order_id=order_id, status=OrderStatus.CANCELED, code="canceled"))
    assert [row.what for row in await shop.timeline(order_id)][1:] == [
        "cancel accepted: requested",
        "canceled: canceled",
    ]
    async with sessions() as session:
        count = text("SELECT count(*) FROM texts WHERE order_id = :order_id")
        assert (await (await session.connection()).execute(count, {"order_id": order_id})).scalar_one() == 0


async def test_a_decision_of_an_older_workflow_is_stored_once(
    api: httpx.AsyncClient, shop: Shop, steps: Steps, sessions: Sessions, word: str
) -> None:
    """Note and evidence become texts in the transaction of the decision; its repeat writes nothing."""
    order_id = (await shop.put(await shop.product())).order_id
    async with OrderBook(sessions).locked(order_id) as order:
        ticket = await open_ticket(order, Attention(order_id=order_id, step="return_payment", kind="step_refused"))
    words = {"note": f"{word} noted", "evidence": f"{word} seen"}
    wanted = Resolution(ticket_id=ticket, decision=RepairDecision.MARK_DONE, by="alice", **words)
    wanted = Actors(shop.settings.service_secret).decided(order_id, wanted)
    record = RecordResolution(order_id=order_id, key="update 1", resolution=wanted)
    for _ in range(2):
        assert (await steps.run_with("resolve_ticket", record)).answer.accepted

    assert await places(sessions, word) == ["texts", "texts"]
    assert (await shop.timeline(order_id))[-1].what == f"done by hand: return_payment: {word} seen ({word} noted)"
    row = (await Desk(api).look(str(ticket)))["actions"][-1]
    assert (row["note"], row["evidence"]) == (f"{word} noted", f"{word} seen")


async def test_rows_from_before_read_as_they_are(api: httpx.AsyncClient, shop: Shop, sessions: Sessions) -> None:
    """Braces in them name no text."""
    order_id = (await shop.put(await shop.product())).order_id
    async with OrderBook(sessions).locked(order_id) as order:
        order.note("cancel joined: {} as it was", by="bob")
    told = (await api.get(f"/api/orders/{order_id}")).json()["timeline"]
    assert told[-1]["what"] == "cancel joined: {} as it was"
