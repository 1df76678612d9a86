"""What people write in their own words stands in one table, sealed; everything else carries its id.

Each field gets a phrase of its own, and then every place where one could turn up is searched for all of them.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import httpx
import pytest
from sqlalchemy import Connection, inspect, text
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from adapters.clock import now
from adapters.postgres.database import Sessions
from adapters.settings import Settings
from adapters.temporal.client import refund_workflow_id, workflow_id
from adapters.temporal.encryption import is_encrypted
from devstack.stack.stack import Stack
from domain.commands import ParcelStatus
from domain.order_states import OrderStatus
from domain.repairs import RepairDecision, Resolution
from services.texts import texts
from services.tickets.book import open_ticket_about
from tests.support.disclosure import described, payloads
from tests.support.encryption import clear_history, payloads_of
from tests.support.identities import Anybody
from tests.support.orders import Shop
from tests.support.repairs import Desk
from tests.support.services import Services
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment

WORD = f"wallaby{secrets.token_hex(6)}"  # in all phrases of this run


def said(field: str) -> str:
    """What somebody writes into the field; the braces are no place where another text is quoted."""
    return f"{WORD} of {field} for {{}} Zephyrine"


SIGNALED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
CANCEL_REQUESTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED
UPDATE_ACCEPTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED


@dataclass(frozen=True)
class Orders:
    """Each by the way in which somebody's words came to it."""

    by_api: str
    by_signal: str
    natively: str
    refunded: str
    lost: str  # its parcel; an operator settles the ticket by API
    lost_too: str  # an operator sends the workflow's update without the API
    dropped: str  # one of its lines
    ticket: str  # of no order, settled by API

    @property
    def workflows(self) -> list[str]:
        ids = (self.by_api, self.by_signal, self.natively, self.refunded, self.lost, self.lost_too, self.dropped)
        return [*map(workflow_id, ids), refund_workflow_id(self.refunded, "k1")]


class Words:
    """Whoever writes something: customers, the warehouse, operators."""

    def __init__(self, front: httpx.AsyncClient, shop: Shop) -> None:
        self.front, self.shop = front, shop
        self.desk = Desk(front)

    async def place(self, *, waits: bool) -> str:
        """A confirmed order of two lines; one that does not wait is READY_TO_SHIP."""
        later = {"shipNotBefore": (now() + timedelta(days=1)).isoformat()} if waits else {}
        items = [{"productId": await self.shop.product(), "quantity": 1} for _ in range(2)]
        customer = await self.shop.customer()
        about: dict[str, object] = {"paymentMethod": "credit_card", "metadata": {"gift": said("metadata")}}
        body = about | {"customerId": customer, "items": items}
        answer = await self.front.post("/api/orders", json=body | later)
        assert answer.status_code == 201, answer.text
        order_id = str(answer.json()["orderId"])
        if not waits:
            await until(lambda: self.shop.status(order_id), OrderStatus.READY_TO_SHIP)
        return order_id

    async def post(self, path: str, body: dict[str, object], key: str | None = None) -> None:
        headers = {"Idempotency-Key": key} if key else None
        answer = await self.front.post(path, json=body, headers=headers)
        assert answer.is_success, answer.text

    async def canceled(self) -> tuple[str, str, str]:
        """By API, by signal, natively."""
        by_api, by_signal, natively = await asyncio.gather(*(self.place(waits=True) for _ in range(3)))
        await self.post(f"/api/orders/{by_api}/cancel", {"reason": said("API cancel")})
        handle = self.shop.client.get_workflow_handle(workflow_id(by_signal))
        await handle.signal("cancel_order", {"reason": said("signal"), "by": "ops"})
        await self.shop.client.get_workflow_handle(workflow_id(natively)).cancel(reason=said("native cancel"))
        for order_id in (by_api, by_signal, natively):
            await until(partial(self.shop.status, order_id), OrderStatus.CANCELED)
        return by_api, by_signal, natively

    async def refunded(self) -> str:
        order_id = await self.place(waits=False)
        body: dict[str, object] = {"amount": "5.00", "reason": said("refund"), "by": "alice"}
        for _ in range(2):  # the same again
            await self.post(f"/api/orders/{order_id}/refunds", body, key="k1")
        answer = await self.front.post(
            f"/api/orders/{order_id}/refunds", json=body | {"reason": "another"}, headers={"Idempotency-Key": "k1"}
        )
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency-key-reused")
        return order_id

    async def lost(self, *, by_api: bool) -> str:
        """A lost parcel, settled by an operator."""
        order_id = await self.place(waits=False)
        handle = self.shop.client.get_workflow_handle(workflow_id(order_id))
        await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.FAILURE)
        ticket = await self.desk.called(order_id, "parcel_failure")
        words = {"evidence": said("evidence"), "note": said("note")}
        if by_api:
            await self.desk.settle(ticket, "mark_done", **words)
        else:
            number, done = int(ticket["ticketId"]), RepairDecision.MARK_DONE
            wanted = Resolution(ticket_id=number, decision=done, by="alice", **words)
            assert (await handle.execute_update(OrderFulfillment.resolve, wanted)).accepted
        await until(lambda: self.shop.status(order_id), OrderStatus.DELIVERED)
        return order_id

    async def dropped(self) -> str:
        order_id = await self.place(waits=True)
        product = (await self.front.get(f"/api/orders/{order_id}")).json()["items"][0]["productId"]
        await self.post(f"/api/orders/{order_id}/lines/{product}/drop", {"reason": said("drop"), "by": "anna"})
        return order_id

    async def ticket(self) -> str:
        """A ticket of no order, settled."""
        async with self.shop.sessions() as session, session.begin():
            number = await open_ticket_about(session, "drift_stock", "compare_stock", "why", subject=WORD[:4])
        ticket = await self.desk.look(str(number))
        await self.desk.settle(ticket, "write_off", note=said("note about no order"))
        return str(number)


@pytest.fixture(scope="module")
async def orders(
    services: Services, stack: Stack, base_settings: Settings, sessions: Sessions, temporal_client: Client
) -> AsyncIterator[Orders]:
    async with (
        httpx.AsyncClient(trust_env=False, timeout=20) as http,
        httpx.AsyncClient(
            base_url=services.url, trust_env=False, timeout=20, auth=Anybody(subject="customer")
        ) as front,
    ):
        words = Words(front, Shop(stack, base_settings, sessions, temporal_client, http))
        canceled, *others = await asyncio.gather(
            words.canceled(),
            words.refunded(),
            words.lost(by_api=True),
            words.lost(by_api=False),
            words.dropped(),
            words.ticket(),
        )
        yield Orders(*canceled, *others)


async def test_no_table_has_the_words_in_clear(orders: Orders, sessions: Sessions) -> None:
    """All columns of all tables are searched."""
    async with sessions() as session:
        connection = await session.connection()
        names = await connection.run_sync(tables)
        assert {"texts", "timeline", "outbox", "order_steps", "refunds", "ticket_actions", "webhook_inbox"} <= set(
            names
        )
        found = {}
        for name in names:
            query = text(f'SELECT count(*) FROM "{name}" AS entry WHERE entry::text LIKE :word')  # noqa: S608
            found[name] = (await connection.execute(query, {"word": f"%{WORD}%"})).scalar_one()
    assert {name: count for name, count in found.items() if count} == {}


def tables(connection: Connection) -> list[str]:
    return inspect(connection).get_table_names()


async def test_histories_have_only_what_came_in_with_them(orders: Orders, temporal_client: Client) -> None:
    """A signal, a native cancel and an update by hand hold what was sent with them; nothing that follows does."""
    disclosing = {}
    for id_ in orders.workflows:
        history = (await clear_history(temporal_client, id_)).events
        events = [event for event in history if WORD in "\n".join([str(event), *payloads(event)])]
        disclosing[id_] = [event.event_type for event in events if len(history) > 8]
        assert WORD not in await described(temporal_client, id_)
    assert {id_: events for id_, events in disclosing.items() if events} == {
        workflow_id(orders.by_signal): [SIGNALED],
        workflow_id(orders.natively): [CANCEL_REQUESTED],
        workflow_id(orders.lost_too): [UPDATE_ACCEPTED],
    }


async def test_what_the_engine_keeps_says_nothing_without_the_key(orders: Orders, temporal_client: Client) -> None:
    """Also where a history has the words: its payloads are encrypted."""
    for id_ in set(orders.workflows) - {workflow_id(orders.natively)}:
        events = (await temporal_client.get_workflow_handle(id_).fetch_history()).events
        assert sum(is_encrypted(one) for event in events for one in payloads_of(event)) > 3
        assert not any(WORD.encode() in event.SerializeToString() for event in events)


async def test_logs_metrics_and_traces_have_none(orders: Orders, services: Services) -> None:
    """Nor have the far ends: what is sent there is saved in a table that was searched."""
    assert WORD not in "\n".join(services.logs)
    assert WORD not in await services.scraped()
    assert WORD not in str(services.collector.spans)


async def test_people_read_the_words_where_they_always_did(orders: Orders, front: httpx.AsyncClient) -> None:
    """Timeline, live events, refunds and audit trail answer as if they held them."""
    assert await told(front, orders.by_api) == [
        ("customer", f"cancel accepted: {said('API cancel')}"),
        ("customer", f"canceled: {said('API cancel')}"),
    ]
    assert await told(front, orders.by_signal) == [
        ("unverified:ops", f"cancel accepted: {said('signal')}"),
        ("unverified:ops", f"canceled: {said('signal')}"),
    ]
    assert await told(front, orders.natively) == [
        ("temporal", f"cancel accepted: {said('native cancel')}"),
        ("temporal", f"canceled: {said('native cancel')}"),
    ]
    assert await told(front, orders.refunded) == [("alice", f"refunded 5.00 USD: {said('refund')}")]
    settled = ("alice", f"done by hand: follow_parcel: {said('evidence')} ({said('note')})")
    assert await told(front, orders.lost) == await told(front, orders.lost_too) == [settled]
    [(_, dropped)] = await told(front, orders.dropped)
    assert dropped.startswith("line dropped, 1 x ") and dropped.endswith(f": {said('drop')}")


async def told(front: httpx.AsyncClient, order_id: str) -> list[tuple[str, str]]:
    """(by whom, what) of the rows that quote somebody, as both ways of reading the timeline show them."""
    order = (await front.get(f"/api/orders/{order_id}")).json()
    events = (await front.get(f"/api/orders/{order_id}/events")).json()["events"]
    assert events == order["timeline"]
    return [(row["by"], row["what"]) for row in events if WORD in row["what"]]


async def test_refunds_and_tickets_show_the_words(orders: Orders, front: httpx.AsyncClient) -> None:
    """The list, the single refund, and the audit trail of a ticket with and without an order."""
    one = (await front.get(f"/api/orders/{orders.refunded}/refunds/k1")).json()
    listed = (await front.get(f"/api/orders/{orders.refunded}/refunds")).json()["refunds"]
    assert one == listed[0] and one["reason"] == said("refund")

    desk = Desk(front)
    [ticket] = await desk.tickets(orders.lost, "all")
    trail = (await desk.look(ticket["ticketId"]))["actions"]
    assert [row["action"] for row in trail] == ["opened", "mark_done"]
    assert (trail[1]["evidence"], trail[1]["note"]) == (said("evidence"), said("note"))
    trail = (await desk.look(orders.ticket))["actions"]
    assert (trail[1]["note"], "evidence" in trail[1]) == (said("note about no order"), False)


async def test_an_event_names_the_text_and_does_not_quote_it(orders: Orders, shop: Shop, sessions: Sessions) -> None:
    """`reasonId` for a person's words; `reason` stays for codes."""
    for order_id, name, words in (
        (orders.by_api, "CancelRequested", said("API cancel")),
        (orders.by_signal, "CancelRequested", said("signal")),
        (orders.refunded, "PaymentRefunded", said("refund")),
    ):
        [event] = [event for event in await shop.events(order_id) if event.data["eventType"] == name]
        assert "reason" not in event.data
        assert await written(sessions, [event.data["reasonId"]]) == [words]
    ends = [event.data for event in await shop.events(orders.by_api) if event.data["eventType"] == "OrderCanceled"]
    assert [(data["reason"], "reasonId" in data) for data in ends] == [("canceled", False)]


async def written(sessions: Sessions, ids: list[str]) -> list[str]:
    async with sessions() as session:
        found = await texts.read(await session.connection(), [*ids])
        return [found[id_] for id_ in ids]


async def test_an_erased_text_reads_as_erased(orders: Orders, front: httpx.AsyncClient, sessions: Sessions) -> None:
    """Whether its row lost the words or is gone; the rest of the timeline is as it was. Runs last."""
    async with sessions() as session, session.begin():
        connection = await session.connection()
        emptied = text("UPDATE texts SET text_sealed = NULL WHERE order_id = :id AND kind = 'refund_reason'")
        await connection.execute(emptied, {"id": orders.refunded})
        await connection.execute(text("DELETE FROM texts WHERE order_id = :id"), {"id": orders.dropped})
    told = [row["what"] for row in (await front.get(f"/api/orders/{orders.refunded}")).json()["timeline"]]
    assert told[-1] == "refunded 5.00 USD: [erased]"
    told = [row["what"] for row in (await front.get(f"/api/orders/{orders.dropped}")).json()["timeline"]]
    assert told[-1].endswith(": [erased]")
    again = {"amount": "5.00", "reason": "any", "by": "alice"}
    answer = await front.post(f"/api/orders/{orders.refunded}/refunds", json=again, headers={"Idempotency-Key": "k1"})
    assert (answer.status_code, answer.json()["reason"]) == (201, "[erased]")
